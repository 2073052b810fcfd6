/**
 * Who has work for the next submission.
 *
 * Guarantees: each is flushed outside of every async context; a handler that throws in a flush costs the others nothing: they are flushed with
 * the next call; a flush may run the event loop, and flush the others in it.
 */
import { outside } from "../sys/async-context.ts";

/** Something with work for the next submission: called once after `reactor.scheduleFlush(this)`. */
export interface Flushable {
  flush(): void;
}

export class FlushQueue {
  /** Each is in it once, so it has as many as have slots, at most. The two lists are emptied and used again. */
  private waiting: Flushable[] = [];
  /** Those that are being flushed, and which of them is next. */
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
