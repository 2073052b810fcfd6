/**
 * A request's body on its way from the connection to its reader: at once, later, as a stream, or
 * never.
 *
 * Guarantees: bytes are copied once, out of the receive buffer; bytes of small pieces are copied a
 * few times more. A body that is not read, or read slowly, uses at most `BUFFERED_BYTES_MAX` before
 * its connection is held. A body in tiny pieces uses little more memory than one in large pieces. A
 * body can be read once. A stream runs in the async context of the code that asked for it.
 */
import { Hold } from "../transport/transport.ts";
import { type AsyncContext, currentContext } from "../sys/async-context.ts";

/** The connection of a body. It is told to stop delivering and to go on. */
export interface BodySource {
  hold(reason: Hold): void;
  release(reason: Hold): void;
}

const BUFFERED_BYTES_MAX = 262144;
/**
 * Bytes that a piece of a body costs besides its content, so that many tiny pieces count as what
 * they cost.
 */
const PIECE_BYTES = 256;
/**
 * Size below which a piece is small. SMALL_PIECES_MAX small pieces in a row are joined into one.
 */
const SMALL_PIECE_BYTES = 1024;
const SMALL_PIECES_MAX = 64;

export class RequestBody {
  /** Whether the body is being read or was read. */
  used = false;

  private readonly source: BodySource;
  private chunks: Buffer[] = [];
  /** Number of small pieces at the end of `chunks`. */
  private smallChunks = 0;
  private bufferedBytes = 0;
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

  constructor(source: BodySource) {
    this.source = source;
  }

  /** Returns a body that has come whole, as most small bodies do. */
  static whole(source: BodySource, memory: Buffer, start: number, end: number): RequestBody {
    const body = new RequestBody(source);
    body.chunks.push(copyOf(memory, start, end));
    body.bufferedBytes = end - start;
    body.ended = true;
    return body;
  }

  // ---- from the connection ----------------------------------------------------------------------

  push(memory: Buffer, start: number, end: number): void {
    if (this.discarding || start === end) return;
    const bytes = copyOf(memory, start, end);
    if (this.controller) {
      this.context!(enqueue, this.controller, bytes);
      if ((this.controller.desiredSize ?? 0) <= 0) this.pause();
      return;
    }
    this.chunks.push(bytes);
    this.smallChunks = bytes.length < SMALL_PIECE_BYTES ? this.smallChunks + 1 : 0;
    if (this.smallChunks === SMALL_PIECES_MAX) this.joinSmallChunks();
    this.bufferedBytes += bytes.length;
    if (!this.collector && this.bufferedBytes >= BUFFERED_BYTES_MAX) this.pause();
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
    this.chunks = [];
    this.collector?.reject(error);
    this.collector = undefined;
    if (!this.discarding && this.controller) this.context!(breakOff, this.controller, error);
  }

  /** Drops the bytes that are still to come: nobody will read them. */
  discard(): void {
    this.discarding = true;
    this.chunks = [];
    this.bufferedBytes = 0;
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
    const highWaterMark = BUFFERED_BYTES_MAX;
    this.context = currentContext();
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
          if (this.error) return controller.error(this.error);
          for (const chunk of this.chunks) controller.enqueue(chunk);
          this.chunks = [];
          this.smallChunks = 0;
          this.bufferedBytes = 0;
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
    this.context!(close, this.controller);
    this.controller = undefined;
  }

  private takeAll(): Buffer {
    const { chunks } = this;
    this.chunks = [];
    this.bufferedBytes = 0;
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  private joinSmallChunks(): void {
    const joined = Buffer.concat(this.chunks.splice(-this.smallChunks));
    this.chunks.push(joined);
    this.smallChunks = joined.length < SMALL_PIECE_BYTES ? 1 : 0;
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
  return Object.assign(new TypeError("Body already used"), { code: "ERR_BODY_ALREADY_USED" });
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
