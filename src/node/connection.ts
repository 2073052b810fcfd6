/**
 * One connection of node:http. It dispatches each request as soon as its head is there, as Node
 * does. node:http itself keeps the responses in their order (startPipelined).
 *
 * Guarantees: bytes of one request never count for another. The program's socket is told of the end
 * exactly once. Bytes written before the end are still sent. Leaves to node:http: timeouts, answers
 * to errors, when a connection ends.
 */
import { answered } from "../sys/program.ts";
import type { SystemError } from "../sys/errno.ts";
import { type Consumer, Hold, type Transport } from "../transport/transport.ts";
import { INCOMPLETE } from "../http/parser.ts";
import { Flag } from "./connection-flag.ts";
import { ABORTED, ATTACHED, BodyState, ResponseFlag } from "./contract.ts";
import { Fault, faultError, replyWithoutHost } from "./faults.ts";
import { HeadReader, skipEmptyLines } from "./head-reader.ts";
import type { NodeHost } from "./host.ts";
import { announceRequest, callProgram } from "./program-call.ts";
import { RequestBody } from "./request-body.ts";
import type { NodeRequestParser } from "./request-parser.ts";
import { ResponseHandle } from "./response-handle.ts";
import { SocketHandle } from "./socket-handle.ts";
import { copyOf, writeChunk, writeTogether } from "./writing.ts";

/** With more queued bytes, the writer is told to wait. It is a few pieces of a piped file. */
const BLOCKED_BYTES = 262144;
/** With more queued bytes, an ended response is not finished. Fewer leave with one submission. */
const UNFINISHED_BYTES = 65536;
/** Largest number of requests that wait for an earlier response. */
const QUEUED_MAX = 256;
/** Longest time without progress of the last bytes of a response. */
const LAST_BYTES_TIMEOUT_MS = 60_000;
/** The same time after the program has destroyed the socket. */
const DESTROYED_TIMEOUT_MS = 2000;

export class NodeConnection implements Consumer {
  readonly isReentrant = false;
  readonly connectionKind = "node_http";
  readonly host: NodeHost;
  readonly socket: SocketHandle;
  transport!: Transport;
  /** The response that is being sent, or the last one. Null if there is none. */
  response: ResponseHandle | null = null;

  private flags: number = Flag.Fresh;
  /** Start of the bytes that the transport has offered last. */
  private packetStart = 0;
  /** The body that is still arriving. */
  private body: RequestBody | null = null;
  /** Dispatched requests whose response waits for an earlier one. */
  private queued: ResponseHandle[] = none;
  private begunHead: HeadReader | null = null;
  /** Start of the arriving request, at first of the connection. 0: none. Infinity: reported as late. */
  startedMs: number;

  constructor(host: NodeHost) {
    this.host = host;
    this.socket = new SocketHandle(this);
    this.startedMs = host.reactor.nowMs;
  }

  // ---- for the socket's handle ------------------------------------------------------------------

  get isBodyComing(): boolean {
    return this.body !== null;
  }

  get isTunnel(): boolean {
    return this.has(Flag.Tunnel);
  }

  get isBlocked(): boolean {
    return this.has(Flag.Blocked);
  }

  /** Whether no request is arriving and none waits for its response. */
  get isIdle(): boolean {
    if (this.begunHead !== null || this.body !== null || this.queued.length > 0 || this.isTunnel) return false;
    return this.response === null || (this.response.flags & ResponseFlag.Completed) !== 0;
  }

  /**
   * Queues a copy, of `length` bytes of a Uint8Array. Returns its bytes: 0 after the program has
   * ended the socket.
   */
  write(chunk: string | Uint8Array, encoding?: string, length?: number): number {
    return this.socket.finSent ? 0 : writeChunk(this.transport.outbox, chunk, encoding, length);
  }

  writeTogether(head: string, text: string, bytes: number): number {
    return this.socket.finSent ? 0 : writeTogether(this.transport.outbox, head, text, bytes);
  }

  /** Returns whether the writer should wait, because of many queued bytes. `onDrain` follows. */
  checkBlocked(bytesMax = BLOCKED_BYTES): boolean {
    if (this.transport.queuedBytes <= bytesMax) return false;
    this.flags |= Flag.Blocked;
    this.transport.requestDrain();
    return true;
  }

  /** Called after its last write. Returns whether the kernel has it after the next submission. */
  responseEnded(response: ResponseHandle): boolean {
    this.setAwaited(false);
    answered();
    if (this.checkBlocked(UNFINISHED_BYTES)) return false;
    response.flags |= ResponseFlag.Completed;
    if (this.has(Flag.HalfOpen) && this.queued.length === 0) this.end(true);
    return true;
  }

  pauseReads(): void {
    if (this.has(Flag.Held | Flag.Deaf)) return;
    this.flags |= Flag.Held;
    if (!this.socket.finSent) this.transport.hold(Hold.Reader);
  }

  gateReads(): void {
    if (this.has(Flag.Gated | Flag.Deaf)) return;
    this.flags |= Flag.Gated;
    this.transport.hold(Hold.Exchange);
  }

  resumeReads(): void {
    if (!this.has(Flag.Held | Flag.Gated)) return;
    this.flags &= ~(Flag.Held | Flag.Gated);
    this.transport.release(Hold.Reader);
    this.transport.release(Hold.Exchange);
    if (this.socket.finSent) this.transport.setConsumer(this); // Offers the bytes not taken yet.
  }

  stopReading(): void {
    this.flags |= Flag.Deaf;
    this.startedMs = 0;
    this.resumeReads();
  }

  beTunnel(hasBody: boolean, handle: ResponseHandle): void {
    this.flags |= Flag.Tunnel;
    this.startedMs = 0;
    handle.flags |= ResponseFlag.Upgraded;
    if (!hasBody) this.body = null;
    this.setAwaited(false);
    answered();
  }

  startPipelined(handle: ResponseHandle): boolean {
    if (this.socket.closed) return false;
    const at = this.queued.indexOf(handle);
    if (at < 0) return false;
    this.queued = this.queued.filter((each) => each !== handle);
    this.begin(handle);
    // Offers the bytes not taken yet.
    if (this.queued.length === QUEUED_MAX - 1) this.transport.setConsumer(this);
    return true;
  }

  end(closes: boolean): void {
    if (this.socket.closed) return;
    this.socket.finSent = true;
    if (!closes) {
      // The peer's end must be seen, even while reads are paused. Bytes before it are kept.
      this.transport.release(Hold.Reader);
      return this.transport.finish("fin");
    }
    this.finish(LAST_BYTES_TIMEOUT_MS);
  }

  /** Closes the connection for the program. `reset` sends RST. */
  close(reset: boolean): void {
    const { transport, socket } = this;
    if (socket.closed) return;
    // A client that reads still gets its bytes, as if the kernel had them already.
    if (reset || transport.queuedBytes === 0 || this.isBlocked) transport.destroy(undefined, reset);
    else this.finish(DESTROYED_TIMEOUT_MS);
    this.closed();
  }

  /** Closes after all bytes. A client that still sends can read them, and gets no reset. */
  private finish(timeoutMs: number): void {
    const peerSends = this.body !== null || this.has(Flag.Deaf);
    this.flags &= ~Flag.Fresh;
    this.stopReading();
    this.transport.finish(peerSends ? "linger" : "close");
    this.transport.setTimeout(timeoutMs);
  }

  // ---- from the transport -----------------------------------------------------------------------

  get backlogBytesMax(): number {
    return Math.max(65536, this.host.limits.headerBytesMax);
  }

  consume(memory: Buffer, start: number, end: number): number {
    let at = start;
    this.packetStart = start;
    while (at < end && !this.has(Flag.Deaf)) {
      if (this.has(Flag.Held)) return at;
      if (this.body !== null) at = this.receiveBody(memory, at, end);
      else if (this.isTunnel) at = this.socket.deliver(memory, at, end);
      else {
        const next = this.receiveHead(memory, at, end);
        if (next === INCOMPLETE) return at;
        at = next;
      }
    }
    return at < end && !this.has(Flag.Deaf) ? at : end;
  }

  onEnd(): void {
    const { socket, response } = this;
    if (socket.closed) return;
    if (this.isTunnel) {
      socket.peerEnded = true;
      if (socket.ondata !== undefined) callProgram(socket.ondata, undefined, true);
      return;
    }
    if (this.body?.endByClient()) this.body = null;
    if (!this.has(Flag.Deaf) && (this.body !== null || this.begunHead !== null)) {
      this.refuse(Fault.Eof, Buffer.alloc(0));
      if (socket.closed) return;
    }
    const isPending = response !== null && (response.flags & ResponseFlag.Completed) === 0;
    if (this.host.server.httpAllowHalfOpen === true && (isPending || this.queued.length > 0)) {
      this.flags |= Flag.HalfOpen;
      return;
    }
    socket.peerEnded = true;
    this.finish(LAST_BYTES_TIMEOUT_MS);
    this.closed();
  }

  onDrain(): void {
    this.flags &= ~Flag.Blocked;
    const { response, socket } = this;
    if (!this.isTunnel) response?.drained();
    if (socket.ondrain !== undefined) callProgram(socket.ondrain);
  }

  /** Ends the connection if its first request has not come, or its last bytes make no progress. */
  onTimeout(): void {
    if (this.has(Flag.Fresh)) return this.close(false);
    const timeoutMs = this.socket.closed ? DESTROYED_TIMEOUT_MS : LAST_BYTES_TIMEOUT_MS;
    if (this.transport.takeProgress()) this.transport.setTimeout(timeoutMs);
    else this.transport.destroy();
  }

  onClose(error: SystemError | undefined): void {
    if (this.socket.closed) return;
    if (error !== undefined) this.socket.closeError = { errno: -Math.abs(error.errno), code: error.code };
    this.closed();
  }

  // ---- requests ---------------------------------------------------------------------------------

  /** Returns the position after the head and the bytes of a tunnel given with it, or INCOMPLETE. */
  private receiveHead(memory: Buffer, from: number, end: number): number {
    const { begunHead, host } = this;
    const start = begunHead === null ? skipEmptyLines(memory, from, end) : from;
    if (start === end || this.queued.length >= QUEUED_MAX) return start === end ? end : INCOMPLETE;
    if (this.has(Flag.Last)) {
      if (this.response === null || this.response.ended) return end;
      return this.refuse(Fault.Closed, copyOf(memory, start, end), end);
    }
    const parser = begunHead === null ? host.parser : begunHead.parser;
    const at = begunHead === null ? parser.parse(memory, start, end) : begunHead.read(memory, start, end);
    if (at === INCOMPLETE) {
      if (this.startedMs === 0) this.startedMs = host.reactor.nowMs;
      this.begunHead ??= new HeadReader(host.limits, end - start);
      return INCOMPLETE;
    }
    this.begunHead = null;
    if (at < 0) return this.refuse(parser.fault, copyOf(memory, this.packetStart, end), end);
    return this.dispatch(memory, start, at, end, parser);
  }

  private dispatch(memory: Buffer, start: number, headEnd: number, end: number, parser: NodeRequestParser): number {
    const { host, socket } = this;
    const { contentLength, chunked, isEndless } = parser;
    if (parser.lacksHost && host.server.requireHostHeader) {
      this.flags |= Flag.Deaf;
      host.reactor.lane.traffic.countNodeRefusal(MISSING_HOST);
      if (socket.duplex?.writable) callProgram(host.inContext, replyWithoutHost, socket.duplex);
      return end;
    }
    if (this.has(Flag.Fresh)) {
      this.flags &= ~Flag.Fresh;
      this.transport.clearTimeout();
    }
    const text = memory.latin1Slice(start, headEnd);
    const hasBody = chunked || contentLength > 0 || isEndless;
    const handle = new ResponseHandle(this, text, parser.headersStart, hasBody);
    if (!parser.keepAlive) this.flags |= Flag.Last;
    if (hasBody) this.body = new RequestBody(handle, isEndless ? Infinity : contentLength, chunked, host);
    this.startedMs = hasBody ? this.startedMs || host.reactor.nowMs : 0;
    const { duplex } = socket;
    const isPipelined = this.queued.length > 0 || (duplex?.[ATTACHED] ?? null) !== null;
    if (isPipelined) this.queued = [...this.queued, handle];
    else this.begin(handle);
    const connectHead = parser.asksForTunnel && !hasBody && headEnd < end ? copyOf(memory, headEnd, end) : undefined;
    announceRequest(host, socket, handle, parser, text, hasBody, isPipelined, connectHead);
    if (isEndless && !host.limits.takesCodings)
      return this.refuse(Fault.TransferEncoding, copyOf(memory, this.packetStart, end), end);
    if (connectHead !== undefined && this.isTunnel) return end;
    if (this.body === null) this.messageOver(handle);
    if (headEnd < end) host.reactor.relieve();
    return headEnd;
  }

  private receiveBody(memory: Buffer, start: number, end: number): number {
    const body = this.body!;
    const at = body.feed(memory, start, end);
    if (at < 0) return this.refuse(body.fault!, copyOf(memory, this.packetStart, end), end);
    if (body.isWhole && this.body === body) {
      this.body = null;
      this.startedMs = 0;
      this.messageOver(body.handle);
    }
    return at;
  }

  /** Called when a request is whole. Nothing is expected from the client until it is answered. */
  private messageOver(handle: ResponseHandle): void {
    const isOver = handle.hasBegun || (handle.flags & (ResponseFlag.Ended | ResponseFlag.SocketClosed)) !== 0;
    if (this.response === handle && !isOver && !this.isTunnel) this.setAwaited(true);
    else if (this.response === handle && handle.finished && !this.has(Flag.Held | Flag.Gated)) this.forgetResponse();
  }

  /** Refuses the received bytes. The program or node:http answers. Returns `at`. */
  private refuse(fault: Fault, packet: Buffer, at = 0): number {
    this.flags |= Flag.Deaf;
    const { duplex } = this.socket;
    this.host.reactor.lane.traffic.countNodeRefusal(fault.code);
    if (duplex !== undefined) callProgram(this.host.inContext, this.host.onFault!, duplex, faultError(fault, packet));
    return at;
  }

  // ---- responses --------------------------------------------------------------------------------

  private begin(handle: ResponseHandle): void {
    this.forgetResponse();
    this.response = handle;
  }

  /** Drops the response, so that an idle connection keeps no memory of its last request. */
  private forgetResponse(): void {
    if (this.response !== null) this.socket.bytesWritten += this.response.getBytesWritten();
    this.response = null;
  }

  /** Tells the reactor whether the next step is the program's: to begin its response. */
  setAwaited(awaited: boolean): void {
    if (this.has(Flag.Awaited) === awaited) return;
    this.flags ^= Flag.Awaited;
    this.host.reactor.pendingExchanges += awaited ? 1 : -1;
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** Tells the program that the connection is over. */
  private closed(): void {
    const { socket, response, queued, body, host } = this;
    socket.closed = true;
    this.stopReading();
    this.setAwaited(false);
    this.body = null;
    if (body !== null) body.handle.hasBody |= BodyState.Aborted;
    const isPending = response !== null && (response.flags & ResponseFlag.Completed) === 0;
    for (const handle of response === null ? queued : [response, ...queued]) handle.flags |= ResponseFlag.SocketClosed;
    host.closed(this);
    if (isPending) {
      response.aborted = true;
      host.reactor.lane.traffic.requestsAborted++;
      answered();
      if (response.onabort !== undefined) callProgram(response.onabort, ABORTED);
    }
    const { onclose } = socket;
    socket.onclose = undefined;
    if (onclose !== undefined) callProgram(onclose);
  }

  private has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }
}

const none: ResponseHandle[] = [];
/** Name in the metrics of a refusal for which Node has no code. */
const MISSING_HOST = "MISSING_HOST";
