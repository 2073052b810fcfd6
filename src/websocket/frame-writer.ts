/** Writes the frames of a server: without mask, and never in fragments (RFC 6455 section 5). */
import type { Outbox } from "../transport/outbox.ts";
import { copyAll } from "../sys/views.ts";
import { ADOPTED_BYTES_MIN, CHUNK_BYTES_MAX } from "../ring/arena.ts";

const HEAD_BYTES_MAX = 10;
const FINAL = 0x80;
/** RSV1: the payload is compressed (RFC 7692 section 6). */
const COMPRESSED = 0x40;

function headBytes(length: number): number {
  return length < 126 ? 2 : length < 65536 ? 4 : HEAD_BYTES_MAX;
}

/** Writes the head of a frame. Returns its length in bytes. */
function putHead(memory: Buffer, at: number, opcode: number, length: number, compressed: boolean): number {
  memory[at] = FINAL | (compressed ? COMPRESSED : 0) | opcode;
  if (length < 126) {
    memory[at + 1] = length;
    return 2;
  }
  if (length < 65536) {
    memory[at + 1] = 126;
    memory[at + 2] = length >>> 8;
    memory[at + 3] = length & 0xff;
    return 4;
  }
  memory[at + 1] = 127;
  memory.writeUInt32BE(Math.floor(length / 0x100000000), at + 2);
  memory.writeUInt32BE(length >>> 0, at + 6);
  return HEAD_BYTES_MAX;
}

/** Queues a frame with a text. `length` is the length of the text in bytes of UTF-8. */
export function writeText(outbox: Outbox, opcode: number, text: string, length: number): void {
  const total = headBytes(length) + length;
  if (total > CHUNK_BYTES_MAX) return writeBytes(outbox, opcode, Buffer.from(text), false);
  const chunk = outbox.reserve(total);
  const at = chunk.length + putHead(chunk.buffer, chunk.length, opcode, length, false);
  if (length === text.length) chunk.buffer.latin1Write(text, at, length);
  else chunk.buffer.utf8Write(text, at, length);
  outbox.commit(chunk, total);
}

/** Queues a frame with a copy of the bytes. */
export function writeBytes(outbox: Outbox, opcode: number, bytes: Uint8Array, compressed: boolean): void {
  const { length } = bytes;
  const chunk = outbox.reserve(HEAD_BYTES_MAX);
  const head = putHead(chunk.buffer, chunk.length, opcode, length, compressed);
  if (length <= chunk.room - head) {
    copyAll(bytes, 0, length, chunk.buffer, chunk.length + head);
    outbox.commit(chunk, head + length);
    return;
  }
  outbox.commit(chunk, head);
  outbox.write(bytes, length);
}

/** Returns a frame for many connections. Nobody may change its bytes. */
export function encodeFrame(opcode: number, payload: Uint8Array, compressed: boolean): Buffer {
  const { length } = payload;
  const head = headBytes(length);
  const total = head + length;
  // The ring sends a large frame from its own memory, so that memory must not be part of a pool.
  const frame = total < ADOPTED_BYTES_MIN ? Buffer.allocUnsafe(total) : Buffer.allocUnsafeSlow(total);
  putHead(frame, 0, opcode, length, compressed);
  copyAll(payload, 0, length, frame, head);
  return frame;
}
