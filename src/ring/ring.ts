/**
 * Submission and completion queues of one io_uring instance, as the kernel maps them, under liburing's names.
 *
 * Guarantees: entries reach the kernel in the order of `getSqe()`; no completion is handed out twice; the ring's memory is
 * detached before it is unmapped, so that late use throws. Leaves to others: what an operation means (reactor/), who owns the
 * memory it points at (arena.ts, buffer-ring.ts).
 */
import {
  CQE_BYTES,
  IORING_CQ_EVENTFD_DISABLED,
  IORING_ENTER_GETEVENTS,
  IORING_ENTER_REGISTERED_RING,
  IORING_ENTER_SQ_WAIT,
  IORING_ENTER_SQ_WAKEUP,
  IORING_REGISTER_EVENTFD,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_SQPOLL,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_NEED_WAKEUP,
  SQE_BYTES,
} from "../sys/abi.ts";
import { check, EAGAIN, EBADF, EBUSY, EINTR, ETIME, SystemError } from "../sys/errno.ts";
import { type Native, native, pointerTo } from "../sys/library.ts";
import { asPointer, detach, viewMemory } from "../sys/memory.ts";
import { Cqe } from "./cqe.ts";
import { Sqe } from "./sqe.ts";

/** What io_uring_queue_init_params(3) takes. */
export interface RingParams {
  /** IORING_SETUP_*. Default 0. */
  flags?: number;
  /** Entries of the completion queue, a power of two after rounding up. Default: twice the submission queue's. */
  cqEntries?: number;
  /** How long the SQPOLL thread spins after the last submission before it sleeps. Default: the kernel's 1000. */
  sqThreadIdleMs?: number;
  /** The SQPOLL thread's CPU, with IORING_SETUP_SQ_AFF. */
  sqThreadCpu?: number;
  /** A ring's descriptor whose workers are shared, with IORING_SETUP_ATTACH_WQ. */
  attachFd?: number;
}

/** Setup flags under which entries have another size, or the ring another place, than this class expects. */
const layoutFlags = {
  IORING_SETUP_SQE128: 1 << 10,
  IORING_SETUP_CQE32: 1 << 11,
  IORING_SETUP_NO_MMAP: 1 << 14,
  IORING_SETUP_NO_SQARRAY: 1 << 16,
  IORING_SETUP_CQE_MIXED: 1 << 18,
  IORING_SETUP_SQE_MIXED: 1 << 19,
};

/** What `rl_ring_open` reports, in its order. */
const enum RingMap {
  Handle,
  SqHead,
  SqTail,
  SqFlags,
  SqDropped,
  Sqes,
  CqHead,
  CqTail,
  CqOverflow,
  Cqes,
  CqFlags,
  SqArray,
  Fd,
  SqEntries,
  CqEntries,
  Features,
  Flags,
  Count,
}

export class Ring {
  readonly fd: number;
  /** IORING_FEAT_*. */
  readonly features: number;
  /** IORING_SETUP_* as the kernel took them. */
  readonly flags: number;
  readonly sqEntries: number;
  readonly cqEntries: number;
  readonly sqpoll: boolean;
  /** System calls made by `enter`, for measurements. */
  enters = 0;

  private readonly native: Native;
  private readonly handle: number;
  private readonly buffers: ArrayBuffer[] = [];
  private readonly sqHead: Uint32Array;
  private readonly sqTail: Uint32Array;
  private readonly sqFlags: Uint32Array;
  private readonly sqDropped: Uint32Array;
  private readonly cqHead: Uint32Array;
  private readonly cqTail: Uint32Array;
  private readonly cqOverflow: Uint32Array;
  private readonly cqFlags: Uint32Array;
  private readonly cqeWords: Int32Array;
  private readonly sqes: Sqe[] = [];
  private readonly cqes: Cqe[] = [];
  private readonly sqMask: number;
  private readonly cqMask: number;
  /** What `getSqe` has handed out, what the kernel was told of, and what it was last seen to have taken. */
  private localTail = 0;
  private publishedTail = 0;
  private seenHead = 0;
  private localCqHead = 0;
  private enterFd: number;
  private enterFlags = 0;
  private closed = false;

  /** io_uring_queue_init_params(3): `entries` is rounded up to a power of two, at most 32768. Throws SystemError. */
  static queueInit(entries: number, params: RingParams | number = 0): Ring {
    if (!Number.isInteger(entries) || entries < 1 || entries > 32768)
      throw new TypeError(`entries must be an integer from 1 to 32768, not ${String(entries)}`);
    const all = typeof params === "number" ? { flags: params } : params;
    const unserved = Object.entries(layoutFlags).find(([, bit]) => ((all.flags ?? 0) & bit) !== 0);
    if (unserved) throw new TypeError(`flags must not have ${unserved[0]}, which changes the layout of the ring`);
    return new Ring(entries, all);
  }

  private constructor(entries: number, params: RingParams) {
    this.native = native();
    const flags = (params.flags ?? 0) | (params.cqEntries === undefined ? 0 : IORING_SETUP_CQSIZE);
    const input = Uint32Array.of(
      entries,
      flags,
      params.cqEntries ?? 0,
      params.sqThreadIdleMs ?? 0,
      params.sqThreadCpu ?? 0,
      params.attachFd ?? 0,
    );
    const map = new Float64Array(RingMap.Count);
    check(this.native.rl_ring_open(pointerTo(input), pointerTo(map)), "io_uring_setup");
    this.handle = map[RingMap.Handle]!;
    this.fd = this.enterFd = map[RingMap.Fd]!;
    this.sqEntries = map[RingMap.SqEntries]!;
    this.cqEntries = map[RingMap.CqEntries]!;
    this.features = map[RingMap.Features]! >>> 0;
    this.flags = map[RingMap.Flags]! >>> 0;
    this.sqpoll = (this.flags & IORING_SETUP_SQPOLL) !== 0;
    this.sqMask = this.sqEntries - 1;
    this.cqMask = this.cqEntries - 1;

    const view = (field: RingMap, bytes: number): ArrayBuffer => {
      const buffer = viewMemory(map[field]!, bytes);
      this.buffers.push(buffer);
      return buffer;
    };
    const word = (field: RingMap): Uint32Array => new Uint32Array(view(field, 4));
    this.sqHead = word(RingMap.SqHead);
    this.sqTail = word(RingMap.SqTail);
    this.sqFlags = word(RingMap.SqFlags);
    this.sqDropped = word(RingMap.SqDropped);
    this.cqHead = word(RingMap.CqHead);
    this.cqTail = word(RingMap.CqTail);
    this.cqOverflow = word(RingMap.CqOverflow);
    this.cqFlags = word(RingMap.CqFlags);
    this.cqeWords = new Int32Array(view(RingMap.Cqes, this.cqEntries * CQE_BYTES));
    const sqeWords = new Uint32Array(view(RingMap.Sqes, this.sqEntries * SQE_BYTES));
    for (let i = 0; i < this.sqEntries; i++) this.sqes.push(new Sqe(sqeWords, i));
    // Entries are submitted in the order they are written: the indirection of the SQ array stays the identity for good.
    const array = new Uint32Array(view(RingMap.SqArray, this.sqEntries * 4));
    for (let i = 0; i < array.length; i++) array[i] = i;
  }

  /** Enters by a registered descriptor from now on, on this thread (Linux 5.18). Returns whether the kernel took it. */
  registerRingFd(): boolean {
    this.requireOpen("io_uring_register");
    const index = this.native.rl_ring_register_fd(asPointer(this.handle));
    if (index < 0) return false;
    this.enterFd = index;
    this.enterFlags = IORING_ENTER_REGISTERED_RING;
    return true;
  }

  /** io_uring_register_eventfd(3). */
  registerEventfd(fd: number): void {
    this.register(IORING_REGISTER_EVENTFD, Int32Array.of(fd), 1);
  }

  /** While off, completions do not signal the registered eventfd. */
  setEventfdEnabled(enabled: boolean): void {
    Atomics.store(this.cqFlags, 0, enabled ? 0 : IORING_CQ_EVENTFD_DISABLED);
  }

  /** io_uring_register(2) with an argument in JavaScript's own memory, which the kernel reads before the call returns. */
  register(opcode: number, argument: NodeJS.TypedArray, count: number): number {
    this.requireOpen("io_uring_register");
    return check(this.native.rl_register(this.fd, opcode, pointerTo(argument), count), "io_uring_register");
  }

  // ---- submission ----------------------------------------------------------------------------------------------

  /** The next free entry, or null when the queue is full: submit, then ask again. */
  getSqe(): Sqe | null {
    const tail = this.localTail;
    if ((tail - this.seenHead) >>> 0 >= this.sqEntries) {
      this.requireOpen("io_uring_get_sqe");
      this.seenHead = Atomics.load(this.sqHead, 0);
      if ((tail - this.seenHead) >>> 0 >= this.sqEntries) return null;
    }
    this.localTail = (tail + 1) >>> 0;
    return this.sqes[tail & this.sqMask]!;
  }

  /** Entries that were written and that the kernel has not been told of. */
  get unpublished(): number {
    return (this.localTail - this.publishedTail) >>> 0;
  }

  /** Entries that the kernel has not taken yet, io_uring_sq_ready(3). */
  get sqReady(): number {
    return (this.localTail - Atomics.load(this.sqHead, 0)) >>> 0;
  }

  /** Entries that the kernel dropped because they were invalid. */
  get dropped(): number {
    return Atomics.load(this.sqDropped, 0);
  }

  /** Makes everything written since the last call visible to the kernel; an SQPOLL thread needs nothing more while it is awake. */
  publish(): void {
    if (this.publishedTail === this.localTail) return;
    this.publishedTail = this.localTail;
    // A full barrier, not just a release: needsWakeup() reads the flags right after this, and the SQ thread re-reads the tail
    // right after it raises NEED_WAKEUP. One of the two must see the other, or a submission sleeps until the next one.
    Atomics.store(this.sqTail, 0, this.localTail);
  }

  /** Whether the SQPOLL thread sleeps. Ask after `publish()`. */
  get needsWakeup(): boolean {
    return (Atomics.load(this.sqFlags, 0) & IORING_SQ_NEED_WAKEUP) !== 0;
  }

  /** IORING_SQ_*: work that waits for this thread to enter the kernel. */
  get kernelFlags(): number {
    return Atomics.load(this.sqFlags, 0);
  }

  /**
   * One io_uring_enter(2). `timeoutUs` limits a wait (IORING_ENTER_GETEVENTS with `minComplete`); -1 is no limit.
   * Returns what the kernel took, or -errno: -ETIME, -EINTR and -EBUSY are for the caller to judge.
   */
  enter(toSubmit: number, minComplete: number, flags: number, timeoutUs = -1): number {
    this.enters++;
    return this.native.rl_enter(this.enterFd, toSubmit, minComplete, flags | this.enterFlags, timeoutUs);
  }

  /** io_uring_submit(3). Returns how many entries were submitted. Throws SystemError. */
  submit(): number {
    return this.submitAndWait(0);
  }

  /** io_uring_submit_and_wait(3): blocks the thread until `minComplete` completions are there. Throws SystemError. */
  submitAndWait(minComplete: number): number {
    const count = this.sqpoll ? this.unpublished : this.sqReady;
    this.publish();
    let flags = minComplete > 0 || this.kernelFlags !== 0 ? IORING_ENTER_GETEVENTS : 0;
    if (this.sqpoll) {
      if (this.needsWakeup) flags |= IORING_ENTER_SQ_WAKEUP;
      if (flags === 0) return count;
    } else if (count === 0 && flags === 0) return 0;
    const taken = check(this.enter(this.sqpoll ? 0 : count, minComplete, flags), "io_uring_enter");
    return this.sqpoll ? count : taken;
  }

  /** Blocks until the SQPOLL thread has made room in a full queue. */
  waitForSqSpace(): void {
    this.publish();
    const flags = IORING_ENTER_SQ_WAIT | (this.needsWakeup ? IORING_ENTER_SQ_WAKEUP : 0);
    const result = this.enter(0, 0, flags);
    if (result < 0 && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
  }

  // ---- completion ----------------------------------------------------------------------------------------------

  /** Completions that wait to be read, io_uring_cq_ready(3). */
  get cqReady(): number {
    return (Atomics.load(this.cqTail, 0) - this.localCqHead) >>> 0;
  }

  /** Completions that found the queue full. The kernel keeps them (IORING_FEAT_NODROP) until an enter flushes them. */
  get overflow(): number {
    return Atomics.load(this.cqOverflow, 0);
  }

  get hasOverflowed(): boolean {
    return (Atomics.load(this.sqFlags, 0) & IORING_SQ_CQ_OVERFLOW) !== 0;
  }

  /** The oldest completion, or null. It stays in the queue until `cqeSeen`. */
  peekCqe(): Cqe | null {
    if (this.cqReady === 0 && this.kernelFlags !== 0) this.flushCompletions();
    return this.cqReady === 0 ? null : this.cqeAt(this.localCqHead);
  }

  private cqeAt(position: number): Cqe {
    const index = position & this.cqMask;
    return (this.cqes[index] ??= new Cqe(this.cqeWords, index));
  }

  /** Blocks the thread until there is a completion; with `timeoutUs` null after that time. Throws SystemError. */
  waitCqe(timeoutUs = -1): Cqe | null {
    for (;;) {
      const cqe = this.peekCqe();
      if (cqe) return cqe;
      const result = this.enter(0, 1, IORING_ENTER_GETEVENTS, timeoutUs);
      if (result === -ETIME) return this.peekCqe();
      if (result < 0 && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
    }
  }

  /** Calls `visit` with each waiting completion, oldest first. Returns how many there were, for `cqAdvance`. */
  forEachCqe(visit: (cqe: Cqe) => void): number {
    const ready = this.cqReady;
    const head = this.localCqHead;
    for (let i = 0; i < ready; i++) visit(this.cqeAt(head + i));
    return ready;
  }

  /** Gives the oldest completion's entry back. */
  cqeSeen(): void {
    this.cqAdvance(1);
  }

  /** Gives the `count` oldest entries back. */
  cqAdvance(count: number): void {
    if (!Number.isInteger(count) || count < 0 || count > this.cqReady)
      throw new RangeError(`count must be from 0 to ${this.cqReady}, the completions that wait, not ${count}`);
    this.localCqHead = (this.localCqHead + count) >>> 0;
    Atomics.store(this.cqHead, 0, this.localCqHead);
  }

  /** Copies waiting completions into `into`, four words each (user data low and high, res, flags), and gives their entries back. */
  reap(into: Int32Array): number {
    const head = this.localCqHead;
    const count = Math.min((Atomics.load(this.cqTail, 0) - head) >>> 0, into.length >>> 2);
    if (count === 0) return 0;
    const words = this.cqeWords;
    const mask = this.cqMask;
    for (let i = 0, to = 0; i < count; i++, to += 4) {
      const from = ((head + i) & mask) * 4;
      into[to] = words[from]!;
      into[to + 1] = words[from + 1]!;
      into[to + 2] = words[from + 2]!;
      into[to + 3] = words[from + 3]!;
    }
    this.localCqHead = (head + count) >>> 0;
    Atomics.store(this.cqHead, 0, this.localCqHead);
    return count;
  }

  /** Enters without waiting: runs task work that is due (DEFER_TASKRUN) and flushes overflowed completions. */
  flushCompletions(): void {
    const result = this.enter(0, 0, IORING_ENTER_GETEVENTS);
    if (result < 0 && result !== -EINTR && result !== -EBUSY && result !== -EAGAIN)
      throw new SystemError(-result, "io_uring_enter");
  }

  /** io_uring_queue_exit(3). The kernel ends what is in flight on its own time: drain first where memory must be reused. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const buffer of this.buffers) detach(buffer);
    this.enterFd = -1; // The number may be another ring's already.
    this.enterFlags = 0;
    this.seenHead = (this.localTail - this.sqEntries) >>> 0; // getSqe() finds the queue full, and says why.
    this.native.rl_ring_close(asPointer(this.handle));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private requireOpen(syscall: string): void {
    if (this.closed) throw new SystemError(EBADF, syscall);
  }
}
