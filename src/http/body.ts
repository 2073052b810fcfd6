/**
 * A request's body on its way from the connection to its reader: at once, later, as a stream, or
 * never.
 *
 * Guarantees: bytes are copied once, out of the receive buffer; the ends of blocks are copied once
 * more. A body that is not read uses at most BUFFERED_BYTES_MAX before its connection is held, a
 * stream that is read slowly at most STREAM_BYTES_MAX. A body in tiny pieces uses no more memory
 * than one in large pieces: a stream gets the tiny pieces of one turn together. A body can be read
 * once. A stream runs in the async context of the code that asked for it.
 */
import { withCode } from "../sys/check.ts";
import { ARRIVED_PART } from "../transport/byte-queue.ts";
import { Hold } from "../transport/transport.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import { type AsyncContext, currentContext } from "../sys/async-context.ts";
import { runJobs } from "../sys/program.ts";

/** The connection of a body. It is told to stop delivering and to go on. */
export interface BodySource {
  readonly reactor: { scheduleFlush(target: Flushable): void };
  hold(reason: Hold): void;
  release(reason: Hold): void;
}

/** Bytes that wait for a reader before the connection is held. */
const BUFFERED_BYTES_MAX = 262144;
/** Bytes that wait in a stream before the connection is held. */
const STREAM_BYTES_MAX = 524288;
/** Bytes that a piece of a stream costs besides its content. */
const PIECE_BYTES = 256;
/** Pieces that are smaller than this wait in a stream for the end of the turn. */
const SMALL_PIECE_BYTES = 1024;
/** Sizes of blocks: small at first, and then as large as what arrives. */
const BLOCK_BYTES_MIN = 4096;
const BLOCK_BYTES_MAX = 262144;

export class RequestBody implements Flushable {
  /** Whether the body is being read or was read. */
  used = false;

  private readonly source: BodySource;
  /** The Content-Length; 0 if it is not known. */
  private readonly length: number;
  /** Blocks that are full. */
  private blocks: Buffer[] = [];
  /** The block that is being filled, and its bytes in use. */
  private block: Buffer | null = null;
  private filled = 0;
  /** Bytes of the body so far, and those of them that wait in blocks. */
  private arrived = 0;
  private bufferedBytes = 0;
  private flushScheduled = false;
  private ended = false;
  private error: Error | undefined;
  private paused = false;
  private discarding = false;
  private collector: { resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | undefined;
  private readable: ReadableStream<Uint8Array> | undefined;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /**
   * The async context of the code that asked for the stream. Pipes run in it: otherwise they would
   * run in the context of the code that puts bytes into the stream.
   */
  private context: AsyncContext | undefined;

  /** `length`: the Content-Length; 0 if it is not known. */
  constructor(source: BodySource, length = 0) {
    this.source = source;
    this.length = length;
  }

  /** Returns a body that has come whole, as most small bodies do. */
  static whole(source: BodySource, memory: Buffer, start: number, end: number): RequestBody {
    const body = new RequestBody(source);
    body.blocks.push(copyOf(memory, start, end));
    body.bufferedBytes = end - start;
    body.ended = true;
    return body;
  }

  // ---- from the connection ----------------------------------------------------------------------

  push(memory: Buffer, start: number, end: number): void {
    if (this.discarding || start === end) return;
    if (this.controller && end - start >= SMALL_PIECE_BYTES) {
      this.giveFilled();
      if (this.controller) this.give(copyOf(memory, start, end));
      return;
    }
    for (let at = start; at < end;) {
      const block = (this.block ??= this.makeBlock(end - at));
      const part = Math.min(block.length - this.filled, end - at);
      memory.copy(block, this.filled, at, at + part);
      this.filled += part;
      this.arrived += part;
      this.bufferedBytes += part;
      at += part;
      if (this.filled === block.length) this.shelve(block);
      if (this.discarding) return; // The reader has cancelled the stream meanwhile.
    }
    if (this.controller) return this.scheduleFlush();
    if (!this.collector && this.bufferedBytes >= BUFFERED_BYTES_MAX) this.pause();
  }

  /** Makes a block for at least some of the `coming` bytes, and no larger than the body's rest. */
  private makeBlock(coming: number): Buffer {
    const { length, arrived, bufferedBytes } = this;
    const left = length === 0 ? Infinity : length - arrived;
    if (this.collector && length > 0 && bufferedBytes === arrived && arrived >= length * ARRIVED_PART && arrived > 0) {
      const whole = Buffer.allocUnsafeSlow(length);
      let at = 0;
      for (const block of this.blocks) at += block.copy(whole, at);
      this.blocks = [];
      this.filled = at;
      return whole;
    }
    const bytes = Math.max(coming, arrived, BLOCK_BYTES_MIN);
    return Buffer.allocUnsafeSlow(Math.min(bytes, BLOCK_BYTES_MAX, left));
  }

  /** The block is full: the stream gets it, or it waits. */
  private shelve(block: Buffer): void {
    this.block = null;
    this.filled = 0;
    if (!this.controller) return void this.blocks.push(block);
    this.bufferedBytes -= block.length;
    this.give(block);
  }

  /** Puts bytes into the stream. */
  private give(bytes: Buffer): void {
    this.context!(enqueue, this.controller!, bytes);
    if ((this.controller?.desiredSize ?? 0) <= 0) this.pause();
  }

  private scheduleFlush(): void {
    if (this.flushScheduled || this.filled === 0) return;
    this.flushScheduled = true;
    this.source.reactor.scheduleFlush(this);
  }

  /** The stream gets the bytes of this turn. */
  flush(): void {
    this.flushScheduled = false;
    if (!this.controller) return;
    this.giveFilled();
    runJobs();
  }

  /** Gives the stream a copy of the bytes in the block, which is filled again. */
  private giveFilled(): void {
    const { filled } = this;
    if (filled === 0) return;
    this.filled = 0;
    this.bufferedBytes -= filled;
    this.give(copyOf(this.block!, 0, filled));
  }

  finish(): void {
    if (this.ended) return;
    this.ended = true;
    this.resume(); // Bytes that come from now on belong to the next request.
    this.collector?.resolve(this.takeAll());
    this.collector = undefined;
    this.closeStream();
  }

  /** Ends the body with an error: the connection is gone before the body's end. */
  fail(error: Error): void {
    if (this.ended) return;
    this.ended = true;
    this.resume();
    this.error ??= error;
    this.drop();
    this.collector?.reject(error);
    this.collector = undefined;
    if (!this.discarding && this.controller) this.context!(breakOff, this.controller, error);
  }

  /** Drops the bytes that are still to come: nobody will read them. */
  discard(): void {
    this.discarding = true;
    this.drop();
    this.resume();
  }

  /**
   * Ends the body because its request is answered before all of the body has come. As in Bun, its
   * reader gets an error, so that it does not use a part of the body as the whole.
   */
  cutOff(): void {
    const error = new DOMException("The connection was closed.", "AbortError");
    const { collector, controller } = this;
    const isWanted = !this.discarding;
    this.error = error;
    this.collector = undefined;
    this.controller = undefined;
    this.discard();
    collector?.reject(error);
    if (isWanted && controller) this.context!(breakOff, controller, error);
  }

  // ---- for the reader ---------------------------------------------------------------------------

  /**
   * Returns the whole body, at once if it is there. Throws a TypeError if it was read before, and
   * the error of a body that will not become whole.
   */
  bytes(): Buffer | Promise<Buffer> {
    if (this.used) throw bodyAlreadyUsed();
    this.used = true;
    if (this.error) throw this.error;
    if (this.ended) return this.takeAll();
    return new Promise((resolve, reject) => {
      this.collector = { resolve, reject };
      this.resume();
    });
  }

  /** Returns the body as a stream, the same stream each time. */
  stream(): ReadableStream<Uint8Array> {
    return (this.readable ??= this.createStream());
  }

  private createStream(): ReadableStream<Uint8Array> {
    const highWaterMark = STREAM_BYTES_MAX;
    this.context = currentContext();
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
          if (this.error) return controller.error(this.error);
          for (const bytes of this.pieces()) controller.enqueue(bytes);
          this.drop();
          if (this.ended) this.closeStream();
        },
        pull: () => {
          this.used = true;
          this.resume();
        },
        cancel: () => {
          this.controller = undefined;
          this.discard();
        },
      },
      { highWaterMark, size: (chunk) => chunk!.length + PIECE_BYTES },
    );
  }

  private closeStream(): void {
    if (this.discarding || !this.controller) return;
    this.giveFilled();
    if (!this.controller) return; // The reader has cancelled it meanwhile.
    this.context!(close, this.controller);
    this.controller = undefined;
  }

  private takeAll(): Buffer {
    const pieces = this.pieces();
    this.drop();
    if (pieces.length === 1) return pieces[0]!;
    const whole = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of pieces) at += piece.copy(whole, at);
    return whole;
  }

  /** Returns the bytes that wait, each piece with memory of its own. */
  private pieces(): Buffer[] {
    const { blocks, block, filled } = this;
    if (filled === 0) return blocks;
    return [...blocks, filled === block!.length ? block! : copyOf(block!, 0, filled)];
  }

  private drop(): void {
    this.blocks = [];
    this.block = null;
    this.filled = 0;
    this.bufferedBytes = 0;
  }

  private pause(): void {
    if (this.paused || this.ended) return;
    this.paused = true;
    this.source.hold(Hold.Reader);
  }

  private resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.source.release(Hold.Reader);
  }
}

/** Returns Bun's error for a second read. */
export function bodyAlreadyUsed(): TypeError {
  return withCode("ERR_BODY_ALREADY_USED", new TypeError("Body already used"));
}

type Controller = ReadableStreamDefaultController<Uint8Array>;

function enqueue(controller: Controller, bytes: Uint8Array): void {
  controller.enqueue(bytes);
}

function close(controller: Controller): void {
  controller.close();
}

function breakOff(controller: Controller, error: Error): void {
  controller.error(error);
}

/** Returns a copy that uses all of its memory block. */
function copyOf(memory: Buffer, start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(end - start);
  memory.copy(bytes, 0, start, end);
  return bytes;
}
