/**
 * Calls of the program by the event loop, and the ticks and promise jobs that these calls leave
 * behind.
 *
 * The rule is Bun's. The ticks and jobs of a callback run as soon as the callback has returned to
 * the event loop. So they run before the next message of the same segment, before `close`, and
 * before the next request. Ticks run first. Some callbacks run inside of a call of the program
 * (`close` inside of `terminate()`). They return to the program, and their ticks and jobs wait.
 *
 * When JavaScript asks Bun to run its queues, Bun runs its own ticks only after the promise jobs.
 * So this file has a queue for the ticks of ring callbacks. A function that replaces
 * `process.nextTick` fills this queue inside of a turn, and calls Bun's function at any other time.
 *
 * Guarantees: jobs never run inside of a function of the program. Ticks run in the async context in
 * which they were requested; jobs run outside of every other context.
 */
import { drainMicrotasks } from "bun:jsc";
import { type AsyncContext, currentContext, outside } from "./async-context.ts";

interface Tick {
  context: AsyncContext;
  callback: (...args: unknown[]) => void;
  args: unknown[];
}

/**
 * Number of functions of the program on the stack. Outside of a turn, the stack may have functions
 * that are not counted.
 */
let depth = 1;
/** Number of turns on the stack. */
let turns = 0;

let ticks: Tick[] = [];
let nextTick: typeof process.nextTick | undefined;

let calls = 0;
let answers = 0;

/**
 * Returns how many times the program has been called. Work that a call has left in Bun's loop is
 * not visible.
 */
export function programCalls(): number {
  return calls;
}

/**
 * Counts an answered request. Nobody waits for work that its handler may have left in Bun's loop.
 */
export function answered(): void {
  answers++;
}

/** Returns the number of calls of the program without an answer. */
export function openCalls(): number {
  return calls - answers;
}

/** Whether the event loop has called the code that runs now, directly or through the program. */
export function isInTurn(): boolean {
  return turns > 0;
}

/** Counts a call of the program that begins. `leaveProgram` follows the call, also if it throws. */
export function enterProgram(): void {
  depth++;
  calls++;
}

export function leaveProgram(): void {
  depth--;
}

/**
 * Runs the ticks and promise jobs that are due, unless a function of the program is on the stack.
 * They may do anything that a program can do.
 */
export function runJobs(): void {
  if (depth !== 0) return;
  do {
    if (ticks.length > 0) runTicks();
    outside(drainMicrotasks);
  } while (ticks.length > 0);
}

/**
 * Calls `turn` as the event loop. It may do so inside of a function of the program that runs Bun's
 * loop itself.
 */
export function asEventLoop(turn: () => void): void {
  const outer = depth;
  depth = 0;
  turns++;
  try {
    if (ticks.length > 0) runJobs();
    turn();
  } finally {
    if (ticks.length > 0) runJobs(); // Ticks of a function that threw.
    turns--;
    depth = outer;
  }
}

/** Replaces `process.nextTick`, once for each thread. */
export function adoptTicks(): void {
  if (nextTick !== undefined) return;
  const own = (nextTick = process.nextTick);
  const replaced = {
    nextTick(callback: Tick["callback"], ...args: unknown[]): void {
      if (turns === 0 || typeof callback !== "function") own(callback, ...args);
      else ticks.push({ context: currentContext(), callback, args });
    },
  };
  process.nextTick = replaced.nextTick;
}

/** Runs all ticks. Those that run one after another are one call of the program. */
function runTicks(): void {
  while (ticks.length > 0) {
    const due = ticks;
    ticks = [];
    for (let at = 0; at < due.length;) {
      enterProgram();
      try {
        while (at < due.length) run(due[at++]!);
      } catch (error) {
        rethrow(error);
      } finally {
        leaveProgram();
      }
    }
  }
}

/** Calls without a spread, which costs as much as the rest of a tick. */
function run({ context, callback, args }: Tick): void {
  switch (args.length) {
    case 0:
      return context(callback);
    case 1:
      return context(callback, args[0]);
    case 2:
      return context(callback, args[0], args[1]);
    case 3:
      return context(callback, args[0], args[1], args[2]);
    default:
      context(callback, ...args);
  }
}

/** Throws the error from a tick of Bun's. Bun reports it as uncaught, as for any tick. */
function rethrow(error: unknown): void {
  nextTick!(() => {
    throw error;
  });
}
