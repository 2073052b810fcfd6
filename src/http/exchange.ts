/**
 * HTTP/1.1 on one connection while a request is under way: the request and its body come in, an
 * answer goes out, then the next request follows. Between requests the connection belongs to
 * IdleConnections, and this object serves another connection.
 *
 * Guarantees: answers leave in the order of their requests, because a request is taken from the
 * transport only after the one before it is answered. A client that does not read its answers gets
 * no further ones. Protocol errors are answered and end the connection.
 * Leaves to the responder: what a request means, and its answer's head and body.
 */
import type { RefusalReason } from "../reactor/traffic.ts";
import { lazily } from "../sys/lazily.ts";
import { type Consumer, Hold, type Transport } from "../transport/transport.ts";
import { DIRECT_BYTES_MIN } from "../transport/outbox.ts";
import { assert } from "../sys/assert.ts";
import { runJobs } from "../sys/program.ts";
import type { BodySender, BodyTarget } from "./body-sender.ts";
import { BODY_COMING, DUE, ExchangePhase, Phase, SENDING, UNANSWERED, WHOLE } from "./exchange-phase.ts";
import type { ExchangeHost } from "./host.ts";
import { IdleTimeout } from "./idle-timeout.ts";
import { HeadText } from "./head-text.ts";
import { IncomingBody } from "./incoming-body.ts";
import { INCOMPLETE } from "./parser.ts";
import type { Responder } from "./responder.ts";

// Many servers never need it.
const reasons = lazily(() => require("./refusal-reason.ts") as typeof import("./refusal-reason.ts"));

export class Exchange implements Consumer, BodyTarget {
  /** The connection that is served. Undefined while spare. */
  transport!: Transport;
  readonly host: ExchangeHost;
  readonly isReentrant = false;
  /** Whether the client uses HTTP/1.0. */
  http10 = false;

  private readonly responder: Responder;
  private readonly phase: ExchangePhase;
  /** Number of requests so far, to notice that a later request is under way. */
  private serial = 0;
  /** The body that is being received, in the phases of BODY_COMING. */
  private readonly incoming: IncomingBody;
  /** The sender of the answer, in the phases of SENDING; null once it has failed. */
  private sender: BodySender | null = null;
  private keepAlive = true;
  private readonly idleTimeout: IdleTimeout;
  private readonly heads = new HeadText();

  constructor(host: ExchangeHost) {
    this.host = host;
    this.phase = new ExchangePhase(host);
    this.incoming = new IncomingBody(host.limits);
    this.idleTimeout = new IdleTimeout(host.limits);
    this.responder = host.createResponder(this);
  }

  // ---- for idle connections ---------------------------------------------------------------------

  /** Begins to serve a connection that was idle. */
  attach(transport: Transport): void {
    this.move(Phase.Spare, Phase.Head);
    this.transport = transport;
    transport.setConsumer(this);
    transport.context = null;
    this.idleTimeout.begin();
  }

  /** Takes requests one by one, until one is not answered at once. Returns the next position. */
  read(memory: Buffer, start: number, end: number): number {
    const { host, transport } = this;
    let at = start;
    let headBytes = 0;
    let queuedBytes = 0;
    try {
      if (this.phase.is(BODY_COMING) && this.incoming.isWhole) this.endBody(); // After onReadable.
      while (at < end) {
        if (this.phase.is(BODY_COMING)) {
          at = this.receiveBody(memory, at, end);
          continue;
        }
        if (!this.phase.is(Phase.Head)) break;
        const next = host.parser.parse(memory, at, end);
        if (next === INCOMPLETE) {
          headBytes = end - at;
          break;
        }
        if (next < 0) {
          this.refuse(-next, reasons().reasonOfHead(-next, host.limits, memory, at, end));
          break;
        }
        ({ queuedBytes } = transport);
        at = this.begin(memory, at, next, end);
        if (at >= end) break; // The jobs of the program run when this completion is done.
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

  // ---- for the responder ------------------------------------------------------------------------

  /** Whether the request and the server let the connection stay open after the answer. */
  get mayStayOpen(): boolean {
    return this.keepAlive && !this.host.stopping;
  }

  /** Whether another protocol may follow (RFC 9110 section 7.8): the answer has not begun. */
  get canHandOver(): boolean {
    return this.phase.is(Phase.Due | Phase.Awaited) && !this.http10;
  }

  /** Notes that the answer comes later: nothing is expected from the client meanwhile. */
  awaitAnswer(): void {
    if (this.phase.is(Phase.Due)) this.move(Phase.Due, Phase.Awaited);
  }

  /** Notes that the answer is there, and is written next. */
  resume(): void {
    if (this.phase.is(Phase.Awaited)) this.move(Phase.Awaited, Phase.Due);
  }

  /** Ends a request: its whole answer is in the outbox. */
  complete(keepAlive: boolean): void {
    this.keepAlive = keepAlive;
    if (this.transport.queuedBytes >= DIRECT_BYTES_MIN) this.transport.outbox.hasten();
    if (!this.phase.is(BODY_COMING)) {
      this.move(UNANSWERED, Phase.Head);
      return this.afterAnswer();
    }
    this.move(UNANSWERED, Phase.Dropping);
    // Closing instead would cost many clients their answer: they are still sending.
    this.incoming.drop();
    if (!keepAlive) this.finish(true);
  }

  /** Lets `sender` send the answer. */
  send(sender: BodySender, keepAlive: boolean): void {
    this.keepAlive = keepAlive;
    this.sender = sender;
    this.move(DUE, !this.phase.is(WHOLE) ? Phase.ReceivingAndSending : Phase.Sending);
    sender.start();
  }

  /**
   * Gives the connection up before its answer begins, so that no bytes of two protocols mix. The
   * caller must replace the consumer at once.
   */
  handOver(): Transport {
    assert(this.canHandOver, "a connection is handed over before its answer begins");
    const { transport } = this;
    this.detach();
    return transport;
  }

  /** Sets how long the exchange may be without traffic. 0 is no limit. */
  setIdleTimeout(ms: number): void {
    this.idleTimeout.set(this.transport, ms);
  }

  /** Handles an unexpected error by a log line and a 500, or the end if an answer has begun. */
  fail(error: unknown, hasBegun: boolean): void {
    this.host.reportFault(error);
    if (this.phase.is(Phase.Spare)) return;
    if (hasBegun) this.abort(true);
    else this.refuse(500, "answer");
  }

  /** Stops at once, with the server. Earlier answers still leave. */
  stop(): void {
    if (this.phase.is(SENDING)) return this.abort();
    this.abandon((transport) => this.host.idle.stop(transport));
  }

  /** Ends the connection at once, and tells the program. */
  abort(reset = false): void {
    this.abandon((transport) => {
      this.host.idle.finish(transport, false);
      transport.destroy(undefined, reset);
    });
  }

  // ---- from the transport -----------------------------------------------------------------------

  get backlogBytesMax(): number {
    return this.host.idle.backlogBytesMax;
  }

  consume(memory: Buffer, start: number, end: number): number {
    this.idleTimeout.extend(this.transport);
    return this.read(memory, start, end);
  }

  onReadable(_transport: Transport, available: number): number {
    return this.incoming.receive(available);
  }

  onEnd(): void {
    // The body will never be whole. A handler that waits for it must hear of that.
    if (this.phase.is(BODY_COMING)) return this.abort();
    // As in Bun, Node and nginx, an end during a handler or a stream means that the client has
    // left. A client that closes only its side still gets the answer of a handler that answers at
    // once, or by an immediate.
    const { serial } = this;
    if (this.isLeft) setImmediate(() => this.leave(serial));
  }

  /** Whether a client that has ended has left the request that is under way. */
  private get isLeft(): boolean {
    return this.phase.is(UNANSWERED) && this.sender?.isFinite !== true;
  }

  /** Gives up request number `serial`: its client has left. Earlier data still leaves. */
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
    if (this.idleTimeout.isOver(this.transport)) this.abort();
  }

  onClose(): void {
    this.abandon(() => this.host.closed());
  }

  // ---- the request ------------------------------------------------------------------------------

  /**
   * Begins a request whose head is whole, from `start` to `bodyStart`. Returns the next position.
   */
  private begin(memory: Buffer, start: number, bodyStart: number, end: number): number {
    const { host, transport } = this;
    const { parser } = host;
    const { contentLength, chunked } = parser;
    if (contentLength > host.limits.requestBodyBytesMax) return this.refuse(413, "content_length", end);
    const { heads, incoming } = this;
    heads.cover(memory, start, bodyStart, end);
    if (!heads.hasPossibleHost(parser, start)) return this.refuse(400, "host", end);
    // Copies: a handler may run the event loop, and this may read other bytes then.
    const { text, base } = heads;
    this.serial++;
    this.keepAlive = parser.keepAlive;
    this.http10 = parser.minorVersion === 0;
    const body = chunked || contentLength > 0 ? incoming.begin(transport, parser, memory, bodyStart, end) : null;
    const at = body === null ? bodyStart : incoming.at;
    this.move(Phase.Head, incoming.isComing ? Phase.Receiving : Phase.Due);
    if (at < 0) return this.refuse(-at, reasons().reasonOfBody(-at), end);
    this.responder.onRequest(text, start - base, bodyStart - base, body);
    return at;
  }

  /** Feeds the incoming body. Returns the position after it, or after what a refusal has taken. */
  private receiveBody(memory: Buffer, start: number, end: number): number {
    const at = this.incoming.feed(memory, start, end);
    if (at === -413 && this.phase.is(Phase.Dropping)) {
      this.finish(true); // Its request is answered.
      return end;
    }
    if (at < 0) return this.refuse(-at, reasons().reasonOfBody(-at), start);
    if (this.incoming.isWhole) this.endBody();
    return at;
  }

  private endBody(): void {
    if (this.phase.is(Phase.Receiving)) this.move(Phase.Receiving, Phase.Due);
    else if (this.phase.is(Phase.ReceivingAndSending)) this.move(Phase.ReceivingAndSending, Phase.Sending);
    else this.move(Phase.Dropping, Phase.Head);
    this.incoming.finish();
    if (this.phase.is(Phase.Head)) this.afterAnswer();
  }

  /** Refuses a request that is malformed or too large. Returns `at`. */
  private refuse(status: number, reason: RefusalReason, at = 0): number {
    this.abandon((transport) => this.host.idle.refuse(transport, status, reason));
    return at;
  }

  // ---- the answer -------------------------------------------------------------------------------

  bodyProgressed(): void {
    this.idleTimeout.extend(this.transport);
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

  /** Goes on after a request that was received and answered. */
  private afterAnswer(): void {
    if (!this.mayStayOpen) return this.finish();
    const { transport } = this;
    if (transport.queuedBytes >= this.host.limits.writeQueueBytesMax) {
      this.move(Phase.Head, Phase.Stalled);
      transport.requestDrain();
      return transport.hold(Hold.Exchange);
    }
    if (transport.isOffering) return; // `read` goes on.
    this.idleTimeout.extend(this.transport);
    this.next();
  }

  /** Goes on with the bytes that have come meanwhile. */
  private next(): void {
    if (!this.transport.offer()) this.rest(0);
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** Lets the connection rest: every request is answered. `headBytes` of the next one have come. */
  private rest(headBytes: number): void {
    const { transport, host } = this;
    if (transport.peerEnded) return this.finish();
    this.detach();
    host.idle.rest(transport, headBytes);
  }

  /**
   * Closes after everything written. `peerSends`: the client may still send, and must read first.
   */
  private finish(peerSends = false): void {
    const { transport, host } = this;
    this.incoming.fail();
    this.detach();
    host.idle.finish(transport, peerSends);
  }

  /**
   * Gives the request up, detaches the connection, and calls `end` with it. Tells others last: they
   * may run the event loop, in which this exchange may serve another connection.
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

  /** Detaches the connection. If `read` is on the stack, it gives this exchange back later. */
  private detach(): void {
    this.move(~Phase.Spare, Phase.Spare);
    if (!this.transport.isOffering) this.host.spare.give(this);
  }

  private move(from: number, to: Phase): void {
    if (this.phase.move(from, to)) this.idleTimeout.endRequest(this.transport);
  }
}
