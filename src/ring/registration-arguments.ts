/** Arguments of io_uring_register(2), made of checked numbers. */
import { IORING_REGISTER_FILES_SKIP } from "../sys/abi.ts";
import { lazily } from "../sys/lazily.ts";
import { PAGE_BYTES } from "../sys/memory.ts";
import {
  I32_MIN,
  invalidValue,
  outOfRange,
  requireArray,
  requireInteger,
  requireObjects,
  U16_MAX,
  U32_MAX,
  wideOf,
} from "../sys/check.ts";
import type { RingMemory } from "./ring-memory.ts";

/** A piece of mapped memory: a region of `RingMemory`, a `Mapping`, a part of a `Chunk`. */
export interface BufferPiece {
  address: number | bigint;
  bytes: number | bigint;
}

/**
 * A rule of io_uring_register_restrictions(3): IORING_RESTRICTION_*; an opcode or IOSQE_* flags.
 */
export interface Restriction {
  type: number;
  value: number;
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
  requireArray("tags", tags);
  const words = tags.map((tag, i) => wideOf(`tags[${i}]`, tag));
  return words.length === 0 ? new BigUint64Array(1) : BigUint64Array.from(words);
}

export function descriptors(fds: readonly number[]): Int32Array {
  requireArray("fds", fds, "an array of descriptors");
  for (const [i, fd] of fds.entries()) requireInteger(`fds[${i}]`, fd, IORING_REGISTER_FILES_SKIP, 0x7fffffff);
  // Bun has no address for an empty view.
  return fds.length === 0 ? new Int32Array(1) : Int32Array.from(fds);
}

export function iovecs(buffers: readonly BufferPiece[]): BigUint64Array {
  requireObjects("buffers", buffers);
  const words: bigint[] = [];
  for (const [i, { address, bytes }] of buffers.entries()) {
    words.push(wideOf(`buffers[${i}].address`, address), wideOf(`buffers[${i}].bytes`, bytes));
  }
  return words.length === 0 ? new BigUint64Array(1) : BigUint64Array.from(words);
}

/** struct io_uring_restriction, one for each rule. */
export function restrictionBytes(restrictions: readonly Restriction[]): Uint8Array {
  requireObjects("restrictions", restrictions);
  const bytes = new Uint8Array(Math.max(1, restrictions.length) * 16);
  for (const [i, { type, value }] of restrictions.entries()) {
    requireInteger(`restrictions[${i}].type`, type, 0, U16_MAX);
    requireInteger(`restrictions[${i}].value`, value, 0, 255);
    bytes.set([type & 0xff, type >> 8, value], i * 16);
  }
  return bytes;
}

/** cpu_set_t, as short as possible. */
export function cpuMask(cpus: readonly number[]): Uint8Array {
  const allowed = "a list of at least one CPU";
  requireArray("cpus", cpus, allowed);
  if (cpus.length === 0) throw invalidValue("cpus", allowed, cpus);
  for (const cpu of cpus) requireInteger("cpus", cpu, 0, 8191);
  const mask = new Uint8Array((Math.max(...cpus) >> 3) + 1);
  for (const cpu of cpus) mask[cpu >> 3]! |= 1 << (cpu & 7);
  return mask;
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

export function requireSameLength(name: string, list: readonly unknown[], tags: readonly (number | bigint)[]): void {
  requireArray(name, list);
  requireArray("tags", tags);
  if (list.length !== tags.length) throw outOfRange("tags", `${list.length}, one for each`, tags.length);
}
