/**
 * One entry of the completion queue, read in place in the mapped ring. It is valid until `cqeSeen`
 * or `cqAdvance` passes it. Copy values that are needed for longer.
 */
import { withCode } from "../sys/check.ts";
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_MORE } from "../sys/abi.ts";

export class Cqe {
  private readonly words: Int32Array;
  private readonly base: number;
  private readonly big: boolean;

  /** `index` counts entries of 16 bytes. `big`: the entry has two of them (IORING_SETUP_CQE32). */
  constructor(words: Int32Array, index: number, big = false) {
    this.words = words;
    this.base = index * 4;
    this.big = big;
  }

  /** The low u32 of the user data (`Sqe.setUserData`). */
  get userDataLow(): number {
    return this.words[this.base]! >>> 0;
  }

  get userDataHigh(): number {
    return this.words[this.base + 1]! >>> 0;
  }

  /** io_uring_cqe_get_data64(3): the whole user data. */
  get data64(): bigint {
    return (BigInt(this.userDataHigh) << 32n) | BigInt(this.userDataLow);
  }

  /** io_uring_cqe_get_data(3): the user data as `Sqe.setData` sets it, an integer up to 2^53. */
  get data(): number {
    return this.userDataHigh * 4294967296 + this.userDataLow;
  }

  /** The operation's result: the same as its system call's, or -errno for an error. */
  get res(): number {
    return this.words[this.base + 2]!;
  }

  /** IORING_CQE_F_*. */
  get flags(): number {
    return this.words[this.base + 3]! >>> 0;
  }

  /** Whether more completions of the operation follow. */
  get more(): boolean {
    return (this.flags & IORING_CQE_F_MORE) !== 0;
  }

  /** Id of the provided buffer. It is valid if `flags` has IORING_CQE_F_BUFFER. */
  get bufferId(): number {
    return this.flags >>> IORING_CQE_BUFFER_SHIFT;
  }

  /**
   * The second half of an entry with IORING_SETUP_CQE32, as two 64-bit numbers. Throws a TypeError
   * for a ring without that flag.
   */
  get bigCqe(): [bigint, bigint] {
    if (!this.big)
      throw withCode(
        "ERR_INVALID_STATE",
        new TypeError("bigCqe must be read of a ring with IORING_SETUP_CQE32, not of one without"),
      );
    const wide = (word: number): bigint =>
      (BigInt(this.words[this.base + word + 1]! >>> 0) << 32n) | BigInt(this.words[this.base + word]! >>> 0);
    return [wide(4), wide(6)];
  }
}
