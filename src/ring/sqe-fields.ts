/**
 * The 64 bytes of a submission entry, and the fields that are independent of its operation: flags,
 * user data, the place of the result. sqe-words.ts has the words of an entry by their names in C.
 *
 * Guarantees: `prep` sets all 64 bytes, so nothing of the entry's former use remains. A number that
 * would not fit its field is refused before it is written (sqe-checks.ts). An entry without a
 * preparation, or whose preparation has thrown, does nothing and leaves no completion (`disarm`).
 *
 * Leaves to others: prep-*.ts knows the fields of each operation. The kernel checks descriptors,
 * addresses and flags: its answer is the completion's `res` (EBADF, EFAULT, EINVAL).
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
import { U16_MAX, U32_MAX } from "../sys/check.ts";
import {
  isWithin,
  require32,
  requireBigInt,
  requireField,
  requireFields,
  requireWide,
  type Wide,
} from "./sqe-checks.ts";
import { fieldNames, plainNames } from "./sqe-field-names.ts";

/** The product is exact: it multiplies a multiple of 2^32 below 2^53 by a power of two. */
const PER_TWO_32 = 1 / 4294967296;

const low32 = (data: bigint): number => Number(data & 0xffffffffn);
const high32 = (data: bigint): number => Number((data >> 32n) & 0xffffffffn);

export class SqeFields {
  /** The whole SQE array as u32 words, and the index of this entry's first word. */
  protected readonly words: Uint32Array;
  protected readonly base: number;

  private readonly commandBytes: number;

  /** `index` counts entries of 64 bytes. `big`: the entry has two of them (IORING_SETUP_SQE128). */
  constructor(words: Uint32Array, index: number, big = false) {
    this.words = words;
    this.base = index * 16;
    this.commandBytes = big ? 80 : 16;
  }

  /**
   * Makes the entry a NOP without a completion. It stays one until it is prepared, and becomes one
   * again when a preparation throws. The user data is zero, in case a kernel reports an error for
   * it.
   */
  disarm(): void {
    const { words, base } = this;
    words[base] = IORING_OP_NOP | (IOSQE_CQE_SKIP_SUCCESS << 8);
    words[base + 7] = 0; // Flags of the operation.
    words[base + 8] = 0;
    words[base + 9] = 0;
    words[base + 10] = 0; // The personality.
  }

  /**
   * Prepares any operation. `fd` and `opFlags` have 32 bits, signed or not. `length` is an unsigned
   * integer of 32 bits. `address` and `offset` are unsigned integers of 53 bits, or BigInts of 64
   * bits. An offset of -1 means the file's current position (all 64 bits set). Throws TypeError and
   * RangeError.
   */
  prep(opcode: number, fd: number, address: Wide, length: number, offset: Wide, opFlags = 0, ioprio = 0): this {
    requireField(this, "opcode", opcode, 0, 0xff);
    requireField(this, "ioprio", ioprio, 0, U16_MAX);
    requireFields(this, plainNames, fd, address, length, offset, opFlags);
    return this.fill(opcode, fd, address, length, offset, opFlags, ioprio);
  }

  /** Fills the entry for all prep functions, whose `opcode` and `ioprio` are valid. */
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
    // The types are checked before any computation, because a computation would run an object's own
    // code. BigInts take a slower path.
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
    const offsetLow = offset >>> 0; // For -1, both halves are all ones.
    const offsetHigh = (offset - offsetLow) * PER_TWO_32;
    // These checks are cheap and few, so that the compiler can inline this function into its
    // callers. A value that they refuse may still be valid; `check` decides.
    if (
      (fd | 0) !== fd ||
      length >>> 0 !== length ||
      (opFlags | 0) !== opFlags ||
      addressHigh >>> 0 !== addressHigh ||
      (offsetHigh | 0) !== offsetHigh ||
      offset < -1
    )
      requireFields(this, fieldNames(opcode), fd, address, length, offset, opFlags);
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
    requireFields(this, fieldNames(opcode), fd, address, length, offset, opFlags);
    this.fill(opcode, fd, 0, length, 0, opFlags, ioprio);
    this.writeWide(4, address);
    this.writeWide(2, offset);
    return this;
  }

  /** Copies all 64 bytes from another entry. */
  copyFrom(other: SqeFields): this {
    for (let i = 0; i < 16; i++) this.words[this.base + i] = other.words[other.base + i]!;
    return this;
  }

  /** IORING_OP_* of the prepared operation. */
  get opcode(): number {
    return this.words[this.base]! & 0xff;
  }

  /** IOSQE_* flags of the entry. */
  get flags(): number {
    return (this.words[this.base]! >>> 8) & 0xff;
  }

  /** `ioprio`: a priority, or flags of the operation, for example IORING_RECV_MULTISHOT. */
  get ioprio(): number {
    return this.words[this.base]! >>> 16;
  }

  set ioprio(value: number) {
    requireField(this, "ioprio", value, 0, U16_MAX);
    this.words[this.base] = (this.words[this.base]! & U16_MAX) | (value << 16);
  }

  /** Adds flags of the operation in `ioprio`. */
  protected addIoprio(bits: number): this {
    this.words[this.base]! |= bits << 16;
    return this;
  }

  /** `len`: bytes or a count in most operations. */
  get length(): number {
    return this.words[this.base + 6]!;
  }

  set length(value: number) {
    requireField(this, "length", value, 0, U32_MAX);
    this.words[this.base + 6] = value;
  }

  get userDataLow(): number {
    return this.words[this.base + 8]!;
  }

  get userDataHigh(): number {
    return this.words[this.base + 9]!;
  }

  /** io_uring_sqe_set_flags(3). Adds IOSQE_* flags. A prep function removes all flags. */
  setFlags(flags: number): this {
    if (!isWithin(flags, 0xff)) requireField(this, "flags", flags, 0, 0xff);
    this.words[this.base]! |= flags << 8;
    return this;
  }

  /** Sets the two u32 halves that the completion returns. */
  setUserData(low: number, high: number): this {
    require32(this, "low", low);
    require32(this, "high", high);
    return this.tag(low, high);
  }

  /** @internal Sets the user data for the reactor, whose slots and generations are u32. */
  tag(low: number, high: number): this {
    this.words[this.base + 8] = low;
    this.words[this.base + 9] = high;
    return this;
  }

  /**
   * io_uring_sqe_set_data64(3). Sets the user data as one BigInt. It is slower than `setUserData`.
   */
  setData64(data: bigint): this {
    requireBigInt(this, "data", data);
    return this.writeWide(8, data);
  }

  /**
   * io_uring_sqe_set_data(3). Sets the user data to an integer from 0 to 2^53, or to a BigInt of 64
   * bits: an index, or an address.
   */
  setData(data: Wide): this {
    return this.putWide("data", 8, data);
  }

  /**
   * Starts the next entry if this one succeeds; otherwise cancels it (IOSQE_IO_LINK, ECANCELED).
   */
  link(): this {
    return this.setFlags(IOSQE_IO_LINK);
  }

  /** Starts the next entry when this one is over, also after a failure (IOSQE_IO_HARDLINK). */
  hardLink(): this {
    return this.setFlags(IOSQE_IO_HARDLINK);
  }

  /** Starts after all earlier submissions are over; later ones wait (IOSQE_IO_DRAIN). */
  drain(): this {
    return this.setFlags(IOSQE_IO_DRAIN);
  }

  /** Suppresses the completion of a success (IOSQE_CQE_SKIP_SUCCESS, Linux 5.17). */
  skipSuccess(): this {
    return this.setFlags(IOSQE_CQE_SKIP_SUCCESS);
  }

  /** Makes `fd` an index of the registered files instead of a descriptor (IOSQE_FIXED_FILE). */
  fixedFile(): this {
    return this.setFlags(IOSQE_FIXED_FILE);
  }

  /** Sets the group of provided buffers to use, 0 to 65535 (IOSQE_BUFFER_SELECT). */
  setBufferGroup(bgid: number): this {
    if (!isWithin(bgid, U16_MAX)) requireField(this, "bgid", bgid, 0, U16_MAX);
    this.words[this.base + 10]! |= bgid;
    return this.setFlags(IOSQE_BUFFER_SELECT);
  }

  /**
   * The argument of an IORING_OP_URING_CMD for the driver of the descriptor. It is the entry's last
   * 16 bytes, or 80 with IORING_SETUP_SQE128. A prep function clears the first 16 of them.
   */
  get command(): Uint8Array {
    return new Uint8Array(this.words.buffer, this.words.byteOffset + this.base * 4 + 48, this.commandBytes);
  }

  /** Sets the credentials to run with, by an id of `ring.registerPersonality()`. */
  setPersonality(id: number): this {
    requireField(this, "id", id, 0, U16_MAX);
    this.words[this.base + 10] = (this.words[this.base + 10]! & U16_MAX) | (id << 16);
    return this;
  }

  /** Opens into this slot of the registered files, or a free one (IORING_FILE_INDEX_ALLOC). */
  protected putTargetFile(fileIndex: number, name = "fileIndex"): this {
    requireField(this, name, fileIndex, 0, U32_MAX);
    // The kernel counts slots from 1 here; 0 means an ordinary descriptor.
    this.words[this.base + 11] = fileIndex === IORING_FILE_INDEX_ALLOC ? fileIndex : fileIndex + 1;
    return this;
  }

  /** Sets a registered buffer's index, or a buffer group that is an argument of the operation. */
  protected putBufferIndex(name: string, index: number): this {
    requireField(this, name, index, 0, U16_MAX);
    this.words[this.base + 10]! |= index;
    return this;
  }

  /** Sets another operation's user data: two halves, or one BigInt and a high half of 0. */
  protected putTarget(low: Wide, high = 0, lowName = "low", highName = "high"): this {
    return this.setHalves(4, low, high, lowName, highName);
  }

  /** Sets the 64 bits beside `fd` (off, addr2): two halves, or one BigInt. */
  protected putOffset(low: Wide, high = 0, lowName = "low", highName = "high"): this {
    return this.setHalves(2, low, high, lowName, highName);
  }

  private setHalves(word: number, low: Wide, high: number, lowName: string, highName: string): this {
    if (typeof low === "bigint") {
      requireBigInt(this, lowName, low);
      requireField(this, highName, high, 0, 0);
      return this.writeWide(word, low);
    }
    require32(this, lowName, low);
    require32(this, highName, high);
    this.words[this.base + word] = low;
    this.words[this.base + word + 1] = high;
    return this;
  }

  /** Sets the third argument of some operations (splice_fd_in, file_index, addr_len). */
  protected putWord11(name: string, value: number): this {
    require32(this, name, value);
    this.words[this.base + 11] = value;
    return this;
  }

  /** Sets the same 64 bits as `putOffset` to an address. */
  protected putAddress2(name: string, address: Wide): this {
    return this.putWide(name, 2, address);
  }

  /** Sets a third address or a mask (addr3). */
  protected putAddress3(name: string, address: Wide): this {
    return this.putWide(name, 12, address);
  }

  protected putWide(name: string, word: number, value: Wide): this {
    if (typeof value !== "number" || !isWithin(value, Number.MAX_SAFE_INTEGER)) requireWide(this, name, value, 0);
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
}
