/**
 * Calls of the handlers of a stream socket.
 *
 * Guarantees: a handler runs in the async context in which the program gave it. What it throws, or
 * rejects with, goes to the handler `error`. Without that handler, or from it, the error is uncaught.
 */
import { currentContext, outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import type { Socket } from "./socket.ts";

export type Handler = (socket: any, argument?: any) => unknown;

/** Stands for no argument: the handler gets only the socket. */
export const NONE = Symbol("none");

/** Calls the handler `data` with what the peer has sent, as the event loop. */
export function give(socket: Socket<any>, handler: Handler, received: unknown): void {
  outside(run, socket, "data", handler, received);
  runJobs();
}

/** Calls a handler for another event. A call of the program may have caused the event. */
export function call(socket: Socket<any>, name: string, handler: Handler | undefined, argument: unknown): void {
  if (handler === undefined) return;
  currentContext()(run, socket, name, handler, argument);
  runJobs();
}

/**
 * Calls the handler `open`. Returns whether it throws or returns an Error: then, as in Bun, the
 * socket closes. A rejection is unhandled. The caller runs the jobs, after the close.
 */
export function callOpen(socket: Socket<any>, handler: Handler): boolean {
  return currentContext()(runOpen, socket, handler);
}

function run(socket: Socket<any>, name: string, handler: Handler, argument: unknown): void {
  let result: unknown;
  enterProgram();
  try {
    result = argument === NONE ? handler.call(socket, socket) : handler.call(socket, socket, argument);
  } catch (error) {
    return fail(socket, name, error);
  } finally {
    leaveProgram();
  }
  if (result instanceof Promise) result.catch((error) => fail(socket, name, error));
}

function runOpen(socket: Socket<any>, handler: Handler): boolean {
  let error: unknown;
  enterProgram();
  try {
    const result = handler.call(socket, socket);
    if (!(result instanceof Error)) return false;
    error = result;
  } catch (thrown) {
    error = thrown;
  } finally {
    leaveProgram();
  }
  fail(socket, "open", error);
  return true;
}

function fail(socket: Socket<any>, name: string, error: unknown): void {
  const { errorHandler } = socket;
  if (errorHandler === undefined || name === "error") throw error;
  call(socket, "error", errorHandler, error);
}
