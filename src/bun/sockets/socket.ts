/**
 * A TCP socket as Bun's handlers know it, over a connection of the ring.
 *
 * Guarantees: what a handler is given is a copy and stays valid; handlers are called one at a time, each in the async context in which it
 * was handed over; `close` is called once, and after it only `error`, for the handler that closed the socket and then threw; a handler that
 * throws ends in `error` and the socket goes on, except for `open`. `write` takes what the queue has room for and says how much that was; the
 * rest is the caller's until `drain`.
 */
import type { Reactor } from "../../reactor/reactor.ts";
import { currentContext, outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import { IPPROTO_TCP, SHUT_RD, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPIDLE, TCP_NODELAY } from "../../sys/abi.ts";
import { invalidOption } from "../../sys/check.ts";
import { EBADF, type SystemError } from "../../sys/errno.ts";
import { native } from "../../sys/library.ts";
import type { SocketAddress } from "../../transport/address.ts";
import { Connection } from "../../transport/connection.ts";
import { type Consumer, Hold } from "../../transport/transport.ts";
import type { SocketListener } from "./listen.ts";
import { PlainSocket } from "./plain-socket.ts";
import { copyFor, toBytes, type Writable } from "./socket-data.ts";
import { readHandlers, type SocketHandlers } from "./socket-handlers.ts";
import { readTypeOfService, requireTypeOfService, writeTypeOfService } from "./type-of-service.ts";

/** How long the peer may take nothing of what was queued before the socket was closed. The kernel gives up after a similar time. */
const LEAVE_TIMEOUT_MS = 60_000;

/** Closed sockets, as their program knows them, whose last bytes are on their way out. */
const leaving: Consumer = {
  isReentrant: true,
  backlogBytesMax: Infinity,
  consume: (_memory, _start, end) => end,
  onEnd() {},
  onDrain() {},
  onTimeout(connection) {
    if (connection.takeProgress()) connection.setTimeout(LEAVE_TIMEOUT_MS);
    else connection.destroy();
  },
  onClose() {},
};

/** In place of an argument: the handler gets the socket alone. */
const NONE = Symbol("none");

/** What all sockets of a listener share; `reload` changes it for all of them. */
export interface SocketContext<Data> {
  handlers: SocketHandlers<Data>;
  readonly allowHalfOpen: boolean;
  /** Bytes that wait to be sent, above which `write` takes no more. */
  readonly writeQueueBytesMax: number;
  readonly listener: SocketListener<Data> | undefined;
  closed(socket: Socket<Data>): void;
}

const NO_ADDRESS = {} as SocketAddress;

export class Socket<Data = undefined> extends PlainSocket implements Consumer {
  data: Data;
  /** @internal */ readonly connection: Connection;
  private context: SocketContext<Data>;

  /** @internal */
  constructor(reactor: Reactor, fd: number, context: SocketContext<Data>, data: Data) {
    super();
    this.data = data;
    this.context = context;
    this.connection = new Connection(reactor.lane, fd, this);
  }

  /** Whether it runs on the ring: true. false on what `connect` gives of Bun's own. */
  get ring(): boolean {
    return true;
  }

  /**
   * Queues bytes; everything queued within a turn leaves in one send. Returns how many were taken: fewer than given when the queue is
   * full (then `drain` follows), -1 when the socket is closed or ended.
   */
  write(data: Writable, byteOffset = 0, byteLength?: number): number {
    const { connection } = this;
    if (!this.takesBytes) return -1;
    const bytes = toBytes(data, byteOffset, byteLength);
    const { length } = bytes; // Once: shared memory may grow.
    const room = this.context.writeQueueBytesMax - connection.queuedBytes;
    if (length <= room) {
      connection.outbox.write(bytes, length);
      return length;
    }
    connection.requestDrain();
    if (room <= 0) return 0;
    connection.outbox.write(bytes, room);
    return room;
  }

  /**
   * Closes the socket, as in Bun: `close` is called before this returns, and nothing more is received. What is queued leaves first, with all
   * of `data`, whatever the queue's limit. Returns the bytes of `data`. Returns -1 and does nothing when the socket is closed, or when there
   * is data and the sending side is shut down. A peer that takes none of the rest for 60 seconds loses it.
   */
  end(data?: Writable, byteOffset?: number, byteLength?: number): number {
    if (this.isClosed || (data !== undefined && !this.takesBytes)) return -1;
    const bytes = data === undefined ? undefined : toBytes(data, byteOffset ?? 0, byteLength);
    if (bytes !== undefined) this.connection.outbox.write(bytes);
    this.leave();
    return bytes?.length ?? 0;
  }

  /** What is queued leaves with the end of the current turn in any case. */
  flush(): void {}

  /** As `end()`. */
  close(): void {
    if (!this.isClosed) this.leave();
  }

  /** Closes at once, with RST; what is queued is lost. `close` is called before this returns. */
  terminate(): void {
    this.drop(true);
  }

  /** @internal Closes at once, with RST or FIN. */
  drop(reset: boolean): void {
    if (this.isClosed) return;
    const { connection } = this;
    connection.setConsumer(leaving);
    connection.destroy(undefined, reset);
    this.tellClose(undefined);
  }

  /** Ends the sending side, or, with `true`, the receiving side. */
  shutdown(readSide = false): void {
    if (this.isClosed) return;
    if (!readSide) this.connection.finish("fin");
    else if (this.connection.fd >= 0) native().rl_shutdown(this.connection.fd, SHUT_RD);
  }

  pause(): void {
    if (!this.isClosed) this.connection.hold(Hold.Program);
  }

  resume(): void {
    this.connection.release(Hold.Program);
  }

  /** Seconds until `timeout` is called, once, from now on; 0 is never. Calling it again starts anew. Traffic does not move it, as in Bun. */
  timeout(seconds: number): void {
    if (typeof seconds !== "number" || !(seconds >= 0))
      throw invalidOption("seconds", "number", "a number of at least 0", seconds);
    if (this.isClosed) return;
    if (seconds === 0) this.connection.clearTimeout();
    else this.connection.setTimeout(seconds * 1000);
  }

  ref(): void {
    this.connection.setReferenced(true);
  }

  unref(): void {
    this.connection.setReferenced(false);
  }

  /** Other handlers from now on, for this socket alone. */
  reload(options: { socket: SocketHandlers<Data> }): void {
    const { context } = this;
    const { allowHalfOpen, writeQueueBytesMax, listener } = context;
    const handlers = readHandlers(options.socket);
    this.context = {
      handlers,
      allowHalfOpen,
      writeQueueBytesMax,
      listener,
      closed: (socket) => context.closed(socket),
    };
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { readyState, localAddress, localPort, remoteAddress, remotePort, bytesWritten } = this;
    return `Socket ${Bun.inspect({ readyState, localAddress, localPort, remoteAddress, remotePort, bytesWritten })}`;
  }

  /** The listener that accepted it; undefined for one that connected. */
  get listener(): SocketListener<any> | undefined {
    return this.context.listener;
  }

  /** 1 open, -1 closed. As in Bun, a socket whose sending side is shut down is open. */
  get readyState(): -1 | 1 {
    return this.isClosed ? -1 : 1;
  }

  get bytesWritten(): number {
    return this.connection.sentBytes + this.connection.queuedBytes;
  }

  /** Default true: small writes are coalesced within a turn, and never held back by the kernel. */
  setNoDelay(noDelay = true): boolean {
    return this.setOption(IPPROTO_TCP, TCP_NODELAY, noDelay ? 1 : 0);
  }

  setKeepAlive(enable = false, initialDelayMs = 0): boolean {
    const set = this.setOption(SOL_SOCKET, SO_KEEPALIVE, enable ? 1 : 0);
    const seconds = Math.floor(initialDelayMs / 1000);
    return enable && seconds > 0 ? this.setOption(IPPROTO_TCP, TCP_KEEPIDLE, seconds) : set;
  }

  /** The descriptor, -1 once the socket is closed. */
  get fd(): number {
    return this.isClosed ? -1 : this.connection.fd;
  }

  /** The field of that name (IPV6_TCLASS of an IPv6 socket), or a negative errno, such as -9 once the socket is closed. */
  getTypeOfService(): number {
    return this.isClosed ? -EBADF : readTypeOfService(this.connection.fd, this.localFamily);
  }

  /** 0 to 255. Returns 0, or a negative errno. Throws a RangeError or TypeError for another value; undefined is 0. */
  setTypeOfService(tos?: number): number {
    const value = requireTypeOfService(tos);
    return this.isClosed ? -EBADF : writeTypeOfService(this.connection.fd, this.localFamily, value);
  }

  /** Addresses are the numeric ones, typed as in Bun; all are undefined for Unix sockets, and once the socket is closed. */
  get remoteAddress(): string {
    return this.remote.address;
  }

  get remotePort(): number {
    return this.remote.port;
  }

  get remoteFamily(): "IPv4" | "IPv6" {
    return this.remote.family;
  }

  get localAddress(): string {
    return this.local.address;
  }

  get localPort(): number {
    return this.local.port;
  }

  get localFamily(): "IPv4" | "IPv6" {
    return this.local.family;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ---- from the connection ---------------------------------------------------------------------------------------

  /** @internal */
  onOpen(): void {
    const { open } = this.context.handlers;
    if (open === undefined) return;
    currentContext()(Socket.open, this, open as Handler);
    runJobs();
  }

  /** @internal */
  get isReentrant(): boolean {
    return true;
  }

  /** @internal */
  get backlogBytesMax(): number {
    return Infinity;
  }

  /** @internal */
  consume(memory: Buffer, start: number, end: number): number {
    const { data, binaryType } = this.context.handlers;
    if (data === undefined) return end;
    outside(Socket.run, this, "data", data as Handler, copyFor(binaryType, memory, start, end));
    runJobs();
    return end;
  }

  /** @internal */
  onEnd(): void {
    // As in Bun, a socket that has shut its own side down hears of the close alone.
    const { isOpen } = this.connection;
    try {
      if (isOpen) this.call("end", this.context.handlers.end, NONE);
    } finally {
      if (!this.isClosed && !(isOpen && this.context.allowHalfOpen)) this.leave();
    }
  }

  /** @internal */
  onDrain(): void {
    this.call("drain", this.context.handlers.drain, NONE);
  }

  /** @internal */
  onTimeout(): void {
    this.call("timeout", this.context.handlers.timeout, NONE);
  }

  /** @internal */
  onClose(error: SystemError | undefined): void {
    this.tellClose(error);
  }

  /** The program has closed it, or has been told of its close. */
  private get isClosed(): boolean {
    const { connection } = this;
    return connection.consumer !== this || connection.isClosing;
  }

  private get takesBytes(): boolean {
    const { connection } = this;
    return connection.isOpen && connection.consumer === this;
  }

  /** Closes for the program at once. The connection goes when its last bytes have left. */
  private leave(): void {
    const { connection } = this;
    connection.setConsumer(leaving);
    connection.finish("close");
    connection.clearTimeout();
    if (!connection.isDrained) {
      connection.setTimeout(LEAVE_TIMEOUT_MS);
    }
    this.tellClose(undefined);
  }

  private tellClose(error: SystemError | undefined): void {
    this.context.closed(this);
    this.call("close", this.context.handlers.close, error);
  }

  private get remote(): SocketAddress {
    if (this.isClosed) return NO_ADDRESS;
    return this.connection.remoteAddress ?? NO_ADDRESS;
  }

  private get local(): SocketAddress {
    if (this.isClosed) return NO_ADDRESS;
    return this.connection.localAddress ?? NO_ADDRESS;
  }

  private setOption(level: number, name: number, value: number): boolean {
    return !this.isClosed && native().rl_setsockopt(this.connection.fd, level, name, value) === 0;
  }

  /** By the event loop, or by a call of the program. */
  private call(
    name: string,
    handler: ((socket: this, argument: never) => unknown) | undefined,
    argument: unknown,
  ): void {
    if (handler === undefined) return;
    currentContext()(Socket.run, this, name, handler as Handler, argument);
    runJobs();
  }

  private static run(socket: Socket<any>, name: string, handler: Handler, argument: unknown): void {
    let result: unknown;
    enterProgram();
    try {
      result = argument === NONE ? handler.call(socket, socket) : handler.call(socket, socket, argument);
    } catch (error) {
      return socket.fail(name, error);
    } finally {
      leaveProgram();
    }
    if (result instanceof Promise) result.catch((error) => socket.fail(name, error));
  }

  /** As in Bun, a socket whose `open` throws, or returns an Error, does not go on; and what `open` rejects with is unhandled. */
  private static open(socket: Socket<any>, handler: Handler): void {
    let error: unknown;
    enterProgram();
    try {
      const result = handler.call(socket, socket);
      if (!(result instanceof Error)) return;
      error = result;
    } catch (thrown) {
      error = thrown;
    } finally {
      leaveProgram();
    }
    try {
      socket.fail("open", error);
    } finally {
      if (!socket.isClosed) socket.leave();
    }
  }

  private fail(handler: string, error: unknown): void {
    const onError = this.context.handlers.error;
    if (onError === undefined || handler === "error") throw error;
    this.call("error", onError, error);
  }
}

type Handler = (socket: Socket<any>, argument?: unknown) => unknown;
