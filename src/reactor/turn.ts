/**
 * One turn of the event loop: what it does, for how long, and whether it waits in the ring at its end.
 *
 * The turn waits in the ring only when nothing of the program's can be left in Bun's loop, where it cannot be seen: an
 * immediate, the flush of a database's socket, a deferred task. So a turn in which the program was called does not wait, nor
 * does one before which the program has made a timer or an immediate. Where each call was a request's handler that has
 * answered, nobody waits for what it left: the turn goes on with the requests that have come meanwhile, for SHORT_TURN_MS.
 *
 * Guarantees: completions are delivered after the reap, never inside it; promise jobs run after each; what is finished waits
 * for other handlers for FINISHED_MS_MAX at most; Bun's loop gets the thread every TURN_MS plus one handler.
 */
import { openCalls, programCalls, runJobs } from "../sys/program.ts";
import type { Lane } from "./lane.ts";
import type { Nest } from "./nest.ts";
import type { Reactor } from "./reactor.ts";
import { type Wheel, WHEEL_TICK_MS } from "./wheel.ts";

/** A turn hands the thread to Bun after this time at the latest. */
export const TURN_MS = 1;
/** The same while the program uses timers, which cannot be seen from outside. */
export const SHORT_TURN_MS = 0.25;
/** So long after the program has made a timer or an immediate, more are expected. */
const TIMERS_MS = 1000;
/** How many chances to rest go by after one that did not pay. */
const RESTLESS_TURNS = 256;
/** So long without anything to do, and the reactor parks. */
const PARK_AFTER_MS = 10;
/**
 * What is finished waits for other handlers no longer than this, and after a handler that took as long, for none of the next
 * ones.
 */
const FINISHED_MS_MAX = 0.5;
const HASTY_COMPLETIONS = 64;
/**
 * With so few completions at once, what is finished waits for the next handler no longer than EAGER_MS, a few handlers'
 * time.
 */
const EAGER_COMPLETIONS_MAX = 6;
const EAGER_MS = 0.004;
/** What was written since the last submission is submitted from this on, while it is still in the processor's cache. */
export const EARLY_SUBMIT_BYTES = 262144;

export class Turn {
  /** When handlers began to hold the thread, at the earliest. */
  submittedMs = 0;
  /** The turn found nothing to do, and the next event is most likely Bun's. */
  mayRest = false;

  private readonly reactor: Reactor;
  private readonly lane: Lane;
  private readonly nest: Nest;
  private readonly wheel: Wheel;
  /** For so many completions, what is finished is submitted at once. */
  private hasty = 0;
  /** The last rest was ended by a timer, or by a completion. */
  private restPaid = false;
  private restlessTurns = 0;
  /** When the wheel is looked at again, unless the thread stands still. */
  private nextLookMs = Infinity;
  /** When the clock was read last in a turn, when there was something to do, and when a timer of the program's was seen. */
  private lookedMs = 0;
  private busyMs = 0;
  private timersSeenMs = -Infinity;

  constructor(reactor: Reactor, lane: Lane, nest: Nest, wheel: Wheel) {
    this.reactor = reactor;
    this.lane = lane;
    this.nest = nest;
    this.wheel = wheel;
  }

  /** Nothing was to do for so long that the reactor may park. */
  get isIdle(): boolean {
    return this.lookedMs - this.busyMs >= PARK_AFTER_MS;
  }

  /** The program has made a timer or an immediate not long ago. */
  get sawTimers(): boolean {
    return this.lookedMs - this.timersSeenMs < TIMERS_MS;
  }

  /** Handlers have held the thread for as long as what is finished may wait. */
  get isLate(): boolean {
    return performance.now() - this.submittedMs >= FINISHED_MS_MAX;
  }

  /** There is something to do, from outside of a turn. */
  markBusy(): void {
    this.busyMs = performance.now();
  }

  /** The thread will look at the wheel again at this time, and not in a turn before. */
  expectLook(atMs: number): void {
    this.nextLookMs = atMs;
  }

  /** The reactor rests: it leaves the waiting to Bun's loop. */
  beginRest(): void {
    this.restPaid = true; // Unless the nest finds otherwise.
    this.nest.rest();
  }

  /** Does the turn's work. An error of a handler leaves it. What was not delivered yet is delivered in the next turn. */
  run(): void {
    const { nest, lane, reactor } = this;
    const startMs = performance.now();
    const seesTimers = reactor.schedule.seesTimers();
    if (seesTimers) this.timersSeenMs = startMs;
    // A Bun that numbers nothing may have some at any time.
    const expectsTimers = startMs - this.timersSeenMs < TIMERS_MS || !reactor.schedule.numbersTimers;
    const end = startMs + (expectsTimers ? SHORT_TURN_MS : TURN_MS);
    let mayWait = !seesTimers;
    nest.ready = this.mayRest = false;
    for (;;) {
      const own = this.ownCompletions;
      const calls = programCalls();
      const open = openCalls();
      this.dispatch(end);
      if (reactor.isOver) return;
      lane.feedStarved();
      const isBusy = this.ownCompletions !== own || !reactor.flushes.isEmpty;
      reactor.flushes.flush();
      const remainingMs = end - this.look();
      if (isBusy || lane.undelivered > 0) this.busyMs = this.lookedMs;
      const ran = this.ownCompletions !== own || programCalls() !== calls;
      if (nest.wokeRest) {
        nest.wokeRest = this.restPaid = false;
        this.restlessTurns = RESTLESS_TURNS;
      }
      const isCalm = !ran && mayWait && !nest.ready;
      if (remainingMs > 0 && this.shouldRest(expectsTimers, isCalm)) {
        reactor.submit();
        this.mayRest = true;
        return;
      }
      if (!isCalm || remainingMs <= 0) {
        reactor.submit();
        const isAnswered = openCalls() <= open && reactor.pendingExchanges === 0;
        if (ran && isAnswered && mayWait && !nest.ready && !expectsTimers && this.lookedMs - startMs < SHORT_TURN_MS)
          if (lane.ring.cqReady > 0) continue;
        return;
      }
      mayWait = false;
      // A timer of the ring that is still armed would wake a reactor that rests.
      const rests = expectsTimers && this.restPaid;
      nest.arm(rests ? undefined : expectsTimers);
      reactor.submit(remainingMs * 1000, rests);
    }
  }

  /** Completions that were not the nest's. */
  private get ownCompletions(): number {
    return this.lane.cqes - this.nest.completions;
  }

  /**
   * Whether Bun's loop is the better place to wait: everything that is under way is the program's, and what comes next is
   * one of its timers, which Bun knows. A descriptor of Bun's would wake the reactor twice, by the nest's poll and by what
   * the program does then. After it has, the reactor waits in the ring for a while.
   */
  private shouldRest(expectsTimers: boolean, isCalm: boolean): boolean {
    const { pendingExchanges, quietSlots } = this.reactor;
    if (!expectsTimers || pendingExchanges === 0) return false;
    if (this.lane.operations.slotsInUse !== quietSlots + pendingExchanges) return false;
    if (this.restlessTurns > 0) {
      this.restlessTurns--;
      return false;
    }
    return isCalm || this.restPaid;
  }

  /**
   * Reads the clock, and lets the wheel's timers fire. The time in which the thread stood still (SIGSTOP, a debugger, a long
   * handler) counts for nobody's deadline: nobody was listened to meanwhile.
   */
  private look(): number {
    const now = performance.now();
    const lateMs = now - this.nextLookMs;
    if (lateMs >= WHEEL_TICK_MS) this.wheel.postpone(lateMs + WHEEL_TICK_MS);
    this.nextLookMs = now + TURN_MS;
    this.lookedMs = now;
    if (now >= this.wheel.nextTickMs) this.wheel.advance(now);
    return now;
  }

  /** Delivers completions until the queue is empty, or the time `endMs` is over. */
  private dispatch(endMs: number): void {
    const { lane, reactor } = this;
    let before = performance.now();
    for (;;) {
      if (lane.undelivered === 0) {
        if (reactor.isOver) return; // By a turn inside this one.
        if (lane.reap() === 0) return;
      }
      while (lane.undelivered > 0) {
        if (!lane.deliver()) continue;
        runJobs();
        const now = performance.now();
        if (now - before >= FINISHED_MS_MAX) this.hasty = HASTY_COMPLETIONS;
        if (this.hasty > 0) {
          // Handlers take their time, and so may the next one.
          this.hasty--;
          reactor.submitFinished();
        } else if (reactor.unsubmittedBytes >= EARLY_SUBMIT_BYTES || now - this.submittedMs >= this.patienceMs)
          reactor.submitFinished();
        if (now >= endMs) return;
        before = now;
      }
    }
  }

  /**
   * How long what is finished waits for the handlers of other completions. Where they are few, each peer that waits is a
   * good part of the load: were all answered together, the peers and this thread would take turns.
   */
  private get patienceMs(): number {
    const { undelivered, reaped } = this.lane;
    if (undelivered === 0) return FINISHED_MS_MAX; // The turn submits next.
    return reaped <= EAGER_COMPLETIONS_MAX ? EAGER_MS : FINISHED_MS_MAX;
  }

  /** Takes the nest's operations out of the ring. Returns false when somebody's completion came meanwhile. */
  quiesce(): boolean {
    const { nest, reactor } = this;
    const own = this.ownCompletions;
    while (nest.inFlight > 0) {
      nest.disarm();
      reactor.submit(TURN_MS * 1000);
      this.dispatch(Infinity);
    }
    return this.ownCompletions === own && reactor.flushes.isEmpty;
  }
}
