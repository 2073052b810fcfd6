/**
 * Connections on which nothing is under way: most of them, most of the time. One protocol serves them all, so that each costs its transport
 * alone, and what has come of a head that has begun (as `transport.context`).
 *
 * Guarantees: a head has its time from its first byte on, however steadily it comes; each of its lines is read once when it is whole, so
 * that a head costs what its bytes and its pieces cost, in whatever pieces it comes.
 */
import { Connection, type Protocol } from "../net/connection.ts";
import { ConnectionState } from "../net/connection-flags.ts";
import { ByteQueue } from "./byte-queue.ts";
import { HttpConnection } from "./connection.ts";
import { reasons } from "./head.ts";
import type { HttpHost, HttpLimits } from "./host.ts";
import { INCOMPLETE, RequestParser } from "./parser.ts";

const LF = 10;

export class IdleConnections implements Protocol {
  readonly host: HttpHost;
  private readonly closing: ClosingConnections;

  constructor(host: HttpHost) {
    this.host = host;
    this.closing = new ClosingConnections(host);
  }

  /** Takes over an accepted descriptor. */
  accept(fd: number): Connection {
    const { reactor, limits } = this.host;
    const transport = new Connection(reactor, fd, this);
    setIdleTimeout(transport, limits.idleTimeoutMs);
    return transport;
  }

  /** Whether nothing is under way on the connection, not even a head. */
  isIdle(transport: Connection): boolean {
    return transport.protocol === this && transport.context === null;
  }

  /** Takes back a connection on which an exchange is over. `head` is what has come of the next request, or null. */
  rest(transport: Connection, head: string | null): void {
    transport.protocol = this;
    transport.context = head;
    if (head !== null) this.limitHead(transport);
  }

  /** Closes after what was written. `peerSends`: the client may be sending still, and must be able to read first. */
  finish(transport: Connection, peerSends: boolean): void {
    transport.protocol = this.closing;
    transport.context = null;
    if (peerSends) transport.lingerAfterSending();
    else transport.closeAfterSending();
  }

  /** A request that cannot be understood, is too large, or late: one answer, and the end. `moreLines` are whole, each with its CRLF. */
  refuse(transport: Connection, status: number, peerSends: boolean, moreLines = ""): void {
    const { heads, reactor } = this.host;
    const line = `HTTP/1.1 ${status} ${reasons[status]}`;
    const date = heads.date(reactor.nowMs);
    transport.writeLatin1(`${line}\r\n${moreLines}Date: ${date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    this.finish(transport, peerSends);
  }

  // ---- from the transport ----------------------------------------------------------------------------------------

  onData(memory: Buffer, start: number, end: number, transport: Connection): void {
    const context = transport.context as string | BegunHead | null;
    if (context === null) {
      setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
      return this.process(transport, memory, start, end, false);
    }
    const head = context instanceof BegunHead ? context : new BegunHead(this.host.limits, context);
    transport.context = head;
    if (!head.append(memory, start, end)) return;
    this.process(transport, head.bytes.memory, head.bytes.start, head.bytes.end, true);
  }

  onEnd(transport: Connection): void {
    this.finish(transport, false);
  }

  onDrain(): void {}

  onTimeout(transport: Connection): void {
    if (transport.takeProgress()) setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
    else if (transport.context !== null) this.refuse(transport, 408, true);
    else transport.destroy();
  }

  onClose(): void {
    this.host.closed();
  }

  private process(transport: Connection, memory: Buffer, start: number, end: number, resumed: boolean): void {
    const connection = this.host.spare.take() ?? new HttpConnection(this.host);
    connection.attach(transport, resumed);
    connection.process(memory, start, end);
  }

  private limitHead(transport: Connection): void {
    const { headerTimeoutMs, idleTimeoutMs } = this.host.limits;
    if (headerTimeoutMs > 0 && (idleTimeoutMs === 0 || headerTimeoutMs < idleTimeoutMs))
      transport.setTimeout(headerTimeoutMs);
  }
}

/** A head of which more has come than its first piece. Most heads never become one: they come whole, or the rest of them never comes. */
class BegunHead {
  readonly bytes = new ByteQueue();
  private readonly parser: RequestParser;
  private readonly limits: HttpLimits;

  constructor(limits: HttpLimits, text: string) {
    this.parser = new RequestParser(limits);
    this.limits = limits;
    const first = Buffer.from(text, "latin1");
    this.append(first, 0, first.length);
  }

  /** Takes the next piece. Returns whether the head is whole, or to be refused: then it is for an HttpConnection. */
  append(memory: Buffer, start: number, end: number): boolean {
    const { bytes } = this;
    bytes.append(memory, start, end);
    // Nothing more is known before the line's end.
    if (bytes.length < this.limits.headerBytesMax && memory.subarray(start, end).indexOf(LF) < 0) return false;
    return this.parser.resume(bytes.memory, bytes.start, bytes.end) !== INCOMPLETE;
  }
}

/** Connections on which nothing that comes is looked at any more; the last bytes are on their way out. */
class ClosingConnections implements Protocol {
  readonly host: HttpHost;

  constructor(host: HttpHost) {
    this.host = host;
  }

  onData(): void {}

  onEnd(): void {}

  onDrain(): void {}

  onTimeout(transport: Connection): void {
    // A slow client that takes its answer is not idle.
    if (transport.takeProgress()) setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
    else transport.destroy();
  }

  onClose(): void {
    this.host.closed();
  }
}

/** Ends the connection after that time without traffic, or, with 0, never. */
export function setIdleTimeout(transport: Connection, ms: number): void {
  if (transport.state >= ConnectionState.Lingering) return;
  if (ms > 0) transport.setTimeout(ms);
  else transport.clearTimeout();
}
