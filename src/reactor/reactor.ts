/**
 * The event loop: io_uring outside, Bun's epoll inside.
 *
 * A turn is a setImmediate callback. It reaps completions, dispatches each, submits what the
 * handlers wrote, and waits in the ring (turn.ts). The wait ends when Bun has work: the ring polls
 * Bun's epoll descriptor. Or it ends after a millisecond, since Bun's timers cannot be seen from
 * outside. After idle turns the reactor parks (schedule.ts): it schedules nothing, Bun sleeps in
 * its own wait, and a completion wakes the reactor through an eventfd. Entries and completions go
 * through a lane (lane.ts).
 *
 * Guarantees: the ring continues while a handler runs Bun's loop itself, in turns inside the turn.
 * An idle process uses no CPU. A process in which nothing is referenced exits.
 */
import { outside } from "../sys/async-context.ts";
import { adoptTicks, asEventLoop, isInTurn } from "../sys/program.ts";
import { Arena } from "../ring/arena.ts";
import type { RingIntegrityError } from "../ring/buffer-ring.ts";
import { findEventLoopFd } from "./bun-loop.ts";
import type { Faults } from "./faults/faults.ts";
import { type Flushable, FlushQueue } from "./flush-queue.ts";
import { Lane } from "./lane.ts";
import { requestedMode, resolveMode } from "./mode.ts";
import { Nest } from "./nest.ts";
import { infoOf, type ReactorInfo, type ReactorOptions, type ReactorStats, readOptions } from "./options.ts";
import { Schedule } from "./schedule.ts";
import { SHORT_TURN_MS, Turn, TURN_MS } from "./turn.ts";
import { Wheel, type WheelEntry } from "./wheel.ts";

/**
 * Highest number of pending exchanges with which an answer outside of a turn is submitted at once.
 * With more, answers are submitted together.
 */
const EAGER_EXCHANGES_MAX = 6;
/**
 * Milliseconds that an ending process waits at most for the SQ thread to accept the queued entries.
 */
const EXIT_MS_MAX = 100;

export class Reactor {
  readonly info: ReactorInfo;
  /** @internal The ring that entries go to and completions come from. */
  readonly lane: Lane;
  /** @internal */
  readonly turn: Turn;
  /** @internal */
  readonly schedule: Schedule;
  /** @internal */
  readonly flushes = new FlushQueue();
  /** Memory that data is sent from. */
  readonly arena = new Arena();
  readonly wheel: Wheel;
  /** Number of slots of listeners, and one for the nest. */
  quietSlots = 1;
  /**
   * Number of exchanges that expect nothing from their clients: the program has the whole request,
   * and its answer has not begun.
   */
  pendingExchanges = 0;
  /**
   * Bytes written for sending since the last submission, or other work weighed in bytes. The
   * writers increase it.
   */
  unsubmittedBytes = 0;

  private readonly nest: Nest;
  private references = 0;
  private turns = 0;
  /** True while a microtask that submits is queued. */
  private eager = false;
  private closed = false;

  /**
   * Throws SystemError where io_uring is not available, LibraryError where the native library is
   * not, and TypeError for a wrong option.
   */
  constructor(options: ReactorOptions = {}) {
    const read = readOptions(options, resolveMode(requestedMode(options.mode)));
    const faults = faultsFromEnvironment();
    this.lane = new Lane(this, read, faults);
    try {
      // The eventfd's watch lives as long as the thread. In a context, it would keep the context of
      // the code that needed a reactor first.
      this.schedule = outside(() => new Schedule(this, this.lane, this.begin, faults));
    } catch (error) {
      this.lane.close();
      throw error;
    }
    const registeredRingFd = this.lane.ring.registerRingFd();
    const loopFd = findEventLoopFd();
    // An sqpoll reactor rarely waits, and a timer in the ring would keep waking the SQ thread. So
    // each wait has a time limit instead.
    const limits = read.mode === "defer" ? { longMs: TURN_MS, shortMs: SHORT_TURN_MS } : undefined;
    this.nest = new Nest(this.lane, loopFd, limits);
    this.wheel = new Wheel(performance.now());
    this.turn = new Turn(this, this.lane, this.nest, this.wheel);
    this.info = infoOf(this.lane.ring, read, registeredRingFd, loopFd !== undefined);
    process.on("exit", this.exit);
    adoptTicks();
    // The turn parks, and lets the process exit unless something was opened by then.
    this.schedule.request();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Reactor ${Bun.inspect({ mode: this.info.mode, ...this.stats() })}`;
  }

  stats(): ReactorStats {
    const { lane, schedule } = this;
    return {
      enters: lane.ring.enters,
      wakeups: schedule.waker.wakeups,
      sqes: lane.sqes,
      cqes: lane.cqes,
      ...lane.counters,
      turns: this.turns,
      parks: schedule.parks,
      operationsInFlight: lane.operations.inFlight,
      slotsInUse: lane.operations.slotsInUse,
      sendBytesInUse: this.arena.bytesInUse,
      receiveBuffersAvailable: lane.buffersAvailable,
    };
  }

  // ---- for owners of operations -----------------------------------------------------------------

  /**
   * Calls `target.flush()` before the next submission. The caller must schedule a target only once.
   */
  scheduleFlush(target: Flushable): void {
    this.flushes.add(target);
    this.wake();
    const { pendingExchanges } = this;
    if (pendingExchanges === 0 || pendingExchanges > EAGER_EXCHANGES_MAX || this.eager || isInTurn()) return;
    // An immediate that answers is usually followed by others that answer, too.
    if (pendingExchanges > 1 && this.turn.sawTimers) return;
    this.eager = true;
    outside(queueMicrotask, this.submitEagerly);
  }

  /**
   * Submits in a microtask after the one that has answered, while few exchanges are pending. If
   * those answers waited for each other, the server and its clients would take turns.
   */
  private readonly submitEagerly = (): void => {
    this.eager = false;
    if (!this.isOver) this.submitFinished();
  };

  /** Tells the reactor that there is work: a parked reactor starts a turn. */
  wake(): void {
    if (this.schedule.isParked) this.schedule.request();
  }

  /**
   * The clock, in milliseconds. Each read asks the clock (5 ns): the caller may be outside of a
   * turn, or behind a long handler.
   */
  get nowMs(): number {
    return performance.now();
  }

  /**
   * Sets an entry's deadline, `delayMs` from now. Works outside of a turn and while the reactor is
   * parked, too.
   */
  setDeadline(entry: WheelEntry, delayMs: number): void {
    this.wheel.set(entry, performance.now(), delayMs);
    this.wake(); // The reactor parks again, with a timer for the deadline.
  }

  /**
   * Submits what is written, if handlers have run for too long. Called between the handlers of one
   * completion. May call `onDrain` of other consumers.
   */
  relieve(): void {
    if (this.turn.isLate) this.submitFinished();
  }

  /**
   * Hands what is written so far to the kernel now. For a program that ends its connections next.
   */
  submitFinished(): void {
    if (this.flushes.isEmpty && this.lane.ring.unpublished === 0) return;
    this.flushes.flush();
    this.submit();
  }

  /** Hands all entries to the kernel. Waits at most `waitUs` for a completion: see Submission. */
  submit(waitUs = 0, limited = false): void {
    this.unsubmittedBytes = 0;
    this.turn.submittedMs = performance.now();
    this.lane.submit(waitUs, limited);
  }

  /** Keeps the process alive, as an open socket does. */
  ref(): void {
    this.references++;
    if (this.references === 1) this.wake(); // The reactor parks again, and keeps the process alive.
  }

  unref(): void {
    this.references--;
    if (this.references === 0) this.wake(); // The reactor parks again, and lets the process exit.
  }

  get isReferenced(): boolean {
    return this.references > 0;
  }

  /** Whether the reactor is closed or broken. It has no further turns then. */
  get isOver(): boolean {
    return this.closed || this.lane.isBroken;
  }

  // ---- the turn ---------------------------------------------------------------------------------

  /** Leaves the async context of the code that has scheduled the turn. */
  private readonly begin = (): void => outside(asEventLoop, this.takeTurn);

  private readonly takeTurn = (): void => {
    if (this.isOver) return;
    const { schedule, turn } = this;
    // Comes first: a handler may run Bun's loop until something happens
    // (`expect(promise).resolves`), and that may come from the ring.
    schedule.repeat();
    this.turns++;
    try {
      turn.run();
    } catch (error) {
      reportError(error); // Bun would show this place for a rethrown error, and not the handler's.
    } finally {
      if (!this.isOver) {
        if (schedule.isParked)
          schedule.request(); // A turn inside this one may have parked.
        else if (turn.isIdle) schedule.park();
        else if (turn.mayRest) schedule.rest();
      }
    }
  };

  // ---- the end ----------------------------------------------------------------------------------

  /** Stops the reactor: the lane has found that the kernel is not reliable. */
  breakOff(error: RingIntegrityError): void {
    this.schedule.waker.disarm(false);
    // Replaces the method: a check inside of it would run for each flush.
    this.scheduleFlush = () => {
      throw error;
    };
  }

  /** Gives back memory that is not needed while idle. */
  trim(): void {
    this.arena.trim();
    this.lane.trim();
  }

  /**
   * Closes the reactor without cancelling or waiting. For tests that have closed everything. Throws
   * if an operation is still in flight.
   */
  close(): void {
    if (this.closed) return;
    this.turn.quiesce(Infinity);
    const { inFlight } = this.lane.operations;
    if (inFlight > 0) throw new Error(`the reactor has ${inFlight} operations in flight: close their owners first`);
    this.closed = true;
    process.off("exit", this.exit);
    this.schedule.stop();
    this.lane.close();
    this.arena.close();
    this.nest.close();
    this.schedule.close();
  }

  /**
   * Handles the end of the process, perhaps from inside a handler. Hands the kernel what was
   * written before: the kernel sends it without the process.
   */
  private readonly exit = (): void => {
    const { ring } = this.lane;
    try {
      this.flushes.flush();
      this.submit();
      if (!ring.sqpoll) return;
      // In sqpoll the SQ thread must accept the entries: nothing else sends them.
      for (const end = performance.now() + EXIT_MS_MAX; ring.sqReady > 0 && performance.now() < end;);
    } catch {
      // The flush of some owner threw, or the ring is broken. The process ends all the same.
    }
  };
}

/** Returns the faults of RINGLOOP_FAULTS, for tests: see faults.ts. */
function faultsFromEnvironment(): Faults | undefined {
  if (!process.env.RINGLOOP_FAULTS) return undefined;
  return (require("./faults/faults.ts") as typeof import("./faults/faults.ts")).Faults.fromEnvironment();
}
