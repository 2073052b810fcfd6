/**
 * Operations that complete many times (multishot), as async iterators of connections, events, bytes
 * or times.
 *
 * Guarantees: the operation is submitted with the first `next()`, and again whenever the kernel has
 * ended it without an error. `return()`, which `break` calls, cancels it and is fulfilled after its
 * last completion. Values that nobody has taken by then are discarded (descriptors are closed). The
 * number of waiting values is limited: at the limit the operation is cancelled until there is room,
 * and the rest waits in the kernel. Events and times that wait become one value. A pending `next()`
 * keeps the process alive.
 * Leaves to others: closing the descriptor, after `return()`.
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
  /** A signal that ends the iteration at once, with its reason, and cancels the operation. */
  signal?: AbortSignal | null | undefined;
}

/** Number of values that may wait to be taken. WAITING_BYTES_MAX: number of their bytes. */
const WAITING_MAX = 64;
const WAITING_BYTES_MAX = 262144;
const CANCEL_RETRY_MS = 250;
/** Kind of the completion of a cancellation. */
const CANCELLATION = 2;

const State = {
  /**
   * Nothing is in flight that was not cancelled. `next()`, or a value that is taken, submits the
   * operation.
   */
  Idle: 0,
  /** The operation is in flight. */
  Armed: 1,
  /**
   * The operation is being cancelled, because too many values wait. Its completions still give
   * values.
   */
  Pausing: 2,
  /** Nobody takes values any more. The operation may still be in flight. */
  Ending: 3,
  /** Nothing is in flight, and the slot is released. */
  Over: 4,
} as const;
type State = (typeof State)[keyof typeof State];

/** The common part of all operations of one kind. */
export interface MultishotKind<T> {
  readonly syscall: string;
  /** Kind of the completions, for op-table.ts. */
  readonly tag: number;
  prepare(sqe: Sqe, multishot: Multishot<T>): void;
  /** Reads a completion. Returns its value, or undefined for none. */
  take(multishot: Multishot<T>, result: number, flags: number): T | undefined;
  /**
   * Joins two values that nobody has taken into one. Without this method, each value waits by
   * itself.
   */
  merge?(first: T, second: T): T;
  /** Discards a value that nobody will take. */
  discard?(multishot: Multishot<T>, value: T): void;
  /** Called when a value is given to its consumer. */
  handOver?(multishot: Multishot<T>, value: T): void;
  /** Returns whether the last value was the final one. */
  isOver?(multishot: Multishot<T>): boolean;
  /** Returns the number of bytes that a value counts towards WAITING_BYTES_MAX. */
  bytesOf?(value: T): number;
}

export class Multishot<T> implements AsyncIterableIterator<T, undefined>, AsyncDisposable, OperationOwner, Flushable {
  /** @internal */ readonly reactor: OperatingReactor;
  /** @internal */ readonly fd: number;
  /** @internal */ readonly events: number;
  /** @internal Number of values still to come. */ left: number;
  /** @internal */ chunk: Chunk | null = null;
  private readonly kind: MultishotKind<T>;
  private readonly signal: AbortSignal | undefined;
  private readonly intervalMs: number;
  private state: State = State.Idle;
  private slot = -1;
  private cancels = 0;
  private retry: CancelRetry | undefined;
  private isStarved = false;
  /** True when nothing more will come: the peer has ended, or the times are over. */
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

  /**
   * Returns the next value. Several pending calls are answered in order. Rejects once with
   * SystemError or with the signal's reason; after that the iteration is done.
   */
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

  /**
   * Cancels the operation, and discards the waiting values. Fulfilled after the operation's last
   * completion: then the descriptor may be closed.
   */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.leave();
    await this.ended.promise;
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  // ---- completions ------------------------------------------------------------------------------

  /** @internal */
  complete(kind: number, result: number, flags: number): void {
    if (kind === CANCELLATION) this.cancellationCompleted(result);
    else this.completed(result, flags);
    if (this.state === State.Ending && this.reactor.lane.operations.inFlightOf(this.slot) === 0) this.finish();
  }

  /** @internal Called by the signal. */
  handleEvent(): void {
    if (this.state >= State.Ending) return;
    this.discardWaiting();
    this.fail(this.signal!.reason);
  }

  /** @internal Repeats a cancellation. */
  cancelAgain(): void {
    if (this.isInFlight && this.state !== State.Armed) this.cancel();
  }

  /** @internal Continues a receive: buffers have come back. */
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
      case ECANCELED: // By a pause, or because the ring's completion queue has overflowed.
      // One connection is lost, and the listener is not (accept(2), "Error handling").
      case ECONNABORTED:
      case EINTR:
      case EAGAIN:
      case ETIME:
        break;
      default:
        if (result < 0) return this.fail(new SystemError(-result, this.kind.syscall));
    }
    this.arm();
  }

  /**
   * Handles the completion of a cancellation. A cancellation misses (EALREADY, ENOENT) an operation
   * that is just being woken. It is repeated until the operation's last completion has come.
   */
  private cancellationCompleted(result: number): void {
    // Otherwise the operation was submitted again since.
    const isOurs = this.state === State.Pausing || this.state === State.Ending;
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

  // ---- states -----------------------------------------------------------------------------------

  private get isFull(): boolean {
    return this.values.length >= WAITING_MAX || this.bytes >= WAITING_BYTES_MAX;
  }

  private get isInFlight(): boolean {
    return this.slot >= 0 && this.reactor.lane.operations.inFlightOf(this.slot) > 0;
  }

  private arm(): void {
    if (this.state !== State.Idle || this.isFull || this.isStarved || this.isComplete) return;
    // The condition that ended the operation may still be there, and end it again at once. Nobody
    // has asked for it yet.
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

  /** Ends the iteration after the waiting values. */
  private end(): void {
    this.isComplete = true;
    this.conclude();
  }

  /** Ends the iteration with an error after the waiting values. */
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

  /** Cancels the operation, and answers the pending calls of `next()`. */
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

/**
 * The wheel entry of the iterator. It is a separate object, because a wheel entry has a property
 * `next`, too.
 */
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
