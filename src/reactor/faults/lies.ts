/**
 * Completions that a lying kernel would write, for tests: faults.ts puts them among the true ones.
 *
 * - `stale`: completions of operations that are not in flight, with any result. The reactor must
 *   count and drop each of them.
 * - `lies`: also completions of operations in flight that contradict what this process knows: a
 *   result that is larger than its room, a buffer that the kernel does not have, further
 *   completions of an operation that completes once. The first of these must end in a
 *   RingIntegrityError.
 * - `wild`: anything, changed true completions included. Some of them could be true, and nobody can
 *   tell those from the truth. A descriptor that nobody accepted could be true, too. It is left
 *   out, since the test would close a descriptor of Bun's.
 */
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_CQE_F_NOTIF,
  IORING_CQE_F_SOCK_NONEMPTY,
  IORING_OP_ACCEPT,
  IORING_OP_OPENAT,
  IORING_OP_OPENAT2,
  IORING_OP_READ,
  IORING_OP_RECV,
  IORING_OP_SEND,
  IORING_OP_SENDMSG,
  IORING_OP_SOCKET,
} from "../../sys/abi.ts";
import type { Sqe } from "../../ring/sqe.ts";
import type { OpTable } from "../op-table.ts";

export type Lying = "stale" | "lies" | "wild";

/** The two halves of user_data, the result, and the flags. */
export type Completion = [slot: number, high: number, result: number, flags: number];

/** Share of contradictions in mode `lies`. The other false completions are stale. */
const CONTRADICTION_RATE = 0.02;
const WILD_RATE = 0.3;
const HISTORY = 64;
const FLAGS = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | IORING_CQE_F_SOCK_NONEMPTY | IORING_CQE_F_NOTIF;
const descriptors = new Set([IORING_OP_ACCEPT, IORING_OP_OPENAT, IORING_OP_OPENAT2, IORING_OP_SOCKET]);
const sized = new Set([IORING_OP_READ, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG]);

export class Lies {
  private readonly lying: Lying;
  private readonly random: () => number;
  private readonly count: (what: string) => void;
  /** Opcodes by user_data. */
  private readonly opcodes = new Map<string, number>();
  private readonly history: Completion[] = [];

  constructor(lying: Lying, random: () => number, count: (what: string) => void) {
    this.lying = lying;
    this.random = random;
    this.count = count;
  }

  /** Notes the opcode of an entry that is about to be submitted. */
  see({ opcode, userDataLow, userDataHigh }: Sqe): void {
    this.opcodes.set(`${userDataLow} ${userDataHigh}`, opcode);
  }

  /**
   * Returns a true completion and a false one beside it, in order. In `wild` it may return the true
   * one changed.
   */
  tell(truth: Completion, operations: OpTable): Completion[] {
    this.history.push([...truth]);
    if (this.history.length > HISTORY) this.history.shift();
    if (this.lying === "lies" && this.random() < CONTRADICTION_RATE) {
      const lie = this.contradiction();
      if (lie !== undefined) return [lie, truth];
    }
    if (this.lying === "wild" && this.random() < WILD_RATE) {
      this.count("wild");
      if (this.random() < 0.3) return [this.distorted(truth)];
      const lie = this.wild(operations);
      return this.random() < 0.5 ? [lie, truth] : [truth, lie];
    }
    const lie = this.stale(operations);
    return this.random() < 0.5 ? [lie, truth] : [truth, lie];
  }

  private stale(operations: OpTable): Completion {
    this.count("stale");
    const slot = this.below(operations.capacity);
    // Half of all generations ahead, so that the slot does not reach that generation before this is
    // read; or of a kind that nobody uses.
    const tag =
      this.random() < 0.5
        ? operations.tagOf(slot, this.below(256)) ^ 0x80000000
        : operations.tagOf(slot, this.pick([4, 5, 8 + this.below(248)]));
    return [slot, tag | 0, this.result(0), this.flags()];
  }

  /** Returns undefined if none of the last completions suits. */
  private contradiction(): Completion | undefined {
    if (this.random() < 0.1) {
      this.count("no such slot");
      return [this.pick([-1, -2147483648, 2147483647, 1 << 24]), this.word(), this.word(), this.flags()];
    }
    const [slot, high] = this.pick(this.history);
    const opcode = this.opcodes.get(`${slot >>> 0} ${high >>> 0}`);
    if (opcode === undefined) return undefined;
    const isReceive = opcode === IORING_OP_RECV;
    // A further completion of an operation that completes once. Receives and accepts have the kinds
    // of several completions.
    if (!isReceive && opcode !== IORING_OP_ACCEPT && this.random() < 0.5) {
      this.count("more of one");
      return [slot, high, this.result(0), IORING_CQE_F_MORE];
    }
    if (!sized.has(opcode)) return undefined;
    if (!isReceive) {
      this.count("too long");
      return [slot, high, this.pick([0x7fffffff, 0x7ffff000, 1 << 30]), 0];
    }
    const more = this.pick([0, IORING_CQE_F_MORE]);
    switch (this.below(3)) {
      case 0:
        this.count("no buffer");
        return [slot, high, 1 + this.below(16384), more];
      case 1:
        this.count("wrong buffer");
        // No group has so many buffers.
        return [slot, high, this.pick([0, 1, 100]), bufferFlags(32768 + this.below(32768)) | more];
      default:
        this.count("too long");
        return [slot, high, this.pick([0x7fffffff, 1 << 30, 1 << 20]), bufferFlags(this.below(65536)) | more];
    }
  }

  private wild(operations: OpTable): Completion {
    const [slot, high, result, flags] = this.pick(this.history);
    const lie: Completion = [slot, high, this.result(result), this.random() < 0.5 ? flags : this.flags()];
    switch (this.below(6)) {
      case 0:
        lie[0] = this.below(operations.capacity + 1);
        break;
      case 1:
        lie[1] = ((high & ~0xff) | this.below(256)) >>> 0;
        break;
      case 2:
        lie[1] = (high + 256 * (this.below(5) - 2)) >>> 0;
        break;
      case 3:
        lie[0] = this.below(operations.capacity);
        lie[1] = operations.tagOf(lie[0], this.below(8));
        break;
    }
    return this.withoutDescriptor(lie);
  }

  private distorted([slot, high, result, flags]: Completion): Completion {
    const isResult = this.random() < 0.5;
    return this.withoutDescriptor([
      slot,
      high,
      isResult ? this.result(result) : result,
      isResult ? flags : this.flags(),
    ]);
  }

  private withoutDescriptor(lie: Completion): Completion {
    const opcode = this.opcodes.get(`${lie[0] >>> 0} ${lie[1] >>> 0}`);
    if (opcode !== undefined && descriptors.has(opcode) && lie[2] >= 0) lie[2] = -1 - this.below(133);
    return lie;
  }

  private result(truth: number): number {
    switch (this.below(6)) {
      case 0:
        return -this.below(134);
      case 1:
        return this.word();
      case 2:
        return this.pick([0x7fffffff, -0x80000000, -4096, 65536, 16385]);
      case 3:
        return (truth + this.pick([-1, 1])) | 0;
      default:
        return truth;
    }
  }

  private flags(): number {
    return bufferFlags(this.pick([this.below(256), this.below(65536)])) & ((this.word() & FLAGS) | 0xffff0000);
  }

  private word(): number {
    return (this.random() * 0x100000000) | 0;
  }

  private below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  private pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

function bufferFlags(bid: number): number {
  return (bid << IORING_CQE_BUFFER_SHIFT) | IORING_CQE_F_BUFFER;
}
