/**
 * A stream socket (TCP or Unix) over a connection of the ring, in the form that Bun's handlers use.
 *
 * Guarantees: a handler gets a copy of the bytes, which stays valid. Handlers are called one at a
 * time, each in the async context in which the program gave it. `close` is called once. After it,
 * only `error` may be called, for the handler that closed the socket and then threw.
 *
 * If a handler throws, `error` is called and the socket stays open, except after `open`. `write`
 * accepts the bytes that the queue has room for, and returns their number. The program writes the
 * rest after `drain`.
 */
import type { Reactor } from "../../reactor/reactor.ts";
import { runJobs } from "../../sys/program.ts";
import { IPPROTO_TCP, SHUT_RD, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPIDLE, TCP_NODELAY } from "../../sys/socket-abi.ts";
import { invalidOption } from "../../sys/check.ts";
import { EBADF, type SystemError } from "../../sys/errno.ts";
import { native } from "../../sys/library.ts";
import type { SocketAddress } from "../../transport/address.ts";
import { Connection } from "../../transport/connection.ts";
import { type Consumer, Hold } from "../../transport/transport.ts";
import { call, callOpen, give, type Handler, NONE } from "./handler-calls.ts";
import type { SocketListener } from "./listen.ts";
import { LEAVE_TIMEOUT_MS, leaving } from "./leaving.ts";
import { PlainSocket } from "./plain-socket.ts";
import { copyFor, toBytes, type Writable } from "./socket-data.ts";
import { readHandlers, type SocketHandlers } from "./socket-handlers.ts";
import { readTypeOfService, requireTypeOfService, writeTypeOfService } from "./type-of-service.ts";

/** State that all sockets of a listener share. `reload` changes it for all of them. */
export interface SocketContext<Data> {
  handlers: SocketHandlers<Data>;
  readonly allowHalfOpen: boolean;
  /** Bytes that may wait to be sent. `write` accepts no more than that. */
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

  /** Whether the socket runs on the ring: true. False on a socket of Bun that `connect` returns. */
  get ring(): boolean {
    return true;
  }

  /**
   * Queues bytes. All bytes queued within a turn leave in one send. Returns the number of bytes
   * accepted. It is smaller than the data if the queue is full; then `drain` follows. It is -1 if
   * the socket is closed or ended.
   */
  write(data: Writable, byteOffset = 0, byteLength?: number): number {
    const { connection } = this;
    if (!this.takesBytes) return -1;
    const bytes = toBytes(data, byteOffset, byteLength);
    const { length } = bytes; // Read once, because shared memory may grow.
    const { writeQueueBytesMax } = this.context;
    let taken = 0;
    for (;;) {
      const part = Math.min(writeQueueBytesMax - connection.queuedBytes, length - taken);
      if (part <= 0) break;
      connection.outbox.write(taken === 0 ? bytes : bytes.subarray(taken), part);
      taken += part; // The kernel may have taken it already, and there is room again.
    }
    if (taken < length) connection.requestDrain();
    return taken;
  }

  /**
   * Closes the socket. As in Bun, `close` is called before this returns, and nothing more is
   * received. The queued bytes leave first, then all of `data`, even if it exceeds the limit of the
   * queue. A peer that accepts none of them for 60 seconds loses the rest.
   *
   * Returns the bytes of `data`. Returns -1 and does nothing if the socket is closed, or if there
   * is data and the sending side is shut down.
   */
  end(data?: Writable, byteOffset?: number, byteLength?: number): number {
    if (this.isClosed || (data !== undefined && !this.takesBytes)) return -1;
    let length = 0;
    if (data !== undefined) {
      const bytes = toBytes(data, byteOffset ?? 0, byteLength);
      ({ length } = bytes); // Read once, as in `write`.
      this.connection.outbox.write(bytes, length);
    }
    this.leave();
    return length;
  }

  /** Does nothing: queued bytes leave at the end of the current turn in any case. */
  flush(): void {}

  /** Closes the socket, like `end()`. */
  close(): void {
    if (!this.isClosed) this.leave();
  }

  /** Closes at once, with RST. Queued bytes are lost. `close` is called before this returns. */
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

  /**
   * Sets the time until `timeout` is called once, in seconds from now. 0 means never. A second call
   * starts the time again. As in Bun, traffic does not change it.
   */
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

  /** Replaces the handlers, for this socket only. */
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

  /** The listener that accepted the socket. Undefined for a socket that connected. */
  get listener(): SocketListener<any> | undefined {
    return this.context.listener;
  }

  /** 1 while open, -1 once closed. As in Bun, a socket whose sending side is shut down is open. */
  get readyState(): -1 | 1 {
    return this.isClosed ? -1 : 1;
  }

  get bytesWritten(): number {
    return this.connection.sentBytes + this.connection.queuedBytes;
  }

  /** Sets TCP_NODELAY (default: true). Small writes are joined within a turn, and not delayed. */
  setNoDelay(noDelay = true): boolean {
    return this.setOption(IPPROTO_TCP, TCP_NODELAY, noDelay ? 1 : 0);
  }

  setKeepAlive(enable = false, initialDelayMs = 0): boolean {
    const set = this.setOption(SOL_SOCKET, SO_KEEPALIVE, enable ? 1 : 0);
    const seconds = Math.floor(initialDelayMs / 1000);
    return enable && seconds > 0 ? this.setOption(IPPROTO_TCP, TCP_KEEPIDLE, seconds) : set;
  }

  /** The descriptor. -1 once the socket is closed. */
  get fd(): number {
    return this.isClosed ? -1 : this.connection.fd;
  }

  /** Returns the type of service (IPv6: IPV6_TCLASS), or a negative errno: -9 once closed. */
  getTypeOfService(): number {
    return this.isClosed ? -EBADF : readTypeOfService(this.connection.fd, this.localFamily);
  }

  /**
   * Sets the type of service, 0 to 255. Undefined counts as 0. Returns 0, or a negative errno.
   * Throws a RangeError or TypeError for any other value.
   */
  setTypeOfService(tos?: number): number {
    const value = requireTypeOfService(tos);
    return this.isClosed ? -EBADF : writeTypeOfService(this.connection.fd, this.localFamily, value);
  }

  /** Addresses are numeric, typed as in Bun. Undefined for Unix sockets, and once closed. */
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

  // ---- from the connection ----------------------------------------------------------------------

  /** @internal */
  onOpen(): void {
    const { open } = this.context.handlers;
    if (open === undefined) return;
    let isRefused = true;
    try {
      isRefused = callOpen(this, open);
    } finally {
      if (isRefused && !this.isClosed) this.leave();
    }
    runJobs();
  }

  /** @internal */
  get connectionKind(): "socket" {
    return "socket";
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
    if (data !== undefined) give(this, data, copyFor(binaryType, memory, start, end));
    return end;
  }

  /** @internal */
  onEnd(): void {
    // As in Bun, a socket that has shut down its sending side gets only `close`.
    const { isOpen } = this.connection;
    try {
      if (isOpen) call(this, "end", this.context.handlers.end, NONE);
    } finally {
      if (!this.isClosed && !(isOpen && this.context.allowHalfOpen)) this.leave();
    }
  }

  /** @internal */
  onDrain(): void {
    call(this, "drain", this.context.handlers.drain, NONE);
  }

  /** @internal */
  onTimeout(): void {
    call(this, "timeout", this.context.handlers.timeout, NONE);
  }

  /** @internal */
  onClose(error: SystemError | undefined): void {
    this.tellClose(error);
  }

  /** Whether the program has closed the socket, or `close` was called. */
  private get isClosed(): boolean {
    const { connection } = this;
    return connection.consumer !== this || connection.isClosing;
  }

  private get takesBytes(): boolean {
    const { connection } = this;
    return connection.isOpen && connection.consumer === this;
  }

  /** Closes the socket for the program now. The connection closes when its last bytes have left. */
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
    call(this, "close", this.context.handlers.close, error);
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

  /** @internal The handler of what another handler throws. */
  get errorHandler(): Handler | undefined {
    return this.context.handlers.error;
  }
}
