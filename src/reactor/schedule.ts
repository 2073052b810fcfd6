/**
 * Decides when the next turn comes. It comes by an immediate, or, while the reactor is parked, when
 * a completion, a deadline or new work wakes the reactor.
 *
 * Guarantees: a parked reactor schedules nothing and uses no CPU. Work that came while the reactor
 * was parking wakes it. It keeps the process alive only while the reactor is referenced.
 */
import type { Faults } from "./faults/faults.ts";
import type { Lane } from "./lane.ts";
import type { Reactor } from "./reactor.ts";
import { Waker } from "./waker.ts";

export class Schedule {
  isParked = true;
  parks = 0;
  readonly waker: Waker;

  private readonly reactor: Reactor;
  private readonly lane: Lane;
  private readonly faults: Faults | undefined;
  private readonly turn: () => void;
  private immediate: NodeJS.Immediate | undefined;
  private wheelTimer: NodeJS.Timeout | undefined;
  /** Bun's number of the last immediate that this object made. */
  private lastTimer = 0;

  constructor(reactor: Reactor, lane: Lane, turn: () => void, faults: Faults | undefined) {
    this.reactor = reactor;
    this.lane = lane;
    this.turn = turn;
    this.faults = faults;
    const wake = (): void => this.arrive();
    this.waker = new Waker(faults === undefined ? wake : () => faults.wake(wake));
    lane.owned.add(this.waker.eventFd);
    lane.ring.registerEventfd(this.waker.eventFd);
    lane.ring.cqEventfdToggle(false);
  }

  /** Schedules a turn soon. */
  request(): void {
    if (this.immediate !== undefined || this.reactor.isOver) return;
    this.leavePark();
    this.immediate = setImmediate(this.turn);
    this.lastTimer = Number(this.immediate);
  }

  /** Schedules another turn after the one that begins. */
  repeat(): void {
    this.immediate = setImmediate(this.turn);
  }

  /**
   * Returns whether the program has made a timer or an immediate since the last call. Bun numbers
   * all of them.
   */
  seesTimers(): boolean {
    const last = this.lastTimer;
    this.lastTimer = Number(this.immediate);
    return this.lastTimer !== last + 1 && this.numbersTimers;
  }

  /** Whether this Bun numbers its timers. */
  get numbersTimers(): boolean {
    return !Number.isNaN(this.lastTimer);
  }

  /** Parks after idle time: schedules no turn until there is work. */
  park(): void {
    const { reactor } = this;
    // While parked, a poll of Bun's loop would signal the eventfd for Bun's own events, and the
    // eventfd is one of these.
    let isCalm = false;
    try {
      isCalm = reactor.turn.quiesce();
    } catch (error) {
      reportError(error); // An error of some handler is reported as in a turn.
    }
    if (!isCalm) {
      if (reactor.isOver) return;
      reactor.turn.markBusy();
      return this.request();
    }
    this.sleep();
    if (!this.isParked) return;
    this.parks++;
    reactor.trim();
  }

  /** Leaves the waiting to Bun's loop, which knows what comes next. */
  rest(): void {
    this.reactor.turn.beginRest();
    this.sleep();
  }

  /** Cancels everything that would start a turn. */
  stop(): void {
    clearImmediate(this.immediate);
    clearTimeout(this.wheelTimer);
    this.waker.disarm(false);
  }

  close(): void {
    this.lane.owned.delete(this.waker.eventFd);
    this.waker.close();
  }

  private leavePark(): void {
    if (!this.isParked) return;
    this.isParked = false;
    this.reactor.turn.markBusy();
    this.lane.ring.cqEventfdToggle(false);
    this.waker.disarm(this.reactor.isReferenced);
    clearTimeout(this.wheelTimer);
    this.wheelTimer = undefined;
  }

  /**
   * Handles a signal of the waker. This is a promise job. The turn runs jobs itself, so it must
   * start after this job.
   */
  private arrive(): void {
    if (this.reactor.isOver || !this.isParked) return;
    if (this.lane.hasKernelWork) this.request();
    else this.waker.arm(this.reactor.isReferenced);
  }

  /** Schedules nothing until a completion or new work wakes the reactor. */
  private sleep(): void {
    const { lane, reactor } = this;
    clearImmediate(this.immediate);
    this.immediate = undefined;
    this.isParked = true;
    lane.ring.cqEventfdToggle(true);
    // A completion that came before the eventfd was enabled has not signalled it. And the kernel
    // may have refused entries.
    if (lane.undelivered > 0 || lane.hasKernelWork || !reactor.flushes.isEmpty || lane.hasEntries) {
      this.request();
      return;
    }
    if (reactor.isReferenced || lane.operations.inFlight > 0) this.waker.arm(reactor.isReferenced);
    else this.waker.disarm(false);
    if (this.faults?.wakesForNothing()) this.waker.signal();
    this.armWheelTimer();
  }

  private armWheelTimer(): void {
    const now = performance.now();
    const delay = this.reactor.wheel.untilNextMs(now);
    this.reactor.turn.expectLook(now + delay + 1);
    if (delay === Infinity) return;
    this.wheelTimer = setTimeout(() => this.request(), delay + 1);
    this.wheelTimer.unref();
  }
}
