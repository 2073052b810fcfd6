/**
 * Submission and completion queues of one io_uring instance, as the kernel maps them, under liburing's names.
 *
 * Guarantees: entries reach the kernel in the order of `getSqe()`; no completion is handed out twice; the ring's memory is
 * detached before it is unmapped, so that late use throws. Leaves to others: what an operation means (reactor/), who owns the
 * memory it points at (arena.ts, buffer-ring.ts).
 */
import {
  IORING_CQ_EVENTFD_DISABLED,
  IORING_ENTER_GETEVENTS,
  IORING_ENTER_REGISTERED_RING,
  IORING_ENTER_SQ_WAIT,
  IORING_ENTER_SQ_WAKEUP,
  IORING_REGISTER_RESIZE_RINGS,
  IORING_REGISTER_USE_REGISTERED_RING,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_REGISTERED_FD_ONLY,
  IORING_SETUP_SQPOLL,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_NEED_WAKEUP,
  IORING_UNREGISTER_RING_FDS,
} from "../sys/abi.ts";
import { invalidType, invalidValue, outOfRange } from "../sys/argument-errors.ts";
import { check, EAGAIN, EBADF, EBUSY, EINTR, EINVAL, ETIME, SystemError } from "../sys/errno.ts";
import { type Native, native, pointerTo } from "../sys/library.ts";
import { asPointer, detach, type Mapping } from "../sys/memory.ts";
import { owned } from "../sys/owned.ts";
import { BufRing } from "./buf-ring.ts";
import { Cqe } from "./cqe.ts";
import { Registrations } from "./registration.ts";
import { requireInteger, U32_MAX } from "./require-integer.ts";
import { openMappedRing, type RingParams } from "./ring-map.ts";
import { Sqe } from "./sqe.ts";

export type { RingParams } from "./ring-map.ts";

/** The longest limit of a wait, about 35 minutes: rl_enter takes a signed 32-bit number. */
const TIMEOUT_US_MAX = 0x7fffffff;

/** IORING_REGISTER_USE_REGISTERED_RING is not the caller's to set: `fd` would be taken for an index. */
const REGISTER_OPCODE_MAX = 0x7fffffff;

/** What would leave this object with queues or a descriptor that are not the ring's any more: it would wait for ever. */
const ringsOwn = new Map([
  [IORING_REGISTER_RESIZE_RINGS, "IORING_REGISTER_RESIZE_RINGS: set up a ring with as many entries as it needs"],
  [IORING_UNREGISTER_RING_FDS, "IORING_UNREGISTER_RING_FDS: call unregisterRingFd()"],
]);

export class Ring extends Registrations {
  /** -1 with IORING_SETUP_REGISTERED_FD_ONLY. */
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
  /** @internal Of the C part. */
  readonly handle: number;
  private readonly buffers: ArrayBuffer[];
  private readonly memory: Mapping[];
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
  private readonly cqeShift: 0 | 1;
  /** What `getSqe` has handed out, what the kernel was told of, and what it was last seen to have taken. */
  private localTail = 0;
  private publishedTail = 0;
  private seenHead = 0;
  private localCqHead = 0;
  private enterFd: number;
  private enterFlags = 0;
  private closed = false;

  /**
   * io_uring_queue_init_params(3), or io_uring_queue_init(3) where `params` is a number, IORING_SETUP_* flags. `entries` is rounded up to a
   * power of two, at most 32768 (with IORING_SETUP_CLAMP more are asked for and cut). Throws SystemError.
   */
  static queueInit(entries: number, params: RingParams | number = 0): Ring {
    if (typeof params === "number") return new Ring(entries, { flags: params });
    if (typeof params === "object" && params !== null) return new Ring(entries, params);
    throw invalidType("params", "an object, or flags as a number", params);
  }

  private constructor(entries: number, params: RingParams) {
    super();
    this.native = native();
    const map = openMappedRing(entries, params);
    owned().addRing(map.handle);
    ({ handle: this.handle, buffers: this.buffers, memory: this.memory } = map);
    ({ features: this.features, flags: this.flags, sqEntries: this.sqEntries, cqEntries: this.cqEntries } = map);
    ({ sqHead: this.sqHead, sqTail: this.sqTail, sqFlags: this.sqFlags, sqDropped: this.sqDropped } = map);
    ({ cqHead: this.cqHead, cqTail: this.cqTail, cqOverflow: this.cqOverflow, cqFlags: this.cqFlags } = map);
    ({ cqeWords: this.cqeWords, cqeShift: this.cqeShift } = map);
    this.enterFd = map.fd;
    this.fd = map.fd;
    if ((this.flags & IORING_SETUP_REGISTERED_FD_ONLY) !== 0) {
      this.fd = -1;
      this.enterFlags = IORING_ENTER_REGISTERED_RING;
    }
    this.sqpoll = (this.flags & IORING_SETUP_SQPOLL) !== 0;
    this.sqMask = this.sqEntries - 1;
    this.cqMask = this.cqEntries - 1;
    for (let i = 0; i < this.sqEntries; i++)
      this.sqes.push(new Sqe(map.sqeWords, i << map.sqeShift, map.sqeShift === 1));
  }

  /**
   * io_uring_register_ring_fd(3): enters by a registered descriptor from now on, on this thread (Linux 5.18). Returns whether the kernel took
   * it.
   */
  registerRingFd(): boolean {
    this.requireOpen("io_uring_register");
    if (this.fd < 0) return true;
    const index = this.native.rl_ring_register_fd(asPointer(this.handle));
    if (index < 0) return false;
    this.enterFd = index;
    this.enterFlags = IORING_ENTER_REGISTERED_RING;
    return true;
  }

  /** io_uring_unregister_ring_fd(3), on the thread that registered it. Throws SystemError. */
  unregisterRingFd(): void {
    this.requireOpen("io_uring_register");
    if (this.fd < 0 || this.enterFlags === 0) throw new SystemError(EINVAL, "io_uring_register");
    check(this.native.rl_ring_unregister_fd(asPointer(this.handle)), "io_uring_register");
    this.enterFd = this.fd;
    this.enterFlags = 0;
  }

  /** io_uring_cq_eventfd_enabled. */
  get cqEventfdEnabled(): boolean {
    return (Atomics.load(this.cqFlags, 0) & IORING_CQ_EVENTFD_DISABLED) === 0;
  }

  /** io_uring_cq_eventfd_toggle: while off, completions do not signal the registered eventfd. */
  cqEventfdToggle(enabled: boolean): void {
    Atomics.store(this.cqFlags, 0, enabled ? 0 : IORING_CQ_EVENTFD_DISABLED);
  }

  register(opcode: number, argument: NodeJS.TypedArray | null, count: number): number {
    requireInteger("opcode", opcode, 0, REGISTER_OPCODE_MAX);
    requireInteger("count", count, 0, U32_MAX);
    if (!(argument === null || (ArrayBuffer.isView(argument) && argument.byteLength > 0)))
      throw invalidType("argument", "a typed array that is not empty, or null", argument);
    const kept = ringsOwn.get(opcode);
    if (kept !== undefined)
      throw invalidValue("opcode", `none that changes the ring behind its own back (${kept})`, opcode);
    this.requireOpen("io_uring_register");
    const pointer = argument && pointerTo(argument);
    const result =
      this.fd >= 0
        ? this.native.rl_register(this.fd, opcode, pointer, count)
        : this.native.rl_register(this.enterFd, (opcode | IORING_REGISTER_USE_REGISTERED_RING) >>> 0, pointer, count);
    return check(result, "io_uring_register");
  }

  /** io_uring_setup_buf_ring: `entries`, a power of two up to 32768, in group `bgid`. `flags`: IOU_PBUF_RING_INC. Linux 5.19. */
  setupBufRing(entries: number, bgid: number, flags = 0): BufRing {
    return new BufRing(this, entries, bgid, flags);
  }

  // ---- submission ----------------------------------------------------------------------------------------------

  /**
   * io_uring_get_sqe(3): the next free entry, or null when the queue is full: submit, then ask again. It does nothing until it is prepared,
   * also when its preparation throws: then it is submitted as a NOP without a completion.
   */
  getSqe(): Sqe | null {
    const tail = this.localTail;
    if ((tail - this.seenHead) >>> 0 >= this.sqEntries) {
      this.requireOpen("io_uring_get_sqe");
      this.seenHead = Atomics.load(this.sqHead, 0);
      if ((tail - this.seenHead) >>> 0 >= this.sqEntries) return null;
    }
    this.localTail = (tail + 1) >>> 0;
    const sqe = this.sqes[tail & this.sqMask]!;
    sqe.disarm();
    return sqe;
  }

  /** Entries that were written and that the kernel has not been told of. */
  get unpublished(): number {
    return (this.localTail - this.publishedTail) >>> 0;
  }

  /** Entries that the kernel has not taken yet, io_uring_sq_ready(3). */
  get sqReady(): number {
    return (this.localTail - Atomics.load(this.sqHead, 0)) >>> 0;
  }

  /** io_uring_sq_space_left(3). */
  get sqSpaceLeft(): number {
    return this.sqEntries - this.sqReady;
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
    if (toSubmit >>> 0 !== toSubmit || minComplete >>> 0 !== minComplete || (timeoutUs | 0) !== timeoutUs) {
      requireInteger("toSubmit", toSubmit, 0, U32_MAX);
      requireInteger("minComplete", minComplete, 0, U32_MAX);
      requireInteger("timeoutUs", timeoutUs, -1, TIMEOUT_US_MAX);
    }
    this.enters++;
    return this.native.rl_enter(this.enterFd, toSubmit, minComplete, flags | this.enterFlags, timeoutUs);
  }

  /** io_uring_submit(3). Returns how many entries were submitted. Throws SystemError. */
  submit(): number {
    return check(this.submitAnd(0, 0), "io_uring_enter");
  }

  /** io_uring_submit_and_wait(3): blocks the thread until `minComplete` completions are there. Throws SystemError. */
  submitAndWait(minComplete: number): number {
    requireInteger("minComplete", minComplete, 0, this.cqEntries);
    return check(this.submitAnd(minComplete, 0), "io_uring_enter");
  }

  /**
   * io_uring_submit_and_wait_timeout(3): for at most `timeoutUs` microseconds. Returns the oldest completion, or null where there is none by
   * then. There is no signal mask: Bun handles signals.
   */
  submitAndWaitTimeout(minComplete: number, timeoutUs: number): Cqe | null {
    requireInteger("minComplete", minComplete, 0, this.cqEntries);
    requireInteger("timeoutUs", timeoutUs, 0, TIMEOUT_US_MAX);
    const result = this.submitAnd(minComplete, IORING_ENTER_GETEVENTS, timeoutUs);
    if (result < 0 && result !== -ETIME && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
    return this.peekCqe();
  }

  /** io_uring_submit_and_get_events(3): submits, and runs task work that is due, without waiting. Returns how many were submitted. */
  submitAndGetEvents(): number {
    return check(this.submitAnd(0, IORING_ENTER_GETEVENTS), "io_uring_enter");
  }

  private submitAnd(minComplete: number, enterFlags: number, timeoutUs = -1): number {
    const count = this.sqpoll ? this.unpublished : this.sqReady;
    this.publish();
    let flags = minComplete > 0 || this.needsEnter ? IORING_ENTER_GETEVENTS : enterFlags;
    if (this.sqpoll) {
      if (this.needsWakeup) flags |= IORING_ENTER_SQ_WAKEUP;
      if (flags === 0) return count;
    } else if (count === 0 && flags === 0) return 0;
    const taken = this.enter(this.sqpoll ? 0 : count, minComplete, flags, timeoutUs);
    return this.sqpoll && taken >= 0 ? count : taken;
  }

  /** io_uring_sqring_wait(3): blocks until the SQPOLL thread has made room in a full queue. */
  sqringWait(): void {
    this.requireOpen("io_uring_enter");
    if (!this.sqpoll) return;
    // A signal, or task work of another ring, ends the kernel's wait early, and not with EINTR.
    while (this.sqSpaceLeft === 0) {
      this.publish();
      const flags = IORING_ENTER_SQ_WAIT | (this.needsWakeup ? IORING_ENTER_SQ_WAKEUP : 0);
      const result = this.enter(0, 0, flags);
      if (result < 0 && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
    }
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

  /** io_uring_cq_has_overflow(3): whether such completions wait for that. */
  get cqHasOverflow(): boolean {
    return (Atomics.load(this.sqFlags, 0) & IORING_SQ_CQ_OVERFLOW) !== 0;
  }

  /** Whether completions may be had by entering the kernel, without waiting. */
  private get needsEnter(): boolean {
    return this.kernelFlags !== 0 || (this.flags & IORING_SETUP_IOPOLL) !== 0;
  }

  /** io_uring_peek_cqe(3): the oldest completion, or null. It stays in the queue until `cqeSeen`. */
  peekCqe(): Cqe | null {
    if (this.cqReady === 0 && this.needsEnter) this.getEvents();
    return this.cqReady === 0 ? null : this.cqeAt(this.localCqHead);
  }

  /** io_uring_peek_batch_cqe: up to `count` completions, oldest first. They stay in the queue until `cqAdvance`. */
  peekBatchCqe(count: number): Cqe[] {
    requireInteger("count", count, 0, this.cqEntries);
    if (this.cqReady === 0 && this.needsEnter) this.getEvents();
    return Array.from({ length: Math.min(count, this.cqReady) }, (_, i) => this.cqeAt(this.localCqHead + i));
  }

  private cqeAt(position: number): Cqe {
    const index = position & this.cqMask;
    return (this.cqes[index] ??= new Cqe(this.cqeWords, index << this.cqeShift, this.cqeShift === 1));
  }

  /**
   * io_uring_wait_cqe(3), or io_uring_wait_cqe_timeout(3): blocks the thread until there is a completion; with `timeoutUs` null after that time.
   * Submits nothing. Throws SystemError.
   */
  waitCqe(timeoutUs = -1): Cqe | null {
    return this.waitCqes(1, timeoutUs);
  }

  /** io_uring_wait_cqe_timeout(3). */
  waitCqeTimeout(timeoutUs: number): Cqe | null {
    requireInteger("timeoutUs", timeoutUs, 0, TIMEOUT_US_MAX);
    return this.waitCqes(1, timeoutUs);
  }

  /** io_uring_wait_cqe_nr(3): blocks until `count` completions are there, and returns the oldest. */
  waitCqeNr(count: number): Cqe | null {
    return this.waitCqes(count);
  }

  /** io_uring_wait_cqes(3): the same for at most `timeoutUs` microseconds; then null, unless a completion is there. */
  waitCqes(count: number, timeoutUs = -1): Cqe | null {
    requireInteger("count", count, 0, this.cqEntries);
    requireInteger("timeoutUs", timeoutUs, -1, TIMEOUT_US_MAX);
    for (;;) {
      const cqe = this.peekCqe();
      // Not by cqReady alone: a completion may have come since the peek.
      if (count === 0 || (cqe !== null && this.cqReady >= count)) return cqe;
      const result = this.enter(0, count, IORING_ENTER_GETEVENTS, timeoutUs);
      // When time is up and some completions are there, though not all, the kernel's answer is 0.
      if (result === -ETIME || (result >= 0 && timeoutUs >= 0 && this.cqReady > 0)) return this.peekCqe();
      if (result < 0 && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
    }
  }

  /** io_uring_for_each_cqe: calls `visit` with each waiting completion, oldest first. Returns how many there were, for `cqAdvance`. */
  forEachCqe(visit: (cqe: Cqe) => void): number {
    const ready = this.cqReady;
    const head = this.localCqHead;
    for (let i = 0; i < ready; i++) visit(this.cqeAt(head + i));
    return ready;
  }

  /** io_uring_cqe_seen(3): gives the oldest completion's entry back. */
  cqeSeen(): void {
    this.cqAdvance(1);
  }

  /** io_uring_cq_advance(3): gives the `count` oldest entries back. */
  cqAdvance(count: number): void {
    if (!Number.isInteger(count) || count < 0 || count > this.cqReady)
      throw outOfRange("count", `from 0 to ${this.cqReady}, the completions that wait`, count);
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
    const shift = 2 + this.cqeShift;
    for (let i = 0, to = 0; i < count; i++, to += 4) {
      const from = ((head + i) & mask) << shift;
      into[to] = words[from]!;
      into[to + 1] = words[from + 1]!;
      into[to + 2] = words[from + 2]!;
      into[to + 3] = words[from + 3]!;
    }
    this.localCqHead = (head + count) >>> 0;
    Atomics.store(this.cqHead, 0, this.localCqHead);
    return count;
  }

  /** io_uring_get_events(3): enters without waiting, runs task work that is due (DEFER_TASKRUN) and flushes overflowed completions. */
  getEvents(): void {
    const result = this.enter(0, 0, IORING_ENTER_GETEVENTS);
    if (result < 0 && result !== -EINTR && result !== -EBUSY && result !== -EAGAIN)
      throw new SystemError(-result, "io_uring_enter");
  }

  /** io_uring_queue_exit(3). The kernel ends what is in flight on its own time: drain first where memory must be reused. */
  queueExit(): void {
    this.close();
  }

  /** The same as `queueExit`, which is liburing's name. May be called again. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const buffer of this.buffers) detach(buffer);
    if (this.fd >= 0 && this.enterFlags !== 0) this.native.rl_ring_unregister_fd(asPointer(this.handle));
    this.enterFd = -1; // The number may be another ring's already.
    this.enterFlags = 0;
    this.seenHead = (this.localTail - this.sqEntries) >>> 0; // getSqe() finds the queue full, and says why.
    owned().deleteRing(this.handle);
    this.native.rl_ring_close(asPointer(this.handle));
    for (const mapping of this.memory) mapping.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private requireOpen(syscall: string): void {
    if (this.closed) throw new SystemError(EBADF, syscall);
  }
}
