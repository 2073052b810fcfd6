/**
 * Connections on which nothing is under way: most connections, most of the time. One consumer
 * serves all of them, so that each costs only its transport. The bytes of a head that has begun
 * stay with the transport; `transport.context` says how many they are.
 *
 * Guarantees: the time for a head runs from its first byte, however steadily it comes. Each line of
 * a head is read once, when it is whole. So the cost of a head is that of its bytes and pieces, for
 * any sizes of pieces.
 */
import type { RefusalReason } from "../reactor/traffic.ts";
import { Connection } from "../transport/connection.ts";
import type { Consumer, Transport } from "../transport/transport.ts";
import { Exchange } from "./exchange.ts";
import { reasons } from "./head.ts";
import type { ExchangeHost, HttpLimits } from "./host.ts";
import { setIdleTimeout } from "./idle-timeout.ts";
import { INCOMPLETE, RequestParser } from "./parser.ts";

const LF = 10;

/**
 * Milliseconds for which a client may accept no byte of its ready answers once the server has
 * stopped.
 */
const STOP_TIMEOUT_MS = 1000;
/** Bytes that a client may send ahead while a request is being answered. */
const AHEAD_BYTES_MAX = 65536;

export class IdleConnections implements Consumer {
  readonly isReentrant = false;
  readonly host: ExchangeHost;
  private readonly closing: ClosingConnections;

  constructor(host: ExchangeHost) {
    this.host = host;
    this.closing = new ClosingConnections(host);
  }

  /** Starts a connection on an accepted descriptor, and becomes its owner. */
  accept(fd: number): Connection {
    const { reactor, limits } = this.host;
    const transport = new Connection(reactor.lane, fd, this);
    setIdleTimeout(transport, limits.idleTimeoutMs);
    return transport;
  }

  /** Returns whether nothing is under way on the connection, not even a head. */
  isIdle(transport: Transport): boolean {
    return transport.consumer === this && transport.context === null;
  }

  /** Makes a connection idle after an exchange. `headBytes` of the next request have come. */
  rest(transport: Transport, headBytes: number): void {
    transport.setConsumer(this);
    transport.context = headBytes === 0 ? null : headBytes;
    if (headBytes > 0) this.limitHead(transport);
  }

  /**
   * Closes after everything written. `peerSends`: the client may still send, and must be able to
   * read first.
   */
  finish(transport: Transport, peerSends: boolean): void {
    transport.setConsumer(this.closing);
    transport.context = null;
    transport.finish(peerSends && !transport.peerEnded ? "linger" : "close");
  }

  /**
   * Closes because the server stops at once. Ready answers still leave. A client that accepts no
   * byte of them for a second loses them.
   */
  stop(transport: Transport): void {
    this.finish(transport, false);
    if (transport.queuedBytes === 0) transport.destroy();
    else transport.setTimeout(STOP_TIMEOUT_MS);
  }

  /**
   * Refuses a request that is malformed, too large, or late: sends one answer and closes.
   * `reason` is for the metrics. `moreLines` are whole lines, each with its CRLF.
   */
  refuse(transport: Transport, status: number, reason: RefusalReason, moreLines = ""): void {
    const { heads, reactor } = this.host;
    reactor.lane.traffic.countRefusal(status, reason);
    const line = `HTTP/1.1 ${status} ${reasons[status]}`;
    const date = heads.date(reactor.nowMs);
    const fields = `${moreLines}Date: ${date}\r\nContent-Length: 0\r\nConnection: close`;
    transport.outbox.writeLatin1(`${line}\r\n${fields}\r\n\r\n`);
    this.finish(transport, true);
  }

  // ---- from the transport -----------------------------------------------------------------------

  /** Bytes that may wait: a head may be longer than AHEAD_BYTES_MAX. */
  get backlogBytesMax(): number {
    const { headerBytesMax, readHeaderBytesMax } = this.host.limits;
    return Math.max(AHEAD_BYTES_MAX, readHeaderBytesMax?.() ?? headerBytesMax);
  }

  consume(memory: Buffer, start: number, end: number, transport: Transport): number {
    const context = transport.context as number | BegunHead | null;
    if (context !== null) {
      // Nothing new has come.
      if (end - start === (typeof context === "number" ? context : context.bytes)) return start;
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
    else if (transport.context !== null) this.refuse(transport, 408, "head");
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

/**
 * A head of which a second piece has come. Most heads never need this object: they come whole, or
 * their rest never comes.
 */
class BegunHead {
  /** Number of bytes of the head that were looked at. */
  bytes: number;
  private readonly parser: RequestParser;
  private readonly limits: HttpLimits;

  constructor(limits: HttpLimits, bytes: number) {
    this.parser = new RequestParser(limits);
    this.limits = limits;
    this.bytes = bytes;
  }

  /**
   * Parses the new bytes. Returns whether the head is whole or must be refused: then an Exchange
   * handles it.
   */
  isOver(memory: Buffer, start: number, end: number): boolean {
    const from = start + this.bytes;
    this.bytes = end - start;
    // A line is only parsed when its end has come.
    if (this.bytes < this.limits.headerBytesMax && memory.subarray(from, end).indexOf(LF) < 0) return false;
    return this.parser.resume(memory, start, end) !== INCOMPLETE;
  }
}

/** Connections that are closing: arriving bytes are dropped, and the last bytes leave. */
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
    // A slow client that reads its answer is not idle.
    if (transport.takeProgress()) setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
    else transport.destroy();
  }

  onClose(): void {
    this.host.closed();
  }
}
