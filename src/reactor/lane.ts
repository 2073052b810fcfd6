/**
 * One ring of a thread, and what goes through it: entries on the way in, completions on the way out, and the buffers that
 * the kernel receives into.
 *
 * Guarantees: a completion is delivered to the owner of its slot, outside of every async context, and to nobody when its
 * operation is not in flight; once the kernel has contradicted itself, nothing more is read from the ring. Leaves to
 * others: when to submit, to wait and to deliver (turn.ts).
 */
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
import { Submission } from "./submission.ts";

const RECEIVE_GROUP = 0;
const INITIAL_RECEIVE_BUFFERS = 128;
const BATCH_COMPLETIONS = 2048;

export class Lane {
  readonly reactor: Reactor;
  /**
   * For the reactor and the lane. Nobody else submits here: a completion of an entry that is not tagged would be taken for
   * somebody's, or for a lie of the kernel's.
   */
  readonly ring: Ring;
  readonly operations = new OpTable();
  /** What is closed, should this thread be a Worker that is terminated. */
  readonly owned = owned();
  /** Memory for what is received. */
  readonly receiveBuffers: BufferRing;
  /** Counted by those who see it happen. */
  readonly counters = { overflows: 0, enobufs: 0, rearms: 0, shortSends: 0, staleCompletions: 0 };
  /** Entries that were tagged, and completions that were delivered. */
  sqes = 0;
  cqes = 0;
  /** The kernel has contradicted itself. */
  isBroken = false;
  /** For tests: see faults.ts. */
  readonly faults: Faults | undefined;

  private readonly submission: Submission;
  private readonly bufferGroups = new Map<number, BufferRing>();
  private readonly batch: Batch;
  private starved: Flushable[] = [];

  /** Throws SystemError where io_uring cannot be had. */
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
        initial: INITIAL_RECEIVE_BUFFERS,
      });
      if (!receivesMultishot(this.ring, RECEIVE_GROUP)) throw new SystemError(ENOSYS, "io_uring_enter");
    } catch (error) {
      this.ring.close();
      throw error;
    }
    this.batch = new Batch(BATCH_COMPLETIONS);
    this.owned.addBatch(this.ring.handle, this.batch.address);
  }

  // ---- entries ---------------------------------------------------------------------------------------------------

  /** The next submission entry. Prepare it, then `tag` it. */
  nextSqe(): Sqe {
    return this.ring.getSqe() ?? this.makeRoom();
  }

  /**
   * Sees to it that the next `count` entries are submitted together, as linked ones must be. Throws RangeError for more than
   * there are.
   */
  reserve(count: number): void {
    const { ring } = this;
    if (count > ring.sqEntries)
      throw new RangeError(`a chain takes at most ${ring.sqEntries} entries, timeouts included, not ${count}`);
    while (ring.sqSpaceLeft < count) this.reactor.submit();
  }

  /** Says whose completion a prepared entry causes, and sees to it that the entry is submitted. */
  tag(sqe: Sqe, slot: number, kind: number): void {
    sqe.tag(slot, this.operations.begin(slot, kind));
    if (this.faults !== undefined) this.faults.disturb(sqe);
    this.sqes++;
    this.reactor.wake();
  }

  /**
   * Asks the kernel to cancel what was tagged with `slot` and `kind`. The answer is a completion of `slot` and `answerKind`.
   */
  cancel(slot: number, kind: number, answerKind: number): void {
    this.tag(this.nextSqe().prepCancel(slot, this.operations.tagOf(slot, kind)), slot, answerKind);
  }

  /** Entries that the kernel does not have: not published, or refused (EAGAIN, EBUSY). */
  get hasEntries(): boolean {
    return this.ring.unpublished > 0 || (!this.ring.sqpoll && this.ring.sqReady > 0);
  }

  /** See Submission. */
  submit(waitUs: number, limited: boolean): void {
    if (this.ring.cqHasOverflow) this.counters.overflows++;
    this.receiveBuffers.publish();
    this.submission.submit(waitUs, limited);
  }

  /** A full submission queue: submits what is there. */
  private makeRoom(): Sqe {
    if (!this.ring.sqpoll) this.reactor.submit();
    return this.ring.getSqe() ?? this.submission.waitForRoom();
  }

  // ---- buffers ---------------------------------------------------------------------------------------------------

  /** The group of provided buffers with this id, set up on first use. */
  bufferGroup(options: BufferRingOptions): BufferRing {
    let group = this.bufferGroups.get(options.bgid);
    if (!group) this.bufferGroups.set(options.bgid, (group = new BufferRing(this.ring, options)));
    return group;
  }

  /**
   * Registers empty slots for files without descriptors. Works once for a ring. Throws SystemError, EBUSY where the program
   * has registered files itself.
   */
  registerFileSlots(count: number): void {
    this.ring.registerFilesSparse(count);
  }

  /** Calls `target.flush()` when receive buffers have come back: for a receive that ended with ENOBUFS. */
  awaitBuffers(target: Flushable): void {
    this.counters.enobufs++;
    this.starved.push(target);
    this.reactor.wake();
  }

  /** Every buffer is back at the end of a dispatch. Where they were too few, twice as many circulate from now on. */
  feedStarved(): void {
    if (this.starved.length === 0) return;
    this.receiveBuffers.grow();
    for (const target of this.starved.splice(0)) this.reactor.flushes.add(target);
  }

  // ---- completions -----------------------------------------------------------------------------------------------

  /** Reaped completions that were not delivered. */
  get undelivered(): number {
    return this.batch.count - this.batch.next;
  }

  /** How many were reaped at once with those. */
  get reaped(): number {
    return this.batch.count;
  }

  /** Completions wait in the ring, or the kernel has work that brings some: an overflow, task work. NEED_WAKEUP is none. */
  get hasKernelWork(): boolean {
    return this.ring.cqReady > 0 || (this.ring.kernelFlags & ~1) !== 0;
  }

  /** Takes completions from the ring. All that were reaped before are delivered. Returns how many there are. */
  reap(): number {
    const { batch, faults } = this;
    batch.next = batch.count = 0;
    batch.count =
      faults === undefined
        ? this.ring.reap(batch.completions)
        : faults.reap(this.ring, batch.completions, this.operations);
    return batch.count;
  }

  /** Delivers the next completion. Returns false for one that is nobody's. What the owner throws leaves this. */
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

  /** The descriptor that is being delivered is the thread's from here on: see DESCRIPTOR_KIND. */
  own(fd: number): void {
    this.owned.add(fd);
    this.batch.take();
  }

  /**
   * Fatal, even to a program that catches everything, whose further calls throw it: what the kernel says cannot be relied
   * on.
   */
  private breakOff(error: RingIntegrityError): never {
    this.isBroken = true;
    this.batch.next = this.batch.count; // A turn around this one reads no more, either.
    // In the methods' place, since a question in them would be asked for each operation.
    this.nextSqe = () => {
      throw error;
    };
    this.reactor.breakOff(error);
    throw error;
  }

  // ---- the end ---------------------------------------------------------------------------------------------------

  /** Gives memory back that idle moments do not need. */
  trim(): void {
    // In defer the kernel writes only while it is entered. An SQ thread might be writing now.
    if (!this.ring.sqpoll) this.receiveBuffers.trim();
  }

  /** Nothing may be in flight. */
  close(): void {
    for (const group of this.bufferGroups.values()) group.close();
    this.ring.close();
    this.batch.close();
  }
}

function complete(owner: OperationOwner, kind: number, result: number, flags: number): void {
  owner.complete(kind, result, flags);
}

/** A kernel that has io_uring but not enough of it is to programs as one that has none. */
function requireFeatures(ring: Ring): void {
  const required = [IORING_FEAT_FAST_POLL, IORING_FEAT_NODROP, IORING_FEAT_EXT_ARG];
  if (required.some((bit) => (ring.features & bit) === 0)) throw new SystemError(ENOSYS, "io_uring_setup");
}
