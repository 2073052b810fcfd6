/**
 * Breaks operations on purpose, to show that nothing else breaks: RINGLOOP_FAULTS="seed=1,rate=0.05" disturbs that part of all operations, in
 * an order that the seed determines; with ",fatal" behind it connections break, too, and with ",stale", ",lies" or ",wild" the kernel lies
 * (lies.ts). For tests; without the variable there is nothing of it but a comparison.
 *
 * Guarantees: unless the kernel is to lie, nothing happens that a kernel could not do. An operation is made to fail by submitting a no-op with that result in its place,
 * made short by asking for less, and made to end early by asking for one completion instead of many; completions are delayed and reordered,
 * but never those of one slot among themselves; a parked reactor is woken late, and for nothing. That a wakeup is lost is not among them: an
 * eventfd counts, so the kernel cannot lose a signal, and only a timer that runs in every idle process would find one that it had lost.
 */
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_NOP_INJECT_RESULT,
  IORING_OP_ACCEPT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_CONNECT,
  IORING_OP_NOP,
  IORING_OP_READ,
  IORING_OP_RECV,
  IORING_OP_RECVMSG,
  IORING_OP_SEND,
  IORING_OP_SENDMSG,
  IORING_RECV_MULTISHOT,
} from "../../sys/abi.ts";
import { invalidValue } from "../../sys/check.ts";
import {
  EAGAIN,
  EALREADY,
  EBUSY,
  ECANCELED,
  ECONNABORTED,
  ECONNRESET,
  EINTR,
  EMFILE,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  errnoName,
  ETIMEDOUT,
} from "../../sys/errno.ts";
import type { Ring } from "../../ring/ring.ts";
import type { Sqe } from "../../ring/sqe.ts";
import { type Completion, Lies, type Lying } from "./lies.ts";
import type { OpTable } from "../op-table.ts";

/** What an operation may answer without having done anything, and what is to be gone on from. */
const harmless: Record<number, readonly number[]> = {
  [IORING_OP_ACCEPT]: [EINTR, EAGAIN, EMFILE, ENOMEM, ECONNABORTED],
  [IORING_OP_RECV]: [ENOBUFS, EINTR, EAGAIN, ECANCELED],
  [IORING_OP_RECVMSG]: [ENOBUFS, EINTR, EAGAIN],
  [IORING_OP_SEND]: [EINTR, EAGAIN],
  [IORING_OP_SENDMSG]: [EINTR, EAGAIN],
  [IORING_OP_READ]: [EINTR, EAGAIN],
  [IORING_OP_ASYNC_CANCEL]: [EALREADY, ENOENT],
};

/** What ends a connection. */
const fatal: Record<number, readonly number[]> = {
  [IORING_OP_RECV]: [ECONNRESET],
  [IORING_OP_SEND]: [ECONNRESET, ENOMEM],
  [IORING_OP_SENDMSG]: [ECONNRESET],
  [IORING_OP_CONNECT]: [ETIMEDOUT],
};

/** How late a parked reactor is woken, at most. */
const WAKE_DELAY_MS_MAX = 8;

/** The part of the disturbed operations that is fatal, where that is asked for. */
const FATAL_RATE = 0.1;

export class Faults {
  /** How often each was done. */
  readonly counts: Record<string, number> = {};

  private readonly rate: number;
  private readonly fatalToo: boolean;
  private readonly lies: Lies | undefined;
  private state: number;
  /** Completions that were taken from the ring and are to come later, four words each. */
  private held: number[] = [];

  /** Undefined without RINGLOOP_FAULTS. Throws a TypeError for a value that is not as above. */
  static fromEnvironment(): Faults | undefined {
    const text = process.env.RINGLOOP_FAULTS;
    if (!text) return undefined;
    const [, seed, rate, isFatal, lying] =
      /^seed=(\d+),rate=(0(?:\.\d+)?|1)(,fatal)?(?:,(stale|lies|wild))?$/.exec(text) ?? [];
    if (rate === undefined)
      throw invalidValue("RINGLOOP_FAULTS", 'like "seed=1,rate=0.05" or "seed=1,rate=0.05,fatal,lies"', text);
    return new Faults(Number(seed), Number(rate), isFatal !== undefined, lying as Lying | undefined);
  }

  /** `rate`: the part of all operations, from 0 to 1. */
  constructor(seed: number, rate: number, fatalToo: boolean, lying?: Lying) {
    this.state = seed;
    this.rate = rate;
    this.fatalToo = fatalToo;
    if (lying !== undefined)
      this.lies = new Lies(
        lying,
        () => this.random(),
        (what) => this.count(what),
      );
  }

  /** An entry is about to be submitted. */
  disturb(sqe: Sqe): void {
    this.lies?.see(sqe);
    if (this.random() >= this.rate) return;
    const { opcode } = sqe;
    if (this.fatalToo && fatal[opcode] && this.random() < FATAL_RATE) return this.fail(sqe, fatal[opcode]);
    switch (opcode) {
      case IORING_OP_SEND:
      case IORING_OP_READ:
        if (sqe.length > 1 && this.random() < 0.6) {
          this.count("short");
          sqe.length = 1 + Math.floor(this.random() * (sqe.length - 1));
          return;
        }
        break;
      case IORING_OP_RECV:
      case IORING_OP_RECVMSG:
        if (this.random() < 0.5) return this.shoot(sqe, IORING_RECV_MULTISHOT);
        break;
      case IORING_OP_ACCEPT:
        if (this.random() < 0.5) return this.shoot(sqe, IORING_ACCEPT_MULTISHOT);
        break;
    }
    if (harmless[opcode]) this.fail(sqe, harmless[opcode]);
  }

  /** As `ring.reap`, in another order and later. Never returns nothing while it holds something. */
  reap(ring: Ring, batch: Int32Array, operations: OpTable): number {
    // Half of the room is left for lies.
    const fresh = ring.reap(batch.subarray(0, Math.max(0, batch.length / 2 - this.held.length)));
    const all = [...this.held, ...this.told(batch.subarray(0, fresh * 4), operations)];
    const later: number[] = [];
    const laterSlots = new Set<number>();
    const now: number[] = [];
    for (let at = 0; at < all.length; at += 4) {
      const slot = all[at]!;
      const isLater = laterSlots.has(slot) || this.random() < this.rate;
      if (isLater) laterSlots.add(slot);
      (isLater ? later : now).push(...all.slice(at, at + 4));
    }
    this.held = now.length > 0 ? later : [];
    if (this.held.length > 0) this.count("late");
    const given = now.length > 0 ? now : later;
    batch.set(given);
    return given.length / 4;
  }

  /** True completions, and, where the kernel lies, others among them. */
  private told(truth: Int32Array, operations: OpTable): Iterable<number> {
    const { lies } = this;
    if (lies === undefined) return truth;
    const told: number[] = [];
    for (let at = 0; at < truth.length; at += 4) {
      const completion = [...truth.subarray(at, at + 4)] as Completion;
      for (const each of this.random() < this.rate ? lies.tell(completion, operations) : [completion])
        told.push(...each);
    }
    return told;
  }

  /** Calls `wake` now, or later. */
  wake(wake: () => void): void {
    if (this.random() >= this.rate) return wake();
    this.count("late wakeup");
    setTimeout(wake, 1 + this.random() * WAKE_DELAY_MS_MAX);
  }

  /** Whether a reactor that parks is woken at once, though nothing has happened. */
  wakesForNothing(): boolean {
    if (this.random() >= this.rate) return false;
    this.count("spurious wakeup");
    return true;
  }

  /** What io_uring_enter answers without having done anything; undefined to enter. */
  enterFails(): number | undefined {
    if (this.random() >= this.rate) return undefined;
    this.count("enter fails");
    return -[EINTR, EAGAIN, EBUSY][Math.floor(this.random() * 3)]!;
  }

  /** A no-op with that result takes the entry's place. */
  private fail(sqe: Sqe, errnos: readonly number[]): void {
    const errno = errnos[Math.floor(this.random() * errnos.length)]!;
    this.count(errnoName(errno));
    const { userDataLow, userDataHigh } = sqe;
    sqe.prep(IORING_OP_NOP, -1, 0, -errno >>> 0, 0, IORING_NOP_INJECT_RESULT).setUserData(userDataLow, userDataHigh);
  }

  /** One completion instead of many. */
  private shoot(sqe: Sqe, multishot: number): void {
    this.count("multishot ends");
    sqe.ioprio &= ~multishot;
  }

  private count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  private random(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
}
