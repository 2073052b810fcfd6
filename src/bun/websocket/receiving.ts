/**
 * What a WebSocket receives: bytes become messages and control frames, and those are given to the handlers.
 *
 * Guarantees: messages arrive whole and in order; what a handler is given is a copy and stays valid; a Close frame is
 * answered (RFC 6455 section 5.5.1), and so is what violates the protocol (section 7.1.7). Leaves to others: what a frame
 * is (frame-parser.ts).
 */
import { isUtf8 } from "node:buffer";
import { assert } from "../../sys/assert.ts";
import { closePayload, mayBeReceived, readReason } from "../../websocket/close-frame.ts";
import type { SocketDeflate } from "../../websocket/deflate.ts";
import { CloseCode, type FrameSink, type Message, Opcode } from "../../websocket/frame-parser.ts";
import { copyFor } from "../sockets/socket-data.ts";
import { type Ending, leave, queueClose } from "./ending.ts";
import { awaitTraffic } from "./keep-alive.ts";
import type { WebSocketOptions } from "./options.ts";
import { queue } from "./sending.ts";
import { BINARY_TYPE, binaryTypes, Flag, isOpen } from "./socket-state.ts";

/** What is known of a message that was decompressed. */
const plainBinary: Message = { isText: false, isCompressed: false, isAscii: false, isChecked: false, isOwn: false };
const ownBinary: Message = { ...plainBinary, isOwn: true };
const plainText: Message = { ...plainBinary, isText: true };

/** What is needed of a socket. */
export interface Receiving extends Ending, FrameSink {
  readonly deflate: SocketDeflate | null;
  /** Calls a handler with what the client has sent. */
  give(handler: NonNullable<WebSocketOptions["message"]>, received: unknown): void;
}

/** Bytes from the transport. All of them are taken: the parser keeps a frame that has begun. */
export function received(socket: Receiving, memory: Buffer, start: number, end: number): void {
  assert(isOpen(socket), "a WebSocket reads while it is open");
  if ((socket.bits & Flag.Paused) === 0) awaitTraffic(socket);
  const { hub } = socket;
  const parser = socket.parser ?? hub.takeParser();
  parser.feed(memory, start, end, socket);
  if (isOpen(socket) && !parser.isIdle) {
    socket.parser = parser;
    return;
  }
  socket.parser = null;
  hub.giveParser(parser);
}

/** A message, perhaps compressed. */
export function onMessage(socket: Receiving, message: Message, memory: Buffer, start: number, end: number): void {
  if (!message.isCompressed) return deliver(socket, message, memory, start, end);
  const deflate = socket.deflate!;
  let plain: Buffer;
  try {
    plain = deflate.decompress(memory.subarray(start, end), socket.messageBytesMax);
  } catch (error) {
    if (error instanceof RangeError) return violated(socket, CloseCode.TooBig, "Received too big message");
    return violated(socket, CloseCode.Data, "Received invalid compressed data");
  }
  deliver(socket, message.isText ? plainText : deflate.isOwn ? ownBinary : plainBinary, plain, 0, plain.length);
}

/** A control frame (section 5.5). A ping is answered before the handler hears of it. */
export function onControl(socket: Receiving, opcode: number, memory: Buffer, start: number, end: number): void {
  const { options } = socket.hub;
  if (opcode === Opcode.Close) return closedByPeer(socket, memory.subarray(start, end));
  if (opcode === Opcode.Ping) queue(socket, Opcode.Pong, memory.subarray(start, end), false);
  const handler = opcode === Opcode.Ping ? options.ping : options.pong;
  if (handler !== undefined && socket.isOpen) socket.give(handler, copyOf(socket, memory, start, end));
}

/** The connection has failed (section 7.1.7), for this close code and reason. */
export function violated(socket: Receiving, code: number, reason: string): void {
  queueClose(socket, closePayload(code, reason));
  leave(socket, CloseCode.Abnormal, reason, true);
}

/** Answers the client's Close with the same (section 5.5.1), and ends the connection first (section 7.1.1). */
function closedByPeer(socket: Receiving, payload: Buffer): void {
  const { length } = payload;
  if (length === 1) return violated(socket, CloseCode.Protocol, "Received invalid close payload");
  const code = length === 0 ? CloseCode.NoStatus : payload.readUInt16BE(0);
  if (length > 0 && !mayBeReceived(code)) return violated(socket, CloseCode.Protocol, "Received invalid close code");
  if (!isUtf8(payload.subarray(Math.min(2, length)))) return violated(socket, CloseCode.Data, "Received invalid UTF-8");
  queueClose(socket, payload);
  // One that goes on sending against section 5.5.1 must not lose the answer to a reset.
  leave(socket, code, readReason(payload), true);
}

function deliver(socket: Receiving, message: Message, memory: Buffer, start: number, end: number): void {
  const { message: handler } = socket.hub.options;
  if (!message.isText) {
    if (handler === undefined) return;
    const keeps = message.isOwn && (socket.bits & BINARY_TYPE) === 0;
    return socket.give(handler, keeps ? memory.subarray(start, end) : copyOf(socket, memory, start, end));
  }
  if (!message.isAscii && !message.isChecked && !isUtf8(memory.subarray(start, end)))
    return violated(socket, CloseCode.Data, "Received invalid UTF-8");
  if (handler === undefined) return;
  socket.give(handler, message.isAscii ? memory.latin1Slice(start, end) : memory.utf8Slice(start, end));
}

/** In the kind that `binaryType` says. */
function copyOf({ bits }: Receiving, memory: Buffer, start: number, end: number): unknown {
  const binaryType = binaryTypes[bits & BINARY_TYPE]!;
  if (binaryType === "nodebuffer") return copyFor("buffer", memory, start, end);
  if (binaryType === "blob") return new Blob([memory.subarray(start, end)]);
  return copyFor(binaryType, memory, start, end);
}
