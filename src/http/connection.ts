/**
 * HTTP/1.1 on one connection: one request at a time, its body, its response, then the next.
 *
 * Guarantees: responses leave in the order of their requests, whatever the handlers do, because a request is parsed only when the one
 * before it is answered; what a client sends meanwhile is held up to a limit and then left in the kernel; a client that does not read
 * its answers is not served further ones. Errors in the protocol are answered and end the connection.
 */
import { Connection, ConnectionState, type Protocol } from "../net/connection.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { type SystemError } from "../sys/errno.ts";
import { type BodySource as BodyFeeder, RequestBody } from "./body.ts";
import type { BodySender, BodyTarget } from "./body-sender.ts";
import { ChunkedDecoder, type ChunkSink } from "./chunked.ts";
import { FileSender } from "./file-sender.ts";
import { BYTES_TYPE, type HeadCache, JSON_TYPE, type PlainType, reasons, TEXT_TYPE } from "./head.ts";
import { INCOMPLETE, RequestParser } from "./parser.ts";
import { RingRequest } from "./request.ts";
import { type Exchange, planResponse, type ResponsePlan } from "./response.ts";
import { RoutedRequest } from "./routed-request.ts";
import type { Route } from "./routes.ts";
import { pathOf, type Router } from "./router.ts";
import { ContentInMemory, type StaticContent } from "./static-content.ts";
import { StreamSender } from "./stream-sender.ts";
import { isResponse, Memory, PlainJson } from "./tracked-response.ts";

/** What a connection needs of its server. */
export interface HttpHost {
  readonly reactor: Reactor;
  readonly heads: HeadCache;
  readonly defaultOrigin: string;
  readonly limits: HttpLimits;
  /** Null for a server with a fetch handler alone. */
  readonly router: Router<Route> | null;
  /** No further request is taken on a connection once its current one is answered. */
  readonly stopping: boolean;
  pendingRequests: number;
  /** Calls the route's handler, or the fetch handler. Whatever it throws or rejects with ends in a Response. */
  handle(request: RingRequest, handler?: Route["handler"]): Response | Promise<Response>;
  handleError(error: unknown): Response | Promise<Response>;
  closed(connection: HttpConnection): void;
}

export interface HttpLimits {
  /** Bytes of a request's head, trailers likewise. */
  headerBytesMax: number;
  /** Bytes of a request's body. */
  requestBodyBytesMax: number;
  /** Bytes of responses that the client has not taken; no further request is served above that. */
  writeQueueBytesMax: number;
  /** Without traffic; 0 never ends an idle connection. */
  idleTimeoutMs: number;
  /** From a head's first byte to its last; 0 is no limit. */
  headerTimeoutMs: number;
}

/** Bytes that a client may send ahead of the request that is being answered. */
const HELD_BYTES_MAX = 65536;
/** What is decoded to one string for all requests in it; larger deliveries are decoded head by head. */
const SHARED_TEXT_BYTES_MAX = 4096;
/** The rest of a body that nobody reads is taken up to this, so that the connection can go on. */
const DISCARD_BYTES_MAX = 1048576;

const State = {
  /** Between requests, or in a head. */
  Head: 0,
  /** A handler or a response is under way. */
  Busy: 1,
  /** Nothing that comes is looked at any more; the last bytes are on their way out. */
  Done: 2,
} as const;

export class HttpConnection implements Protocol, ChunkSink, BodyFeeder, BodyTarget {
  readonly transport: Connection;
  readonly defaultOrigin: string;

  private readonly host: HttpHost;
  private readonly parser: RequestParser;
  private state: number = State.Head;
  private request: RingRequest | null = null;
  /** The request body that is being received, until its last byte. */
  private body: RequestBody | null = null;
  /** Bytes that are still to come of it, with Content-Length. */
  private bodyBytesLeft = 0;
  private bodyBytes = 0;
  private chunked: ChunkedDecoder | null = null;
  /** Bytes received and not yet parsed: a head's beginning, or what came during a request. */
  private held: Buffer | null = null;
  private peerEnded = false;
  private stalled = false;
  private processing = false;
  /** A head has begun, and its time is running. */
  private headStarted = false;
  /** Of a response whose body is not in memory, until all of it is queued. */
  private sender: BodySender | null = null;
  private keepAlive = true;
  private text: string | null = null;
  private textBase = 0;
  private idleTimeoutMs: number;
  private sentBytesSeen = 0;

  constructor(host: HttpHost, fd: number) {
    this.host = host;
    this.defaultOrigin = host.defaultOrigin;
    this.parser = new RequestParser(host.limits);
    this.idleTimeoutMs = host.limits.idleTimeoutMs;
    this.transport = new Connection(host.reactor, fd, this);
    this.extendTimeout();
  }

  get isIdle(): boolean {
    return this.state === State.Head && this.body === null && !this.headStarted;
  }

  get writeQueueBytesMax(): number {
    return this.host.limits.writeQueueBytesMax;
  }

  /** For `server.timeout`: how long the exchange under way may be without traffic. 0 is no limit. */
  setIdleTimeout(ms: number): void {
    this.idleTimeoutMs = ms;
    this.extendTimeout();
  }

  /** Ends the connection if nothing is under way on it. Returns whether it did. */
  closeWhenIdle(): boolean {
    if (!this.isIdle) return false;
    this.finishConnection();
    return true;
  }

  /** Ends the connection at once; a handler that is under way is told by its request's signal. */
  abort(): void {
    this.abortRequest();
    this.state = State.Done;
    this.transport.destroy();
  }

  // ---- from the transport ----------------------------------------------------------------------------------------

  onData(memory: Buffer, start: number, end: number): void {
    // A head that trickles in does not get more time with each byte.
    if (!this.headStarted) this.extendTimeout();
    if (this.held === null) return this.process(memory, start, end);
    const joined = Buffer.concat([this.held, memory.subarray(start, end)]);
    this.held = null;
    this.process(joined, 0, joined.length);
  }

  onEnd(): void {
    this.peerEnded = true;
    if (this.body) {
      // The body can never be complete. A handler that waits for it must hear of it; there is nobody to answer properly.
      return this.abort();
    }
    // A client may close its side after the last request and still wait for the answers.
    if (this.state === State.Head && !this.stalled) this.finishConnection();
  }

  onDrain(): void {
    this.sender?.drained();
    if (!this.stalled) return;
    this.stalled = false;
    this.continue();
  }

  onTimeout(): void {
    const { sentBytes } = this.transport;
    if (sentBytes !== this.sentBytesSeen) {
      // A slow client that takes its answer is not idle.
      this.sentBytesSeen = sentBytes;
      return this.extendTimeout();
    }
    if (this.headStarted) this.refuse(408);
    else this.abort();
  }

  onClose(_error: SystemError | undefined): void {
    this.abortRequest();
    this.state = State.Done;
    this.held = null;
    this.host.closed(this);
  }

  // ---- requests --------------------------------------------------------------------------------------------------

  private process(memory: Buffer, start: number, end: number): void {
    this.processing = true;
    this.text = null;
    let at = start;
    while (at < end) {
      if (this.state === State.Done) break;
      if (this.body !== null) {
        at = this.receiveBody(memory, at, end);
        if (at < 0) {
          this.refuse(-at);
          break;
        }
        continue;
      }
      if (this.state === State.Busy || this.stalled) {
        this.hold(memory, at, end);
        break;
      }
      const next = this.parser.parse(memory, at, end);
      if (next === INCOMPLETE) {
        this.held = Buffer.from(memory.subarray(at, end));
        if (!this.headStarted) this.limitHead();
        break;
      }
      if (next < 0) {
        this.refuse(-next);
        break;
      }
      at = this.begin(memory, at, next, end);
    }
    this.processing = false;
  }

  private hold(memory: Buffer, start: number, end: number): void {
    this.held = Buffer.from(memory.subarray(start, end));
    if (this.held.length >= HELD_BYTES_MAX) this.transport.pause();
  }

  /** A response was completed, or the client has read: goes on with what was held. */
  private continue(): void {
    if (this.state !== State.Head || this.stalled || this.processing) return;
    const { held } = this;
    this.held = null;
    if (held !== null) this.process(held, 0, held.length);
    // The state may have changed under process().
    if ((this.state as number) !== State.Head || this.stalled) return;
    if (this.peerEnded) return this.finishConnection();
    this.transport.resume();
  }

  /** A head is complete, from `start` to `bodyStart`. Returns where to go on. */
  private begin(memory: Buffer, start: number, bodyStart: number, end: number): number {
    const { parser, host } = this;
    parser.reset();
    if (parser.contentLength > host.limits.requestBodyBytesMax) {
      this.refuse(413);
      return end;
    }
    if (this.text === null || bodyStart > this.textBase + this.text.length) {
      const textEnd = end - start <= SHARED_TEXT_BYTES_MAX ? end : bodyStart;
      this.text = memory.latin1Slice(start, textEnd);
      this.textBase = start;
    }
    this.keepAlive = parser.keepAlive;
    let at = bodyStart;
    let body: RequestBody | null = null;
    if (!parser.chunked && parser.contentLength > 0 && bodyStart + parser.contentLength <= end) {
      at = bodyStart + parser.contentLength;
      body = RequestBody.whole(this, memory, bodyStart, at);
    } else if (parser.chunked || parser.contentLength > 0) {
      body = this.body = new RequestBody(this);
      this.bodyBytes = 0;
      this.bodyBytesLeft = parser.contentLength;
      this.chunked = parser.chunked ? new ChunkedDecoder(host.limits.headerBytesMax) : null;
    }
    if (this.headStarted) {
      this.headStarted = false;
      this.extendTimeout();
    }
    const { router } = host;
    const target = router === null ? "" : this.target(start);
    const route = router === null ? undefined : router.match(parser.method, pathOf(target));
    if (route !== undefined && route.content instanceof ContentInMemory && body === null && !parser.conditional) {
      this.sendAtOnce(route.content);
      return at;
    }
    const request = new (route === undefined ? RingRequest : RoutedRequest)(
      this,
      parser.method,
      this.text,
      start - this.textBase,
      parser,
      bodyStart - this.textBase,
      body,
    );
    this.state = State.Busy;
    this.request = request;
    host.pendingRequests++;
    if (this.body !== null) {
      if (at < end) {
        at = this.receiveBody(memory, at, end);
        if (at < 0) {
          this.refuse(-at);
          return end;
        }
      } else if (parser.expectsContinue) this.transport.writeLatin1("HTTP/1.1 100 Continue\r\n\r\n");
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
    const base = start - this.textBase;
    const target = this.text!.slice(base + this.parser.targetStart, base + this.parser.targetEnd);
    return target.charCodeAt(0) === 47 ? target : /^\w+:\/\/[^/?]*(.*)/.exec(target)?.[1] || "/";
  }

  /** Feeds the body that is being received. Returns the position after it, or a negated status. */
  private receiveBody(memory: Buffer, start: number, end: number): number {
    if (this.chunked) {
      const at = this.chunked.feed(memory, start, end, this);
      if (this.bodyBytes > this.host.limits.requestBodyBytesMax) return -413;
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

  pauseBody(): void {
    this.transport.pause();
  }

  resumeBody(): void {
    this.transport.resume();
  }

  private abortRequest(): void {
    const { request, body } = this;
    this.body = null;
    body?.fail(
      Object.assign(new Error("The client closed the connection"), { code: "ECONNRESET", name: "AbortError" }),
    );
    if (request) {
      this.endExchange();
      RingRequest.abort(request);
    }
    this.sender?.abort();
    this.sender = null;
  }

  // ---- responses -------------------------------------------------------------------------------------------------

  private answer(request: RingRequest, result: Response | Promise<Response>): void {
    if (isResponse(result)) return this.respond(request, result);
    result.then(
      (response) => this.respondLater(request, response),
      (error) => this.failResponse(request, error),
    );
  }

  /** From a promise: the reactor may be anywhere, so its clock is set first. */
  private respondLater(request: RingRequest, response: unknown): void {
    this.host.reactor.refreshClock();
    if (isResponse(response)) return this.respond(request, response);
    this.failResponse(request, new TypeError(`Expected a Response object, but received '${String(response)}'`));
  }

  private respond(request: RingRequest, response: Response): void {
    if (this.request !== request) return; // The connection is gone.
    const { host } = this;
    if (this.keepAlive && this.parser.minorVersion > 0 && !host.stopping && request.method !== "HEAD") {
      const plain = RoutedRequest.changedCookies(request) === undefined ? Memory.takePlain(response) : undefined;
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
    const bytes = Buffer.byteLength(text);
    const head = host.heads.of(host.reactor.nowMs, type, bytes);
    if (bytes > CHUNK_BYTES_MAX - 1024) {
      transport.writeLatin1(head);
      return transport.writeUtf8(text, bytes);
    }
    const chunk = transport.reserve(head.length + bytes);
    const at = chunk.length;
    chunk.buffer.latin1Write(head, at, head.length);
    if (bytes > 0) chunk.buffer.utf8Write(text, at + head.length, bytes);
    transport.commit(chunk, head.length + bytes);
  }

  private sendBytes(bytes: Uint8Array): void {
    const { transport, host } = this;
    transport.writeLatin1(host.heads.of(host.reactor.nowMs, BYTES_TYPE, bytes.length));
    transport.writeOwned(bytes, true);
  }

  private send(request: RingRequest, response: Response): void {
    const date = this.host.heads.date(this.host.reactor.nowMs);
    this.sendPlan(planResponse(response, this.exchangeOf(request), date));
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
    else this.sendPlan(plan);
  }

  /** A route's content that needs no look at the request: none is made. */
  private sendAtOnce(content: ContentInMemory): void {
    const { parser, host } = this;
    this.state = State.Busy;
    const isHead = parser.method === "HEAD";
    const keepAlive = this.keepAlive && !host.stopping;
    const exchange = { isHead, http10: parser.minorVersion === 0, keepAlive };
    this.write(content.plan(exchange, host.heads.date(host.reactor.nowMs)));
    this.afterExchange();
  }

  private exchangeOf(request: RingRequest): Exchange {
    const { parser, host } = this;
    const { method } = request;
    return {
      isHead: method === "HEAD",
      http10: parser.minorVersion === 0,
      keepAlive: this.keepAlive && !host.stopping,
      conditions: parser.conditional && (method === "GET" || method === "HEAD") ? request.headers : undefined,
      cookies: RoutedRequest.changedCookies(request),
    };
  }

  private sendPlan(plan: ResponsePlan): void {
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
        this.sender = new StreamSender(this, plan, body.stream);
        break;
      case "file":
        this.sender = new FileSender(this, head, body);
        break;
      case "text":
        transport.writeLatin1(head);
        transport.writeUtf8(body.text, plan.contentLength!);
        break;
      case "bytes":
        transport.writeLatin1(head);
        transport.writeOwned(body.bytes, body.once);
        break;
      case "none":
        transport.writeLatin1(head);
    }
  }

  bodyProgressed(): void {
    this.extendTimeout();
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
    if (this.request !== request) return;
    const result = this.host.handleError(error);
    const answer = (response: Response): void => {
      if (this.request !== request) return;
      try {
        this.send(request, response);
      } catch (failure) {
        this.breakResponse(request, failure);
      }
    };
    if (isResponse(result)) answer(result);
    else result.then(answer, (failure) => this.breakResponse(request, failure));
  }

  /** The response failed halfway. Only the connection's end tells the client. */
  private breakResponse(request: RingRequest, error: unknown): void {
    if (this.request !== request) return;
    console.error(error);
    this.abortRequest();
    this.state = State.Done;
    this.transport.destroy(undefined, true);
  }

  private endExchange(): void {
    this.request = null;
    this.host.pendingRequests--;
    const { idleTimeoutMs } = this.host.limits;
    if (this.idleTimeoutMs === idleTimeoutMs) return;
    this.idleTimeoutMs = idleTimeoutMs;
    this.extendTimeout();
  }

  private completeResponse(): void {
    this.endExchange();
    const { body } = this;
    if (body !== null) {
      // The rest of a request that was answered early is dropped, if it is not too long; else the connection is.
      if (this.bodyBytesLeft > DISCARD_BYTES_MAX || this.chunked !== null || !this.keepAlive)
        return this.finishConnection(true);
      body.discard();
      return;
    }
    this.afterExchange();
  }

  /** The request was received and answered. */
  private afterExchange(): void {
    if (!this.keepAlive || this.host.stopping) return this.finishConnection();
    this.state = State.Head;
    if (this.transport.queuedBytes >= this.host.limits.writeQueueBytesMax) {
      this.stalled = true;
      this.transport.requestDrain();
      this.transport.pause();
      return;
    }
    if (!this.processing) {
      this.extendTimeout();
      this.continue();
    }
  }

  /** A request that cannot be understood or is too large: one answer, and the end. */
  private refuse(status: number): void {
    const { transport, host } = this;
    this.abortRequest();
    const date = host.heads.date(host.reactor.nowMs);
    const line = `HTTP/1.1 ${status} ${reasons[status]}`;
    transport.writeLatin1(`${line}\r\nDate: ${date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    this.finishConnection(true);
  }

  /** Closes after what was written. `peerSends`: the client may be sending still, and must be able to read first. */
  private finishConnection(peerSends = false): void {
    this.state = State.Done;
    this.held = null;
    if (peerSends && !this.peerEnded) this.transport.lingerAfterSending();
    else this.transport.closeAfterSending();
  }

  /** A head has begun: it must be complete in time, however steadily it comes. */
  private limitHead(): void {
    this.headStarted = true;
    const { headerTimeoutMs } = this.host.limits;
    const { idleTimeoutMs } = this;
    if (headerTimeoutMs > 0 && (idleTimeoutMs === 0 || headerTimeoutMs < idleTimeoutMs))
      this.transport.setTimeout(headerTimeoutMs);
  }

  private extendTimeout(): void {
    if (this.transport.state >= ConnectionState.Lingering) return;
    if (this.idleTimeoutMs > 0) this.transport.setTimeout(this.idleTimeoutMs);
    else this.transport.clearTimeout();
  }
}
