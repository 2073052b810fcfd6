/**
 * The body of a request on its way to node:http, delimited by Content-Length or in chunks.
 *
 * Guarantees: no byte after the end of the body is taken. Bytes without a listener are dropped. The
 * handle is told of the end once, together with the last bytes.
 */
import { BodyState } from "./contract.ts";
import type { Fault } from "./faults.ts";
import type { NodeHost } from "./host.ts";
import { callProgram } from "./program-call.ts";
import { RequestChunks } from "./request-chunks.ts";
import type { ResponseHandle } from "./response-handle.ts";
import { copyOf } from "./writing.ts";

export class RequestBody {
  readonly handle: ResponseHandle;
  private readonly host: NodeHost;
  /** The reason if `feed` has refused the body. */
  fault: Fault | undefined;
  /** Bytes of the body that have not arrived yet. Not used for a body in chunks. */
  private bytesLeft: number;
  private readonly chunks: RequestChunks | null;

  /** `contentLength` is Infinity for a body that ends when the client ends its side. */
  constructor(handle: ResponseHandle, contentLength: number, chunked: boolean, host: NodeHost) {
    this.handle = handle;
    this.host = host;
    this.bytesLeft = contentLength;
    this.chunks = chunked ? new RequestChunks(host.limits) : null;
  }

  get isWhole(): boolean {
    return this.chunks === null ? this.bytesLeft === 0 : this.chunks.done;
  }

  /**
   * Called when the client sends no more. Returns whether this ends the body: true if the body has
   * no other end.
   */
  endByClient(): boolean {
    if (this.bytesLeft !== Infinity) return false;
    this.bytesLeft = 0;
    this.deliverLast(undefined);
    return true;
  }

  /**
   * Takes the bytes that belong to the body. Returns the position after them, or -1 if the body
   * must be refused (`fault`).
   */
  feed(memory: Buffer, start: number, end: number): number {
    const { handle, chunks } = this;
    const pieces: Buffer[] = [];
    let at: number;
    if (chunks === null) {
      at = start + Math.min(this.bytesLeft, end - start);
      this.bytesLeft -= at - start;
      if (handle.ondata !== undefined) pieces.push(copyOf(memory, start, at));
    } else {
      at = chunks.feed(memory, start, end, {
        onBody: (bytes, from, to) => {
          if (handle.ondata !== undefined) pieces.push(copyOf(bytes, from, to));
        },
      });
      if (at < 0) {
        this.fault = chunks.fault;
        at = -1;
      }
    }
    const isWhole = at >= 0 && this.isWhole;
    if (isWhole && chunks !== null) handle.requestTrailers = chunks.trailerLines;
    const last = isWhole ? pieces.pop() : undefined;
    for (const piece of pieces) this.deliver(piece, false);
    if (isWhole) this.deliverLast(last);
    return at;
  }

  /**
   * The body is done from the last piece on, and not earlier: while node:http takes a piece of a
   * body that is done, it ends the request.
   */
  private deliverLast(piece: Buffer | undefined): void {
    this.handle.hasBody = (this.handle.hasBody & BodyState.Aborted) | BodyState.Done;
    this.deliver(piece, true);
  }

  private deliver(chunk: Buffer | undefined, isLast: boolean): void {
    const { ondata } = this.handle;
    if (ondata !== undefined) callProgram(this.host.inContext, ondata, chunk, isLast, 0);
  }
}
