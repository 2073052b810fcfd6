/**
 * Memory for the arguments of operations: paths, vectors, messages, times, results. It is mapped
 * memory, because the garbage collector may move or free heap memory while an operation is in
 * flight.
 *
 * Guarantees: allocated memory is zeroed and aligned, and stays in place until `reset()` or
 * `release()`. After `release()`, every view of it is empty.
 *
 * Leaves to others: the owner calls neither before the last completion of every operation that uses
 * an address of this memory. A SEND_ZC has two completions, and a multishot operation has an end.
 * Use one RingMemory for memory with the same lifetime, and `Arena` for short-lived chunks.
 */
import { Mapping, PAGE_BYTES } from "../sys/memory.ts";
import { type ControlMessage, encodeControl } from "./control-messages.ts";
import {
  type MessageParts,
  Msghdr,
  requireMessageParts,
  RoomForSockaddr,
  sockaddrBytes,
  type SockaddrOptions,
} from "./messages.ts";
import { type Place, Region } from "./region.ts";
import {
  invalidType,
  outOfRange,
  requireInteger,
  requireObject,
  requireObjects,
  requirePath,
  requirePowerOfTwo,
  U32_MAX,
} from "../sys/check.ts";
import { EpollEvents, Int32s, Iovec, OpenHow, Siginfo, Statx, Timespec, WaitArguments } from "./structs.ts";

const BYTES_DEFAULT = 65536;
const BYTES_MAX = 2 ** 40;
/** The alignment of malloc(3). It is enough for every structure here. */
const ALIGNMENT_BYTES = 16;

export class RingMemory {
  /** Size in bytes, in whole pages. */
  readonly bytes: number;
  private readonly mapping: Mapping;
  private used = 0;

  /**
   * `bytes` is the room for allocations until `reset()`, rounded up to pages; its default is 64
   * KiB. Throws SystemError (ENOMEM).
   */
  constructor(bytes = BYTES_DEFAULT) {
    requireInteger("bytes", bytes, 1, BYTES_MAX);
    this.mapping = new Mapping(bytes);
    this.bytes = this.mapping.bytes;
  }

  get bytesLeft(): number {
    return this.bytes - this.used;
  }

  /**
   * Allocates `bytes` zeroes at a multiple of `alignment` (a power of two; 4096 for O_DIRECT).
   * Throws RangeError when there is no room.
   */
  allocate(bytes: number, alignment: number = ALIGNMENT_BYTES): Region {
    return this.place(bytes, alignment, (place) => new Region(place));
  }

  /** Copies bytes, or text as UTF-8 without a NUL. */
  copy(data: Uint8Array | string): Region {
    if (typeof data !== "string" && !(data instanceof Uint8Array))
      throw invalidType("data", "a string or a Uint8Array", data);
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    const region = this.allocate(bytes.length);
    region.buffer.set(bytes);
    return region;
  }

  /**
   * Makes a NUL-terminated path or name of text or bytes. Throws a TypeError for an argument with a
   * NUL in it.
   */
  cString(text: string | Uint8Array): Region {
    requirePath("text", text);
    return this.copy(Buffer.concat([Buffer.from(text as string), Buffer.alloc(1)]));
  }

  /**
   * Makes a struct iovec for readv, writev and messages: pieces of memory, in order. The pieces
   * must live as long as the iovec.
   */
  iovec(pieces: readonly { address: number | bigint; bytes: number | bigint }[]): Iovec {
    requireObjects("pieces", pieces);
    return this.place(Iovec.bytesFor(pieces), ALIGNMENT_BYTES, (place) => new Iovec(place, pieces));
  }

  /**
   * Makes a struct __kernel_timespec for `ms` milliseconds, fractions included. The time counts
   * from now; with IORING_TIMEOUT_ABS, it is a time of a clock.
   */
  timespec(ms: number): Timespec {
    return this.place(Timespec.bytes, ALIGNMENT_BYTES, (place) => new Timespec(place, ms));
  }

  /**
   * Allocates whole pages for at least `count` arguments of `Ring.submitAndWaitReg`.
   * `Ring.registerRegion` registers them.
   */
  waitArguments(count: number): WaitArguments {
    requireInteger("count", count, 1, BYTES_MAX);
    const bytes = Math.ceil((count * WaitArguments.bytesEach) / PAGE_BYTES) * PAGE_BYTES;
    return this.place(bytes, PAGE_BYTES, (place) => new WaitArguments(place, bytes / WaitArguments.bytesEach));
  }

  /**
   * Makes a struct open_how of openat2(2). `flags`: O_*. `resolve`: RESOLVE_*. Each is 0 by
   * default.
   */
  openHow(how: { flags?: number; mode?: number; resolve?: number }): OpenHow {
    requireObject("how", how);
    return this.place(OpenHow.bytes, ALIGNMENT_BYTES, (place) => new OpenHow(place, how));
  }

  /** Allocates room for a struct statx. Read it after the completion. */
  statx(): Statx {
    return this.place(Statx.bytes, ALIGNMENT_BYTES, (place) => new Statx(place));
  }

  /**
   * Makes a struct msghdr of sendmsg(2) and recvmsg(2). Its parts must live as long as the message.
   */
  msghdr(parts: MessageParts): Msghdr {
    requireMessageParts(parts);
    return this.place(Msghdr.bytes, ALIGNMENT_BYTES, (place) => new Msghdr(place, parts));
  }

  /**
   * Makes ancillary data to send (`scmRights`, `udpSegment` and so on), for the `control` of a
   * `msghdr`. `allocate(controlSpace(...))` makes room for received data.
   */
  control(messages: readonly ControlMessage[]): Region {
    return this.copy(encodeControl(messages));
  }

  /**
   * Makes a sockaddr: a numeric `hostname` and a `port`, or `unix`, a path or an abstract name with
   * a leading NUL. Throws a TypeError.
   */
  sockaddr(options: SockaddrOptions): Region {
    return this.copy(sockaddrBytes(options));
  }

  /** Allocates room for the address that accept or recvmsg reports. */
  roomForSockaddr(): RoomForSockaddr {
    return this.place(RoomForSockaddr.bytes, ALIGNMENT_BYTES, (place) => new RoomForSockaddr(place));
  }

  /** Allocates room for the siginfo_t of waitid(2). */
  siginfo(): Siginfo {
    return this.place(Siginfo.bytes, ALIGNMENT_BYTES, (place) => new Siginfo(place));
  }

  /**
   * Makes a struct epoll_event: `events` (EPOLL*), and the two halves of the data that
   * epoll_wait(2) returns with them.
   */
  epollEvent(events: number, low = 0, high = 0): EpollEvents {
    return this.epollEvents(1).set(0, events, low, high);
  }

  /** Allocates room for `count` struct epoll_event. */
  epollEvents(count: number): EpollEvents {
    requireInteger("count", count, 1, U32_MAX);
    return this.place(count * EpollEvents.bytesEach, ALIGNMENT_BYTES, (place) => new EpollEvents(place, count));
  }

  /** Makes 32-bit words: descriptors for prepFilesUpdate, room for prepPipe, or a futex. */
  int32(...values: readonly number[]): Int32s {
    return this.place(Math.max(1, values.length) * 4, ALIGNMENT_BYTES, (place) => new Int32s(place, values));
  }

  /**
   * Makes `count` struct futex_waitv. Each waits while the 32 bits at `address` equal `value`.
   * `flags`: FUTEX2_*.
   */
  futexWaitv(waiters: readonly { address: number; value: number; flags: number }[]): Region {
    requireObjects("waiters", waiters);
    const region = this.allocate(waiters.length * 24);
    for (const [i, { address, value, flags }] of waiters.entries()) {
      region.writeU64(i * 24, value, `waiters[${i}].value`);
      region.writeU64(i * 24 + 8, address, `waiters[${i}].address`);
      requireInteger(`waiters[${i}].flags`, flags, 0, U32_MAX);
      region.buffer.writeUInt32LE(flags, i * 24 + 16);
    }
    return region;
  }

  /**
   * Makes all memory free for new allocations. No operation may use earlier allocations any more.
   */
  reset(): void {
    this.used = 0;
  }

  /**
   * Unmaps the memory; views become empty. No operation that uses the memory may be in flight.
   * Further calls do nothing.
   */
  release(): void {
    this.mapping.release();
    this.used = this.bytes;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  private place<T extends Region>(bytes: number, alignment: number, make: (place: Place) => T): T {
    requireInteger("bytes", bytes, 0, BYTES_MAX);
    requirePowerOfTwo("alignment", alignment, 1, 4096);
    const offset = Math.ceil(this.used / alignment) * alignment;
    if (offset + bytes > this.bytes)
      throw outOfRange("bytes", `at most ${Math.max(0, this.bytes - offset)}, what is left of ${this.bytes}`, bytes);
    const buffer = Buffer.from(this.mapping.buffer, offset, bytes);
    buffer.fill(0);
    this.used = offset + bytes;
    return make({ address: this.mapping.address + offset, buffer });
  }
}
