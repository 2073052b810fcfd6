/**
 * The kernel's structures in mapped memory. They are written once, or read after a completion.
 * `RingMemory` makes them, and says who may use them and for how long.
 */
import { EPOLL_EVENT_BYTES, IORING_REG_WAIT_TS, IOVEC_BYTES } from "../sys/abi.ts";
import { type Place, Region } from "./region.ts";
import { I32_MIN, requireInteger, requireNumber, requireObject, U32_MAX } from "../sys/check.ts";

export class Iovec extends Region {
  /** Number of pieces: an argument of prepReadv and prepWritev, besides the address. */
  readonly count: number;

  static bytesFor(pieces: readonly unknown[]): number {
    return pieces.length * IOVEC_BYTES;
  }

  constructor(place: Place, pieces: readonly { address: number | bigint; bytes: number | bigint }[]) {
    super(place);
    this.count = pieces.length;
    for (const [i, { address, bytes }] of pieces.entries()) {
      this.writeU64(i * IOVEC_BYTES, address, `pieces[${i}].address`);
      this.writeU64(i * IOVEC_BYTES + 8, bytes, `pieces[${i}].bytes`);
    }
  }
}

export class Timespec extends Region {
  static readonly bytes = 16;

  constructor(place: Place, ms: number) {
    super(place);
    this.set(ms);
  }

  /** Changes the time. Call it before the entry is submitted. */
  set(ms: number): this {
    requireNumber("ms", ms, 0, Number.MAX_SAFE_INTEGER);
    const seconds = Math.floor(ms / 1000);
    this.writeU64(0, seconds);
    this.writeU64(8, Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6)));
    return this;
  }
}

/**
 * `count` struct io_uring_reg_wait, by index: the arguments of `Ring.submitAndWaitReg`. They may be
 * changed between waits.
 */
export class WaitArguments extends Region {
  static readonly bytesEach = 64;
  readonly count: number;

  constructor(place: Place, count: number) {
    super(place);
    this.count = count;
  }

  /**
   * Sets one argument.
   *
   * - `timeoutMs`: longest wait in milliseconds, fractions included; in an absolute wait, the time
   *   at which it ends. Default: no limit.
   * - `minWaitUs`: time in microseconds for which a wait for several completions waits for all of
   *   them (`Ring.submitAndWaitMinTimeout`). Default 0: until the limit.
   */
  set(index: number, times: { timeoutMs?: number; minWaitUs?: number }): this {
    requireObject("times", times);
    const { timeoutMs, minWaitUs = 0 } = times;
    requireInteger("index", index, 0, this.count - 1);
    requireInteger("minWaitUs", minWaitUs, 0, U32_MAX);
    const at = index * WaitArguments.bytesEach;
    if (timeoutMs !== undefined)
      new Timespec({ address: 0, buffer: this.buffer.subarray(at, at + Timespec.bytes) as Buffer }, timeoutMs);
    this.buffer.writeUInt32LE(minWaitUs, at + 16);
    this.buffer.writeUInt32LE(timeoutMs === undefined ? 0 : IORING_REG_WAIT_TS, at + 20);
    return this;
  }
}

export class OpenHow extends Region {
  static readonly bytes = 24;

  constructor(place: Place, { flags = 0, mode = 0, resolve = 0 }: { flags?: number; mode?: number; resolve?: number }) {
    super(place);
    this.writeU64(0, flags, "flags");
    this.writeU64(8, mode, "mode");
    this.writeU64(16, resolve, "resolve");
  }
}

/**
 * statx(2). Times are in milliseconds since 1970, with fractions; sizes are in bytes. Numbers are
 * exact up to 2^53.
 */
export class Statx extends Region {
  static readonly bytes = 256;

  /** STATX_*: the fields that the file system has filled in. */
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

  /** File type and permissions, S_IF* and S_I*. */
  get mode(): number {
    return this.buffer.readUInt16LE(28);
  }

  get ino(): number {
    return this.readU64(32);
  }

  get size(): number {
    return this.readU64(40);
  }

  /** Allocated blocks of 512 bytes. */
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

  /** `ino`, `size` and `blocks` as exact BigInts, and times in nanoseconds. */
  get exact(): { ino: bigint; size: bigint; blocks: bigint } & Record<
    "atimeNs" | "birthtimeNs" | "ctimeNs" | "mtimeNs",
    bigint
  > {
    const { buffer } = this;
    return {
      ino: buffer.readBigUInt64LE(32),
      size: buffer.readBigUInt64LE(40),
      blocks: buffer.readBigUInt64LE(48),
      atimeNs: this.timeNs(64),
      birthtimeNs: this.timeNs(80),
      ctimeNs: this.timeNs(96),
      mtimeNs: this.timeNs(112),
    };
  }

  private timeNs(offset: number): bigint {
    return this.buffer.readBigInt64LE(offset) * 1_000_000_000n + BigInt(this.buffer.readUInt32LE(offset + 8));
  }

  private timeMs(offset: number): number {
    return Number(this.buffer.readBigInt64LE(offset)) * 1000 + this.buffer.readUInt32LE(offset + 8) / 1e6;
  }
}

/** The result of waitid(2) for a child. */
export class Siginfo extends Region {
  static readonly bytes = 128;

  /** CLD_EXITED, CLD_KILLED and so on. */
  get code(): number {
    return this.buffer.readInt32LE(8);
  }

  get pid(): number {
    return this.buffer.readInt32LE(16);
  }

  get uid(): number {
    return this.buffer.readUInt32LE(20);
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
    requireInteger("events", events, I32_MIN, U32_MAX);
    requireInteger("low", low, I32_MIN, U32_MAX);
    requireInteger("high", high, I32_MIN, U32_MAX);
    this.buffer.writeUInt32LE(events >>> 0, index * EPOLL_EVENT_BYTES);
    this.buffer.writeUInt32LE(low >>> 0, data);
    this.buffer.writeUInt32LE(high >>> 0, data + 4);
    return this;
  }

  /** EPOLL*. */
  events(index: number): number {
    requireInteger("index", index, 0, this.count - 1);
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
  /**
   * The words as an array. If the kernel or another thread uses them, read and write them with
   * `Atomics`.
   */
  readonly words: Int32Array;

  constructor(place: Place, values: readonly number[]) {
    super(place);
    for (const [i, value] of values.entries()) requireInteger(`values[${i}]`, value, I32_MIN, U32_MAX);
    this.words = new Int32Array(place.buffer.buffer as ArrayBuffer, place.buffer.byteOffset, place.buffer.length / 4);
    this.words.set(values);
  }
}
