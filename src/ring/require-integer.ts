/** Checks of arguments that the kernel would misread, or would answer with a bare EINVAL. */
import { invalidType, outOfRange } from "../sys/argument-errors.ts";

export const U16_MAX = 0xffff;
export const U32_MAX = 0xffffffff;
export const U64_MAX = 0xffffffffffffffffn;
export const I32_MIN = -0x80000000;

/**
 * Throws a TypeError for a value that is no integer, and a RangeError for an integer out of range,
 * with Node's codes.
 */
export function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value)) throw invalidType(name, `an integer from ${least} to ${most}`, value);
  if (value < least || value > most) throw outOfRange(name, `from ${least} to ${most}`, value);
}

/**
 * Returns a value of 64 bits as a BigInt. The argument is an exact number or a BigInt, and is at
 * least `least`.
 */
export function wideOf(name: string, value: number | bigint, least = 0n): bigint {
  if (typeof value !== "bigint") {
    requireInteger(name, value, Number(least), Number.MAX_SAFE_INTEGER);
    return BigInt(value);
  }
  if (value < least || value > U64_MAX) throw outOfRange(name, `from ${least} to ${U64_MAX}`, value);
  return value;
}
