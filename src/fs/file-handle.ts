/**
 * An open file, with the shapes of node:fs/promises' FileHandle, and more.
 *
 * Guarantees: `read` fills the caller's memory when the bytes arrive, and never after the promise
 * was rejected. Operations that start before `close` run on this file, and the file is closed after
 * the last of them. Leaves to others: the owner closes the handle. If the garbage collector finds
 * an open handle, it is closed with a warning.
 */
import { EventEmitter } from "node:events";
import type { ReadStream, WriteStream } from "node:fs";
import {
  type CreateReadStreamOptions,
  type CreateWriteStreamOptions,
  type ReadableWebStreamOptions,
} from "node:fs/promises";
import type { Interface } from "node:readline";
import { type OperationOptions, requireLimits } from "../operations/operation-options.ts";
import { byteLengthOf } from "../sys/views.ts";
import {
  invalidType,
  invalidValue,
  requireNodeInteger,
  requireNumber,
  requireObject,
  requireOptionalBoolean,
  requireView,
} from "../sys/check.ts";
import { atomicOpenFile, oddHex } from "./state-errors.ts";
import { abortable } from "./abort.ts";
import { encodingOf, openFlags, positionOf, readPositionOf, viewsOf } from "./arguments.ts";
import type { Backend, ReadResult } from "./backend.ts";
import { type Mode, type Time, fchmod, fchown, futimes } from "./bun-own.ts";
import { type FileChunk, type FileData, readData, type ReadyData } from "./file-data.ts";
import { FileWriter } from "./file-writer.ts";
import { byteStreamOf, type Held, linesOf, readStreamOf, writeStreamOf } from "./node-streams.ts";
import type { OpenFile } from "./open-file.ts";
import { type Batch, type IterationOptions, type PullOptions, pullOf, pullSyncOf, type Transform } from "./pull.ts";
import type { ReadOptions, WriteResult } from "./read-options.ts";
import { flushed, readToEnd, writeAll } from "./sequences.ts";
import type { BigIntStats, Stats } from "./stats.ts";
import { chunksOf, type ReadableOptions, readableOf, type WritableOptions, writableOf } from "./streams.ts";

/** Bytes of a read without a buffer, as in Node. */
const READ_BYTES_DEFAULT = 16384;
const BYTES_MAX = Number.MAX_SAFE_INTEGER;

/** Closes forgotten files. Operations under way keep the file; streams keep the handle. */
const forgotten = new FinalizationRegistry<OpenFile>((file) => {
  if (file.isClosed) return;
  process.emitWarning(`a FileHandle was collected open, and its descriptor ${file.fd} is closed: close() it`, {
    code: "RINGLOOP_FILE_NOT_CLOSED",
  });
  file.endHolds();
  file.close().catch(() => {});
});

/** An open file. It emits "close" when `close()` is called. */
export class FileHandle extends EventEmitter implements AsyncDisposable {
  /** The descriptor; -1 after `close()`. */
  get fd(): number {
    return this.file.isClosed ? -1 : this.file.fd;
  }

  /** Whether the file was opened with `direct: true`. */
  get isDirect(): boolean {
    return this.file.direct !== null;
  }

  private readonly backend: Backend;
  private readonly file: OpenFile;

  /** @internal Owns `file` from now on. */
  constructor(backend: Backend, file: OpenFile) {
    super();
    this.backend = backend;
    this.file = file;
    if (!file.isBorrowed) forgotten.register(this, file, file);
  }

  /** Returns 0: Bun has no async ids. */
  getAsyncId(): number {
    return 0;
  }

  private heldOpen(syscall: string): Held {
    this.file.requireOpen(syscall);
    return this.held;
  }

  private get held(): Held {
    return { handle: this, backend: this.backend, file: this.file };
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `FileHandle ${Bun.inspect({ fd: this.fd, isDirect: this.isDirect })}`;
  }

  /** read(2), pread(2), with Node's arguments. May read fewer bytes than asked; 0 at the end. */
  read<View extends NodeJS.ArrayBufferView>(
    buffer: View,
    offset?: number | null | ReadOptions<View>,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<ReadResult<View>>;
  read<View extends NodeJS.ArrayBufferView>(options: ReadOptions<View> & { buffer: View }): Promise<ReadResult<View>>;
  read(options?: ReadOptions<Buffer>): Promise<ReadResult<Buffer>>;
  read<View extends NodeJS.ArrayBufferView>(
    buffer?: View | ReadOptions<View>,
    offset?: number | null | ReadOptions<View>,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<ReadResult<View>> {
    try {
      this.file.requireOpen("read");
      if (!ArrayBuffer.isView(buffer)) {
        if ((typeof buffer !== "object" && buffer !== undefined) || Array.isArray(buffer))
          throw invalidType("buffer", "an ArrayBuffer's view, or an object with options", buffer);
        return this.readWith((buffer as ReadOptions<View> | undefined) ?? {});
      }
      if (typeof offset === "object" && offset !== null) return this.readWith({ ...offset, buffer });
      return this.readInto(buffer, offset, length, position);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private readWith<View extends NodeJS.ArrayBufferView>(options: ReadOptions<View>): Promise<ReadResult<View>> {
    const { buffer, offset, length, position } = options;
    if (buffer !== undefined) requireView("buffer", buffer);
    if (buffer !== undefined || offset) {
      const view = buffer ?? (Buffer.alloc(READ_BYTES_DEFAULT) as unknown as View);
      return this.readInto(view, offset, length, position, options);
    }
    const bytes = length ?? READ_BYTES_DEFAULT;
    requireNodeInteger("length", bytes, 0, 0x7fffffff);
    // Zeroed, because the caller sees the memory after the bytes that are read.
    const fresh = Buffer.alloc(bytes);
    const read = this.backend.readFresh(this.file, fresh, readPositionOf(position), options);
    return abortable(options, read as unknown as Promise<ReadResult<View>>);
  }

  private readInto<View extends NodeJS.ArrayBufferView>(
    view: View,
    offset: number | null | undefined,
    length: number | null | undefined,
    position: number | bigint | null | undefined,
    options?: OperationOptions,
  ): Promise<ReadResult<View>> {
    const byteLength = byteLengthOf(view);
    const from = offset ?? 0;
    requireNodeInteger("offset", from, 0, byteLength);
    const bytes = length ?? byteLength - from;
    requireNumber("length", bytes);
    if (bytes > 0 && byteLength === 0) throw invalidValue("buffer", "a view with room", view);
    requireNodeInteger("length", bytes, 0, byteLength - from);
    const at = readPositionOf(position);
    if (bytes === 0 && options === undefined) return Promise.resolve({ bytesRead: 0, buffer: view });
    return abortable(options, this.backend.read(this.file, view, from, bytes, at, options));
  }

  /** write(2), pwrite(2), with Node's arguments, for bytes or text. */
  async write<Data extends NodeJS.ArrayBufferView | string>(
    data: Data,
    offset?: number | null | { offset?: number; length?: number; position?: number | null },
    length?: number | BufferEncoding | null,
    position?: number | null,
  ): Promise<WriteResult<Data>> {
    const file = this.file.requireOpen("write");
    if (typeof data === "string") {
      // As in Node, a number here is the length of bytes, and is ignored for text.
      const encoding = encodingOf(typeof length === "number" ? undefined : length) ?? "utf8";
      if (encoding === "hex" && data.length % 2 !== 0) throw oddHex(data.length);
      const text = Buffer.from(data, encoding);
      const at = positionOf(offset as number | null | undefined);
      return {
        bytesWritten: await abortable(undefined, this.backend.write(file, text, 0, text.length, at)),
        buffer: data,
      };
    }
    requireView("buffer", data);
    const named = typeof offset === "object" ? (offset ?? {}) : { offset, length, position };
    const byteLength = byteLengthOf(data);
    if (byteLength === 0) return { bytesWritten: 0, buffer: data };
    const from = named.offset ?? 0;
    requireNodeInteger("offset", from, 0, byteLength);
    const count = (named.length as number | null | undefined) ?? byteLength - from;
    requireNodeInteger("length", count, 0, byteLength - from);
    const write = this.backend.write(file, data, from, count, positionOf(named.position));
    const bytesWritten = await abortable(undefined, write);
    return { bytesWritten, buffer: data };
  }

  /** preadv(2). Reads into several views. */
  async readv<Views extends readonly NodeJS.ArrayBufferView[]>(
    buffers: Views,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: Views }> {
    const file = this.file.requireOpen("readv");
    const views = viewsOf(buffers);
    const at = positionOf(position);
    if (views.length === 0) return { bytesRead: 0, buffers };
    return { bytesRead: await abortable(undefined, this.backend.readv(file, views, at)), buffers };
  }

  /** pwritev(2). Writes several views. */
  async writev<Views extends readonly NodeJS.ArrayBufferView[]>(
    buffers: Views,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: Views }> {
    const file = this.file.requireOpen("writev");
    const views = viewsOf(buffers);
    const at = positionOf(position);
    if (views.length === 0) return { bytesWritten: 0, buffers };
    return { bytesWritten: await abortable(undefined, this.backend.writev(file, views, at)), buffers };
  }

  /** Reads from the file's position to the end. Returns one new buffer. */
  async readAll(options?: OperationOptions): Promise<Buffer> {
    return await abortable(options, readToEnd(this.backend, this.file.requireOpen("readFile"), options));
  }

  /** Reads like `readAll`. Returns a buffer, or text with `"utf8"` or `{ encoding }`. */
  async readFile(
    options?:
      BufferEncoding | null | ({ encoding?: BufferEncoding | null; flag?: string | number | null } & OperationOptions),
  ): Promise<any> {
    this.file.requireOpen("readFile");
    const given = typeof options === "object" && options !== null ? options : { encoding: options };
    const { encoding, flag, ...limits } = given as { encoding?: unknown; flag?: string | number } & OperationOptions;
    // As in Node, the flag has no effect.
    if (flag !== "") openFlags(flag);
    const named = encodingOf(encoding);
    const bytes = await this.readAll(limits);
    return named === undefined ? bytes : bytes.toString(named);
  }

  /** Writes all data from the file's position on: text, bytes, or an iterable of pieces. */
  async writeFile(
    data: FileData,
    options?: BufferEncoding | null | ({ encoding?: BufferEncoding | null; flush?: boolean } & OperationOptions),
  ): Promise<void> {
    this.file.requireOpen("writeFile");
    const given = typeof options === "object" && options !== null ? options : { encoding: options };
    const { encoding, flush, ...limits } = given;
    if ((limits as { atomic?: unknown }).atomic === true) throw atomicOpenFile();
    requireOptionalBoolean("flush", flush ?? undefined);
    await this.writeData(readData(data, encodingOf(encoding)), limits);
    if (flush) await flushed(this.sync());
  }

  /** Writes as `writeFile` does, as in Node. To append to a file, open it with "a". */
  async appendFile(data: FileData, options?: Parameters<FileHandle["writeFile"]>[1]): Promise<void> {
    return this.writeFile(data, options);
  }

  /** @internal */
  writeData(data: ReadyData, options: OperationOptions): Promise<void> {
    requireLimits(options);
    const file = this.file.requireOpen("writeFile");
    const { backend } = this;
    const writing = file.during(() =>
      data.write((view, length) => writeAll(backend, file, view, -1, options, length), options),
    );
    return abortable(options, writing);
  }

  /** Returns a stream of the contents, in new memory. Cancelling it leaves the file open. */
  readable(options: ReadableOptions = {}): ReadableStream<Buffer> {
    requireObject("options", options);
    return readableOf((chunk) => this.read(chunk), options);
  }

  /** Returns a stream that writes to the file. Closing it leaves the file open. */
  writable(options: WritableOptions = {}): WritableStream<FileChunk> {
    this.file.requireOpen("write");
    requireObject("options", options);
    return writableOf((view, position, limits) => this.writeAt(view, position, limits), options);
  }

  private writeAt(view: NodeJS.ArrayBufferView, position: number, limits: OperationOptions): Promise<void> {
    return abortable(limits, writeAll(this.backend, this.file.requireOpen("write"), view, position, limits));
  }

  /** Iterates over chunks of new memory from the file's position on. */
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return chunksOf((chunk) => this.read(chunk), {});
  }

  /** fstat(2). */
  stat(options: { bigint: true }): Promise<BigIntStats>;
  stat(options?: { bigint?: boolean } | null): Promise<Stats>;
  async stat(options?: { bigint?: boolean } | null): Promise<Stats | BigIntStats> {
    const file = this.file.requireOpen("fstat");
    const bigint = options?.bigint;
    requireOptionalBoolean("bigint", bigint);
    return await abortable(undefined, this.backend.fstat(file, bigint ?? false));
  }

  /** fsync(2). */
  async sync(): Promise<void> {
    return await abortable(undefined, this.backend.sync(this.file.requireOpen("fsync")));
  }

  /** fdatasync(2). */
  async datasync(): Promise<void> {
    return await abortable(undefined, this.backend.datasync(this.file.requireOpen("fdatasync")));
  }

  /** ftruncate(2) to `bytes`. Default 0; as in Node, a negative number means 0. */
  async truncate(bytes = 0): Promise<void> {
    const file = this.file.requireOpen("ftruncate");
    const length = typeof bytes === "number" && bytes < 0 ? 0 : bytes;
    requireNodeInteger("bytes", length, 0, BYTES_MAX);
    return await abortable(undefined, this.backend.truncate(file, length));
  }

  /** fallocate(2) from `position` on. `mode`: FALLOC_FL_*. Throws EOPNOTSUPP without a ring. */
  async allocate(bytes: number, position = 0, mode = 0): Promise<void> {
    const file = this.file.requireOpen("fallocate");
    requireNodeInteger("bytes", bytes, 0, BYTES_MAX);
    requireNodeInteger("position", position, 0, BYTES_MAX);
    return await abortable(undefined, this.backend.allocate(file, mode, position, bytes));
  }

  /** fchmod(2), by Bun's own function. */
  async chmod(mode: Mode): Promise<void> {
    const file = this.file.requireOpen("fchmod");
    return file.during(() => fchmod(file.fd, mode));
  }

  /** fchown(2), by Bun's own function. */
  async chown(uid: number, gid: number): Promise<void> {
    const file = this.file.requireOpen("fchown");
    return file.during(() => fchown(file.fd, uid, gid));
  }

  /** futimens(3), by Bun's own function. */
  async utimes(atime: Time, mtime: Time): Promise<void> {
    const file = this.file.requireOpen("futimes");
    return file.during(() => futimes(file.fd, atime, mtime));
  }

  /** Returns a ReadStream of node:fs. `autoClose` (default true) also closes the handle. */
  createReadStream(options?: CreateReadStreamOptions): ReadStream {
    return readStreamOf(this.heldOpen("createReadStream"), options);
  }

  /** Returns a WriteStream of node:fs. `autoClose` (default true) also closes the handle. */
  createWriteStream(options?: CreateWriteStreamOptions): WriteStream {
    return writeStreamOf(this.heldOpen("createWriteStream"), options);
  }

  /** Returns the lines of the file, as node:readline gives them. */
  readLines(options?: CreateReadStreamOptions): Interface {
    return linesOf(this.heldOpen("createReadStream"), options);
  }

  /**
   * Returns a stream of bytes, also for readers with buffers of their own. It can be called once
   * for a handle. `autoClose`: default false.
   */
  readableWebStream(options: ReadableWebStreamOptions = {}): ReadableStream {
    return byteStreamOf(this.held, options);
  }

  /**
   * Returns batches of chunks for node:stream/iter, which is experimental in Node. The options
   * follow the transforms.
   */
  pull(...transformsAndOptions: (Transform | PullOptions)[]): AsyncIterable<Batch> {
    return pullOf(this.held, transformsAndOptions);
  }

  /** Returns batches as `pull` does, by read(2) without the ring. */
  pullSync(...transformsAndOptions: (Transform | IterationOptions)[]): Iterable<Batch> {
    return pullSyncOf(this.held, transformsAndOptions);
  }

  /** Returns a writer for node:stream/iter. */
  writer(options: IterationOptions = {}): FileWriter {
    return new FileWriter(this.held, options);
  }

  /**
   * Closes the file after the operations that were started. Later ones fail with EBADF. `fd` is -1
   * at once. Further calls return the same promise.
   */
  close(): Promise<void> {
    const isFirst = !this.file.isClosed;
    forgotten.unregister(this.file);
    const closed = this.file.close();
    if (isFirst) this.emit("close");
    return closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
