/**
 * Submission and completion queues of one io_uring instance, as the kernel maps them. Entries are
 * written and read in place. Only `enter`, and functions that must look for completions, enter the
 * kernel.
 *
 * Guarantees: entries reach the kernel in the order of `getSqe()`. No completion is handed out
 * twice. Leaves to others: submitting and waiting (ring-waits.ts), setting up and closing
 * (ring.ts).
 */
import {
  IORING_ENTER_GETEVENTS,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_SQPOLL,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_NEED_WAKEUP,
} from "../sys/abi.ts";
import { invalidType, outOfRange, requireFunction, requireInteger, U32_MAX } from "../sys/check.ts";
import { EAGAIN, EBUSY, EINTR, SystemError } from "../sys/errno.ts";
import { type Native, native } from "../sys/library.ts";
import { Cqe } from "./cqe.ts";
import { WaitRegistrations } from "./registration-waits.ts";
import type { MappedRing } from "./ring-map.ts";
import { Sqe } from "./sqe.ts";

/**
 * The longest time limit of a wait, about 35 minutes. rl_enter has a signed 32-bit argument for it.
 */
export const TIMEOUT_US_MAX = 0x7fffffff;

export abstract class RingQueues extends WaitRegistrations {
  /** IORING_FEAT_*. */
  readonly features: number;
  /** IORING_SETUP_* flags of the ring, as the kernel has accepted them. */
  readonly flags: number;
  readonly sqpoll: boolean;
  /** Number of system calls by `enter`, for measurements. */
  enters = 0;

  protected readonly native: Native;
  protected buffers!: ArrayBuffer[];
  private sqHead!: Uint32Array;
  private sqTail!: Uint32Array;
  private sqFlags!: Uint32Array;
  private sqDropped!: Uint32Array;
  private cqHead!: Uint32Array;
  private cqTail!: Uint32Array;
  private cqOverflow!: Uint32Array;
  protected cqFlags!: Uint32Array;
  private cqeWords!: Int32Array;
  private sqes: Sqe[] = [];
  private cqes: Cqe[] = [];
  private sqMask = 0;
  private cqMask = 0;
  private cqeShift: 0 | 1 = 0;
  /**
   * Positions in the submission queue. `localTail` is after the entries that `getSqe` has handed
   * out. `publishedTail` is after the entries that the kernel can see. `seenHead` is the kernel's
   * head at its last read.
   */
  private localTail = 0;
  private publishedTail = 0;
  private seenHead = 0;
  private localCqHead = 0;
  /**
   * First argument of io_uring_enter(2): a descriptor, or the index of a registered one. In the
   * second case, `enterFlags` has IORING_ENTER_REGISTERED_RING.
   */
  protected enterFd: number;
  protected enterFlags = 0;
  protected closed = false;

  protected constructor(map: MappedRing) {
    super();
    this.native = native();
    this.features = map.features;
    this.flags = map.flags;
    this.sqpoll = (map.flags & IORING_SETUP_SQPOLL) !== 0;
    this.enterFd = map.fd;
    this.adopt(map);
  }

  /** Makes this object read and write the given queues. */
  protected adopt(map: MappedRing): void {
    this.buffers = map.buffers;
    ({ sqHead: this.sqHead, sqTail: this.sqTail, sqFlags: this.sqFlags, sqDropped: this.sqDropped } = map);
    ({ cqHead: this.cqHead, cqTail: this.cqTail, cqOverflow: this.cqOverflow, cqFlags: this.cqFlags } = map);
    ({ cqeWords: this.cqeWords, cqeShift: this.cqeShift } = map);
    const isBig = map.sqeShift === 1;
    const sqEntries = (map.sqeWords.length >> 4) >> map.sqeShift;
    this.sqMask = sqEntries - 1;
    this.cqMask = ((map.cqeWords.length >> 2) >> map.cqeShift) - 1;
    this.sqes = Array.from({ length: sqEntries }, (_, i) => new Sqe(map.sqeWords, i << map.sqeShift, isBig));
    this.cqes = [];
  }

  get sqEntries(): number {
    return this.sqMask + 1;
  }

  get cqEntries(): number {
    return this.cqMask + 1;
  }

  // ---- submission ----

  /**
   * io_uring_get_sqe(3). Returns the next free entry, or null when the queue is full; then submit
   * and ask again. An entry without a preparation does nothing: the kernel gets a NOP without a
   * completion. The same applies if the preparation throws.
   */
  getSqe(): Sqe | null {
    const tail = this.localTail;
    if ((tail - this.seenHead) >>> 0 > this.sqMask) {
      this.seenHead = Atomics.load(this.sqHead, 0);
      if ((tail - this.seenHead) >>> 0 > this.sqMask) return null;
    }
    this.localTail = (tail + 1) >>> 0;
    const sqe = this.sqes[tail & this.sqMask]!;
    sqe.disarm();
    return sqe;
  }

  /** Number of written entries that the kernel cannot see yet. */
  get unpublished(): number {
    return (this.localTail - this.publishedTail) >>> 0;
  }

  /** Number of entries that the kernel has not consumed yet, io_uring_sq_ready(3). */
  get sqReady(): number {
    return (this.localTail - Atomics.load(this.sqHead, 0)) >>> 0;
  }

  /** io_uring_sq_space_left(3). */
  get sqSpaceLeft(): number {
    return this.sqEntries - this.sqReady;
  }

  /** Number of entries that the kernel dropped because they were invalid. */
  get dropped(): number {
    return Atomics.load(this.sqDropped, 0);
  }

  /**
   * Makes all entries since the last call visible to the kernel. An SQPOLL thread that is awake
   * needs nothing more.
   */
  publish(): void {
    if (this.publishedTail === this.localTail) return;
    this.publishedTail = this.localTail;
    // This is a full barrier, not just a release. needsWakeup() reads the flags right after this
    // store, and the SQ thread reads the tail again right after it raises NEED_WAKEUP. One of the
    // two must see the other's write. Otherwise, a submission would wait until the next one.
    Atomics.store(this.sqTail, 0, this.localTail);
  }

  /** Whether the SQPOLL thread sleeps. Read it after `publish()`. */
  get needsWakeup(): boolean {
    return (Atomics.load(this.sqFlags, 0) & IORING_SQ_NEED_WAKEUP) !== 0;
  }

  /** IORING_SQ_* flags: work that waits until this thread enters the kernel. */
  get kernelFlags(): number {
    return Atomics.load(this.sqFlags, 0);
  }

  /**
   * Makes one call of io_uring_enter(2). `timeoutUs` limits a wait (IORING_ENTER_GETEVENTS with
   * `minComplete`) in microseconds; -1 means no limit. Returns the number of entries that the
   * kernel has consumed, or -errno. The caller handles -ETIME, -EINTR and -EBUSY.
   */
  enter(toSubmit: number, minComplete: number, flags: number, timeoutUs = -1): number {
    // Integers come first: the operators throw for a BigInt.
    if (
      !(Number.isInteger(toSubmit) && Number.isInteger(minComplete) && Number.isInteger(timeoutUs)) ||
      !Number.isInteger(flags) ||
      toSubmit >>> 0 !== toSubmit ||
      minComplete >>> 0 !== minComplete ||
      (timeoutUs | 0) !== timeoutUs
    ) {
      requireInteger("toSubmit", toSubmit, 0, U32_MAX);
      requireInteger("minComplete", minComplete, 0, U32_MAX);
      requireInteger("flags", flags, 0, U32_MAX);
      requireInteger("timeoutUs", timeoutUs, -1, TIMEOUT_US_MAX);
    }
    this.enters++;
    return this.native.rl_enter(this.enterFd, toSubmit, minComplete, flags | this.enterFlags, timeoutUs);
  }

  // ---- completion ----

  /** Number of completions that wait to be read, io_uring_cq_ready(3). */
  get cqReady(): number {
    return (Atomics.load(this.cqTail, 0) - this.localCqHead) >>> 0;
  }

  /**
   * Number of completions that found the queue full. The kernel keeps them (IORING_FEAT_NODROP)
   * until an enter flushes them.
   */
  get overflow(): number {
    return Atomics.load(this.cqOverflow, 0);
  }

  /** io_uring_cq_has_overflow(3): whether overflowed completions wait for an enter. */
  get cqHasOverflow(): boolean {
    return (Atomics.load(this.sqFlags, 0) & IORING_SQ_CQ_OVERFLOW) !== 0;
  }

  /** Whether an enter without waiting may produce completions. */
  protected get needsEnter(): boolean {
    return this.kernelFlags !== 0 || (this.flags & IORING_SETUP_IOPOLL) !== 0;
  }

  /**
   * io_uring_peek_cqe(3). Returns the oldest completion, or null. It stays in the queue until
   * `cqeSeen`.
   */
  peekCqe(): Cqe | null {
    if (this.cqReady === 0 && this.needsEnter) this.getEvents();
    return this.cqReady === 0 ? null : this.cqeAt(this.localCqHead);
  }

  /**
   * io_uring_peek_batch_cqe. Returns up to `count` completions, oldest first. They stay in the
   * queue until `cqAdvance`.
   */
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
   * io_uring_for_each_cqe. Calls `visit` with each waiting completion, oldest first. Returns their
   * number, for `cqAdvance`.
   */
  forEachCqe(visit: (cqe: Cqe) => void): number {
    requireFunction("visit", visit);
    const ready = this.cqReady;
    const head = this.localCqHead;
    for (let i = 0; i < ready; i++) visit(this.cqeAt(head + i));
    return ready;
  }

  /** io_uring_cqe_seen(3). Gives the entry of the oldest completion back to the kernel. */
  cqeSeen(): void {
    this.cqAdvance(1);
  }

  /** io_uring_cq_advance(3). Gives the `count` oldest entries back to the kernel. */
  cqAdvance(count: number): void {
    if (!Number.isInteger(count) || count < 0 || count > this.cqReady)
      throw outOfRange("count", `from 0 to ${this.cqReady}, the completions that wait`, count);
    this.localCqHead = (this.localCqHead + count) >>> 0;
    Atomics.store(this.cqHead, 0, this.localCqHead);
  }

  /**
   * Copies waiting completions into `into`, and gives their entries back to the kernel. Each has
   * four words: user data low and high, res, flags. Returns the number of completions.
   */
  reap(into: Int32Array): number {
    if (!(into instanceof Int32Array)) throw invalidType("into", "an Int32Array", into);
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

  /**
   * io_uring_get_events(3). Enters the kernel without waiting. Runs task work that is due
   * (DEFER_TASKRUN), and flushes overflowed completions.
   */
  getEvents(): void {
    const result = this.enter(0, 0, IORING_ENTER_GETEVENTS);
    if (result < 0 && result !== -EINTR && result !== -EBUSY && result !== -EAGAIN)
      throw new SystemError(-result, "io_uring_enter");
  }
}
