/**
 * Two readings of a stream of frames: with ringloop's parser in pieces, and with a simple parser of
 * RFC 6455 section 5 that gets the whole stream at once.
 */
import { isUtf8 } from "node:buffer";
import { FrameParser, type FrameSink, type Message } from "../../src/websocket/frame-parser.ts";

export interface Limits {
  messageBytesMax: number;
  inflates: boolean;
}

/** The events of a stream, one line each. A violation is the last one. */
export type Events = string[];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/**
 * Reads with ringloop's parser in the pieces that end at `ends`. Throws if the parser stores more
 * bytes than allowed.
 */
export function readInPieces(stream: Buffer, ends: readonly number[], limits: Limits): Events {
  const events: Events = [];
  const parser = new FrameParser();
  const sink = {
    isOpen: true as boolean,
    ...limits,
    onMessage(message: Message, memory: Buffer, start: number, end: number) {
      const bytes = memory.subarray(start, end);
      const isPlainText = message.isText && !message.isCompressed;
      if (isPlainText && !message.isAscii && !message.isChecked && !isUtf8(bytes)) return sink.onViolation(1007);
      if (isPlainText && message.isAscii && bytes.some((byte) => byte > 127)) throw new Error("not ASCII");
      events.push(`${message.isText ? "text" : "bytes"}${message.isCompressed ? " compressed" : ""} ${hex(bytes)}`);
    },
    onControl(opcode: number, memory: Buffer, start: number, end: number) {
      events.push(`control ${opcode} ${hex(memory.subarray(start, end))}`);
    },
    onViolation(code: number) {
      events.push(`violation ${code}`);
      sink.isOpen = false;
    },
  } satisfies FrameSink;
  let start = 0;
  for (const end of [...ends, stream.length]) {
    // The piece has its own memory, because the parser may write there. The parser must not keep
    // it.
    const piece = Buffer.from(stream.subarray(start, end));
    parser.feed(piece, 0, piece.length, sink);
    piece.fill(0xaa);
    const kept = (parser as unknown as { message: Buffer | null }).message?.length ?? 0;
    if (kept > limits.messageBytesMax * 2 + 2048) throw new Error(`the parser keeps ${kept} bytes`);
    start = end;
  }
  return events;
}

/** Reads the whole stream with simple code that needs no state. */
export function readAtOnce(stream: Buffer, { messageBytesMax, inflates }: Limits): Events {
  const events: Events = [];
  const fail = (code: number): Events => [...events, `violation ${code}`];
  let message: { opcode: number; compressed: boolean; parts: Buffer[]; bytes: number } | undefined;
  for (let at = 0; at < stream.length;) {
    const first = stream[at]!;
    const [fin, rsv1, opcode] = [first >= 128, (first & 64) !== 0, first & 15];
    const isControl = opcode > 7;
    if ((first & 48) !== 0) return fail(1002);
    if (rsv1 && (!inflates || isControl || opcode === 0)) return fail(1002);
    if ((opcode > 2 && opcode < 8) || opcode > 10) return fail(1002);
    if (isControl ? !fin : (opcode === 0) !== (message !== undefined)) return fail(1002);
    if (at + 2 > stream.length) return events;
    const second = stream[at + 1]!;
    if (second < 128) return fail(1002);
    let length = second & 127;
    let head = 2;
    if (isControl && length > 125) return fail(1002);
    if (length === 126) {
      if (at + 4 > stream.length) return events;
      length = stream.readUInt16BE(at + 2);
      head = 4;
      if (length < 126) return fail(1002);
    } else if (length === 127) {
      if (at + 10 > stream.length) return events;
      length = Number(stream.readBigUInt64BE(at + 2));
      head = 10;
      if (length < 65536) return fail(1002);
    }
    const compressed = message?.compressed ?? rsv1;
    const max = compressed ? messageBytesMax + Math.floor(messageBytesMax / 1024) + 64 : messageBytesMax;
    if (!isControl && (message?.bytes ?? 0) + length > max) return fail(1009);
    if (at + head + 4 > stream.length) return events;
    const key = stream.subarray(at + head, at + head + 4);
    const masked = stream.subarray(at + head + 4, at + head + 4 + length);
    const payload = Buffer.from(masked.map((byte, i) => byte ^ key[i & 3]!));
    const isComplete = payload.length === length;
    at += head + 4 + length;
    if (isControl) {
      if (!isComplete) return events;
      events.push(`control ${opcode} ${hex(payload)}`);
      continue;
    }
    message ??= { opcode, compressed: rsv1, parts: [], bytes: 0 };
    message.parts.push(payload);
    message.bytes += length;
    const bytes = Buffer.concat(message.parts);
    const isText = message.opcode === 1 && !message.compressed;
    if (!isComplete || !fin) {
      if (isText && canNeverBeValid(bytes)) return fail(1007);
      if (!isComplete) return events;
      continue;
    }
    if (isText && !isUtf8(bytes)) return fail(1007);
    events.push(`${message.opcode === 1 ? "text" : "bytes"}${message.compressed ? " compressed" : ""} ${hex(bytes)}`);
    message = undefined;
  }
  return events;
}

/** Whether the bytes can never become valid UTF-8, by the decoder of the Encoding standard. */
function canNeverBeValid(bytes: Buffer): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return false;
  } catch {
    return true;
  }
}
