/**
 * The idle timeout of a WebSocket. A client that is silent for some time is pinged. If it does not
 * answer, its socket ends.
 *
 * Guarantees: the socket of a client that accepts the queued bytes, however slowly, does not end. A
 * ping that has left for the kernel does not count as traffic.
 */
import { setIdleTimeout } from "../../http/idle-timeout.ts";
import { Opcode } from "../../websocket/frame-parser.ts";
import { writeText } from "../../websocket/frame-writer.ts";
import { abandon, type Ending } from "./ending.ts";
import type { WebSocketHub } from "./hub.ts";
import { Flag, type Stateful, transportOf } from "./socket-state.ts";

/** Starts the idle timeout again, after traffic. */
export function awaitTraffic(socket: Stateful & { readonly hub: WebSocketHub }): void {
  socket.bits &= ~(Flag.Pinged | Flag.Sent);
  setIdleTimeout(transportOf(socket), socket.hub.options.quietMs);
}

/** Pings the client or ends the socket, when the idle timeout is over. */
export function timedOut(socket: Ending): void {
  const transport = transportOf(socket);
  const { answerMs } = socket.hub.options;
  const isPinged = (socket.bits & Flag.Pinged) !== 0;
  const hasProgressed = transport.takeProgress();
  const isUsed = transport.queuedBytes > 0 ? hasProgressed : !isPinged && (socket.bits & Flag.Sent) !== 0;
  if (isUsed) return awaitTraffic(socket);
  if (isPinged || answerMs === 0) return abandon(socket, "WebSocket timed out from inactivity");
  socket.bits |= Flag.Pinged;
  writeText(transport.outbox, Opcode.Ping, "", 0);
  transport.setTimeout(answerMs);
}
