/**
 * The event loop: io_uring outside, Bun's epoll inside.
 *
 * A turn is a setImmediate callback. It reaps completions, dispatches each, submits what the handlers wrote, and waits in
 * the ring, until Bun has work of its own (its epoll descriptor is polled by the ring) or a millisecond is over (Bun's
 * timers cannot be seen from outside): turn.ts. After idle turns the reactor parks: it schedules nothing, Bun sleeps in its
 * own wait, and a completion wakes it through an eventfd: schedule.ts. Entries and completions go through a lane: lane.ts.
 *
 * Guarantees: the ring goes on while a handler runs Bun's loop itself, in turns inside the turn; an idle process uses no
 * CPU; a process in which nothing is referenced exits.
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
 * With so many exchanges in the program's hands, what it answers outside of a turn leaves at once. With more, they leave
 * together.
 */
const EAGER_EXCHANGES_MAX = 6;
/** How long an ending process waits for the SQ thread to take what is queued. */
const EXIT_MS_MAX = 100;

export class Reactor {
  readonly info: ReactorInfo;
  /** @internal Where entries go, and completions come from. */
  readonly lane: Lane;
  /** @internal */
  readonly turn: Turn;
  /** @internal */
  readonly schedule: Schedule;
  /** @internal */
  readonly flushes = new FlushQueue();
  /** Memory for what is sent. */
  readonly arena = new Arena();
  readonly wheel: Wheel;
  /** Slots of listeners, and the nest's. */
  quietSlots = 1;
  /** Connections from which nothing is expected: the program has the whole request, and has not begun to answer. */
  pendingExchanges = 0;
  /** Bytes that were written for sending since the last submission, or what counts like them. Added to by those who write. */
  unsubmittedBytes = 0;

  private readonly nest: Nest;
  private references = 0;
  private turns = 0;
  /** A job that submits is on its way. */
  private eager = false;
  private closed = false;

  /** Throws SystemError where io_uring cannot be had, LibraryError, and TypeError for a wrong option. */
  constructor(options: ReactorOptions = {}) {
    const read = readOptions(options, resolveMode(requestedMode(options.mode)));
    const faults = faultsFromEnvironment();
    this.lane = new Lane(this, read, faults);
    try {
      // What it watches lives as long as the thread, and would keep the context of whoever needed a reactor first.
      this.schedule = outside(() => new Schedule(this, this.lane, this.begin, faults));
    } catch (error) {
      this.lane.close();
      throw error;
    }
    const registeredRingFd = this.lane.ring.registerRingFd();
    const loopFd = findEventLoopFd();
    // An sqpoll reactor rarely waits, and its timer would keep waking the SQ thread: it gives each wait a limit.
    const limits = read.mode === "defer" ? { longMs: TURN_MS, shortMs: SHORT_TURN_MS } : undefined;
    this.nest = new Nest(this.lane, loopFd, limits);
    this.wheel = new Wheel(performance.now());
    this.turn = new Turn(this, this.lane, this.nest, this.wheel);
    this.info = infoOf(this.lane.ring, read, registeredRingFd, loopFd !== undefined);
    process.on("exit", this.exit);
    adoptTicks();
    this.schedule.request(); // Parks, and lets go of the process unless something was opened by then.
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
      receiveBuffersAvailable: lane.receiveBuffers.available,
    };
  }

  // ---- for owners of operations ----------------------------------------------------------------------------------

  /** Calls `target.flush()` before the next submission. The caller sees to it that it is scheduled once. */
  scheduleFlush(target: Flushable): void {
    this.flushes.add(target);
    this.wake();
    const { pendingExchanges } = this;
    if (pendingExchanges === 0 || pendingExchanges > EAGER_EXCHANGES_MAX || this.eager || isInTurn()) return;
    // What an immediate answers has others behind it that answer, too.
    if (this.turn.sawTimers) return;
    this.eager = true;
    outside(queueMicrotask, this.submitEagerly);
  }

  /**
   * A job behind the one that has answered, while few exchanges are under way: to wait for each other, they would take turns
   * with the clients.
   */
  private readonly submitEagerly = (): void => {
    this.eager = false;
    if (!this.isOver) this.submitFinished();
  };

  /** There is work: a parked reactor takes a turn. */
  wake(): void {
    if (this.schedule.isParked) this.schedule.request();
  }

  /** The clock, in milliseconds. Read anew each time (5 ns): whoever asks may be outside of a turn, or behind a long handler. */
  get nowMs(): number {
    return performance.now();
  }

  /** Arms or moves an entry's deadline, `delayMs` from now: also outside of a turn, and while the reactor is parked. */
  setDeadline(entry: WheelEntry, delayMs: number): void {
    this.wheel.set(entry, performance.now(), delayMs);
    this.wake(); // Parks anew, with a timer for it.
  }

  /**
   * Between the handlers of one completion: lets what is finished leave, if handlers have held the thread for too long. May
   * call handlers of others, in `onDrain`.
   */
  relieve(): void {
    if (this.turn.isLate) this.submitFinished();
  }

  /** Hands what is written so far to the kernel now, which a program does that ends its connections next. */
  submitFinished(): void {
    if (this.flushes.isEmpty && this.lane.ring.unpublished === 0) return;
    this.flushes.flush();
    this.submit();
  }

  /** Hands all entries to the kernel. Waits for a completion for at most `waitUs`: see Submission. */
  submit(waitUs = 0, limited = false): void {
    this.unsubmittedBytes = 0;
    this.turn.submittedMs = performance.now();
    this.lane.submit(waitUs, limited);
  }

  /** Holds the process alive, as an open socket does. */
  ref(): void {
    this.references++;
    if (this.references === 1) this.wake(); // Parks anew, holding the process.
  }

  unref(): void {
    this.references--;
    if (this.references === 0) this.wake(); // Parks anew, without holding the process.
  }

  get isReferenced(): boolean {
    return this.references > 0;
  }

  /** Closed, or broken: no turn comes any more. */
  get isOver(): boolean {
    return this.closed || this.lane.isBroken;
  }

  // ---- the turn --------------------------------------------------------------------------------------------------

  /** Whoever has scheduled it, perhaps in a context of theirs. */
  private readonly begin = (): void => outside(asEventLoop, this.takeTurn);

  private readonly takeTurn = (): void => {
    if (this.isOver) return;
    const { schedule, turn } = this;
    // First of all: a handler may run Bun's loop until something happens (`expect(promise).resolves`), which may come from
    // the ring.
    schedule.repeat();
    this.turns++;
    try {
      turn.run();
    } catch (error) {
      reportError(error); // Thrown on, Bun would show this place and not the handler's.
    } finally {
      if (!this.isOver) {
        if (schedule.isParked)
          schedule.request(); // A turn inside this one may have parked.
        else if (turn.isIdle) schedule.park();
        else if (turn.mayRest) schedule.rest();
      }
    }
  };

  // ---- the end ---------------------------------------------------------------------------------------------------

  /** The lane has seen that the kernel cannot be relied on. */
  breakOff(error: RingIntegrityError): void {
    this.schedule.waker.disarm(false);
    // In the method's place, since a question in it would be asked for each flush.
    this.scheduleFlush = () => {
      throw error;
    };
  }

  /** Gives memory back that idle moments do not need. */
  trim(): void {
    this.arena.trim();
    this.lane.trim();
  }

  /** Cancels nothing and waits for nothing: for tests, with everything closed. Throws when something is still in flight. */
  close(): void {
    if (this.closed) return;
    this.turn.quiesce();
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
   * The process ends, perhaps from inside a handler: what was written before is handed to the kernel, which sends it without
   * us.
   */
  private readonly exit = (): void => {
    const { ring } = this.lane;
    try {
      this.flushes.flush();
      this.submit();
      if (!ring.sqpoll) return;
      // The SQ thread sends with what it takes; nobody else would.
      for (const end = performance.now() + EXIT_MS_MAX; ring.sqReady > 0 && performance.now() < end;);
    } catch {
      // Somebody's handler, or a ring that is no good any more: it ends all the same.
    }
  };
}

/** For tests: see faults.ts. */
function faultsFromEnvironment(): Faults | undefined {
  if (!process.env.RINGLOOP_FAULTS) return undefined;
  return (require("./faults/faults.ts") as typeof import("./faults/faults.ts")).Faults.fromEnvironment();
}
