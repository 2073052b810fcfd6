/**
 * `udpSocket`: datagrams on the ring, with the options, handlers and members of Bun.udpSocket.
 *
 * Guarantees: one multishot receive serves the socket. A handler gets a copy of the datagram. Each
 * handler runs in the async context in which the program gave it. The datagrams of one `sendMany`
 * are submitted together. The memory of a send is freed after its completion. ICMP errors (a closed
 * port, an unreachable host) go to `error`.
 */
import { outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import { leavesToBun, markAsBuns, reactorFor } from "../../operations/fallback.ts";
import type { Mode } from "../../reactor/mode.ts";
import type { Reactor } from "../../reactor/reactor.ts";
import { AF_INET, AF_INET6, SO_BROADCAST, SOL_SOCKET } from "../../sys/socket-abi.ts";
import { originals } from "../../sys/bun-originals.ts";
import { check, EMSGSIZE, SystemError } from "../../sys/errno.ts";
import { native } from "../../sys/library.ts";
import {
  decodeAddress,
  encodeAddress,
  familyOf,
  localAddress,
  remoteAddress,
  type SocketAddress,
} from "../../transport/address.ts";
import { copyAs, type DatagramType, requireDatagramType } from "./datagram-type.ts";
import {
  ADDRESS_BYTES,
  Datagrams,
  type Destination,
  openDatagramSocket,
  PAYLOAD_BYTES_MAX,
} from "../../transport/datagrams.ts";
import * as multicast from "../../transport/multicast.ts";
import { bindFailure, connectFailure } from "./failure.ts";
import { readInteger, readText } from "./options.ts";
import { invalidOption, invalidValue, requireObject, shown } from "../../sys/check.ts";
import { toBytes, type Writable } from "./socket-data.ts";
import { type BinaryType, takeHandlers } from "./socket-handlers.ts";

export interface ReceiveFlags {
  /** Whether the datagram was longer than the data that the handler got. */
  truncated: boolean;
  /** Whether the datagram came from an IPv6 address. */
  ipv6: boolean;
}

export interface UdpHandlers {
  data?(socket: UdpSocket, data: Buffer, port: number, address: string, flags: ReceiveFlags): unknown;
  /**
   * There is room again, after a `send` that returned false or a `sendMany` that accepted only some
   * datagrams.
   */
  drain?(socket: UdpSocket): unknown;
  /**
   * A handler threw or rejected, or a datagram could not be sent or delivered. As in Bun, this
   * handler gets only the error. Without it, a rejection and an error of a send or of a delivery
   * are dropped.
   */
  error?(this: UdpSocket, error: Error): unknown;
}

export interface UdpOptions {
  /** A numeric address or a name. Default: "0.0.0.0". */
  hostname?: string;
  /** 0 to 65535. With 0, the kernel chooses a free port. Default: 0. */
  port?: number;
  socket?: UdpHandlers;
  /** The type of the received data. Default: "buffer". */
  binaryType?: DatagramType;
  /** The only peer: the socket sends to this address, and receives from it alone. */
  connect?: { hostname: string; /** 1 to 65535. */ port: number };
  mode?: Mode;
  /**
   * With false, the function throws an error if the ring cannot serve. With true, Bun.udpSocket
   * serves instead. Default: true.
   */
  fallback?: boolean;
}

/**
 * Opens a datagram socket. As in Bun, wrong options and failures throw at once, and the promise
 * never rejects.
 */
export function udpSocket(options: UdpOptions): Promise<UdpSocket> {
  requireObject("options", options);
  const left = leavesToBun("udpSocket", options as unknown as Record<string, unknown>, ["fd"]);
  const reactor = left ? undefined : reactorFor("udpSocket", options);
  if (!reactor) return originals.udpSocket(options as never).then(markAsBuns) as unknown as Promise<UdpSocket>;
  return Promise.resolve(new UdpSocket(reactor, options));
}

export class UdpSocket {
  readonly hostname: string;
  readonly port: number;
  /** The type of received data, declared as in Bun, which lacks the other typed arrays. */
  readonly binaryType: BinaryType;

  private readonly local: SocketAddress;
  private readonly remote: SocketAddress | undefined;
  private readonly family: number;
  private readonly datagrams: Datagrams;
  private handlers: UdpHandlers;
  private lastSenderBytes = 0;
  private lastSender = "";

  /** @internal If bind or connect fails, throws an Error with `code`, `errno` and `syscall`. */
  constructor(reactor: Reactor, options: UdpOptions) {
    const hostname = readText("hostname", options.hostname) ?? "0.0.0.0";
    const port = requireDatagramPort("port", options.port ?? 0, 0);
    this.handlers = readHandlers(options.socket);
    this.binaryType = requireDatagramType(options.binaryType ?? undefined) as typeof this.binaryType;
    const { connect } = options;
    let remote: Uint8Array | undefined;
    if (connect !== undefined && connect !== null) {
      requireObject("connect", connect);
      const peer = readText("connect.hostname", connect.hostname);
      if (peer === undefined) throw invalidOption("connect.hostname", "string", "a non-empty string", connect.hostname);
      remote = encodeAddress(peer, requireDatagramPort("connect.port", connect.port, 1));
    }
    const local = encodeAddress(options.hostname === undefined && remote?.[0] === AF_INET6 ? "::" : hostname, port);
    this.family = familyOf(local);
    let fd: number;
    try {
      fd = openDatagramSocket(local, remote, { address: hostname, port });
    } catch (error) {
      throw remote === undefined ? bindFailure(error, hostname) : connectFailure(bindFailure(error, hostname));
    }
    this.local = localAddress(fd)!;
    this.hostname = hostname;
    this.port = this.local.port;
    this.remote = remote && remoteAddress(fd);
    this.datagrams = new Datagrams(reactor.lane, fd, remote !== undefined, {
      onDatagram: (memory, start, end, nameAt, truncated) => this.receive(memory, start, end, nameAt, truncated),
      onDrain: () => this.call(this.handlers.drain, this),
      onError: (error) => this.call(this.handlers.error, error),
    });
  }

  /** Whether the socket is connected, so that it sends to one peer only. */
  private get connected(): boolean {
    return this.remote !== undefined;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { address, remoteAddress: connectedTo, binaryType, closed } = this;
    return `UdpSocket ${Bun.inspect({ address, remoteAddress: connectedTo, binaryType, closed })}`;
  }

  /** Whether the socket runs on the ring: true. False on a socket of Bun from `udpSocket`. */
  get ring(): boolean {
    return true;
  }

  get closed(): boolean {
    return this.datagrams.isClosed;
  }

  /** The local address. Undefined once the socket is closed. The declared type is Bun's. */
  get address(): SocketAddress {
    return this.closed ? (undefined as never) : this.local;
  }

  /** The address of the peer. Undefined if the socket is not connected, and once it is closed. */
  get remoteAddress(): SocketAddress | undefined {
    return this.closed ? undefined : this.remote;
  }

  /**
   * Sends one datagram. A connected socket allows no port and no address. Returns false if too many
   * sends are in flight; then `drain` follows. Throws an Error if the socket is closed, a TypeError
   * for a wrong argument, and SystemError EMSGSIZE for more than 65507 bytes.
   */
  send(data: Writable, port?: number, address?: string): boolean {
    this.requireOpen();
    return this.queue(data, port, address);
  }

  /**
   * Sends datagrams together. The array has data, port and address of each datagram in turn. On a
   * connected socket, it has only data. Returns the number of datagrams accepted.
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
   * Replaces handlers. As in Bun, the handlers are in `socket`, although bun-types declares
   * otherwise. A handler that is not named stays.
   */
  reload(options: { socket?: UdpHandlers } | Bun.udp.SocketHandler<"buffer">): void {
    requireObject("options", options);
    const handlers = readHandlers((options as { socket?: UdpHandlers }).socket);
    for (const name of handlerNames) handlers[name] ??= this.handlers[name] as never;
    this.handlers = handlers;
  }

  close(): void {
    this.datagrams.close();
  }

  ref(): void {
    this.datagrams.setReferenced(true);
  }

  unref(): void {
    this.datagrams.setReferenced(false);
  }

  setBroadcast(enabled: boolean): boolean {
    this.requireOpen();
    check(native().rl_setsockopt(this.datagrams.fd, SOL_SOCKET, SO_BROADCAST, enabled ? 1 : 0), "setsockopt");
    return enabled;
  }

  /** Sets the TTL of unicast datagrams, 1 to 255. */
  setTTL(ttl: number): number {
    // Read before the check, because a valueOf of the program may close the socket.
    const number = readInteger(ttl);
    this.requireOpen();
    return multicast.setTTL(this.datagrams.fd, this.family, Number.isNaN(number) ? ttl : number);
  }

  setMulticastTTL(ttl: number): number {
    const number = readInteger(ttl);
    this.requireOpen();
    return multicast.setMulticastTTL(this.datagrams.fd, this.family, Number.isNaN(number) ? ttl : number);
  }

  setMulticastLoopback(enabled: boolean): boolean {
    this.requireOpen();
    return multicast.setMulticastLoopback(this.datagrams.fd, this.family, enabled);
  }

  setMulticastInterface(interfaceAddress: string): boolean {
    this.requireOpen();
    return multicast.setMulticastInterface(this.datagrams.fd, this.family, interfaceAddress);
  }

  addMembership(multicastAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeMembership(this.datagrams.fd, true, multicastAddress, interfaceAddress);
  }

  dropMembership(multicastAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeMembership(this.datagrams.fd, false, multicastAddress, interfaceAddress);
  }

  addSourceSpecificMembership(sourceAddress: string, groupAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeSourceMembership(this.datagrams.fd, true, sourceAddress, groupAddress, interfaceAddress);
  }

  dropSourceSpecificMembership(sourceAddress: string, groupAddress: string, interfaceAddress?: string): boolean {
    this.requireOpen();
    return multicast.changeSourceMembership(this.datagrams.fd, false, sourceAddress, groupAddress, interfaceAddress);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ---- sending ----------------------------------------------------------------------------------

  private queue(data: Writable, port: number | undefined, address: string | undefined): boolean {
    if (!this.connected) port = requireDatagramPort("port", port, 1);
    else if (port !== undefined || address !== undefined)
      throw new TypeError("port and address must not be given: the socket is connected");
    const bytes = toBytes(data, 0, undefined);
    const { length } = bytes; // Read once, because shared memory may grow.
    if (!this.connected && typeof address !== "string")
      throw invalidOption("address", "string", "a numeric address", address);
    // A dotted IPv4 address is the usual case, and is read here. The system reads any other one.
    const ipv4 = this.connected || this.family !== AF_INET ? undefined : this.ipv4Of(address);
    let to: Destination;
    if (ipv4 !== undefined) to = { ipv4, port: port! };
    else if (!this.connected) to = this.encodeTarget(port!, address);
    if (length > PAYLOAD_BYTES_MAX) throw new SystemError(EMSGSIZE, "send");
    return this.datagrams.send(bytes, length, to);
  }

  /**
   * Returns a dotted address as a number, or undefined for any other text. Many programs answer the
   * sender of the last datagram, so the number of that address is kept.
   */
  private ipv4Of(address: string | undefined): number | undefined {
    if (address === this.lastSender && address !== "") return this.lastSenderBytes;
    const [, a, b, c, d] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address ?? "") ?? [];
    if (d === undefined) return undefined;
    const parts = [Number(a), Number(b), Number(c), Number(d)];
    return parts.some((part) => part > 255) ? undefined : parts.reduce((bits, part) => bits * 256 + part, 0);
  }

  private encodeTarget(port: number, address: string | undefined): Uint8Array {
    if (typeof address !== "string" || !/^[\d.]+$|:/.test(address))
      throw invalidOption("address", "string", "a numeric address", address);
    let text = address;
    if (this.family === AF_INET6 && !address.includes(":")) text = `::ffff:${address}`;
    let encoded: Uint8Array;
    try {
      encoded = encodeAddress(text, port);
    } catch {
      throw invalidOption("address", "string", "a numeric address", address);
    }
    if (familyOf(encoded) !== this.family)
      throw invalidValue("address", `an IPv${this.family === AF_INET ? 4 : 6} address`, address);
    return encoded;
  }

  // ---- receiving --------------------------------------------------------------------------------

  private receive(memory: Buffer, start: number, end: number, nameAt: number, truncated: boolean): void {
    const { data } = this.handlers;
    if (!data) return;
    const ipv6 = memory.readUInt16LE(nameAt) === AF_INET6;
    const port = memory.readUInt16BE(nameAt + 2);
    const address = this.senderAt(memory, nameAt, ipv6);
    const payload = copyAs(this.binaryType, memory, start, end) as Buffer;
    this.call(data, this, payload, port, address, { truncated, ipv6 });
  }

  /**
   * Returns the sender's address as text. A peer often sends many datagrams in a row, so the last
   * address is kept.
   */
  private senderAt(memory: Buffer, at: number, ipv6: boolean): string {
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

  // ---- the rest ---------------------------------------------------------------------------------

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

  private requireOpen(): void {
    if (this.closed) throw new Error("Socket is closed");
  }
}

type Handler = (...args: any[]) => unknown;

/**
 * Checks a port: a number, or, as in Bun, a text of digits. `least` is 0 for a local port, where 0
 * means any port, and 1 for a peer's port.
 */
function requireDatagramPort(name: string, value: number | string | undefined, least: 0 | 1): number {
  const port = readInteger(value);
  if (port >= least && port <= 65535) return port;
  throw new TypeError(`Expected "${name}" to be an integer between ${least} and 65535, not ${shown(value)}`);
}

const handlerNames = ["data", "drain", "error"] as const;

/** Copies a program's handlers as they are now. Throws a TypeError that names the wrong handler. */
function readHandlers(handlers: UdpHandlers | undefined): UdpHandlers {
  if (handlers === undefined || handlers === null) return {};
  requireObject("socket", handlers);
  return takeHandlers(handlerNames, handlers);
}
