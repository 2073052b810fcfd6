/**
 * One entry of the completion queue, read in place in the mapped ring. Valid until `cqeSeen` or `cqAdvance` passes it; copy
 * what is needed for longer.
 */
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_MORE } from "../sys/abi.ts";

export class Cqe {
  private readonly words: Int32Array;
  private readonly base: number;

  constructor(words: Int32Array, index: number) {
    this.words = words;
    this.base = index * 4;
  }

  /** The low u32 of what `Sqe.setUserData` was given. */
  get userDataLow(): number {
    return this.words[this.base]! >>> 0;
  }

  get userDataHigh(): number {
    return this.words[this.base + 1]! >>> 0;
  }

  /** All 64 bits, as io_uring_cqe_get_data64(3). */
  get data64(): bigint {
    return (BigInt(this.userDataHigh) << 32n) | BigInt(this.userDataLow);
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
}
