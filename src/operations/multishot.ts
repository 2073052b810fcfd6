/**
 * Operations that complete again and again (multishot), as async iterators: connections, events, bytes, times.
 *
 * Guarantees: it is submitted with the first `next()`, and once more whenever the kernel has ended it without an error; `return()`, which is
 * what `break` calls, cancels it and is over after its last completion; values that nobody has taken by then are given back (descriptors are closed).
 * What waits to be taken is bounded: beyond the limit the operation is cancelled until there is room, and the rest waits in the kernel; events and times
 * that nobody has taken are one value. A pending `next()` holds the process. Leaves to others: closing the descriptor, after `return()`.
 */
import type { Chunk } from "../ring/arena.ts";
import type { Sqe } from "../ring/sqe.ts";
import { Timespec } from "../ring/structs.ts";
import { IORING_CQE_F_BUFFER, IORING_CQE_F_MORE } from "../sys/abi.ts";
import { requireObject, requireSignal } from "../sys/check.ts";
import { EAGAIN, ECANCELED, ECONNABORTED, EINTR, ENOBUFS, ETIME, SystemError } from "../sys/errno.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import type { OperationOwner } from "../reactor/op-table.ts";
import type { OperatingReactor } from "./operating-reactor.ts";
import { WheelEntry } from "../reactor/wheel.ts";

export interface MultishotOptions {
  /** Ends the iteration with the signal's reason at once, and cancels the operation. */
  signal?: AbortSignal | null | undefined;
}

/** Descriptors that wait to be taken, and bytes. */
const WAITING_MAX = 64;
const WAITING_BYTES_MAX = 262144;
const CANCEL_RETRY_MS = 250;
/** As a kind of completion: that of a cancellation. */
const CANCELLATION = 2;

const State = {
  /** Nothing is in flight that was not cancelled; `next()` or a value that is taken submits it. */
  Idle: 0,
  /** The operation is in flight. */
  Armed: 1,
  /** It is being cancelled, since too much waits to be taken; its completions still count. */
  Pausing: 2,
  /** Nobody takes anything any more; the operation may still be in flight. */
  Ending: 3,
  /** Nothing is in flight, and the slot is somebody else's. */
  Over: 4,
} as const;
type State = (typeof State)[keyof typeof State];

/** What is common to all of a kind. */
export interface MultishotKind<T> {
  readonly syscall: string;
  /** Of op-table.ts. */
  readonly tag: number;
  prepare(sqe: Sqe, multishot: Multishot<T>): void;
  /** Takes what a completion brings. The value, or undefined for none. */
  take(multishot: Multishot<T>, result: number, flags: number): T | undefined;
  /** One value of two that nobody has taken. Without it, each waits by itself. */
  merge?(first: T, second: T): T;
  /** Nobody will get it. */
  discard?(multishot: Multishot<T>, value: T): void;
  /** A value is its consumer's from here on. */
  handOver?(multishot: Multishot<T>, value: T): void;
  /** Whether that was the last one. */
  isOver?(multishot: Multishot<T>): boolean;
  /** What a value counts of WAITING_BYTES_MAX. */
  bytesOf?(value: T): number;
}

export class Multishot<T> implements AsyncIterableIterator<T, undefined>, AsyncDisposable, OperationOwner, Flushable {
  /** @internal */ readonly reactor: OperatingReactor;
  /** @internal */ readonly fd: number;
  /** @internal */ readonly events: number;
  /** @internal How many times more. */ left: number;
  /** @internal */ chunk: Chunk | null = null;
  private readonly kind: MultishotKind<T>;
  private readonly signal: AbortSignal | undefined;
  private readonly intervalMs: number;
  private state: State = State.Idle;
  private slot = -1;
  private cancels = 0;
  private retry: CancelRetry | undefined;
  private isStarved = false;
  /** Nothing more will come: the peer has ended, or the times are over. */
  private isComplete = false;
  private failure: { reason: unknown } | undefined;
  private values: T[] = [];
  private bytes = 0;
  private takers: PromiseWithResolvers<IteratorResult<T, undefined>>[] = [];
  private readonly ended = Promise.withResolvers<void>();

  /** @internal */
  constructor(
    reactor: OperatingReactor,
    kind: MultishotKind<T>,
    {
      fd = -1,
      events = 0,
      left = Infinity,
      intervalMs = 0,
    }: { fd?: number; events?: number; left?: number; intervalMs?: number },
    options: MultishotOptions = {},
  ) {
    requireObject("options", options);
    const { signal } = options;
    requireSignal("signal", signal ?? undefined);
    this.reactor = reactor;
    this.kind = kind;
    this.fd = fd;
    this.events = events;
    this.left = left;
    this.intervalMs = intervalMs;
    this.signal = signal ?? undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next value; several calls are answered in order. Rejects once with SystemError, or with the signal's reason; then all is done. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.signal?.aborted === true && this.state < State.Ending) this.handleEvent();
    if (this.values.length > 0) return Promise.resolve({ done: false, value: this.shift() });
    if (this.failure !== undefined) {
      const { failure } = this;
      this.failure = undefined;
      return Promise.reject(failure.reason);
    }
    if (this.isComplete || this.state >= State.Ending) return Promise.resolve({ done: true, value: undefined });
    const taker = Promise.withResolvers<IteratorResult<T, undefined>>();
    if (this.takers.push(taker) === 1) this.reactor.ref();
    try {
      this.arm();
    } catch (error) {
      this.fail(error);
    }
    return taker.promise;
  }

  /** Cancels the operation, and gives back what waits. Fulfilled after its last completion: the descriptor may be closed then. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.leave();
    await this.ended.promise;
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  // ---- completions -------------------------------------------------------------------------------------------------------

  /** @internal */
  complete(kind: number, result: number, flags: number): void {
    if (kind === CANCELLATION) this.cancellationCompleted(result);
    else this.completed(result, flags);
    if (this.state === State.Ending && this.reactor.lane.operations.inFlightOf(this.slot) === 0) this.finish();
  }

  /** @internal The signal's. */
  handleEvent(): void {
    if (this.state >= State.Ending) return;
    this.discardWaiting();
    this.fail(this.signal!.reason);
  }

  /** @internal It is time to try a cancellation again. */
  cancelAgain(): void {
    if (this.isInFlight && this.state !== State.Armed) this.cancel();
  }

  /** @internal Buffers have come back. */
  flush(): void {
    this.isStarved = false;
    this.arm();
  }

  private completed(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0 && this.state !== State.Ending) this.state = State.Idle;
    const value =
      result >= 0 || result === -ETIME || (flags & IORING_CQE_F_BUFFER) !== 0
        ? this.kind.take(this, result, flags)
        : undefined;
    if (this.state === State.Ending) {
      if (value !== undefined) this.kind.discard?.(this, value);
      return;
    }
    if (value !== undefined) this.deliver(value);
    if ((value === undefined && result === 0) || this.kind.isOver?.(this) === true) return this.end();
    switch (-result) {
      case ENOBUFS: // The pool is empty. Waits for buffers to come back, not for a timer.
        if (this.isStarved) return;
        this.isStarved = true;
        return this.reactor.lane.awaitBuffers(this);
      case ECANCELED: // By a pause, or with the ring's overflow.
      case ECONNABORTED: // The one connection is lost, not the listener (accept(2), "Error handling").
      case EINTR:
      case EAGAIN:
      case ETIME:
        break;
      default:
        if (result < 0) return this.fail(new SystemError(-result, this.kind.syscall));
    }
    this.arm();
  }

  /** A cancellation misses (EALREADY, ENOENT) what is just being woken. It is tried again until the operation's last completion has come. */
  private cancellationCompleted(result: number): void {
    const isOurs = this.state === State.Pausing || this.state === State.Ending; // Else it was submitted anew since.
    if (result >= 0 || !isOurs || !this.isInFlight) return;
    if (this.cancels++ === 0) this.cancel();
    else this.reactor.setDeadline((this.retry ??= new CancelRetry(this)), CANCEL_RETRY_MS);
  }

  private deliver(value: T): void {
    const { kind, values } = this;
    const taker = this.takers.shift();
    if (taker !== undefined) {
      if (this.takers.length === 0) this.reactor.unref();
      kind.handOver?.(this, value);
      return taker.resolve({ done: false, value });
    }
    if (kind.merge !== undefined && values.length > 0) {
      values[0] = kind.merge(values[0]!, value);
      return;
    }
    values.push(value);
    this.bytes += kind.bytesOf?.(value) ?? 0;
    if (this.isFull && this.state === State.Armed) {
      this.state = State.Pausing;
      this.cancels = 0;
      this.cancel();
    }
  }

  private shift(): T {
    const value = this.values.shift()!;
    this.bytes -= this.kind.bytesOf?.(value) ?? 0;
    this.kind.handOver?.(this, value);
    if (this.slot >= 0) this.arm();
    return value;
  }

  // ---- states ------------------------------------------------------------------------------------------------------------

  private get isFull(): boolean {
    return this.values.length >= WAITING_MAX || this.bytes >= WAITING_BYTES_MAX;
  }

  private get isInFlight(): boolean {
    return this.slot >= 0 && this.reactor.lane.operations.inFlightOf(this.slot) > 0;
  }

  private arm(): void {
    if (this.state !== State.Idle || this.isFull || this.isStarved || this.isComplete) return;
    // What the kernel has ended may be there still, and end at once again: nobody has asked for it yet.
    if (this.kind.merge !== undefined && this.values.length > 0) return;
    const { reactor } = this;
    if (this.slot < 0) {
      if (this.intervalMs > 0) this.placeInterval();
      this.slot = reactor.lane.operations.acquire(this);
      this.signal?.addEventListener("abort", this);
    }
    const sqe = reactor.lane.nextSqe();
    this.kind.prepare(sqe, this);
    this.state = State.Armed;
    reactor.lane.tag(sqe, this.slot, this.kind.tag);
  }

  private placeInterval(): void {
    this.chunk = this.reactor.arena.allocate(Timespec.bytes);
    new Timespec(this.chunk, this.intervalMs);
  }

  /** No more will come; what waits is still taken. */
  private end(): void {
    this.isComplete = true;
    this.conclude();
  }

  /** The same, with an error behind what waits. */
  private fail(reason: unknown): void {
    const taker = this.takers.shift();
    if (taker === undefined) this.failure = { reason };
    else {
      if (this.takers.length === 0) this.reactor.unref();
      taker.reject(reason);
    }
    this.conclude();
  }

  private leave(): void {
    this.discardWaiting();
    this.failure = undefined;
    this.conclude();
  }

  private discardWaiting(): void {
    for (const value of this.values.splice(0)) this.kind.discard?.(this, value);
    this.bytes = 0;
  }

  /** Takes the operation out of the ring, and answers who waits. */
  private conclude(): void {
    if (this.state >= State.Ending) return;
    const wasArmed = this.state === State.Armed;
    this.state = State.Ending;
    this.signal?.removeEventListener("abort", this);
    if (this.takers.length > 0) this.reactor.unref();
    for (const taker of this.takers.splice(0)) taker.resolve({ done: true, value: undefined });
    this.cancels = 0;
    if (wasArmed) this.cancel();
    if (!this.isInFlight) this.finish();
  }

  private cancel(): void {
    this.reactor.lane.cancel(this.slot, this.kind.tag, CANCELLATION);
  }

  private finish(): void {
    const { reactor } = this;
    this.state = State.Over;
    if (this.retry?.armed === true) reactor.wheel.clear(this.retry);
    if (this.chunk !== null) reactor.arena.free(this.chunk);
    this.chunk = null;
    if (this.slot >= 0) reactor.lane.operations.release(this.slot);
    this.slot = -1;
    this.ended.resolve();
  }
}

/** A wheel's entry beside the iterator, which has a `next` of its own. */
class CancelRetry extends WheelEntry {
  private readonly multishot: Multishot<any>;

  constructor(multishot: Multishot<any>) {
    super();
    this.multishot = multishot;
  }

  override fire(): void {
    this.multishot.cancelAgain();
  }
}
