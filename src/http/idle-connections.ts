/**
 * Connections on which nothing is under way: most of them, most of the time. One protocol serves them all, so that each costs its transport
 * alone, and the text of a head that has begun (as `transport.context`).
 *
 * Guarantees: a head has its time from its first byte on, however steadily it comes; a head that comes in pieces is parsed again only when a
 * line has ended, so that many small pieces cost no more than a few times what they cost anyway.
 */
import { Connection, type Protocol } from "../net/connection.ts";
import { ConnectionState } from "../net/connection-flags.ts";
import { HttpConnection } from "./connection.ts";
import { reasons } from "./head.ts";
import type { HttpHost } from "./host.ts";

const LF = 10;

export class IdleConnections implements Protocol {
  readonly host: HttpHost;
  private readonly closing: ClosingConnections;
  /** Bytes of the begun head that is being looked at again, with what has come of it; else 0. */
  private resumedBytes = 0;

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
    // As long as before and what has come is only the same head.
    if (head !== null && head.length !== this.resumedBytes) this.limitHead(transport);
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
    const head = transport.context as string | null;
    if (head === null) {
      this.resumedBytes = 0; // Of another connection, whose handler runs the event loop.
      setIdleTimeout(transport, this.host.limits.idleTimeoutMs);
      return this.process(transport, memory, start, end);
    }
    const joined = Buffer.allocUnsafe(head.length + end - start);
    joined.latin1Write(head, 0, head.length);
    memory.copy(joined, head.length, start, end);
    if (joined.indexOf(LF, head.length) < 0 && joined.length < this.host.limits.headerBytesMax) {
      transport.context = joined.latin1Slice();
      return;
    }
    this.resumedBytes = joined.length;
    this.process(transport, joined, 0, joined.length);
    this.resumedBytes = 0;
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

  private process(transport: Connection, memory: Buffer, start: number, end: number): void {
    const connection = this.host.spare.pop() ?? new HttpConnection(this.host);
    connection.attach(transport, this.resumedBytes > 0);
    connection.process(memory, start, end);
  }

  private limitHead(transport: Connection): void {
    const { headerTimeoutMs, idleTimeoutMs } = this.host.limits;
    if (headerTimeoutMs > 0 && (idleTimeoutMs === 0 || headerTimeoutMs < idleTimeoutMs))
      transport.setTimeout(headerTimeoutMs);
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
