/**
 * One connection of node:http: requests and their bodies come in, and are dispatched as soon as they are there, as Node does;
 * responses go out in their order, for which node:http sees itself (startPipelined).
 *
 * Guarantees: bytes of one request never count for another; the program's socket hears of the connection's end exactly once;
 * what was written before the end still leaves. Leaves to node:http: timeouts, answers to errors, what ends a connection.
 */
import type { Socket } from "node:net";
import { CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { answered, enterProgram, leaveProgram, openCalls, runJobs } from "../sys/program.ts";
import type { SystemError } from "../sys/errno.ts";
import { type Consumer, Hold, type Transport } from "../net/transport.ts";
import { INCOMPLETE } from "../http/parser.ts";
import { ABORTED, Bit, BodyState, ResponseFlag } from "./contract.ts";
import { Fault, faultError } from "./faults.ts";
import type { NodeHost } from "./host.ts";
import { callProgram, throwUncaught } from "./program-call.ts";
import { RequestBody } from "./request-body.ts";
import { NodeRequestParser } from "./request-parser.ts";
import { isUtf8, ResponseHandle } from "./response-handle.ts";
import { SocketHandle } from "./socket-handle.ts";

const CR = 13;
const LF = 10;

/** More than this waiting for the client, and who writes is told to wait. */
const BLOCKED_BYTES = 65536;
/** Requests that may wait for the response ahead. */
const QUEUED_MAX = 256;
/** How long the last bytes may go without progress once the program has closed the socket. */
const CLOSE_TIMEOUT_MS = 2000;

/** One bit each: what is true while it is set. */
const Flag = {
  /** Nothing that comes is looked at any more. */
  Deaf: 0x1,
  /** The reader is behind. */
  Held: 0x2,
  /** Who writes waits for `onDrain`. */
  Blocked: 0x4,
  Tunnel: 0x8,
  /** The last request closes the connection. */
  Last: 0x10,
  /** The reactor counts a response that the program has not begun to give. */
  Awaited: 0x20,
  /** `end` was called. */
  Ended: 0x40,
  /** So much waits for its turn to be sent that nothing more is received. What has come is still looked at. */
  Gated: 0x100,
  /** The client sends no more, and is to get its answers all the same (`httpAllowHalfOpen`). */
  HalfOpen: 0x80,
} as const;

export class NodeConnection implements Consumer {
  readonly isReentrant = false;
  readonly host: NodeHost;
  readonly socket: SocketHandle;
  transport!: Transport;
  /** Whose response is being sent, or was sent last. */
  response: ResponseHandle | null = null;

  private flags = 0;
  /** Where what is being read begins. */
  private packetStart = 0;
  /** What of a request is still to come. */
  private body: RequestBody | null = null;
  /** Dispatched requests whose response has to wait for the one ahead. */
  private queued: ResponseHandle[] = [];
  /** A head of which a part has come: so many bytes of it were looked at, by its own parser from the second time on. */
  private begunBytes = 0;
  private begunParser: NodeRequestParser | null = null;
  /** When the request that is coming began, in milliseconds; 0 for none. The first may be expected from the connection's begin on. */
  private startedMs: number;

  constructor(host: NodeHost) {
    this.host = host;
    this.socket = new SocketHandle(this);
    this.startedMs = host.reactor.nowMs;
  }

  // ---- for the socket's handle -------------------------------------------------------------------------------------

  get isTunnel(): boolean {
    return this.has(Flag.Tunnel);
  }

  get isBlocked(): boolean {
    return this.has(Flag.Blocked);
  }

  get queuedBytes(): number {
    return this.transport.queuedBytes;
  }

  /** No request is coming, none is unanswered. */
  get isIdle(): boolean {
    if (this.begunBytes > 0 || this.body !== null || this.queued.length > 0 || this.isTunnel) return false;
    return this.response === null || (this.response.flags & ResponseFlag.Completed) !== 0;
  }

  /** Queues a string or bytes, as a copy. Returns how many bytes that is. Behind the program's own end of the socket they are dropped. */
  write(chunk: string | Uint8Array, encoding?: string): number {
    if (this.socket.finSent) return 0;
    const { outbox } = this.transport;
    if (typeof chunk !== "string") {
      outbox.write(chunk);
      return chunk.byteLength;
    }
    if (isUtf8(encoding)) {
      const bytes = Buffer.byteLength(chunk);
      outbox.writeUtf8(chunk, bytes);
      return bytes;
    }
    if (encoding === "latin1" || encoding === "binary" || encoding === "ascii") {
      outbox.writeLatin1(chunk);
      return chunk.length;
    }
    const bytes = Buffer.from(chunk, encoding as BufferEncoding);
    outbox.write(bytes);
    return bytes.length;
  }

  /** A head and a text of `bytes` bytes, in one piece of memory: most responses. */
  writeTogether(head: string, text: string, bytes: number): number {
    if (this.socket.finSent) return 0;
    const { outbox } = this.transport;
    const all = head.length + bytes;
    if (all > CHUNK_BYTES_MAX) {
      outbox.writeLatin1(head);
      outbox.writeUtf8(text, bytes);
      return all;
    }
    const chunk = outbox.reserve(all);
    const at = chunk.length;
    chunk.buffer.latin1Write(head, at, head.length);
    if (bytes > 0) chunk.buffer.utf8Write(text, at + head.length, bytes);
    outbox.commit(chunk, all);
    return all;
  }

  /** Whether so much waits for the client that who writes should, too. `onDrain` follows then. */
  checkBlocked(): boolean {
    if (this.transport.queuedBytes <= BLOCKED_BYTES) return false;
    this.flags |= Flag.Blocked;
    this.transport.requestDrain();
    return true;
  }

  /** The response is written. Returns whether it is with the kernel, or will be with the next submission. */
  responseEnded(response: ResponseHandle): boolean {
    this.setAwaited(false);
    answered();
    if (this.checkBlocked()) return false;
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
    if (this.socket.finSent) this.transport.setConsumer(this); // It is offered what it has not taken.
  }

  stopReading(): void {
    this.flags |= Flag.Deaf;
    this.resumeReads();
  }

  beTunnel(hasBody: boolean, handle: ResponseHandle): void {
    this.flags |= Flag.Tunnel;
    handle.flags |= ResponseFlag.Upgraded;
    if (!hasBody) this.body = null;
    this.setAwaited(false);
    answered();
  }

  startPipelined(handle: ResponseHandle): boolean {
    if (this.socket.closed) return false;
    const at = this.queued.indexOf(handle);
    if (at < 0) return false;
    this.queued.splice(at, 1);
    this.begin(handle);
    if (this.queued.length === QUEUED_MAX - 1) this.transport.offer();
    return true;
  }

  end(closes: boolean): void {
    if (this.socket.closed) return;
    this.socket.finSent = true;
    this.flags |= Flag.Ended;
    if (!closes) {
      // Both sides have ended when the peer has, and that must be seen, also while the reader is behind: what comes is kept.
      this.transport.release(Hold.Reader);
      return this.transport.finish("fin");
    }
    this.stopReading();
    this.transport.finish("close");
    this.transport.setTimeout(CLOSE_TIMEOUT_MS);
  }

  /** The program is done with the connection. */
  close(reset: boolean): void {
    const { transport, socket } = this;
    if (socket.closed) return;
    this.stopReading();
    if (reset || transport.queuedBytes === 0) transport.destroy(undefined, reset);
    else {
      transport.finish("close");
      transport.setTimeout(CLOSE_TIMEOUT_MS);
    }
    this.closed();
  }

  isRequestTimedOut(headersTimeoutMs: number, requestTimeoutMs: number): boolean {
    if (this.startedMs === 0 || this.isTunnel || this.has(Flag.Deaf)) return false;
    const elapsedMs = this.host.reactor.nowMs - this.startedMs;
    if (requestTimeoutMs > 0 && elapsedMs > requestTimeoutMs) return true;
    return this.body === null && headersTimeoutMs > 0 && elapsedMs > headersTimeoutMs;
  }

  // ---- from the transport ------------------------------------------------------------------------------------------

  get backlogBytesMax(): number {
    return Math.max(65536, this.host.limits.headerBytesMax);
  }

  consume(memory: Buffer, start: number, end: number): number {
    let at = start;
    this.packetStart = start;
    while (at < end && !this.has(Flag.Deaf)) {
      if (this.has(Flag.Held)) return at;
      if (this.body !== null) at = this.receiveBody(memory, at, end);
      else if (this.isTunnel) at = this.pass(memory, at, end);
      else {
        const next = this.receiveHead(memory, at, end);
        if (next === INCOMPLETE) return at;
        at = next;
      }
    }
    return at < end && !this.has(Flag.Deaf) ? at : end;
  }

  onEnd(): void {
    const { socket, transport, response } = this;
    if (socket.closed) return;
    if (this.isTunnel) {
      socket.peerEnded = true;
      if (socket.ondata !== undefined) callProgram(socket.ondata, undefined, true);
      return;
    }
    if (!this.has(Flag.Deaf) && (this.body !== null || this.begunBytes > 0)) {
      this.refuse(Fault.Eof, Buffer.alloc(0));
      if (socket.closed) return;
    }
    const isPending = response !== null && (response.flags & ResponseFlag.Completed) === 0;
    if (this.host.server.httpAllowHalfOpen === true && (isPending || this.queued.length > 0)) {
      this.flags |= Flag.HalfOpen;
      return;
    }
    socket.peerEnded = true;
    transport.finish("close");
    transport.setTimeout(CLOSE_TIMEOUT_MS);
    this.closed();
  }

  onDrain(): void {
    this.flags &= ~Flag.Blocked;
    const { response, socket } = this;
    if (response !== null && !this.isTunnel) {
      if ((response.flags & ResponseFlag.Ended) !== 0) response.flags |= ResponseFlag.Completed;
      const { onwritable } = response;
      response.onwritable = undefined;
      if (typeof onwritable === "function") callProgram(onwritable); // Programs reach it, and have put other things there.
    }
    if (socket.ondrain !== undefined) callProgram(socket.ondrain);
  }

  /** The last bytes are on their way out. */
  onTimeout(): void {
    if (this.transport.takeProgress()) this.transport.setTimeout(CLOSE_TIMEOUT_MS);
    else this.transport.destroy();
  }

  onClose(error: SystemError | undefined): void {
    if (this.socket.closed) return;
    if (error !== undefined) this.socket.closeError = { errno: -Math.abs(error.errno), code: error.code };
    this.closed();
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  /** Returns the position behind the head, and behind what else the program was given, or INCOMPLETE. */
  private receiveHead(memory: Buffer, from: number, end: number): number {
    let start = from;
    if (this.begunBytes === 0) while (start < end && (memory[start] === CR || memory[start] === LF)) start++;
    if (start === end || this.queued.length >= QUEUED_MAX) return start === end ? end : INCOMPLETE;
    if (this.has(Flag.Last)) {
      const { response } = this;
      if (response !== null && (response.flags & ResponseFlag.Ended) !== 0) return end;
      return this.refuse(Fault.Closed, copyOf(memory, start, end), end);
    }
    const parser = this.begunParser ?? this.host.parser;
    const at = this.parse(memory, start, end, parser);
    if (at === INCOMPLETE) return INCOMPLETE;
    this.begunBytes = 0;
    this.begunParser = null;
    if (at < 0) return this.refuse(parser.fault, copyOf(memory, this.packetStart, end), end);
    return this.dispatch(memory, start, at, end, parser);
  }

  private parse(memory: Buffer, start: number, end: number, parser: NodeRequestParser): number {
    const { begunBytes, begunParser, host } = this;
    if (begunBytes === 0) {
      const at = parser.parse(memory, start, end);
      if (at !== INCOMPLETE) return at;
      if (this.startedMs === 0) this.startedMs = host.reactor.nowMs;
      this.begunBytes = end - start;
      return INCOMPLETE;
    }
    if (end - start === begunBytes) return INCOMPLETE; // Nothing new.
    this.begunBytes = end - start;
    if (begunParser !== null) return begunParser.resume(memory, start, end);
    const at = parser.parse(memory, start, end);
    if (at !== INCOMPLETE) return at;
    this.begunParser = new NodeRequestParser(host.limits);
    return this.begunParser.parse(memory, start, end);
  }

  private dispatch(memory: Buffer, start: number, headEnd: number, end: number, parser: NodeRequestParser): number {
    const { host, socket } = this;
    const { method, bits, contentLength, chunked, isEndless, minorVersion, targetStart, targetEnd } = parser;
    const needsHost = minorVersion > 0 && method !== "CONNECT" && (bits & Bit.Upgrade) === 0;
    if (needsHost && (bits & Bit.Host) === 0 && host.server.requireHostHeader) return this.refuseWithoutHost(end);
    const text = memory.latin1Slice(start, headEnd);
    const hasBody = chunked || contentLength > 0 || isEndless;
    const handle = new ResponseHandle(this, text, parser.headersStart, hasBody);
    if (!parser.keepAlive) this.flags |= Flag.Last;
    if (hasBody) this.body = new RequestBody(handle, contentLength, chunked, host.limits);
    this.startedMs = hasBody ? this.startedMs || host.reactor.nowMs : 0;
    const duplex = socket.duplex as (Socket & { _httpMessage?: object | null }) | undefined;
    const isPipelined = this.queued.length > 0 || (duplex?._httpMessage ?? null) !== null;
    if (isPipelined) this.queued.push(handle);
    else this.begin(handle);
    const mayTunnel = method === "CONNECT" || (bits & (Bit.Upgrade | Bit.ConnectionUpgrade)) === UPGRADES;
    const connectHead = mayTunnel && !hasBody && headEnd < end ? copyOf(memory, headEnd, end) : undefined;
    const open = openCalls();
    enterProgram();
    try {
      host.onRequest(
        host.native,
        text.slice(targetStart, targetEnd),
        method,
        bits,
        handle,
        hasBody,
        socket,
        false,
        duplex,
        minorVersion === 0,
        connectHead,
        isPipelined,
      );
    } catch (error) {
      throwUncaught(error);
      handle.endAfterThrow();
    } finally {
      leaveProgram();
    }
    runJobs();
    // What the handler of an answered request left behind, nobody waits for; node:http's own ticks least of all.
    if (handle.finished) while (openCalls() > open) answered();
    if (isEndless) return this.refuse(Fault.TransferEncoding, copyOf(memory, this.packetStart, end), end);
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

  /** A request is whole. Until it is answered, nothing is expected from the client. */
  private messageOver(handle: ResponseHandle): void {
    const isOver = (handle.flags & (ResponseFlag.Ended | ResponseFlag.SocketClosed)) !== 0;
    if (this.response === handle && !isOver && !this.isTunnel) this.setAwaited(true);
  }

  private pass(memory: Buffer, start: number, end: number): number {
    const { ondata } = this.socket;
    if (ondata !== undefined) callProgram(ondata, copyOf(memory, start, end), false);
    return end;
  }

  /** What came cannot be understood. The program hears of it, and answers, or node:http does. Returns `at`. */
  private refuse(fault: Fault, packet: Buffer, at = 0): number {
    this.flags |= Flag.Deaf;
    const { duplex } = this.socket;
    if (duplex !== undefined) callProgram(this.host.onFault!, duplex, faultError(fault, packet));
    return at;
  }

  /** As Bun's server does, whatever responses are due before it (RFC 9112 section 3.2). */
  private refuseWithoutHost(end: number): number {
    this.flags |= Flag.Deaf;
    const { duplex } = this.socket;
    if (duplex?.writable) callProgram(replyWithoutHost, duplex);
    return end;
  }

  // ---- responses ---------------------------------------------------------------------------------------------------

  private begin(handle: ResponseHandle): void {
    if (this.response !== null) this.socket.bytesWritten += this.response.getBytesWritten();
    this.response = handle;
  }

  private setAwaited(awaited: boolean): void {
    if (this.has(Flag.Awaited) === awaited) return;
    if (awaited) this.flags |= Flag.Awaited;
    else this.flags &= ~Flag.Awaited;
    this.host.reactor.pendingExchanges += awaited ? 1 : -1;
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

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

function replyWithoutHost(socket: Socket): void {
  const date = new Date().toUTCString();
  socket.write(
    `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nDate: ${date}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  );
  socket.destroySoon();
}

const UPGRADES = Bit.Upgrade | Bit.ConnectionUpgrade;

function copyOf(memory: Buffer, start: number, end: number): Buffer {
  return Buffer.from(memory.subarray(start, end));
}
