/**
 * The kernel's structures in mapped memory: written once, or read after a completion. `RingMemory` makes them; who may use them, and for
 * how long, is written there.
 */
import { isIP } from "node:net";
import { AF_UNIX, EPOLL_EVENT_BYTES, IOVEC_BYTES, MSGHDR_BYTES, RECVMSG_OUT_BYTES } from "../sys/abi.ts";
import {
  decodeAddress,
  encodeAddress,
  encodeUnixAddress,
  familyOf,
  SOCKADDR_BYTES_MAX,
  type SocketAddress,
} from "../sys/sockaddr.ts";
import { requireInteger, U16_MAX } from "./require-integer.ts";

const TWO_32 = 4294967296;

/** Where a structure lies. */
export interface Place {
  address: number;
  buffer: Buffer;
}

/** A piece of mapped memory. */
export class Region {
  readonly address: number;
  /** The piece and nothing else. */
  readonly buffer: Buffer;

  constructor({ address, buffer }: Place) {
    this.address = address;
    this.buffer = buffer;
  }

  get bytes(): number {
    return this.buffer.length;
  }

  /** An unsigned integer up to 2^53, in 64 bits. */
  writeU64(offset: number, value: number): void {
    this.buffer.writeUInt32LE(value % TWO_32, offset);
    this.buffer.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
  }

  /** 64 bits as a number: exact up to 2^53. */
  readU64(offset: number): number {
    return this.buffer.readUInt32LE(offset) + this.buffer.readUInt32LE(offset + 4) * TWO_32;
  }
}

export class Iovec extends Region {
  /** How many pieces: what prepReadv and prepWritev want beside the address. */
  readonly count: number;

  static bytesFor(pieces: readonly unknown[]): number {
    return pieces.length * IOVEC_BYTES;
  }

  constructor(place: Place, pieces: readonly { address: number; bytes: number }[]) {
    super(place);
    this.count = pieces.length;
    for (const [i, { address, bytes }] of pieces.entries()) {
      this.writeU64(i * IOVEC_BYTES, address);
      this.writeU64(i * IOVEC_BYTES + 8, bytes);
    }
  }
}

export class Timespec extends Region {
  static readonly bytes = 16;

  constructor(place: Place, ms: number) {
    super(place);
    this.set(ms);
  }

  /** Another time, for an entry that is not submitted yet. */
  set(ms: number): this {
    if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER))
      throw new RangeError(`ms must be from 0 to ${Number.MAX_SAFE_INTEGER}, not ${Bun.inspect(ms)}`);
    const seconds = Math.floor(ms / 1000);
    this.writeU64(0, seconds);
    this.writeU64(8, Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6)));
    return this;
  }
}

export class OpenHow extends Region {
  static readonly bytes = 24;

  constructor(place: Place, { flags = 0, mode = 0, resolve = 0 }: { flags?: number; mode?: number; resolve?: number }) {
    super(place);
    this.writeU64(0, flags);
    this.writeU64(8, mode);
    this.writeU64(16, resolve);
  }
}

/** statx(2). Times in milliseconds since 1970, with fractions; sizes in bytes. Numbers are exact up to 2^53. */
export class Statx extends Region {
  static readonly bytes = 256;

  /** STATX_*: which fields the file system has filled in. */
  get mask(): number {
    return this.buffer.readUInt32LE(0);
  }

  get blockBytes(): number {
    return this.buffer.readUInt32LE(4);
  }

  get nlink(): number {
    return this.buffer.readUInt32LE(16);
  }

  get uid(): number {
    return this.buffer.readUInt32LE(20);
  }

  get gid(): number {
    return this.buffer.readUInt32LE(24);
  }

  /** Type and permissions, S_IF* and S_I*. */
  get mode(): number {
    return this.buffer.readUInt16LE(28);
  }

  get ino(): number {
    return this.readU64(32);
  }

  get size(): number {
    return this.readU64(40);
  }

  /** Of 512 bytes. */
  get blocks(): number {
    return this.readU64(48);
  }

  get atimeMs(): number {
    return this.timeMs(64);
  }

  get birthtimeMs(): number {
    return this.timeMs(80);
  }

  get ctimeMs(): number {
    return this.timeMs(96);
  }

  get mtimeMs(): number {
    return this.timeMs(112);
  }

  get rdevMajor(): number {
    return this.buffer.readUInt32LE(128);
  }

  get rdevMinor(): number {
    return this.buffer.readUInt32LE(132);
  }

  get devMajor(): number {
    return this.buffer.readUInt32LE(136);
  }

  get devMinor(): number {
    return this.buffer.readUInt32LE(140);
  }

  private timeMs(offset: number): number {
    return Number(this.buffer.readBigInt64LE(offset)) * 1000 + this.buffer.readUInt32LE(offset + 8) / 1e6;
  }
}

export interface MessageParts {
  /** Where to, for a datagram; room for where from. */
  name?: Region;
  iovec: Iovec;
  /** Ancillary data (cmsg(3)), or room for it. */
  control?: Region;
}

export class Msghdr extends Region {
  static readonly bytes = MSGHDR_BYTES;

  constructor(place: Place, { name, iovec, control }: MessageParts) {
    super(place);
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
    this.buffer.writeUInt32LE(bytes, 8);
  }

  /** After a receive, the length of the ancillary data. Set it anew before the next one. */
  get controlBytes(): number {
    return this.readU64(40);
  }

  set controlBytes(bytes: number) {
    this.writeU64(40, bytes);
  }

  /** MSG_TRUNC and so on, after a receive. */
  get flags(): number {
    return this.buffer.readUInt32LE(48);
  }
}

/** An IP address in numbers with a port, or a Unix socket's path or abstract name (with a leading NUL). */
export type SockaddrOptions = { hostname: string; port: number } | { unix: string };

/** Throws a TypeError or RangeError for what is no address. */
export function sockaddrBytes(options: SockaddrOptions): Uint8Array {
  if ("unix" in options) return encodeUnixAddress(options.unix);
  const { hostname, port } = options;
  if (isIP(hostname) === 0)
    throw new TypeError(`hostname must be a numeric IPv4 or IPv6 address, not ${Bun.inspect(hostname)}`);
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

/** What waitid(2) reports of a child. */
export class Siginfo extends Region {
  static readonly bytes = 128;

  /** CLD_EXITED, CLD_KILLED and so on. */
  get code(): number {
    return this.buffer.readInt32LE(8);
  }

  get pid(): number {
    return this.buffer.readInt32LE(16);
  }

  /** Exit code, or signal number. */
  get status(): number {
    return this.buffer.readInt32LE(24);
  }
}

export class EpollEvents extends Region {
  static readonly bytesEach = EPOLL_EVENT_BYTES;
  readonly count: number;

  constructor(place: Place, count: number) {
    super(place);
    this.count = count;
  }

  set(index: number, events: number, low: number, high: number): this {
    const data = this.dataOffset(index);
    this.buffer.writeUInt32LE(events, index * EPOLL_EVENT_BYTES);
    this.buffer.writeUInt32LE(low, data);
    this.buffer.writeUInt32LE(high, data + 4);
    return this;
  }

  /** EPOLL*. */
  events(index: number): number {
    return this.buffer.readUInt32LE(index * EPOLL_EVENT_BYTES);
  }

  low(index: number): number {
    return this.buffer.readUInt32LE(this.dataOffset(index));
  }

  high(index: number): number {
    return this.buffer.readUInt32LE(this.dataOffset(index) + 4);
  }

  private dataOffset(index: number): number {
    requireInteger("index", index, 0, this.count - 1);
    return (index + 1) * EPOLL_EVENT_BYTES - 8;
  }
}

export class Int32s extends Region {
  /** To read and write with `Atomics`, where the kernel or another thread does, too. */
  readonly words: Int32Array;

  constructor(place: Place, values: readonly number[]) {
    super(place);
    this.words = new Int32Array(place.buffer.buffer as ArrayBuffer, place.buffer.byteOffset, place.buffer.length / 4);
    this.words.set(values);
  }
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

  /** The sender, for an IP address. */
  get sender(): SocketAddress | undefined {
    return socketAddress(this.name);
  }
}
