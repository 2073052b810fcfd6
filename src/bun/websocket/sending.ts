/**
 * What a WebSocket queues: frames of its own, and those that many get.
 *
 * Guarantees: messages leave whole and in order; what is queued within a turn leaves in one send; a client that does not
 * read costs no more than `backpressureLimit` and a message.
 */
import type { Transport } from "../../transport/transport.ts";
import type { SocketDeflate } from "../../websocket/deflate.ts";
import { writeBytes, writeText } from "../../websocket/frame-writer.ts";
import type { WebSocketHub } from "./hub.ts";
import { Flag, isOpen, type Stateful } from "./socket-state.ts";
import type { Broadcast } from "./topics.ts";

/** What may wait at any limit: a turn's messages have had no chance to leave. `send` says -1 from there on. */
const BEHIND_BYTES = 262144;

/** What is needed of a socket. */
export interface Sending extends Stateful {
  readonly hub: WebSocketHub;
  /** Null where no compression was agreed on. */
  readonly deflate: SocketDeflate | null;
}

/** Queues a frame. Returns the payload's bytes, -1 behind others, or 0 when it was dropped. */
export function queue(socket: Sending, opcode: number, payload: string | Uint8Array, compress: boolean): number {
  const transport = transportWithRoom(socket);
  if (transport === null) return 0;
  const waiting = transport.queuedBytes;
  const length = typeof payload === "string" ? Buffer.byteLength(payload) : payload.length;
  const { deflate } = socket;
  if (compress && length > 0 && deflate !== null && compresses(socket)) {
    const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
    writeBytes(transport.outbox, opcode, deflate.compress(bytes), true);
  } else if (typeof payload === "string") writeText(transport.outbox, opcode, payload, length);
  else writeBytes(transport.outbox, opcode, payload, false);
  return afterQueueing(socket, transport, waiting, length);
}

/** Queues a frame that many get. Returns 1, -1 behind others, or 0 when it was dropped. */
export function queueShared(socket: Sending, broadcast: Broadcast): number {
  const transport = transportWithRoom(socket);
  if (transport === null) return 0;
  const { deflate } = socket;
  const isCompressed = deflate !== null && broadcast.isCompressed && compresses(socket);
  const frame = broadcast.frame(isCompressed ? deflate.sentBits : 0);
  if (isCompressed) deflate.noteShared(broadcast.context);
  const waiting = transport.queuedBytes;
  transport.outbox.writeShared(frame);
  return afterQueueing(socket, transport, waiting, 1);
}

/** `reload` may have switched it off since the handshake. */
function compresses({ hub }: Sending): boolean {
  return hub.options.deflate?.compresses === true;
}

/** The transport if something can be queued on it. One whose client is too far behind is ended, if the program wants that. */
function transportWithRoom(socket: Sending): Transport | null {
  if (!isOpen(socket)) return null;
  const transport = socket.transport!;
  if (transport.isGone) return null;
  if (!isBeyondLimit(socket, transport)) return transport;
  if (socket.hub.options.closeOnBackpressureLimit) transport.destroy();
  return null;
}

/** -1 tells the program to wait for `drain`. It comes before the message that would be dropped, however large the last one was. */
function afterQueueing(socket: Sending, transport: Transport, waiting: number, sent: number): number {
  socket.bits |= Flag.Sent;
  transport.outbox.hasten();
  if (waiting <= BEHIND_BYTES && !isBeyondLimit(socket, transport)) return sent;
  transport.requestDrain();
  return -1;
}

function isBeyondLimit({ hub }: Sending, transport: Transport): boolean {
  const { backpressureLimit } = hub.options;
  return backpressureLimit !== 0 && transport.queuedBytes > Math.max(backpressureLimit, BEHIND_BYTES);
}
