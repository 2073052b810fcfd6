/**
 * The body of a request as it arrives, delimited by Content-Length or in chunks (RFC 9112 section
 * 6).
 *
 * Guarantees: no byte after the body's last byte is taken. A chunked body that is longer than the
 * limit is found at once.
 * Leaves to others: who reads the body, and when (body.ts).
 */
import { lazily } from "../sys/lazily.ts";
import { type BodySource, RequestBody } from "./body.ts";
import type { ChunkedDecoder, ChunkSink } from "./chunked.ts";
import type { HttpLimits } from "./host.ts";

// Many servers never need it.
const chunks = lazily(() => require("./chunked.ts") as typeof import("./chunked.ts"));

export class IncomingBody implements ChunkSink {
  private readonly limits: HttpLimits;
  private body: RequestBody | null = null;
  /** Bytes that are still to come, if there is a Content-Length. */
  private bytesLeft = 0;
  private chunked: ChunkedDecoder | null = null;
  /** Bytes that have come so far, or since `drop()`. */
  private bytes = 0;

  constructor(limits: HttpLimits) {
    this.limits = limits;
  }

  /** Begins a body. `contentLength` is ignored if the body is `chunked`. */
  begin(source: BodySource, contentLength: number, chunked: boolean): RequestBody {
    this.bytes = 0;
    this.bytesLeft = contentLength;
    this.chunked = chunked ? new (chunks().ChunkedDecoder)(this.limits.headerBytesMax) : null;
    return (this.body = new RequestBody(source, chunked ? 0 : contentLength));
  }

  /**
   * Takes the bytes that belong to the body. Returns the position after them, or a negated status:
   * 400, 413, 431.
   */
  feed(memory: Buffer, start: number, end: number): number {
    if (this.chunked !== null) {
      const at = this.chunked.feed(memory, start, end, this);
      return this.bytes > this.limits.requestBodyBytesMax ? -413 : at;
    }
    const part = Math.min(this.bytesLeft, end - start);
    this.bytesLeft -= part;
    this.onBody(memory, start, start + part);
    return start + part;
  }

  /** Called by the decoder. */
  onBody(memory: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    this.body!.push(memory, start, end);
  }

  /** Whether the whole body has come. */
  get isWhole(): boolean {
    return this.chunked === null ? this.bytesLeft === 0 : this.chunked.done;
  }

  /** Tells the reader that the body is whole. */
  finish(): void {
    this.take()!.finish();
  }

  /** Drops the rest: the request is answered. */
  drop(): void {
    this.body!.cutOff();
    this.bytes = 0;
  }

  /** Tells the reader that the rest will not come. Does nothing if no body is coming. */
  fail(): void {
    const body = this.take();
    if (body === null) return;
    const error = new Error("The client closed the connection");
    body.fail(Object.assign(error, { code: "ECONNRESET", name: "AbortError" }));
  }

  private take(): RequestBody | null {
    const { body } = this;
    this.body = null;
    this.chunked = null;
    return body;
  }
}
