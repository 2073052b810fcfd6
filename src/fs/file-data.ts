/**
 * Data to write into a file: text, bytes, or a series of them. Every function that accepts such
 * data reads it here.
 *
 * Guarantees: wrong data is a TypeError before a file is opened or emptied. A wrong piece of a
 * series is an error when its turn comes. The length of a view is read together with the view,
 * because the view may shrink while the file is opened.
 */
import type { OperationOptions } from "../operations/operation.ts";
import { invalidType } from "../sys/check.ts";
import { byteLengthOf, plainBytes } from "../sys/views.ts";

/** One piece of data: text, a view, or an ArrayBuffer. */
export type FileChunk = string | NodeJS.ArrayBufferView | ArrayBuffer | SharedArrayBuffer;
/** One piece, or a series of pieces: an array, a Set, a generator, a Readable, a ReadableStream. */
export type FileData = FileChunk | Iterable<FileChunk> | AsyncIterable<FileChunk>;

/** Writes the first `length` bytes of a view. */
type Write = (view: NodeJS.ArrayBufferView, length: number) => Promise<void>;

const ALLOWED = "text, an ArrayBuffer or a view of one, or an iterable of those";

/** Data that is checked and ready to be written. */
export interface ReadyData {
  /**
   * The only piece of the data; undefined for a series. `length` is its length in bytes when it was
   * given.
   */
  readonly whole?: NodeJS.ArrayBufferView;
  readonly length: number;
  write(write: Write, options?: OperationOptions): Promise<void>;
}

/** Checks data. Throws a TypeError for a value that is no data. */
export function readData(data: FileData, encoding: BufferEncoding | undefined): ReadyData {
  const whole = bytesOfChunk(data, encoding);
  if (whole !== undefined) {
    const length = byteLengthOf(whole);
    return { whole, length, write: (write) => write(whole, length) };
  }
  if (!isIterable(data)) throw invalidType("data", ALLOWED, data);
  return { length: 0, write: (write, options) => writeEach(data, encoding, write, options) };
}

async function writeEach(
  data: Iterable<FileChunk> | AsyncIterable<FileChunk>,
  encoding: BufferEncoding | undefined,
  write: Write,
  options: OperationOptions | undefined,
): Promise<void> {
  options?.signal?.throwIfAborted();
  for await (const chunk of data) {
    options?.signal?.throwIfAborted();
    const view = bytesOfChunk(chunk, encoding);
    if (view === undefined) throw invalidType("data", ALLOWED, chunk);
    await write(view, byteLengthOf(view));
  }
}

function isIterable(data: unknown): data is Iterable<FileChunk> | AsyncIterable<FileChunk> {
  if (typeof data !== "object" || data === null) return false;
  const { [Symbol.asyncIterator]: pulls, [Symbol.iterator]: steps } = data as Record<symbol, unknown>;
  return typeof pulls === "function" || typeof steps === "function";
}

/** Returns the bytes of one piece; undefined for a value that is no piece. */
export function bytesOfChunk(chunk: unknown, encoding: BufferEncoding | undefined): NodeJS.ArrayBufferView | undefined {
  if (typeof chunk === "string") return Buffer.from(chunk, encoding ?? "utf8");
  return ArrayBuffer.isView(chunk) ? (chunk as NodeJS.ArrayBufferView) : plainBytes(chunk);
}
