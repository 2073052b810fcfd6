/**
 * Copies bytes between a program and a connection. Neither shares its memory, because each may
 * change its own bytes afterwards.
 */
import { CHUNK_BYTES_MAX } from "../ring/arena.ts";
import type { Outbox } from "../transport/outbox.ts";

export function isUtf8(encoding: string | undefined): boolean {
  return encoding === undefined || encoding === null || encoding === "utf8" || encoding === "utf-8";
}

/**
 * Queues a string or bytes. `length` is the number of bytes of a Uint8Array: who has read it
 * already gives it, because another thread may make shared memory grow. Returns the number of
 * bytes. Throws for an encoding that Buffer does not know.
 */
export function writeChunk(
  outbox: Outbox,
  chunk: string | Uint8Array,
  encoding: string | undefined,
  length?: number,
): number {
  if (typeof chunk !== "string") {
    const bytes = length ?? chunk.byteLength;
    outbox.write(chunk, bytes);
    return bytes;
  }
  if (isUtf8(encoding)) {
    const bytes = Buffer.byteLength(chunk);
    outbox.writeUtf8(chunk, bytes);
    return bytes;
  }
  if (encoding === "latin1" || encoding === "binary" || encoding === "ascii") {
    outbox.writeLatin1(chunk);
    return chunk.length;
  }
  const bytes = Buffer.from(chunk, encoding as BufferEncoding);
  outbox.write(bytes);
  return bytes.length;
}

/**
 * Queues a head and a text of `bytes` bytes, in one piece of memory if it fits. Most responses are
 * written so. Returns the number of bytes of both.
 */
export function writeTogether(outbox: Outbox, head: string, text: string, bytes: number): number {
  const all = head.length + bytes;
  if (all > CHUNK_BYTES_MAX) {
    outbox.writeLatin1(head);
    outbox.writeUtf8(text, bytes);
    return all;
  }
  const chunk = outbox.reserve(all);
  const at = chunk.length;
  chunk.buffer.latin1Write(head, at, head.length);
  if (bytes > 0) chunk.buffer.utf8Write(text, at + head.length, bytes);
  outbox.commit(chunk, all);
  return all;
}

export function copyOf(memory: Buffer, start: number, end: number): Buffer {
  return Buffer.from(memory.subarray(start, end));
}
