/**
 * One ring of a thread: its submission entries, its completions, and the buffers that the kernel
 * receives into.
 *
 * Guarantees: a completion is delivered to the owner of its slot, outside of every async context. A
 * completion of an operation that is not in flight is delivered to nobody. Once the kernel has
 * contradicted itself, the lane reads nothing more from the ring.
 * Leaves to others: when to submit, to wait and to deliver (turn.ts).
 */
import { withCode } from "../sys/check.ts";
import { IORING_CQE_F_MORE, IORING_FEAT_EXT_ARG, IORING_FEAT_FAST_POLL, IORING_FEAT_NODROP } from "../sys/abi.ts";
import { outside } from "../sys/async-context.ts";
import { ENOSYS, SystemError } from "../sys/errno.ts";
import { owned } from "../sys/owned.ts";
import { BufferRing, type BufferRingOptions, RingIntegrityError } from "../ring/buffer-ring.ts";
import { receivesMultishot } from "../ring/features.ts";
import type { Ring } from "../ring/ring.ts";
import type { Sqe } from "../ring/sqe.ts";
import { Batch } from "./batch.ts";
import type { Faults } from "./faults/faults.ts";
import type { Flushable } from "./flush-queue.ts";
import { openRing } from "./mode.ts";
import { MULTISHOT_KIND, type OperationOwner, OpTable } from "./op-table.ts";
import type { LaneOptions } from "./options.ts";
import type { Reactor } from "./reactor.ts";
import { Scratch } from "./scratch.ts";
import { Submission } from "./submission.ts";
import { Traffic } from "./traffic.ts";

const RECEIVE_GROUP = 0;
/** Not the group of datagrams, which is 1. */
const BULK_GROUP = 2;
/** A bulk buffer is as large as so many others. */
const BULK_FACTOR = 4;
/**
 * Bytes of the buffers of a group that circulate at first. They lie in a second-level cache while
 * one sender fills them again and again. An SQ thread fills some while the program reads others.
 */
const CIRCULATING_BYTES = 524288;
const SQPOLL_CIRCULATING_BYTES = 4194304;
/**
 * More buffers circulate when more than this part of them was missing. A few fast senders fill any
 * number of buffers, and gain nothing from more.
 */
const MISSING_PART = 1 / 8;
const BATCH_COMPLETIONS = 2048;

export class Lane {
  readonly reactor: Reactor;
  /**
   * The ring. Only the reactor and the lane submit to it: the completion of an entry without a tag
   * would look like the completion of some owner, or like a lie of the kernel.
   */
  readonly ring: Ring;
  readonly operations = new OpTable();
  /**
   * The thread's list of rings and descriptors that are closed if this thread is a Worker and is
   * terminated.
   */
  readonly owned = owned();
  /** Memory that the kernel receives into. */
  readonly receiveBuffers: BufferRing;
  private bulk: BufferRing | undefined;
  private ownScratch: Scratch | undefined;
  /** Counters for `ReactorStats`. The code that sees an event increments its counter. */
  readonly counters = { overflows: 0, enobufs: 0, rearms: 0, shortSends: 0, staleCompletions: 0 };
  /** Counters for ringloop/metrics. */
  readonly traffic = new Traffic();
  /** Number of entries that were tagged. `cqes`: number of completions that were delivered. */
  sqes = 0;
  cqes = 0;
  /**
   * Number of delivered completions that their owners have only noted: nothing of the program has
   * run. The send of an answer and the nest's operations end so.
   */
  notedCompletions = 0;
  /** True once the kernel has contradicted itself. */
  isBroken = false;
  /** Faults on purpose, for tests: see faults.ts. */
  readonly faults: Faults | undefined;

  private readonly submission: Submission;
  private readonly bufferGroups = new Map<number, BufferRing>();
  private readonly batch: Batch;
  /** Those who wait for a buffer of a group. */
  private readonly starved = new Map<BufferRing, Flushable[]>();

  /** Throws SystemError where io_uring is not available. */
  constructor(reactor: Reactor, options: LaneOptions, faults: Faults | undefined) {
    const { mode, sqEntries, cqEntries, sqThreadIdleMs, restrict, spinUs } = options;
    this.reactor = reactor;
    this.faults = faults;
    this.ring = openRing(mode, sqEntries, { cqEntries, sqThreadIdleMs }, restrict);
    this.submission = new Submission(this.ring, spinUs, faults);
    try {
      requireFeatures(this.ring);
      this.receiveBuffers = this.bufferGroup({
        bgid: RECEIVE_GROUP,
        count: options.receiveBuffersMax,
        bytes: options.receiveBufferBytes,
        initial: this.circulating(options.receiveBufferBytes),
      });
      if (!receivesMultishot(this.ring, RECEIVE_GROUP)) throw new SystemError(ENOSYS, "io_uring_enter");
    } catch (error) {
      this.ring.close();
      throw error;
    }
    this.batch = new Batch(BATCH_COMPLETIONS);
    this.owned.addBatch(this.ring.handle, this.batch.address);
  }

  // ---- entries ----------------------------------------------------------------------------------

  /** Returns the next submission entry. The caller prepares it and then calls `tag`. */
  nextSqe(): Sqe {
    return this.ring.getSqe() ?? this.makeRoom();
  }

  /**
   * Makes room for the next `count` entries in one submission. Linked entries must be submitted
   * together. Throws RangeError if `count` is more than the queue has entries.
   */
  reserve(count: number): void {
    const { ring } = this;
    if (count > ring.sqEntries)
      throw withCode(
        "ERR_OUT_OF_RANGE",
        new RangeError(`a chain takes at most ${ring.sqEntries} entries, timeouts included, not ${count}`),
      );
    while (ring.sqSpaceLeft < count) this.reactor.submit();
  }

  /** Sets the slot and the kind of a prepared entry's completion, and causes a submission. */
  tag(sqe: Sqe, slot: number, kind: number): void {
    sqe.tag(slot, this.operations.begin(slot, kind));
    if (this.faults !== undefined) this.faults.disturb(sqe);
    this.sqes++;
    this.reactor.wake();
  }

  /**
   * Asks the kernel to cancel the operation that was tagged with `slot` and `kind`. The answer is a
   * completion of `slot` and `answerKind`.
   */
  cancel(slot: number, kind: number, answerKind: number): void {
    this.tag(this.nextSqe().prepCancel(slot, this.operations.tagOf(slot, kind)), slot, answerKind);
  }

  /**
   * Whether there are entries that the kernel does not have: not published, or refused (EAGAIN,
   * EBUSY).
   */
  get hasEntries(): boolean {
    return this.ring.unpublished > 0 || (!this.ring.sqpoll && this.ring.sqReady > 0);
  }

  /** Submits, and may wait: see Submission. */
  submit(waitUs: number, limited: boolean): void {
    if (this.ring.cqHasOverflow) this.counters.overflows++;
    this.receiveBuffers.publish();
    this.bulk?.publish();
    this.submission.submit(waitUs, limited);
  }

  /** Submits what is in a full submission queue, and returns the next entry. */
  private makeRoom(): Sqe {
    if (!this.ring.sqpoll) this.reactor.submit();
    return this.ring.getSqe() ?? this.submission.waitForRoom();
  }

  // ---- buffers ----------------------------------------------------------------------------------

  /** Returns the group of provided buffers with the id `bgid`. The first call sets the group up. */
  bufferGroup(options: BufferRingOptions): BufferRing {
    let group = this.bufferGroups.get(options.bgid);
    if (!group) this.bufferGroups.set(options.bgid, (group = new BufferRing(this.ring, options)));
    return group;
  }

  /**
   * Registers empty slots for files without descriptors. This works once for each ring. Throws
   * SystemError: EBUSY if the program has registered files itself.
   */
  registerFileSlots(count: number): void {
    this.ring.registerFilesSparse(count);
  }

  /**
   * Larger buffers for connections that receive much. Such a connection needs fewer receives, and
   * its consumer gets larger pieces. The others would only be further apart in memory.
   */
  get bulkBuffers(): BufferRing {
    return (this.bulk ??= this.makeBulkBuffers());
  }

  /**
   * Returns memory for a receive that is a system call, until its `giveBack`. Returns undefined if it
   * is lent, or if the system has no memory.
   */
  borrowScratch(): Scratch | undefined {
    try {
      this.ownScratch ??= new Scratch();
    } catch {
      return undefined;
    }
    return this.ownScratch.borrow() ? this.ownScratch : undefined;
  }

  /** Returns the number of buffers of this size that circulate at first. */
  private circulating(bytes: number): number {
    const all = this.ring.sqpoll ? SQPOLL_CIRCULATING_BYTES : CIRCULATING_BYTES;
    return Math.max(2, Math.floor(all / bytes));
  }

  /** Number of buffers of both sizes that the kernel can fill. */
  get buffersAvailable(): number {
    const { receiveBuffers, bulk = receiveBuffers } = this;
    return receiveBuffers.available + (bulk === receiveBuffers ? 0 : bulk.available);
  }

  private makeBulkBuffers(): BufferRing {
    const { count, bytes: otherBytes } = this.receiveBuffers;
    const bytes = otherBytes * BULK_FACTOR;
    try {
      return this.bufferGroup({
        bgid: BULK_GROUP,
        count: Math.max(2, count / BULK_FACTOR),
        bytes,
        initial: this.circulating(bytes),
      });
    } catch {
      return this.receiveBuffers; // The system has no memory for them, or they are too large.
    }
  }

  /** Calls `target.flush()` when buffers have come back. For a receive that ended with ENOBUFS. */
  awaitBuffers(target: Flushable, buffers = this.receiveBuffers): void {
    this.counters.enobufs++;
    const starved = this.starved.get(buffers);
    if (starved === undefined) this.starved.set(buffers, [target]);
    else starved.push(target);
    this.reactor.wake();
  }

  /**
   * Wakes the receives that wait for buffers. At the end of a dispatch every buffer is back. If many
   * receives wait, twice as many buffers circulate from now on.
   */
  feedStarved(): void {
    if (this.starved.size === 0) return;
    for (const [buffers, starved] of this.starved) {
      if (starved.length > buffers.circulating * MISSING_PART) buffers.grow();
      // The first one may have taken all buffers before. It comes last, so that each gets its turn.
      for (let i = 1; i <= starved.length; i++) this.reactor.flushes.add(starved[i % starved.length]!);
    }
    this.starved.clear();
  }

  // ---- completions ------------------------------------------------------------------------------

  /** Number of reaped completions that are not delivered yet. */
  get undelivered(): number {
    return this.batch.count - this.batch.next;
  }

  /** Number of completions in the last batch, delivered ones included. */
  get reaped(): number {
    return this.batch.count;
  }

  /**
   * Whether completions wait in the ring, or the kernel has work that brings completions (an
   * overflow, task work). NEED_WAKEUP is no such work.
   */
  get hasKernelWork(): boolean {
    return this.faults?.holds === true || this.ring.cqReady > 0 || (this.ring.kernelFlags & ~1) !== 0;
  }

  /**
   * Reaps completions from the ring and returns their number. All completions that were reaped
   * before must have been delivered.
   */
  reap(): number {
    const { batch, faults } = this;
    batch.next = batch.count = 0;
    batch.count =
      faults === undefined
        ? this.ring.reap(batch.completions)
        : faults.reap(this.ring, batch.completions, this.operations);
    return batch.count;
  }

  /**
   * Delivers the next completion. Returns false if it belongs to nobody. An error of the owner is
   * thrown on.
   */
  deliver(): boolean {
    const { batch, operations } = this;
    const { completions } = batch;
    const at = batch.next++ * 4;
    const slot = completions[at]!;
    const high = completions[at + 1]! >>> 0;
    const kind = high & 0xff;
    const flags = completions[at + 3]!;
    if (slot < 0 || slot >= operations.capacity)
      this.breakOff(new RingIntegrityError(`completion names slot ${slot} of ${operations.capacity}`));
    const owner = operations.ownerOf(slot, high);
    if (owner === undefined) {
      this.counters.staleCompletions++;
      return false;
    }
    const isLast = (flags & IORING_CQE_F_MORE) === 0;
    if (isLast) operations.end(slot, kind);
    else if (kind < MULTISHOT_KIND)
      this.breakOff(new RingIntegrityError("completion promises more of an operation that completes once"));
    this.cqes++;
    try {
      outside(complete, owner, kind, completions[at + 2]!, flags);
    } catch (error) {
      if (error instanceof RingIntegrityError) this.breakOff(error);
      throw error;
    } finally {
      if (isLast) operations.settle(slot);
    }
    return true;
  }

  /** Makes the thread the owner of the descriptor that is being delivered: see DESCRIPTOR_KIND. */
  own(fd: number): void {
    this.owned.add(fd);
    this.batch.take();
  }

  /**
   * Ends the reactor, because nothing that the kernel says is reliable any more. Even a program
   * that catches every error cannot go on: its further calls throw `error`.
   */
  private breakOff(error: RingIntegrityError): never {
    this.isBroken = true;
    this.batch.next = this.batch.count; // So a turn around this one stops reading, too.
    // Replaces the method: a check inside of it would run for each operation.
    this.nextSqe = () => {
      throw error;
    };
    this.reactor.breakOff(error);
    throw error;
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** Gives back memory that is not needed while idle. */
  trim(): void {
    // In defer the kernel writes only during a system call. An SQ thread might be writing now.
    if (this.ring.sqpoll) return;
    this.receiveBuffers.trim();
    this.bulk?.trim();
    this.ownScratch?.trim();
  }

  /** Closes the ring and its buffers. Nothing may be in flight. */
  close(): void {
    for (const group of this.bufferGroups.values()) group.close();
    this.ring.close();
    this.batch.close();
    this.ownScratch?.close();
  }
}

function complete(owner: OperationOwner, kind: number, result: number, flags: number): void {
  owner.complete(kind, result, flags);
}

/**
 * Throws ENOSYS for a kernel whose io_uring lacks a needed feature. For programs that is the same
 * as no io_uring.
 */
function requireFeatures(ring: Ring): void {
  const required = [IORING_FEAT_FAST_POLL, IORING_FEAT_NODROP, IORING_FEAT_EXT_ARG];
  if (required.some((bit) => (ring.features & bit) === 0)) throw new SystemError(ENOSYS, "io_uring_setup");
}
