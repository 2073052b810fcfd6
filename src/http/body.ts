/**
 * A request's body on its way from the connection to whoever reads it: at once, later, as a stream, or never.
 *
 * Guarantees: bytes are copied once, out of the receive buffer, small pieces some times more; a body that nobody reads, or reads slowly,
 * holds at most `BUFFERED_BYTES_MAX` before its connection is paused; a body in tiny pieces takes little more memory than one in large ones;
 * it can be read once; a stream goes on in the async context in which it was asked for.
 */
import { Hold } from "../transport/transport.ts";
import { type AsyncContext, currentContext } from "../sys/async-context.ts";

/** Where it comes from: asked to stop and go on delivering. */
export interface BodySource {
  hold(reason: Hold): void;
  release(reason: Hold): void;
}

const BUFFERED_BYTES_MAX = 262144;
/** What a piece of a body costs besides its bytes: many tiny ones count for what they are. */
const PIECE_BYTES = 256;
/** So many pieces in a row that are smaller than this become one. */
const SMALL_PIECE_BYTES = 1024;
const SMALL_PIECES_MAX = 64;

export class RequestBody {
  /** Somebody reads it, or has read it. */
  used = false;

  private readonly source: BodySource;
  private chunks: Buffer[] = [];
  /** How many of the last of them are small. */
  private smallChunks = 0;
  private bufferedBytes = 0;
  private ended = false;
  private error: Error | undefined;
  private paused = false;
  private discarding = false;
  private collector: { resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | undefined;
  private readable: ReadableStream<Uint8Array> | undefined;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Of whoever asked for the stream: what it is piped to is called in that of whoever puts something in. */
  private context: AsyncContext | undefined;

  constructor(source: BodySource) {
    this.source = source;
  }

  /** A body that has come whole, as most small ones do. */
  static whole(source: BodySource, memory: Buffer, start: number, end: number): RequestBody {
    const body = new RequestBody(source);
    body.chunks.push(copyOf(memory, start, end));
    body.bufferedBytes = end - start;
    body.ended = true;
    return body;
  }

  // ---- from the connection ---------------------------------------------------------------------------------------

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
    this.resume(); // What comes from now on is not this body's.
    this.collector?.resolve(this.takeAll());
    this.collector = undefined;
    this.closeStream();
  }

  /** The connection is gone before the body's end. */
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

  /** Nobody will read what is still to come. */
  discard(): void {
    this.discarding = true;
    this.chunks = [];
    this.bufferedBytes = 0;
    this.resume();
  }

  /**
   * Its request is answered before it has come whole. As in Bun, who reads it, or begins to, hears that the rest does not come, and does not
   * take a part for the whole.
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

  // ---- for the reader --------------------------------------------------------------------------------------------

  /** The whole body, now if it is there. Throws a TypeError when it was read before, and the error of a body that cannot become whole. */
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

  /** The body as a stream, the same one each time. */
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

/** Bun's error. */
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

/** A copy in memory of its own, all of it. */
function copyOf(memory: Buffer, start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(end - start);
  memory.copy(bytes, 0, start, end);
  return bytes;
}
