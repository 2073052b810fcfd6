/**
 * The frames that a WebSocket sends: its own, and frames that it shares with other sockets.
 *
 * Guarantees: messages leave whole and in order. The queue of a client that does not read is no
 * longer than `backpressureLimit` and one message.
 */
import type { Transport } from "../../transport/transport.ts";
import type { SocketDeflate } from "../../websocket/deflate.ts";
import { Opcode } from "../../websocket/frame-parser.ts";
import { writeBytes, writeText } from "../../websocket/frame-writer.ts";
import type { WebSocketHub } from "./hub.ts";
import { Flag, isOpen, type Stateful } from "./socket-state.ts";
import type { Broadcast } from "./topics.ts";

/**
 * Bytes that may wait whatever the limit is, because messages of one turn leave together. Above
 * them `send` returns -1.
 */
const BEHIND_BYTES = 262144;

/** The members of a socket that sending needs. */
export interface Sending extends Stateful {
  readonly hub: WebSocketHub;
  /** The compression; null if none was agreed on with the client. */
  readonly deflate: SocketDeflate | null;
}

/**
 * Queues a frame. Returns the bytes of its payload, -1 if the client is behind, or 0 if the frame
 * was dropped.
 */
export function queue(socket: Sending, opcode: number, payload: string | Uint8Array, compress: boolean): number {
  const transport = transportWithRoom(socket);
  if (transport === null) return 0;
  if (opcode <= Opcode.Binary) socket.hub.traffic.messagesSent++;
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

/** Queues a shared frame. Returns 1, -1 if the client is behind, or 0 if it was dropped. */
export function queueShared(socket: Sending, broadcast: Broadcast): number {
  const transport = transportWithRoom(socket);
  if (transport === null) return 0;
  socket.hub.traffic.messagesSent++;
  const { deflate } = socket;
  const isCompressed = deflate !== null && broadcast.isCompressed && compresses(socket);
  const frame = broadcast.frame(isCompressed ? deflate.sentBits : 0);
  if (isCompressed) deflate.noteShared(broadcast.context);
  const waiting = transport.queuedBytes;
  transport.outbox.writeShared(frame);
  return afterQueueing(socket, transport, waiting, 1);
}

/** Returns whether frames are compressed now: `reload` may have turned compression off. */
function compresses({ hub }: Sending): boolean {
  return hub.options.deflate?.compresses === true;
}

/**
 * Returns the transport, or null if nothing can be queued on it. With `closeOnBackpressureLimit`,
 * closes the transport of a client that is too far behind.
 */
function transportWithRoom(socket: Sending): Transport | null {
  if (!isOpen(socket)) return null;
  const transport = socket.transport!;
  if (transport.isGone) return null;
  if (!isBeyondLimit(socket, transport)) return transport;
  socket.hub.traffic.messagesDropped++;
  if (socket.hub.options.closeOnBackpressureLimit) transport.destroy();
  return null;
}

/**
 * Returns `sent`, or -1, which tells the program to wait for `drain`. As in Bun, that is so for the
 * message of which the kernel has accepted only a part. A socket returns -1 at least once before it
 * drops a message, however large the message before was.
 */
function afterQueueing(socket: Sending, transport: Transport, waiting: number, sent: number): number {
  socket.bits |= Flag.Sent;
  transport.outbox.hasten();
  const isRefused = transport.queuedBytes > 0 && transport.outbox.isRefused;
  if (waiting <= BEHIND_BYTES && !isRefused && !isBeyondLimit(socket, transport)) return sent;
  transport.requestDrain();
  return -1;
}

function isBeyondLimit({ hub }: Sending, transport: Transport): boolean {
  const { backpressureLimit } = hub.options;
  return backpressureLimit !== 0 && transport.queuedBytes > Math.max(backpressureLimit, BEHIND_BYTES);
}
