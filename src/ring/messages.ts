/**
 * What sendmsg(2), recvmsg(2) and accept(2) point at: addresses, message headers, and the parts of a message in a provided buffer.
 * `RingMemory` makes them; who may use them, and for how long, is written there.
 */
import { AF_INET, AF_INET6, AF_UNIX, MSGHDR_BYTES, RECVMSG_OUT_BYTES } from "../sys/abi.ts";
import {
  decodeAddress,
  encodeAddress,
  encodeUnixAddress,
  familyOf,
  SOCKADDR_BYTES_MAX,
  type SocketAddress,
} from "../sys/sockaddr.ts";
import { type ControlMessage, decodeControl } from "./control-messages.ts";
import { lazily } from "../sys/lazily.ts";
import { type Place, Region } from "./region.ts";
import { invalidType, invalidValue, requireInteger, U16_MAX, U32_MAX } from "../sys/check.ts";
import type { Iovec } from "./structs.ts";

const net = lazily(() => require("node:net") as typeof import("node:net"));

export interface MessageParts {
  /** Where to, for a datagram; room for where from. */
  name?: Region;
  iovec: Iovec;
  /** Ancillary data (cmsg(3)), or room for it. */
  control?: Region;
}

export class Msghdr extends Region {
  static readonly bytes = MSGHDR_BYTES;

  private readonly control: Region | undefined;

  constructor(place: Place, { name, iovec, control }: MessageParts) {
    super(place);
    this.control = control;
    this.writeU64(0, name?.address ?? 0);
    this.nameBytes = name instanceof RoomForSockaddr ? SOCKADDR_BYTES_MAX : (name?.bytes ?? 0);
    this.writeU64(16, iovec.address);
    this.writeU64(24, iovec.count);
    this.writeU64(32, control?.address ?? 0);
    this.controlBytes = control?.bytes ?? 0;
  }

  /** After a receive, the address's length. Set it anew before the next one. */
  get nameBytes(): number {
    return this.buffer.readUInt32LE(8);
  }

  set nameBytes(bytes: number) {
    requireInteger("nameBytes", bytes, 0, U32_MAX);
    this.buffer.writeUInt32LE(bytes, 8);
  }

  /** After a receive, the length of the ancillary data. Set it anew before the next one. */
  get controlBytes(): number {
    return this.readU64(40);
  }

  set controlBytes(bytes: number) {
    this.writeU64(40, bytes, "controlBytes");
  }

  /** What came beside the message, after a receive. MSG_CTRUNC in `flags`: the room was too small for all of it. */
  get controlMessages(): ControlMessage[] {
    return this.control === undefined ? [] : decodeControl(this.control.buffer.subarray(0, this.controlBytes));
  }

  /** MSG_TRUNC and so on, after a receive. */
  get flags(): number {
    return this.buffer.readUInt32LE(48);
  }
}

/** An IP address in numbers with a port, or a Unix socket's path or abstract name (with a leading NUL); or an address that was received. */
export type SockaddrOptions = { hostname: string; port: number } | { unix: string } | SocketAddress;

/** A peer: an IP address, or a Unix socket's path or abstract name. */
export type PeerAddress = SocketAddress | { unix: string };

/** Throws a TypeError or RangeError for what is no address, which is argument `name`. */
export function sockaddrBytes(options: SockaddrOptions, name = "address"): Uint8Array {
  const isAddress = typeof options === "object" && options !== null;
  if (!isAddress || !("unix" in options || "hostname" in options || "address" in options))
    throw invalidType(name, "an address: { hostname, port } or { unix }", options);
  if ("unix" in options) return encodeUnixAddress(options.unix);
  const { port } = options;
  const hostname = "address" in options ? options.address : options.hostname;
  if (net().isIP(hostname) === 0) throw invalidValue("hostname", "a numeric IPv4 or IPv6 address", hostname);
  requireInteger("port", port, 0, U16_MAX);
  return encodeAddress(hostname, port);
}

/** A sockaddr that the kernel fills in, and the length beside it that accept(2) wants. */
export class RoomForSockaddr extends Region {
  static readonly bytes = SOCKADDR_BYTES_MAX + 4;
  readonly lengthAddress: number;

  constructor(place: Place) {
    super(place);
    this.lengthAddress = place.address + SOCKADDR_BYTES_MAX;
    this.buffer.writeUInt32LE(SOCKADDR_BYTES_MAX, SOCKADDR_BYTES_MAX);
  }

  /** The address's bytes; `bytes` where its length is elsewhere (`Msghdr.nameBytes`). */
  sockaddr(bytes: number = this.buffer.readUInt32LE(SOCKADDR_BYTES_MAX)): Uint8Array {
    return this.buffer.subarray(0, Math.min(bytes, SOCKADDR_BYTES_MAX));
  }

  /** Undefined for other than IP addresses, and for none. */
  value(bytes?: number): SocketAddress | undefined {
    return socketAddress(this.sockaddr(bytes));
  }
}

function socketAddress(sockaddr: Uint8Array): SocketAddress | undefined {
  if (sockaddr.length < 2 || familyOf(sockaddr) === AF_UNIX) return undefined;
  return decodeAddress(new Uint8Array(sockaddr));
}

/** Undefined for none, for a Unix socket without a name, and for what is of another family. */
export function peerAddress(sockaddr: Uint8Array): PeerAddress | undefined {
  if (sockaddr.length <= 2) return undefined;
  const family = familyOf(sockaddr);
  if (family === AF_INET || family === AF_INET6) return decodeAddress(new Uint8Array(sockaddr));
  if (family !== AF_UNIX) return undefined;
  const name = sockaddr.subarray(2);
  const end = name[0] === 0 ? -1 : name.indexOf(0); // A path ends with a NUL, an abstract name begins with one.
  return { unix: Buffer.from(end < 0 ? name : name.subarray(0, end)).toString() };
}

/**
 * What a multishot recvmsg puts into a provided buffer: struct io_uring_recvmsg_out, address, ancillary data, payload
 * (io_uring_recvmsg_out(3)). Views of the buffer: valid until it is given back.
 */
export class RecvmsgOut {
  /** MSG_TRUNC and so on. */
  readonly flags: number;
  /** The sender's sockaddr, cut to the room that `message` gave it. */
  readonly name: Uint8Array;
  readonly control: Uint8Array;
  readonly payload: Uint8Array;

  /**
   * `buffer`: as many bytes as the completion's `res` says; `message`: what the operation was prepared with. Throws a RangeError for less than
   * the headers, io_uring_recvmsg_validate(3).
   */
  constructor(buffer: Uint8Array, message: Msghdr) {
    const nameAt = RECVMSG_OUT_BYTES;
    const controlAt = nameAt + message.nameBytes;
    const payloadAt = controlAt + message.controlBytes;
    if (buffer.length < payloadAt)
      throw new RangeError(
        `buffer must have at least ${payloadAt} bytes, what the message's headers take, not ${buffer.length}`,
      );
    const words = new DataView(buffer.buffer, buffer.byteOffset, RECVMSG_OUT_BYTES);
    this.name = buffer.subarray(nameAt, Math.min(controlAt, nameAt + words.getUint32(0, true)));
    this.control = buffer.subarray(controlAt, Math.min(payloadAt, controlAt + words.getUint32(4, true)));
    this.payload = buffer.subarray(payloadAt);
    this.flags = words.getUint32(12, true);
  }

  get controlMessages(): ControlMessage[] {
    return decodeControl(this.control);
  }

  /** The sender, for an IP address. */
  get sender(): SocketAddress | undefined {
    return socketAddress(this.name);
  }
}
