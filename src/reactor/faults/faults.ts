/**
 * Breaks operations on purpose, to test that nothing else breaks.
 *
 * RINGLOOP_FAULTS="seed=1,rate=0.05" disturbs that share of all operations, in an order that the
 * seed determines. With ",fatal" appended, connections break, too. With ",stale", ",lies" or
 * ",wild" the kernel lies (lies.ts). Without the variable, the only cost is a comparison.
 *
 * Guarantees: unless the kernel lies, only things happen that a kernel could do.
 * - An operation fails: a no-op with that result is submitted in its place.
 * - An operation is short: it asks for fewer bytes.
 * - A multishot operation ends early: it asks for one completion.
 * - Completions are late and in another order, but never those of one slot among themselves.
 * - A parked reactor is woken late, or for nothing.
 *
 * No wakeup is lost. An eventfd counts, so the kernel cannot lose a signal. To find a lost one
 * would need a timer in every idle process.
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

/**
 * Errors, by opcode, that an operation may give without having done anything, and after which its
 * owner continues.
 */
const harmless: Record<number, readonly number[]> = {
  [IORING_OP_ACCEPT]: [EINTR, EAGAIN, EMFILE, ENOMEM, ECONNABORTED],
  [IORING_OP_RECV]: [ENOBUFS, EINTR, EAGAIN, ECANCELED],
  [IORING_OP_RECVMSG]: [ENOBUFS, EINTR, EAGAIN],
  [IORING_OP_SEND]: [EINTR, EAGAIN],
  [IORING_OP_SENDMSG]: [EINTR, EAGAIN],
  [IORING_OP_READ]: [EINTR, EAGAIN],
  [IORING_OP_ASYNC_CANCEL]: [EALREADY, ENOENT],
};

/** Errors, by opcode, that end a connection. */
const fatal: Record<number, readonly number[]> = {
  [IORING_OP_RECV]: [ECONNRESET],
  [IORING_OP_SEND]: [ECONNRESET, ENOMEM],
  [IORING_OP_SENDMSG]: [ECONNRESET],
  [IORING_OP_CONNECT]: [ETIMEDOUT],
};

/** Milliseconds by which the wakeup of a parked reactor is delayed at most. */
const WAKE_DELAY_MS_MAX = 8;

/** Share of the disturbed operations that get a fatal error, if fatal errors are asked for. */
const FATAL_RATE = 0.1;

export class Faults {
  /** Number of times that each fault was made. */
  readonly counts: Record<string, number> = {};

  private readonly rate: number;
  private readonly fatalToo: boolean;
  private readonly lies: Lies | undefined;
  private state: number;
  /** Reaped completions that are delivered later, four words each. */
  private held: number[] = [];

  /**
   * Returns undefined without RINGLOOP_FAULTS. Throws a TypeError for a value in another format
   * than above.
   */
  static fromEnvironment(): Faults | undefined {
    const text = process.env.RINGLOOP_FAULTS;
    if (!text) return undefined;
    const [, seed, rate, isFatal, lying] =
      /^seed=(\d+),rate=(0(?:\.\d+)?|1)(,fatal)?(?:,(stale|lies|wild))?$/.exec(text) ?? [];
    if (rate === undefined)
      throw invalidValue("RINGLOOP_FAULTS", 'like "seed=1,rate=0.05" or "seed=1,rate=0.05,fatal,lies"', text);
    return new Faults(Number(seed), Number(rate), isFatal !== undefined, lying as Lying | undefined);
  }

  /** `rate`: share of all operations that are disturbed, from 0 to 1. */
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

  /** Disturbs an entry that is about to be submitted. */
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

  /**
   * Reaps as `ring.reap` does, but in another order and later. Returns at least one completion
   * while it has any.
   */
  reap(ring: Ring, batch: Int32Array, operations: OpTable): number {
    // Half of the room is for lies.
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

  /** Returns the true completions, and false ones among them if the kernel lies. */
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

  /** Whether completions that are late wait here. A reactor that sleeps must not leave them. */
  get holds(): boolean {
    return this.held.length > 0;
  }

  /** Calls `wake` now, or later. */
  wake(wake: () => void): void {
    if (this.random() >= this.rate) return wake();
    this.count("late wakeup");
    setTimeout(wake, 1 + this.random() * WAKE_DELAY_MS_MAX);
  }

  /** Returns whether to wake a parking reactor at once, though nothing has happened. */
  wakesForNothing(): boolean {
    if (this.random() >= this.rate) return false;
    this.count("spurious wakeup");
    return true;
  }

  /** Returns whether a socket accepts no byte of a send that bypasses the ring. */
  refusesSend(): boolean {
    if (this.random() >= this.rate) return false;
    this.count("send refused");
    return true;
  }

  /** Returns the failure that replaces a call of io_uring_enter(2), or undefined for no failure. */
  enterFails(): number | undefined {
    if (this.random() >= this.rate) return undefined;
    this.count("enter fails");
    return -[EINTR, EAGAIN, EBUSY][Math.floor(this.random() * 3)]!;
  }

  /** Replaces the entry by a no-op with one of these errors as its result. */
  private fail(sqe: Sqe, errnos: readonly number[]): void {
    const errno = errnos[Math.floor(this.random() * errnos.length)]!;
    this.count(errnoName(errno));
    const { userDataLow, userDataHigh } = sqe;
    sqe.prep(IORING_OP_NOP, -1, 0, -errno >>> 0, 0, IORING_NOP_INJECT_RESULT).setUserData(userDataLow, userDataHigh);
  }

  /** Turns a multishot operation into one with a single completion. */
  private shoot(sqe: Sqe, multishot: number): void {
    this.count("multishot ends");
    sqe.ioprio &= ~multishot;
  }

  private count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** Returns a number from 0 up to, not including, 1 (mulberry32). */
  private random(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
}
