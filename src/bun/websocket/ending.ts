/**
 * The end of a WebSocket. The program, the client, the idle timeout or a broken transport causes
 * it.
 *
 * Guarantees: the handler `close` is called once, as the last handler. A socket that has ended is
 * in no topic.
 */
import { setIdleTimeout } from "../../http/idle-timeout.ts";
import { CloseCode, type FrameParser, Opcode } from "../../websocket/frame-parser.ts";
import { writeBytes } from "../../websocket/frame-writer.ts";
import type { WebSocketHub } from "./hub.ts";
import type { WebSocketOptions } from "./options.ts";
import { isOpen, move, SocketState, type Stateful, transportOf } from "./socket-state.ts";
import type { Subscriber } from "./topics.ts";

/** How long a client may accept nothing of the bytes that were queued before the end. */
const CLOSE_TIMEOUT_MS = 10_000;

/** The members of a socket that its end needs. */
export interface Ending extends Stateful, Subscriber {
  readonly hub: WebSocketHub;
  parser: FrameParser | null;
  topics: Set<string> | null;
  /** Calls the handler `close`. */
  callClose(handler: WebSocketOptions["close"], code: number, reason: string): void;
}

/** Queues a Close frame (RFC 6455 section 5.5.1). The payload is a code and a reason, or empty. */
export function queueClose(socket: Ending, payload: Uint8Array): void {
  writeBytes(transportOf(socket).outbox, Opcode.Close, payload, false);
}

/**
 * Ends the socket. Its transport closes after the queued bytes. `peerSends`: the client may still
 * be sending.
 */
export function leave(socket: Ending, code: number, reason: string, peerSends: boolean): void {
  const transport = transportOf(socket);
  socket.hub.host.idle.finish(transport, peerSends);
  setIdleTimeout(transport, CLOSE_TIMEOUT_MS);
  end(socket, code, reason);
}

/** Ends the socket of a client that does not answer. Its transport closes at once. */
export function abandon(socket: Ending, reason: string): void {
  transportOf(socket).destroy();
  end(socket, CloseCode.Abnormal, reason);
}

/** Ends the socket, unless it has ended, because its transport is closed. */
export function transportClosed(socket: Ending): void {
  socket.hub.host.closed();
  if (isOpen(socket)) end(socket, CloseCode.Abnormal, "");
}

function end(socket: Ending, code: number, reason: string): void {
  const { hub, topics } = socket;
  hub.traffic.countClose(code);
  move(socket, SocketState.Closing);
  socket.parser = null;
  for (const topic of topics ?? []) hub.topics.delete(topic, socket);
  socket.topics = null;
  socket.callClose(hub.options.close, code, reason);
  move(socket, SocketState.Closed);
  hub.count--;
}
