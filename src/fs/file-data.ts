/**
 * What a file can be written from, read in one place for every function that takes data: text, bytes, or pieces of both one after the other.
 *
 * Guarantees: what is none of them is a TypeError before a file is opened, or emptied for it; a wrong piece is one where its turn comes. A
 * view's length is taken with the view: opening the file takes time, in which it may shrink.
 */
import type { OperationOptions } from "../operations/operation.ts";
import { invalidType } from "../sys/check.ts";
import { byteLengthOf, plainBytes } from "../sys/views.ts";

/** A piece: text, a view, or an ArrayBuffer. */
export type FileChunk = string | NodeJS.ArrayBufferView | ArrayBuffer | SharedArrayBuffer;
/** A piece, or pieces: an array, a Set, a generator, a Readable, a ReadableStream. */
export type FileData = FileChunk | Iterable<FileChunk> | AsyncIterable<FileChunk>;

/** Writes the first `length` bytes of a view. */
type Write = (view: NodeJS.ArrayBufferView, length: number) => Promise<void>;

const ALLOWED = "text, an ArrayBuffer or a view of one, or an iterable of those";

/** Data that is ready to be written. */
export interface ReadyData {
  /** Where it is one piece, and how long that was when it was given. */
  readonly whole?: NodeJS.ArrayBufferView;
  readonly length: number;
  write(write: Write, options?: OperationOptions): Promise<void>;
}

/** Throws a TypeError for what is no data. */
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

/** The bytes of one piece, or undefined for what is none. */
export function bytesOfChunk(chunk: unknown, encoding: BufferEncoding | undefined): NodeJS.ArrayBufferView | undefined {
  if (typeof chunk === "string") return Buffer.from(chunk, encoding ?? "utf8");
  return ArrayBuffer.isView(chunk) ? (chunk as NodeJS.ArrayBufferView) : plainBytes(chunk);
}
