/**
 * One operation of the promise layer, from its arguments to its settled promise, and on to its last
 * completion.
 *
 * Guarantees: the kernel sees only memory of the arena (paths, vectors, data, results). That memory
 * is freed after the last completion, even if the promise was rejected before. An operation keeps
 * the process alive until its promise is settled. Objects are pooled, and no operation needs a
 * closure.
 * Leaves to others: the definitions of operations (operation-*.ts), and linking them
 * (operating-reactor.ts).
 */
import { withCode } from "../sys/check.ts";
import { IORING_CQE_F_NOTIF } from "../sys/abi.ts";
import { ECANCELED, EINTR, ENOENT, ETIME, ETIMEDOUT, SystemError } from "../sys/errno.ts";
import type { Chunk } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { Sqe } from "../ring/sqe.ts";
import { Timespec } from "../ring/structs.ts";
import type { FreeList } from "../reactor/free-list.ts";
import { OperationMemory } from "./operation-memory.ts";
import type { OperationOwner } from "../reactor/op-table.ts";
import { type OperationOptions, requireLimits } from "./operation-options.ts";
import type { OperatingReactor } from "./operating-reactor.ts";

export type { OperationOptions } from "./operation-options.ts";

/** The owner of a descriptor. It closes the descriptor after the last operation that uses it. */
export interface Holder {
  retain(): void;
  release(): void;
}

/** The common part of all operations of one kind: one object for all of them. */
export interface Kind<T> {
  /** Name of the system call for errors, as in Node. */
  readonly syscall: string;
  /** A negative result that is no error. */
  readonly expected?: number;
  /** Whether a second completion (IORING_CQE_F_NOTIF) tells that the memory is free again. */
  readonly notifies?: boolean;
  /** Whether the result is a number of moved bytes, at most `lent`. */
  readonly moves?: boolean;
  /**
   * Puts the data for the kernel into mapped memory, and sets `address` and `address2`. Comes
   * before the entry, since memory may run out.
   */
  place?(operation: Operation<T>): void;
  prepare(sqe: Sqe, operation: Operation<T>): void;
  /** Returns the promise's value for a result that is no error. */
  finish(operation: Operation<T>, result: number): T;
  /** Discards the result, such as a descriptor, of an operation that outlived its promise. */
  discard?(operation: Operation<T>, result: number): void;
}

const enum Part {
  Operation,
  Timer,
  Cancellation,
  /** An operation that completes twice: see MULTISHOT_KIND. */
  Notifying = 6,
}

const enum State {
  Described,
  /** The memory is in place. The operation must be submitted or dropped. */
  Placed,
  /** The operation is submitted, and the promise is pending. */
  Running,
  /** The promise is settled, and completions are still to come. */
  Settled,
  Released,
}

/** Milliseconds until a cancellation that has missed twice is repeated. */
const CANCEL_RETRY_MS = 250;
const NO_RESULT = -0x80000000;

/** An entry of no ring, to check arguments. */
const rehearsal = new Sqe(new Uint32Array(16), 0);

type Resolve = (value: unknown) => void;
type Reject = (reason: unknown) => void;
const nothing = (): void => {};
const textOf = (path: string | Uint8Array): string => (typeof path === "string" ? path : Buffer.from(path).toString());

/** The functions of the last promise. All promises use one executor, which puts them here. */
const captured: { resolve: Resolve; reject: Reject } = { resolve: nothing, reject: nothing };
const capture = (resolve: Resolve, reject: Reject): void => {
  captured.resolve = resolve;
  captured.reject = reject;
};

export class Operation<T = unknown> extends OperationMemory implements OperationOwner {
  // Arguments. Their meaning depends on the kind.
  fd = -1;
  fd2 = -1;
  position = 0;
  position2 = 0;
  length = 0;
  offset = 0;
  flags = 0;
  mode = 0;
  path: string | Uint8Array | undefined = undefined;
  path2: string | Uint8Array | undefined = undefined;
  data: unknown = undefined;
  // Addresses in mapped memory, set by `place`.
  address = 0;
  address2 = 0;
  /**
   * Number of bytes of data that are lent to the kernel, set by `place`: the caller's memory may
   * shrink or disappear meanwhile.
   */
  lent = 0;
  /** The owner that keeps the descriptor open until the operation is over. */
  holder: Holder | null = null;

  private readonly pool: FreeList<Operation> | null;
  private kind: Kind<T>;
  private state = State.Described;
  private slot = -1;
  private signal: AbortSignal | undefined = undefined;
  private timeoutMs = -1;
  private timer: Chunk | null = null;
  private timing = false;
  private held = NO_RESULT;
  private cancellations = 0;
  private submitFlags = 0;
  private resolve: Resolve = nothing;
  private reject: Reject = nothing;

  /** `pool`: list that the object is given back to after use; null for none. */
  constructor(reactor: OperatingReactor, kind: Kind<T>, pool: FreeList<Operation> | null) {
    super(reactor);
    this.kind = kind;
    this.pool = pool;
  }

  /** Prepares a pooled object for its next use. */
  reuse(kind: Kind<T>): this {
    this.kind = kind;
    this.state = State.Described;
    return this;
  }

  limit(options: OperationOptions | undefined): this {
    if (options === undefined) return this;
    requireLimits(options);
    this.signal = options.signal ?? undefined;
    this.timeoutMs = options.timeoutMs ?? -1;
    return this;
  }

  /** Number of submission entries that the operation needs. */
  get entries(): number {
    return this.timeoutMs < 0 ? 1 : 2;
  }

  /** Throws the reason of the signal if that is aborted. */
  throwIfAborted(): void {
    this.signal?.throwIfAborted();
  }

  /**
   * Submits the operation. The promise rejects with SystemError (`code`, `errno`, `syscall`,
   * `path`), or with the signal's reason.
   */
  start(): Promise<T> {
    this.place();
    if (this.timeoutMs >= 0) this.reactor.lane.reserve(2);
    return this.submit(0);
  }

  /**
   * Claims the operation, and allocates its memory. After that it must be submitted or dropped.
   * Throws the errors of the allocation.
   */
  place(): void {
    if (this.state !== State.Described)
      throw withCode("ERR_INVALID_STATE", new Error("an operation runs once: describe it anew"));
    try {
      if (this.kind.place !== undefined) this.kind.place(this);
      if (this.timeoutMs >= 0) this.placeTimer();
    } catch (error) {
      this.drop();
      throw error;
    }
    this.state = State.Placed;
  }

  /** Makes `holder` keep the descriptor open until the last completion. */
  heldBy(holder: Holder): this {
    holder.retain();
    this.holder = holder;
    return this;
  }

  /** Throws the error of `submit` for a wrong argument, before anything is submitted. */
  rehearse(): void {
    this.kind.prepare(rehearsal, this);
  }

  /** Frees an operation that was placed and will not be submitted. */
  drop(): void {
    this.state = State.Settled;
    this.release();
  }

  /** Submits a placed operation, with room for `entries` in the queue. `flags`: IOSQE_*. */
  submit(flags: number): Promise<T> {
    const promise = new Promise<unknown>(capture) as Promise<T>;
    this.resolve = captured.resolve;
    this.reject = captured.reject;
    const { reactor, signal } = this;
    if (signal !== undefined) {
      if (signal.aborted) {
        this.reject(signal.reason);
        this.drop();
        return promise;
      }
      signal.addEventListener("abort", this);
    }
    this.slot = reactor.lane.operations.acquire(this);
    this.state = State.Running;
    this.submitFlags = flags;
    reactor.ref();
    try {
      this.enter();
    } catch (error) {
      // The entry has refused a wrong argument and does nothing, or the reactor has ended.
      this.settle();
      if (reactor.lane.operations.inFlightOf(this.slot) === 0) this.release();
      throw error;
    }
    return promise;
  }

  private enter(): void {
    const { reactor, slot, submitFlags } = this;
    const sqe = reactor.lane.nextSqe();
    this.kind.prepare(sqe, this); // After a throw the entry does nothing: see Sqe.disarm.
    if (this.timer === null) {
      if (submitFlags !== 0) sqe.setFlags(submitFlags);
      reactor.lane.tag(sqe, slot, this.part);
      return;
    }
    reactor.lane.tag(sqe.link(), slot, this.part);
    this.timing = true;
    reactor.lane.tag(
      reactor.lane.nextSqe().prepLinkTimeout(this.timer.address).setFlags(submitFlags),
      slot,
      Part.Timer,
    );
  }

  protected override get syscall(): string {
    return this.kind.syscall;
  }

  private get part(): Part {
    return this.kind.notifies === true ? Part.Notifying : Part.Operation;
  }

  private placeTimer(): void {
    this.timer = this.reactor.arena.allocate(Timespec.bytes);
    new Timespec(this.timer, this.timeoutMs);
  }

  // ---- completion -------------------------------------------------------------------------------

  complete(part: number, result: number, flags: number): void {
    switch (part) {
      case Part.Operation:
        if ((flags & IORING_CQE_F_NOTIF) !== 0)
          throw new RingIntegrityError("completion notifies of memory that was not lent");
        this.completed(result);
        break;
      case Part.Notifying:
        // A zero-copy send: the bytes are sent. The notification tells that the memory is free.
        if ((flags & IORING_CQE_F_NOTIF) === 0) this.completed(result);
        break;
      case Part.Timer:
        this.timerCompleted(result);
        break;
      default:
        this.cancellationCompleted(result);
    }
    if (this.state !== State.Running && this.reactor.lane.operations.inFlightOf(this.slot) === 0) this.release();
  }

  /** Called by the signal. */
  handleEvent(): void {
    if (this.state !== State.Running) return;
    this.settle();
    this.reject(this.signal!.reason);
    this.cancel();
  }

  /** Called by the wheel: repeats the cancellation. */
  override fire(): void {
    this.cancel();
  }

  private completed(result: number): void {
    const { kind } = this;
    if (result > this.lent && kind.moves === true)
      throw new RingIntegrityError(`completion of ${kind.syscall} moves ${result} of ${this.lent} bytes`);
    if (this.state !== State.Running) {
      if (result >= 0 && kind.discard !== undefined) kind.discard(this, result);
      return;
    }
    if (result === -EINTR && this.submitFlags === 0 && this.timer === null) return this.enter();
    // The timer's completion says whether the timer has ended the operation.
    if (this.timing && (result === -ECANCELED || result === -EINTR)) {
      this.held = result;
      return;
    }
    this.answer(result);
  }

  private answer(result: number): void {
    this.settle();
    if (result < 0 && result !== this.kind.expected) {
      this.reject(this.error(-result));
      return;
    }
    try {
      this.resolve(this.kind.finish(this, result));
    } catch (error) {
      this.reject(error);
    }
  }

  private timerCompleted(result: number): void {
    this.timing = false;
    if (this.state !== State.Running) return;
    // ETIME: the timer has cancelled the operation. EALREADY: it has tried, and missed. ECANCELED,
    // ENOENT: the operation was over before.
    if (result !== -ECANCELED && result !== -ENOENT) {
      this.settle();
      this.reject(this.error(ETIMEDOUT));
      if (result !== -ETIME && this.held === NO_RESULT) this.cancel();
    } else if (this.held !== NO_RESULT) this.answer(this.held);
  }

  private error(errno: number): SystemError {
    const { path, path2, syscall } = this;
    if (path === undefined) return new SystemError(errno, syscall);
    const where = { path: textOf(path) };
    return new SystemError(errno, syscall, path2 === undefined ? where : { ...where, dest: textOf(path2) });
  }

  private cancel(): void {
    this.cancellations++;
    this.reactor.lane.cancel(this.slot, this.part, Part.Cancellation);
  }

  /**
   * Handles the completion of a cancellation. It is repeated until the operation's last completion
   * has come.
   *
   * A cancellation misses (EALREADY) an operation that is being woken or runs on a worker. It
   * misses (ENOENT) an operation that waits for the entry it is linked to.
   */
  private cancellationCompleted(result: number): void {
    if (result >= 0 || this.reactor.lane.operations.inFlightOf(this.slot) === 0) return;
    if (this.cancellations === 1) this.cancel();
    else this.reactor.setDeadline(this, CANCEL_RETRY_MS);
  }

  private settle(): void {
    this.state = State.Settled;
    this.reactor.unref();
    if (this.signal !== undefined) this.signal.removeEventListener("abort", this);
  }

  private release(): void {
    const { reactor, slot } = this;
    this.freeMemory();
    this.lent = 0;
    const { holder } = this;
    this.holder = null;
    if (this.timer !== null) reactor.arena.free(this.timer);
    this.timer = null;
    if (this.armed) reactor.wheel.clear(this);
    this.state = State.Released;
    this.signal = undefined;
    this.resolve = this.reject = nothing;
    if (slot >= 0) reactor.lane.operations.release(slot);
    this.slot = -1;
    if (holder !== null) holder.release();
    if (this.pool === null) return;
    this.path = this.path2 = this.data = undefined;
    this.timeoutMs = -1;
    this.held = NO_RESULT;
    this.cancellations = 0;
    this.pool.give(this as Operation);
  }
}
