/** Calls of the program by node:http's connections. */
import { enterProgram, leaveProgram, runJobs } from "../sys/program.ts";

/**
 * Calls a function that may run listeners of the program, and then runs the ticks and promise jobs
 * that they leave behind. An error that they throw is uncaught, as in Bun.
 */
export function callProgram<Args extends unknown[]>(call: (...args: Args) => unknown, ...args: Args): void {
  enterProgram();
  try {
    call(...args);
  } catch (error) {
    throwUncaught(error);
  } finally {
    leaveProgram();
  }
  runJobs();
}

/** Passes an error to the listeners of "uncaughtException". Without one, the process ends. */
export function throwUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
