/**
 * Calls of the handlers of a WebSocket.
 *
 * Guarantees: a handler runs in the async context in which the program passed it to the server. An
 * error that a handler throws goes to the handler `error`, or is uncaught. It affects no other
 * socket.
 */
import { currentContext, outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import { CloseCode } from "../../websocket/frame-parser.ts";
import { leave } from "./ending.ts";
import { isOpen } from "./socket-state.ts";
import type { ServerWebSocket } from "./socket.ts";

type Handler<Argument extends unknown[]> = (socket: ServerWebSocket, ...rest: Argument) => unknown;

/** Calls a handler with what the client has sent, as the event loop. */
export function give(socket: ServerWebSocket, handler: Handler<[any]>, received: unknown): void {
  outside(callWith, socket, handler, received);
  runJobs();
}

/** Calls a handler for another event. A call of the program may have caused the event. */
export function call<Argument extends unknown[]>(
  socket: ServerWebSocket,
  handler: Handler<Argument> | undefined,
  ...rest: Argument
): void {
  if (handler === undefined) return;
  currentContext()(callWithAll, socket, handler as Handler<any[]>, rest);
  runJobs();
}

/** Calls the handler `open`. If it throws, the socket ends, as in Bun. */
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
