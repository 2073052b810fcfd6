/**
 * Answers the requests of an exchange as Bun.serve does: by the content of a route, a route's handler or the fetch handler,
 * and the error handler where one of those fails.
 *
 * Guarantees: every request gets one answer, or its connection's end; nothing that a handler returns or throws ends the
 * process. A request that needs no Request gets none.
 */
import { CHUNK_BYTES_MAX } from "../../ring/arena.ts";
import { assert } from "../../sys/assert.ts";
import { lazily } from "../../sys/lazily.ts";
import { native } from "../../sys/library.ts";
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

// What many a server never needs.
const streams = lazily(() => require("./stream-sender.ts") as typeof import("./stream-sender.ts"));
const files = lazily(() => require("./file-sender.ts") as typeof import("./file-sender.ts"));

export class FetchResponder implements Responder, RequestOrigin {
  private readonly exchange: Exchange;
  private readonly host: ServeHost;
  /** What a handler was asked, until it is answered. */
  private request: RingRequest | null = null;
  /** The request has a field that may change what is answered. */
  private conditional = false;

  constructor(exchange: Exchange, host: ServeHost) {
    this.exchange = exchange;
    this.host = host;
  }

  // ---- for the server --------------------------------------------------------------------------------------------

  get defaultOrigin(): string {
    return this.host.defaultOrigin;
  }

  get transport(): Transport {
    return this.exchange.transport;
  }

  /** Whether this request is under way here. */
  isServing(request: RingRequest): boolean {
    return this.request === request;
  }

  canHandOver(request: RingRequest): boolean {
    return this.request === request && this.exchange.canHandOver;
  }

  /** Gives the connection up, with no response. The caller makes another the transport's consumer at once. */
  handOver(request: RingRequest): Transport {
    this.forget(request);
    return this.exchange.handOver();
  }

  /** Answers before the handler does, and ends the connection. `moreLines` are whole, each with its CRLF. */
  refuseUpgrade(request: RingRequest, moreLines: string): void {
    this.host.idle.refuse(this.handOver(request), 426, moreLines);
  }

  /** No response of the handler's is due any more. */
  private forget(request: RingRequest): void {
    RingRequest.handOver(request);
    this.request = null;
    answered();
  }

  setIdleTimeout(ms: number): void {
    this.exchange.setIdleTimeout(ms);
  }

  // ---- from the exchange -----------------------------------------------------------------------------------------

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
      return this.answer(request, host.handle(request));
    }
    const request = (this.request = new RoutedRequest(this, method, text, base, parser, headersEnd, body));
    if (route.content !== undefined) return this.sendContent(request, route.content, target);
    RoutedRequest.route(request, route.names, router!.values);
    this.answer(request, host.handle(request, route.handler));
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
    this.request = null;
    answered();
    return () => RingRequest.abort(request);
  }

  // ---- responses -------------------------------------------------------------------------------------------------

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
      if (this.request !== request) return; // A subclass's own members may do anything.
      if (plain !== undefined) {
        if (typeof plain === "string") this.sendText(plain, TEXT_TYPE);
        else if (plain instanceof PlainJson) this.sendText(plain.text, JSON_TYPE);
        else this.sendBytes(plain);
        return this.complete(true);
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

  /** A route's content needs no handler; where there is none, the fetch handler answers. */
  private sendContent(request: RingRequest, content: StaticContent, target: string): void {
    let plan: ResponsePlan | undefined;
    try {
      plan = content.plan(this.contextOf(request), this.date, target);
    } catch (error) {
      return this.failResponse(request, error);
    }
    if (plan === undefined) this.answer(request, this.host.handle(request));
    else this.sendPlan(request, plan);
  }

  /** A route's content that needs no look at the request: none is made. */
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

  /** The making of the plan may have run code of the program's, which upgraded the request, or stopped the server. */
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

  /** Writes a response that is in memory. */
  private write({ head, body, contentLength }: ResponsePlan): void {
    const { outbox } = this.exchange.transport;
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

  // ---- errors ----------------------------------------------------------------------------------------------------

  /** The handler failed before anything of the response was sent. */
  private failResponse(request: RingRequest, error: unknown): void {
    const { host, exchange } = this;
    if (this.request !== request) {
      if (RingRequest.isHandedOver(request)) void host.handleError(error); // For the program to hear of it.
      return;
    }
    const result = host.handleError(error);
    const answer = (response: Response): void => {
      if (this.request !== request) return;
      exchange.resume();
      const { transport } = exchange;
      const { queuedBytes } = transport;
      try {
        this.send(request, response);
      } catch (failure) {
        exchange.fail(failure, transport.queuedBytes !== queuedBytes);
      }
    };
    if (isResponse(result)) answer(result);
    else result.then(answer, (failure) => this.breakResponse(request, failure));
  }

  /** The response failed halfway. Only the connection's end tells the client. */
  private breakResponse(request: RingRequest, error: unknown): void {
    if (this.request !== request) return;
    console.error(error); // Bun shows it, too, and does not count it.
    this.exchange.abort(true);
  }
}

function nobodyIsTold(): void {}

/** Nobody gets it. */
function dropPlan({ body }: ResponsePlan): void {
  if (body.kind === "file") native().rl_close(body.fd);
  else if (body.kind === "stream") cancelUnread(body);
}
