/**
 * Answers the requests of an exchange as Bun.serve does. The answer comes from the content of a
 * route, from the handler of a route, or from the fetch handler. If one of them fails, it comes
 * from the error handler.
 *
 * Guarantees: every request gets one answer, or its connection ends. Nothing that a handler returns
 * or throws ends the process. If no code needs a Request object, none is made.
 */
import { CHUNK_BYTES_MAX } from "../../ring/arena.ts";
import { assert } from "../../sys/assert.ts";
import { lazily } from "../../sys/lazily.ts";
import { native } from "../../sys/library.ts";
import type { Traffic } from "../../reactor/traffic.ts";
import { answered } from "../../sys/program.ts";
import type { Transport } from "../../transport/transport.ts";
import type { RequestBody } from "../../http/body.ts";
import { errorOf } from "./error-page.ts";
import type { Exchange } from "../../http/exchange.ts";
import { BYTES_TYPE, JSON_TYPE, type PlainType, TEXT_TYPE } from "../../http/head.ts";
import type { ServeHost } from "./serve-host.ts";
import { originForm, type RequestOrigin, RingRequest } from "./request.ts";
import type { Responder } from "../../http/responder.ts";
import { cancelUnread, planResponse, type ResponseContext, type ResponsePlan } from "./response.ts";
import { RoutedRequest } from "./routed-request.ts";
import { pathOf } from "./router.ts";
import type { StaticContent } from "./static-content.ts";
import { isResponse, Memory, PlainJson } from "./tracked-response.ts";

// Modules that many servers never need.
const streams = lazily(() => require("./stream-sender.ts") as typeof import("./stream-sender.ts"));
const files = lazily(() => require("./file-sender.ts") as typeof import("./file-sender.ts"));

export class FetchResponder implements Responder, RequestOrigin {
  private readonly exchange: Exchange;
  private readonly host: ServeHost;
  private readonly traffic: Traffic;
  /** The request that a handler was called with. Null after the answer. */
  private request: RingRequest | null = null;
  /** Whether the request has a field that may change the answer: a condition or a range. */
  private conditional = false;

  constructor(exchange: Exchange, host: ServeHost) {
    this.exchange = exchange;
    this.host = host;
    this.traffic = host.reactor.lane.traffic;
  }

  // ---- for the server ---------------------------------------------------------------------------

  get defaultOrigin(): string {
    return this.host.defaultOrigin;
  }

  get transport(): Transport {
    return this.exchange.transport;
  }

  /** Whether this responder is still answering the request. */
  isServing(request: RingRequest): boolean {
    return this.request === request;
  }

  canHandOver(request: RingRequest): boolean {
    return this.request === request && this.exchange.canHandOver;
  }

  /**
   * Gives the connection away, without a response. The caller must set another consumer of the
   * transport at once.
   */
  handOver(request: RingRequest): Transport {
    this.forget(request);
    return this.exchange.handOver();
  }

  /**
   * Answers 426 in place of the handler, and ends the connection. `moreLines` are whole header
   * lines, each with its CRLF.
   */
  refuseUpgrade(request: RingRequest, moreLines: string): void {
    this.host.idle.refuse(this.handOver(request), 426, "websocket_version", moreLines);
  }

  /** Marks that the handler's response is no longer needed. */
  private forget(request: RingRequest): void {
    RingRequest.handOver(request);
    this.request = null;
    answered();
  }

  setIdleTimeout(ms: number): void {
    this.exchange.setIdleTimeout(ms);
  }

  // ---- from the exchange ------------------------------------------------------------------------

  onRequest(text: string, base: number, headersEnd: number, body: RequestBody | null): void {
    assert(this.request === null, "an exchange has one request at a time");
    const { host } = this;
    const { router, parser } = host;
    const { method } = parser;
    const target = router === null ? "" : originForm(text.slice(base + parser.pathStart, base + parser.targetEnd));
    const route = router === null ? undefined : router.match(method, pathOf(target));
    if (route?.content?.inMemory === true && body === null && !parser.conditional)
      return this.sendAtOnce(route.content, target, method);
    this.conditional = parser.conditional;
    if (route === undefined) {
      const request = (this.request = new RingRequest(this, method, text, base, parser, headersEnd, body));
      return this.answer(request, host.handlers.handle(request));
    }
    const request = (this.request = new RoutedRequest(this, method, text, base, parser, headersEnd, body));
    if (route.content !== undefined) return this.sendContent(request, route.content, target);
    RoutedRequest.route(request, route.names, router!.values);
    this.answer(request, host.handlers.handle(request, route.handler));
  }

  onSent(): void {
    this.request = null;
    answered();
  }

  onSendFailed(error: unknown, hasBegun: boolean): void {
    if (hasBegun) this.breakResponse(this.request!, error);
    else this.failResponse(this.request!, error);
  }

  abandon(): () => void {
    const { request } = this;
    if (request === null) return nobodyIsTold;
    this.traffic.requestsAborted++;
    this.request = null;
    answered();
    return () => RingRequest.abort(request);
  }

  // ---- responses --------------------------------------------------------------------------------

  private answer(request: RingRequest, result: Response | Promise<Response>): void {
    if (isResponse(result)) return this.respond(request, result);
    if (this.request === request) this.exchange.awaitAnswer();
    result.then(
      (response) => this.respondLater(request, response),
      (error) => this.failResponse(request, error),
    );
  }

  private respondLater(request: RingRequest, response: unknown): void {
    if (this.request !== request) return; // The connection is gone.
    this.exchange.resume();
    if (isResponse(response)) return this.respond(request, response);
    this.failResponse(request, errorOf(response));
  }

  private respond(request: RingRequest, response: Response): void {
    if (this.request !== request) return; // The connection is gone.
    const { host, exchange } = this;
    if (exchange.mayStayOpen && !exchange.http10 && request.method !== "HEAD") {
      const changesCookies = host.router !== null && RoutedRequest.changedCookies(request) !== undefined;
      const plain = changesCookies ? undefined : Memory.takePlain(response);
      // The members of a Response subclass may run any code.
      if (this.request !== request) return;
      if (plain !== undefined) {
        if (typeof plain === "string") this.sendText(plain, TEXT_TYPE);
        else if (plain instanceof PlainJson) this.sendText(plain.text, JSON_TYPE);
        else this.sendBytes(plain);
        this.traffic.answers2xx++;
        return this.complete(true);
      }
    }
    try {
      this.send(request, response);
    } catch (error) {
      this.failResponse(request, error);
    }
  }

  /** Writes head and body into one piece of memory. Most small responses take this path. */
  private sendText(text: string, type: PlainType): void {
    const { heads, reactor } = this.host;
    const { outbox } = this.exchange.transport;
    const { nowMs } = reactor;
    const repeated = heads.repeatedMessage(nowMs, type, text);
    if (repeated !== undefined) return outbox.writeLatin1(repeated);
    const bytes = Buffer.byteLength(text);
    const head = heads.of(nowMs, type, bytes);
    if (bytes > CHUNK_BYTES_MAX - 1024) {
      outbox.writeLatin1(head);
      return outbox.writeUtf8(text, bytes);
    }
    const chunk = outbox.reserve(head.length + bytes);
    const at = chunk.length;
    chunk.buffer.latin1Write(head, at, head.length);
    if (bytes > 0) chunk.buffer.utf8Write(text, at + head.length, bytes);
    outbox.commit(chunk, head.length + bytes);
  }

  private sendBytes(bytes: Uint8Array): void {
    const { heads, reactor } = this.host;
    const { outbox } = this.exchange.transport;
    outbox.writeLatin1(heads.of(reactor.nowMs, BYTES_TYPE, bytes.length));
    outbox.writeAndDispose(bytes);
  }

  private send(request: RingRequest, response: Response): void {
    this.sendPlan(request, planResponse(response, this.contextOf(request), this.date));
  }

  private get date(): string {
    return this.host.heads.date(this.host.reactor.nowMs);
  }

  /**
   * Sends a route's content, without a handler. If the content is not there, the fetch handler
   * answers.
   */
  private sendContent(request: RingRequest, content: StaticContent, target: string): void {
    let plan: ResponsePlan | undefined;
    try {
      plan = content.plan(this.contextOf(request), this.date, target);
    } catch (error) {
      return this.failResponse(request, error);
    }
    if (plan === undefined) this.answer(request, this.host.handlers.handle(request));
    else this.sendPlan(request, plan);
  }

  /** Sends a route's content that needs no field of the request. No Request is made. */
  private sendAtOnce(content: StaticContent, target: string, method: string): void {
    const { http10, mayStayOpen } = this.exchange;
    const context = { isHead: method === "HEAD", http10, keepAlive: mayStayOpen };
    const plan = content.plan(context, this.date, target)!;
    this.write(plan);
    this.exchange.complete(plan.keepAlive);
  }

  private contextOf(request: RingRequest): ResponseContext {
    const { method } = request;
    const { http10, mayStayOpen } = this.exchange;
    return {
      isHead: method === "HEAD",
      http10,
      keepAlive: mayStayOpen,
      conditions: this.conditional && (method === "GET" || method === "HEAD") ? request.headers : undefined,
      cookies: RoutedRequest.changedCookies(request),
    };
  }

  /**
   * Sends a planned response. Making the plan may have run code of the program that upgraded the
   * request or stopped the server. Then the plan is dropped.
   */
  private sendPlan(request: RingRequest, plan: ResponsePlan): void {
    if (this.request !== request) return dropPlan(plan);
    const { exchange } = this;
    const { head, body, keepAlive } = plan;
    switch (body.kind) {
      case "stream":
        return exchange.send(new (streams().StreamSender)(exchange, plan, body), keepAlive);
      case "file":
        return exchange.send(new (files().FileSender)(exchange, head, body), keepAlive);
    }
    this.write(plan);
    this.complete(keepAlive);
  }

  /** Writes a response whose body is in memory. */
  private write({ head, body, contentLength }: ResponsePlan): void {
    const { outbox } = this.exchange.transport;
    this.traffic.countHead(head);
    outbox.writeLatin1(head);
    if (body.kind === "text") outbox.writeUtf8(body.text, contentLength!);
    else if (body.kind === "bytes") {
      if (body.once) outbox.writeAndDispose(body.bytes);
      else outbox.writeShared(body.bytes);
    }
  }

  private complete(keepAlive: boolean): void {
    this.onSent();
    this.exchange.complete(keepAlive);
  }

  // ---- errors -----------------------------------------------------------------------------------

  /**
   * Answers with the error handler's response: the handler failed before any byte of the response
   * was sent. If this response cannot be sent either, the client gets the error page.
   */
  private failResponse(request: RingRequest, error: unknown): void {
    const { host, exchange } = this;
    if (this.request !== request) {
      // The program must still hear of the error.
      if (RingRequest.isHandedOver(request)) void host.handlers.handleError(error);
      return;
    }
    const result = host.handlers.handleError(error);
    const answer = (response: Response, isPage = false): void => {
      if (this.request !== request) return;
      exchange.resume();
      const { transport } = exchange;
      const { queuedBytes } = transport;
      try {
        this.send(request, response);
      } catch (failure) {
        const hasBegun = transport.queuedBytes !== queuedBytes;
        if (isPage || hasBegun) exchange.fail(failure, hasBegun);
        else answer(host.handlers.report(failure), true);
      }
    };
    if (isResponse(result)) answer(result);
    else
      result.then(
        (response) => answer(response),
        (failure) => this.breakResponse(request, failure),
      );
  }

  /**
   * Ends the connection: the response failed after a part of it was sent. Only the end of the
   * connection can tell the client.
   */
  private breakResponse(request: RingRequest, error: unknown): void {
    if (this.request !== request) return;
    console.error(error); // Bun shows this error too, and does not count it.
    this.exchange.abort(true);
  }
}

function nobodyIsTold(): void {}

/** Frees the body of a plan that nobody gets. */
function dropPlan({ body }: ResponsePlan): void {
  if (body.kind === "file") native().rl_close(body.fd);
  else if (body.kind === "stream") cancelUnread(body);
}
