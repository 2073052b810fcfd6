/**
 * A stream socket with promises in place of handlers: `for await (const chunk of socket)`,
 * `await socket.write(...)`, or web streams.
 *
 * Guarantees: there is backpressure in both directions. The socket receives no faster than the
 * program reads chunks, and `write` resolves when there is room for more. Every waiting call learns
 * of the end of the connection. `readable`, `writable` and iteration are views of one socket: use
 * one view for each direction.
 */
import { leavesToBun, reactorFor } from "../../operations/fallback.ts";
import type { Reactor } from "../../reactor/reactor.ts";
import { openConnection, type TcpConnectOptions } from "./connect.ts";
import { type ConnectLimits, withLimits } from "./connect-limit.ts";
import { Connection } from "../../transport/connection.ts";
import {
  type DescriptorOptions,
  type ListeningDescriptorOptions,
  type TcpListenOptions,
  type UnixOptions,
  withNumber,
} from "./listen.ts";
import { Listener } from "../../transport/listener.ts";
import { lazily } from "../../sys/lazily.ts";
import { native } from "../../sys/library.ts";
import type { Mode } from "../../reactor/mode.ts";
import { readByteCount, readEndpoint, readListenEndpoint } from "./options.ts";
import { requireObject, withCode } from "../../sys/check.ts";
import { toBytes, type Writable } from "./socket-data.ts";
import type { SocketAddress } from "../../transport/address.ts";
import type { Outbox } from "../../transport/outbox.ts";
import { Hold, type Transport } from "../../transport/transport.ts";

/** Received bytes that may wait for the program. At this number, the socket stops receiving. */
const BUFFERED_BYTES_MAX = 262144;
/**
 * Cost of a chunk besides its bytes, in bytes. With it, many small chunks count with their real
 * cost.
 */
const CHUNK_BYTES = 256;
/**
 * Number of accepted sockets that may wait for the program. More connections wait in the kernel's
 * queue.
 */
const WAITING_SOCKETS_MAX = 64;
const WRITE_QUEUE_BYTES_MAX = 1048576;

type Waiter<T> = PromiseWithResolvers<T>;

/**
 * The transport of a StreamSocket: a connection of the ring, or a socket of Bun (bun-stream.ts).
 */
export interface StreamTransport extends Pick<
  Transport,
  | "isOpen"
  | "queuedBytes"
  | "localAddress"
  | "remoteAddress"
  | "requestDrain"
  | "finish"
  | "destroy"
  | "hold"
  | "release"
  | "setReferenced"
> {
  readonly outbox: Pick<Outbox, "write">;
}

/** The calls from a transport of either kind to a StreamSocket. */
export interface StreamUser {
  readonly isReentrant: boolean;
  readonly backlogBytesMax: number;
  readonly connectionKind: "socket";
  consume(memory: Buffer, start: number, end: number): number;
  onEnd(): void;
  onDrain(): void;
  onTimeout(): void;
  onClose(error: Error | undefined): void;
}

export class StreamSocket implements StreamUser, AsyncDisposable {
  /**
   * Resolves when the connection is closed. Rejects if the connection broke: with a SystemError, or
   * with Bun's error if the socket is not on the ring.
   */
  readonly closed: Promise<void>;

  /** Whether the socket runs on the ring. False on a socket of Bun. */
  readonly ring: boolean;

  private readonly connection: StreamTransport;
  private readonly writeQueueBytesMax: number;
  private readonly closing = Promise.withResolvers<void>();
  private chunks: Buffer[] = [];
  private bufferedBytes = 0;
  private ended = false;
  private failure: Error | undefined;
  private reader: Waiter<IteratorResult<Buffer, undefined>> | undefined;
  private writers: Waiter<void>[] = [];
  private readableView: ReadableStream<Uint8Array> | undefined;
  private writableView: WritableStream<Writable> | undefined;

  /** @internal */
  constructor(transport: (user: StreamUser) => StreamTransport, writeQueueBytesMax: number) {
    this.writeQueueBytesMax = writeQueueBytesMax;
    this.closed = this.closing.promise;
    // Every read or write learns of the error too, so a program need not handle this promise.
    this.closed.catch(() => {});
    this.connection = transport(this);
    this.ring = this.connection instanceof Connection;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { localAddress, remoteAddress } = this;
    return `StreamSocket ${Bun.inspect({ localAddress, remoteAddress })}`;
  }

  get localAddress(): SocketAddress | undefined {
    return this.connection.localAddress;
  }

  get remoteAddress(): SocketAddress | undefined {
    return this.connection.remoteAddress;
  }

  /**
   * Queues all of the data. Resolves when there is room for more. Rejects if the connection breaks,
   * and with ERR_SOCKET_CLOSED if it has ended.
   */
  async write(data: Writable): Promise<void> {
    if (!this.connection.isOpen) throw this.failure ?? closedError("the socket is closed for writing");
    this.connection.outbox.write(toBytes(data, 0, undefined));
    if (this.connection.queuedBytes < this.writeQueueBytesMax) return;
    await this.drained();
  }

  /** Sends what is queued, then FIN. The peer may still send. Resolves when everything has left. */
  async end(data?: Writable): Promise<void> {
    if (data !== undefined) await this.write(data);
    this.connection.finish("fin");
    if (this.connection.queuedBytes > 0) await this.drained();
  }

  /** Closes at once. Queued bytes are lost. */
  destroy(): void {
    this.connection.destroy();
  }

  ref(): void {
    this.connection.setReferenced(true);
  }

  unref(): void {
    this.connection.setReferenced(false);
  }

  /** Returns the next chunk, or `done` at the peer's end. Only one call may wait at a time. */
  next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.reader) return Promise.reject(new Error("the socket is being read already"));
    const chunk = this.chunks.shift();
    if (chunk) {
      this.bufferedBytes -= chunk.length + CHUNK_BYTES;
      if (this.bufferedBytes < BUFFERED_BYTES_MAX) this.connection.release(Hold.Reader);
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.failure) return Promise.reject(this.failure);
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    this.reader = Promise.withResolvers();
    return this.reader.promise;
  }

  /**
   * Iterates over the chunks. Leaving the loop early closes the socket, as it closes a web stream.
   */
  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: () => this.next(),
      return: () => {
        this.connection.finish("close");
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  get readable(): ReadableStream<Uint8Array> {
    return (this.readableView ??= new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await this.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        cancel: () => this.connection.finish("close"),
      },
      { highWaterMark: 0 },
    ));
  }

  get writable(): WritableStream<Writable> {
    return (this.writableView ??= new WritableStream<Writable>({
      write: (chunk) => this.write(chunk),
      close: () => this.end(),
      abort: () => this.destroy(),
    }));
  }

  /** Sends what is queued, then closes. Resolves when the connection is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.finish("close");
    await this.closed.catch(() => {});
  }

  // ---- from the connection ----------------------------------------------------------------------

  /** @internal */
  readonly isReentrant = true;
  /** @internal */
  readonly backlogBytesMax = Infinity;
  /** @internal */
  readonly connectionKind = "socket";

  /** @internal */
  consume(memory: Buffer, start: number, end: number): number {
    const chunk = Buffer.allocUnsafeSlow(end - start);
    memory.copy(chunk, 0, start, end);
    if (this.reader) {
      this.reader.resolve({ done: false, value: chunk });
      this.reader = undefined;
      return end;
    }
    this.chunks.push(chunk);
    this.bufferedBytes += chunk.length + CHUNK_BYTES;
    if (this.bufferedBytes >= BUFFERED_BYTES_MAX) this.connection.hold(Hold.Reader);
    return end;
  }

  /** @internal */
  onEnd(): void {
    this.ended = true;
    this.reader?.resolve({ done: true, value: undefined });
    this.reader = undefined;
  }

  /** @internal */
  onDrain(): void {
    const { writers } = this;
    this.writers = [];
    for (const writer of writers) writer.resolve();
  }

  /** @internal */
  onTimeout(): void {}

  /** @internal */
  onClose(error: Error | undefined): void {
    this.failure = error;
    this.ended = true;
    if (error) this.reader?.reject(error);
    else this.reader?.resolve({ done: true, value: undefined });
    this.reader = undefined;
    for (const writer of this.writers)
      writer.reject(error ?? closedError("the socket was closed before everything was sent"));
    this.writers = [];
    if (error) this.closing.reject(error);
    else this.closing.resolve();
  }

  private drained(): Promise<void> {
    const writer = Promise.withResolvers<void>();
    this.writers.push(writer);
    this.connection.requestDrain();
    return writer.promise;
  }
}

type Without<Options> = Omit<Options, "socket" | "data" | "allowHalfOpen">;

const buns = lazily(() => require("./bun-stream.ts") as typeof import("./bun-stream.ts"));

function onRing(reactor: Reactor, fd: number): (user: StreamUser) => StreamTransport {
  return (user) => new Connection(reactor.lane, fd, user);
}

/**
 * Returns the reactor, or undefined if Bun's function serves. In that case it throws a TypeError or
 * SystemError if `fallback` is false.
 */
function reactorOf(what: string, options: { mode?: Mode; fallback?: boolean }): Reactor | undefined {
  const left = leavesToBun(what, options as Record<string, unknown>, ["tls"]);
  return left ? undefined : reactorFor(what, options);
}

/**
 * Connects like `connect`, for a socket without handlers. Until the socket is connected, an abort
 * of `signal` rejects the promise with the signal's reason, and `timeoutMs` rejects it with
 * ETIMEDOUT. After that, they have no effect.
 */
export async function connectStream(
  options: (Without<TcpConnectOptions> | Without<UnixOptions> | Without<DescriptorOptions>) & ConnectLimits,
): Promise<StreamSocket> {
  requireObject("options", options);
  const queueBytesMax = readByteCount("writeQueueBytesMax", options.writeQueueBytesMax, WRITE_QUEUE_BYTES_MAX, 1);
  const endpoint = readEndpoint(options);
  const reactor = reactorOf("connectStream", options);
  if (reactor) {
    const open = (signal?: AbortSignal): Promise<number> => openConnection(reactor, endpoint, signal);
    // A descriptor that the program gave still belongs to the program.
    const fd = await withLimits(options, open, (late) => endpoint.fd === undefined && closeDescriptor(reactor, late));
    return new StreamSocket(onRing(reactor, fd), queueBytesMax);
  }
  const open = async (): Promise<StreamSocket> => {
    let socket: StreamSocket | undefined;
    await buns().connectByBun(options, (transport) => (socket = new StreamSocket(transport, queueBytesMax)));
    return socket!;
  };
  return withLimits(options, open, (late) => late.destroy());
}

function closeDescriptor(reactor: Reactor, fd: number): void {
  reactor.lane.owned.delete(fd);
  native().rl_close(fd);
}

export interface StreamListener extends AsyncIterable<StreamSocket>, Disposable {
  readonly address: SocketAddress | undefined;
  /** Whether the listener runs on the ring. False on a listener of Bun.listen. */
  readonly ring: boolean;
  /** Stops accepting, and ends the iteration. Sockets that the program has stay open. */
  stop(): void;
}

/**
 * Listens like `listen`, for sockets without handlers:
 * `for await (const socket of listenStream({ port: 0 }))`. Several calls of `next()` get their
 * sockets in order. Up to 64 accepted sockets wait for the program. More connections wait in the
 * kernel's queue.
 */
export function listenStream(
  options: Without<TcpListenOptions> | Without<UnixOptions> | Without<ListeningDescriptorOptions>,
): StreamListener {
  requireObject("options", options);
  const { reusePort, exclusive, ipv6Only } = options as TcpListenOptions;
  const queueBytesMax = readByteCount("writeQueueBytesMax", options.writeQueueBytesMax, WRITE_QUEUE_BYTES_MAX, 1);
  const endpoint = readListenEndpoint(options);
  const reactor = reactorOf("listenStream", options);
  const waiting: StreamSocket[] = [];
  const takers: Waiter<IteratorResult<StreamSocket, undefined>>[] = [];
  let stopped = false;
  const accept = (transport: (user: StreamUser) => StreamTransport): void => {
    const socket = new StreamSocket(transport, queueBytesMax);
    const taker = takers.shift();
    if (taker) return taker.resolve({ done: false, value: socket });
    if (waiting.push(socket) === WAITING_SOCKETS_MAX) pause(true);
  };
  const listener = reactor
    ? new Listener(reactor, { ...endpoint, reusePort, exclusive, ipv6Only }, (fd) => accept(onRing(reactor, fd)))
    : buns().listenByBun(withNumber(options), accept);
  // Bun's listener cannot be paused and accepts all connections.
  const pause = (on: boolean): void => void (listener instanceof Listener && listener.setPaused(on));
  const stop = (): void => {
    stopped = true;
    listener.close();
    for (const taker of takers.splice(0)) taker.resolve({ done: true, value: undefined });
    for (const socket of waiting.splice(0)) socket.destroy();
  };
  const next = (): Promise<IteratorResult<StreamSocket, undefined>> => {
    const socket = waiting.shift();
    if (waiting.length < WAITING_SOCKETS_MAX) pause(false);
    if (socket) return Promise.resolve({ done: false, value: socket });
    if (stopped) return Promise.resolve({ done: true, value: undefined });
    const taker = Promise.withResolvers<IteratorResult<StreamSocket, undefined>>();
    takers.push(taker);
    return taker.promise;
  };
  return {
    address: listener.address,
    ring: reactor !== undefined,
    stop,
    [Symbol.dispose]: stop,
    [Symbol.asyncIterator]: () => ({
      next,
      return: () => {
        stop();
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
}

/** Node's code for a write to a socket that is closed. */
function closedError(message: string): Error {
  return withCode("ERR_SOCKET_CLOSED", new Error(message));
}
