/**
 * A ring of provided buffers (io_uring_register_buf_ring(3), Linux 5.19): the kernel picks a buffer when data is there, so memory
 * grows with activity and not with the number of connections.
 *
 * Guarantees: a buffer id that the kernel names is in range and was the kernel's (else a fatal RingIntegrityError); an id is given back
 * exactly once. Only `initial` buffers circulate at first, since the ring is first in, first out and every circulating buffer costs
 * cache; `grow()` doubles them up to `count`.
 */
import { BUF_BYTES, BUF_RING_TAIL_OFFSET } from "../sys/abi.ts";
import { Mapping } from "../sys/memory.ts";
import { requireInteger, U16_MAX, U32_MAX } from "../sys/check.ts";
import type { Ring } from "./ring.ts";

/** The kernel's answer contradicts what this process knows: nothing read from the ring can be trusted any more. */
export class RingIntegrityError extends Error {
  readonly code = "ERR_RINGLOOP_INTEGRITY";

  override get name(): string {
    return "RingIntegrityError";
  }
}

export interface BufferRingOptions {
  /** Buffer group id. */
  bgid: number;
  /** Buffers at most, a power of two up to 32768. */
  count: number;
  /** Bytes in each. */
  bytes: number;
  /** Buffers at first, at least 1. Default: all. */
  initial?: number;
}

const BYTES_MAX = 0x7fffffff;

/** Buffers a power of two apart would share a few cache sets. */
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
  /** The buffers that circulate; buffer `bid` starts at `offsetOf(bid)`. `grow()` replaces it by a longer one. */
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
  /** Ids below this one circulate. */
  private circulating = 0;
  private readonly initial: number;
  /** Buffers beyond the initial ones have been filled since `trim()`. */
  private touched = false;
  private kernelOwned = 0;

  /** Throws a TypeError or RangeError, and SystemError: EINVAL before Linux 5.19, EEXIST for a group in use, ENOMEM. */
  constructor(ring: Ring, options: BufferRingOptions) {
    const { bgid, count, bytes, initial = count } = options;
    requireInteger("bgid", bgid, 0, U16_MAX);
    requireInteger("count", count, 1, U32_MAX);
    requireInteger("bytes", bytes, 1, BYTES_MAX); // The kernel fills what an entry says, wherever the memory ends.
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

  /** Buffers that the kernel could still fill. */
  get available(): number {
    return this.kernelOwned;
  }

  offsetOf(bid: number): number {
    return bid * this.stride;
  }

  /** Takes over the buffer that a completion named. Returns its offset in `memory`. */
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

  /** Doubles the buffers that circulate. Returns false when all of them do. */
  grow(): boolean {
    if (this.circulating >= this.count) return false;
    const more = Math.min(this.circulating, this.count - this.circulating);
    this.pool.show((this.circulating + more) * this.stride);
    this.memory = Buffer.from(this.pool.buffer);
    this.circulate(more);
    return true;
  }

  /**
   * Gives the pages of buffers beyond the initial ones back to the system, if all are the kernel's. Nothing may be on its way into them: not
   * while an SQ thread runs, nor with a completion that was not reaped.
   */
  trim(): void {
    if (!this.touched || this.kernelOwned < this.circulating) return;
    this.touched = false;
    this.pool.discard(this.initial * this.stride);
  }

  /** Unregisters and unmaps. Nothing that uses the group may be in flight. */
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
    // The 16-bit tail lies in the first entry's last field (io_uring_buf.resv): only the bid's half of that word is written.
    this.entryWords[word] = address;
    this.entryWords[word + 1] = address / 4294967296;
    this.entryWords[word + 2] = this.bytes;
    this.entryBids[index * 8 + 6] = bid;
    this.owners[bid] = Owner.Kernel;
    this.kernelOwned++;
    this.tail = (this.tail + 1) >>> 0;
  }
}
