/** The options of `serve`: what they are, what each is by default, and what is refused. */
import type { ListenTarget } from "../../transport/open-socket.ts";
import { hostOf, readByteCount, readText, requireDescriptor, requireServerPort, textOf } from "../sockets/options.ts";
import type { Mode } from "../../reactor/mode.ts";
import { invalidOption, invalidType, requireFunction } from "../../sys/check.ts";
import { inCurrentContext } from "../../sys/async-context.ts";
import type { HttpLimits } from "../../http/host.ts";
import type { Server } from "./server.ts";

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

/** The options as they come, before they are checked. */
export interface Options extends RingServeOptions {
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

export type Answer = Response | Promise<Response>;
export type FetchHandler = (this: Server, request: Request, server: Server) => Answer;
export type ErrorHandler = (this: Server, error: Error) => Answer | void | Promise<void>;

/** A handler, which runs in the present async context; undefined for none. */
export function readFunction<T extends Function>(name: string, value: T | null | undefined): T | undefined {
  if (value === undefined || value === null) return undefined;
  requireFunction(name, value);
  return inCurrentContext(value);
}

/** As in Bun, an array is none: a Hono app, which is given whole by `export default app`, has one. */
export function routesOf({ routes, static: formerRoutes }: Options): Record<string, unknown> | undefined {
  const given = routes ?? formerRoutes;
  return Array.isArray(given) ? undefined : given;
}

export function readPort(option: number | string | undefined): number {
  if (option !== undefined && option !== null && option !== "") return requireServerPort(option);
  return requireServerPort(
    (require("../../http/default-port.ts") as typeof import("../../http/default-port.ts")).defaultPort(),
  );
}

export function readSeconds(name: string, value: number): number {
  if (typeof value !== "number" || !(value >= 0) || value > 86400)
    throw invalidOption(name, "number", "a number of seconds from 0 to 86400", value);
  return value;
}

/** Where to listen. As in Bun, a path and a host exclude each other. */
export function readTarget({ fd, unix, hostname, port, reusePort, ipv6Only }: Options): ListenTarget {
  if (fd !== undefined) return { fd: requireDescriptor(fd) };
  const text = textOf(unix);
  if (text === undefined && unix !== undefined && unix !== null)
    throw invalidType("unix", "a path or an abstract name", unix);
  const path = text || undefined; // As in Bun, an empty one is none.
  const host = readText("hostname", hostname);
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

export function readLimits(options: Options): HttpLimits {
  const headerBytesMax = readByteCount("headerBytesMax", options.headerBytesMax, readDefaultHeaderBytes(), 256);
  return {
    headerBytesMax,
    readHeaderBytesMax: options.headerBytesMax === undefined ? readNodesHeaderBytes : undefined,
    requestBodyBytesMax: readByteCount("maxRequestBodySize", options.maxRequestBodySize, 134217728, 0),
    writeQueueBytesMax: readByteCount("writeQueueBytesMax", options.writeQueueBytesMax, 1048576, 4096),
    idleTimeoutMs: readSeconds("idleTimeout", options.idleTimeout ?? 10) * 1000,
    headerTimeoutMs: readSeconds("headerTimeout", options.headerTimeout ?? 30) * 1000,
  };
}
