/**
 * The 64 bytes of a submission entry, and what is set on an entry whatever its operation: flags, user data, where the result goes.
 *
 * The words of an entry by their names in C are in sqe-words.ts.
 *
 * Guarantees: `prep` sets all 64 bytes, so nothing of the entry's former use remains; a number that would spill into the field beside
 * its own, or be cut, is refused before it is written; an entry that nobody has prepared, or whose preparation threw, does nothing and tells
 * nothing (`disarm`). Leaves to others: which fields an operation wants (prep-*.ts), and to the kernel what a descriptor, an address or a
 * flag is worth: its answer is the completion's `res` (EBADF, EFAULT, EINVAL).
 */
import {
  IORING_FILE_INDEX_ALLOC,
  IORING_OP_NOP,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_FIXED_FILE,
  IOSQE_IO_DRAIN,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
} from "../sys/abi.ts";
import { I32_MIN, invalidType, outOfRange, requireInteger, U16_MAX, U32_MAX, U64_MAX } from "../sys/check.ts";
import { type FieldNames, fieldNames, plainNames } from "./sqe-field-names.ts";

/** Exact: the product of a multiple of 2^32 below 2^53 and a power of two. */
const PER_TWO_32 = 1 / 4294967296;

const isWithin = (value: number, most: number): boolean => Number.isInteger(value) && value >= 0 && value <= most;
/** Signed or not. */
const is32Bits = (value: number): boolean => Number.isInteger(value) && value >= I32_MIN && value <= U32_MAX;

/** What has 64 bits: a number as far as it is exact, or a BigInt. */
export type Wide = number | bigint;

const I64_MIN = -0x8000000000000000n;

const low32 = (data: bigint): number => Number(data & 0xffffffffn);
const high32 = (data: bigint): number => Number((data >> 32n) & 0xffffffffn);

export class SqeFields {
  /** The whole SQE array as u32 words, and this entry's first word in it. */
  protected readonly words: Uint32Array;
  protected readonly base: number;

  private readonly commandBytes: number;

  /** `index` in entries of 64 bytes; `big` for an entry of two of them (IORING_SETUP_SQE128). */
  constructor(words: Uint32Array, index: number, big = false) {
    this.words = words;
    this.base = index * 16;
    this.commandBytes = big ? 80 : 16;
  }

  /**
   * Makes the entry a NOP without a completion, whatever it was: what it is until it is prepared, and when its preparation has thrown. The user
   * data is zero, should a kernel complain of it.
   */
  disarm(): void {
    const { words, base } = this;
    words[base] = IORING_OP_NOP | (IOSQE_CQE_SKIP_SUCCESS << 8);
    words[base + 7] = 0; // The operation's flags.
    words[base + 8] = 0;
    words[base + 9] = 0;
    words[base + 10] = 0; // The personality.
  }

  /**
   * An entry of any operation. `fd` and `opFlags` are 32 bits, signed or not; `length` is an unsigned integer of 32 bits; `address` and `offset` are
   * such of 53 bits, or BigInts of 64; an offset of -1 is the file's current position (all 64 bits set). Throws TypeError and RangeError.
   */
  prep(opcode: number, fd: number, address: Wide, length: number, offset: Wide, opFlags = 0, ioprio = 0): this {
    this.require("opcode", opcode, 0, 0xff);
    this.require("ioprio", ioprio, 0, U16_MAX);
    this.check(plainNames, fd, address, length, offset, opFlags);
    return this.fill(opcode, fd, address, length, offset, opFlags, ioprio);
  }

  /** The same, behind all prep functions, whose opcode and ioprio are right. */
  protected fill(
    opcode: number,
    fd: number,
    address: Wide,
    length: number,
    offset: Wide,
    opFlags = 0,
    ioprio = 0,
  ): this {
    const words = this.words;
    const base = this.base;
    // Before anything is computed of them, which would run an object's own code. BigInts take the longer way.
    if (
      typeof fd !== "number" ||
      typeof address !== "number" ||
      typeof length !== "number" ||
      typeof offset !== "number" ||
      typeof opFlags !== "number"
    )
      return this.fillWide(opcode, fd, address, length, offset, opFlags, ioprio);
    const addressLow = address >>> 0;
    const addressHigh = (address - addressLow) * PER_TWO_32;
    const offsetLow = offset >>> 0; // Of -1 both halves are all ones.
    const offsetHigh = (offset - offsetLow) * PER_TWO_32;
    // A few cheap questions, so that this stays small enough to be compiled into its callers: what they do not let pass may still be right.
    if (
      (fd | 0) !== fd ||
      length >>> 0 !== length ||
      (opFlags | 0) !== opFlags ||
      addressHigh >>> 0 !== addressHigh ||
      (offsetHigh | 0) !== offsetHigh ||
      offset < -1
    )
      this.check(fieldNames(opcode), fd, address, length, offset, opFlags);
    words[base] = opcode | (ioprio << 16);
    words[base + 1] = fd;
    words[base + 2] = offsetLow;
    words[base + 3] = offsetHigh;
    words[base + 4] = addressLow;
    words[base + 5] = addressHigh;
    words[base + 6] = length;
    words[base + 7] = opFlags;
    words[base + 8] = 0;
    words[base + 9] = 0;
    words[base + 10] = 0;
    words[base + 11] = 0;
    words[base + 12] = 0;
    words[base + 13] = 0;
    words[base + 14] = 0;
    words[base + 15] = 0;
    return this;
  }

  private fillWide(
    opcode: number,
    fd: number,
    address: Wide,
    length: number,
    offset: Wide,
    opFlags: number,
    ioprio: number,
  ): this {
    this.check(fieldNames(opcode), fd, address, length, offset, opFlags);
    this.fill(opcode, fd, 0, length, 0, opFlags, ioprio);
    this.writeWide(4, address);
    this.writeWide(2, offset);
    return this;
  }

  /** Takes all 64 bytes from another entry. */
  copyFrom(other: SqeFields): this {
    for (let i = 0; i < 16; i++) this.words[this.base + i] = other.words[other.base + i]!;
    return this;
  }

  /** IORING_OP_*, as prepared. */
  get opcode(): number {
    return this.words[this.base]! & 0xff;
  }

  /** IOSQE_*, as set. */
  get flags(): number {
    return (this.words[this.base]! >>> 8) & 0xff;
  }

  /** `ioprio`: a priority, or flags of the operation such as IORING_RECV_MULTISHOT. */
  get ioprio(): number {
    return this.words[this.base]! >>> 16;
  }

  set ioprio(value: number) {
    this.require("ioprio", value, 0, U16_MAX);
    this.words[this.base] = (this.words[this.base]! & U16_MAX) | (value << 16);
  }

  /** Flags of the operation besides those that it has. */
  protected addIoprio(bits: number): this {
    this.words[this.base]! |= bits << 16;
    return this;
  }

  /** `len`: bytes or a count, for most operations. */
  get length(): number {
    return this.words[this.base + 6]!;
  }

  set length(value: number) {
    this.require("length", value, 0, U32_MAX);
    this.words[this.base + 6] = value;
  }

  get userDataLow(): number {
    return this.words[this.base + 8]!;
  }

  get userDataHigh(): number {
    return this.words[this.base + 9]!;
  }

  /** io_uring_sqe_set_flags(3). Adds IOSQE_* flags to those that the entry has; a prep function takes all away. */
  setFlags(flags: number): this {
    if (!isWithin(flags, 0xff)) this.require("flags", flags, 0, 0xff);
    this.words[this.base]! |= flags << 8;
    return this;
  }

  /** The two u32 halves that come back in the completion. */
  setUserData(low: number, high: number): this {
    this.require32("low", low);
    this.require32("high", high);
    return this.tag(low, high);
  }

  /** @internal The same for the reactor, whose slots and generations are u32. */
  tag(low: number, high: number): this {
    this.words[this.base + 8] = low;
    this.words[this.base + 9] = high;
    return this;
  }

  /** io_uring_sqe_set_data64(3): the same 64 bits as a BigInt; slower than `setUserData`. */
  setData64(data: bigint): this {
    this.requireBigInt("data", data);
    return this.writeWide(8, data);
  }

  /** io_uring_sqe_set_data(3) for an integer from 0 to 2^53, or a BigInt of 64 bits: an index, or an address. */
  setData(data: Wide): this {
    return this.putWide("data", 8, data);
  }

  /** The next entry starts when this one has succeeded, and is cancelled (ECANCELED) when it has not (IOSQE_IO_LINK). */
  link(): this {
    return this.setFlags(IOSQE_IO_LINK);
  }

  /** The next entry starts when this one is over, whatever came of it (IOSQE_IO_HARDLINK). */
  hardLink(): this {
    return this.setFlags(IOSQE_IO_HARDLINK);
  }

  /** Starts when all that was submitted before is over; what is submitted after waits for it (IOSQE_IO_DRAIN). */
  drain(): this {
    return this.setFlags(IOSQE_IO_DRAIN);
  }

  /** A success leaves no completion; a failure does (IOSQE_CQE_SKIP_SUCCESS, Linux 5.17). */
  skipSuccess(): this {
    return this.setFlags(IOSQE_CQE_SKIP_SUCCESS);
  }

  /** `fd` was an index of the registered files, not a descriptor (IOSQE_FIXED_FILE). */
  fixedFile(): this {
    return this.setFlags(IOSQE_FIXED_FILE);
  }

  /** Group of provided buffers to take a buffer from (IOSQE_BUFFER_SELECT), from 0 to 65535. */
  setBufferGroup(bgid: number): this {
    if (!isWithin(bgid, U16_MAX)) this.require("bgid", bgid, 0, U16_MAX);
    this.words[this.base + 10]! |= bgid;
    return this.setFlags(IOSQE_BUFFER_SELECT);
  }

  /**
   * The argument of an IORING_OP_URING_CMD, for the driver that the descriptor belongs to: the entry's last 16 bytes, or 80 with
   * IORING_SETUP_SQE128, of which a prep function clears the first 16.
   */
  get command(): Uint8Array {
    return new Uint8Array(this.words.buffer, this.words.byteOffset + this.base * 4 + 48, this.commandBytes);
  }

  /** Credentials of `ring.registerPersonality()` to run as, io_uring_register(2). */
  setPersonality(id: number): this {
    this.require("id", id, 0, U16_MAX);
    this.words[this.base + 10] = (this.words[this.base + 10]! & U16_MAX) | (id << 16);
    return this;
  }

  /** What the operation opens goes into this slot of the registered files, or into a free one (IORING_FILE_INDEX_ALLOC). */
  protected putTargetFile(fileIndex: number, name = "fileIndex"): this {
    this.require(name, fileIndex, 0, U32_MAX);
    // The kernel counts from one here: 0 is an ordinary descriptor.
    this.words[this.base + 11] = fileIndex === IORING_FILE_INDEX_ALLOC ? fileIndex : fileIndex + 1;
    return this;
  }

  /** A registered buffer's index, or a buffer group where that is the operation's argument. */
  protected putBufferIndex(name: string, index: number): this {
    this.require(name, index, 0, U16_MAX);
    this.words[this.base + 10]! |= index;
    return this;
  }

  /** The user data of another operation, where that is an operation's argument: its halves, or one BigInt with nothing or 0 behind it. */
  protected putTarget(low: Wide, high = 0, lowName = "low", highName = "high"): this {
    return this.setHalves(4, low, high, lowName, highName);
  }

  /** The 64 bits beside `fd` (off, addr2), in the same way. */
  protected putOffset(low: Wide, high = 0, lowName = "low", highName = "high"): this {
    return this.setHalves(2, low, high, lowName, highName);
  }

  private setHalves(word: number, low: Wide, high: number, lowName: string, highName: string): this {
    if (typeof low === "bigint") {
      this.requireBigInt(lowName, low);
      this.require(highName, high, 0, 0);
      return this.writeWide(word, low);
    }
    this.require32(lowName, low);
    this.require32(highName, high);
    this.words[this.base + word] = low;
    this.words[this.base + word + 1] = high;
    return this;
  }

  /** The word that some operations have a third argument in (splice_fd_in, file_index, addr_len). */
  protected putWord11(name: string, value: number): this {
    this.require32(name, value);
    this.words[this.base + 11] = value;
    return this;
  }

  /** An address in the place of `putOffset`. */
  protected putAddress2(name: string, address: Wide): this {
    return this.putWide(name, 2, address);
  }

  /** A third address or a mask (addr3). */
  protected putAddress3(name: string, address: Wide): this {
    return this.putWide(name, 12, address);
  }

  protected putWide(name: string, word: number, value: Wide): this {
    if (typeof value !== "number" || !isWithin(value, Number.MAX_SAFE_INTEGER)) this.requireWide(name, value, 0);
    return this.writeWide(word, value);
  }

  protected writeWide(word: number, value: Wide): this {
    const at = this.base + word;
    if (typeof value === "bigint") {
      this.words[at] = low32(value);
      this.words[at + 1] = high32(value);
      return this;
    }
    const low = value >>> 0;
    this.words[at] = low;
    this.words[at + 1] = (value - low) * PER_TWO_32;
    return this;
  }

  /** An integer from `least` to `most`. The entry is disarmed before anything is thrown: it may be submitted with others. */
  protected require(name: string, value: number, least: number, most: number): void {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    this.disarm();
    requireInteger(name, value, least, most);
  }

  /** 32 bits, signed or not, as an unsigned number. */
  protected require32(name: string, value: number): number {
    if (!is32Bits(value)) this.require(name, value, I32_MIN, U32_MAX);
    return value >>> 0;
  }

  /** 64 bits: an exact number, or a BigInt; from `least` on. */
  protected requireWide(name: string, value: Wide, least: 0 | -1): void {
    if (typeof value === "bigint") this.requireBigInt(name, value, BigInt(least));
    else this.require(name, value, least, Number.MAX_SAFE_INTEGER);
  }

  protected requireBigInt(name: string, value: bigint, least: bigint = I64_MIN): void {
    if (typeof value === "bigint" && value >= least && value <= U64_MAX) return;
    this.disarm();
    const allowed = `a BigInt from ${least} to ${U64_MAX}`;
    throw typeof value === "bigint" ? outOfRange(name, allowed, value) : invalidType(name, allowed, value);
  }

  /** Throws for a number that its field would cut, by the name that its prep function has for it. */
  private check(names: FieldNames, fd: number, address: Wide, length: number, offset: Wide, opFlags: number): void {
    this.require(names.fd, fd, I32_MIN, U32_MAX);
    this.requireWide(names.address, address, 0);
    this.require(names.length, length, 0, U32_MAX);
    this.requireWide(names.offset, offset, -1);
    this.require(names.opFlags, opFlags, I32_MIN, U32_MAX);
  }
}
