/**
 * How a WebSocket ends: for the program or the client, with what is queued, or because its transport broke.
 *
 * Guarantees: the handler `close` is called once, and no other handler after it; a socket that has ended is in no topic.
 */
import { setIdleTimeout } from "../../http/idle-timeout.ts";
import { CloseCode, type FrameParser, Opcode } from "../../websocket/frame-parser.ts";
import { writeBytes } from "../../websocket/frame-writer.ts";
import type { WebSocketHub } from "./hub.ts";
import type { WebSocketOptions } from "./options.ts";
import { isOpen, move, SocketState, type Stateful, transportOf } from "./socket-state.ts";
import type { Subscriber } from "./topics.ts";

/** How long a client may take nothing of what was queued before the end. */
const CLOSE_TIMEOUT_MS = 10_000;

/** What is needed of a socket. */
export interface Ending extends Stateful, Subscriber {
  readonly hub: WebSocketHub;
  parser: FrameParser | null;
  topics: Set<string> | null;
  /** Calls the handler `close`. */
  callClose(handler: WebSocketOptions["close"], code: number, reason: string): void;
}

/** Queues a Close frame (RFC 6455 section 5.5.1); an empty payload says nothing. */
export function queueClose(socket: Ending, payload: Uint8Array): void {
  writeBytes(transportOf(socket).outbox, Opcode.Close, payload, false);
}

/** Lets go of the transport, which is closed after what is queued. `peerSends`: the client may be sending still. */
export function leave(socket: Ending, code: number, reason: string, peerSends: boolean): void {
  const transport = transportOf(socket);
  socket.hub.host.idle.finish(transport, peerSends);
  setIdleTimeout(transport, CLOSE_TIMEOUT_MS);
  end(socket, code, reason);
}

/** The client is gone, for what the program and the transport know: the transport is closed at once. */
export function abandon(socket: Ending, reason: string): void {
  transportOf(socket).destroy();
  end(socket, CloseCode.Abnormal, reason);
}

/** The transport is closed, whose consumer this socket was until then. */
export function transportClosed(socket: Ending): void {
  socket.hub.host.closed();
  if (isOpen(socket)) end(socket, CloseCode.Abnormal, "");
}

function end(socket: Ending, code: number, reason: string): void {
  const { hub, topics } = socket;
  move(socket, SocketState.Closing);
  socket.parser = null;
  for (const topic of topics ?? []) hub.topics.delete(topic, socket);
  socket.topics = null;
  socket.callClose(hub.options.close, code, reason);
  move(socket, SocketState.Closed);
  hub.count--;
}
