/**
 * The event loop: io_uring outside, Bun's epoll inside.
 *
 * A turn is a setImmediate callback. It reaps completions, dispatches each, submits what the handlers wrote, and waits in the ring,
 * until Bun has work of its own (its epoll descriptor is polled by the ring) or a millisecond is over (Bun's timers cannot be
 * seen from outside). After idle turns the reactor parks: it schedules nothing, Bun sleeps in its own wait, and a completion wakes it
 * through an eventfd.
 *
 * Guarantees: completions are dispatched after the reap, never inside it; promise jobs run after each; each is dispatched outside of every
 * async context, whoever scheduled the turn and whatever the one before has entered; Bun's timers, immediates and I/O are served at least
 * every millisecond plus one handler; the ring goes on while a handler runs Bun's loop itself, in turns inside the turn; an idle process
 * uses no CPU; a process in which nothing is referenced exits.
 */
import { IORING_CQE_F_MORE, IORING_FEAT_EXT_ARG, IORING_FEAT_FAST_POLL, IORING_FEAT_NODROP } from "../sys/abi.ts";
import { outside } from "../sys/async-context.ts";
import { ENOSYS, SystemError } from "../sys/errno.ts";
import { owned } from "../sys/owned.ts";
import { adoptTicks, asEventLoop, isInTurn, openCalls, programCalls, runJobs } from "../sys/program.ts";
import { Arena } from "../ring/arena.ts";
import { BufferRing, type BufferRingOptions, RingIntegrityError } from "../ring/buffer-ring.ts";
import { featureNames, receivesMultishot } from "../ring/features.ts";
import type { Ring } from "../ring/ring.ts";
import type { Sqe } from "../ring/sqe.ts";
import { Batch } from "./batch.ts";
import { findEventLoopFd } from "./bun-loop.ts";
import type { Faults } from "./faults.ts";
import { type Flushable, FlushQueue } from "./flush-queue.ts";
import { Nest } from "./nest.ts";
import { openRing, requestedMode, resolveMode } from "./mode.ts";
import { MULTISHOT_KIND, type OperationOwner, OpTable } from "./op-table.ts";
import { Operations } from "./operations.ts";
import { type ReactorInfo, type ReactorOptions, type ReactorStats, readOptions } from "./options.ts";
import { Submission } from "./submission.ts";
import { Waker } from "./waker.ts";
import { Wheel, WHEEL_TICK_MS, type WheelEntry } from "./wheel.ts";

/** A turn hands the thread to Bun after this time at the latest. */
const TURN_MS = 1;
/** The same while the program uses timers, which cannot be seen from outside. */
const SHORT_TURN_MS = 0.25;
/** So long after the program has made a timer or an immediate, more are expected. */
const TIMERS_MS = 1000;
/** How many chances to rest go by after one that did not pay. */
const RESTLESS_TURNS = 256;
/** With so many exchanges in the program's hands, what it answers outside of a turn leaves at once; with more, they leave together. */
const EAGER_EXCHANGES_MAX = 6;
/** So long without anything to do, and the reactor parks. */
const PARK_AFTER_MS = 10;
/** What is finished waits for other handlers no longer than this, and after a handler that took as long, for none of the next ones. */
const FINISHED_MS_MAX = 0.5;
/** With so few completions at once, what is finished waits for the next handler no longer than this, a few handlers' time. */
const EAGER_COMPLETIONS_MAX = 6;
const EAGER_MS = 0.004;
const HASTY_COMPLETIONS = 64;
/** What was written since the last submission is submitted from this on, while it is still in the processor's cache. */
export const EARLY_SUBMIT_BYTES = 262144;
/** How long an ending process waits for the SQ thread to take what is queued. */
const EXIT_MS_MAX = 100;
const RECEIVE_GROUP = 0;
const INITIAL_RECEIVE_BUFFERS = 128;
const BATCH_COMPLETIONS = 2048;

export class Reactor extends Operations {
  /** Nobody else's: a completion of an entry that is not tagged would be taken for somebody's, or for a lie of the kernel's. */
  private readonly ring: Ring;
  readonly info: ReactorInfo;
  readonly operations = new OpTable();
  /** What is closed, should this thread be a Worker that is terminated. */
  readonly owned = owned();
  /** Memory for what is sent. */
  readonly arena = new Arena();
  /** Memory for what is received. */
  readonly receiveBuffers: BufferRing;
  readonly wheel: Wheel;
  /** Slots of listeners, and the nest's. */
  quietSlots = 1;
  /** Connections from which nothing is expected: the program has the whole request, and has not begun to answer. */
  pendingExchanges = 0;
  /** Bytes that were written for sending since the last submission, or what counts like them; added to by those who write. */
  unsubmittedBytes = 0;

  /** Counted by those who see it happen. */
  readonly counters = { overflows: 0, enobufs: 0, rearms: 0, shortSends: 0, staleCompletions: 0 };

  /** For tests: see faults.ts. */
  readonly faults = faultsFromEnvironment();

  private readonly bufferGroups = new Map<number, BufferRing>();
  private readonly waker: Waker;
  private readonly nest: Nest;
  private readonly batch: Batch;
  private readonly submission: Submission;
  private readonly flushes = new FlushQueue();
  private starved: Flushable[] = [];
  private references = 0;
  private immediate: NodeJS.Immediate | undefined;
  private wheelTimer: NodeJS.Timeout | undefined;
  private parked = true;
  /** When handlers began to hold the thread, at the earliest. */
  private submittedMs = 0;
  /** For so many completions, what is finished is submitted at once. */
  private hasty = 0;
  /** The turn found nothing to do, and the next event is most likely Bun's. */
  private mayRest = false;
  /** The last rest was ended by a timer, or by a completion. */
  private restPaid = false;
  private eager = false;
  private restlessTurns = 0;
  /** When the wheel is looked at again, unless the thread stands still. */
  private nextLookMs = Infinity;
  /** When the clock was read last in a turn, when there was something to do, and when a timer of the program's was seen. */
  private lookedMs = 0;
  private busyMs = 0;
  private timersSeenMs = -Infinity;
  private lastTimer = 0;
  private closed = false;
  /** The kernel has contradicted itself: nothing more is read from the ring. */
  private broken = false;
  private sqes = 0;
  private cqes = 0;
  private turns = 0;
  private parks = 0;

  /** Throws SystemError where io_uring cannot be had, LibraryError, and TypeError for a wrong option. */
  constructor(options: ReactorOptions = {}) {
    super();
    const mode = resolveMode(requestedMode(options.mode));
    const read = readOptions(options, mode);
    const { sqEntries, cqEntries, receiveBuffersMax, receiveBufferBytes, sqThreadIdleMs, restrict } = read;
    this.ring = openRing(mode, sqEntries, { cqEntries, sqThreadIdleMs }, restrict);
    this.submission = new Submission(this.ring, read.spinUs, this.faults);
    try {
      requireFeatures(this.ring);
      this.receiveBuffers = this.bufferGroup({
        bgid: RECEIVE_GROUP,
        count: receiveBuffersMax,
        bytes: receiveBufferBytes,
        initial: INITIAL_RECEIVE_BUFFERS,
      });
      if (!receivesMultishot(this.ring, RECEIVE_GROUP)) throw new SystemError(ENOSYS, "io_uring_enter");
      const { faults } = this;
      const wake = (): void => this.arrive();
      // What it watches lives as long as the thread, and would keep the context of whoever needed a reactor first.
      this.waker = outside(() => new Waker(faults === undefined ? wake : () => faults.wake(wake)));
    } catch (error) {
      this.ring.close();
      throw error;
    }
    this.owned.add(this.waker.eventFd);
    this.batch = new Batch(BATCH_COMPLETIONS);
    this.owned.addBatch(this.ring.handle, this.batch.address);
    this.ring.registerEventfd(this.waker.eventFd);
    this.ring.cqEventfdToggle(false);
    const registeredRingFd = this.ring.registerRingFd();
    const loopFd = findEventLoopFd();
    // An sqpoll reactor rarely waits, and its timer would keep waking the SQ thread: it gives each wait a limit.
    this.nest = new Nest(this, loopFd, mode === "defer" ? { longMs: TURN_MS, shortMs: SHORT_TURN_MS } : undefined);
    this.wheel = new Wheel(performance.now());
    const { ring } = this;
    this.info = {
      mode,
      // Few ask, and the names take time to find.
      get setup() {
        return featureNames(ring).setup;
      },
      get features() {
        return featureNames(ring).features;
      },
      get kernel() {
        return (require("node:os") as typeof import("node:os")).release();
      },
      limits: { sqEntries: this.ring.sqEntries, cqEntries: this.ring.cqEntries, receiveBuffersMax, receiveBufferBytes },
      registeredRingFd,
      nestedOverBunsLoop: loopFd !== undefined,
      restricted: restrict,
    };
    process.on("exit", this.exit);
    adoptTicks();
    this.schedule(); // Parks, and lets go of the process unless something was opened by then.
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Reactor ${Bun.inspect({ mode: this.info.mode, ...this.stats() })}`;
  }

  stats(): ReactorStats {
    return {
      enters: this.ring.enters,
      wakeups: this.waker.wakeups,
      sqes: this.sqes,
      cqes: this.cqes,
      ...this.counters,
      turns: this.turns,
      parks: this.parks,
      operationsInFlight: this.operations.inFlight,
      slotsInUse: this.operations.slotsInUse,
      sendBytesInUse: this.arena.bytesInUse,
      receiveBuffersAvailable: this.receiveBuffers.available,
    };
  }

  // ---- for owners of operations ----------------------------------------------------------------------------------

  /** The next submission entry. Prepare it, then `tag` it. */
  nextSqe(): Sqe {
    return this.ring.getSqe() ?? this.makeRoom();
  }

  /** Sees to it that the next `count` entries are submitted together, as linked ones must be. Throws RangeError for more than there are. */
  reserve(count: number): void {
    const { ring } = this;
    if (count > ring.sqEntries)
      throw new RangeError(`a chain takes at most ${ring.sqEntries} entries, timeouts included, not ${count}`);
    while (ring.sqSpaceLeft < count) this.submit(0);
  }

  /** Says whose completion a prepared entry causes, and sees to it that the entry is submitted. */
  tag(sqe: Sqe, slot: number, kind: number): void {
    sqe.tag(slot, this.operations.begin(slot, kind));
    if (this.faults !== undefined) this.faults.disturb(sqe);
    this.sqes++;
    if (this.parked) this.schedule();
  }

  /** Asks the kernel to cancel what was tagged with `slot` and `kind`; the answer is a completion of `slot` and `answerKind`. */
  cancel(slot: number, kind: number, answerKind: number): void {
    this.tag(this.nextSqe().prepCancel(slot, this.operations.tagOf(slot, kind)), slot, answerKind);
  }

  /** The descriptor that is being delivered is the thread's from here on: see DESCRIPTOR_KIND. */
  own(fd: number): void {
    this.owned.add(fd);
    this.batch.take();
  }

  /** Calls `target.flush()` before the next submission. The caller sees to it that it is scheduled once. */
  scheduleFlush(target: Flushable): void {
    this.flushes.add(target);
    if (this.parked) this.schedule();
    const { pendingExchanges } = this;
    if (pendingExchanges === 0 || pendingExchanges > EAGER_EXCHANGES_MAX || this.eager || isInTurn()) return;
    // What an immediate answers has others behind it that answer, too.
    if (this.lookedMs - this.timersSeenMs < TIMERS_MS) return;
    this.eager = true;
    outside(queueMicrotask, this.submitEagerly);
  }

  /** A job behind the one that has answered, while few exchanges are under way: to wait for each other, they would take turns with the clients. */
  private readonly submitEagerly = (): void => {
    this.eager = false;
    if (!this.closed && !this.broken) this.submitFinished();
  };

  /** Calls `target.flush()` when receive buffers have come back: for a receive that ended with ENOBUFS. */
  awaitBuffers(target: Flushable): void {
    this.counters.enobufs++;
    this.starved.push(target);
    if (this.parked) this.schedule();
  }

  /** The group of provided buffers with this id, set up on first use. */
  bufferGroup(options: BufferRingOptions): BufferRing {
    let group = this.bufferGroups.get(options.bgid);
    if (!group) this.bufferGroups.set(options.bgid, (group = new BufferRing(this.ring, options)));
    return group;
  }

  /** Empty slots for files without descriptors. Once for a ring, and throws SystemError: EBUSY where the program has registered files itself. */
  registerFileSlots(count: number): void {
    this.ring.registerFilesSparse(count);
  }

  /** The clock, in milliseconds. Read anew each time (5 ns): whoever asks may be outside of a turn, or behind a long handler. */
  get nowMs(): number {
    return performance.now();
  }

  /** Arms or moves an entry's deadline, `delayMs` from now: also outside of a turn, and while the reactor is parked. */
  setDeadline(entry: WheelEntry, delayMs: number): void {
    this.wheel.set(entry, performance.now(), delayMs);
    if (this.parked) this.schedule(); // Parks anew, with a timer for it.
  }

  /**
   * Between the handlers of one completion: lets what is finished leave, if handlers have held the thread for FINISHED_MS_MAX. May call handlers of
   * others, in `onDrain`.
   */
  relieve(): void {
    if (performance.now() - this.submittedMs >= FINISHED_MS_MAX) this.submitFinished();
  }

  /** Hands what is written so far to the kernel now, which a program does that ends its connections next. */
  submitFinished(): void {
    if (this.flushes.isEmpty && this.ring.unpublished === 0) return;
    this.flushes.flush();
    this.submit(0);
  }

  /** Holds the process alive, as an open socket does. */
  ref(): void {
    this.references++;
    if (this.references === 1 && this.parked) this.schedule(); // Parks anew, holding the process.
  }

  unref(): void {
    this.references--;
    if (this.references === 0 && this.parked) this.schedule(); // Parks anew, without holding the process.
  }

  /** Cancels nothing and waits for nothing: for tests, with everything closed. Throws when something is still in flight. */
  close(): void {
    if (this.closed) return;
    this.quiesce();
    if (this.operations.inFlight > 0)
      throw new Error(`the reactor has ${this.operations.inFlight} operations in flight: close their owners first`);
    this.closed = true;
    process.off("exit", this.exit);
    clearImmediate(this.immediate);
    clearTimeout(this.wheelTimer);
    for (const group of this.bufferGroups.values()) group.close();
    this.ring.close();
    this.batch.close();
    this.arena.close();
    this.closeOperations();
    this.nest.close();
    this.owned.delete(this.waker.eventFd);
    this.waker.close();
  }

  /** The process ends, perhaps from inside a handler: what was written before is handed to the kernel, which sends it without us. */
  private readonly exit = (): void => {
    try {
      this.flushes.flush();
      this.submit(0);
      if (!this.ring.sqpoll) return;
      // The SQ thread sends with what it takes; nobody else would.
      for (const end = performance.now() + EXIT_MS_MAX; this.ring.sqReady > 0 && performance.now() < end;);
    } catch {
      // Somebody's handler, or a ring that is no good any more: it ends all the same.
    }
  };

  // ---- the turn --------------------------------------------------------------------------------------------------

  private schedule(): void {
    if (this.immediate !== undefined || this.closed || this.broken) return;
    this.leavePark();
    this.immediate = setImmediate(this.turn);
    this.lastTimer = Number(this.immediate);
  }

  private leavePark(): void {
    if (!this.parked) return;
    this.parked = false;
    this.busyMs = performance.now();
    this.ring.cqEventfdToggle(false);
    this.waker.disarm(this.references > 0);
    clearTimeout(this.wheelTimer);
    this.wheelTimer = undefined;
  }

  /** The waker saw a signal. This is a promise job: the turn, which runs jobs itself, waits until it is over. */
  private arrive(): void {
    if (this.closed || !this.parked) return;
    if (this.hasKernelWork()) this.schedule();
    else this.waker.arm(this.references > 0);
  }

  /** Whoever has scheduled it, perhaps in a context of theirs. */
  private readonly turn = (): void => outside(asEventLoop, this.takeTurn);

  private readonly takeTurn = (): void => {
    if (this.closed || this.broken) return;
    // First of all: a handler may run Bun's loop until something happens (`expect(promise).resolves`), which may come from the ring.
    this.immediate = setImmediate(this.turn);
    this.turns++;
    try {
      this.run();
    } catch (error) {
      reportError(error); // Thrown on, Bun would show this place and not the handler's.
    } finally {
      if (!this.closed && !this.broken) {
        // A turn inside this one may have parked.
        if (this.parked) this.schedule();
        else if (this.lookedMs - this.busyMs >= PARK_AFTER_MS) this.park();
        else if (this.mayRest) this.rest();
      }
    }
  };

  /**
   * One turn's work. An error of a handler leaves it; what was not dispatched yet is dispatched in the next turn.
   *
   * The turn waits in the ring only when nothing of the program's can be left in Bun's loop, where it cannot be seen: an immediate, the flush of
   * a database's socket, a deferred task. So a turn in which the program was called does not wait, nor does one before which the program has
   * made a timer or an immediate. Where each call was a request's handler that has answered, nobody waits for what it left: the turn goes on with
   * the requests that have come meanwhile, for SHORT_TURN_MS.
   */
  private run(): void {
    const { nest } = this;
    const startMs = performance.now();
    const seesTimers = this.seesTimers();
    if (seesTimers) this.timersSeenMs = startMs;
    // A Bun that numbers nothing may have some at any time.
    const expectsTimers = startMs - this.timersSeenMs < TIMERS_MS || Number.isNaN(this.lastTimer);
    const end = startMs + (expectsTimers ? SHORT_TURN_MS : TURN_MS);
    let mayWait = !seesTimers;
    nest.ready = this.mayRest = false;
    for (;;) {
      const own = this.cqes - nest.completions;
      const calls = programCalls();
      const open = openCalls();
      this.dispatch(end);
      if (this.broken || this.closed) return;
      if (this.starved.length > 0) this.feedStarved();
      const isBusy = this.cqes - nest.completions !== own || !this.flushes.isEmpty;
      this.flushes.flush();
      const remainingMs = end - this.look();
      if (isBusy || this.hasBatch) this.busyMs = this.lookedMs;
      const ran = this.cqes - nest.completions !== own || programCalls() !== calls;
      if (nest.wokeRest) {
        nest.wokeRest = this.restPaid = false;
        this.restlessTurns = RESTLESS_TURNS;
      }
      const isCalm = !ran && mayWait && !nest.ready;
      if (remainingMs > 0 && this.shouldRest(expectsTimers, isCalm)) {
        this.submit(0);
        this.mayRest = true;
        return;
      }
      if (!isCalm || remainingMs <= 0) {
        this.submit(0);
        const isAnswered = openCalls() <= open && this.pendingExchanges === 0;
        if (ran && isAnswered && mayWait && !nest.ready && !expectsTimers && this.lookedMs - startMs < SHORT_TURN_MS)
          if (this.ring.cqReady > 0) continue;
        return;
      }
      mayWait = false;
      // A timer of the ring that is still armed would wake a reactor that rests.
      const rests = expectsTimers && this.restPaid;
      nest.arm(rests ? undefined : expectsTimers);
      this.submit(remainingMs * 1000, rests);
    }
  }

  /**
   * Whether Bun's loop is the better place to wait: everything that is under way is the program's, and what comes next is one of its timers, which
   * Bun knows. A descriptor of Bun's would wake the reactor twice, by the nest's poll and by what the program does then; after it has, the
   * reactor waits in the ring for a while.
   */
  private shouldRest(expectsTimers: boolean, isCalm: boolean): boolean {
    const { pendingExchanges } = this;
    if (!expectsTimers || pendingExchanges === 0) return false;
    if (this.operations.slotsInUse !== this.quietSlots + pendingExchanges) return false;
    if (this.restlessTurns > 0) {
      this.restlessTurns--;
      return false;
    }
    return isCalm || this.restPaid;
  }

  /** Whether the program has made a timer or an immediate since this was asked. Bun numbers them all. */
  private seesTimers(): boolean {
    const last = this.lastTimer;
    this.lastTimer = Number(this.immediate);
    return this.lastTimer !== last + 1 && !Number.isNaN(this.lastTimer);
  }

  /**
   * Reads the clock, and lets the wheel's timers fire. The time in which the thread stood still (SIGSTOP, a debugger, a long handler) counts for
   * nobody's deadline: nobody was listened to meanwhile.
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

  /** Reaps and dispatches until the completion queue is empty, or the turn is over. Returns how many it dispatched. */
  private dispatch(end: number): number {
    const { batch, operations } = this;
    const { completions } = batch;
    let dispatched = 0;
    let before = performance.now();
    for (;;) {
      if (batch.next === batch.count) {
        if (this.broken || this.closed) return dispatched; // By a turn inside this one.
        batch.next = batch.count = 0;
        batch.count =
          this.faults === undefined
            ? this.ring.reap(completions)
            : this.faults.reap(this.ring, completions, operations);
        if (batch.count === 0) return dispatched;
      }
      while (batch.next < batch.count) {
        const at = batch.next++ * 4;
        const slot = completions[at]!;
        const high = completions[at + 1]! >>> 0;
        const kind = high & 0xff;
        const flags = completions[at + 3]!;
        if (slot < 0 || slot >= operations.capacity)
          this.breakOff(new RingIntegrityError(`completion names slot ${slot} of ${operations.capacity}`));
        const owner = operations.ownerOf(slot, high);
        if (owner === undefined) {
          this.counters.staleCompletions++;
          continue;
        }
        const isLast = (flags & IORING_CQE_F_MORE) === 0;
        if (isLast) operations.end(slot, kind);
        else if (kind < MULTISHOT_KIND)
          this.breakOff(new RingIntegrityError("completion promises more of an operation that completes once"));
        this.cqes++;
        dispatched++;
        try {
          outside(complete, owner, kind, completions[at + 2]!, flags);
        } catch (error) {
          if (error instanceof RingIntegrityError) this.breakOff(error);
          throw error;
        } finally {
          if (isLast) operations.settle(slot);
        }
        runJobs();
        const now = performance.now();
        if (now - before >= FINISHED_MS_MAX) this.hasty = HASTY_COMPLETIONS;
        if (this.hasty > 0) {
          // Handlers take their time, and so may the next one.
          this.hasty--;
          this.submitFinished();
        } else if (this.unsubmittedBytes >= EARLY_SUBMIT_BYTES || now - this.submittedMs >= this.patienceMs)
          this.submitFinished();
        if (now >= end) return dispatched;
        before = now;
      }
    }
  }

  /**
   * How long what is finished waits for the handlers of other completions. Where they are few, each peer that waits is a good part of the load:
   * were all answered together, the peers and this thread would take turns.
   */
  private get patienceMs(): number {
    const { next, count } = this.batch;
    if (next === count) return FINISHED_MS_MAX; // The turn submits next.
    return count <= EAGER_COMPLETIONS_MAX ? EAGER_MS : FINISHED_MS_MAX;
  }

  /** Fatal, even to a program that catches everything, whose further calls throw it: what the kernel says cannot be relied on. */
  private breakOff(error: RingIntegrityError): never {
    this.broken = true;
    this.batch.next = this.batch.count; // A turn around this one reads no more, either.
    this.waker.disarm(false);
    // In the methods' place, since a question in them would be asked for each operation.
    this.nextSqe = this.scheduleFlush = () => {
      throw error;
    };
    throw error;
  }

  private feedStarved(): void {
    // Every buffer is back at the end of a dispatch; where they were still too few, twice as many circulate from now on.
    this.receiveBuffers.grow();
    for (const target of this.starved.splice(0)) this.flushes.add(target);
  }

  /** See Submission. */
  private submit(waitUs: number, limited = false): void {
    this.unsubmittedBytes = 0;
    this.submittedMs = performance.now();
    if (this.ring.cqHasOverflow) this.counters.overflows++;
    this.receiveBuffers.publish();
    this.submission.submit(waitUs, limited);
  }

  /** A full submission queue: submits what is there. */
  private makeRoom(): Sqe {
    if (!this.ring.sqpoll) this.submit(0);
    return this.ring.getSqe() ?? this.submission.waitForRoom();
  }

  // ---- parking ---------------------------------------------------------------------------------------------------

  /** Completions that are reaped, and wait for the next turn. */
  private get hasBatch(): boolean {
    return this.batch.next < this.batch.count;
  }

  private hasKernelWork(): boolean {
    return this.ring.cqReady > 0 || (this.ring.kernelFlags & ~1) !== 0; // All but NEED_WAKEUP: overflow, task work.
  }

  private park(): void {
    // While parked, a poll of Bun's loop would signal the eventfd for Bun's own events, and the eventfd is one of them.
    let calm = false;
    try {
      calm = this.quiesce(); // Somebody's handler may throw in it.
    } finally {
      if (!calm) {
        this.busyMs = performance.now();
        this.schedule();
      }
    }
    if (!calm) return;
    this.sleep();
    if (!this.parked) return;
    this.parks++;
    this.arena.trim();
    this.trimOperations();
    // In defer the kernel writes only while it is entered. An SQ thread might be writing now.
    if (!this.ring.sqpoll) this.receiveBuffers.trim();
  }

  private rest(): void {
    this.restPaid = true; // Unless the nest finds otherwise.
    this.nest.rest();
    this.sleep();
  }

  /** Schedules nothing until a completion wakes the reactor, or somebody who has work for it. */
  private sleep(): void {
    const { ring } = this;
    clearImmediate(this.immediate);
    this.immediate = undefined;
    this.parked = true;
    ring.cqEventfdToggle(true);
    // Whatever came before the eventfd was enabled has not signalled it. And the kernel may have refused what was to be submitted (EAGAIN, EBUSY).
    const isUnsubmitted = ring.unpublished > 0 || (!ring.sqpoll && ring.sqReady > 0);
    if (this.hasBatch || this.hasKernelWork() || !this.flushes.isEmpty || isUnsubmitted) {
      this.schedule();
      return;
    }
    if (this.references > 0 || this.operations.inFlight > 0) this.waker.arm(this.references > 0);
    else this.waker.disarm(false);
    if (this.faults?.wakesForNothing()) this.waker.signal();
    this.armWheelTimer();
  }

  /** Takes the nest's operations out of the ring. Returns false when somebody's completion came meanwhile. */
  private quiesce(): boolean {
    const { nest } = this;
    const own = this.cqes - nest.completions;
    while (nest.inFlight > 0) {
      nest.disarm();
      this.submit(TURN_MS * 1000);
      this.dispatch(Infinity);
    }
    return this.cqes - nest.completions === own && this.flushes.isEmpty;
  }

  private armWheelTimer(): void {
    const now = performance.now();
    const delay = this.wheel.untilNextMs(now);
    this.nextLookMs = now + delay + 1;
    if (delay === Infinity) return;
    this.wheelTimer = setTimeout(() => this.schedule(), delay + 1);
    this.wheelTimer.unref();
  }
}

function complete(owner: OperationOwner, kind: number, result: number, flags: number): void {
  owner.complete(kind, result, flags);
}

function faultsFromEnvironment(): Faults | undefined {
  if (!process.env.RINGLOOP_FAULTS) return undefined;
  return (require("./faults.ts") as typeof import("./faults.ts")).Faults.fromEnvironment();
}

/** A kernel that has io_uring but not enough of it is to programs as one that has none. */
function requireFeatures(ring: Ring): void {
  const required = [IORING_FEAT_FAST_POLL, IORING_FEAT_NODROP, IORING_FEAT_EXT_ARG];
  if (required.some((bit) => (ring.features & bit) === 0)) throw new SystemError(ENOSYS, "io_uring_setup");
}
