/**
 * `serve`: an HTTP server on the ring, with the options and members of Bun.serve.
 *
 * What the ring does not serve yet goes to Bun.serve whole, with one notice; `fallback: false` makes that an error.
 */
import { Listener } from "../../transport/listener.ts";
import { serveFailure } from "../sockets/failure.ts";
import { requireObject } from "../../sys/check.ts";
import { readText, requireServerPort } from "../sockets/options.ts";
import type { SocketAddress } from "../../transport/address.ts";
import { leavesToBun, markAsBuns, reactorFor } from "../../operations/fallback.ts";
import { FreeList } from "../../reactor/free-list.ts";
import type { Reactor } from "../../reactor/reactor.ts";
import { currentContext, outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import { originals } from "../../sys/bun-originals.ts";
import { showUncaught } from "../../sys/uncaught.ts";
import { Connection } from "../../transport/connection.ts";
import { askedOf } from "./asked-request.ts";
import { Exchange } from "../../http/exchange.ts";
import { FetchResponder } from "./fetch-responder.ts";
import { errorOf, errorResponse } from "./error-page.ts";
import { installGlobals } from "./globals.ts";
import { HeadCache } from "../../http/head.ts";
import { hotKey, hotServers } from "./hot-servers.ts";
import type { HttpLimits } from "../../http/host.ts";
import type { ServeHost } from "./serve-host.ts";
import {
  type Answer,
  type ErrorHandler,
  type FetchHandler,
  type Options,
  readLimits,
  readSeconds,
  readTarget,
  readFunction,
  routesOf,
  type ServeOptions,
} from "./serve-options.ts";
import { IdleConnections } from "../../http/idle-connections.ts";
import { authority, urlOf } from "./server-url.ts";
import { RequestParser } from "../../http/parser.ts";
import { RingRequest } from "./request.ts";
import { findHtml, readRoutes, type Route, type RouteTable } from "./routes.ts";
import type { Router } from "./router.ts";
import { isResponse } from "./tracked-response.ts";
import type { WebSocketHub } from "../websocket/hub.ts";
import type { Sendable } from "../websocket/socket.ts";
import type { UpgradeOptions } from "../websocket/upgrade.ts";

export interface Server<WebSocketData = undefined> extends Bun.Server<WebSocketData> {
  /** Where it listens: an address, or the path of a Unix socket. */
  readonly address: SocketAddress | string;
  /** Whether it runs on the ring. false: on Bun's own server, which has no `address`. */
  readonly ring: boolean;
}

/** Exchanges that are kept for the next requests. */
const SPARE_EXCHANGES_MAX = 256;

/** Options that only Bun's own server has. */
const unserved = ["tls", "app", "http2", "http3", "h3", "key", "cert"];

/** Serves HTTP. Takes what Bun.serve takes, and says no otherwise than by an error that names the option. */
export function serve<WebSocketData = undefined, R extends string = string>(
  options: ServeOptions<WebSocketData, R>,
): Server<WebSocketData> {
  return startServer(options as unknown as Options) as unknown as Server<WebSocketData>;
}

function startServer(options: Options): Server {
  requireObject("options", options);
  const given = options as unknown as Record<string, unknown>;
  const { tls } = given;
  // As in Bun, `tls` with nothing in it is none; servers for several runtimes (srvx) give one.
  const noTls = typeof tls === "object" && Object.values(tls ?? {}).every((value) => value === undefined);
  const html = findHtml(routesOf(options));
  const left =
    leavesToBun("serve", noTls ? { ...given, tls: undefined } : given, unserved) ||
    leavesToBun("serve", { "routes with HTML": html, fallback: options.fallback }, ["routes with HTML"]);
  const key = hotKey(options);
  const found = key === undefined ? undefined : hotServers.get(key);
  const running = found === "Bun's own" ? undefined : found;
  const stays = found === "Bun's own" && options.fallback !== false;
  const reactor = left || stays ? undefined : reactorFor("serve", options);
  if (!reactor) {
    // A hot reload has brought what only Bun serves: its server takes the place of the ring's, and stays.
    void running?.stop();
    if (key !== undefined) hotServers.set(key, "Bun's own");
    return markAsBuns(originals.serve(options as never) as unknown as Server);
  }
  installGlobals();
  if (running && !running.stopping) return running.reload(options as never);
  const server = new RingServer(reactor, options);
  if (key !== undefined) hotServers.set(key, server);
  return server;
}

class RingServer implements Server, ServeHost {
  readonly reactor: Reactor;
  readonly heads = new HeadCache();
  readonly idle = new IdleConnections(this);
  readonly spare = new FreeList<Exchange>(SPARE_EXCHANGES_MAX);
  readonly limits: HttpLimits;
  readonly parser: RequestParser;
  readonly defaultOrigin: string;
  readonly hostname: string | undefined;
  readonly port: number | undefined;
  readonly protocol = "http";
  readonly development: boolean;
  readonly id: string;
  pendingRequests = 0;
  stopping = false;

  private readonly listener: Listener;
  private readonly unix: string | undefined;
  private ownUrl: URL | undefined;
  private connectionCount = 0;
  private routes: RouteTable;
  private fetchHandler: FetchHandler;
  private errorHandler: ErrorHandler | undefined;
  private referenced = true;
  private stopped: PromiseWithResolvers<void> | undefined;
  private webSockets: WebSocketHub | undefined;

  constructor(reactor: Reactor, options: Options) {
    this.reactor = reactor;
    this.limits = readLimits(options);
    this.parser = new RequestParser(this.limits);
    const target = readTarget(options);
    this.development =
      options.development === undefined ? process.env.NODE_ENV !== "production" : !!options.development;
    this.id = options.id ?? "";
    this.errorHandler = readFunction("error", options.error);
    this.fetchHandler = readFunction("fetch", options.fetch) ?? notFound;
    this.setWebSockets(options.websocket);
    this.routes = readRoutes(routesOf(options));
    try {
      if (options.fetch === undefined && this.routes.router === null)
        throw new TypeError("fetch must be a function where routes has no route, not undefined");
      this.listener = new Listener(reactor, target, (fd) => this.accept(fd));
    } catch (error) {
      this.routes.close();
      throw target.fd === undefined ? serveFailure(error, target) : error;
    }
    const { address } = this.listener;
    this.unix = address === undefined ? (target.unix ?? "") : undefined;
    this.port = address?.port;
    this.hostname = address && (readText("hostname", options.hostname) ?? "localhost");
    this.defaultOrigin = address ? `http://${authority(this.hostname!, address.port)}` : "http://localhost";
    // As with Bun's, `{ ...server }` is empty: Elysia gives that to reload(), as options.
    for (const name of Object.keys(this)) Object.defineProperty(this, name, { enumerable: false });
  }

  get router(): Router<Route> | null {
    return this.routes.router;
  }

  get ring(): boolean {
    return true;
  }

  get url(): URL {
    return (this.ownUrl ??= urlOf(this.unix, this.hostname, this.port));
  }

  get address(): SocketAddress | string {
    return this.listener.address ?? this.unix!;
  }

  stop(closeActiveConnections = false): Promise<void> {
    if (!this.stopped) {
      this.stopped = Promise.withResolvers<void>();
      this.stopping = true;
      this.listener.close();
    }
    if (closeActiveConnections) {
      this.reactor.submitFinished(); // The answers that are finished.
      for (const connection of this.connections()) this.abort(connection);
    } else this.closeIdleConnections();
    if (this.connectionCount === 0) this.end();
    return this.stopped.promise;
  }

  closeIdleConnections(): number {
    const idle = this.connections().filter((connection) => this.idle.isIdle(connection));
    for (const connection of idle) this.idle.finish(connection, false);
    return idle.length;
  }

  reload<R extends string>(options: Bun.Serve.Options<undefined, R>): Server {
    requireObject("options", options);
    const { fetch, error, websocket, port } = options as Options;
    if (port !== undefined && port !== null) requireServerPort(port); // Checked, as in Bun, and of no effect.
    const routes = routesOf(options as Options);
    const html = findHtml(routes);
    if (html !== undefined)
      throw new TypeError(
        `the option routes of reload must have no HTML import, as ${JSON.stringify(html)} is: only Bun's own server serves ` +
          "those, so give it to serve, and the whole server is Bun's",
      );
    const fetchHandler = readFunction("fetch", fetch);
    const errorHandler = readFunction("error", error);
    if (routes !== undefined) {
      const table = readRoutes(routes);
      this.routes.close();
      this.routes = table;
    }
    this.setWebSockets(websocket);
    if (fetchHandler) this.fetchHandler = fetchHandler;
    this.errorHandler = errorHandler;
    return this;
  }

  /** Calls the fetch handler without a network. Routes are not looked at, and errors reject, as in Bun; that there is no handler, too. */
  async fetch(...given: [request: Request | string | URL]): Promise<Response> {
    if (this.fetchHandler === notFound) throw new Error("fetch() requires the server to have a fetch handler");
    const asked = askedOf(given, this.url);
    const response = await currentContext()(callFetch, this.fetchHandler, this, asked);
    if (!isResponse(response)) throw new Error("fetch() returned an empty value");
    return Object.defineProperty(response, "url", { value: asked.url, configurable: true });
  }

  requestIP(request: Request): SocketAddress | null {
    return responderOf("requestIP", request)?.transport.remoteAddress ?? null;
  }

  timeout(request: Request, seconds: number): void {
    responderOf("timeout", request)?.setIdleTimeout(readSeconds("seconds", seconds) * 1000);
  }

  get pendingWebSockets(): number {
    return this.webSockets?.count ?? 0;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { id, development, pendingRequests, pendingWebSockets } = this;
    return `Server ${Bun.inspect({ url: this.url.href, id, development, pendingRequests, pendingWebSockets })}`;
  }

  /**
   * Makes a WebSocket of the connection that the request came on, calls `open`, and returns true; then no Response is needed. False: the
   * request does not ask for it properly (RFC 6455 section 4.2.1), or is answered already. A client of another version than 13 gets its
   * answer, 426, from here.
   */
  upgrade(request: Request, options?: UpgradeOptions): boolean {
    const { webSockets } = this;
    if (!webSockets) throw new TypeError("upgrade needs the option websocket, which this server was made without");
    const responder = responderOf("upgrade", request);
    return responder !== undefined && webSockets.upgrade(responder, request as unknown as RingRequest, options);
  }

  /** 0: nobody has subscribed, or it was dropped for one who is too far behind. -1: one of them is behind. Else the message's bytes. */
  publish(topic: string, message: Sendable, compress = true): number {
    if (this.webSockets) return this.webSockets.publish(topic, message, compress);
    webSocketHub().requirePublication(topic, message, compress);
    return 0;
  }

  subscriberCount(topic: string): number {
    if (this.webSockets) return this.webSockets.subscriberCount(topic);
    webSocketHub().requireCountable(topic);
    return 0;
  }

  ref(): void {
    this.setReferenced(true);
  }

  unref(): void {
    this.setReferenced(false);
  }

  [Symbol.dispose](): void {
    void this.stop(true);
  }

  // ---- for connections -------------------------------------------------------------------------------------------

  createResponder(exchange: Exchange): FetchResponder {
    return new FetchResponder(exchange, this);
  }

  handle(request: RingRequest, handler?: Route["handler"]): Answer {
    let result: Answer;
    let threw = true;
    enterProgram();
    try {
      result = outside(callFetch, (handler ?? this.fetchHandler) as FetchHandler, this, request as unknown as Request);
      threw = false;
    } catch (error) {
      result = error as Response;
    } finally {
      leaveProgram();
    }
    if (threw) {
      runJobs(); // As in Bun: what the handler has left behind comes before the error handler.
      return this.handleError(result);
    }
    if (isResponse(result)) return result;
    if (result instanceof Promise) {
      const settled = Bun.peek.status(result) === "fulfilled" ? Bun.peek(result) : undefined;
      return isResponse(settled) ? settled : result;
    }
    if (RingRequest.isHandedOver(request)) return noResponse;
    return this.handleError(errorOf(result));
  }

  handleError(error: unknown): Answer {
    if (!this.errorHandler) return this.reportError(error);
    let result: ReturnType<ErrorHandler>;
    enterProgram();
    try {
      result = outside(callError, this.errorHandler, this, error as Error);
    } catch (failure) {
      return this.reportError(failure);
    } finally {
      leaveProgram();
    }
    if (isResponse(result)) return result;
    return Promise.resolve(result).then(
      (response) => (isResponse(response) ? response : this.reportError(error)),
      (failure) => this.reportError(failure),
    );
  }

  closed(): void {
    this.connectionCount--;
    if (this.connectionCount === 0 && this.stopping) this.end();
  }

  /** All open connections. They are in the reactor's table, and in no other: what is seldom asked for need not cost memory in each. */
  private connections(): Connection[] {
    const isOurs = (owner: unknown): owner is Connection =>
      owner instanceof Connection && (owner.consumer as { host?: unknown }).host === this;
    return [...this.reactor.lane.operations.allOwners()].filter(isOurs);
  }

  /** Ends a connection at once, whatever is under way on it. */
  private abort(connection: Connection): void {
    const { consumer } = connection;
    if (consumer instanceof Exchange) consumer.stop();
    else if (!this.webSockets?.stop(consumer)) this.idle.stop(connection);
  }

  private setWebSockets(option: unknown): void {
    if (option === undefined || option === null) return;
    if (this.webSockets) this.webSockets.reload(option);
    else this.webSockets = new (webSocketHub())(this, option);
  }

  private end(): void {
    this.routes.close();
    this.stopped!.resolve();
  }

  reportFault(error: unknown): void {
    showUncaught(error);
  }

  private reportError(error: unknown): Response {
    showUncaught(error);
    return errorResponse(error, this.development);
  }

  private accept(fd: number): void {
    const connection = this.idle.accept(fd);
    if (!this.referenced) connection.setReferenced(false);
    this.connectionCount++;
  }

  private setReferenced(referenced: boolean): void {
    this.referenced = referenced;
    this.listener.setReferenced(referenced);
    for (const connection of this.connections()) connection.setReferenced(referenced);
  }
}

/** Stands for the response that is not due to a request whose connection is another protocol's. */
const noResponse = new Response(null);

const notFound: FetchHandler = () => new Response(null, { status: 404 });

function callFetch(handler: FetchHandler, server: Server, request: Request): Answer {
  return handler.call(server, request, server);
}

function callError(handler: ErrorHandler, server: Server, error: Error): ReturnType<ErrorHandler> {
  return handler.call(server, error);
}

/** Who answers a request, while it is under way. */
function responderOf(method: string, request: Request): FetchResponder | undefined {
  if (!(request instanceof Request)) throw new TypeError(`${method} takes a Request, not ${Bun.inspect(request)}`);
  const origin = RingRequest.originOf(request);
  return origin instanceof FetchResponder && origin.isServing(request as unknown as RingRequest) ? origin : undefined;
}

/** Loaded here, for most servers have no WebSockets. */
function webSocketHub(): typeof WebSocketHub {
  return (require("../websocket/hub.ts") as typeof import("../websocket/hub.ts")).WebSocketHub;
}
