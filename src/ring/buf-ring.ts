/**
 * A ring of provided buffers under liburing's names, io_uring_setup_buf_ring. The user of this
 * class knows who owns the memory of the buffers, and which buffers the kernel has. `BufferRing`
 * keeps track of both.
 */
import { BUF_BYTES, BUF_RING_TAIL_OFFSET } from "../sys/abi.ts";
import { Mapping } from "../sys/memory.ts";
import { requireInteger, U16_MAX, U32_MAX, wideOf } from "../sys/check.ts";
import type { Ring } from "./ring.ts";

export class BufRing {
  readonly entries: number;
  readonly bgid: number;
  private readonly ring: Ring;
  private readonly mapping: Mapping;
  private readonly words: Uint32Array;
  private readonly bids: Uint16Array;
  private readonly tailWord: Uint16Array;
  private tail = 0;

  /**
   * Throws SystemError: EINVAL before Linux 5.19 or if `entries` is no power of two, EEXIST for a
   * group in use, ENOMEM.
   */
  constructor(ring: Ring, entries: number, bgid: number, flags = 0) {
    requireInteger("entries", entries, 1, 32768);
    this.ring = ring;
    this.entries = entries;
    this.bgid = bgid;
    this.mapping = new Mapping(entries * BUF_BYTES);
    this.words = new Uint32Array(this.mapping.buffer);
    this.bids = new Uint16Array(this.mapping.buffer);
    this.tailWord = new Uint16Array(this.mapping.buffer, BUF_RING_TAIL_OFFSET, 1);
    try {
      ring.registerBufRing({ address: this.mapping.address, entries, bgid, flags });
    } catch (error) {
      this.mapping.release();
      throw error;
    }
  }

  /** io_uring_buf_ring_mask(3). */
  get mask(): number {
    return this.entries - 1;
  }

  /**
   * io_uring_buf_ring_add(3). Puts a buffer into the entry that lies `offset` entries after the
   * last call of `advance`.
   */
  add(address: number | bigint, bytes: number, bid: number, offset = 0): this {
    const at = wideOf("address", address);
    requireInteger("bytes", bytes, 0, U32_MAX);
    requireInteger("bid", bid, 0, U16_MAX);
    requireInteger("offset", offset, 0, this.mask);
    const index = (this.tail + offset) & this.mask;
    this.words[index * 4] = Number(at & 0xffffffffn);
    this.words[index * 4 + 1] = Number(at >> 32n);
    this.words[index * 4 + 2] = bytes;
    this.bids[index * 8 + 6] = bid; // The tail lies beside the `bid` in the first entry.
    return this;
  }

  /** io_uring_buf_ring_advance(3). Gives the kernel the next `count` added buffers. */
  advance(count: number): void {
    requireInteger("count", count, 0, this.entries);
    this.tail = (this.tail + count) & U16_MAX;
    Atomics.store(this.tailWord, 0, this.tail);
  }

  /** io_uring_buf_ring_cq_advance(3). Calls `ring.cqAdvance` and `advance`. */
  cqAdvance(count: number): void {
    this.ring.cqAdvance(count);
    this.advance(count);
  }

  /** Buffers that the kernel has not used yet, io_uring_buf_ring_available. Linux 6.8. */
  get available(): number {
    return (this.tail - this.ring.bufRingHead(this.bgid)) & U16_MAX;
  }

  /**
   * io_uring_free_buf_ring. Unregisters the group and unmaps the ring. No operation that uses the
   * group may be in flight.
   */
  free(): void {
    try {
      this.ring.unregisterBufRing(this.bgid);
    } finally {
      this.mapping.release();
    }
  }

  [Symbol.dispose](): void {
    this.free();
  }
}
