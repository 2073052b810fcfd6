/**
 * HTTP/1.1 on one connection while something is under way on it: a request, its body, its response, then the next. Between requests the
 * connection is one of IdleConnections, and this object serves another.
 *
 * Guarantees: responses leave in the order of their requests, whatever the handlers do, because a request is taken from the transport only
 * when the one before it is answered; a client that does not read its answers is not served further ones. Errors in the protocol are
 * answered and end the connection.
 */
import { type Consumer, Hold, type Transport } from "../net/transport.ts";
import { assert } from "../sys/assert.ts";
import { answered, runJobs } from "../sys/program.ts";
import { CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { lazily } from "../sys/lazily.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { native } from "../sys/library.ts";
import { RequestBody } from "./body.ts";
import type { BodySender, BodyTarget } from "./body-sender.ts";
import type { ChunkedDecoder, ChunkSink } from "./chunked.ts";
import { errorOf } from "./error-page.ts";
import { BYTES_TYPE, JSON_TYPE, type PlainType, TEXT_TYPE } from "./head.ts";
import type { HttpHost } from "./host.ts";
import { setIdleTimeout } from "./idle-connections.ts";
import { INCOMPLETE } from "./parser.ts";
import { originForm, RingRequest } from "./request.ts";
import { cancelUnread, type Exchange, planResponse, type ResponsePlan } from "./response.ts";
import { pathOf } from "./router.ts";
import { RoutedRequest } from "./routed-request.ts";
import type { StaticContent } from "./static-content.ts";
import { isResponse, Memory, PlainJson } from "./tracked-response.ts";

// What many a server never needs.
const chunks = lazily(() => require("./chunked.ts") as typeof import("./chunked.ts"));
const streams = lazily(() => require("./stream-sender.ts") as typeof import("./stream-sender.ts"));
const files = lazily(() => require("./file-sender.ts") as typeof import("./file-sender.ts"));

/** What is decoded to one string for all requests in it; larger deliveries are decoded head by head. */
const SHARED_TEXT_BYTES_MAX = 4096;

export class HttpConnection implements Consumer, ChunkSink, BodyTarget {
  /** The connection that it serves; null while it is spare. */
  transport!: Transport;

  readonly host: HttpHost;
  private isAttached = false;
  /** What the handler is asked, until it is answered. */
  private request: RingRequest | null = null;
  /** The request body that is being received, until its last byte. */
  private body: RequestBody | null = null;
  /** Bytes that are still to come of it, with Content-Length. */
  private bodyBytesLeft = 0;
  private bodyBytes = 0;
  private chunked: ChunkedDecoder | null = null;
  /** The client does not read: the next request waits. */
  private stalled = false;
  private quiet = false;
  /** Of a response whose body is not in memory, until all of it is queued. */
  private sender: BodySender | null = null;
  private keepAlive = true;
  private http10 = false;
  private conditional = false;
  /** What is being processed, decoded. */
  private text: string | null = null;
  private textBase = 0;
  private idleTimeoutMs = 0;

  constructor(host: HttpHost) {
    this.host = host;
  }

  /** Begins to serve a connection that was idle. */
  attach(transport: Transport): void {
    assert(!this.isAttached, "an HttpConnection serves one connection at a time");
    this.isAttached = true;
    this.transport = transport;
    transport.setConsumer(this);
    transport.context = null;
    this.idleTimeoutMs = this.host.limits.idleTimeoutMs;
  }

  /** Lets go of the connection: whoever took it over hears of it from now on. `read` may be on the stack, and gives this back then. */
  private detach(): void {
    this.isAttached = false;
    this.stalled = false;
    if (!this.transport.isOffering) this.host.spare.give(this);
  }

  get defaultOrigin(): string {
    return this.host.defaultOrigin;
  }

  get reactor(): Reactor {
    return this.host.reactor;
  }

  get writeQueueBytesMax(): number {
    return this.host.limits.writeQueueBytesMax;
  }

  /** Whether a request came on this connection and is not answered. */
  isServing(request: RingRequest): boolean {
    return this.request === request;
  }

  /**
   * Whether the request is under way here, whole, of the version that can change to another protocol (RFC 9110 section 7.8), and nothing of
   * its response has begun.
   */
  canHandOver(request: RingRequest): boolean {
    return this.request === request && this.sender === null && this.body === null && !this.http10;
  }

  /** Gives the connection up, with no response to the request under way. The caller makes another the transport's consumer at once. */
  handOver(request: RingRequest): Transport {
    const { transport } = this;
    this.endWithoutResponse(request);
    this.detach();
    return transport;
  }

  /** Answers the request under way before its handler does, and ends the connection. `moreLines` are whole, each with its CRLF. */
  refuseUpgrade(request: RingRequest, moreLines: string): void {
    const { transport, host } = this;
    this.endWithoutResponse(request);
    this.detach();
    host.idle.refuse(transport, 426, moreLines);
  }

  /** For `server.timeout`: how long the exchange under way may be without traffic. 0 is no limit. */
  setIdleTimeout(ms: number): void {
    this.idleTimeoutMs = ms;
    this.extendTimeout();
  }

  /** The server stops at once: so does what is under way. Answers before it still leave. */
  stop(): void {
    if (this.sender !== null) return this.abort();
    const { transport, host } = this;
    const tell = this.abandon();
    host.idle.stop(transport);
    tell();
  }

  /** Ends the connection at once; a handler that is under way is told by its request's signal. */
  abort(reset = false): void {
    const { transport, host } = this;
    const tell = this.abandon();
    host.idle.finish(transport, false);
    transport.destroy(undefined, reset);
    tell();
  }

  // ---- from the transport ----------------------------------------------------------------------------------------

  readonly isReentrant = false;
  get backlogBytesMax(): number {
    return this.host.idle.backlogBytesMax;
  }

  consume(memory: Buffer, start: number, end: number): number {
    this.extendTimeout();
    return this.read(memory, start, end);
  }

  onEnd(): void {
    // The body can never be complete. A handler that waits for it must hear of it; there is nobody to answer properly.
    if (this.body) return this.abort();
    // As in Bun, Node and nginx, who ends while a handler or a stream takes its time has left. Who only closes its side gets the answer of a handler
    // that answers at once, by an immediate at the latest.
    const { request } = this;
    if (request !== null && this.sender?.isFinite !== true) setImmediate(() => this.leave(request));
  }

  /** The client has left, and `request` was under way when it did. What was written before still leaves. */
  private leave(request: RingRequest): void {
    if (this.request !== request || this.sender?.isFinite === true) return;
    const { transport, host } = this;
    const tell = this.abandon();
    host.idle.finish(transport, false);
    tell();
  }

  onDrain(): void {
    this.sender?.drained();
    if (!this.stalled) return;
    this.stalled = false;
    this.transport.release(Hold.Exchange);
    this.next();
  }

  onTimeout(): void {
    // A slow client that takes its answer is not idle.
    if (this.transport.takeProgress()) this.extendTimeout();
    else this.abort();
  }

  onClose(): void {
    const tell = this.abandon();
    this.host.closed();
    tell();
  }

  // ---- requests --------------------------------------------------------------------------------------------------

  /** Takes one request after the other, until one takes its time. Lets go of the connection if nothing is under way afterwards. */
  read(memory: Buffer, start: number, end: number): number {
    const { host, transport } = this;
    this.text = null;
    let at = start;
    let headBytes = 0;
    let queuedBytes = 0;
    try {
      while (at < end && this.isAttached) {
        if (this.body !== null) {
          const next = this.receiveBody(memory, at, end);
          if (next < 0) this.refuse(-next);
          else at = next;
          continue;
        }
        if (this.request !== null || this.stalled) break;
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
        if (at >= end) break; // What the handler left behind runs when this completion is done.
        runJobs();
        host.reactor.relieve();
      }
    } catch (error) {
      at = end;
      this.fault(error, transport.queuedBytes !== queuedBytes);
    } finally {
      this.text = null;
    }
    if (this.isAttached && this.request === null && this.body === null && !this.stalled) this.rest(headBytes);
    if (!this.isAttached) host.spare.give(this);
    return at;
  }

  /** What nobody has foreseen: a log line and a 500, or, where an answer has begun, the connection's end. */
  private fault(error: unknown, hasBegun: boolean): void {
    this.host.reportFault(error);
    if (!this.isAttached) return;
    if (hasBegun) this.abort(true);
    else this.refuse(500);
  }

  /** Everything that was asked is answered. `headBytes` have come of the next request. */
  private rest(headBytes: number): void {
    const { transport, host } = this;
    if (transport.peerEnded) return this.finishConnection();
    this.detach();
    host.idle.rest(transport, headBytes);
  }

  /** A response was completed, or the client has read: goes on with what has come meanwhile. */
  private next(): void {
    if (!this.transport.offer()) this.rest(0);
  }

  /** A head is complete, from `start` to `bodyStart`. Returns where to go on. */
  private begin(memory: Buffer, start: number, bodyStart: number, end: number): number {
    const { host, transport } = this;
    const { parser } = host;
    if (parser.contentLength > host.limits.requestBodyBytesMax) {
      this.refuse(413);
      return end;
    }
    if (this.text === null || bodyStart > this.textBase + this.text.length) {
      const textEnd = end - start <= SHARED_TEXT_BYTES_MAX ? end : bodyStart;
      this.text = memory.latin1Slice(start, textEnd);
      this.textBase = start;
    }
    if (parser.hostStart < parser.headersStart && parser.hostEnd > parser.hostStart) {
      // The target's absolute-form names the host, which must be one that a URL can have.
      const base = start - this.textBase;
      if (!URL.canParse(`http://${this.text.slice(base + parser.hostStart, base + parser.hostEnd)}`)) {
        this.refuse(400);
        return end;
      }
    }
    this.keepAlive = parser.keepAlive;
    this.http10 = parser.minorVersion === 0;
    this.conditional = parser.conditional;
    let at = bodyStart;
    let body: RequestBody | null = null;
    if (!parser.chunked && parser.contentLength > 0 && bodyStart + parser.contentLength <= end) {
      at = bodyStart + parser.contentLength;
      body = RequestBody.whole(transport, memory, bodyStart, at);
    } else if (parser.chunked || parser.contentLength > 0) {
      body = this.body = new RequestBody(transport);
      this.bodyBytes = 0;
      this.bodyBytesLeft = parser.contentLength;
      this.chunked = parser.chunked ? new (chunks().ChunkedDecoder)(host.limits.headerBytesMax) : null;
    }
    const { router } = host;
    const target = router === null ? "" : this.target(start);
    const route = router === null ? undefined : router.match(parser.method, pathOf(target));
    if (route?.content?.inMemory === true && body === null && !parser.conditional) {
      this.sendAtOnce(route.content, target);
      return at;
    }
    const { method } = parser;
    const base = start - this.textBase;
    const headersEnd = bodyStart - this.textBase;
    const request =
      route === undefined
        ? new RingRequest(this, method, this.text, base, parser, headersEnd, body)
        : new RoutedRequest(this, method, this.text, base, parser, headersEnd, body);
    this.request = request;
    host.pendingRequests++;
    if (this.body !== null) {
      if (at < end && parser.chunked) {
        // It may be whole. A part of one with a length comes after the handler, as in Bun, which cannot answer at once and read a part.
        at = this.receiveBody(memory, at, end);
        if (at < 0) {
          this.refuse(-at);
          return end;
        }
      } else if (at >= end && parser.expectsContinue) transport.outbox.writeLatin1("HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (route === undefined) this.answer(request, host.handle(request));
    else if (route.content !== undefined) this.sendContent(request, route.content, target);
    else {
      RoutedRequest.route(request as RoutedRequest, route.names, router!.values);
      this.answer(request, host.handle(request, route.handler));
    }
    return at;
  }

  /** The path and query of the request whose head is being looked at. `start` is the head's first byte. */
  private target(start: number): string {
    const { pathStart, targetEnd } = this.host.parser;
    const base = start - this.textBase;
    return originForm(this.text!.slice(base + pathStart, base + targetEnd));
  }

  /** Feeds the body that is being received. Returns the position after it, or a negated status. */
  private receiveBody(memory: Buffer, start: number, end: number): number {
    if (this.chunked) {
      const at = this.chunked.feed(memory, start, end, this);
      if (this.bodyBytes > this.host.limits.requestBodyBytesMax) {
        if (this.request !== null) return -413;
        this.finishConnection(true); // It is answered.
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
    body.finish();
    if (this.request === null) this.afterExchange();
  }

  /**
   * Gives up what is under way and lets go of the connection. What is returned tells those concerned, and is to be called last: they may run
   * the event loop, in which this may serve another connection.
   */
  private abandon(): () => void {
    const { request, sender } = this;
    this.failBody();
    this.sender = null;
    if (request !== null) this.endExchange();
    this.detach();
    return () => {
      if (request !== null) RingRequest.abort(request);
      sender?.abort();
    };
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

  // ---- responses -------------------------------------------------------------------------------------------------

  private answer(request: RingRequest, result: Response | Promise<Response>): void {
    if (isResponse(result)) return this.respond(request, result);
    if (this.body === null) this.setQuiet(true);
    result.then(
      (response) => this.respondLater(request, response),
      (error) => this.failResponse(request, error),
    );
  }

  /** From a promise: the reactor may be anywhere, so its clock is set first. */
  private respondLater(request: RingRequest, response: unknown): void {
    if (this.request !== request) return; // The connection is gone.
    this.setQuiet(false);
    if (isResponse(response)) return this.respond(request, response);
    this.failResponse(request, errorOf(response));
  }

  private respond(request: RingRequest, response: Response): void {
    if (this.request !== request) return; // The connection is gone.
    const { host } = this;
    if (this.keepAlive && !this.http10 && !host.stopping && request.method !== "HEAD") {
      const changesCookies = host.router !== null && RoutedRequest.changedCookies(request) !== undefined;
      const plain = changesCookies ? undefined : Memory.takePlain(response);
      if (this.request !== request) return; // A subclass's own members may do anything.
      if (plain !== undefined) {
        if (typeof plain === "string") this.sendText(plain, TEXT_TYPE);
        else if (plain instanceof PlainJson) this.sendText(plain.text, JSON_TYPE);
        else this.sendBytes(plain);
        return this.completeResponse();
      }
    }
    try {
      this.send(request, response);
    } catch (error) {
      this.failResponse(request, error);
    }
  }

  /** Head and body in one piece of memory: the path of most small responses. */
  private sendText(text: string, type: PlainType): void {
    const { transport, host } = this;
    const { heads } = host;
    const { nowMs } = host.reactor;
    const repeated = heads.repeatedMessage(nowMs, type, text);
    if (repeated !== undefined) return transport.outbox.writeLatin1(repeated);
    const bytes = Buffer.byteLength(text);
    const head = heads.of(nowMs, type, bytes);
    if (bytes > CHUNK_BYTES_MAX - 1024) {
      transport.outbox.writeLatin1(head);
      return transport.outbox.writeUtf8(text, bytes);
    }
    const chunk = transport.outbox.reserve(head.length + bytes);
    const at = chunk.length;
    chunk.buffer.latin1Write(head, at, head.length);
    if (bytes > 0) chunk.buffer.utf8Write(text, at + head.length, bytes);
    transport.outbox.commit(chunk, head.length + bytes);
  }

  private sendBytes(bytes: Uint8Array): void {
    const { transport, host } = this;
    transport.outbox.writeLatin1(host.heads.of(host.reactor.nowMs, BYTES_TYPE, bytes.length));
    transport.outbox.writeAndDispose(bytes);
  }

  private send(request: RingRequest, response: Response): void {
    const date = this.host.heads.date(this.host.reactor.nowMs);
    this.sendPlan(request, planResponse(response, this.exchangeOf(request), date));
  }

  /** A route's content needs no handler; where there is none, the fetch handler answers. */
  private sendContent(request: RingRequest, content: StaticContent, target: string): void {
    const { host } = this;
    let plan: ResponsePlan | undefined;
    try {
      plan = content.plan(this.exchangeOf(request), host.heads.date(host.reactor.nowMs), target);
    } catch (error) {
      return this.failResponse(request, error);
    }
    if (plan === undefined) this.answer(request, host.handle(request));
    else this.sendPlan(request, plan);
  }

  /** A route's content that needs no look at the request: none is made. */
  private sendAtOnce(content: StaticContent, target: string): void {
    const { host, http10 } = this;
    const isHead = host.parser.method === "HEAD";
    const exchange = { isHead, http10, keepAlive: this.keepAlive && !host.stopping };
    this.write(content.plan(exchange, host.heads.date(host.reactor.nowMs), target)!);
    this.afterExchange();
  }

  private exchangeOf(request: RingRequest): Exchange {
    const { method } = request;
    return {
      isHead: method === "HEAD",
      http10: this.http10,
      keepAlive: this.keepAlive && !this.host.stopping,
      conditions: this.conditional && (method === "GET" || method === "HEAD") ? request.headers : undefined,
      cookies: RoutedRequest.changedCookies(request),
    };
  }

  /** The making of the plan may have run code of the program's, which upgraded the request, or stopped the server. */
  private sendPlan(request: RingRequest, plan: ResponsePlan): void {
    if (this.request !== request) return dropPlan(plan);
    this.write(plan);
    if (this.sender === null) this.completeResponse();
    else this.sender.start();
  }

  /** Writes all of a response that is in memory; makes the sender of another. */
  private write(plan: ResponsePlan): void {
    const { transport } = this;
    const { head, body } = plan;
    this.keepAlive = plan.keepAlive;
    switch (body.kind) {
      case "stream":
        this.sender = new (streams().StreamSender)(this, plan, body);
        break;
      case "file":
        this.sender = new (files().FileSender)(this, head, body);
        break;
      case "text":
        transport.outbox.writeLatin1(head);
        transport.outbox.writeUtf8(body.text, plan.contentLength!);
        break;
      case "bytes":
        transport.outbox.writeLatin1(head);
        if (body.once) transport.outbox.writeAndDispose(body.bytes);
        else transport.outbox.writeShared(body.bytes);
        break;
      case "none":
        transport.outbox.writeLatin1(head);
    }
  }

  bodyProgressed(): void {
    this.extendTimeout();
  }

  isSending(sender: BodySender): boolean {
    return this.sender === sender;
  }

  bodySent(): void {
    this.sender = null;
    this.completeResponse();
  }

  bodyFailed(error: unknown, headSent: boolean): void {
    this.sender = null;
    if (headSent) this.breakResponse(this.request!, error);
    else this.failResponse(this.request!, error);
  }

  /** The handler failed before anything of the response was sent. */
  private failResponse(request: RingRequest, error: unknown): void {
    if (this.request !== request) {
      if (RingRequest.isHandedOver(request)) void this.host.handleError(error); // For the program to hear of it.
      return;
    }
    const result = this.host.handleError(error);
    const answer = (response: Response): void => {
      if (this.request !== request) return;
      this.setQuiet(false);
      const { queuedBytes } = this.transport;
      try {
        this.send(request, response);
      } catch (failure) {
        this.fault(failure, this.transport.queuedBytes !== queuedBytes);
      }
    };
    if (isResponse(result)) answer(result);
    else result.then(answer, (failure) => this.breakResponse(request, failure));
  }

  /** The response failed halfway. Only the connection's end tells the client. */
  private breakResponse(request: RingRequest, error: unknown): void {
    if (this.request !== request) return;
    console.error(error); // Bun shows it, too, and does not count it.
    this.abort(true);
  }

  /** No response of the handler's is due any more. Its bytes and another protocol's must never mix, so nothing of it may have begun. */
  private endWithoutResponse(request: RingRequest): void {
    if (!this.canHandOver(request)) throw new Error("a connection is handed over only before its response begins");
    RingRequest.handOver(request);
    this.endExchange();
  }

  private endExchange(): void {
    if (this.request === null) throw new Error("an exchange ends once");
    this.request = null;
    answered();
    this.setQuiet(false);
    this.host.pendingRequests--;
    const { idleTimeoutMs } = this.host.limits;
    if (this.idleTimeoutMs === idleTimeoutMs) return;
    this.idleTimeoutMs = idleTimeoutMs;
    this.extendTimeout();
  }

  /** Whether nothing is expected from the client: the program has the whole request, and has not begun to answer. */
  private setQuiet(quiet: boolean): void {
    if (this.quiet === quiet) return;
    this.quiet = quiet;
    this.host.reactor.pendingExchanges += quiet ? 1 : -1;
  }

  private completeResponse(): void {
    this.endExchange();
    const { body } = this;
    if (body !== null) {
      // The rest of a request that was answered early is dropped. To close instead would cost many a client its answer: it is still sending.
      body.cutOff();
      this.bodyBytes = 0;
      if (!this.keepAlive) this.finishConnection(true);
      return;
    }
    this.afterExchange();
  }

  /** The request was received and answered. */
  private afterExchange(): void {
    if (!this.keepAlive || this.host.stopping) return this.finishConnection();
    const { transport } = this;
    if (transport.queuedBytes >= this.writeQueueBytesMax) {
      this.stalled = true;
      transport.requestDrain();
      transport.hold(Hold.Exchange);
      return;
    }
    if (transport.isOffering) return; // `read` goes on.
    this.extendTimeout();
    this.next();
  }

  /** A request that cannot be understood or is too large. */
  private refuse(status: number): void {
    const { transport, host } = this;
    const tell = this.abandon();
    host.idle.refuse(transport, status);
    tell();
  }

  /** Closes after what was written. `peerSends`: the client may be sending still, and must be able to read first. */
  private finishConnection(peerSends = false): void {
    const { transport, host } = this;
    this.failBody();
    this.detach();
    host.idle.finish(transport, peerSends);
  }

  private extendTimeout(): void {
    setIdleTimeout(this.transport, this.idleTimeoutMs);
  }
}

/** Nobody gets it. */
function dropPlan({ body }: ResponsePlan): void {
  if (body.kind === "file") native().rl_close(body.fd);
  else if (body.kind === "stream") cancelUnread(body);
}
