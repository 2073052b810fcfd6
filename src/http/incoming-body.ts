/**
 * The body of a request as it arrives, delimited by Content-Length or in chunks (RFC 9112 section
 * 6).
 *
 * Guarantees: no byte after the body's last byte is taken. A chunked body that is longer than the
 * limit is found at once.
 * Leaves to others: who reads the body, and when (body.ts).
 */
import { assert } from "../sys/assert.ts";
import { lazily } from "../sys/lazily.ts";
import type { Transport } from "../transport/transport.ts";
import { RequestBody } from "./body.ts";
import type { ChunkedDecoder, ChunkSink } from "./chunked.ts";
import type { HttpLimits } from "./host.ts";
import type { RequestParser } from "./parser.ts";

// Many servers never need it.
const chunks = lazily(() => require("./chunked.ts") as typeof import("./chunked.ts"));

export class IncomingBody implements ChunkSink {
  private readonly limits: HttpLimits;
  /** The body that is not whole yet. */
  private body: RequestBody | null = null;
  /** Bytes that are still to come, if there is a Content-Length. */
  private bytesLeft = 0;
  private chunked: ChunkedDecoder | null = null;
  /** Bytes that have come so far, or since `drop()`. */
  private bytes = 0;
  at = 0;

  constructor(limits: HttpLimits) {
    this.limits = limits;
  }

  /**
   * Begins the body that the parsed head announces. Bytes from `start` to `end` came with the head.
   * Those of a body that is whole in them are taken, and those of a chunked body, which may be
   * whole. As in Bun, other bytes of a body come after the handler. `at` is the position after the
   * taken bytes, or a negated status, as of `feed`.
   */
  begin(transport: Transport, head: RequestParser, memory: Buffer, start: number, end: number): RequestBody {
    const { contentLength, chunked } = head;
    if (!chunked && start + contentLength <= end) {
      this.at = start + contentLength;
      return RequestBody.whole(transport, memory, start, this.at);
    }
    this.bytes = 0;
    this.bytesLeft = contentLength;
    this.chunked = chunked ? new (chunks().ChunkedDecoder)(this.limits.headerBytesMax) : null;
    const body = (this.body = new RequestBody(transport, chunked ? 0 : contentLength));
    this.at = start;
    if (start >= end) {
      if (head.expectsContinue) transport.outbox.writeLatin1("HTTP/1.1 100 Continue\r\n\r\n");
    } else if (chunked) {
      this.at = this.feed(memory, start, end);
      if (this.at >= 0 && this.isWhole) this.finish();
    }
    return body;
  }

  /** Whether a body is not whole yet. */
  get isComing(): boolean {
    return this.body !== null;
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

  /** Takes some of the `available` bytes out of the kernel. Returns the result of the receive. */
  receive(available: number): number {
    assert(this.body !== null, "only a body is received directly");
    const received = this.body.receive(available);
    if (received > 0) this.bytesLeft -= received;
    return received;
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
