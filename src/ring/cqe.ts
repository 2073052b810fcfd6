/**
 * One entry of the completion queue, read in place in the mapped ring. Valid until `cqeSeen` or `cqAdvance` passes it; copy
 * what is needed for longer.
 */
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_MORE } from "../sys/abi.ts";

export class Cqe {
  private readonly words: Int32Array;
  private readonly base: number;
  private readonly big: boolean;

  /** `index` in entries of 16 bytes; `big` for an entry of two of them (IORING_SETUP_CQE32). */
  constructor(words: Int32Array, index: number, big = false) {
    this.words = words;
    this.base = index * 4;
    this.big = big;
  }

  /** The low u32 of what `Sqe.setUserData` was given. */
  get userDataLow(): number {
    return this.words[this.base]! >>> 0;
  }

  get userDataHigh(): number {
    return this.words[this.base + 1]! >>> 0;
  }

  /** io_uring_cqe_get_data64(3): all 64 bits. */
  get data64(): bigint {
    return (BigInt(this.userDataHigh) << 32n) | BigInt(this.userDataLow);
  }

  /** io_uring_cqe_get_data(3), for what `Sqe.setData` was given: an integer up to 2^53. */
  get data(): number {
    return this.userDataHigh * 4294967296 + this.userDataLow;
  }

  /** The operation's result: as its system call's, with -errno for an error. */
  get res(): number {
    return this.words[this.base + 2]!;
  }

  /** IORING_CQE_F_*. */
  get flags(): number {
    return this.words[this.base + 3]! >>> 0;
  }

  /** Whether the operation goes on and will complete again. */
  get more(): boolean {
    return (this.flags & IORING_CQE_F_MORE) !== 0;
  }

  /** The provided buffer's id. Meaningful with IORING_CQE_F_BUFFER. */
  get bufferId(): number {
    return this.flags >>> IORING_CQE_BUFFER_SHIFT;
  }

  /** The second half of an entry with IORING_SETUP_CQE32, as two 64-bit numbers. Throws a TypeError for a ring without. */
  get bigCqe(): [bigint, bigint] {
    if (!this.big) throw new TypeError("bigCqe must be read of a ring with IORING_SETUP_CQE32, not of one without");
    const wide = (word: number): bigint =>
      (BigInt(this.words[this.base + word + 1]! >>> 0) << 32n) | BigInt(this.words[this.base + word]! >>> 0);
    return [wide(4), wide(6)];
  }
}
