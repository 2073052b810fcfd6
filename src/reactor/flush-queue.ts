/**
 * The objects that have work for the next submission.
 *
 * Guarantees: every flush runs outside of every async context. A flush that throws does not cancel
 * the others: the next call flushes them. A flush may run the event loop, and that loop flushes the
 * others.
 */
import { outside } from "../sys/async-context.ts";

/**
 * An object with work for the next submission. The reactor calls `flush` once after each
 * `reactor.scheduleFlush(this)`.
 */
export interface Flushable {
  flush(): void;
}

export class FlushQueue {
  /**
   * Objects to flush. Each object is in the list once, so the list has at most one entry for each
   * slot. The two lists are emptied and used again.
   */
  private waiting: Flushable[] = [];
  /** Objects that are being flushed. `cursor` is the index of the next one. */
  private flushing: Flushable[] = [];
  private cursor = 0;

  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.cursor >= this.flushing.length;
  }

  add(target: Flushable): void {
    this.waiting.push(target);
  }

  flush(): void {
    for (;;) {
      while (this.cursor < this.flushing.length) outside(flush, this.flushing[this.cursor++]!);
      if (this.waiting.length === 0) return;
      const flushed = this.flushing;
      flushed.length = this.cursor = 0;
      this.flushing = this.waiting;
      this.waiting = flushed;
    }
  }
}

function flush(target: Flushable): void {
  target.flush();
}
