/** The options of `serve`: their types, defaults and checks. */
import type { ListenTarget } from "../../transport/open-socket.ts";
import type { PassedSocket } from "../../transport/passed-sockets.ts";
import {
  hostOf,
  readByteCount,
  readText,
  requireListeningDescriptor,
  requireServerPort,
  textOf,
} from "../sockets/options.ts";
import type { Mode } from "../../reactor/mode.ts";
import { invalidOption, invalidType, requireFunction } from "../../sys/check.ts";
import { inCurrentContext } from "../../sys/async-context.ts";
import type { HttpLimits } from "../../http/host.ts";
import type { Server } from "./server.ts";

/** The options that serve has in addition to those of Bun.serve. */
export interface RingServeOptions {
  /**
   * Largest head of a request, in bytes. A longer head gets 431, or 414 if the request line is too
   * long. Default: 16384, or the value of Bun's `--max-http-header-size`. The default rises if
   * `maxHeaderSize` of node:http is larger.
   */
  headerBytesMax?: number;
  /**
   * Largest time from a request's first byte to the end of its head, in seconds. Later: 408. 0
   * means no limit. Default: 30.
   */
  headerTimeout?: number;
  /**
   * Bytes of responses that wait for a client. From this number on, the client gets no further
   * requests served. Default: 1048576.
   */
  writeQueueBytesMax?: number;
  /**
   * A socket that already listens, instead of a port or a path. It belongs to the server from this
   * call on, and is close-on-exec.
   *
   * - A number: its descriptor. A socket that does not listen yet listens then.
   * - `"systemd"`: the first socket that systemd has passed to the process and that no call has taken
   *   yet, in the order of the socket units' lines (socket activation, sd_listen_fds(3)).
   * - `"systemd:NAME"`: the first of these with that name (FileDescriptorName= of the socket unit;
   *   default: the unit's name, such as "app.socket").
   *
   * The first use of the last two removes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from
   * `process.env`, and makes all passed sockets close-on-exec. They are for the main thread. Throws an
   * Error with the code ERR_SOCKET_ACTIVATION if LISTEN_FDS is not set, is for another process
   * (LISTEN_PID), has no socket of that name, has none that is free, or if the socket does not listen.
   *
   * Bun.serve takes no descriptor. So serve throws a TypeError where the ring cannot serve; listen
   * and listenStream give the descriptor to Bun.listen.
   */
  fd?: number | PassedSocket;
  /** See ReactorOptions.mode. The first server or socket of the thread decides. */
  mode?: Mode;
  /**
   * With false, serve throws an error if the ring cannot serve. With true, Bun.serve serves
   * instead. Default: true.
   */
  fallback?: boolean;
}

/**
 * Bun's options with the options of the ring. Here, idleTimeout may be up to 86400 seconds (a day).
 */
export type ServeOptions<WebSocketData = undefined, R extends string = string> = Bun.Serve.Options<WebSocketData, R> &
  RingServeOptions;

/** The options that a program gave, before they are checked. */
export interface Options extends RingServeOptions {
  fetch?: FetchHandler;
  routes?: Record<string, unknown>;
  /** The former name of `routes` in Bun. */
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

/**
 * Returns the routes of the options. As in Bun, an array counts as no routes: a Hono app has one,
 * and `export default app` gives the whole app as options.
 */
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

/** Reads where to listen. As in Bun, a path and a host exclude each other. */
export function readTarget({ fd, unix, hostname, port, reusePort, ipv6Only }: Options): ListenTarget {
  if (fd !== undefined) return { fd: requireListeningDescriptor(fd) };
  const text = textOf(unix);
  if (text === undefined && unix !== undefined && unix !== null)
    throw invalidType("unix", "a path or an abstract name", unix);
  const path = text || undefined; // As in Bun, an empty path counts as none.
  const host = readText("hostname", hostname);
  if (path === undefined) return { hostname: host && hostOf(host), port: readPort(port), reusePort, ipv6Only };
  if (host !== undefined) throw new TypeError("unix and hostname exclude each other, and both are given");
  return { unix: path };
}

/**
 * Reads the limit that Bun was started with for node:http, as in
 * `bun --max-http-header-size=32768 app.ts`. Default: 16384 bytes.
 */
function readDefaultHeaderBytes(): number {
  const option = "--max-http-header-size";
  const { execArgv } = process;
  const at = execArgv.findIndex((each) => each === option || each.startsWith(`${option}=`));
  const bytes = at < 0 ? 0 : Number(execArgv[at]!.slice(option.length + 1) || execArgv[at + 1]);
  return bytes >= 256 ? Math.floor(bytes) : 16384;
}

/**
 * Reads the limit of node:http, in bytes. The first head that is too long calls this. So a program
 * that does not use node:http does not load it before.
 */
function readNodesHeaderBytes(): number {
  return (require("node:http") as typeof import("node:http")).maxHeaderSize;
}

export function readLimits(options: Options): HttpLimits {
  const headerBytesMax = readByteCount("headerBytesMax", options.headerBytesMax, readDefaultHeaderBytes(), 256);
  return {
    headerBytesMax,
    readHeaderBytesMax: options.headerBytesMax === undefined ? readNodesHeaderBytes : undefined,
    requestBodyBytesMax: readByteCount("maxRequestBodySize", options.maxRequestBodySize ?? undefined, 134217728, 0),
    writeQueueBytesMax: readByteCount("writeQueueBytesMax", options.writeQueueBytesMax, 1048576, 4096),
    idleTimeoutMs: readSeconds("idleTimeout", options.idleTimeout ?? 10) * 1000,
    headerTimeoutMs: readSeconds("headerTimeout", options.headerTimeout ?? 30) * 1000,
  };
}
