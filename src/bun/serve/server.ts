/**
 * `serve`: an HTTP server on the ring, with the options and members of Bun.serve.
 *
 * If an option is not served by the ring yet, the whole call goes to Bun.serve, with one notice.
 * With `fallback: false`, it throws an error instead.
 */
import { Listener } from "../../transport/listener.ts";
import { serveFailure } from "../sockets/failure.ts";
import { invalidType, invalidValue, requireObject } from "../../sys/check.ts";
import { readText, requireServerPort } from "../sockets/options.ts";
import type { SocketAddress } from "../../transport/address.ts";
import { leavesToBun, markAsBuns, reactorFor } from "../../operations/fallback.ts";
import { FreeList } from "../../reactor/free-list.ts";
import type { Reactor } from "../../reactor/reactor.ts";
import { currentContext } from "../../sys/async-context.ts";
import { originals } from "../../sys/bun-originals.ts";
import { showUncaught } from "../../sys/uncaught.ts";
import { Connection } from "../../transport/connection.ts";
import { askedOf } from "./asked-request.ts";
import { Exchange } from "../../http/exchange.ts";
import { FetchResponder } from "./fetch-responder.ts";
import { callFetch, Handlers } from "./handlers.ts";
import { installGlobals } from "./globals.ts";
import { HeadCache } from "../../http/head.ts";
import { hotKey, hotServers } from "./hot-servers.ts";
import type { HttpLimits } from "../../http/host.ts";
import type { ServeHost } from "./serve-host.ts";
import {
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
import { readDeadline, StopDeadline, type StopOptions, withDeadline } from "./stopping.ts";
import { isResponse } from "./tracked-response.ts";
import type { WebSocketHub } from "../websocket/hub.ts";
import type { Sendable } from "../websocket/socket.ts";
import type { UpgradeOptions } from "../websocket/upgrade.ts";

export interface Server<WebSocketData = undefined> extends Bun.Server<WebSocketData> {
  /** The address that the server listens at, or the path of its Unix socket. */
  readonly address: SocketAddress | string;
  /** Whether the server runs on the ring. False on Bun's server, which has no `address`. */
  readonly ring: boolean;
  /**
   * Stops accepting connections, closes the idle ones, and lets running requests, streams and
   * WebSockets end. With true, ends them at once. As in Bun, the promise fulfils when the last
   * connection has closed, and a later call can end what an earlier one lets run.
   */
  stop(closeActiveConnections?: boolean): Promise<void>;
  /**
   * Stops as `stop()`, closes every WebSocket with code 1001 at once, and ends what is left when the
   * deadline has passed: the client of an unfinished answer sees the end of its connection, the
   * request's `signal` aborts, and a stream is cancelled. A request that becomes a WebSocket
   * meanwhile gets 1001, too. The promise fulfils when the last connection has closed. A later call
   * can bring the deadline nearer, never put it off.
   *
   * On Bun's own server, a WebSocket gets 1001 when the deadline has passed.
   *
   * Throws a TypeError or RangeError for a wrong deadline.
   */
  stop(options: StopOptions): Promise<void>;
}

/** Number of spare exchanges that are kept for the next requests. */
const SPARE_EXCHANGES_MAX = 256;

/** Options that only Bun's server has. */
const unserved = ["tls", "app", "http2", "http3", "h3", "key", "cert"];

/** Starts an HTTP server with Bun.serve's options. If it refuses an option, the error names it. */
export function serve<WebSocketData = undefined, R extends string = string>(
  options: ServeOptions<WebSocketData, R>,
): Server<WebSocketData> {
  return startServer(options as unknown as Options) as unknown as Server<WebSocketData>;
}

function startServer(options: Options): Server {
  requireObject("options", options);
  const given = options as unknown as Record<string, unknown>;
  const { tls } = given;
  // As in Bun, a `tls` whose values are all undefined counts as none. Servers for several runtimes
  // (srvx) give such a `tls`.
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
    if (options.fd !== undefined)
      throw invalidValue("fd", "undefined where Bun.serve serves, which takes none", options.fd);
    // After a hot reload, the options need Bun's server. It replaces the ring's server, and stays.
    void running?.stop();
    if (key !== undefined) hotServers.set(key, "Bun's own");
    return markAsBuns(withDeadline(originals.serve(options as never) as unknown as Server));
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
  readonly handlers: Handlers;
  private referenced = true;
  private stopped: PromiseWithResolvers<void> | undefined;
  private deadline: StopDeadline | undefined;
  private webSockets: WebSocketHub | undefined;

  constructor(reactor: Reactor, options: Options) {
    this.reactor = reactor;
    this.limits = readLimits(options);
    this.parser = new RequestParser(this.limits);
    const target = readTarget(options);
    this.development =
      options.development === undefined ? process.env.NODE_ENV !== "production" : !!options.development;
    this.id = options.id ?? "";
    const errorHandler = readFunction("error", options.error);
    this.handlers = new Handlers(this, readFunction("fetch", options.fetch), errorHandler);
    this.setWebSockets(options.websocket);
    this.routes = readRoutes(routesOf(options));
    try {
      if (options.fetch === undefined && this.routes.router === null)
        throw invalidType("fetch", "a function where routes has no route", undefined);
      this.listener = new Listener(reactor, target, (fd) => this.accept(fd));
    } catch (error) {
      this.routes.close();
      throw target.fd === undefined ? serveFailure(error, target) : error;
    }
    const { address } = this.listener;
    this.unix = this.listener.unix;
    this.port = address?.port;
    this.hostname = address && (readText("hostname", options.hostname) ?? "localhost");
    this.defaultOrigin = address ? `http://${authority(this.hostname!, address.port)}` : "http://localhost";
    // As with Bun's server, `{ ...server }` is empty. Elysia gives this to reload() as options.
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

  stop(how: boolean | StopOptions = false): Promise<void> {
    const deadlineMs = readDeadline(how);
    if (!this.stopped) {
      this.stopped = Promise.withResolvers<void>();
      this.stopping = true;
      this.listener.close();
    }
    if (how === true) {
      this.reactor.submitFinished(); // Sends the finished answers before the connections end.
      for (const connection of this.connections()) this.abort(connection);
    } else this.closeIdleConnections();
    if (deadlineMs !== undefined && this.connectionCount > 0) {
      for (const { consumer } of this.connections()) this.webSockets?.stop(consumer);
      this.deadline ??= new StopDeadline(this.reactor, () => this.cut());
      this.deadline.set(deadlineMs);
    }
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
    if (port !== undefined && port !== null) requireServerPort(port); // As in Bun, only checked.
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
    if (fetchHandler) this.handlers.fetch = fetchHandler;
    this.handlers.error = errorHandler;
    return this;
  }

  /**
   * Calls the fetch handler without a network. As in Bun, routes are not used. An error rejects the
   * promise, and so does a missing fetch handler.
   */
  async fetch(...given: [request: Request | string | URL]): Promise<Response> {
    if (!this.handlers.hasFetch) throw new Error("fetch() requires the server to have a fetch handler");
    const asked = askedOf(given, this.url);
    const response = await currentContext()(callFetch, this.handlers.fetch, this, asked);
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
   * Makes a WebSocket from the connection of the request, and calls `open`. Returns true; the
   * handler then needs no Response. Returns false if the request is not a correct WebSocket
   * handshake (RFC 6455 section 4.2.1), or is already answered. A client of another version than 13
   * is answered here, with 426, and the result is false.
   */
  upgrade(request: Request, options?: UpgradeOptions): boolean {
    const { webSockets } = this;
    if (!webSockets) throw new TypeError("upgrade needs the option websocket, which this server was made without");
    const responder = responderOf("upgrade", request);
    if (responder === undefined) return false;
    const { transport } = responder;
    const isUpgraded = webSockets.upgrade(responder, request as unknown as RingRequest, options);
    if (isUpgraded && this.deadline) webSockets.stop(transport.consumer);
    return isUpgraded;
  }

  /**
   * Sends a message to all subscribers of a topic. Returns the message's bytes. Returns -1 if a
   * subscriber is behind. Returns 0 if there is no subscriber, or if the message was dropped for a
   * subscriber that is too far behind.
   */
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

  // ---- for connections --------------------------------------------------------------------------

  createResponder(exchange: Exchange): FetchResponder {
    return new FetchResponder(exchange, this);
  }

  closed(): void {
    this.connectionCount--;
    if (this.connectionCount === 0 && this.stopping) this.end();
  }

  /** Finds all open connections in the reactor's table. This is rare, so no list uses memory. */
  private connections(): Connection[] {
    const isOurs = (owner: unknown): owner is Connection =>
      owner instanceof Connection && (owner.consumer as { host?: unknown }).host === this;
    return [...this.reactor.lane.operations.allOwners()].filter(isOurs);
  }

  /** Ends every connection, also that of a client that does not read a finished answer. */
  private cut(): void {
    this.reactor.submitFinished();
    for (const connection of this.connections()) {
      const { consumer } = connection;
      if (consumer instanceof Exchange) consumer.abort();
      else connection.destroy();
    }
  }

  /** Ends a connection at once, and everything that is in progress on it. */
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
    this.deadline?.clear();
    this.routes.close();
    this.stopped!.resolve();
  }

  reportFault(error: unknown): void {
    showUncaught(error);
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

/** Returns the responder of a request that is not answered yet. */
function responderOf(method: string, request: Request): FetchResponder | undefined {
  if (!(request instanceof Request)) throw invalidType(`the argument of ${method}`, "a Request", request);
  const origin = RingRequest.originOf(request);
  return origin instanceof FetchResponder && origin.isServing(request as unknown as RingRequest) ? origin : undefined;
}

/** Loads the class on its first use, because most servers have no WebSockets. */
function webSocketHub(): typeof WebSocketHub {
  return (require("../websocket/hub.ts") as typeof import("../websocket/hub.ts")).WebSocketHub;
}
