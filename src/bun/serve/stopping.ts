/**
 * How a server stops: the argument of `server.stop`, the deadline of a server on the ring, and
 * `stop` of Bun's own server with a deadline.
 */
import { requireNumber } from "../../sys/check.ts";
import type { Reactor } from "../../reactor/reactor.ts";
import { WheelEntry } from "../../reactor/wheel.ts";
import type { Server } from "./server.ts";

/** The longest deadline: a day. */
const DEADLINE_MS_MAX = 86_400_000;

export interface StopOptions {
  /**
   * Milliseconds until the server ends what is still running, 0 to 86400000 (a day). The end comes
   * never before that time, and up to 250 ms after it. 0: at once.
   */
  deadlineMs: number;
}

/**
 * Reads the argument of `stop`: returns the milliseconds of the deadline, or undefined for Bun's
 * boolean. Throws a TypeError or RangeError that names deadlineMs.
 */
export function readDeadline(how: unknown): number | undefined {
  if (typeof how !== "object" || how === null) return undefined;
  const { deadlineMs } = how as StopOptions;
  requireNumber("deadlineMs", deadlineMs, 0, DEADLINE_MS_MAX);
  return deadlineMs;
}

/** The time at which a stopping server ends what is left. */
export class StopDeadline extends WheelEntry {
  private atMs = Infinity;
  private readonly reactor: Reactor;
  private readonly passed: () => void;

  constructor(reactor: Reactor, passed: () => void) {
    super();
    this.reactor = reactor;
    this.passed = passed;
  }

  /** Sets the deadline, unless an earlier call has set a nearer one. 0 ends everything at once. */
  set(delayMs: number): void {
    if (delayMs === 0) return this.fire();
    const atMs = this.reactor.nowMs + delayMs;
    if (atMs >= this.atMs) return;
    this.atMs = atMs;
    this.reactor.setDeadline(this, delayMs);
  }

  clear(): void {
    this.reactor.wheel.clear(this);
  }

  override fire(): void {
    this.passed();
  }
}

/**
 * Gives Bun's own server a `stop` with a deadline: it stops as Bun's `stop()`, and when the deadline
 * has passed as Bun's `stop(true)`. Bun's stop alone would take an object for false.
 */
export function withDeadline(server: Server): Server {
  const own = server.stop as (closeActiveConnections?: boolean) => Promise<void>;
  const stop = (how?: boolean | StopOptions): Promise<void> => {
    const deadlineMs = readDeadline(how);
    if (deadlineMs === undefined) return own.call(server, how as boolean);
    const stopped = own.call(server, deadlineMs === 0);
    server.closeIdleConnections(); // Bun's stop() leaves them to their timeout.
    const timer = setTimeout(() => void own.call(server, true), deadlineMs);
    return stopped.finally(() => clearTimeout(timer));
  };
  return Object.defineProperty(server, "stop", { value: stop, configurable: true, writable: true });
}
