/**
 * `serve`: an HTTP server on the ring, with the options and members of Bun.serve.
 *
 * What the ring does not serve yet goes to Bun.serve whole, with one notice; `fallback: false` makes that an error.
 */
import { Listener } from "../net/listener.ts";
import type { ListenTarget } from "../net/open-socket.ts";
import { serveFailure } from "../net/failure.ts";
import {
  hostOf,
  requireBytes,
  requireDescriptor,
  requireObject,
  requireServerPort,
  requireText,
  textOf,
} from "../net/options.ts";
import type { SocketAddress } from "../net/address.ts";
import { leavesToBun, markAsBuns, reactorFor } from "../reactor/fallback.ts";
import { FreeList } from "../reactor/free-list.ts";
import type { Mode } from "../reactor/mode.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { currentContext, inCurrentContext, outside } from "../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../sys/program.ts";
import { originals } from "../sys/bun-originals.ts";
import { showUncaught } from "../sys/uncaught.ts";
import { Connection } from "../net/connection.ts";
import { HttpConnection } from "./connection.ts";
import { errorOf, errorResponse } from "./error-page.ts";
import { installGlobals } from "./globals.ts";
import { HeadCache } from "./head.ts";
import type { HttpHost, HttpLimits } from "./host.ts";
import { IdleConnections } from "./idle-connections.ts";
import { RequestParser } from "./parser.ts";
import { RingRequest } from "./request.ts";
import { findHtml, readRoutes, type Route, type RouteTable } from "./routes.ts";
import type { Router } from "./router.ts";
import { isResponse } from "./tracked-response.ts";
import type { WebSocketHub } from "./websocket/hub.ts";
import type { Sendable } from "./websocket/socket.ts";
import type { UpgradeOptions } from "./websocket/upgrade.ts";

/** What serve takes besides the options of Bun.serve. */
export interface RingServeOptions {
  /**
   * Bytes of a request's head. Beyond: 431, or 414 in the request line. Default: 16384, or what Bun was started with
   * (`--max-http-header-size`), and more once `maxHeaderSize` of node:http is set to more.
   */
  headerBytesMax?: number;
  /** Seconds from a request's first byte to the end of its head; 0 is no limit. Default 30. Beyond: 408. */
  headerTimeout?: number;
  /** Bytes of responses that wait for a client, above which it is not served further requests. Default 1048576. */
  writeQueueBytesMax?: number;
  /** A socket that listens already, such as one from socket activation, in place of a port or a path. The server's from here on. */
  fd?: number;
  /** See ReactorOptions.mode; the thread's first server or socket decides. */
  mode?: Mode;
  /** false: an error instead of Bun.serve where the ring cannot serve. Default true. */
  fallback?: boolean;
}

/** Bun's own options, of which idleTimeout may be up to a day (86400) here. */
export type ServeOptions<WebSocketData = undefined, R extends string = string> = Bun.Serve.Options<WebSocketData, R> &
  RingServeOptions;

export interface Server<WebSocketData = undefined> extends Bun.Server<WebSocketData> {
  /** Where it listens: an address, or the path of a Unix socket. */
  readonly address: SocketAddress | string;
  /** Whether it runs on the ring. false: on Bun's own server, which has no `address`. */
  readonly ring: boolean;
}

/** The options as they come, before they are checked. */
interface Options extends RingServeOptions {
  fetch?: FetchHandler;
  routes?: Record<string, unknown>;
  /** Bun's former name of `routes`. */
  static?: Record<string, unknown>;
  error?: ErrorHandler;
  port?: number | string;
  hostname?: string;
  unix?: string;
  reusePort?: boolean;
  ipv6Only?: boolean;
  idleTimeout?: number;
  maxRequestBodySize?: number;
  development?: boolean | object;
  id?: string | null;
  websocket?: unknown;
}

type Answer = Response | Promise<Response>;
type FetchHandler = (this: Server, request: Request, server: Server) => Answer;
type ErrorHandler = (this: Server, error: Error) => Answer | void | Promise<void>;

/** HttpConnections that are kept for the next requests: those of handlers that take time, at once. */
const SPARE_CONNECTIONS_MAX = 256;

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
  // Not by its class: a hot reload runs this file again, too, and makes another.
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

/**
 * Under `bun --hot` a module that serves is run again in the same process: as in Bun, a server that is running already, with the same id
 * or the same host and port, takes the new handlers and keeps its connections. As many as the program has ever had by different names.
 */
const hotServers = ((globalThis as any)[Symbol.for("ringloop.hotServers")] ??= new Map()) as Map<
  string,
  RingServer | "Bun's own"
>;

function hotKey({ id, hostname, port, unix }: Options): string | undefined {
  if (!process.execArgv.includes("--hot") || id === null) return undefined;
  if (unix !== undefined) return `unix ${unix}`;
  return id ? `id ${id}` : `${hostname ?? ""} ${readPort(port)}`;
}

class RingServer implements Server, HttpHost {
  readonly reactor: Reactor;
  readonly heads = new HeadCache();
  readonly idle = new IdleConnections(this);
  readonly spare = new FreeList<HttpConnection>(SPARE_CONNECTIONS_MAX);
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
    this.errorHandler = requireFunction("error", options.error, true);
    this.fetchHandler = requireFunction("fetch", options.fetch, true) ?? notFound;
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
    this.hostname = address && (requireText("hostname", options.hostname) ?? "localhost");
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
    return (this.ownUrl ??= this.readUrl());
  }

  private readUrl(): URL {
    const { unix, hostname, port } = this;
    if (unix !== undefined) return new URL(unix[0] === "\0" ? `abstract://${unix.slice(1)}/` : `unix://${unix}`);
    const host = hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname!;
    return new URL(`http://${authority(host, port!)}/`);
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
    const fetchHandler = requireFunction("fetch", fetch, true);
    const errorHandler = requireFunction("error", error, true);
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
    const connection = connectionOf("requestIP", request);
    return connection?.transport.remoteAddress ?? null;
  }

  timeout(request: Request, seconds: number): void {
    connectionOf("timeout", request)?.setIdleTimeout(readSeconds("seconds", seconds) * 1000);
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
    const connection = connectionOf("upgrade", request);
    return connection !== undefined && webSockets.upgrade(connection, request as unknown as RingRequest, options);
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
    return [...this.reactor.operations.allOwners()].filter(isOurs);
  }

  /** Ends a connection at once, whatever is under way on it. */
  private abort(connection: Connection): void {
    const { consumer } = connection;
    if (consumer instanceof HttpConnection) consumer.abort();
    else if (!this.webSockets?.stop(consumer)) connection.destroy();
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

/** The Request that `server.fetch` is called with, or one for its text. Throws what Bun throws. */
function askedOf(given: unknown[], base: URL): Request {
  if (given.length === 0) throw new Error("fetch() expects a string but received no arguments.");
  const [request] = given;
  if (request instanceof Request) return request;
  if (typeof request !== "string") {
    const kind = request === null ? "null" : typeof request === "bigint" ? "bigInt" : typeof request;
    const error = new TypeError(`fetch() expects a string, but received ${kind[0]!.toUpperCase()}${kind.slice(1)}`);
    throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
  }
  if (request === "") throw new Error("fetch() URL must not be a blank string.");
  const url = new URL(request, base);
  url.hash = "";
  return new Request(url.href);
}

function callFetch(handler: FetchHandler, server: Server, request: Request): Answer {
  return handler.call(server, request, server);
}

function callError(handler: ErrorHandler, server: Server, error: Error): ReturnType<ErrorHandler> {
  return handler.call(server, error);
}

/** The connection that a request came on, while it is under way. */
function connectionOf(method: string, request: Request): HttpConnection | undefined {
  if (!(request instanceof Request)) throw new TypeError(`${method} takes a Request, not ${Bun.inspect(request)}`);
  const origin = RingRequest.originOf(request);
  return origin instanceof HttpConnection && origin.isServing(request as unknown as RingRequest) ? origin : undefined;
}

/** Loaded here, for most servers have no WebSockets. */
function webSocketHub(): typeof WebSocketHub {
  return (require("./websocket/hub.ts") as typeof import("./websocket/hub.ts")).WebSocketHub;
}

function authority(hostname: string, port: number): string {
  // Without its zone, which no URL has (RFC 6874 was not taken up), and with brackets, which it may have already.
  const host = hostname.includes(":") ? `[${hostOf(hostname).split("%", 1)[0]}]` : hostname;
  return port === 80 ? host : `${host}:${port}`;
}

// ---- options -----------------------------------------------------------------------------------------------------

function requireFunction<T extends Function>(name: string, value: T | undefined, optional = false): T | undefined {
  if (typeof value === "function") return inCurrentContext(value);
  if (optional && (value === undefined || value === null)) return undefined;
  throw new TypeError(`${name} must be a function, not ${Bun.inspect(value)}`);
}

/** As in Bun, an array is none: a Hono app, which is given whole by `export default app`, has one. */
function routesOf({ routes, static: formerRoutes }: Options): Record<string, unknown> | undefined {
  const given = routes ?? formerRoutes;
  return Array.isArray(given) ? undefined : given;
}

function readPort(option: number | string | undefined): number {
  if (option !== undefined && option !== null && option !== "") return requireServerPort(option);
  return requireServerPort((require("./default-port.ts") as typeof import("./default-port.ts")).defaultPort());
}

function readSeconds(name: string, value: number): number {
  if (typeof value !== "number" || !(value >= 0) || value > 86400)
    throw new TypeError(`${name} must be a number of seconds from 0 to 86400, not ${Bun.inspect(value)}`);
  return value;
}

/** Where to listen. As in Bun, a path and a host exclude each other. */
function readTarget({ fd, unix, hostname, port, reusePort, ipv6Only }: Options): ListenTarget {
  if (fd !== undefined) return { fd: requireDescriptor(fd) };
  const text = textOf(unix);
  if (text === undefined && unix !== undefined && unix !== null)
    throw new TypeError(`unix must be a path or an abstract name, not ${Bun.inspect(unix)}`);
  const path = text || undefined; // As in Bun, an empty one is none.
  const host = requireText("hostname", hostname);
  if (path === undefined) return { hostname: host && hostOf(host), port: readPort(port), reusePort, ipv6Only };
  if (host !== undefined) throw new TypeError("unix and hostname exclude each other, and both are given");
  return { unix: path };
}

/** Bun's option for node:http, as in `bun --max-http-header-size=32768 app.ts`. */
function readDefaultHeaderBytes(): number {
  const option = "--max-http-header-size";
  const { execArgv } = process;
  const at = execArgv.findIndex((each) => each === option || each.startsWith(`${option}=`));
  const bytes = at < 0 ? 0 : Number(execArgv[at]!.slice(option.length + 1) || execArgv[at + 1]);
  return bytes >= 256 ? Math.floor(bytes) : 16384;
}

/** Asked with the first head that is too long, since a program that has not loaded node:http should not have to. */
function readNodesHeaderBytes(): number {
  return (require("node:http") as typeof import("node:http")).maxHeaderSize;
}

function readLimits(options: Options): HttpLimits {
  const headerBytesMax = requireBytes("headerBytesMax", options.headerBytesMax, readDefaultHeaderBytes(), 256);
  return {
    headerBytesMax,
    readHeaderBytesMax: options.headerBytesMax === undefined ? readNodesHeaderBytes : undefined,
    requestBodyBytesMax: requireBytes("maxRequestBodySize", options.maxRequestBodySize, 134217728, 0),
    writeQueueBytesMax: requireBytes("writeQueueBytesMax", options.writeQueueBytesMax, 1048576, 4096),
    idleTimeoutMs: readSeconds("idleTimeout", options.idleTimeout ?? 10) * 1000,
    headerTimeoutMs: readSeconds("headerTimeout", options.headerTimeout ?? 30) * 1000,
  };
}
