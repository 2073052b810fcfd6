/**
 * Arguments of sendmsg(2), recvmsg(2) and accept(2): addresses, message headers, and the parts of a
 * message in a provided buffer. `RingMemory` makes them, and says who may use them and for how
 * long.
 */
import { MSGHDR_BYTES, RECVMSG_OUT_BYTES } from "../sys/abi.ts";
import { AF_INET, AF_INET6, AF_UNIX } from "../sys/socket-abi.ts";
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
import {
  invalidType,
  invalidValue,
  outOfRange,
  requireBytes,
  requireInteger,
  requireObject,
  requireString,
  U16_MAX,
  U32_MAX,
} from "../sys/check.ts";
import { Iovec } from "./structs.ts";

const net = lazily(() => require("node:net") as typeof import("node:net"));

export interface MessageParts {
  /** Destination of a datagram, or room for the sender's address. */
  name?: Region;
  iovec: Iovec;
  /** Ancillary data (cmsg(3)), or room for it. */
  control?: Region;
}

/** Throws a TypeError for parts that are no pieces of mapped memory. */
export function requireMessageParts(parts: MessageParts): void {
  requireObject("parts", parts);
  const { name, iovec, control } = parts;
  if (!(iovec instanceof Iovec)) throw invalidType("parts.iovec", "an Iovec of RingMemory", iovec);
  for (const [key, part] of Object.entries({ name, control }))
    if (part !== undefined && !(part instanceof Region))
      throw invalidType(`parts.${key}`, "a Region of RingMemory", part);
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

  /** Length of the address after a receive. Set it again before the next receive. */
  get nameBytes(): number {
    return this.buffer.readUInt32LE(8);
  }

  set nameBytes(bytes: number) {
    requireInteger("nameBytes", bytes, 0, U32_MAX);
    this.buffer.writeUInt32LE(bytes, 8);
  }

  /** Length of the ancillary data after a receive. Set it again before the next receive. */
  get controlBytes(): number {
    return this.readU64(40);
  }

  set controlBytes(bytes: number) {
    this.writeU64(40, bytes, "controlBytes");
  }

  /**
   * Ancillary data of a received message. MSG_CTRUNC in `flags` means that the room was too small
   * for all of it.
   */
  get controlMessages(): ControlMessage[] {
    return this.control === undefined ? [] : decodeControl(this.control.buffer.subarray(0, this.controlBytes));
  }

  /** MSG_TRUNC and so on, after a receive. */
  get flags(): number {
    return this.buffer.readUInt32LE(48);
  }
}

/**
 * A numeric IP address with a port; or a Unix socket's path or abstract name (with a leading NUL);
 * or a received address.
 */
export type SockaddrOptions = { hostname: string; port: number } | { unix: string } | SocketAddress;

/** The address of a peer: an IP address, or a Unix socket's path or abstract name. */
export type PeerAddress = SocketAddress | { unix: string };

/**
 * Returns the sockaddr bytes of an address. Throws a TypeError or RangeError that calls the
 * argument `name`.
 */
export function sockaddrBytes(options: SockaddrOptions, name = "address"): Uint8Array {
  const isAddress = typeof options === "object" && options !== null;
  if (!isAddress || !("unix" in options || "hostname" in options || "address" in options))
    throw invalidType(name, "an address: { hostname, port } or { unix }", options);
  if ("unix" in options) {
    requireString("unix", options.unix);
    return encodeUnixAddress(options.unix);
  }
  const { port } = options;
  const hostname = "address" in options ? options.address : options.hostname;
  requireString("hostname", hostname);
  if (net().isIP(hostname) === 0) throw invalidValue("hostname", "a numeric IPv4 or IPv6 address", hostname);
  requireInteger("port", port, 0, U16_MAX);
  return encodeAddress(hostname, port);
}

/** Room for a sockaddr that the kernel fills in, and for its length, which accept(2) wants. */
export class RoomForSockaddr extends Region {
  static readonly bytes = SOCKADDR_BYTES_MAX + 4;
  readonly lengthAddress: number;

  constructor(place: Place) {
    super(place);
    this.lengthAddress = place.address + SOCKADDR_BYTES_MAX;
    this.buffer.writeUInt32LE(SOCKADDR_BYTES_MAX, SOCKADDR_BYTES_MAX);
  }

  /**
   * Returns the bytes of the address. `bytes`: their number, if another place has it
   * (`Msghdr.nameBytes`).
   */
  sockaddr(bytes: number = this.buffer.readUInt32LE(SOCKADDR_BYTES_MAX)): Uint8Array {
    requireInteger("bytes", bytes, 0, U32_MAX);
    return this.buffer.subarray(0, Math.min(bytes, SOCKADDR_BYTES_MAX));
  }

  /** Returns the address; undefined for a missing address or one that is no IP address. */
  value(bytes?: number): SocketAddress | undefined {
    return socketAddress(this.sockaddr(bytes));
  }
}

function socketAddress(sockaddr: Uint8Array): SocketAddress | undefined {
  if (sockaddr.length < 2 || familyOf(sockaddr) === AF_UNIX) return undefined;
  return decodeAddress(new Uint8Array(sockaddr));
}

/**
 * Returns the peer's address; undefined for a missing address, a Unix socket without a name, or
 * another family.
 */
export function peerAddress(sockaddr: Uint8Array): PeerAddress | undefined {
  if (sockaddr.length <= 2) return undefined;
  const family = familyOf(sockaddr);
  if (family === AF_INET || family === AF_INET6) return decodeAddress(new Uint8Array(sockaddr));
  if (family !== AF_UNIX) return undefined;
  const name = sockaddr.subarray(2);
  // A path ends with a NUL. An abstract name begins with one.
  const end = name[0] === 0 ? -1 : name.indexOf(0);
  return { unix: Buffer.from(end < 0 ? name : name.subarray(0, end)).toString() };
}

/**
 * The content of a provided buffer after a multishot recvmsg: struct io_uring_recvmsg_out, address,
 * ancillary data, payload (io_uring_recvmsg_out(3)). The fields are views of the buffer, and valid
 * until the buffer is given back.
 */
export class RecvmsgOut {
  /** MSG_TRUNC and so on. */
  readonly flags: number;
  /** The sender's sockaddr, cut to the room that `message` has for it. */
  readonly name: Uint8Array;
  readonly control: Uint8Array;
  readonly payload: Uint8Array;

  /**
   * `buffer` has as many bytes as the completion's `res`. `message` is the argument of the prepared
   * operation. Throws a RangeError for a buffer that is shorter than the headers,
   * io_uring_recvmsg_validate(3).
   */
  constructor(buffer: Uint8Array, message: Msghdr) {
    requireBytes("buffer", buffer);
    if (!(message instanceof Msghdr)) throw invalidType("message", "the Msghdr of the operation", message);
    const nameAt = RECVMSG_OUT_BYTES;
    const controlAt = nameAt + message.nameBytes;
    const payloadAt = controlAt + message.controlBytes;
    if (buffer.length < payloadAt)
      throw outOfRange("buffer", `at least ${payloadAt} bytes long, for the message's headers`, buffer.length);
    const words = new DataView(buffer.buffer, buffer.byteOffset, RECVMSG_OUT_BYTES);
    this.name = buffer.subarray(nameAt, Math.min(controlAt, nameAt + words.getUint32(0, true)));
    this.control = buffer.subarray(controlAt, Math.min(payloadAt, controlAt + words.getUint32(4, true)));
    this.payload = buffer.subarray(payloadAt);
    this.flags = words.getUint32(12, true);
  }

  get controlMessages(): ControlMessage[] {
    return decodeControl(this.control);
  }

  /** The sender's address; undefined if it is no IP address. */
  get sender(): SocketAddress | undefined {
    return socketAddress(this.name);
  }
}
