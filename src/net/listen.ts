/**
 * `listen`: a TCP server on the ring, with the options, handlers and members of Bun.listen.
 *
 * What the ring does not serve yet goes to Bun.listen whole, with one notice; `fallback: false` makes that an error.
 */
import { leavesToBun, reactorFor } from "../reactor/fallback.ts";
import type { Mode } from "../reactor/mode.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { originals } from "../sys/bun-originals.ts";
import { Listener } from "./listener.ts";
import { readHandlers, Socket, type SocketContext, type SocketHandlers } from "./socket.ts";

export interface TcpListenOptions<Data = undefined> {
  /** A numeric address or a name. Default: all addresses, IPv6 and IPv4. */
  hostname?: string;
  /** 0 to 65535; 0 takes a free one. */
  port: number;
  socket: SocketHandlers<Data>;
  /** `data` of the listener and, at first, of each of its sockets. */
  data?: Data;
  /** The socket stays open for sending when the peer has ended. Default false. */
  allowHalfOpen?: boolean;
  /** SO_REUSEPORT. Default false. */
  reusePort?: boolean;
  /** Default false. */
  ipv6Only?: boolean;
  /** Bytes that wait to be sent on a socket, above which `write` takes no more. Default 1048576. */
  writeQueueBytesMax?: number;
  /** See ReactorOptions.mode; the thread's first server or socket decides. */
  mode?: Mode;
  /** false: an error instead of Bun.listen where the ring cannot serve. Default true. */
  fallback?: boolean;
}

export interface SocketListener<Data = undefined> extends Disposable {
  readonly hostname: string;
  readonly port: number;
  data: Data;
  /** Accepts no more. Open sockets live on, unless `closeActiveConnections`. */
  stop(closeActiveConnections?: boolean): void;
  ref(): void;
  unref(): void;
  /** Other handlers from now on, for open sockets too. */
  reload(options: { socket: SocketHandlers<Data> }): void;
}

const unserved = ["tls", "unix", "fd", "exclusive"];

export function listen<Data = undefined>(options: TcpListenOptions<Data>): SocketListener<Data> {
  if (typeof options !== "object" || options === null)
    throw new TypeError(`options must be an object, not ${Bun.inspect(options)}`);
  const left = leavesToBun("listen", options as unknown as Record<string, unknown>, unserved);
  const reactor = left ? undefined : reactorFor("listen", options);
  if (!reactor) return originals.listen(options as never) as unknown as SocketListener<Data>;
  return new RingListener(reactor, options);
}

class RingListener<Data> implements SocketListener<Data>, SocketContext<Data> {
  readonly hostname: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  readonly writeQueueBytesMax: number;
  data: Data;
  handlers: SocketHandlers<Data>;

  private readonly reactor: Reactor;
  private readonly listener: Listener;
  private readonly sockets = new Set<Socket<Data>>();

  constructor(reactor: Reactor, options: TcpListenOptions<Data>) {
    const { hostname, port, reusePort, ipv6Only, writeQueueBytesMax = 1048576 } = options;
    if (hostname !== undefined && (typeof hostname !== "string" || hostname === "" || hostname.includes("\0")))
      throw new TypeError(`hostname must be a non-empty string, not ${Bun.inspect(hostname)}`);
    if (!Number.isInteger(port) || port < 0 || port > 65535)
      throw new TypeError(`port must be an integer from 0 to 65535, not ${Bun.inspect(port)}`);
    if (!Number.isSafeInteger(writeQueueBytesMax) || writeQueueBytesMax < 1)
      throw new TypeError(
        `writeQueueBytesMax must be a positive integer number of bytes, not ${Bun.inspect(writeQueueBytesMax)}`,
      );
    this.handlers = readHandlers(options.socket);
    this.reactor = reactor;
    this.data = options.data as Data;
    this.allowHalfOpen = options.allowHalfOpen ?? false;
    this.writeQueueBytesMax = writeQueueBytesMax;
    this.listener = new Listener(reactor, { hostname, port, reusePort, ipv6Only }, (fd) => this.accept(fd));
    this.hostname = hostname ?? this.listener.address.address;
    this.port = this.listener.address.port;
  }

  stop(closeActiveConnections = false): void {
    this.listener.close();
    if (closeActiveConnections) for (const socket of [...this.sockets]) socket.connection.destroy();
  }

  ref(): void {
    this.listener.setReferenced(true);
  }

  unref(): void {
    this.listener.setReferenced(false);
  }

  reload(options: { socket: SocketHandlers<Data> }): void {
    this.handlers = readHandlers(options.socket);
  }

  closed(socket: Socket<Data>): void {
    this.sockets.delete(socket);
  }

  [Symbol.dispose](): void {
    this.stop(true);
  }

  private accept(fd: number): void {
    const socket = new Socket<Data>(this.reactor, fd, this, this.data);
    this.sockets.add(socket);
    socket.onOpen();
  }
}
