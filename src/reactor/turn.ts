/**
 * One turn of the event loop: what it does, how long it lasts, and whether it waits in the ring at
 * its end.
 *
 * A handler may leave work in Bun's loop that the reactor cannot see: an immediate, the flush of a
 * database's socket, a deferred task. The turn waits in the ring only when there can be no such
 * work. So it does not wait after a call of the program. Nor does it wait if the program has made a
 * timer or an immediate before the turn. An exception is a turn in which each call was a request's
 * handler that has answered: nobody waits for what those handlers left. Such a turn serves the
 * requests that have come meanwhile, for SHORT_TURN_MS at most.
 *
 * Guarantees: completions are delivered after the reap, never inside it. Promise jobs run after
 * each completion. Written data waits for other handlers for FINISHED_MS_MAX at most. Bun's loop
 * gets the thread after TURN_MS plus one handler at the latest.
 */
import { openCalls, programCalls, runJobs } from "../sys/program.ts";
import type { Lane } from "./lane.ts";
import type { Nest } from "./nest.ts";
import type { Reactor } from "./reactor.ts";
import { type Wheel, WHEEL_TICK_MS } from "./wheel.ts";

/** Milliseconds after which a turn hands the thread to Bun at the latest. */
export const TURN_MS = 1;
/** The same while the program uses timers: when they are due cannot be seen from outside. */
export const SHORT_TURN_MS = 0.25;
/**
 * Milliseconds for which further timers are expected after the program has made a timer or an
 * immediate.
 */
const TIMERS_MS = 1000;
/** Number of chances to rest that are skipped after a rest that did not pay. */
const RESTLESS_TURNS = 256;
/** Milliseconds without work after which the reactor parks. */
const PARK_AFTER_MS = 10;
/**
 * Milliseconds that written data waits for other handlers at most. After a handler that ran as
 * long, data is submitted after each of the next HASTY_COMPLETIONS completions.
 */
const FINISHED_MS_MAX = 0.5;
const HASTY_COMPLETIONS = 64;
/**
 * Highest number of completions in a batch for which written data waits at most EAGER_MS for the
 * next handlers. EAGER_MS (milliseconds) is the time of a few handlers.
 */
const EAGER_COMPLETIONS_MAX = 6;
const EAGER_MS = 0.004;
/**
 * Written bytes since the last submission that cause an early one, while they are still in the
 * processor's cache.
 */
export const EARLY_SUBMIT_BYTES = 262144;

export class Turn {
  /** Time of the last submission: handlers cannot have run longer than since then. */
  submittedMs = 0;
  /** True when the turn found nothing to do and the next event is most likely Bun's. */
  mayRest = false;

  private readonly reactor: Reactor;
  private readonly lane: Lane;
  private readonly nest: Nest;
  private readonly wheel: Wheel;
  /** Number of further completions after each of which written data is submitted at once. */
  private hasty = 0;
  /** True while the last rest was ended by a timer or by a completion. */
  private restPaid = false;
  private restlessTurns = 0;
  /** Time at which the wheel is looked at again, unless the thread stands still. */
  private nextLookMs = Infinity;
  /**
   * Times at which a turn last read the clock, last had something to do, and last saw a timer of
   * the program.
   */
  private lookedMs = 0;
  private busyMs = 0;
  private timersSeenMs = -Infinity;
  /** Whether the last turn saw that the program had made a timer or an immediate. */
  private sawTimersInTurn = false;

  constructor(reactor: Reactor, lane: Lane, nest: Nest, wheel: Wheel) {
    this.reactor = reactor;
    this.lane = lane;
    this.nest = nest;
    this.wheel = wheel;
  }

  /**
   * Whether there was nothing to do for so long that the reactor may park. After a long function of
   * the program in Bun's loop, an immediate of that function comes first.
   */
  get isIdle(): boolean {
    return this.lookedMs - this.busyMs >= PARK_AFTER_MS && !this.sawTimersInTurn;
  }

  /** Whether the program has made a timer or an immediate within TIMERS_MS. */
  get sawTimers(): boolean {
    return this.lookedMs - this.timersSeenMs < TIMERS_MS;
  }

  /** Whether written data has waited for FINISHED_MS_MAX. */
  get isLate(): boolean {
    return performance.now() - this.submittedMs >= FINISHED_MS_MAX;
  }

  /** Notes that there is work, from outside of a turn. */
  markBusy(): void {
    this.busyMs = performance.now();
  }

  /** Notes that the thread looks at the wheel at this time, and not in a turn before. */
  expectLook(atMs: number): void {
    this.nextLookMs = atMs;
  }

  /** Notes that the reactor rests: Bun's loop waits. */
  beginRest(): void {
    this.restPaid = true; // The nest sets this back if Bun had work.
    this.nest.rest();
  }

  /**
   * Does the turn's work. An error of a handler is thrown on; the next turn delivers the
   * completions that are left.
   */
  run(): void {
    const { nest, lane, reactor } = this;
    const startMs = performance.now();
    const seesTimers = (this.sawTimersInTurn = reactor.schedule.seesTimers());
    if (seesTimers) this.timersSeenMs = startMs;
    // A Bun that does not number its timers may have some at any time.
    const expectsTimers = startMs - this.timersSeenMs < TIMERS_MS || !reactor.schedule.numbersTimers;
    const end = startMs + (expectsTimers ? SHORT_TURN_MS : TURN_MS);
    // Whether anything of the program may have run.
    let hasRun = false;
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
      if (this.ownCompletions !== own || programCalls() !== calls) hasRun = true;
      if (nest.wokeRest) {
        nest.wokeRest = this.restPaid = false;
        this.restlessTurns = RESTLESS_TURNS;
      }
      const isCalm = !hasRun && !seesTimers && !nest.ready;
      if (remainingMs > 0 && this.shouldRest(expectsTimers, isCalm)) {
        reactor.submit();
        this.mayRest = true;
        return;
      }
      if (!isCalm || remainingMs <= 0) {
        reactor.submit();
        const isAnswered = openCalls() <= open && reactor.pendingExchanges === 0;
        const mayGoOn = hasRun && isAnswered && !expectsTimers && !nest.ready;
        if (mayGoOn && this.lookedMs - startMs < SHORT_TURN_MS && lane.ring.cqReady > 0) continue;
        return;
      }
      // A timer of the ring that is still armed would wake a resting reactor.
      const rests = expectsTimers && this.restPaid;
      nest.arm(rests ? undefined : expectsTimers);
      reactor.submit(remainingMs * 1000, rests);
    }
  }

  /** Number of delivered completions that may have run something of the program. */
  private get ownCompletions(): number {
    return this.lane.cqes - this.lane.notedCompletions;
  }

  /**
   * Returns whether Bun's loop is the better place to wait.
   *
   * That is so if every open request is in the program's hands: the next event is one of the
   * program's timers, and Bun knows those. But a descriptor of Bun's would wake the reactor twice,
   * by the nest's poll and by what the program does then. After such a wakeup the reactor waits in
   * the ring for some time.
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
   * Reads the clock, and fires the wheel's timers. Time in which the thread stood still (SIGSTOP, a
   * debugger, a long handler) moves every deadline: the reactor listened to nobody meanwhile.
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

  /** Delivers completions until the queue is empty, or until the time `endMs`. */
  private dispatch(endMs: number): void {
    const { lane, reactor } = this;
    let before = performance.now();
    for (;;) {
      if (lane.undelivered === 0) {
        if (reactor.isOver) return; // A turn inside this one may have ended the reactor.
        if (lane.reap() === 0) return;
      }
      while (lane.undelivered > 0) {
        if (!lane.deliver()) continue;
        runJobs();
        const now = performance.now();
        if (now - before >= FINISHED_MS_MAX) this.hasty = HASTY_COMPLETIONS;
        if (this.hasty > 0) {
          // Handlers are slow, and the next one may be slow, too.
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
   * Milliseconds that written data waits for the handlers of other completions. In a small batch
   * each waiting peer is a good part of the load. If all were answered together, the peers and this
   * thread would take turns.
   */
  private get patienceMs(): number {
    const { undelivered, reaped } = this.lane;
    if (undelivered === 0) return FINISHED_MS_MAX; // The turn submits next.
    return reaped <= EAGER_COMPLETIONS_MAX ? EAGER_MS : FINISHED_MS_MAX;
  }

  /**
   * Removes the nest's operations from the ring. Returns false if other completions came meanwhile,
   * or if it takes longer than `ms`: an SQ thread that has no processor does nothing.
   */
  quiesce(ms = TURN_MS): boolean {
    const { nest, reactor } = this;
    const own = this.ownCompletions;
    const end = performance.now() + ms;
    while (nest.inFlight > 0) {
      if (performance.now() > end) return false;
      nest.disarm();
      reactor.submit(TURN_MS * 1000);
      this.dispatch(Infinity);
    }
    return this.ownCompletions === own && reactor.flushes.isEmpty;
  }
}
