/**
 * An open file in batches of chunks, for `node:stream/iter`: `pull` of FileHandle through the ring, `pullSync` by read(2).
 *
 * Guarantees: the handle is locked from the call to the end of the iteration, as in Node. Transforms are node:stream/iter's to apply, which Bun
 * has with --experimental-stream-iter alone.
 */
import { readSync } from "node:fs";
import { invalidType, requireNodeInteger, requireObject, requireOptionalBoolean, requireSignal } from "../sys/check.ts";
import type { Held } from "./node-streams.ts";

const CHUNK_BYTES_DEFAULT = 131072;

export interface IterationOptions {
  /** Closes the handle at the end. Default false. */
  autoClose?: boolean;
  /** First byte. Default: the file's own position. */
  start?: number;
  /** Bytes at most. Default: no limit. */
  limit?: number;
  /** Bytes in a chunk at most. Default 131072. */
  chunkSize?: number;
}

export interface PullOptions extends IterationOptions {
  /** Ends the iteration with its reason. */
  signal?: AbortSignal;
}

/** Chunks, and null for the end. */
export type Batch = Uint8Array[];
type TransformFunction = (chunks: Batch | null, options?: unknown) => unknown;
export type Transform = TransformFunction | { transform: (source: any, options?: unknown) => unknown };

/** Options with their defaults; `start` and `limit` -1 for none. Throws as Node does for the rest. */
export function iterationOf(options: IterationOptions): Required<IterationOptions> {
  requireObject("options", options);
  const { autoClose = false, start = -1, limit = -1, chunkSize = CHUNK_BYTES_DEFAULT } = options;
  requireOptionalBoolean("options.autoClose", autoClose);
  if (start !== -1) requireNodeInteger("options.start", start, 0, Number.MAX_SAFE_INTEGER);
  if (limit !== -1) requireNodeInteger("options.limit", limit, 1, Number.MAX_SAFE_INTEGER);
  requireNodeInteger("options.chunkSize", chunkSize, 1, Number.MAX_SAFE_INTEGER);
  return { autoClose, start, limit, chunkSize };
}

/** The last argument that is no transform is the options. */
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

/** Node's, which exists in programs that are started with its flag. */
interface Pulls {
  pull(source: AsyncIterable<Batch>, ...rest: unknown[]): AsyncIterable<Batch>;
  pullSync(source: Iterable<Batch>, ...rest: unknown[]): Iterable<Batch>;
}
const STREAM_ITER: string = "node:stream/iter";
const streamIter = (): Pulls => require(STREAM_ITER) as Pulls;

/** A place in the file that moves, and what is left of the limit. */
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
