/**
 * Registrations with a ring, io_uring_register(2): buffers, files, eventfd, personalities,
 * restrictions, workers, provided buffers.
 *
 * Guarantees: the kernel reads an argument's memory before the call returns. The memory need not
 * live longer, except registered buffers, which live until they are unregistered. Every function
 * throws SystemError with syscall "io_uring_register", and TypeError or RangeError for a
 * meaningless argument. Leaves to others: the system call (`register`), and the ring's own
 * descriptor (ring.ts).
 */
import {
  IORING_ASYNC_CANCEL_FD,
  IORING_ASYNC_CANCEL_OP,
  IORING_REGISTER_BUFFERS,
  IORING_REGISTER_BUFFERS2,
  IORING_REGISTER_BUFFERS_UPDATE,
  IORING_REGISTER_CLONE_BUFFERS,
  IORING_REGISTER_ENABLE_RINGS,
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_EVENTFD_ASYNC,
  IORING_REGISTER_FILE_ALLOC_RANGE,
  IORING_REGISTER_FILES,
  IORING_REGISTER_FILES2,
  IORING_REGISTER_FILES_UPDATE,
  IORING_REGISTER_FILES_UPDATE2,
  IORING_REGISTER_IOWQ_AFF,
  IORING_REGISTER_IOWQ_MAX_WORKERS,
  IORING_REGISTER_PBUF_RING,
  IORING_REGISTER_PBUF_STATUS,
  IORING_REGISTER_PERSONALITY,
  IORING_REGISTER_PROBE,
  IORING_REGISTER_RESTRICTIONS,
  IORING_REGISTER_SRC_REGISTERED,
  IORING_REGISTER_SYNC_CANCEL,
  IORING_RSRC_REGISTER_SPARSE,
  IORING_UNREGISTER_BUFFERS,
  IORING_UNREGISTER_EVENTFD,
  IORING_UNREGISTER_FILES,
  IORING_UNREGISTER_IOWQ_AFF,
  IORING_UNREGISTER_PBUF_RING,
  IORING_UNREGISTER_PERSONALITY,
} from "../sys/abi.ts";
import { I32_MIN, invalidType, requireInteger, requireObject, U16_MAX, U32_MAX, wideOf } from "../sys/check.ts";
import { Probe } from "./probe.ts";
import {
  type BufferPiece,
  bufRingArgument,
  bytesOf,
  cpuMask,
  descriptors,
  iovecs,
  oneDescriptor,
  requireSameLength,
  type Restriction,
  restrictionBytes,
  scratch,
  tagsOf,
} from "./registration-arguments.ts";

export type { BufferPiece, Restriction } from "./registration-arguments.ts";

/** struct io_uring_sync_cancel_reg: the operations to cancel, and the time to wait for them. */
export interface SyncCancel {
  /**
   * User data of the operations: its halves, or one BigInt without `high`. Not allowed with `fd`.
   */
  low?: number | bigint;
  high?: number;
  /** Descriptor of the operations. It adds IORING_ASYNC_CANCEL_FD. */
  fd?: number;
  /** IORING_OP_*: cancels only these operations. It adds IORING_ASYNC_CANCEL_OP. Linux 6.6. */
  opcode?: number;
  /** IORING_ASYNC_CANCEL_*. Default 0. */
  flags?: number;
  /** Longest wait in milliseconds. Default: no limit. */
  timeoutMs?: number;
}

/** struct io_uring_buf_reg. */
export interface BufRingRegistration {
  /** Address of `entries` struct io_uring_buf, at the start of a page. */
  address: number;
  /** A power of two up to 32768. */
  entries: number;
  /** Buffer group id. */
  bgid: number;
  /** IOU_PBUF_RING_INC. Default 0. */
  flags?: number;
}

const I64_MIN = -0x8000000000000000n;
const PROBE_OPS_MAX = 256;
const IOVEC_COUNT_MAX = 16384;

export abstract class Registrations {
  /** io_uring_register(2). The kernel reads `argument` before the call returns. */
  abstract register(opcode: number, argument: NodeJS.TypedArray | null, count: number): number;

  /** The ring's descriptor, or the index of its registered descriptor. */
  protected abstract get descriptor(): readonly [fd: number, isIndex: boolean];

  /**
   * io_uring_register_buffers(3). Registers memory for prepReadFixed and similar operations, by
   * index. The memory counts against RLIMIT_MEMLOCK.
   */
  registerBuffers(buffers: readonly BufferPiece[]): void {
    this.register(IORING_REGISTER_BUFFERS, iovecs(buffers), buffers.length);
  }

  /**
   * io_uring_register_buffers_tags. If a tag is not 0, a completion has it as user data when the
   * buffer is no longer in use.
   */
  registerBuffersTags(buffers: readonly BufferPiece[], tags: readonly (number | bigint)[]): void {
    requireSameLength("buffers", buffers, tags);
    this.registerResources(IORING_REGISTER_BUFFERS2, buffers.length, 0, iovecs(buffers), tags);
  }

  /** io_uring_register_buffers_sparse. `count` slots for registerBuffersUpdateTag. Linux 5.19. */
  registerBuffersSparse(count: number): void {
    requireInteger("count", count, 1, IOVEC_COUNT_MAX);
    this.registerResources(IORING_REGISTER_BUFFERS2, count, IORING_RSRC_REGISTER_SPARSE);
  }

  /**
   * io_uring_register_buffers_update_tag. Replaces the buffers from slot `offset` on. Returns the
   * number of replaced slots.
   */
  registerBuffersUpdateTag(
    offset: number,
    buffers: readonly BufferPiece[],
    tags: readonly (number | bigint)[],
  ): number {
    requireSameLength("buffers", buffers, tags);
    return this.updateResources(IORING_REGISTER_BUFFERS_UPDATE, offset, buffers.length, iovecs(buffers), tags);
  }

  /**
   * io_uring_clone_buffers. Registers all buffers that another ring of this process has registered,
   * without mapping them again. This ring must have no buffers yet (EBUSY). Linux 6.12.
   */
  cloneBuffers(source: Registrations): void {
    this.cloneBuffersOffset(source, 0, 0, 0);
  }

  /**
   * io_uring_clone_buffers_offset. Clones `count` buffers (0: all) from `sourceOffset` on to
   * `offset` in this ring. `flags`: IORING_REGISTER_DST_REPLACE replaces slots in use. Linux 6.13.
   */
  cloneBuffersOffset(source: Registrations, offset: number, sourceOffset: number, count: number, flags = 0): void {
    if (!(source instanceof Registrations)) throw invalidType("source", "a Ring", source);
    for (const [name, value] of Object.entries({ offset, sourceOffset, count, flags }))
      requireInteger(name, value, 0, U32_MAX);
    const [from, isIndex] = source.descriptor;
    const all = flags | (isIndex ? IORING_REGISTER_SRC_REGISTERED : 0);
    this.register(IORING_REGISTER_CLONE_BUFFERS, Uint32Array.of(from, all, sourceOffset, offset, count, 0, 0, 0), 1);
  }

  /** io_uring_unregister_buffers(3). */
  unregisterBuffers(): void {
    this.register(IORING_UNREGISTER_BUFFERS, null, 0);
  }

  /**
   * io_uring_register_files(3). Registers descriptors by index; -1 is an empty slot. The program
   * may close the descriptors afterwards.
   */
  registerFiles(fds: readonly number[]): void {
    this.register(IORING_REGISTER_FILES, descriptors(fds), fds.length);
  }

  /** io_uring_register_files_tags. The tags work as in registerBuffersTags. */
  registerFilesTags(fds: readonly number[], tags: readonly (number | bigint)[]): void {
    requireSameLength("fds", fds, tags);
    this.registerResources(IORING_REGISTER_FILES2, fds.length, 0, descriptors(fds), tags);
  }

  /** io_uring_register_files_sparse(3). Registers `count` empty slots. Linux 5.19. */
  registerFilesSparse(count: number): void {
    requireInteger("count", count, 1, U32_MAX);
    this.registerResources(IORING_REGISTER_FILES2, count, IORING_RSRC_REGISTER_SPARSE);
  }

  /**
   * io_uring_register_files_update(3). Changes slots from `offset` on: -1 empties a slot,
   * IORING_REGISTER_FILES_SKIP keeps it. Returns the number of slots.
   */
  registerFilesUpdate(offset: number, fds: readonly number[]): number {
    requireInteger("offset", offset, 0, U32_MAX);
    const data = descriptors(fds);
    using memory = scratch(data.byteLength);
    const update = memory.allocate(16);
    update.buffer.writeUInt32LE(offset, 0);
    update.writeU64(8, memory.copy(bytesOf(data)).address);
    return this.register(IORING_REGISTER_FILES_UPDATE, update.buffer, fds.length);
  }

  /** io_uring_register_files_update_tag. Returns the number of slots. */
  registerFilesUpdateTag(offset: number, fds: readonly number[], tags: readonly (number | bigint)[]): number {
    requireSameLength("fds", fds, tags);
    return this.updateResources(IORING_REGISTER_FILES_UPDATE2, offset, fds.length, descriptors(fds), tags);
  }

  /** io_uring_register_file_alloc_range(3). Slots for IORING_FILE_INDEX_ALLOC. Linux 6.0. */
  registerFileAllocRange(offset: number, count: number): void {
    requireInteger("offset", offset, 0, U32_MAX);
    requireInteger("count", count, 0, U32_MAX);
    this.register(IORING_REGISTER_FILE_ALLOC_RANGE, Uint32Array.of(offset, count, 0, 0), 0);
  }

  /** io_uring_unregister_files(3). */
  unregisterFiles(): void {
    this.register(IORING_UNREGISTER_FILES, null, 0);
  }

  /** io_uring_register_eventfd(3). Completions signal it while cqEventfdToggle allows that. */
  registerEventfd(fd: number): void {
    this.register(IORING_REGISTER_EVENTFD, oneDescriptor(fd), 1);
  }

  /**
   * io_uring_register_eventfd_async(3). Only completions of worker threads signal the eventfd;
   * completions of this thread or the SQ thread do not.
   */
  registerEventfdAsync(fd: number): void {
    this.register(IORING_REGISTER_EVENTFD_ASYNC, oneDescriptor(fd), 1);
  }

  /** io_uring_unregister_eventfd(3). */
  unregisterEventfd(): void {
    this.register(IORING_UNREGISTER_EVENTFD, null, 0);
  }

  /** io_uring_get_probe_ring(3), io_uring_register_probe. Returns the kernel's operations. */
  getProbe(): Probe {
    const bytes = new Uint8Array(16 + PROBE_OPS_MAX * 8);
    this.register(IORING_REGISTER_PROBE, bytes, PROBE_OPS_MAX);
    return new Probe(bytes);
  }

  /**
   * io_uring_register_personality. Registers the present credentials of the calling thread. Returns
   * the id for `sqe.setPersonality`.
   */
  registerPersonality(): number {
    return this.register(IORING_REGISTER_PERSONALITY, null, 0);
  }

  /** io_uring_unregister_personality. */
  unregisterPersonality(id: number): void {
    requireInteger("id", id, 1, U16_MAX);
    this.register(IORING_UNREGISTER_PERSONALITY, null, id);
  }

  /**
   * io_uring_register_restrictions. From `enableRings` on, the ring allows only what these rules
   * allow. So list also the opcodes of io_uring_register(2) that are needed later. For a ring with
   * IORING_SETUP_R_DISABLED, once.
   */
  registerRestrictions(restrictions: readonly Restriction[]): void {
    this.register(IORING_REGISTER_RESTRICTIONS, restrictionBytes(restrictions), restrictions.length);
  }

  /** io_uring_enable_rings. Starts a ring that was set up with IORING_SETUP_R_DISABLED. */
  enableRings(): void {
    this.register(IORING_REGISTER_ENABLE_RINGS, null, 0);
  }

  /** io_uring_register_iowq_aff(3). Sets the CPUs that worker threads run on. */
  registerIowqAff(cpus: readonly number[]): void {
    const mask = cpuMask(cpus);
    this.register(IORING_REGISTER_IOWQ_AFF, mask, mask.length);
  }

  /** io_uring_unregister_iowq_aff(3). */
  unregisterIowqAff(): void {
    this.register(IORING_UNREGISTER_IOWQ_AFF, null, 0);
  }

  /**
   * io_uring_register_iowq_max_workers(3). Sets the largest number of worker threads for files and
   * block devices (bounded), and for other work (unbounded). 0 leaves a limit as it is. Returns the
   * former limits.
   */
  registerIowqMaxWorkers(bounded: number, unbounded: number): [bounded: number, unbounded: number] {
    requireInteger("bounded", bounded, 0, U32_MAX);
    requireInteger("unbounded", unbounded, 0, U32_MAX);
    const limits = Uint32Array.of(bounded, unbounded);
    this.register(IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2);
    return [limits[0]!, limits[1]!];
  }

  /**
   * io_uring_register_buf_ring(3). Registers a ring of provided buffers in the caller's memory.
   * `setupBufRing` and `BufferRing` make their own memory.
   */
  registerBufRing(registration: BufRingRegistration): void {
    requireObject("registration", registration);
    const { address, entries, bgid, flags = 0 } = registration;
    this.register(IORING_REGISTER_PBUF_RING, bufRingArgument(address, entries, bgid, flags), 1);
  }

  /** io_uring_unregister_buf_ring(3). */
  unregisterBufRing(bgid: number): void {
    this.register(IORING_UNREGISTER_PBUF_RING, bufRingArgument(0, 0, bgid, 0), 1);
  }

  /**
   * Returns the index of the next entry that the kernel will use in the ring of provided buffers.
   * Linux 6.8; io_uring_buf_ring_head is newer than liburing 2.3.
   */
  bufRingHead(bgid: number): number {
    requireInteger("bgid", bgid, 0, U16_MAX);
    const status = new Uint32Array(10);
    status[0] = bgid;
    this.register(IORING_REGISTER_PBUF_STATUS, status, 1);
    return status[1]!;
  }

  /**
   * io_uring_register_sync_cancel(3). Cancels operations, and waits until they are over. Throws
   * ENOENT if no operation matches, and ETIME. With IORING_ASYNC_CANCEL_ALL or _ANY, returns the
   * number of operations; otherwise 0. Linux 6.0.
   */
  registerSyncCancel(operations: SyncCancel): number {
    requireObject("operations", operations);
    const { low = 0, high = 0, fd, opcode, flags = 0, timeoutMs } = operations;
    using memory = scratch();
    const argument = memory.allocate(64);
    requireInteger("high", high, I32_MIN, typeof low === "bigint" ? 0 : U32_MAX);
    requireInteger("flags", flags, 0, U32_MAX);
    if (typeof low === "bigint") argument.writeU64(0, BigInt.asUintN(64, wideOf("low", low, I64_MIN)));
    else {
      requireInteger("low", low, I32_MIN, U32_MAX);
      argument.buffer.writeUInt32LE(low >>> 0, 0);
      argument.buffer.writeUInt32LE(high >>> 0, 4);
    }
    argument.buffer.writeInt32LE(fd === undefined ? -1 : oneDescriptor(fd)[0]!, 8);
    const keys = (fd === undefined ? 0 : IORING_ASYNC_CANCEL_FD) | (opcode === undefined ? 0 : IORING_ASYNC_CANCEL_OP);
    argument.buffer.writeUInt32LE((flags | keys) >>> 0, 12);
    if (opcode !== undefined) {
      requireInteger("opcode", opcode, 0, 255);
      argument.buffer[32] = opcode;
    }
    if (timeoutMs === undefined) argument.buffer.fill(0xff, 16, 32);
    else memory.timespec(timeoutMs).buffer.copy(argument.buffer, 16);
    return this.register(IORING_REGISTER_SYNC_CANCEL, argument.buffer, 1);
  }

  /** struct io_uring_rsrc_register. */
  private registerResources(
    opcode: number,
    count: number,
    flags: number,
    data?: NodeJS.TypedArray,
    tags?: readonly (number | bigint)[],
  ): void {
    using memory = scratch((data?.byteLength ?? 0) + (tags?.length ?? 0) * 8);
    const argument = memory.allocate(32);
    argument.buffer.writeUInt32LE(count, 0);
    argument.buffer.writeUInt32LE(flags, 4);
    if (data) argument.writeU64(16, memory.copy(bytesOf(data)).address);
    if (tags) argument.writeU64(24, memory.copy(bytesOf(tagsOf(tags))).address);
    this.register(opcode, argument.buffer, argument.bytes);
  }

  /** struct io_uring_rsrc_update2. */
  private updateResources(
    opcode: number,
    offset: number,
    count: number,
    data: NodeJS.TypedArray,
    tags: readonly (number | bigint)[],
  ): number {
    requireInteger("offset", offset, 0, U32_MAX);
    using memory = scratch(data.byteLength + tags.length * 8);
    const argument = memory.allocate(32);
    argument.buffer.writeUInt32LE(offset, 0);
    argument.writeU64(8, memory.copy(bytesOf(data)).address);
    argument.writeU64(16, memory.copy(bytesOf(tagsOf(tags))).address);
    argument.buffer.writeUInt32LE(count, 24);
    return this.register(opcode, argument.buffer, argument.bytes);
  }
}
