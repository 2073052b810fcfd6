/**
 * `udpSocket`: datagrams on the ring, with the options, handlers and members of Bun.udpSocket.
 *
 * Guarantees: one multishot receive serves the socket; what a handler is given is a copy; each handler runs in the async context in which
 * it was handed over; the datagrams of one `sendMany` are submitted together; memory of a send is freed after its completion. ICMP errors (a closed port, an unreachable host) reach `error`.
 */
import { outside } from "../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../sys/program.ts";
import { leavesToBun, markAsBuns, reactorFor } from "../reactor/fallback.ts";
import type { Mode } from "../reactor/mode.ts";
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Chunk } from "../ring/arena.ts";
import { type BufferRing, RingIntegrityError } from "../ring/buffer-ring.ts";
import { writeU64 } from "../ring/region.ts";
import {
  AF_INET,
  AF_INET6,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IOVEC_BYTES,
  IP_RECVERR,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVERR,
  MSG_TRUNC,
  MSGHDR_BYTES,
  RECVMSG_OUT_BYTES,
  SO_BROADCAST,
  SOCK_DGRAM,
  SOL_SOCKET,
} from "../sys/abi.ts";
import { originals } from "../sys/bun-originals.ts";
import {
  check,
  EAGAIN,
  ECANCELED,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINTR,
  EMSGSIZE,
  ENETUNREACH,
  ENOBUFS,
  SystemError,
} from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { copyAll } from "../sys/views.ts";
import { decodeAddress, encodeAddress, familyOf, localAddress, remoteAddress, type SocketAddress } from "./address.ts";
import { copyAs, type DatagramType, requireDatagramType } from "./datagram-type.ts";
import * as multicast from "./multicast.ts";
import { bindFailure, connectFailure } from "./failure.ts";
import { readInteger, requireObject, requireText } from "./options.ts";
import { toBytes, type Writable } from "./socket-data.ts";
import { type BinaryType, takeHandlers } from "./socket-handlers.ts";

export interface ReceiveFlags {
  /** The datagram was longer than what the handler was given. */
  truncated: boolean;
  /** It came from an IPv6 address. */
  ipv6: boolean;
}

export interface UdpHandlers {
  data?(socket: UdpSocket, data: Buffer, port: number, address: string, flags: ReceiveFlags): unknown;
  /** There is room again after a `send` that returned false or a `sendMany` that took fewer than given. */
  drain?(socket: UdpSocket): unknown;
  /** A handler threw, or a datagram could not be sent or delivered. Without it such errors are dropped. As in Bun, it gets the error alone. */
  error?(this: UdpSocket, error: Error): unknown;
}

export interface UdpOptions {
  /** A numeric address or a name. Default "0.0.0.0". */
  hostname?: string;
  /** 0 to 65535; 0 takes a free one. Default 0. */
  port?: number;
  socket?: UdpHandlers;
  /** Default "buffer". */
  binaryType?: DatagramType;
  /** Sends to and receives from this address alone. */
  connect?: { hostname: string; /** 1 to 65535. */ port: number };
  mode?: Mode;
  /** false: an error instead of Bun.udpSocket where the ring cannot serve. Default true. */
  fallback?: boolean;
}

const enum Kind {
  Cancel,
  Close,
  /** Multishot: see MULTISHOT_KIND. */
  Receive = 6,
}

/** Datagram and address, and the header that the kernel puts before them. */
const PAYLOAD_BYTES_MAX = 65507;
const SOCKADDR_IN_BYTES = 16;
const ADDRESS_BYTES = 28;
const BUFFER_BYTES = 65536 + RECVMSG_OUT_BYTES + ADDRESS_BYTES;
const BUFFERS = 64;
const BUFFER_GROUP = 1;
/** Sends that were submitted and have not completed. */
const SENDS_MAX = 1024;

/** As in Bun, what is wrong with the options, or fails, is thrown at once; the promise never rejects. */
export function udpSocket(options: UdpOptions): Promise<UdpSocket> {
  requireObject("options", options);
  const left = leavesToBun("udpSocket", options as unknown as Record<string, unknown>, ["fd"]);
  const reactor = left ? undefined : reactorFor("udpSocket", options);
  if (!reactor) return originals.udpSocket(options as never).then(markAsBuns) as unknown as Promise<UdpSocket>;
  return Promise.resolve(new UdpSocket(reactor, options));
}

export class UdpSocket implements OperationOwner, Flushable {
  readonly hostname: string;
  readonly port: number;
  /** Typed as in Bun, whose types lack the numbers of other kinds. */
  readonly binaryType: BinaryType;

  private readonly local: SocketAddress;
  private readonly remote: SocketAddress | undefined;
  private readonly reactor: Reactor;
  private readonly buffers: BufferRing;
  private readonly slot: number;
  private readonly family: number;
  private readonly connected: boolean;
  /** The msghdr of the receive: how much room the sender's address gets. */
  private readonly receiveHeader: Chunk;
  private sendsInFlight = 0;
  private handlers: UdpHandlers;
  private fd: number;
  private receiveArmed = false;
  private refused = false;
  private referenced = true;
  private isClosed = false;
  private isReleased = false;
  private lastSenderBytes = 0;
  private lastSender = "";

  /** @internal Throws SystemError with `syscall: "bind"`, address and port. */
  constructor(reactor: Reactor, options: UdpOptions) {
    const hostname = requireText("hostname", options.hostname) ?? "0.0.0.0";
    const port = requireDatagramPort("port", options.port ?? 0, 0);
    this.handlers = readHandlers(options.socket);
    this.binaryType = requireDatagramType(options.binaryType) as typeof this.binaryType;
    const { connect } = options;
    let remote: Uint8Array | undefined;
    if (connect !== undefined) {
      requireObject("connect", connect);
      const peer = requireText("connect.hostname", connect.hostname);
      if (peer === undefined)
        throw new TypeError(`connect.hostname must be a non-empty string, not ${Bun.inspect(connect.hostname)}`);
      remote = encodeAddress(peer, requireDatagramPort("connect.port", connect.port, 1));
    }
    const local = encodeAddress(options.hostname === undefined && remote?.[0] === AF_INET6 ? "::" : hostname, port);
    this.family = familyOf(local);
    this.connected = remote !== undefined;
    try {
      this.fd = openDatagramSocket(local, remote, { address: hostname, port });
    } catch (error) {
      throw remote === undefined ? bindFailure(error, hostname) : connectFailure(bindFailure(error, hostname));
    }
    reactor.lane.owned.add(this.fd);
    this.local = localAddress(this.fd)!;
    this.hostname = hostname;
    this.port = this.local.port;
    this.remote = remote && remoteAddress(this.fd);
    this.reactor = reactor;
    this.buffers = reactor.lane.bufferGroup({ bgid: BUFFER_GROUP, count: BUFFERS, bytes: BUFFER_BYTES });
    this.receiveHeader = reactor.arena.allocate(MSGHDR_BYTES);
    this.receiveHeader.buffer.fill(0, 0, MSGHDR_BYTES);
    this.receiveHeader.buffer.writeUInt32LE(ADDRESS_BYTES, 8);
    this.slot = reactor.lane.operations.acquire(this);
    reactor.ref();
    this.armReceive();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { address, remoteAddress: connectedTo, binaryType, closed } = this;
    return `UdpSocket ${Bun.inspect({ address, remoteAddress: connectedTo, binaryType, closed })}`;
  }

  /** Whether it runs on the ring: true. false on what `udpSocket` gives of Bun's own. */
  get ring(): boolean {
    return true;
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** Undefined once closed; typed as in Bun. */
  get address(): SocketAddress {
    return this.isClosed ? (undefined as never) : this.local;
  }

  /** Undefined unless connected, and once closed. */
  get remoteAddress(): SocketAddress | undefined {
    return this.isClosed ? undefined : this.remote;
  }

  /**
   * Sends one datagram; connected sockets take no port and address. Returns false when too many are under way, and `drain` follows.
   * Throws an Error when closed, a TypeError for a wrong argument, SystemError EMSGSIZE for more than 65507 bytes.
   */
  send(data: Writable, port?: number, address?: string): boolean {
    this.requireOpen();
    return this.queue(data, port, address);
  }

  /**
   * Sends datagrams together: data, port and address of each in turn, or, on a connected socket, data alone. Returns how many were taken.
   */
  sendMany(packets: readonly (Writable | number)[]): number {
    this.requireOpen();
    const each = this.connected ? 1 : 3;
    if (!Array.isArray(packets) || packets.length % each !== 0)
      throw new TypeError(`packets must be an array of ${this.connected ? "data" : "data, port and address in turn"}`);
    let taken = 0;
    for (let i = 0; i < packets.length; i += each, taken++)
      if (
        !(this.connected
          ? this.queue(packets[i] as Writable, undefined, undefined)
          : this.queue(packets[i] as Writable, packets[i + 1] as number, packets[i + 2] as string))
      )
        break;
    return taken;
  }

  /**
   * Other handlers from now on. As in Bun, they are in `socket`, whatever bun-types says, and those that it does not name stay.
   */
  reload(options: { socket?: UdpHandlers } | Bun.udp.SocketHandler<"buffer">): void {
    requireObject("options", options);
    const handlers = readHandlers((options as { socket?: UdpHandlers }).socket);
    for (const name of handlerNames) handlers[name] ??= this.handlers[name] as never;
    this.handlers = handlers;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const { reactor, slot, fd } = this;
    this.cancelReceive();
    reactor.lane.owned.delete(fd);
    reactor.lane.tag(reactor.lane.nextSqe().prepClose(fd), slot, Kind.Close);
    this.fd = -1;
  }

  ref(): void {
    this.setReferenced(true);
  }

  unref(): void {
    this.setReferenced(false);
  }

  setBroadcast(enabled: boolean): boolean {
    this.requireOpen();
    check(native().rl_setsockopt(this.fd, SOL_SOCKET, SO_BROADCAST, enabled ? 1 : 0), "setsockopt");
    return enabled;
  }

  /** Of unicast datagrams, 1 to 255. */
  setTTL(ttl: number): number {
    const number = readInteger(ttl); // Before: the program's own valueOf may close the socket.
    this.requireOpen();
    return multicast.setTTL(this.fd, this.family, Number.isNaN(number) ? ttl : number);
  }

  setMulticastTTL(ttl: number): number {
    const number = readInteger(ttl);
    this.requireOpen();
    return multicast.setMulticastTTL(this.fd, this.family, Number.isNaN(number) ? ttl : number);
  }

  setMulticastLoopback(enabled: boolean): boolean {
    this.requireOpen();
    return multicast.setMulticastLoopback(this.fd, this.family, enabled);
  }

  setMulticastInterface(interfaceAddress: string): boolean {
    this.requireOpen();
    return multicast.setMulticastInterface(this.fd, this.family, interfaceAddress);
  }

  addMembership(multicastAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeMembership(this.fd, true, multicastAddress, interfaceAddress);
  }

  dropMembership(multicastAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeMembership(this.fd, false, multicastAddress, interfaceAddress);
  }

  addSourceSpecificMembership(sourceAddress: string, groupAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeSourceMembership(this.fd, true, sourceAddress, groupAddress, interfaceAddress);
  }

  dropSourceSpecificMembership(sourceAddress: string, groupAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeSourceMembership(this.fd, false, sourceAddress, groupAddress, interfaceAddress);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ---- sending ---------------------------------------------------------------------------------------------------

  private queue(data: Writable, port: number | undefined, address: string | undefined): boolean {
    if (!this.connected) port = requireDatagramPort("port", port, 1);
    else if (port !== undefined || address !== undefined)
      throw new TypeError("port and address must not be given: the socket is connected");
    const bytes = toBytes(data, 0, undefined);
    const { length } = bytes; // Once: shared memory may grow.
    if (!this.connected && typeof address !== "string")
      throw new TypeError(`address must be a numeric address, not ${Bun.inspect(address)}`);
    // The usual case is written as it is; others take the way through the system.
    const ipv4 = this.connected || this.family !== AF_INET ? undefined : this.ipv4Of(address);
    const to = this.connected || ipv4 !== undefined ? undefined : this.encodeTarget(port!, address);
    if (length > PAYLOAD_BYTES_MAX) throw new SystemError(EMSGSIZE, "send");
    if (this.sendsInFlight >= SENDS_MAX) {
      this.refused = true;
      return false;
    }
    const { reactor } = this;
    const nameAt = MSGHDR_BYTES + IOVEC_BYTES;
    const payloadAt = nameAt + ADDRESS_BYTES + 4;
    const chunk = reactor.arena.allocate(payloadAt + length);
    const { buffer } = chunk;
    // struct msghdr { name, namelen, iov, iovlen, control, controllen, flags }, struct iovec { base, len }.
    buffer.fill(0, 0, payloadAt);
    if (ipv4 !== undefined) {
      // struct sockaddr_in { family, port, address, zero }
      writeU64(buffer, 0, chunk.address + nameAt);
      buffer.writeUInt32LE(SOCKADDR_IN_BYTES, 8);
      buffer.writeUInt16LE(AF_INET, nameAt);
      buffer.writeUInt16BE(port!, nameAt + 2);
      buffer.writeUInt32BE(ipv4, nameAt + 4);
    } else if (to) {
      writeU64(buffer, 0, chunk.address + nameAt);
      buffer.writeUInt32LE(to.length, 8);
      buffer.set(to, nameAt);
    }
    writeU64(buffer, 16, chunk.address + MSGHDR_BYTES);
    buffer.writeUInt32LE(1, 24);
    writeU64(buffer, MSGHDR_BYTES, chunk.address + payloadAt);
    buffer.writeUInt32LE(length, MSGHDR_BYTES + 8);
    copyAll(bytes, 0, length, buffer, payloadAt);
    this.sendsInFlight++;
    this.submit(new Send(reactor, chunk, this));
    return true;
  }

  /** A dotted address as a number; undefined for another text. Answers go where the last datagram came from: that one is known. */
  private ipv4Of(address: string | undefined): number | undefined {
    if (address === this.lastSender && address !== "") return this.lastSenderBytes;
    const [, a, b, c, d] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address ?? "") ?? [];
    if (d === undefined) return undefined;
    const parts = [Number(a), Number(b), Number(c), Number(d)];
    return parts.some((part) => part > 255) ? undefined : parts.reduce((bits, part) => bits * 256 + part, 0);
  }

  private encodeTarget(port: number, address: string | undefined): Uint8Array {
    if (typeof address !== "string" || !/^[\d.]+$|:/.test(address))
      throw new TypeError(`address must be a numeric address, not ${Bun.inspect(address)}`);
    let text = address;
    if (this.family === AF_INET6 && !address.includes(":")) text = `::ffff:${address}`;
    let encoded: Uint8Array;
    try {
      encoded = encodeAddress(text, port);
    } catch {
      throw new TypeError(`address must be a numeric address, not ${Bun.inspect(address)}`);
    }
    if (familyOf(encoded) !== this.family)
      throw new TypeError(
        `address must be an IPv${this.family === AF_INET ? 4 : 6} address, not ${Bun.inspect(address)}`,
      );
    return encoded;
  }

  private submit(send: Send): void {
    const { reactor } = this;
    reactor.lane.tag(reactor.lane.nextSqe().prepSendmsg(this.fd, send.chunk.address), send.slot, 0);
  }

  /** @internal One send has completed. */
  sent(send: Send, result: number): void {
    if ((result === -EINTR || result === -EAGAIN) && !this.isClosed) return this.submit(send); // Nothing has left.
    // What ICMP reports of one datagram fails the next one in its place, which may be for somebody else: that one is sent again.
    if (send.failures < failuresMax(result) && !this.connected && !this.isClosed) {
      send.failures++;
      this.submit(send);
      return this.report(result, "recv"); // Where Bun meets with what ICMP reports.
    }
    send.finish();
    this.sendsInFlight--;
    if (this.isClosed) return;
    if (result < 0 && result !== -ECANCELED) this.report(result, "send");
    if (this.refused && this.sendsInFlight < SENDS_MAX / 2) {
      this.refused = false;
      this.call(this.handlers.drain, this);
    }
  }

  // ---- receiving -------------------------------------------------------------------------------------------------

  private armReceive(): void {
    const { reactor } = this;
    this.receiveArmed = true;
    const sqe = reactor.lane.nextSqe().prepRecvmsgMultishot(this.fd, this.receiveHeader.address, BUFFER_GROUP);
    reactor.lane.tag(sqe, this.slot, Kind.Receive);
  }

  private cancelReceive(): void {
    if (this.receiveArmed) this.reactor.lane.cancel(this.slot, Kind.Receive, Kind.Cancel);
  }

  /** Buffers came back after the receive had found none. */
  flush(): void {
    if (!this.receiveArmed && !this.isClosed) this.armReceive();
  }

  complete(kind: number, result: number, flags: number): void {
    if (kind === Kind.Receive) this.received(result, flags);
    // A cancellation misses (EALREADY) a receive that is just being woken.
    if (kind === Kind.Cancel && result < 0) this.cancelReceive();
    if (!this.isClosed || this.isReleased || this.reactor.lane.operations.inFlightOf(this.slot) > 0) return;
    this.isReleased = true;
    this.reactor.lane.operations.release(this.slot);
    this.reactor.arena.free(this.receiveHeader);
    if (this.referenced) this.reactor.unref();
  }

  private received(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0) this.receiveArmed = false;
    if (result > 0) this.continueReceiving(); // Before the handler, which may run the event loop until the next one comes.
    if ((flags & IORING_CQE_F_BUFFER) !== 0) {
      const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
      const at = this.buffers.take(bid, Math.max(0, result));
      try {
        if (result > 0 && !this.isClosed) this.deliver(at, result);
      } finally {
        this.buffers.recycle(bid);
        this.buffers.publish();
      }
    } else if (result > 0) throw new RingIntegrityError(`completion receives ${result} bytes without a buffer`);
    if (this.isClosed) return;
    if (result === -ENOBUFS) return this.reactor.lane.awaitBuffers(this);
    if (result < 0 && result !== -ECANCELED && result !== -EAGAIN && result !== -EINTR) this.report(result, "recv");
    this.continueReceiving();
  }

  /** A multishot receive may end at any completion, a successful one too. */
  private continueReceiving(): void {
    if (this.receiveArmed || this.isClosed) return;
    this.reactor.lane.counters.rearms++;
    this.armReceive();
  }

  /** struct io_uring_recvmsg_out { namelen, controllen, payloadlen, flags }, the address, the payload. */
  private deliver(at: number, bytes: number): void {
    const { memory } = this.buffers;
    const start = at + RECVMSG_OUT_BYTES + ADDRESS_BYTES;
    const end = Math.max(start, at + bytes);
    const { data } = this.handlers;
    if (!data) return;
    const truncated = (memory.readUInt32LE(at + 12) & MSG_TRUNC) !== 0;
    const nameAt = at + RECVMSG_OUT_BYTES;
    const ipv6 = memory.readUInt16LE(nameAt) === AF_INET6;
    const port = memory.readUInt16BE(nameAt + 2);
    const address = this.senderAt(nameAt, ipv6);
    const payload = copyAs(this.binaryType, memory, start, end) as Buffer;
    this.call(data, this, payload, port, address, { truncated, ipv6 });
  }

  /** The sender's address as text. Peers send many datagrams in a row: the last one's is kept. */
  private senderAt(at: number, ipv6: boolean): string {
    const { memory } = this.buffers;
    if (ipv6) {
      const { address } = decodeAddress(memory.subarray(at, at + ADDRESS_BYTES));
      return address;
    }
    const bytes = memory.readUInt32BE(at + 4);
    if (bytes !== this.lastSenderBytes || this.lastSender === "") {
      this.lastSenderBytes = bytes;
      this.lastSender = `${bytes >>> 24}.${(bytes >>> 16) & 255}.${(bytes >>> 8) & 255}.${bytes & 255}`;
    }
    return this.lastSender;
  }

  // ---- the rest --------------------------------------------------------------------------------------------------

  private report(result: number, syscall: string): void {
    native().rl_drain_errors(this.fd);
    this.call(this.handlers.error, new SystemError(-result, syscall));
  }

  private call<Args extends unknown[]>(handler: ((...args: Args) => unknown) | undefined, ...args: Args): void {
    if (handler === undefined) return;
    outside(UdpSocket.run, this, handler as Handler, args);
    runJobs();
  }

  private static run(socket: UdpSocket, handler: Handler, args: unknown[]): void {
    enterProgram();
    try {
      const result = handler.apply(socket, args);
      if (result instanceof Promise) result.catch((error) => socket.handlers.error?.call(socket, error));
    } catch (error) {
      const onError = socket.handlers.error;
      if (onError === undefined || handler === (onError as Handler)) throw error;
      onError.call(socket, error as Error);
    } finally {
      leaveProgram();
    }
  }

  private setReferenced(referenced: boolean): void {
    if (this.referenced === referenced || this.isClosed) return;
    this.referenced = referenced;
    if (referenced) this.reactor.ref();
    else this.reactor.unref();
  }

  private requireOpen(): void {
    if (this.isClosed) throw new Error("Socket is closed");
  }
}

/** One datagram on its way. Several are in flight at once and complete in any order, so each has a slot of its own. */
class Send implements OperationOwner {
  readonly slot: number;
  readonly chunk: Chunk;
  /** How often another's error came in its place. */
  failures = 0;
  private readonly reactor: Reactor;
  private readonly socket: UdpSocket;

  constructor(reactor: Reactor, chunk: Chunk, socket: UdpSocket) {
    this.reactor = reactor;
    this.chunk = chunk;
    this.socket = socket;
    this.slot = reactor.lane.operations.acquire(this);
  }

  complete(_kind: number, result: number): void {
    this.socket.sent(this, result);
  }

  finish(): void {
    this.reactor.arena.free(this.chunk);
    this.reactor.lane.operations.release(this.slot);
  }
}

/** How often a datagram is sent again after an error that came from the network, and may be another datagram's (ip(7), IP_RECVERR). */
function failuresMax(result: number): number {
  switch (-result) {
    case ECONNREFUSED: // Always another's. Each failure uses one report up; where many peers are gone, several may come in a row.
      return 20;
    case EHOSTUNREACH: // Perhaps its own: there is no way to where it goes.
    case ENETUNREACH:
      return 1;
    default:
      return 0;
  }
}

function openDatagramSocket(
  local: Uint8Array,
  remote: Uint8Array | undefined,
  where: { address: string; port: number },
): number {
  const sys = native();
  const fd = check(sys.rl_socket(familyOf(local), SOCK_DGRAM), "socket", where);
  try {
    // Errors that ICMP reports reach a socket that is not connected, too.
    if (familyOf(local) === AF_INET6) sys.rl_setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    else sys.rl_setsockopt(fd, IPPROTO_IP, IP_RECVERR, 1);
    check(sys.rl_bind(fd, pointerTo(local), local.length), "bind", where);
    if (remote) check(sys.rl_connect(fd, pointerTo(remote), remote.length), "connect", where);
    return fd;
  } catch (error) {
    sys.rl_close(fd);
    throw error;
  }
}

type Handler = (...args: any[]) => unknown;

/** A number, or, as in Bun, a text of digits. `least`: 0 to receive on any port, 1 to send to one. */
function requireDatagramPort(name: string, value: number | string | undefined, least: 0 | 1): number {
  const port = readInteger(value);
  if (port >= least && port <= 65535) return port;
  throw new TypeError(`Expected "${name}" to be an integer between ${least} and 65535, not ${Bun.inspect(value)}`);
}

const handlerNames = ["data", "drain", "error"] as const;

/** Takes a program's handlers as they are now. Throws a TypeError that names the wrong one. */
function readHandlers(handlers: UdpHandlers | undefined): UdpHandlers {
  if (handlers === undefined || handlers === null) return {};
  requireObject("socket", handlers);
  return takeHandlers(handlerNames, handlers);
}
