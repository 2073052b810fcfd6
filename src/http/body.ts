/**
 * A request's body on its way from the connection to its reader: at once, later, as a stream, or
 * never.
 *
 * Guarantees: bytes are copied once, out of the receive buffer; the ends of pieces are copied once
 * more. The rest of a long body goes from the kernel into the memory of its reader. A body that is not read uses at most BUFFERED_BYTES_MAX before its connection is held, a
 * stream that is read slowly at most STREAM_BYTES_MAX. A body in tiny pieces uses no more memory
 * than one in large pieces: a stream gets the tiny pieces of one turn together. A body can be read
 * once. A stream runs in the async context of the code that asked for it.
 */
import { withCode } from "../sys/check.ts";
import { Block, BLOCK_BYTES_MAX, BLOCK_BYTES_MIN } from "../sys/block.ts";
import { pointerTo } from "../sys/library.ts";
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
  receiveDirectly(wanted: boolean): void;
  receiveInto(address: number, bytes: number): number;
}

/** Bytes that wait for a reader before the connection is held. */
const BUFFERED_BYTES_MAX = 262144;
/** Bytes that wait in a stream before the connection is held. */
const STREAM_BYTES_MAX = 524288;
/** Bytes that a piece of a stream costs besides its content. */
const PIECE_BYTES = 256;
/** Pieces that are smaller than this wait in a stream for the end of the turn. */
const SMALL_PIECE_BYTES = 1024;
/** Sizes of buffers: small at first, and then as large as what arrives. */
const BUFFER_BYTES_MIN = 4096;
const BUFFER_BYTES_MAX = 262144;
/** A reader takes the rest of a body out of the kernel itself if the rest is at least so long. */
const DIRECT_BYTES_MIN = 262144;

export class RequestBody implements Flushable {
  /** Whether the body is being read or was read. */
  used = false;

  private readonly source: BodySource;
  /** The Content-Length; 0 if it is not known. */
  private readonly length: number;
  /** Buffers that are full. */
  private buffers: Buffer[] = [];
  /** The buffer that is being filled, and its bytes in use. */
  private buffer: Buffer | null = null;
  private filled = 0;
  /** Memory for all of the body, if the body is long and somebody waits for all of it. */
  private whole: Block | null = null;
  /** Bytes of the body so far, and those of them that wait in buffers. */
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
    body.buffers.push(copyOf(memory, start, end));
    body.bufferedBytes = end - start;
    body.ended = true;
    return body;
  }

  // ---- from the connection ----------------------------------------------------------------------

  push(memory: Buffer, start: number, end: number): void {
    if (this.discarding || start === end) return;
    if (this.controller && end - start >= SMALL_PIECE_BYTES) {
      this.arrived += end - start;
      this.giveFilled();
      if (this.controller) this.give(copyOf(memory, start, end));
      return this.wishDirect();
    }
    if (this.whole === null && this.isWorthBlock) this.makeWhole();
    if (this.whole !== null) {
      this.whole.append(memory, start, end);
      this.arrived += end - start;
    } else this.fill(memory, start, end);
    if (this.discarding) return; // The reader has cancelled the stream meanwhile.
    this.wishDirect();
    if (this.controller) return this.scheduleFlush();
    if (!this.collector && this.bufferedBytes >= BUFFERED_BYTES_MAX) this.pause();
  }

  private get left(): number {
    return this.length === 0 ? Infinity : this.length - this.arrived;
  }

  /** Whether so much of a long body has come that all of it gets memory. */
  private get isWorthBlock(): boolean {
    const { length, arrived, collector } = this;
    const fits = length >= BLOCK_BYTES_MIN && length <= BLOCK_BYTES_MAX;
    return collector !== undefined && fits && arrived >= length * ARRIVED_PART;
  }

  /** Takes memory for the whole body. What has come is in buffers, since nobody has read any of it. */
  private makeWhole(): void {
    const whole = new Block(this.length);
    for (const buffer of this.buffers) whole.append(buffer, 0, buffer.length);
    if (this.filled > 0) whole.append(this.buffer!, 0, this.filled);
    this.drop();
    this.whole = whole;
  }

  private fill(memory: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) {
      const buffer = (this.buffer ??= this.makeBuffer(end - at));
      const part = Math.min(buffer.length - this.filled, end - at);
      memory.copy(buffer, this.filled, at, at + part);
      this.filled += part;
      this.arrived += part;
      this.bufferedBytes += part;
      at += part;
      if (this.filled === buffer.length) this.shelve(buffer);
      if (this.discarding) return;
    }
  }

  /** Makes a buffer for at least some of the `coming` bytes, and no larger than the body's rest. */
  private makeBuffer(coming: number): Buffer {
    const bytes = Math.max(coming, this.arrived, BUFFER_BYTES_MIN);
    return Buffer.allocUnsafeSlow(Math.min(bytes, BUFFER_BYTES_MAX, this.left));
  }

  /** The buffer is full: the stream gets it, or it waits. */
  private shelve(buffer: Buffer): void {
    this.buffer = null;
    this.filled = 0;
    if (!this.controller) return void this.buffers.push(buffer);
    this.bufferedBytes -= buffer.length;
    this.give(buffer);
  }

  /** Asks to receive directly if that pays for the rest of the body. Each piece repeats the wish. */
  private wishDirect(): void {
    const { left, whole, controller } = this;
    if (whole === null && controller === undefined) return;
    if (left >= DIRECT_BYTES_MIN && left < Infinity) this.source.receiveDirectly(true);
    else if (left === 0) this.source.receiveDirectly(false);
  }

  /** Takes some of the `available` bytes out of the kernel. Returns the result of the receive. */
  receive(available: number): number {
    const { source, whole } = this;
    const received = whole === null ? this.receivePiece(available) : source.receiveInto(whole.end, whole.room);
    if (received <= 0) return received;
    if (whole !== null) {
      whole.filled += received;
      this.arrived += received;
    }
    if (this.left === 0) source.receiveDirectly(false);
    return received;
  }

  /** Receives a piece as large as what the kernel has, and puts it into the stream. */
  private receivePiece(available: number): number {
    const { source, left } = this;
    const piece = Buffer.allocUnsafeSlow(Math.min(Math.max(available, 1), BUFFER_BYTES_MAX, left));
    const received = source.receiveInto(pointerTo(piece), piece.length);
    if (received <= 0) return received;
    this.arrived += received;
    this.giveFilled();
    if (this.controller) this.give(received === piece.length ? piece : copyOf(piece, 0, received));
    return received;
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

  /** Gives the stream a copy of the bytes in the buffer, which is filled again. */
  private giveFilled(): void {
    const { filled } = this;
    if (filled === 0) return;
    this.filled = 0;
    this.bufferedBytes -= filled;
    this.give(copyOf(this.buffer!, 0, filled));
  }

  finish(): void {
    if (this.ended) return;
    this.ended = true;
    this.resume(); // Bytes that come from now on belong to the next request.
    const { collector } = this;
    this.collector = undefined;
    try {
      collector?.resolve(this.takeAll());
    } catch (error) {
      collector!.reject(error as Error); // There is no memory for all of it.
    }
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
    if (!this.ended) this.source.receiveDirectly(false);
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
    const { whole } = this;
    if (whole !== null) {
      this.whole = null;
      return whole.toBuffer();
    }
    const pieces = this.pieces();
    this.drop();
    if (pieces.length === 1) return pieces[0]!;
    const all = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of pieces) at += piece.copy(all, at);
    return all;
  }

  /** Returns the bytes that wait, each piece with memory of its own. */
  private pieces(): Buffer[] {
    const { buffers, buffer, filled } = this;
    if (filled === 0) return buffers;
    return [...buffers, filled === buffer!.length ? buffer! : copyOf(buffer!, 0, filled)];
  }

  private drop(): void {
    this.buffers = [];
    this.buffer = null;
    this.filled = 0;
    this.bufferedBytes = 0;
    this.whole?.free();
    this.whole = null;
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
