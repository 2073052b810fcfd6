/**
 * The messages and control frames that a WebSocket receives, and gives to its handlers.
 *
 * Guarantees: messages arrive whole and in order. A handler gets a copy, which stays valid. A Close
 * frame answers the client's (RFC 6455 section 5.5.1) and each violation of the protocol (section
 * 7.1.7). Leaves to others: the format of frames (frame-parser.ts).
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

/** Descriptions of a message that was decompressed. */
const plainBinary: Message = { isText: false, isCompressed: false, isAscii: false, isChecked: false, isOwn: false };
const ownBinary: Message = { ...plainBinary, isOwn: true };
const plainText: Message = { ...plainBinary, isText: true };

/** The members of a socket that receiving needs. */
export interface Receiving extends Ending, FrameSink {
  readonly deflate: SocketDeflate | null;
  /** Calls a handler with a message, or with the payload of a ping or pong. */
  give(handler: NonNullable<WebSocketOptions["message"]>, received: unknown): void;
}

/** Takes all the bytes that the transport offers. The parser keeps a frame that is not complete. */
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

/** Delivers a message that the parser has found. Decompresses it before, if it is compressed. */
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

/**
 * Handles a control frame (section 5.5). The answer to a ping is queued before the handler runs.
 */
export function onControl(socket: Receiving, opcode: number, memory: Buffer, start: number, end: number): void {
  const { options } = socket.hub;
  if (opcode === Opcode.Close) return closedByPeer(socket, memory.subarray(start, end));
  if (opcode === Opcode.Ping) queue(socket, Opcode.Pong, memory.subarray(start, end), false);
  const handler = opcode === Opcode.Ping ? options.ping : options.pong;
  if (handler !== undefined && socket.isOpen) socket.give(handler, copyOf(socket, memory, start, end));
}

/** Ends the socket because the client has violated the protocol (section 7.1.7). */
export function violated(socket: Receiving, code: number, reason: string): void {
  socket.hub.traffic.countViolation(code);
  queueClose(socket, closePayload(code, reason));
  leave(socket, CloseCode.Abnormal, reason, true);
}

/**
 * Answers the client's Close frame with the same code and reason (section 5.5.1). The server is the
 * first to close the connection (section 7.1.1).
 */
function closedByPeer(socket: Receiving, payload: Buffer): void {
  const { length } = payload;
  if (length === 1) return violated(socket, CloseCode.Protocol, "Received invalid close payload");
  const code = length === 0 ? CloseCode.NoStatus : payload.readUInt16BE(0);
  if (length > 0 && !mayBeReceived(code)) return violated(socket, CloseCode.Protocol, "Received invalid close code");
  if (!isUtf8(payload.subarray(Math.min(2, length)))) return violated(socket, CloseCode.Data, "Received invalid UTF-8");
  queueClose(socket, payload);
  // A client that sends more, against section 5.5.1, must not lose the answer to a reset.
  leave(socket, code, readReason(payload), true);
}

function deliver(socket: Receiving, message: Message, memory: Buffer, start: number, end: number): void {
  const { hub } = socket;
  const { message: handler } = hub.options;
  if (!message.isText) {
    hub.traffic.messagesReceived++;
    if (handler === undefined) return;
    const keeps = message.isOwn && (socket.bits & BINARY_TYPE) === 0;
    return socket.give(handler, keeps ? memory.subarray(start, end) : copyOf(socket, memory, start, end));
  }
  if (!message.isAscii && !message.isChecked && !isUtf8(memory.subarray(start, end)))
    return violated(socket, CloseCode.Data, "Received invalid UTF-8");
  hub.traffic.messagesReceived++;
  if (handler === undefined) return;
  socket.give(handler, message.isAscii ? memory.latin1Slice(start, end) : memory.utf8Slice(start, end));
}

/** Returns a copy of the bytes, in the type that `binaryType` says. */
function copyOf({ bits }: Receiving, memory: Buffer, start: number, end: number): unknown {
  const binaryType = binaryTypes[bits & BINARY_TYPE]!;
  if (binaryType === "nodebuffer") return copyFor("buffer", memory, start, end);
  if (binaryType === "blob") return new Blob([memory.subarray(start, end)]);
  return copyFor(binaryType, memory, start, end);
}
