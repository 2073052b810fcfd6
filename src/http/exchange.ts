/**
 * HTTP/1.1 on one connection while something is under way on it: a request and its body come in, an answer goes out, then
 * the next. Between requests the connection is one of IdleConnections, and this object serves another.
 *
 * Guarantees: answers leave in the order of their requests, whatever the program does, because a request is taken from the
 * transport only when the one before it is answered; a client that does not read its answers is not served further ones.
 * Errors in the protocol are answered and end the connection. Leaves to the responder: what a request means, and its
 * answer's head and body.
 */
import { type Consumer, Hold, type Transport } from "../net/transport.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { assert } from "../sys/assert.ts";
import { lazily } from "../sys/lazily.ts";
import { runJobs } from "../sys/program.ts";
import { RequestBody } from "./body.ts";
import type { BodySender, BodyTarget } from "./body-sender.ts";
import type { ChunkedDecoder, ChunkSink } from "./chunked.ts";
import { BODY_COMING, DUE, Phase, SENDING, UNANSWERED, WHOLE } from "./exchange-phase.ts";
import type { ExchangeHost } from "./host.ts";
import { setIdleTimeout } from "./idle-timeout.ts";
import { INCOMPLETE } from "./parser.ts";

// What many a server never needs.
const chunks = lazily(() => require("./chunked.ts") as typeof import("./chunked.ts"));

/** Bytes that are decoded to one string for all requests in them. Of larger deliveries each head is decoded by itself. */
const SHARED_TEXT_BYTES_MAX = 4096;

/** Answers the requests of one exchange, one after the other. */
export interface Responder {
  /**
   * A head is complete. The host's parser says what is in it, until this returns. `text` contains it, from `base` to
   * `headersEnd`. A body may still be coming. The answer may be given at once, by `complete()` or `send()`.
   */
  onRequest(text: string, base: number, headersEnd: number, body: RequestBody | null): void;
  /** The sender has sent the whole answer. */
  onSent(): void;
  /** The answer's body failed. `hasBegun`: the client has seen a part of the answer. Else another one is due. */
  onSendFailed(error: unknown, hasBegun: boolean): void;
  /** Nobody gets the answer that is due any more. Returns a function that tells the program; it may run the event loop. */
  abandon(): () => void;
}

export class Exchange implements Consumer, ChunkSink, BodyTarget {
  /** The connection that it serves, while it is not spare. */
  transport!: Transport;
  readonly host: ExchangeHost;
  readonly isReentrant = false;
  /** The client speaks HTTP/1.0. */
  http10 = false;

  private readonly responder: Responder;
  private phase: Phase = Phase.Spare;
  /** Counts requests, so that who comes late knows that it is another's turn. */
  private serial = 0;
  /** In the phases of BODY_COMING: what is being received. */
  private body: RequestBody | null = null;
  /** Bytes that are still to come of it, with Content-Length. */
  private bodyBytesLeft = 0;
  private bodyBytes = 0;
  private chunked: ChunkedDecoder | null = null;
  /** In the phases of SENDING: who sends, unless it has failed. */
  private sender: BodySender | null = null;
  private keepAlive = true;
  private idleTimeoutMs = 0;
  /** What is being processed, decoded. */
  private text: string | null = null;
  private textBase = 0;

  constructor(host: ExchangeHost) {
    this.host = host;
    this.responder = host.createResponder(this);
  }

  // ---- for idle connections --------------------------------------------------------------------------------------

  /** Begins to serve a connection that was idle. */
  attach(transport: Transport): void {
    this.move(Phase.Spare, Phase.Head);
    this.transport = transport;
    transport.setConsumer(this);
    transport.context = null;
    this.idleTimeoutMs = this.host.limits.idleTimeoutMs;
  }

  /**
   * Takes one request after the other, until one takes its time. Lets go of the connection if nothing is under way
   * afterwards. Returns the position up to which it got.
   */
  read(memory: Buffer, start: number, end: number): number {
    const { host, transport } = this;
    this.text = null;
    let at = start;
    let headBytes = 0;
    let queuedBytes = 0;
    try {
      while (at < end) {
        if ((this.phase & BODY_COMING) !== 0) {
          const next = this.receiveBody(memory, at, end);
          if (next < 0) this.refuse(-next);
          else at = next;
          continue;
        }
        if (this.phase !== Phase.Head) break;
        const next = host.parser.parse(memory, at, end);
        if (next === INCOMPLETE) {
          headBytes = end - at;
          break;
        }
        if (next < 0) {
          this.refuse(-next);
          break;
        }
        ({ queuedBytes } = transport);
        at = this.begin(memory, at, next, end);
        if (at >= end) break; // What the program left behind runs when this completion is done.
        runJobs();
        host.reactor.relieve();
      }
    } catch (error) {
      at = end;
      this.fail(error, transport.queuedBytes !== queuedBytes);
    } finally {
      this.text = null;
    }
    if (this.phase === Phase.Head) this.rest(headBytes);
    if (this.phase === Phase.Spare) host.spare.give(this);
    return at;
  }

  // ---- for the responder -----------------------------------------------------------------------------------------

  get reactor(): Reactor {
    return this.host.reactor;
  }

  get writeQueueBytesMax(): number {
    return this.host.limits.writeQueueBytesMax;
  }

  /** Whether the connection may stay open after the answer, as far as the request and the server go. */
  get mayStayOpen(): boolean {
    return this.keepAlive && !this.host.stopping;
  }

  /**
   * Whether the request is whole, of the version that can change to another protocol (RFC 9110 section 7.8), and nothing of
   * its answer has begun.
   */
  get canHandOver(): boolean {
    return (this.phase & (Phase.Due | Phase.Awaited)) !== 0 && !this.http10;
  }

  /** The answer takes its time: nothing is expected from the client meanwhile. */
  awaitAnswer(): void {
    if (this.phase === Phase.Due) this.move(Phase.Due, Phase.Awaited);
  }

  /** The answer is there, and is written next. */
  resume(): void {
    if (this.phase === Phase.Awaited) this.move(Phase.Awaited, Phase.Due);
  }

  /** The whole answer is in the outbox. */
  complete(keepAlive: boolean): void {
    this.keepAlive = keepAlive;
    if ((this.phase & BODY_COMING) === 0) {
      this.move(UNANSWERED, Phase.Head);
      return this.afterAnswer();
    }
    this.move(UNANSWERED, Phase.Dropping);
    // The rest of a request that was answered early is dropped. To close instead would cost many a client its answer: it is
    // still sending.
    this.body!.cutOff();
    this.bodyBytes = 0;
    if (!keepAlive) this.finish(true);
  }

  /** `sender` sends the answer. */
  send(sender: BodySender, keepAlive: boolean): void {
    this.keepAlive = keepAlive;
    this.sender = sender;
    this.move(DUE, (this.phase & WHOLE) === 0 ? Phase.ReceivingAndSending : Phase.Sending);
    sender.start();
  }

  /**
   * Gives the connection up, with no answer to the request. The caller makes another the transport's consumer at once. The
   * answer's bytes and another protocol's must never mix, so nothing of it may have begun.
   */
  handOver(): Transport {
    assert(this.canHandOver, "a connection is handed over before its answer begins");
    const { transport } = this;
    this.detach();
    return transport;
  }

  /** Answers the request before its handler does, and ends the connection. `moreLines` are whole, each with its CRLF. */
  refuseUpgrade(moreLines: string): void {
    this.host.idle.refuse(this.handOver(), 426, moreLines);
  }

  /** How long the exchange may be without traffic. 0 is no limit. */
  setIdleTimeout(ms: number): void {
    this.idleTimeoutMs = ms;
    this.extendTimeout();
  }

  /** What nobody has foreseen: a log line and a 500, or, where an answer has begun, the connection's end. */
  fail(error: unknown, hasBegun: boolean): void {
    this.host.reportFault(error);
    if (this.phase === Phase.Spare) return;
    if (hasBegun) this.abort(true);
    else this.refuse(500);
  }

  /** The server stops at once: so does what is under way. Answers before it still leave. */
  stop(): void {
    if ((this.phase & SENDING) !== 0) return this.abort();
    this.abandon((transport) => this.host.idle.stop(transport));
  }

  /** Ends the connection at once; the program is told. */
  abort(reset = false): void {
    this.abandon((transport) => {
      this.host.idle.finish(transport, false);
      transport.destroy(undefined, reset);
    });
  }

  // ---- from the transport ----------------------------------------------------------------------------------------

  get backlogBytesMax(): number {
    return this.host.idle.backlogBytesMax;
  }

  consume(memory: Buffer, start: number, end: number): number {
    this.extendTimeout();
    return this.read(memory, start, end);
  }

  onEnd(): void {
    // The body can never be complete. A handler that waits for it must hear of it; there is nobody to answer properly.
    if ((this.phase & BODY_COMING) !== 0) return this.abort();
    // As in Bun, Node and nginx, who ends while a handler or a stream takes its time has left. Who only closes its side
    // gets the answer of a handler that answers at once, by an immediate at the latest.
    const { serial } = this;
    if (this.isLeft) setImmediate(() => this.leave(serial));
  }

  /** Whether a client that has ended has left what is under way. */
  private get isLeft(): boolean {
    return (this.phase & UNANSWERED) !== 0 && this.sender?.isFinite !== true;
  }

  /** The client has left, and request number `serial` was under way. What was written before still leaves. */
  private leave(serial: number): void {
    if (this.serial === serial && this.isLeft) this.abandon((transport) => this.host.idle.finish(transport, false));
  }

  onDrain(): void {
    this.sender?.drained();
    if (this.phase !== Phase.Stalled) return;
    this.move(Phase.Stalled, Phase.Head);
    this.transport.release(Hold.Exchange);
    this.next();
  }

  onTimeout(): void {
    // A slow client that takes its answer is not idle.
    if (this.transport.takeProgress()) this.extendTimeout();
    else this.abort();
  }

  onClose(): void {
    this.abandon(() => this.host.closed());
  }

  // ---- the request -----------------------------------------------------------------------------------------------

  /** A head is complete, from `start` to `bodyStart`. Returns where to go on. */
  private begin(memory: Buffer, start: number, bodyStart: number, end: number): number {
    const { host, transport } = this;
    const { parser } = host;
    const { contentLength, chunked } = parser;
    if (contentLength > host.limits.requestBodyBytesMax) {
      this.refuse(413);
      return end;
    }
    if (this.text === null || bodyStart > this.textBase + this.text.length) {
      const textEnd = end - start <= SHARED_TEXT_BYTES_MAX ? end : bodyStart;
      this.text = memory.latin1Slice(start, textEnd);
      this.textBase = start;
    }
    const { text } = this;
    const base = start - this.textBase;
    const headersEnd = bodyStart - this.textBase;
    if (parser.hostStart < parser.headersStart && parser.hostEnd > parser.hostStart) {
      // The target's absolute-form names the host, which must be one that a URL can have.
      if (!URL.canParse(`http://${text.slice(base + parser.hostStart, base + parser.hostEnd)}`)) {
        this.refuse(400);
        return end;
      }
    }
    this.serial++;
    this.keepAlive = parser.keepAlive;
    this.http10 = parser.minorVersion === 0;
    let at = bodyStart;
    let body: RequestBody | null = null;
    if (!chunked && contentLength > 0 && bodyStart + contentLength <= end) {
      at = bodyStart + contentLength;
      body = RequestBody.whole(transport, memory, bodyStart, at);
      this.move(Phase.Head, Phase.Due);
    } else if (chunked || contentLength > 0) {
      body = this.body = new RequestBody(transport);
      this.bodyBytes = 0;
      this.bodyBytesLeft = contentLength;
      this.chunked = chunked ? new (chunks().ChunkedDecoder)(host.limits.headerBytesMax) : null;
      this.move(Phase.Head, Phase.Receiving);
      if (at < end && chunked) {
        // It may be whole. A part of one with a length comes after the handler, as in Bun, which cannot answer at once and
        // read a part.
        at = this.receiveBody(memory, at, end);
        if (at < 0) {
          this.refuse(-at);
          return end;
        }
      } else if (at >= end && parser.expectsContinue) transport.outbox.writeLatin1("HTTP/1.1 100 Continue\r\n\r\n");
    } else this.move(Phase.Head, Phase.Due);
    this.responder.onRequest(text, base, headersEnd, body);
    return at;
  }

  /** Feeds the body that is being received. Returns the position after it, or a negated status. */
  private receiveBody(memory: Buffer, start: number, end: number): number {
    if (this.chunked !== null) {
      const at = this.chunked.feed(memory, start, end, this);
      if (this.bodyBytes > this.host.limits.requestBodyBytesMax) {
        if (this.phase !== Phase.Dropping) return -413;
        this.finish(true);
        return end;
      }
      if (this.chunked.done) this.endBody();
      return at;
    }
    const part = Math.min(this.bodyBytesLeft, end - start);
    this.bodyBytesLeft -= part;
    this.onBody(memory, start, start + part);
    if (this.bodyBytesLeft === 0) this.endBody();
    return start + part;
  }

  onBody(memory: Buffer, start: number, end: number): void {
    this.bodyBytes += end - start;
    this.body!.push(memory, start, end);
  }

  private endBody(): void {
    const body = this.body!;
    this.body = null;
    this.chunked = null;
    switch (this.phase) {
      case Phase.Receiving:
        this.move(Phase.Receiving, Phase.Due);
        break;
      case Phase.ReceivingAndSending:
        this.move(Phase.ReceivingAndSending, Phase.Sending);
        break;
      default:
        this.move(Phase.Dropping, Phase.Head);
    }
    body.finish();
    if (this.phase === Phase.Head) this.afterAnswer();
  }

  /** The rest of the body will not come. */
  private failBody(): void {
    const { body } = this;
    this.body = null;
    this.chunked = null;
    if (body === null) return;
    const error = new Error("The client closed the connection");
    body.fail(Object.assign(error, { code: "ECONNRESET", name: "AbortError" }));
  }

  /** A request that cannot be understood or is too large. */
  private refuse(status: number): void {
    this.abandon((transport) => this.host.idle.refuse(transport, status));
  }

  // ---- the answer ------------------------------------------------------------------------------------------------

  bodyProgressed(): void {
    this.extendTimeout();
  }

  isSending(sender: BodySender): boolean {
    return this.sender === sender;
  }

  bodySent(): void {
    this.sender = null;
    this.responder.onSent();
    this.complete(this.keepAlive);
  }

  bodyFailed(error: unknown, headSent: boolean): void {
    this.sender = null;
    if (!headSent) this.move(SENDING, (this.phase & WHOLE) === 0 ? Phase.Receiving : Phase.Due);
    this.responder.onSendFailed(error, headSent);
  }

  /** The request was received and answered. */
  private afterAnswer(): void {
    if (!this.mayStayOpen) return this.finish();
    const { transport } = this;
    if (transport.queuedBytes >= this.writeQueueBytesMax) {
      this.move(Phase.Head, Phase.Stalled);
      transport.requestDrain();
      transport.hold(Hold.Exchange);
      return;
    }
    if (transport.isOffering) return; // `read` goes on.
    this.extendTimeout();
    this.next();
  }

  /** Goes on with what has come meanwhile. */
  private next(): void {
    if (!this.transport.offer()) this.rest(0);
  }

  // ---- the end ---------------------------------------------------------------------------------------------------

  /** Everything that was asked is answered. `headBytes` have come of the next request. */
  private rest(headBytes: number): void {
    const { transport, host } = this;
    if (transport.peerEnded) return this.finish();
    this.detach();
    host.idle.rest(transport, headBytes);
  }

  /** Closes after what was written. `peerSends`: the client may be sending still, and must be able to read first. */
  private finish(peerSends = false): void {
    const { transport, host } = this;
    this.failBody();
    this.detach();
    host.idle.finish(transport, peerSends);
  }

  /**
   * Gives up what is under way, lets go of the connection, and lets `end` do what it wants with it. Tells those concerned
   * last: they may run the event loop, in which this may serve another connection.
   */
  private abandon(end: (transport: Transport) => void): void {
    const { transport, sender } = this;
    this.failBody();
    this.sender = null;
    const tell = (this.phase & UNANSWERED) === 0 ? undefined : this.responder.abandon();
    this.detach();
    end(transport);
    tell?.();
    sender?.abort();
  }

  /** Lets go of the connection. `read` may be on the stack, and gives this back then. */
  private detach(): void {
    this.move(~Phase.Spare, Phase.Spare);
    if (!this.transport.isOffering) this.host.spare.give(this);
  }

  private extendTimeout(): void {
    setIdleTimeout(this.transport, this.idleTimeoutMs);
  }

  /** The only place that changes the phase, and what is counted by it. */
  private move(from: number, to: Phase): void {
    const { phase, host } = this;
    assert((phase & from) !== 0, "an exchange goes from phase to phase in order");
    this.phase = to;
    if (phase === Phase.Awaited) host.reactor.pendingExchanges--;
    else if (to === Phase.Awaited) host.reactor.pendingExchanges++;
    if ((phase & UNANSWERED) === 0) {
      if ((to & UNANSWERED) !== 0) host.pendingRequests++;
    } else if ((to & UNANSWERED) === 0) {
      host.pendingRequests--;
      const { idleTimeoutMs } = host.limits;
      if (this.idleTimeoutMs === idleTimeoutMs) return;
      this.idleTimeoutMs = idleTimeoutMs;
      this.extendTimeout();
    }
  }
}
