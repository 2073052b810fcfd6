/**
 * Checks of the numbers of an entry, under the prep functions' names for them.
 *
 * Guarantees: an entry whose number is refused is disarmed before the error is thrown, because it
 * may be submitted with others.
 */
import { I32_MIN, invalidType, outOfRange, requireInteger, U32_MAX, U64_MAX } from "../sys/check.ts";
import type { FieldNames } from "./sqe-field-names.ts";

/** A value of 64 bits: an exact number, or a BigInt. */
export type Wide = number | bigint;

/** An entry that can be made to do nothing. */
export interface Disarmable {
  disarm(): void;
}

const I64_MIN = -0x8000000000000000n;

/**
 * Whether a number fits its field. Setters that the reactor calls often ask this first: it is small
 * enough for the compiler to inline.
 */
export const isWithin = (value: number, most: number): boolean =>
  Number.isInteger(value) && value >= 0 && value <= most;

/** Whether a number fits in 32 bits, signed or not. */
const is32Bits = (value: number): boolean => Number.isInteger(value) && value >= I32_MIN && value <= U32_MAX;

/** Requires an integer from `least` to `most`. */
export function requireField(entry: Disarmable, name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  entry.disarm();
  requireInteger(name, value, least, most);
}

/** Requires 32 bits, signed or not. Returns them as an unsigned number. */
export function require32(entry: Disarmable, name: string, value: number): number {
  if (!is32Bits(value)) requireField(entry, name, value, I32_MIN, U32_MAX);
  return value >>> 0;
}

/** Requires 64 bits of at least `least`: an exact number, or a BigInt. */
export function requireWide(entry: Disarmable, name: string, value: Wide, least: 0 | -1): void {
  if (typeof value === "bigint") requireBigInt(entry, name, value, BigInt(least));
  else requireField(entry, name, value, least, Number.MAX_SAFE_INTEGER);
}

export function requireBigInt(entry: Disarmable, name: string, value: bigint, least: bigint = I64_MIN): void {
  if (typeof value === "bigint" && value >= least && value <= U64_MAX) return;
  entry.disarm();
  const allowed = `a BigInt from ${least} to ${U64_MAX}`;
  throw typeof value === "bigint" ? outOfRange(name, allowed, value) : invalidType(name, allowed, value);
}

/** Requires the numbers that every operation has. */
export function requireFields(
  entry: Disarmable,
  names: FieldNames,
  fd: number,
  address: Wide,
  length: number,
  offset: Wide,
  opFlags: number,
): void {
  requireField(entry, names.fd, fd, I32_MIN, U32_MAX);
  requireWide(entry, names.address, address, 0);
  requireField(entry, names.length, length, 0, U32_MAX);
  requireWide(entry, names.offset, offset, -1);
  requireField(entry, names.opFlags, opFlags, I32_MIN, U32_MAX);
}
