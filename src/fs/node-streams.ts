/**
 * An open file as streams of node:stream, as lines, and as a web stream of bytes, in the shapes of
 * node:fs/promises' FileHandle. All bytes go through the ring.
 *
 * Guarantees: a stream keeps the file open. `close()` of the handle ends its streams, and closes
 * the file after they have written their data.
 */
import { createReadStream, createWriteStream, type ReadStream, type WriteStream } from "node:fs";
import type { CreateReadStreamOptions, CreateWriteStreamOptions, ReadableWebStreamOptions } from "node:fs/promises";
import type { Interface } from "node:readline";
import { requireObject, requireOptionalBoolean, withCode } from "../sys/check.ts";
import { lazily } from "../sys/lazily.ts";
import type { Backend } from "./backend.ts";
import type { FileHandle } from "./file-handle.ts";
import type { OpenFile } from "./open-file.ts";

/** Loaded late, because few programs read lines. */
const readline = lazily(() => require("node:readline") as typeof import("node:readline"));

const STREAM_BYTES_DEFAULT = 65536;
const WEB_STREAM_BYTES = 16384;

/** The parts of a handle that its streams use. */
export interface Held {
  readonly handle: FileHandle;
  readonly backend: Backend;
  readonly file: OpenFile;
}

type Done = (error: unknown, ...values: unknown[]) => void;
type Views = NodeJS.ArrayBufferView[];

/**
 * Calls back outside of the promise. So an error of a listener is an exception, not a rejection.
 */
function tell<T>(promise: Promise<T>, done: Done, values: (value: T) => unknown[]): void {
  promise.then(
    (value) => process.nextTick(done, null, ...values(value)),
    (error: unknown) => process.nextTick(done, error),
  );
}

type Position = number | null | undefined;

/**
 * Returns the functions that streams of node:fs call instead of node:fs. They call the handle's
 * methods; as in Node, a program may have replaced these methods. After `close()`, the methods
 * refuse calls, so the functions call the backend.
 */
function functionsFor({ handle, backend, file }: Held, endHold: () => void): object {
  const at = (position: Position): number => position ?? -1;
  return {
    read(_fd: number, view: Buffer, offset: number, length: number, position: Position, done: Done) {
      const read = file.isClosed
        ? backend.read(file, view, offset, length, at(position))
        : handle.read(view, offset, length, position);
      tell(read, done, ({ bytesRead }) => [bytesRead, view]);
    },
    write(_fd: number, view: Buffer, offset: number, length: number, position: Position, done: Done) {
      if (file.isClosed) tell(backend.write(file, view, offset, length, at(position)), done, (bytes) => [bytes, view]);
      else tell(handle.write(view, offset, length, position), done, ({ bytesWritten }) => [bytesWritten, view]);
    },
    writev(_fd: number, views: Views, position: Position, done: Done) {
      if (file.isClosed) tell(backend.writev(file, views, at(position)), done, (bytes) => [bytes, views]);
      else tell(handle.writev(views, position), done, ({ bytesWritten }) => [bytesWritten, views]);
    },
    fsync(_fd: number, done: Done) {
      tell(backend.sync(file), done, () => []);
    },
    close(_fd: number, done: Done) {
      endHold();
      tell(handle.close(), done, () => []);
    },
  };
}

/**
 * Makes a stream. `close()` of the handle ends the stream. The stream's `autoClose` closes the
 * handle.
 */
function streamOf<Stream extends ReadStream | WriteStream>(
  held: Held,
  options: object | undefined,
  make: (path: never, options: object) => Stream,
): Stream {
  const { fs } = (options ?? {}) as { fs?: unknown };
  if (fs !== undefined)
    throw withCode("ERR_METHOD_NOT_IMPLEMENTED", new Error("options.fs is not for streams of a handle"));
  const { handle, file } = held;
  const endHold = file.hold();
  let stream: Stream;
  try {
    const own = { fd: handle.fd, fs: functionsFor(held, endHold) };
    stream = make(undefined as never, { highWaterMark: STREAM_BYTES_DEFAULT, ...options, ...own });
  } catch (error) {
    endHold();
    throw error;
  }
  const close = (): void => stream.close();
  handle.once("close", close);
  stream.once("close", () => handle.off("close", close));
  return stream;
}

export function readStreamOf(held: Held, options?: CreateReadStreamOptions): ReadStream {
  return streamOf(held, options, createReadStream);
}

export function writeStreamOf(held: Held, options?: CreateWriteStreamOptions): WriteStream {
  return streamOf(held, options, createWriteStream);
}

export function linesOf(held: Held, options?: CreateReadStreamOptions): Interface {
  return readline().createInterface({ input: readStreamOf(held, options), crlfDelay: Infinity });
}

/**
 * Returns a stream of bytes from the file's position on. `autoClose` closes the handle at the
 * stream's end.
 */
export function byteStreamOf({ handle, backend, file }: Held, options: ReadableWebStreamOptions): ReadableStream {
  requireObject("options", options);
  const { autoClose = false, type = "bytes" } = options as ReadableWebStreamOptions & { type?: unknown };
  requireOptionalBoolean("options.autoClose", autoClose);
  file.lock();
  if (type !== "bytes")
    process.emitWarning(
      // Node's message.
      'A non-"bytes" options.type has no effect. A byte-oriented steam is always created.',
      "ExperimentalWarning",
    );
  const endHold = file.hold();
  let isOver = false;
  let controller: ReadableByteStreamController;
  const end = async (): Promise<void> => {
    if (isOver) return;
    isOver = true;
    handle.off("close", onClose);
    endHold();
    if (autoClose) await handle.close();
  };
  const onClose = (): void => {
    controller.close();
    controller.byobRequest?.respond(0);
    void end();
  };
  handle.once("close", onClose);
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: WEB_STREAM_BYTES,
    start(started) {
      controller = started as ReadableByteStreamController;
    },
    async pull() {
      const request = controller.byobRequest!;
      const view = request.view as Uint8Array;
      try {
        const { bytesRead } = await backend.read(file, view, 0, view.byteLength, -1);
        if (isOver) return;
        if (bytesRead === 0) {
          controller.close();
          await end();
        }
        request.respond(bytesRead);
      } catch (error) {
        if (isOver) return;
        await end();
        throw error;
      }
    },
    cancel: end,
  });
}
