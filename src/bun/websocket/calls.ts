/**
 * Calls of a WebSocket's handlers.
 *
 * Guarantees: each runs in the async context in which it was handed over; one that throws harms nobody else: the handler
 * `error` hears of it, or the error is uncaught.
 */
import { currentContext, outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import { CloseCode } from "../../websocket/frame-parser.ts";
import { leave } from "./ending.ts";
import { isOpen } from "./socket-state.ts";
import type { ServerWebSocket } from "./socket.ts";

type Handler<Argument extends unknown[]> = (socket: ServerWebSocket, ...rest: Argument) => unknown;

/** With what the client has sent: the event loop calls. */
export function give(socket: ServerWebSocket, handler: Handler<[any]>, received: unknown): void {
  outside(callWith, socket, handler, received);
  runJobs();
}

/** With what else happens, perhaps by a call of the program. */
export function call<Argument extends unknown[]>(
  socket: ServerWebSocket,
  handler: Handler<Argument> | undefined,
  ...rest: Argument
): void {
  if (handler === undefined) return;
  currentContext()(callWithAll, socket, handler as Handler<any[]>, rest);
  runJobs();
}

/** The handler `open`. As in Bun, a socket whose beginning failed does not go on. */
export function open(socket: ServerWebSocket, handler: Handler<[]> | undefined): void {
  if (handler === undefined) return;
  currentContext()(callOpen, socket, handler);
  runJobs();
}

function callWith(socket: ServerWebSocket, handler: Handler<[any]>, received: unknown): void {
  enterProgram();
  try {
    handler(socket, received);
  } catch (error) {
    socket.hub.failed(error, socket);
  } finally {
    leaveProgram();
  }
}

function callWithAll(socket: ServerWebSocket, handler: Handler<any[]>, rest: unknown[]): void {
  enterProgram();
  try {
    handler(socket, ...rest);
  } catch (error) {
    socket.hub.failed(error, socket);
  } finally {
    leaveProgram();
  }
}

function callOpen(socket: ServerWebSocket, handler: Handler<[]>): void {
  enterProgram();
  try {
    handler(socket);
  } catch (error) {
    if (isOpen(socket)) leave(socket, CloseCode.Abnormal, "", true);
    socket.hub.failed(error, socket);
  } finally {
    leaveProgram();
  }
}
