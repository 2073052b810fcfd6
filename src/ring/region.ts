/** Pieces of mapped memory, which the kernel may see. `RingMemory` makes them. */
import { wideOf } from "../sys/check.ts";

const TWO_32 = 4294967296;

/** Writes an unsigned integer up to 2^53 as 64 bits. */
export function writeU64(buffer: Buffer, offset: number, value: number): void {
  buffer.writeUInt32LE(value % TWO_32, offset);
  buffer.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}

/** The memory of a structure. */
export interface Place {
  address: number;
  buffer: Buffer;
}

/** A piece of mapped memory. */
export class Region {
  readonly address: number;
  /** The memory of this piece alone. */
  readonly buffer: Buffer;

  constructor({ address, buffer }: Place) {
    this.address = address;
    this.buffer = buffer;
  }

  get bytes(): number {
    return this.buffer.length;
  }

  /**
   * Writes an unsigned integer up to 2^53, or a BigInt of 64 bits. `name` is the argument's name in
   * an error.
   */
  writeU64(offset: number, value: number | bigint, name = "value"): void {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) writeU64(this.buffer, offset, value);
    else this.buffer.writeBigUInt64LE(wideOf(name, value), offset);
  }

  /** Returns 64 bits as a number. It is exact up to 2^53. */
  readU64(offset: number): number {
    return this.buffer.readUInt32LE(offset) + this.buffer.readUInt32LE(offset + 4) * TWO_32;
  }
}
