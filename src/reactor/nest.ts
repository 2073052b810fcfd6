/**
 * Ends a turn's wait in the ring, so that Bun's loop runs. It uses two operations of the ring: a
 * poll of Bun's epoll descriptor, and a timer.
 *
 * The timer stays armed until it fires, over several waits. On a virtual machine, to program the
 * clock for each wait costs about as much as the wait itself. While the reactor is parked, none of
 * these operations may be in flight.
 */
import { POLLIN } from "../sys/socket-abi.ts";
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

/** A timeout operation of the ring. */
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
  /**
   * True when the turn must end: Bun has work, or the time is over. The turn sets it back to false.
   */
  ready = false;

  private readonly lane: Lane;
  private readonly loopFd: number | undefined;
  private readonly slot: number;
  private readonly timers: { long: Timer; short: Timer } | undefined;
  /**
   * True when Bun's loop had work while the reactor rested, or soon after. The turn sets it back to
   * false.
   */
  wokeRest = false;
  private polling = false;
  private resting = false;
  private removals = 0;

  /**
   * Without `loopFd`, the reactor sees Bun's work only at the end of each turn. Without `limits`,
   * the nest has no timers and each wait has a time limit instead.
   */
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

  /**
   * Arms the poll and a timer before a wait. `isShort` chooses the timer that ends the wait at the
   * latest; undefined arms none.
   */
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
   * Asks the kernel to remove the operations in flight. Their completions still come.
   *
   * Call this again until nothing is in flight: a removal misses (EALREADY) a poll that is just
   * being woken, and such a poll goes on if it finds nothing.
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

  /** Frees the memory of the timers. Nothing may be in flight. */
  close(): void {
    this.timers?.long.time.release();
    this.timers?.short.time.release();
  }

  /**
   * Notes that the reactor waits in Bun's loop from now on. A poll in flight then also completes
   * when Bun has work, and wakes the reactor a second time.
   */
  rest(): void {
    this.resting = this.polling;
  }

  get inFlight(): number {
    return this.lane.operations.inFlightOf(this.slot);
  }

  complete(kind: number): void {
    this.lane.notedCompletions++;
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
