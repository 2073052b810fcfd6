/**
 * `listen`: a stream server on the ring, with the options, handlers and members of Bun.listen.
 *
 * If an option is not served by the ring yet, the whole call goes to Bun.listen, with one notice.
 * With `fallback: false`, it throws an error instead.
 */
import { leavesToBun, markAsBuns, reactorFor } from "../../operations/fallback.ts";
import type { Mode } from "../../reactor/mode.ts";
import type { Reactor } from "../../reactor/reactor.ts";
import { originals } from "../../sys/bun-originals.ts";
import { Listener } from "../../transport/listener.ts";
import { listenFailure } from "./failure.ts";
import { type PassedSocket, takePassedSocket } from "../../transport/passed-sockets.ts";
import { readByteCount, readListenEndpoint, requireListeningDescriptor } from "./options.ts";
import { requireObject } from "../../sys/check.ts";
import { Socket, type SocketContext } from "./socket.ts";
import { readHandlers, type SocketHandlers } from "./socket-handlers.ts";

/** Options that `listen` and `connect` share. */
export interface StreamOptions<Data = undefined> {
  socket: SocketHandlers<Data>;
  /** The first value of `data`, of the listener and of each of its sockets. */
  data?: Data;
  /** Whether the socket stays open for sending after the peer has ended. Default: false. */
  allowHalfOpen?: boolean;
  /**
   * Bytes that may wait to be sent on a socket. `write` accepts no more than that. Default:
   * 1048576.
   */
  writeQueueBytesMax?: number;
  /** See ReactorOptions.mode. The first server or socket of the thread decides. */
  mode?: Mode;
  /**
   * With false, the function throws an error if the ring cannot serve. With true, Bun's function
   * serves instead. Default: true.
   */
  fallback?: boolean;
}

export interface TcpListenOptions<Data = undefined> extends StreamOptions<Data> {
  /** A numeric address or a name. Default: all addresses, IPv6 and IPv4. */
  hostname?: string;
  /** 0 to 65535. With 0, the kernel chooses a free port. */
  port: number;
  /** Sets SO_REUSEPORT. Default: false. */
  reusePort?: boolean;
  /** Prevents that others share the port: `reusePort` has no effect. Default: false. */
  exclusive?: boolean;
  /** Whether the socket serves IPv6 only. Default: false. */
  ipv6Only?: boolean;
}

export interface UnixOptions<Data = undefined> extends StreamOptions<Data> {
  /**
   * A path, or an abstract name with a leading NUL. The file at the path is removed when the
   * listener stops.
   */
  unix: string;
}

export interface DescriptorOptions<Data = undefined> extends StreamOptions<Data> {
  /**
   * The descriptor of a connected socket that was made elsewhere. It belongs to the ring from this
   * call on.
   */
  fd: number;
}

export interface ListeningDescriptorOptions<Data = undefined> extends StreamOptions<Data> {
  /** See RingServeOptions.fd. */
  fd: number | PassedSocket;
}

export interface SocketListener<Data = undefined> extends Disposable {
  readonly hostname: string;
  readonly port: number;
  /** The path or name of a Unix socket. */
  readonly unix?: string;
  /**
   * Whether the listener runs on the ring. False on a listener of Bun.listen, whose sockets have no
   * `ring`.
   */
  readonly ring: boolean;
  /** The descriptor. -1 once the listener is stopped. */
  readonly fd: number;
  data: Data;
  /** Writes the address, port and family of the listening socket into `out`. */
  getsockname(out: object): void;
  /** Stops accepting. Open sockets stay open, unless `closeActiveConnections` is true. */
  stop(closeActiveConnections?: boolean): void;
  ref(): void;
  unref(): void;
  /** Replaces the handlers, for open sockets too. */
  reload(options: { socket: SocketHandlers<Data> }): void;
}

const WRITE_QUEUE_BYTES_MAX = 1048576;

export function listen<Data = undefined>(
  options: TcpListenOptions<Data> | UnixOptions<Data> | ListeningDescriptorOptions<Data>,
): SocketListener<Data> {
  requireObject("options", options);
  const left = leavesToBun("listen", options as unknown as Record<string, unknown>, ["tls"]);
  const reactor = left ? undefined : reactorFor("listen", options);
  if (!reactor) return markAsBuns(originals.listen(withNumber(options) as never) as unknown as SocketListener<Data>);
  return new RingListener(reactor, options);
}

/** Returns the options for Bun.listen, which takes only the number of a passed socket. */
export function withNumber<Options extends object>(options: Options & { fd?: number | PassedSocket }): Options {
  if (typeof options.fd !== "string") return options;
  const which = requireListeningDescriptor(options.fd) as PassedSocket;
  return { ...options, fd: takePassedSocket(which) };
}

/**
 * Reads the options that sockets share even if they were not accepted together. Throws a TypeError
 * for a wrong option.
 */
export function readContext<Data>(
  options: StreamOptions<Data>,
): Omit<SocketContext<Data>, "closed"> & { handlers: SocketHandlers<Data> } {
  return {
    handlers: readHandlers(options.socket),
    allowHalfOpen: options.allowHalfOpen ?? false,
    writeQueueBytesMax: readByteCount("writeQueueBytesMax", options.writeQueueBytesMax, WRITE_QUEUE_BYTES_MAX, 1),
    listener: undefined,
  };
}

class RingListener<Data> implements SocketListener<Data>, SocketContext<Data> {
  declare readonly hostname: string;
  declare readonly port: number;
  declare readonly unix?: string;
  readonly allowHalfOpen: boolean;
  readonly writeQueueBytesMax: number;
  data: Data;
  handlers: SocketHandlers<Data>;

  private readonly reactor: Reactor;
  private readonly acceptor: Listener;
  private readonly sockets = new Set<Socket<Data>>();

  constructor(
    reactor: Reactor,
    options: TcpListenOptions<Data> | UnixOptions<Data> | ListeningDescriptorOptions<Data>,
  ) {
    const { reusePort, exclusive, ipv6Only } = options as TcpListenOptions<Data>;
    const endpoint = readListenEndpoint(options);
    const { handlers, allowHalfOpen, writeQueueBytesMax } = readContext(options);
    this.reactor = reactor;
    this.handlers = handlers;
    this.allowHalfOpen = allowHalfOpen;
    this.writeQueueBytesMax = writeQueueBytesMax;
    this.data = options.data as Data;
    try {
      this.acceptor = new Listener(reactor, { ...endpoint, reusePort, exclusive, ipv6Only }, (fd) => this.accept(fd));
    } catch (error) {
      throw endpoint.fd === undefined ? listenFailure(error, endpoint) : error;
    }
    const { address, unix } = this.acceptor;
    if (unix !== undefined) this.unix = unix;
    if (!address) return;
    this.hostname = endpoint.hostname ?? address.address;
    this.port = address.port;
  }

  get listener(): SocketListener<Data> {
    return this;
  }

  get ring(): boolean {
    return true;
  }

  get fd(): number {
    return this.acceptor.fd;
  }

  getsockname(out: object): void {
    requireObject("out", out);
    const { address } = this.acceptor;
    if (address !== undefined && this.fd >= 0)
      Object.assign(out, { family: address.family, address: address.address, port: address.port });
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { hostname, port, unix } = this;
    return `SocketListener ${Bun.inspect({ hostname, port, unix })}`;
  }

  stop(closeActiveConnections = false): void {
    this.acceptor.close();
    if (!closeActiveConnections) return;
    // Sends the written bytes first. With Bun they have left already, because Bun's write() is a
    // send(2).
    this.reactor.submitFinished();
    for (const socket of [...this.sockets]) socket.drop(false);
  }

  ref(): void {
    this.acceptor.setReferenced(true);
  }

  unref(): void {
    this.acceptor.setReferenced(false);
  }

  reload(options: { socket: SocketHandlers<Data> }): void {
    requireObject("options", options);
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
