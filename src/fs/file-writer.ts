/**
 * A file's writer for `node:stream/iter`: `writer()` of FileHandle. Functions with promises write
 * through the ring, one write after the other in the order of the calls. Functions that end in Sync
 * use write(2), and do nothing while a promise is pending.
 *
 * Guarantees: the handle stays locked and open until the writer has ended or failed. After a write
 * has failed, all later writes fail with the same error.
 */
import { writeSync } from "node:fs";
import { invalidType, outOfRange, requireArray, requireObject, requireSignal, withCode } from "../sys/check.ts";
import { invalidState } from "./state-errors.ts";
import { byteLengthOf, bytesOf } from "../sys/views.ts";
import { bytesOfChunk, type FileChunk } from "./file-data.ts";
import type { Held } from "./node-streams.ts";
import { type IterationOptions, iterationOf } from "./pull.ts";
import { writeAll } from "./sequences.ts";

interface WriteOptions {
  signal?: AbortSignal;
}

export class FileWriter implements AsyncDisposable, Disposable {
  private readonly held: Held;
  private readonly autoClose: boolean;
  private readonly syncBytesMax: number;
  /** Lets the file close; set from the first write on. */
  private endHold: (() => void) | undefined;
  /** Position of the next write; -1 means the file's own position. */
  private position: number;
  private bytesLeft: number;
  private total = 0;
  private pending = 0;
  /** Fulfilled when all writes so far are over, also failed ones. */
  private last: Promise<void> = Promise.resolve();
  /** Reason of a failed write. */
  private broken: { reason: unknown } | undefined;
  /** Reason of a call of `fail()`. Earlier writes still run. */
  private failed: { reason: unknown } | undefined;
  private isClosed = false;
  private ending: Promise<number> | undefined;
  private leaving: Promise<void> | undefined;

  /**
   * `chunkSize` is the largest number of bytes that a function that ends in Sync writes. Throws
   * ERR_INVALID_STATE if the handle is closed or locked.
   */
  constructor(held: Held, options: IterationOptions) {
    const { autoClose, start, limit, chunkSize } = iterationOf(options);
    this.held = held;
    this.autoClose = autoClose;
    this.syncBytesMax = chunkSize;
    this.position = start;
    this.bytesLeft = limit < 0 ? Infinity : limit;
    held.file.lock();
  }

  /**
   * Writes all bytes of a piece. Rejects with ERR_OUT_OF_RANGE beyond the limit, and writes nothing
   * then.
   */
  async write(chunk: FileChunk, options?: WriteOptions): Promise<void> {
    return this.writeViews("write", [viewOf(chunk)], options);
  }

  /** Writes several pieces, like `write`. */
  async writev(chunks: readonly FileChunk[], options?: WriteOptions): Promise<void> {
    return this.writeViews("writev", viewsOf(chunks), options);
  }

  /**
   * Writes a piece with write(2). Returns false, and writes nothing, while a promise is pending,
   * beyond `chunkSize` or the limit, and after the end.
   */
  writeSync(chunk: FileChunk): boolean {
    return this.writeViewsSync([viewOf(chunk)]);
  }

  /** Writes several pieces, like `writeSync`. */
  writevSync(chunks: readonly FileChunk[]): boolean {
    return this.writeViewsSync(viewsOf(chunks));
  }

  /** Ends the writer. Returns the number of written bytes when all writes are over. */
  async end(options?: WriteOptions): Promise<number> {
    if (this.failure !== undefined) throw this.failure.reason;
    if (this.ending !== undefined) return this.ending;
    if (this.isClosed) return this.total;
    signalOf(options)?.throwIfAborted();
    this.closeWhenIdle();
    return (this.ending = this.whenAllIsWritten());
  }

  private async whenAllIsWritten(): Promise<number> {
    await this.last;
    await this.leaving;
    if (this.broken !== undefined) throw this.broken.reason;
    return this.total;
  }

  /**
   * Ends the writer. Returns the number of written bytes; -1 if a write is pending or has failed.
   */
  endSync(): number {
    if (this.failure !== undefined) return -1;
    if (this.isClosed) return this.total;
    if (this.pending > 0) return -1;
    this.closeWhenIdle();
    return this.total;
  }

  /** Ends the writer with an error. Earlier writes still run; later writes fail with the reason. */
  fail(reason?: unknown): void {
    if (this.isClosed || this.failure !== undefined) return;
    this.failed = { reason: reason ?? invalidState("The writer has failed") };
    this.closeWhenIdle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ending !== undefined) await this.ending;
    else this.fail();
  }

  [Symbol.dispose](): void {
    this.fail();
  }

  private get failure(): { reason: unknown } | undefined {
    return this.broken ?? this.failed;
  }

  private async writeViews(
    name: string,
    views: NodeJS.ArrayBufferView[],
    options: WriteOptions | undefined,
  ): Promise<void> {
    if (this.failure !== undefined) throw this.failure.reason;
    if (this.isClosed) throw withCode("ERR_INVALID_STATE", new TypeError("Invalid state: The writer is closed"));
    this.hold();
    const signal = signalOf(options);
    signal?.throwIfAborted();
    const bytes = bytesIn(views);
    if (bytes > this.bytesLeft) throw outOfRange(name, `at most ${this.bytesLeft} bytes`, bytes);
    const position = this.move(bytes);
    const run = (): Promise<void> => this.run(views, position, signal);
    const write = this.pending++ === 0 ? run() : this.last.then(run);
    this.last = write.catch(() => {});
    return write;
  }

  private async run(views: NodeJS.ArrayBufferView[], position: number, signal: AbortSignal | undefined): Promise<void> {
    const { file, backend } = this.held;
    try {
      if (this.broken !== undefined) throw this.broken.reason;
      for (const view of views) {
        const length = byteLengthOf(view);
        await writeAll(backend, file, view, position, { signal }, length);
        if (position >= 0) position += length;
        this.total += length;
      }
    } catch (reason) {
      this.broken ??= { reason };
      throw reason;
    } finally {
      if (--this.pending === 0 && (this.isClosed || this.broken !== undefined)) this.leaving = this.leave();
    }
  }

  private hold(): void {
    const { file } = this.held;
    if (this.endHold === undefined) this.endHold = file.requireNotClosed().hold();
  }

  private writeViewsSync(views: NodeJS.ArrayBufferView[]): boolean {
    if (this.failure !== undefined || this.isClosed || this.pending > 0) return false;
    this.hold();
    const { fd } = this.held.file;
    const bytes = bytesIn(views);
    if (bytes > this.syncBytesMax || bytes > this.bytesLeft) return false;
    const data = views.length === 1 ? bytesOf(views[0]!) : Buffer.concat(views.map(bytesOf));
    const { position } = this;
    for (let done = 0; done < bytes;) {
      let written: number;
      try {
        written = writeSync(fd, data, done, bytes - done, position < 0 ? null : position + done);
      } catch (error) {
        if (done === 0) return false;
        this.broken = { reason: error };
        throw error;
      }
      done += written;
      this.total += written;
    }
    this.move(bytes);
    return true;
  }

  /** Reserves room for bytes. Returns its position. */
  private move(bytes: number): number {
    const { position } = this;
    this.bytesLeft -= bytes;
    if (position >= 0) this.position += bytes;
    return position;
  }

  private closeWhenIdle(): void {
    this.isClosed = true;
    if (this.pending === 0) this.leaving = this.leave();
  }

  private async leave(): Promise<void> {
    this.held.file.unlock();
    this.endHold?.();
    if (this.autoClose) await this.held.handle.close();
  }
}

function viewOf(chunk: unknown): NodeJS.ArrayBufferView {
  const view = bytesOfChunk(chunk, undefined);
  if (view === undefined) throw invalidType("chunk", "text, an ArrayBuffer or a view of one", chunk);
  return view;
}

function viewsOf(chunks: unknown): NodeJS.ArrayBufferView[] {
  requireArray("chunks", chunks);
  return chunks.map(viewOf);
}

const bytesIn = (views: NodeJS.ArrayBufferView[]): number => views.reduce((sum, view) => sum + byteLengthOf(view), 0);

function signalOf(options: WriteOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  requireObject("options", options);
  const { signal } = options;
  requireSignal("options.signal", signal);
  return signal;
}
