/**
 * One operation of the promise layer: from its arguments to the promise's end, and on to the last completion.
 *
 * Guarantees: the kernel sees the arena's memory only (paths, vectors, data, results), which is freed after the last completion, also
 * when the promise was rejected before; an operation holds the process until its promise is settled. Objects are pooled, and no closure
 * is made for one. Leaves to others: what the operations are (operation-*.ts), linking them (operations.ts).
 */
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

/** An owner of a descriptor, which closes it after the last operation that uses it. */
export interface Holder {
  retain(): void;
  release(): void;
}

/** What is common to all operations of a kind: one object for all of them. */
export interface Kind<T> {
  /** For errors, as Node names it. */
  readonly syscall: string;
  /** A negative result that is no error. */
  readonly expected?: number;
  /** Its memory has a notification of its own (IORING_CQE_F_NOTIF), after its result. */
  readonly notifies?: boolean;
  /** Its result is the number of bytes that it has moved, of the `lent` ones. */
  readonly moves?: boolean;
  /** Puts what the kernel is to see into mapped memory: `address` and `address2`. Before an entry is taken, since memory may run out. */
  place?(operation: Operation<T>): void;
  prepare(sqe: Sqe, operation: Operation<T>): void;
  /** The promise's value from a result that is no error. */
  finish(operation: Operation<T>, result: number): T;
  /** It succeeded after its promise was rejected: closes what nobody will get. */
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
  /** Memory is in place; to be submitted, or dropped. */
  Placed,
  /** Submitted; the promise is open. */
  Running,
  /** The promise is settled; completions are still to come. */
  Settled,
  Released,
}

/** How soon a cancellation that has missed twice is tried again. */
const CANCEL_RETRY_MS = 250;
const NO_RESULT = -0x80000000;

/** An entry of no ring. */
const rehearsal = new Sqe(new Uint32Array(16), 0);

type Resolve = (value: unknown) => void;
type Reject = (reason: unknown) => void;
const nothing = (): void => {};
const textOf = (path: string | Uint8Array): string => (typeof path === "string" ? path : Buffer.from(path).toString());

/** One executor for all promises, which leaves its functions here. */
const captured: { resolve: Resolve; reject: Reject } = { resolve: nothing, reject: nothing };
const capture = (resolve: Resolve, reject: Reject): void => {
  captured.resolve = resolve;
  captured.reject = reject;
};

export class Operation<T = unknown> extends OperationMemory implements OperationOwner {
  // Arguments, as the kind uses them.
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
  // Where things lie, once placed.
  address = 0;
  address2 = 0;
  /** Bytes of data that the kernel was given, fixed by `place`: the caller's own memory may shrink or go meanwhile. */
  lent = 0;
  /** Who keeps the descriptor open until the operation is over. */
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

  /** `pool`: where the object goes when it is done with. */
  constructor(reactor: OperatingReactor, kind: Kind<T>, pool: FreeList<Operation> | null) {
    super(reactor);
    this.kind = kind;
    this.pool = pool;
  }

  /** A pooled object's next life. */
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

  /** Submission entries that it takes. */
  get entries(): number {
    return this.timeoutMs < 0 ? 1 : 2;
  }

  /** Throws the reason of a signal that is aborted. */
  throwIfAborted(): void {
    this.signal?.throwIfAborted();
  }

  /** Submits it. The promise is rejected with SystemError (`code`, `errno`, `syscall`, `path`), or with the signal's reason. */
  start(): Promise<T> {
    this.place();
    if (this.timeoutMs >= 0) this.reactor.lane.reserve(2);
    return this.submit(0);
  }

  /** Claims the operation, and memory for it. After that it must be submitted, or dropped. Throws what `placed` memory may. */
  place(): void {
    if (this.state !== State.Described) throw new Error("an operation runs once: describe it anew");
    try {
      if (this.kind.place !== undefined) this.kind.place(this);
      if (this.timeoutMs >= 0) this.placeTimer();
    } catch (error) {
      this.drop();
      throw error;
    }
    this.state = State.Placed;
  }

  /** The descriptor is `holder`'s, which keeps it open until the last completion. */
  heldBy(holder: Holder): this {
    holder.retain();
    this.holder = holder;
    return this;
  }

  /** Throws what `submit` would for a wrong argument, while nothing is submitted yet. */
  rehearse(): void {
    this.kind.prepare(rehearsal, this);
  }

  /** For an operation that was placed and is not going to be submitted. */
  drop(): void {
    this.state = State.Settled;
    this.release();
  }

  /** With memory in place and room for `entries` in the queue. `flags`: IOSQE_*. */
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
      // A wrong argument, which the entry refuses and then does nothing; or a reactor that is no more.
      this.settle();
      if (reactor.lane.operations.inFlightOf(this.slot) === 0) this.release();
      throw error;
    }
    return promise;
  }

  private enter(): void {
    const { reactor, slot, submitFlags } = this;
    const sqe = reactor.lane.nextSqe();
    this.kind.prepare(sqe, this); // What throws here leaves an entry that does nothing: see Sqe.disarm.
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

  // ---- completion ----------------------------------------------------------------------------------------------------

  complete(part: number, result: number, flags: number): void {
    switch (part) {
      case Part.Operation:
        if ((flags & IORING_CQE_F_NOTIF) !== 0)
          throw new RingIntegrityError("completion notifies of memory that was not lent");
        this.completed(result);
        break;
      case Part.Notifying:
        // Of a zero-copy send: the bytes are sent; the memory is free with the notification.
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

  /** The signal's. */
  handleEvent(): void {
    if (this.state !== State.Running) return;
    this.settle();
    this.reject(this.signal!.reason);
    this.cancel();
  }

  /** The wheel's: time to try the cancellation again. */
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
    // Whether it is the timer that has ended it, the timer's completion says.
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
    // ETIME: it has cancelled the operation. EALREADY: it could not yet. ECANCELED, ENOENT: the operation was over before.
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
   * A cancellation misses (EALREADY) what is being woken or runs on a worker, and (ENOENT) what waits for the entry it is linked to. It is
   * tried again until the operation's own completion has come.
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
