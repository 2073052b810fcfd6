/**
 * `serve`: an HTTP server on the ring, with the options and members of Bun.serve.
 *
 * What the ring does not serve yet goes to Bun.serve whole, with one notice; `fallback: false` makes that an error.
 */
import { Listener } from "../net/listener.ts";
import { requireBytes, requireObject, requirePort, requireText } from "../net/options.ts";
import { remoteAddress, type SocketAddress } from "../net/address.ts";
import { leavesToBun, reactorFor } from "../reactor/fallback.ts";
import type { Mode } from "../reactor/mode.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { originals } from "../sys/bun-originals.ts";
import { HttpConnection, type HttpHost, type HttpLimits } from "./connection.ts";
import { RingRequest } from "./request.ts";
import { HeadCache } from "./response.ts";
import { isResponse } from "./tracked-response.ts";
import { installGlobals } from "./globals.ts";

export type FetchHandler = (this: Server, request: Request, server: Server) => Response | Promise<Response>;
export type ErrorHandler = (this: Server, error: Error) => Response | Promise<Response> | void | Promise<void>;

export interface ServeOptions {
  /** Answers each request. Called with the server as `this`. */
  fetch: FetchHandler;
  /** Answers when `fetch` throws or rejects. Default: 500, and the error on stderr. */
  error?: ErrorHandler;
  /** 0 to 65535; 0 takes a free one. Default: the variables BUN_PORT, PORT, NODE_PORT, else 3000. */
  port?: number | string;
  /** Default: all addresses, IPv6 and IPv4. */
  hostname?: string;
  /** SO_REUSEPORT. Default false. */
  reusePort?: boolean;
  /** Default false. */
  ipv6Only?: boolean;
  /** Seconds without traffic after which a connection ends; 0 is never. Default 10. */
  idleTimeout?: number;
  /** Bytes. Default 134217728 (128 MiB). Beyond: 413. */
  maxRequestBodySize?: number;
  /** Default: false in production (NODE_ENV), else true. */
  development?: boolean | object;
  id?: string | null;
  /** Bytes of a request's head. Default 16384. Beyond: 431, or 414 in the request line. */
  headerBytesMax?: number;
  /** Bytes of responses that wait for a client, above which it is not served further requests. Default 1048576. */
  writeQueueBytesMax?: number;
  /** See ReactorOptions.mode; the thread's first server or socket decides. */
  mode?: Mode;
  /** false: an error instead of Bun.serve where the ring cannot serve. Default true. */
  fallback?: boolean;
}

export interface Server extends Disposable {
  readonly port: number;
  readonly hostname: string;
  readonly url: URL;
  readonly protocol: "http";
  readonly development: boolean;
  readonly id: string;
  readonly address: SocketAddress;
  /** Requests whose response is not complete. */
  readonly pendingRequests: number;
  readonly pendingWebSockets: number;
  /** Accepts no more; resolves when the last connection is closed. With `closeActiveConnections` all are closed at once. */
  stop(closeActiveConnections?: boolean): Promise<void>;
  closeIdleConnections(): void;
  /** Other handlers for requests from now on. */
  reload(options: Partial<Pick<ServeOptions, "fetch" | "error">>): Server;
  /** Calls the handler without a network. */
  fetch(request: Request | string | URL): Promise<Response>;
  requestIP(request: Request): SocketAddress | null;
  /** Sets the idle timeout of a request's connection; 0 is none. */
  timeout(request: Request, seconds: number): void;
  ref(): void;
  unref(): void;
}

/** Options that only Bun's own server has. */
const unserved = ["tls", "websocket", "routes", "static", "unix", "app", "http2", "http3", "h3", "key", "cert"];

export function serve(options: ServeOptions): Server {
  requireObject("options", options);
  const left = leavesToBun("serve", options as unknown as Record<string, unknown>, unserved);
  const reactor = left ? undefined : reactorFor("serve", options);
  if (!reactor) return originals.serve(options as never) as unknown as Server;
  installGlobals();
  const key = hotKey(options);
  const running = key === undefined ? undefined : hotServers.get(key);
  if (running && !running.stopping) return running.reload(options);
  const server = new RingServer(reactor, options);
  if (key !== undefined) hotServers.set(key, server);
  return server;
}

/**
 * Under `bun --hot` a module that serves is run again in the same process: as in Bun, a server that is running already, with the same id
 * or the same host and port, takes the new handlers and keeps its connections.
 */
const hotServers = ((globalThis as any)[Symbol.for("ringloop.hotServers")] ??= new Map()) as Map<string, RingServer>;

function hotKey({ id, hostname, port }: ServeOptions): string | undefined {
  if (!process.execArgv.includes("--hot")) return undefined;
  return id ? `id ${id}` : `${hostname ?? ""} ${readPort(port)}`;
}

class RingServer implements Server, HttpHost {
  readonly reactor: Reactor;
  readonly heads = new HeadCache();
  readonly limits: HttpLimits;
  readonly defaultOrigin: string;
  readonly hostname: string;
  readonly port: number;
  readonly protocol = "http";
  readonly development: boolean;
  readonly id: string;
  readonly pendingWebSockets = 0;
  pendingRequests = 0;
  stopping = false;

  private readonly listener: Listener;
  private readonly connections = new Set<HttpConnection>();
  private fetchHandler: FetchHandler;
  private errorHandler: ErrorHandler | undefined;
  private referenced = true;
  private stopped: PromiseWithResolvers<void> | undefined;

  constructor(reactor: Reactor, options: ServeOptions) {
    this.reactor = reactor;
    this.fetchHandler = requireFunction("fetch", options.fetch)!;
    this.errorHandler = requireFunction("error", options.error, true);
    this.limits = readLimits(options);
    this.development =
      options.development === undefined ? process.env.NODE_ENV !== "production" : !!options.development;
    this.id = options.id ?? "";
    const port = readPort(options.port);
    const hostname = requireText("hostname", options.hostname);
    const { reusePort, ipv6Only } = options;
    this.listener = new Listener(reactor, { hostname, port, reusePort, ipv6Only }, (fd) => this.accept(fd));
    this.port = this.listener.address!.port;
    this.hostname = hostname ?? "localhost";
    this.defaultOrigin = `http://${authority(this.hostname, this.port)}`;
  }

  get url(): URL {
    const host = this.hostname === "0.0.0.0" || this.hostname === "::" ? "localhost" : this.hostname;
    return new URL(`http://${authority(host, this.port)}/`);
  }

  get address(): SocketAddress {
    return this.listener.address!;
  }

  stop(closeActiveConnections = false): Promise<void> {
    if (!this.stopped) {
      this.stopped = Promise.withResolvers<void>();
      this.stopping = true;
      this.listener.close();
    }
    for (const connection of [...this.connections]) {
      if (closeActiveConnections) connection.abort();
      else connection.closeWhenIdle();
    }
    if (this.connections.size === 0) this.stopped.resolve();
    return this.stopped.promise;
  }

  closeIdleConnections(): void {
    for (const connection of [...this.connections]) connection.closeWhenIdle();
  }

  reload(options: Partial<Pick<ServeOptions, "fetch" | "error">>): Server {
    requireObject("options", options);
    if (options.fetch !== undefined) this.fetchHandler = requireFunction("fetch", options.fetch)!;
    this.errorHandler = requireFunction("error", options.error, true);
    return this;
  }

  async fetch(request: Request | string | URL): Promise<Response> {
    const asked = request instanceof Request ? request : new Request(new URL(request, this.url).href);
    try {
      return await this.fetchHandler.call(this, asked, this);
    } catch (error) {
      return this.handleError(error);
    }
  }

  requestIP(request: Request): SocketAddress | null {
    const connection = connectionOf(request);
    return connection ? (remoteAddress(connection.transport.fd) ?? null) : null;
  }

  timeout(request: Request, seconds: number): void {
    connectionOf(request)?.setIdleTimeout(readSeconds("seconds", seconds) * 1000);
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

  handle(request: RingRequest): Response | Promise<Response> {
    let result: Response | Promise<Response>;
    try {
      result = this.fetchHandler.call(this, request as unknown as Request, this);
    } catch (error) {
      return this.handleError(error);
    }
    if (isResponse(result)) return result;
    if (result instanceof Promise) {
      const settled = Bun.peek.status(result) === "fulfilled" ? Bun.peek(result) : undefined;
      return isResponse(settled) ? settled : result;
    }
    return this.handleError(new TypeError(`Expected a Response object, but received '${String(result)}'`));
  }

  handleError(error: unknown): Response | Promise<Response> {
    if (!this.errorHandler) return defaultErrorResponse(error);
    let result: ReturnType<ErrorHandler>;
    try {
      result = this.errorHandler.call(this, error as Error);
    } catch (failure) {
      return defaultErrorResponse(failure);
    }
    if (isResponse(result)) return result;
    return Promise.resolve(result).then(
      (response) => (isResponse(response) ? response : defaultErrorResponse(error)),
      (failure) => defaultErrorResponse(failure),
    );
  }

  closed(connection: HttpConnection): void {
    this.connections.delete(connection);
    if (this.connections.size === 0) this.stopped?.resolve();
  }

  private accept(fd: number): void {
    const connection = new HttpConnection(this, fd);
    if (!this.referenced) connection.transport.setReferenced(false);
    this.connections.add(connection);
  }

  private setReferenced(referenced: boolean): void {
    this.referenced = referenced;
    this.listener.setReferenced(referenced);
    for (const { transport } of this.connections) transport.setReferenced(referenced);
  }
}

function defaultErrorResponse(error: unknown): Response {
  console.error(error);
  return new Response("Something went wrong!", { status: 500 });
}

function connectionOf(request: Request): HttpConnection | undefined {
  const origin = request instanceof RingRequest ? request.origin : undefined;
  return origin instanceof HttpConnection ? origin : undefined;
}

function authority(hostname: string, port: number): string {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return port === 80 ? host : `${host}:${port}`;
}

// ---- options -----------------------------------------------------------------------------------------------------

function requireFunction<T extends Function>(name: string, value: T | undefined, optional = false): T | undefined {
  if (typeof value === "function") return value;
  if (optional && (value === undefined || value === null)) return undefined;
  throw new TypeError(`${name} must be a function, not ${Bun.inspect(value)}`);
}

function readPort(option: number | string | undefined): number {
  const variable = process.env.BUN_PORT ?? process.env.PORT ?? process.env.NODE_PORT;
  return requirePort(option === undefined || option === null || option === "" ? (variable ?? 3000) : option);
}

function readSeconds(name: string, value: number): number {
  if (typeof value !== "number" || !(value >= 0) || value > 86400)
    throw new TypeError(`${name} must be a number of seconds from 0 to 86400, not ${Bun.inspect(value)}`);
  return value;
}

function readLimits(options: ServeOptions): HttpLimits {
  return {
    headerBytesMax: requireBytes("headerBytesMax", options.headerBytesMax, 16384, 256),
    requestBodyBytesMax: requireBytes("maxRequestBodySize", options.maxRequestBodySize, 134217728, 0),
    writeQueueBytesMax: requireBytes("writeQueueBytesMax", options.writeQueueBytesMax, 1048576, 4096),
    idleTimeoutMs: readSeconds("idleTimeout", options.idleTimeout ?? 10) * 1000,
  };
}
