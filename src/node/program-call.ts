/** Calls of the program by node:http's connections. */
import { enterProgram, leaveProgram, runJobs } from "../sys/program.ts";

/** Calls a function that may run listeners of the program, and then what they leave behind. What they throw is uncaught, as in Bun. */
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

/** The listeners of "uncaughtException" hear of it, or the process ends. */
export function throwUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
