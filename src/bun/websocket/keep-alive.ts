/**
 * The time without traffic after which a client is pinged, and after which it is given up.
 *
 * Guarantees: a client that takes what was sent to it, however slowly, is not given up; a ping that the kernel has taken
 * says nothing of the client.
 */
import { setIdleTimeout } from "../../http/idle-timeout.ts";
import { Opcode } from "../../websocket/frame-parser.ts";
import { writeText } from "../../websocket/frame-writer.ts";
import { abandon, type Ending } from "./ending.ts";
import type { WebSocketHub } from "./hub.ts";
import { Flag, type Stateful, transportOf } from "./socket-state.ts";

/** Traffic: the time begins anew. */
export function awaitTraffic(socket: Stateful & { readonly hub: WebSocketHub }): void {
  socket.bits &= ~(Flag.Pinged | Flag.Sent);
  setIdleTimeout(transportOf(socket), socket.hub.options.quietMs);
}

/** The time is over. */
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
