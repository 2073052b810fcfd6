/**
 * HTTP/1.1 on one connection while something is under way on it: a request and its body come in, an answer goes out, then
 * the next. Between requests the connection is one of IdleConnections, and this object serves another.
 *
 * Guarantees: answers leave in the order of their requests, whatever the program does, because a request is taken from the
 * transport only when the one before it is answered; a client that does not read its answers is not served further ones.
 * Errors in the protocol are answered and end the connection. Leaves to the responder: what a request means, and its
 * answer's head and body.
 */
import { type Consumer, Hold, type Transport } from "../transport/transport.ts";
import { DIRECT_BYTES_MIN } from "../transport/outbox.ts";
import { assert } from "../sys/assert.ts";
import { runJobs } from "../sys/program.ts";
import { RequestBody } from "./body.ts";
import type { BodySender, BodyTarget } from "./body-sender.ts";
import { BODY_COMING, DUE, ExchangePhase, Phase, SENDING, UNANSWERED, WHOLE } from "./exchange-phase.ts";
import type { ExchangeHost } from "./host.ts";
import { setIdleTimeout } from "./idle-timeout.ts";
import { HeadText } from "./head-text.ts";
import { IncomingBody } from "./incoming-body.ts";
import { INCOMPLETE } from "./parser.ts";
import type { Responder } from "./responder.ts";

export class Exchange implements Consumer, BodyTarget {
  /** The connection that it serves, while it is not spare. */
  transport!: Transport;
  readonly host: ExchangeHost;
  readonly isReentrant = false;
  /** The client speaks HTTP/1.0. */
  http10 = false;

  private readonly responder: Responder;
  private readonly phase: ExchangePhase;
  /** Counts requests, so that who comes late knows that it is another's turn. */
  private serial = 0;
  /** In the phases of BODY_COMING: what is being received. */
  private readonly incoming: IncomingBody;
  /** In the phases of SENDING: who sends, unless it has failed. */
  private sender: BodySender | null = null;
  private keepAlive = true;
  private idleTimeoutMs = 0;
  private readonly heads = new HeadText();

  constructor(host: ExchangeHost) {
    this.host = host;
    this.phase = new ExchangePhase(host);
    this.incoming = new IncomingBody(host.limits);
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
    let at = start;
    let headBytes = 0;
    let queuedBytes = 0;
    try {
      while (at < end) {
        if (this.phase.is(BODY_COMING)) {
          const next = this.receiveBody(memory, at, end);
          if (next < 0) this.refuse(-next);
          else at = next;
          continue;
        }
        if (!this.phase.is(Phase.Head)) break;
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
      this.heads.clear();
    }
    if (this.phase.is(Phase.Head)) this.rest(headBytes);
    if (this.phase.is(Phase.Spare)) host.spare.give(this);
    return at;
  }

  // ---- for the responder -----------------------------------------------------------------------------------------

  /** Whether the connection may stay open after the answer, as far as the request and the server go. */
  get mayStayOpen(): boolean {
    return this.keepAlive && !this.host.stopping;
  }

  /**
   * Whether the request is whole, of the version that can change to another protocol (RFC 9110 section 7.8), and nothing of
   * its answer has begun.
   */
  get canHandOver(): boolean {
    return this.phase.is(Phase.Due | Phase.Awaited) && !this.http10;
  }

  /** The answer takes its time: nothing is expected from the client meanwhile. */
  awaitAnswer(): void {
    if (this.phase.is(Phase.Due)) this.move(Phase.Due, Phase.Awaited);
  }

  /** The answer is there, and is written next. */
  resume(): void {
    if (this.phase.is(Phase.Awaited)) this.move(Phase.Awaited, Phase.Due);
  }

  /** The whole answer is in the outbox. */
  complete(keepAlive: boolean): void {
    this.keepAlive = keepAlive;
    if (this.transport.queuedBytes >= DIRECT_BYTES_MIN) this.transport.outbox.hasten();
    if (!this.phase.is(BODY_COMING)) {
      this.move(UNANSWERED, Phase.Head);
      return this.afterAnswer();
    }
    this.move(UNANSWERED, Phase.Dropping);
    // The rest of a request that was answered early is dropped. To close instead would cost many a client its answer: it is
    // still sending.
    this.incoming.drop();
    if (!keepAlive) this.finish(true);
  }

  /** `sender` sends the answer. */
  send(sender: BodySender, keepAlive: boolean): void {
    this.keepAlive = keepAlive;
    this.sender = sender;
    this.move(DUE, !this.phase.is(WHOLE) ? Phase.ReceivingAndSending : Phase.Sending);
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

  /** How long the exchange may be without traffic. 0 is no limit. */
  setIdleTimeout(ms: number): void {
    this.idleTimeoutMs = ms;
    this.extendTimeout();
  }

  /** What nobody has foreseen: a log line and a 500, or, where an answer has begun, the connection's end. */
  fail(error: unknown, hasBegun: boolean): void {
    this.host.reportFault(error);
    if (this.phase.is(Phase.Spare)) return;
    if (hasBegun) this.abort(true);
    else this.refuse(500);
  }

  /** The server stops at once: so does what is under way. Answers before it still leave. */
  stop(): void {
    if (this.phase.is(SENDING)) return this.abort();
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
    if (this.phase.is(BODY_COMING)) return this.abort();
    // As in Bun, Node and nginx, who ends while a handler or a stream takes its time has left. Who only closes its side
    // gets the answer of a handler that answers at once, by an immediate at the latest.
    const { serial } = this;
    if (this.isLeft) setImmediate(() => this.leave(serial));
  }

  /** Whether a client that has ended has left what is under way. */
  private get isLeft(): boolean {
    return this.phase.is(UNANSWERED) && this.sender?.isFinite !== true;
  }

  /** The client has left, and request number `serial` was under way. What was written before still leaves. */
  private leave(serial: number): void {
    if (this.serial === serial && this.isLeft) this.abandon((transport) => this.host.idle.finish(transport, false));
  }

  onDrain(): void {
    this.sender?.drained();
    if (!this.phase.is(Phase.Stalled)) return;
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
    const { heads } = this;
    heads.cover(memory, start, bodyStart, end);
    if (!heads.hasPossibleHost(parser, start)) {
      this.refuse(400);
      return end;
    }
    const { text, base } = heads; // A handler may run the event loop, and this read other bytes.
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
      body = this.incoming.begin(transport, contentLength, chunked);
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
    this.responder.onRequest(text, start - base, bodyStart - base, body);
    return at;
  }

  /** Feeds the body that is being received. Returns the position after it, or a negated status. */
  private receiveBody(memory: Buffer, start: number, end: number): number {
    const at = this.incoming.feed(memory, start, end);
    if (at === -413 && this.phase.is(Phase.Dropping)) {
      this.finish(true); // Its request is answered.
      return end;
    }
    if (at >= 0 && this.incoming.isWhole) this.endBody();
    return at;
  }

  private endBody(): void {
    if (this.phase.is(Phase.Receiving)) this.move(Phase.Receiving, Phase.Due);
    else if (this.phase.is(Phase.ReceivingAndSending)) this.move(Phase.ReceivingAndSending, Phase.Sending);
    else this.move(Phase.Dropping, Phase.Head);
    this.incoming.finish();
    if (this.phase.is(Phase.Head)) this.afterAnswer();
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
    if (!headSent) this.move(SENDING, !this.phase.is(WHOLE) ? Phase.Receiving : Phase.Due);
    this.responder.onSendFailed(error, headSent);
  }

  /** The request was received and answered. */
  private afterAnswer(): void {
    if (!this.mayStayOpen) return this.finish();
    const { transport } = this;
    if (transport.queuedBytes >= this.host.limits.writeQueueBytesMax) {
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
    this.incoming.fail();
    this.detach();
    host.idle.finish(transport, peerSends);
  }

  /**
   * Gives up what is under way, lets go of the connection, and lets `end` do what it wants with it. Tells those concerned
   * last: they may run the event loop, in which this may serve another connection.
   */
  private abandon(end: (transport: Transport) => void): void {
    const { transport, sender } = this;
    this.incoming.fail();
    this.sender = null;
    const tell = !this.phase.is(UNANSWERED) ? undefined : this.responder.abandon();
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

  private move(from: number, to: Phase): void {
    if (!this.phase.move(from, to)) return;
    // What a request was given by `setIdleTimeout` ends with it.
    const { idleTimeoutMs } = this.host.limits;
    if (this.idleTimeoutMs !== idleTimeoutMs) this.setIdleTimeout(idleTimeoutMs);
  }
}
