/**
 * Calls of the program by the event loop, and what they leave behind: ticks and promise jobs.
 *
 * The rule is Bun's. What a callback leaves in those queues runs as soon as the callback has returned to the event loop: before the next
 * message of the same segment, before `close`, before the next request; ticks first. A callback to which a call of the program has led (`close`
 * inside of `terminate()`) returns to the program, and the queues wait.
 *
 * Bun runs its own queue of ticks only behind the promise jobs when it is asked from JavaScript. So ticks of ring callbacks have a queue here,
 * and `process.nextTick` is replaced by a function that fills it inside of a turn, and calls Bun's at any other time.
 *
 * Guarantees: jobs never run inside of a function of the program; ticks run in the async context in which they were asked for, jobs outside of
 * every other.
 */
import { drainMicrotasks } from "bun:jsc";
import { type AsyncContext, currentContext, outside } from "./async-context.ts";

interface Tick {
  context: AsyncContext;
  callback: (...args: unknown[]) => void;
  args: unknown[];
}

/** Functions of the program on the stack. Outside of a turn there may be some that nobody has counted. */
let depth = 1;
/** Turns on the stack. */
let turns = 0;

let ticks: Tick[] = [];
let nextTick: typeof process.nextTick | undefined;

let calls = 0;
let answers = 0;

/** How often the program has been called; what it has left in Bun's loop cannot be seen. */
export function programCalls(): number {
  return calls;
}

/** A request is answered: nobody waits for what its handler may have left in Bun's loop. */
export function answered(): void {
  answers++;
}

/** How many calls of the program there were for which nothing was answered. */
export function openCalls(): number {
  return calls - answers;
}

/** Whether the event loop has called what runs now, perhaps by way of the program. */
export function isInTurn(): boolean {
  return turns > 0;
}

/** Goes before a call of the program, `leaveProgram` after it, also where it throws. */
export function enterProgram(): void {
  depth++;
  calls++;
}

export function leaveProgram(): void {
  depth--;
}

/** Runs the ticks and promise jobs that are due, unless a function of the program is on the stack. They may do anything that a program can do. */
export function runJobs(): void {
  if (depth !== 0) return;
  do {
    if (ticks.length > 0) runTicks();
    outside(drainMicrotasks);
  } while (ticks.length > 0);
}

/** Calls `turn` as the event loop: perhaps inside of a function of the program that runs Bun's loop itself. */
export function asEventLoop(turn: () => void): void {
  const outer = depth;
  depth = 0;
  turns++;
  try {
    if (ticks.length > 0) runJobs();
    turn();
  } finally {
    if (ticks.length > 0) runJobs(); // Of a function that threw.
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

function runTicks(): void {
  while (ticks.length > 0) {
    const due = ticks;
    ticks = [];
    for (let i = 0; i < due.length; i++) {
      const { context, callback, args } = due[i]!;
      enterProgram();
      try {
        context(callback, ...args);
      } catch (error) {
        rethrow(error);
      } finally {
        leaveProgram();
      }
    }
  }
}

/** Bun reports it as uncaught, as it does what a tick throws. */
function rethrow(error: unknown): void {
  nextTick!(() => {
    throw error;
  });
}
