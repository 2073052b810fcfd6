/**
 * A server of node:http on a listener of the ring. It accepts connections, and passes them to
 * node:http's own sockets, as Bun's server does.
 *
 * node:http passes its server to functions that accept only a native server. So each server opens a
 * native one, too, on a random abstract Unix name, where it refuses every client. Properties of
 * this native object replace the methods and values that node:http uses later.
 */
import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import { IPPROTO_TCP } from "../sys/socket-abi.ts";
import { inCurrentContext } from "../sys/async-context.ts";
import { originals } from "../sys/bun-originals.ts";
import { native } from "../sys/library.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { Connection } from "../transport/connection.ts";
import { serveFailure } from "../bun/sockets/failure.ts";
import { Listener } from "../transport/listener.ts";
import { HeadCache } from "../http/head.ts";
import { readTarget } from "../bun/serve/serve-options.ts";
import { NodeConnection } from "./connection.ts";
import type { HttpInternals, HttpServer, NodeServeOptions, OnRequest, SocketClass } from "./contract.ts";
import type { NodeHost } from "./host.ts";
import { callProgram } from "./program-call.ts";
import { type NodeParserLimits, NodeRequestParser } from "./request-parser.ts";
import { AutoFields } from "./response-head.ts";

/**
 * tcp(7): the kernel reports a new connection when its first bytes arrive, at the latest after one
 * second. Bun sets the same option.
 */
const TCP_DEFER_ACCEPT = 9;
/** Time for the head of a connection's first request. Bun's own server has the same limit. */
const FIRST_HEAD_TIMEOUT_MS = 10_000;

type NativeServer = Pick<Bun.Server<undefined>, "stop" | "unref">;

export class NodeServer implements NodeHost {
  readonly reactor: Reactor;
  readonly server: HttpServer;
  readonly Socket: SocketClass;
  readonly onRequest: OnRequest;
  readonly native: object;
  readonly limits: NodeParserLimits;
  readonly parser: NodeRequestParser;
  readonly autoFields: AutoFields;
  readonly isUnix: boolean;
  readonly inContext: NodeHost["inContext"] = inCurrentContext((call, ...args) => call(...args));
  onFault: ((socket: Socket, error: Error) => void) | undefined;

  private isStopping = false;
  private readonly connections = new Set<NodeConnection>();
  private readonly listener: Listener | undefined;
  private readonly ownNative: NativeServer | undefined;
  private referenced = true;

  /**
   * `options` is undefined for a trial, which does not listen. Throws the same error as Bun.serve
   * if it cannot listen.
   */
  constructor(
    reactor: Reactor,
    { server, Socket }: HttpInternals,
    onRequest: OnRequest,
    options: NodeServeOptions | undefined,
  ) {
    this.reactor = reactor;
    this.server = server;
    this.Socket = Socket;
    this.onRequest = inCurrentContext(onRequest);
    this.limits = readLimits(server);
    this.parser = new NodeRequestParser(this.limits);
    const heads = new HeadCache();
    this.autoFields = new AutoFields(() => heads.date(reactor.nowMs));
    this.isUnix = options?.unix !== undefined;
    this.native = this;
    if (options === undefined) return;
    const { port, hostname, unix, reusePort } = options;
    const target = readTarget({ port, hostname, unix, reusePort } as Parameters<typeof readTarget>[0]);
    try {
      this.listener = new Listener(reactor, target, (fd) => this.accept(fd));
    } catch (error) {
      throw serveFailure(error, target);
    }
    if (!this.isUnix) native().rl_setsockopt(this.listener.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    this.ownNative = openHiddenServer();
    this.native = this.dress(this.ownNative, target.unix, hostname);
  }

  closed(connection: NodeConnection): void {
    if (this.connections.delete(connection)) this.endIfOver();
  }

  /**
   * Returns the native server with own properties for everything that node:http uses of its server.
   */
  private dress(hidden: NativeServer, unix: string | undefined, hostname: string | undefined): object {
    const { address } = this.listener!;
    const values = {
      address: address ?? unix,
      hostname: address === undefined ? undefined : hostname || "localhost",
      port: address?.port,
      stop: () => this.stop(),
      closeIdleConnections: () => this.closeIdle(),
      ref: () => this.setReferenced(true),
      unref: () => this.setReferenced(false),
    };
    for (const [name, value] of Object.entries(values))
      Object.defineProperty(hidden, name, { value, configurable: true, writable: true });
    return hidden;
  }

  /** Makes a connection, and passes it to node:http. */
  private accept(fd: number): void {
    const connection = new NodeConnection(this);
    connection.transport = new Connection(this.reactor.lane, fd, connection);
    connection.transport.setTimeout(FIRST_HEAD_TIMEOUT_MS);
    if (!this.referenced) connection.transport.setReferenced(false);
    this.connections.add(connection);
    callProgram(this.inContext, present, this, connection);
  }

  /** Number of open connections, for the event 'drop'. */
  get connectionCount(): number {
    return this.connections.size;
  }

  private stop(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    this.listener!.close();
    this.endIfOver();
  }

  private endIfOver(): void {
    if (this.isStopping && this.connections.size === 0) void (stopNative.call(this.ownNative!) as Promise<void>);
  }

  /**
   * Closes the idle connections. Returns the number of connections that are still open.
   * node:http reads 0 as "all are closed".
   */
  private closeIdle(): number {
    for (const connection of [...this.connections]) connection.socket.closeIfIdle();
    return this.connections.size;
  }

  private setReferenced(referenced: boolean): void {
    this.referenced = referenced;
    this.listener!.setReferenced(referenced);
    for (const { transport } of this.connections) transport.setReferenced(referenced);
  }
}

const stopNative = function (this: NativeServer): Promise<void> {
  return (Object.getPrototypeOf(this) as NativeServer).stop.call(this, true);
};

function openHiddenServer(): NativeServer {
  const options = {
    unix: `\0ringloop-node-${randomUUID()}`,
    onNodeHTTPRequest: (...[, , , , handle]: { abort(): void }[]) => handle!.abort(),
  };
  const server = originals.serve(options as never) as unknown as NativeServer;
  server.unref();
  return server;
}

function present(host: NodeServer, connection: NodeConnection): void {
  const { server, Socket } = host;
  const socket = new Socket(server, connection.socket, false, { isUnix: host.isUnix });
  host.onFault ??= faultListener(socket);
  const { maxConnections } = server;
  if (maxConnections !== undefined && maxConnections !== null && host.connectionCount > maxConnections) {
    const {
      localAddress,
      localPort,
      localFamily,
      remoteAddress,
      remotePort,
      remoteFamily = "IPv4",
    } = socket as Socket & {
      localFamily?: string;
    };
    host.reactor.lane.traffic.connectionsOverMaximum++;
    socket.destroy();
    server.emit("drop", { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily });
  } else if (isBlocked(server, socket)) {
    host.reactor.lane.traffic.connectionsOnBlockList++;
    socket.destroy();
  } else server.emit("connection", socket);
}

/**
 * Returns the listener of 'error' that node:http gives each new socket. The ring calls it directly.
 * An 'error' event would also call the program's listeners, which get the error afterwards.
 */
export function faultListener(socket: Socket): (socket: Socket, error: Error) => void {
  const [listener] = socket.listeners("error");
  return (each, error) => listener!.call(each, error);
}

function isBlocked({ blockList }: HttpServer, socket: Socket): boolean {
  if (!blockList) return false;
  const { remoteAddress } = socket; // A system call, and memory for as long as the connection.
  if (remoteAddress === undefined) return false;
  const version = isIP(remoteAddress);
  return version !== 0 && blockList.check(remoteAddress, `ipv${version}`);
}

function readLimits(server: HttpServer): NodeParserLimits {
  const { maxHeaderSize, insecureHTTPParser, httpValidation } = server;
  const { maxHeaderSize: byDefault } = require("node:http") as typeof import("node:http");
  return {
    headerBytesMax: maxHeaderSize || byDefault,
    takesControls: insecureHTTPParser === true || httpValidation === "relaxed" || httpValidation === "insecure",
    takesCodings: insecureHTTPParser === true || httpValidation === "insecure",
    // Programs may change `maxHeadersCount` at any time.
    readFieldsMax: () => (typeof server.maxHeadersCount === "number" ? server.maxHeadersCount : 0),
  };
}
