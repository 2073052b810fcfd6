/** Arguments of io_uring_register(2), made of checked numbers. */
import { IORING_REGISTER_FILES_SKIP } from "../sys/abi.ts";
import { lazily } from "../sys/lazily.ts";
import { PAGE_BYTES } from "../sys/memory.ts";
import { I32_MIN, outOfRange, requireInteger, U16_MAX, U32_MAX, wideOf } from "../sys/check.ts";
import type { RingMemory } from "./ring-memory.ts";

/** A piece of mapped memory: a region of `RingMemory`, a `Mapping`, a part of a `Chunk`. */
export interface BufferPiece {
  address: number | bigint;
  bytes: number | bigint;
}

const ringMemory = lazily(() => require("./ring-memory.ts") as typeof import("./ring-memory.ts"));

/** Returns temporary memory for an argument that points at `bytes` further bytes. */
export function scratch(bytes = 0): RingMemory {
  return new (ringMemory().RingMemory)(PAGE_BYTES + bytes);
}

export function bytesOf(view: NodeJS.TypedArray): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

export function oneDescriptor(fd: number): Int32Array {
  // The kernel checks whether the descriptor is open: EBADF.
  requireInteger("fd", fd, I32_MIN, 0x7fffffff);
  return Int32Array.of(fd);
}

export function tagsOf(tags: readonly (number | bigint)[]): BigUint64Array {
  const words = tags.map((tag, i) => wideOf(`tags[${i}]`, tag));
  return words.length === 0 ? new BigUint64Array(1) : BigUint64Array.from(words);
}

export function descriptors(fds: readonly number[]): Int32Array {
  for (const [i, fd] of fds.entries()) requireInteger(`fds[${i}]`, fd, IORING_REGISTER_FILES_SKIP, 0x7fffffff);
  // Bun has no address for an empty view.
  return fds.length === 0 ? new Int32Array(1) : Int32Array.from(fds);
}

export function iovecs(buffers: readonly BufferPiece[]): BigUint64Array {
  const words: bigint[] = [];
  for (const [i, { address, bytes }] of buffers.entries()) {
    words.push(wideOf(`buffers[${i}].address`, address), wideOf(`buffers[${i}].bytes`, bytes));
  }
  return words.length === 0 ? new BigUint64Array(1) : BigUint64Array.from(words);
}

/** struct io_uring_buf_reg. */
export function bufRingArgument(address: number, entries: number, bgid: number, flags: number): Uint32Array {
  requireInteger("address", address, 0, Number.MAX_SAFE_INTEGER);
  requireInteger("entries", entries, 0, U32_MAX);
  requireInteger("bgid", bgid, 0, U16_MAX);
  requireInteger("flags", flags, 0, U16_MAX);
  const argument = new Uint32Array(10);
  argument.set([address >>> 0, Math.floor(address / 4294967296), entries, bgid | (flags << 16)]);
  return argument;
}

export function requireSameLength(list: readonly unknown[], tags: readonly (number | bigint)[]): void {
  if (list.length !== tags.length) throw outOfRange("tags", `${list.length}, one for each`, tags.length);
}
