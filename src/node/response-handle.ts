/**
 * The handle of one request and its response, in place of the one of Bun's own server
 * (contract.ts). node:http writes the response to it, and reads the request's fields and the state
 * of its body from it. Its names are Bun's.
 *
 * Guarantees: a head is written once, and says where the body ends. Nothing is written after the
 * end.
 */
import { shown, withCode } from "../sys/check.ts";
import { type AsyncContext, currentContext } from "../sys/async-context.ts";
import { BodyState, ResponseFlag } from "./contract.ts";
import type { NodeConnection } from "./connection.ts";
import { callProgram } from "./program-call.ts";
import { rawFields, fieldsObject } from "./request-fields.ts";
import { Framing, type Head, renderHead } from "./response-head.ts";
import { isUtf8 } from "./writing.ts";

type Chunk = string | Uint8Array | null | undefined;

export class ResponseHandle {
  flags = 0;
  aborted = false;
  /** State of the request's body, a BodyState. */
  hasBody: number;
  onabort: ((event: number) => void) | undefined = undefined;
  ondata: ((chunk: Buffer | undefined, isLast: boolean, event: number) => void) | undefined = undefined;
  /** Trailer lines of the request. */
  requestTrailers = "";
  /** Trailer lines of the response. With trailers, its body is sent in chunks. */
  responseTrailers = "";

  private readonly connection: NodeConnection;
  /** The head of the request. */
  private text: string;
  private readonly fieldsStart: number;
  private head: Head | null = null;
  private isHeadSent = false;
  private writable: (() => void) | undefined = undefined;
  /** The async context of the code that has set `onwritable`. */
  private writableContext: AsyncContext | undefined = undefined;
  private bytesWritten = 0;
  private bodyBytes = 0;

  constructor(connection: NodeConnection, text: string, fieldsStart: number, hasBody: boolean) {
    this.connection = connection;
    this.text = text;
    this.fieldsStart = fieldsStart;
    this.hasBody = hasBody ? BodyState.Pending : BodyState.None;
  }

  // ---- the request ------------------------------------------------------------------------------

  headersObject(): Record<string, unknown> | undefined {
    // node:http then makes `headers` from `rawHeaders`, by its rules for this option.
    if (this.connection.host.server.joinDuplicateHeaders === true) return undefined;
    return fieldsObject(this.text, this.fieldsStart, this.text.length);
  }

  takeRawHeaders(): string[] | undefined {
    return rawFields(this.text, this.fieldsStart, this.text.length);
  }

  takeRequestTrailers(): string[] | undefined {
    const { requestTrailers: text } = this;
    return text === "" ? undefined : rawFields(text, 0, text.length);
  }

  pause(): void {
    this.connection.pauseReads();
  }

  pauseReads(): void {
    this.connection.gateReads();
  }

  resume(): void {
    this.connection.resumeReads();
  }

  notifyWhenReadParsed(): boolean {
    return false;
  }

  ref(): void {
    this.connection.transport.setReferenced(true);
  }

  /** Used for a tunnel whose client sends no more. It does not keep the process alive. */
  unref(): void {
    this.connection.transport.setReferenced(false);
  }

  // ---- the response -----------------------------------------------------------------------------

  get finished(): boolean {
    return (this.flags & ResponseFlag.Completed) !== 0;
  }

  get ended(): boolean {
    return (this.flags & ResponseFlag.Ended) !== 0;
  }

  /** Whether the head was written. */
  get hasBegun(): boolean {
    return this.isHeadSent;
  }

  get upgraded(): boolean {
    return (this.flags & ResponseFlag.Upgraded) !== 0;
  }

  /**
   * Queued bytes, if they wait for a client that does not read; otherwise 0. Bytes that wait only
   * for the next submission count as sent.
   */
  get bufferedAmount(): number {
    return this.connection.isBlocked && this.connection.response === this ? this.connection.transport.queuedBytes : 0;
  }

  /**
   * Called once, when the client has read. As in Bun, the call runs in the async context of the
   * code that has set it.
   */
  get onwritable(): (() => void) | undefined {
    return this.writable;
  }

  set onwritable(callback: (() => void) | undefined) {
    this.writable = callback;
    this.writableContext = typeof callback === "function" ? currentContext() : undefined;
  }

  /** Called when all queued bytes were sent. */
  drained(): void {
    if (this.ended) this.flags |= ResponseFlag.Completed;
    const { writable, writableContext } = this;
    this.onwritable = undefined;
    // Programs can reach `onwritable`, and have set it to values that are not functions.
    if (writable !== undefined && writableContext !== undefined) callProgram(writableContext, writable);
  }

  getBytesWritten(): number {
    return this.bytesWritten;
  }

  cork<Result>(callback: () => Result): Result {
    return callback();
  }

  writeContinue(): void {
    this.writeInformational("HTTP/1.1 100 Continue\r\n\r\n");
  }

  writeInformational(text: string | Uint8Array, encoding?: string): void {
    if (this.isOver || this.isHeadSent) return;
    this.bytesWritten += this.connection.write(text, encoding);
  }

  /**
   * Renders the head. It is sent with the first byte of the body. `fields` is read at once, because
   * node:http reuses the array.
   */
  writeHead(status: number, reason: string | undefined, fields: string[], auto = 0, timeoutSecs = 0): void {
    if (this.isHeadSent) throw withCode("ERR_HTTP_HEADERS_SENT", new Error("Stream already started"));
    if (!(status >= 100 && status <= 999))
      throw withCode("ERR_HTTP_INVALID_STATUS_CODE", new RangeError(`Invalid status code: ${status}`));
    this.head = renderHead(status, reason, fields, auto, timeoutSecs, this.connection.host.autoFields);
  }

  flushHeaders(): void {
    if (this.isOver || this.isHeadSent) return;
    this.connection.setAwaited(false);
    this.send(this.endOfHead(undefined));
  }

  /**
   * Queues a chunk of the body. Returns its number of bytes. If the client does not read, the
   * number is negative (-1 for an empty chunk), and `onWritable` is called when the client has
   * read.
   */
  write(chunk: Chunk, encoding?: string, onWritable?: () => void, strictBytes?: number): number {
    if (this.ended) throw withCode("ERR_STREAM_WRITE_AFTER_END", new Error("Stream already ended"));
    requireChunk(chunk);
    if (this.isOver) return 0;
    const bytes = bytesIn(chunk, encoding);
    if (strictBytes !== undefined && this.bodyBytes + bytes > strictBytes)
      throw lengthMismatch(this.bodyBytes + bytes, strictBytes);
    this.flushHeaders();
    this.writeBody(chunk, encoding, bytes);
    if (!this.connection.checkBlocked()) return bytes;
    if (onWritable !== undefined) this.onwritable = onWritable;
    return bytes > 0 ? -bytes : -1;
  }

  writeHeadAndEnd(
    status: number,
    reason: string | undefined,
    fields: string[],
    chunk: Chunk,
    encoding: string | undefined,
    strictBytes: number | undefined,
    auto: number,
    timeoutSecs: number,
  ): number {
    requireChunk(chunk);
    this.writeHead(status, reason, fields, auto, timeoutSecs);
    return this.end(chunk, encoding, undefined, strictBytes);
  }

  /**
   * Ends the response with a last chunk. Returns its number of bytes, or -(bytes + 1) if bytes wait
   * for a client that does not read. In this case `onwritable` follows.
   */
  end(chunk?: Chunk, encoding?: string, _callback?: unknown, strictBytes?: number): number {
    requireChunk(chunk);
    if (this.isOver || this.ended) return 0;
    const bytes = bytesIn(chunk, encoding);
    if (strictBytes !== undefined && this.bodyBytes + bytes !== strictBytes)
      throw lengthMismatch(this.bodyBytes + bytes, strictBytes);
    const { connection } = this;
    if (!this.isHeadSent) {
      const head = this.endOfHead(this.responseTrailers === "" ? bytes : undefined);
      if (typeof chunk === "string" && isUtf8(encoding) && this.head!.framing === Framing.Plain) {
        this.bytesWritten += connection.writeTogether(head, chunk, bytes);
        this.bodyBytes += bytes;
      } else {
        this.send(head);
        this.writeBody(chunk, encoding, bytes);
      }
    } else this.writeBody(chunk, encoding, bytes);
    if (this.head!.framing === Framing.Chunked) this.send(`0\r\n${this.responseTrailers}\r\n`);
    this.flags |= ResponseFlag.Ended;
    return connection.responseEnded(this) ? bytes : -(bytes + 1);
  }

  /**
   * Gives up the response and its connection. The caller normally destroys the socket right
   * afterwards. If it does not, the next tick closes the socket.
   */
  abort(): void {
    if (this.isOver || this.aborted) return;
    this.aborted = true;
    process.nextTick(closeAborted, this.connection);
  }

  /**
   * Ends the response after the program's listener has thrown. As in Bun, the client gets the bytes
   * written so far as the whole response, and then the end of the connection.
   */
  endAfterThrow(): void {
    if (this.isOver || this.ended) return;
    const isHttp10 = this.text.startsWith("HTTP/1.0", this.fieldsStart - 10);
    if (this.head === null && !isHttp10) this.flushHeaders();
    if (this.isHeadSent && !isHttp10) this.end();
    else if (!this.isHeadSent)
      this.send(this.head === null ? this.endOfHead(undefined) : this.abandonedHead(this.head));
    this.connection.socket.end(true);
  }

  private countHead({ text }: Head): void {
    this.isHeadSent = true;
    this.connection.host.reactor.lane.traffic.countHead(text);
  }

  private abandonedHead(head: Head): string {
    this.countHead(head);
    return `${head.text}Connection: close\r\n\r\n`;
  }

  private get isOver(): boolean {
    return (this.flags & (ResponseFlag.SocketClosed | ResponseFlag.Completed)) !== 0;
  }

  /**
   * Returns the whole head, with its empty line. `bytes` is the length of the body, or undefined if
   * the length is not known.
   */
  private endOfHead(bytes: number | undefined): string {
    const head = (this.head ??= renderHead(200, undefined, [], 1, 0, this.connection.host.autoFields));
    this.countHead(head);
    if (head.isFramed) return `${head.text}\r\n`;
    if (bytes !== undefined) return `${head.text}Content-Length: ${bytes}\r\n\r\n`;
    head.framing = Framing.Chunked;
    return `${head.text}Transfer-Encoding: chunked\r\n\r\n`;
  }

  private writeBody(chunk: Chunk, encoding: string | undefined, bytes: number): void {
    const { framing } = this.head!;
    if (bytes === 0 || framing === Framing.None) return;
    this.bodyBytes += bytes;
    if (framing === Framing.Chunked) this.send(`${bytes.toString(16)}\r\n`);
    this.bytesWritten += this.connection.write(chunk!, encoding, bytes);
    if (framing === Framing.Chunked) this.send("\r\n");
  }

  private send(text: string): void {
    this.bytesWritten += this.connection.write(text, "latin1");
  }
}

function closeAborted(connection: NodeConnection): void {
  connection.socket.close();
}

function bytesIn(chunk: Chunk, encoding: string | undefined): number {
  if (chunk === undefined || chunk === null) return 0;
  return typeof chunk === "string" ? Buffer.byteLength(chunk, encoding as BufferEncoding) : chunk.byteLength;
}

function requireChunk(chunk: unknown): void {
  if (chunk === undefined || chunk === null || typeof chunk === "string" || chunk instanceof Uint8Array) return;
  const received =
    typeof chunk === "object" ? `an instance of ${chunk.constructor?.name}` : `type ${typeof chunk} (${shown(chunk)})`;
  const message = `The "chunk" argument must be of type string or an instance of Buffer or Uint8Array. Received ${received}`;
  throw withCode("ERR_INVALID_ARG_TYPE", new TypeError(message));
}

function lengthMismatch(actual: number, promised: number): Error {
  const message = `Response body's content-length of ${actual} byte(s) does not match the content-length of ${promised} byte(s) set in header`;
  return withCode("ERR_HTTP_CONTENT_LENGTH_MISMATCH", new Error(message));
}
