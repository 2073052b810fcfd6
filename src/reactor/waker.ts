/**
 * Wakes a parked reactor: the ring signals an eventfd, Bun watches that eventfd and then calls
 * `wake`.
 *
 * Guarantees: after `arm()` a signal calls `wake` once, even a signal from before. While armed with
 * `keepAlive` the process stays alive, and waiting uses no CPU. While armed without it the process
 * may exit. This is the one file that depends on how Bun watches descriptors, so a change in Bun is
 * repaired here.
 */
import { check } from "../sys/errno.ts";
import { native } from "../sys/library.ts";

/**
 * Milliseconds between looks at the ring while the process may exit: Bun offers no watch of an
 * eventfd that lets the process exit.
 */
const POLL_INTERVAL_MS = 1;

export class Waker {
  readonly eventFd: number;
  /** Number of signals that arrived while armed. */
  wakeups = 0;

  private readonly wake: () => void;
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  private reading = false;
  private armed = false;
  private interval: NodeJS.Timeout | undefined;

  constructor(wake: () => void) {
    this.wake = wake;
    this.eventFd = check(native().rl_eventfd(), "eventfd");
    // Watches at once: this needs a descriptor, and later there may be none.
    this.reader = this.watch();
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

  /**
   * Stops waiting, because the reactor is awake or has nothing to wait for. A pending read stays,
   * unless it would keep the process alive although `keepAlive` is false.
   */
  disarm(keepAlive: boolean): void {
    this.armed = false;
    this.stopInterval();
    if (!keepAlive) this.stopReading();
  }

  /** Signals the eventfd, as a completion does. */
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
      this.poll(); // No descriptor is free (EMFILE): the interval is used until one is.
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
    if (reader !== this.reader) return; // stopReading() has cancelled it.
    this.reading = false;
    // This read also consumes a signal from before the last disarm(). The next arm() reads again.
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
