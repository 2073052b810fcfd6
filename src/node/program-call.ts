/** Calls of the program by node:http's connections. */
import { answered, enterProgram, leaveProgram, openCalls, runJobs } from "../sys/program.ts";
import type { NodeHost } from "./host.ts";
import type { NodeRequestParser } from "./request-parser.ts";
import type { ResponseHandle } from "./response-handle.ts";
import type { SocketHandle } from "./socket-handle.ts";

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

/**
 * Hands a request to node:http, which calls the program's listeners, and runs the ticks and promise
 * jobs that they leave behind. `parser` has parsed its head, which begins `text`; the results are
 * read before a listener runs. `connectHead` has the first bytes of a tunnel, if they are there.
 */
export function announceRequest(
  host: NodeHost,
  socket: SocketHandle,
  handle: ResponseHandle,
  parser: NodeRequestParser,
  text: string,
  hasBody: boolean,
  isPipelined: boolean,
  connectHead: Buffer | undefined,
): void {
  const { method, bits, minorVersion, targetStart, targetEnd } = parser;
  const target = text.slice(targetStart, targetEnd);
  const open = openCalls();
  enterProgram();
  try {
    host.onRequest(
      host.native,
      target,
      method,
      bits,
      handle,
      hasBody,
      socket,
      false,
      socket.duplex,
      minorVersion === 0,
      connectHead,
      isPipelined,
    );
  } catch (error) {
    throwUncaught(error);
    handle.endAfterThrow();
  } finally {
    leaveProgram();
  }
  runJobs();
  // Nobody waits for work that an answered request left behind, such as node:http's ticks.
  if (handle.finished) while (openCalls() > open) answered();
}

/** Passes an error to the listeners of "uncaughtException". Without one, the process ends. */
export function throwUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
