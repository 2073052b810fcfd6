/**
 * A ring of provided buffers (io_uring_register_buf_ring(3), Linux 5.19). The kernel picks a buffer
 * when data arrives. So memory grows with activity, not with the number of connections.
 *
 * Guarantees: a buffer id from the kernel is in range and belonged to the kernel; otherwise, a
 * fatal RingIntegrityError is thrown. Each id goes back to the kernel exactly once. At first, only
 * `initial` buffers circulate: the ring is first in, first out, so every circulating buffer takes
 * room in the cache. `grow()` doubles them up to `count`.
 */
import { BUF_BYTES, BUF_RING_TAIL_OFFSET } from "../sys/abi.ts";
import { Mapping } from "../sys/memory.ts";
import { requireInteger, requireObject, U16_MAX, U32_MAX } from "../sys/check.ts";
import type { Ring } from "./ring.ts";

/**
 * A completion contradicts the state that this process has recorded. No data of the ring is
 * reliable after that.
 */
export class RingIntegrityError extends Error {
  readonly code = "ERR_RINGLOOP_INTEGRITY";

  override get name(): string {
    return "RingIntegrityError";
  }
}

export interface BufferRingOptions {
  /** Buffer group id. */
  bgid: number;
  /** Largest number of buffers, a power of two up to 32768. */
  count: number;
  /** Bytes in each buffer. */
  bytes: number;
  /** Number of buffers at first, at least 1. Default: `count`. */
  initial?: number;
}

const BYTES_MAX = 0x7fffffff;

/** Without padding, buffers would lie a power of two apart and share a few cache sets. */
const STRIDE_PADDING_BYTES = 192;

const enum Owner {
  Nobody,
  Kernel,
  Process,
}

export class BufferRing {
  readonly bgid: number;
  readonly count: number;
  readonly bytes: number;
  /**
   * The circulating buffers. Buffer `bid` starts at `offsetOf(bid)`. `grow()` replaces this view by
   * a longer one.
   */
  memory: Buffer;

  private readonly ring: Ring;
  private readonly stride: number;
  private readonly pool: Mapping;
  private readonly entries: Mapping;
  private readonly entryWords: Uint32Array;
  private readonly entryBids: Uint16Array;
  private readonly tailWord: Uint16Array;
  private readonly owners: Uint8Array;
  private tail = 0;
  private publishedTail = 0;
  /** Number of buffers that circulate: those with a smaller id. */
  circulating = 0;
  private readonly initial: number;
  /** Whether buffers beyond the initial ones have been filled since `trim()`. */
  private touched = false;
  private kernelOwned = 0;

  /**
   * Throws a TypeError or RangeError for an option, and SystemError: EINVAL before Linux 5.19,
   * EEXIST for a group in use, ENOMEM.
   */
  constructor(ring: Ring, options: BufferRingOptions) {
    requireObject("options", options);
    const { bgid, count, bytes, initial = count } = options;
    requireInteger("bgid", bgid, 0, U16_MAX);
    requireInteger("count", count, 1, U32_MAX);
    // The kernel fills as many bytes as an entry says, even past the end of the memory.
    requireInteger("bytes", bytes, 1, BYTES_MAX);
    requireInteger("initial", initial, 0, U32_MAX);
    this.ring = ring;
    this.bgid = bgid;
    this.count = count;
    this.bytes = bytes;
    this.stride = bytes + STRIDE_PADDING_BYTES;
    this.owners = new Uint8Array(count);
    this.entries = new Mapping(count * BUF_BYTES);
    this.entryWords = new Uint32Array(this.entries.buffer);
    this.entryBids = new Uint16Array(this.entries.buffer);
    this.tailWord = new Uint16Array(this.entries.buffer, BUF_RING_TAIL_OFFSET, 1);
    this.initial = Math.max(1, Math.min(initial, count));
    this.pool = new Mapping(count * this.stride, this.initial * this.stride);
    this.memory = Buffer.from(this.pool.buffer);
    try {
      ring.registerBufRing({ address: this.entries.address, entries: count, bgid });
    } catch (error) {
      this.entries.release();
      this.pool.release();
      throw error;
    }
    this.circulate(this.initial);
  }

  /** Buffers that the kernel can still fill. */
  get available(): number {
    return this.kernelOwned;
  }

  offsetOf(bid: number): number {
    return bid * this.stride;
  }

  /**
   * Makes this process the owner of the buffer that a completion names. Returns its offset in
   * `memory`. Throws RingIntegrityError.
   */
  take(bid: number, filledBytes: number): number {
    if (bid >= this.count || this.owners[bid] !== Owner.Kernel)
      throw new RingIntegrityError(
        `completion names buffer ${bid} of group ${this.bgid}, which was not the kernel's to fill`,
      );
    if (filledBytes > this.bytes)
      throw new RingIntegrityError(`completion fills ${filledBytes} of ${this.bytes} bytes in buffer ${bid}`);
    this.owners[bid] = Owner.Process;
    this.kernelOwned--;
    if (bid >= this.initial) this.touched = true;
    return bid * this.stride;
  }

  /** Gives a buffer back. The kernel sees it after `publish()`. */
  recycle(bid: number): void {
    if (this.owners[bid] !== Owner.Process)
      throw new RingIntegrityError(`buffer ${bid} of group ${this.bgid} is recycled twice`);
    this.provide(bid);
  }

  /** Makes recycled buffers visible to the kernel. Returns whether there were any. */
  publish(): boolean {
    if (this.publishedTail === this.tail) return false;
    this.publishedTail = this.tail;
    Atomics.store(this.tailWord, 0, this.tail & 0xffff);
    return true;
  }

  /** Doubles the number of circulating buffers. Returns false if all buffers circulate already. */
  grow(): boolean {
    if (this.circulating >= this.count) return false;
    const more = Math.min(this.circulating, this.count - this.circulating);
    this.pool.show((this.circulating + more) * this.stride);
    this.memory = Buffer.from(this.pool.buffer);
    this.circulate(more);
    return true;
  }

  /**
   * Returns the pages of buffers beyond the initial ones to the system, if the kernel has all
   * buffers. No bytes may be on their way into these buffers. So do not call it while an SQ thread
   * runs, or while a completion waits to be reaped.
   */
  trim(): void {
    if (!this.touched || this.kernelOwned < this.circulating) return;
    this.touched = false;
    this.pool.discard(this.initial * this.stride);
  }

  /**
   * Unregisters the group and unmaps the memory. No operation that uses the group may be in flight.
   */
  close(): void {
    try {
      this.ring.unregisterBufRing(this.bgid);
    } finally {
      this.entries.release();
      this.pool.release();
    }
  }

  private circulate(more: number): void {
    for (let i = 0; i < more; i++) this.provide(this.circulating++);
    this.publish();
  }

  private provide(bid: number): void {
    const index = this.tail & (this.count - 1);
    const address = this.pool.address + bid * this.stride;
    const word = index * 4;
    // The 16-bit tail lies in the first entry's last field (io_uring_buf.resv). So only the bid's
    // half of that word is written.
    this.entryWords[word] = address;
    this.entryWords[word + 1] = address / 4294967296;
    this.entryWords[word + 2] = this.bytes;
    this.entryBids[index * 8 + 6] = bid;
    this.owners[bid] = Owner.Kernel;
    this.kernelOwned++;
    this.tail = (this.tail + 1) >>> 0;
  }
}
