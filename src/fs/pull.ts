/**
 * An open file as batches of chunks, for `node:stream/iter`: `pull` of FileHandle reads through the
 * ring, `pullSync` by read(2).
 *
 * Guarantees: as in Node, the handle is locked from the call to the end of the iteration. Leaves to
 * others: node:stream/iter applies transforms. Bun has that module only with
 * --experimental-stream-iter.
 */
import { readSync } from "node:fs";
import { invalidType, requireNodeInteger, requireObject, requireOptionalBoolean, requireSignal } from "../sys/check.ts";
import type { Held } from "./node-streams.ts";

const CHUNK_BYTES_DEFAULT = 131072;

export interface IterationOptions {
  /** Whether to close the handle at the end. Default false. */
  autoClose?: boolean;
  /** Position of the first byte. Default: the file's own position. */
  start?: number;
  /** Largest number of bytes in all. Default: no limit. */
  limit?: number;
  /** Largest number of bytes in a chunk. Default 131072. */
  chunkSize?: number;
}

export interface PullOptions extends IterationOptions {
  /** Signal that ends the iteration with its reason. */
  signal?: AbortSignal;
}

/** Chunks of one step of the iteration. A transform also gets null, at the end. */
export type Batch = Uint8Array[];
type TransformFunction = (chunks: Batch | null, options?: unknown) => unknown;
export type Transform = TransformFunction | { transform: (source: any, options?: unknown) => unknown };

/**
 * Returns the options with their defaults. `start` and `limit` are -1 if they are not given. Throws
 * Node's errors for wrong values.
 */
export function iterationOf(options: IterationOptions): Required<IterationOptions> {
  requireObject("options", options);
  const { autoClose = false, start = -1, limit = -1, chunkSize = CHUNK_BYTES_DEFAULT } = options;
  requireOptionalBoolean("options.autoClose", autoClose);
  if (start !== -1) requireNodeInteger("options.start", start, 0, Number.MAX_SAFE_INTEGER);
  if (limit !== -1) requireNodeInteger("options.limit", limit, 1, Number.MAX_SAFE_INTEGER);
  requireNodeInteger("options.chunkSize", chunkSize, 1, Number.MAX_SAFE_INTEGER);
  return { autoClose, start, limit, chunkSize };
}

/** Separates the arguments. The last argument is the options if it is no transform. */
function argumentsOf(args: readonly unknown[]): { transforms: Transform[]; options: PullOptions } {
  const isTransform = (value: unknown): boolean =>
    typeof value === "function" || typeof (value as { transform?: unknown } | null)?.transform === "function";
  const hasOptions = args.length > 0 && !isTransform(args.at(-1));
  const options = (hasOptions ? args.at(-1) : undefined) ?? {};
  const transforms = (hasOptions ? args.slice(0, -1) : [...args]) as Transform[];
  for (const transform of transforms)
    if (!isTransform(transform)) throw invalidType("transform", "a function, or an object with one", transform);
  return { transforms, options: options as PullOptions };
}

/** Node's functions. They exist only in a program that was started with their flag. */
interface Pulls {
  pull(source: AsyncIterable<Batch>, ...rest: unknown[]): AsyncIterable<Batch>;
  pullSync(source: Iterable<Batch>, ...rest: unknown[]): Iterable<Batch>;
}
const STREAM_ITER: string = "node:stream/iter";
const streamIter = (): Pulls => require(STREAM_ITER) as Pulls;

/** A moving position in the file, and the rest of the limit. */
class Progress {
  position: number;
  private left: number;
  private readonly chunkBytes: number;

  constructor({ start, limit, chunkSize }: Required<IterationOptions>) {
    this.position = start;
    this.left = limit < 0 ? Infinity : limit;
    this.chunkBytes = chunkSize;
  }

  get next(): number {
    return Math.min(this.chunkBytes, this.left);
  }

  advance(chunk: Buffer, bytes: number): Batch {
    if (this.position >= 0) this.position += bytes;
    this.left -= bytes;
    return [bytes < chunk.length ? chunk.subarray(0, bytes) : chunk];
  }
}

export function pullOf({ handle, backend, file }: Held, args: readonly unknown[]): AsyncIterable<Batch> {
  const { transforms, options } = argumentsOf(args);
  const { signal } = options;
  const iteration = iterationOf(options);
  requireSignal("options.signal", signal);
  const progress = new Progress(iteration);
  const isAborted = signal?.aborted === true;
  if (!isAborted) file.lock();
  const source: AsyncIterable<Batch> = {
    async *[Symbol.asyncIterator]() {
      const endHold = file.requireNotClosed().hold();
      try {
        signal?.throwIfAborted();
        for (let bytes: number; (bytes = progress.next) > 0;) {
          const chunk = Buffer.allocUnsafeSlow(bytes);
          const { bytesRead } = await backend.readFresh(file, chunk, progress.position, { signal });
          if (bytesRead === 0) return;
          yield progress.advance(chunk, bytesRead);
        }
      } finally {
        if (!isAborted) file.unlock();
        endHold();
        if (iteration.autoClose) await handle.close();
      }
    },
  };
  return transforms.length === 0 ? source : streamIter().pull(source, ...transforms, options);
}

export function pullSyncOf({ handle, file }: Held, args: readonly unknown[]): Iterable<Batch> {
  const { transforms, options } = argumentsOf(args);
  const iteration = iterationOf(options);
  const progress = new Progress(iteration);
  file.lock();
  const source: Iterable<Batch> = {
    *[Symbol.iterator]() {
      const endHold = file.requireNotClosed().hold();
      try {
        for (let bytes: number; (bytes = progress.next) > 0;) {
          const chunk = Buffer.allocUnsafe(bytes);
          const { position } = progress;
          const bytesRead = readSync(file.fd, chunk, 0, bytes, position < 0 ? null : position);
          if (bytesRead === 0) return;
          yield progress.advance(chunk, bytesRead);
        }
      } finally {
        file.unlock();
        endHold();
        if (iteration.autoClose) void handle.close();
      }
    },
  };
  return transforms.length === 0 ? source : streamIter().pullSync(source, ...transforms);
}
