/**
 * Connections on which nothing is under way: most of them, most of the time. One consumer serves them all, so that each costs its
 * transport alone. What has come of a head that has begun stays with the transport; `transport.context` says how much that is.
 *
 * Guarantees: a head has its time from its first byte on, however steadily it comes; each of its lines is read once when it is whole, so
 * that a head costs what its bytes and its pieces cost, in whatever pieces it comes.
 */
import { Connection } from "../transport/connection.ts";
import type { Consumer, Transport } from "../transport/transport.ts";
import { Exchange } from "./exchange.ts";
import { reasons } from "./head.ts";
import type { ExchangeHost, HttpLimits } from "./host.ts";
import { setIdleTimeout } from "./idle-timeout.ts";
import { INCOMPLETE, RequestParser } from "./parser.ts";

const LF = 10;

/** How long a client may take nothing of the answers that were finished when the server was stopped. */
const STOP_TIMEOUT_MS = 1000;
/** Bytes that a client may send ahead of the request that is being answered. */
const AHEAD_BYTES_MAX = 65536;

export class IdleConnections implements Consumer {
  readonly isReentrant = false;
  readonly host: ExchangeHost;
  private readonly closing: ClosingConnections;

  constructor(host: ExchangeHost) {
    this.host = host;
    this.closing = new ClosingConnections(host);
  }

  /** Takes over an accepted descriptor. */
  accept(fd: number): Connection {
    const { reactor, limits } = this.host;
    const transport = new Connection(reactor.lane, fd, this);
    setIdleTimeout(transport, limits.idleTimeoutMs);
    return transport;
  }

  /** Whether nothing is under way on the connection, not even a head. */
  isIdle(transport: Transport): boolean {
    return transport.consumer === this && transport.context === null;
  }

  /** Takes back a connection on which an exchange is over. `headBytes` have come of the next request. */
  rest(transport: Transport, headBytes: number): void {
    transport.setConsumer(this);
    transport.context = headBytes === 0 ? null : headBytes;
    if (headBytes > 0) this.limitHead(transport);
  }

  /** Closes after what was written. `peerSends`: the client may be sending still, and must be able to read first. */
  finish(transport: Transport, peerSends: boolean): void {
    transport.setConsumer(this.closing);
    transport.context = null;
    transport.finish(peerSends && !transport.peerEnded ? "linger" : "close");
  }

  /**
   * Closes because the server stops at once. Answers that are finished still leave; a client that takes none of them for a second loses them.
   */
  stop(transport: Transport): void {
    this.finish(transport, false);
    if (transport.queuedBytes === 0) transport.destroy();
    else transport.setTimeout(STOP_TIMEOUT_MS);
  }

  /** A request that cannot be understood, is too large, or late: one answer, and the end. `moreLines` are whole, each with its CRLF. */
  refuse(transport: Transport, status: number, moreLines = ""): void {
    const { heads, reactor } = this.host;
    const line = `HTTP/1.1 ${status} ${reasons[status]}`;
    const date = heads.date(reactor.nowMs);
    const fields = `${moreLines}Date: ${date}\r\nContent-Length: 0\r\nConnection: close`;
    transport.outbox.writeLatin1(`${line}\r\n${fields}\r\n\r\n`);
    this.finish(transport, true);
  }

  // ---- from the transport ----------------------------------------------------------------------------------------

  /** A head may be longer than what else may wait. */
  get backlogBytesMax(): number {
    const { headerBytesMax, readHeaderBytesMax } = this.host.limits;
    return Math.max(AHEAD_BYTES_MAX, readHeaderBytesMax?.() ?? headerBytesMax);
  }

  consume(memory: Buffer, start: number, end: number, transport: Transport): number {
    const context = transport.context as number | BegunHead | null;
    if (context !== null) {
      if (end - start === (typeof context === "number" ? context : context.bytes)) return start; // Nothing new.
      const head = typeof context === "number" ? new BegunHead(this.host.limits, context) : context;
      transport.context = head;
      if (!head.isOver(memory, start, end)) return start;
    }
    setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
    const exchange = this.host.spare.take() ?? new Exchange(this.host);
    exchange.attach(transport);
    return exchange.read(memory, start, end);
  }

  onEnd(transport: Transport): void {
    this.finish(transport, false);
  }

  onDrain(): void {}

  onTimeout(transport: Transport): void {
    if (transport.takeProgress()) setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
    else if (transport.context !== null) this.refuse(transport, 408);
    else transport.destroy();
  }

  onClose(): void {
    this.host.closed();
  }

  private limitHead(transport: Transport): void {
    const { headerTimeoutMs, idleTimeoutMs } = this.host.limits;
    if (headerTimeoutMs > 0 && (idleTimeoutMs === 0 || headerTimeoutMs < idleTimeoutMs))
      transport.setTimeout(headerTimeoutMs);
  }
}

/** A head of which more has come than its first piece. Most heads never become one: they come whole, or the rest of them never comes. */
class BegunHead {
  /** So many bytes of it were looked at. */
  bytes: number;
  private readonly parser: RequestParser;
  private readonly limits: HttpLimits;

  constructor(limits: HttpLimits, bytes: number) {
    this.parser = new RequestParser(limits);
    this.limits = limits;
    this.bytes = bytes;
  }

  /** Looks at what is new. Returns whether the head is whole, or to be refused: then it is for an Exchange. */
  isOver(memory: Buffer, start: number, end: number): boolean {
    const from = start + this.bytes;
    this.bytes = end - start;
    // Nothing more is known before the line's end.
    if (this.bytes < this.limits.headerBytesMax && memory.subarray(from, end).indexOf(LF) < 0) return false;
    return this.parser.resume(memory, start, end) !== INCOMPLETE;
  }
}

/** Connections on which nothing that comes is looked at any more; the last bytes are on their way out. */
class ClosingConnections implements Consumer {
  readonly isReentrant = true;
  readonly backlogBytesMax = Infinity;
  readonly host: ExchangeHost;

  constructor(host: ExchangeHost) {
    this.host = host;
  }

  consume(_memory: Buffer, _start: number, end: number): number {
    return end;
  }

  onEnd(): void {}

  onDrain(): void {}

  onTimeout(transport: Transport): void {
    // A slow client that takes its answer is not idle.
    if (transport.takeProgress()) setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
    else transport.destroy();
  }

  onClose(): void {
    this.host.closed();
  }
}
