/**
 * What brings a turn back from its wait in the ring to Bun's loop: a poll of Bun's epoll descriptor, and a timer.
 *
 * The timer is an operation of the ring and stays armed until it fires, over several waits: on a virtual machine, programming the clock for
 * each wait costs about as much as the wait. Nothing of this may be in flight while the reactor is parked.
 */
import { POLLIN } from "../sys/abi.ts";
import type { Sqe } from "../ring/sqe.ts";
import { Mapping } from "../sys/memory.ts";
import type { OperationOwner } from "./op-table.ts";
import type { Lane } from "./lane.ts";

const enum Kind {
  Poll,
  Timer,
  ShortTimer,
  Removal,
}

/** A timer of the ring. */
class Timer {
  readonly kind: Kind;
  /** struct __kernel_timespec { seconds, nanoseconds }. */
  readonly time = new Mapping(16);
  isArmed = false;

  constructor(kind: Kind, ms: number) {
    this.kind = kind;
    new BigInt64Array(this.time.buffer)[1] = BigInt(ms * 1e6);
  }
}

export class Nest implements OperationOwner {
  /** The turn is to end: Bun has work, or the time is over. The turn sets it back. */
  ready = false;
  /** Completions that were the nest's own, and nobody's work. */
  completions = 0;

  private readonly lane: Lane;
  private readonly loopFd: number | undefined;
  private readonly slot: number;
  private readonly timers: { long: Timer; short: Timer } | undefined;
  /** Bun's loop had work of its own while the reactor rested, or soon after. Set until the turn looks. */
  wokeRest = false;
  private polling = false;
  private resting = false;
  private removals = 0;

  /** Without `loopFd` Bun's work is seen at the end of each turn only. Without the times, each wait has a limit of its own. */
  constructor(lane: Lane, loopFd: number | undefined, limits: { longMs: number; shortMs: number } | undefined) {
    this.lane = lane;
    this.loopFd = loopFd;
    this.slot = lane.operations.acquire(this);
    if (limits)
      this.timers = {
        long: new Timer(Kind.Timer, limits.longMs),
        short: new Timer(Kind.ShortTimer, limits.shortMs),
      };
  }

  /** Before a wait. `isShort`: which of the timers ends it at the latest; undefined for none. */
  arm(isShort: boolean | undefined): void {
    const { lane, loopFd, slot, timers } = this;
    if (!this.polling && loopFd !== undefined) {
      this.polling = true;
      lane.tag(lane.nextSqe().prepPollAdd(loopFd, POLLIN), slot, Kind.Poll);
    }
    if (timers === undefined || isShort === undefined) return;
    const timer = isShort ? timers.short : timers.long;
    if (timer.isArmed) return;
    timer.isArmed = true;
    lane.tag(lane.nextSqe().prepTimeout(timer.time.address), slot, timer.kind);
  }

  /**
   * Removes what is in flight; the completions are still to come. To be called until nothing is in flight: a removal misses (EALREADY) a
   * poll that is just being woken, and that poll goes on when it finds nothing.
   */
  disarm(): void {
    const { lane, slot, timers } = this;
    if (this.removals > 0) return;
    const tagOf = (kind: Kind): number => lane.operations.tagOf(slot, kind);
    const remove = (sqe: Sqe): void => {
      this.removals++;
      lane.tag(sqe, slot, Kind.Removal);
    };
    if (this.polling) remove(lane.nextSqe().prepPollRemove(slot, tagOf(Kind.Poll)));
    for (const timer of timers === undefined ? [] : [timers.long, timers.short])
      if (timer.isArmed) remove(lane.nextSqe().prepTimeoutRemove(slot, tagOf(timer.kind)));
  }

  /** Nothing may be in flight. */
  close(): void {
    this.timers?.long.time.release();
    this.timers?.short.time.release();
  }

  /** The reactor leaves the waiting to Bun's loop. A poll that is in flight ends, too, when Bun has work, and wakes it once more. */
  rest(): void {
    this.resting = this.polling;
  }

  get inFlight(): number {
    return this.lane.operations.inFlightOf(this.slot);
  }

  complete(kind: number): void {
    this.completions++;
    if (kind === Kind.Removal) {
      this.removals--;
      return;
    }
    this.ready = true;
    if (kind === Kind.Poll) {
      this.polling = false;
      if (this.resting) this.wokeRest = true;
      this.resting = false;
    }
    if (kind === Kind.Timer) this.timers!.long.isArmed = false;
    if (kind === Kind.ShortTimer) this.timers!.short.isArmed = false;
  }
}
