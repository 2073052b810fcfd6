/**
 * Memory for bytes that are still arriving: a long body, a long message.
 *
 * The garbage collector counts the memory of its ArrayBuffers, so it would wait with the next
 * collection until as much garbage has gathered again as is still arriving. It does not see a
 * block. A full block becomes an ArrayBuffer, without a copy.
 *
 * Guarantees: each block is freed once: by `free`, by the ArrayBuffer that it became, or with its
 * thread. Nobody sees bytes of a block that were not written.
 */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { assert } from "./assert.ts";
import { ENOMEM, SystemError } from "./errno.ts";
import { type Native, native, pointerTo } from "./library.ts";
import { asPointer } from "./memory.ts";

/** Bun's types do not have the last two parameters: the argument of the deallocator, and its address. */
const toOwningBuffer = toArrayBuffer as (
  address: Pointer,
  offset: number,
  bytes: number,
  context: Pointer | null,
  deallocator: Pointer,
) => ArrayBuffer;

/** Smallest number of bytes for which a block pays. */
export const BLOCK_BYTES_MIN = 262144;

/** Largest number of bytes that an ArrayBuffer may have. */
export const BLOCK_BYTES_MAX = 2 ** 32 - 1;

export class Block {
  readonly bytes: number;
  /** Number of bytes that were written, from the start. */
  filled = 0;
  private address: number;

  /** Throws SystemError (ENOMEM). */
  constructor(bytes: number) {
    this.bytes = bytes;
    this.address = native().rl_block_allocate(bytes);
    if (this.address < 0) throw new SystemError(ENOMEM, "malloc");
  }

  /** Where the next byte belongs. */
  get end(): number {
    return this.address + this.filled;
  }

  get room(): number {
    return this.bytes - this.filled;
  }

  append(from: Uint8Array, start: number, end: number): void {
    const bytes = end - start;
    assert(bytes >= 0 && bytes <= this.room && end <= from.length, "bytes fit into their block");
    if (bytes > 0) native().rl_copy(this.end, asPointer(pointerTo(from) + start), bytes);
    this.filled += bytes;
  }

  /** Makes a Buffer of the full block, which frees the memory. The block is used up. */
  toBuffer(): Buffer {
    assert(this.room === 0, "a block that is given away is full");
    const whole = ownBlock(native(), this.address, this.bytes);
    this.address = NaN;
    return Buffer.from(whole);
  }

  free(): void {
    native().rl_block_free(this.address);
    this.address = NaN;
  }
}

/**
 * Returns an ArrayBuffer of the block at `address`, which frees the block and adds one to `calls`.
 */
export function ownBlock(functions: Native, address: number, bytes: number, calls?: Uint32Array): ArrayBuffer {
  // The type of a function of bun:ffi does not have its address.
  const dispose = (functions.rl_block_dispose as unknown as { ptr: Pointer }).ptr;
  const counter = calls === undefined ? null : pointerTo(calls);
  const buffer = toOwningBuffer(asPointer(address), 0, bytes, counter, dispose);
  functions.rl_block_give(address);
  return buffer;
}
