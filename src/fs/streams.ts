/** An open file as web streams and as an async iterator. */
import type { OperationOptions } from "../operations/operation.ts";
import { invalidType, requireNodeInteger } from "../sys/check.ts";
import { byteLengthOf } from "../sys/views.ts";
import type { ReadResult } from "./backend.ts";
import { bytesOfChunk, type FileChunk } from "./file-data.ts";

const CHUNK_BYTES_DEFAULT = 65536;

export interface ReadableOptions {
  /** Position of the first byte. Default: the file's position. */
  start?: number;
  /** Position of the last byte, as in Node. Default: the file's end. */
  end?: number;
  /** Largest number of bytes in a chunk. Default 65536. */
  chunkBytes?: number;
  signal?: AbortSignal;
}

export interface WritableOptions {
  /** Position of the first byte. Default: the file's position. */
  start?: number;
  signal?: AbortSignal;
}

/** The file's `read`, into new memory. */
type ReadChunk = (
  options: OperationOptions & { length: number; position: number | null },
) => Promise<ReadResult<Buffer>>;

export async function* chunksOf(read: ReadChunk, options: ReadableOptions): AsyncGenerator<Buffer, void> {
  const { start, end, chunkBytes = CHUNK_BYTES_DEFAULT, signal } = options;
  if (start !== undefined) requireNodeInteger("start", start, 0, Number.MAX_SAFE_INTEGER);
  if (end !== undefined) requireNodeInteger("end", end, 0, Number.MAX_SAFE_INTEGER);
  requireNodeInteger("chunkBytes", chunkBytes, 0, 0x7fffffff);
  let position = start ?? null;
  let left = end === undefined ? Infinity : end + 1 - (start ?? 0);
  while (left > 0) {
    const length = Math.min(chunkBytes, left);
    const { bytesRead, buffer } = await read({ length, position, signal });
    if (bytesRead === 0) return;
    left -= bytesRead;
    if (position !== null) position += bytesRead;
    yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
  }
}

export function readableOf(read: ReadChunk, options: ReadableOptions): ReadableStream<Buffer> {
  const chunks = chunksOf(read, options);
  return new ReadableStream<Buffer>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await chunks.return();
      },
    },
    { highWaterMark: 0 }, // The stream reads only on demand, and nothing ahead.
  );
}

/** Writes all bytes of a view from a position on; -1 means the file's own position. */
type WriteChunk = (view: NodeJS.ArrayBufferView, position: number, options: OperationOptions) => Promise<void>;

export function writableOf(write: WriteChunk, { start, signal }: WritableOptions): WritableStream<FileChunk> {
  if (start !== undefined) requireNodeInteger("start", start, 0, Number.MAX_SAFE_INTEGER);
  let position = start ?? -1;
  return new WritableStream<FileChunk>({
    async write(chunk) {
      const bytes = bytesOfChunk(chunk, undefined);
      if (bytes === undefined) throw invalidType("chunk", "text, an ArrayBuffer or a view of one", chunk);
      const length = byteLengthOf(bytes);
      await write(bytes, position, { signal });
      if (position >= 0) position += length;
    },
  });
}
