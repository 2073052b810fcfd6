/**
 * How a parked reactor comes back: the ring signals an eventfd, Bun watches that eventfd, and calls `wake`.
 *
 * Guarantees: after `arm()` a signal calls `wake` once, even one that came before. While armed with `keepAlive` the process stays
 * alive; without it the process may exit. Costs nothing while idle in the first case. This is the one place that depends on how Bun
 * watches descriptors, so a change in Bun is repaired here.
 */
import { check } from "../sys/errno.ts";
import { native } from "../sys/library.ts";

/** Bun offers no unref'd watch of an eventfd: what nobody's process depends on is looked after at this interval. */
const POLL_INTERVAL_MS = 1;

export class Waker {
  readonly eventFd: number;
  /** Times that a signal arrived while armed. */
  wakeups = 0;

  private readonly wake: () => void;
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  private reading = false;
  private armed = false;
  private interval: NodeJS.Timeout | undefined;

  constructor(wake: () => void) {
    this.wake = wake;
    this.eventFd = check(native().rl_eventfd(), "eventfd");
    this.reader = this.watch(); // Now, since it takes a descriptor, of which there may be none later.
  }

  arm(keepAlive: boolean): void {
    this.armed = true;
    if (keepAlive) {
      this.stopInterval();
      this.read();
      return;
    }
    this.stopReading();
    this.poll().unref();
  }

  /** The reactor is awake, or nothing is left to wake it for. A pending read stays, unless it alone would keep the process alive. */
  disarm(keepAlive: boolean): void {
    this.armed = false;
    this.stopInterval();
    if (!keepAlive) this.stopReading();
  }

  /** As a completion would. */
  signal(): void {
    check(native().rl_eventfd_signal(this.eventFd), "write");
  }

  close(): void {
    this.disarm(false);
    native().rl_close(this.eventFd);
  }

  private read(): void {
    if (this.reading) return;
    try {
      this.reader ??= this.watch();
    } catch {
      this.poll(); // Out of descriptors (EMFILE): until there is one, the interval serves.
      return;
    }
    this.reading = true;
    const reader = this.reader;
    reader.read().then(
      () => this.finishRead(reader),
      () => this.finishRead(reader),
    );
  }

  private watch(): ReadableStreamDefaultReader<Uint8Array> {
    return Bun.file(this.eventFd).stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  private poll(): NodeJS.Timeout {
    return (this.interval ??= setInterval(() => this.arrive(), POLL_INTERVAL_MS));
  }

  private finishRead(reader: ReadableStreamDefaultReader<Uint8Array>): void {
    if (reader !== this.reader) return; // Cancelled by stopReading().
    this.reading = false;
    // A signal from before the last disarm() is consumed with this read; whoever arms next reads again.
    if (this.armed) this.arrive();
  }

  private arrive(): void {
    this.armed = false;
    this.wakeups++;
    this.stopInterval();
    this.wake();
  }

  private stopReading(): void {
    const reader = this.reader;
    this.reader = undefined;
    this.reading = false;
    reader?.cancel().catch(() => {});
  }

  private stopInterval(): void {
    clearInterval(this.interval);
    this.interval = undefined;
  }
}
