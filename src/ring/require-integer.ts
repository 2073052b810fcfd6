/** Checks of arguments that the kernel would take for something else, or answer with a bare EINVAL. */
import { invalidType, outOfRange } from "../sys/argument-errors.ts";

export const U16_MAX = 0xffff;
export const U32_MAX = 0xffffffff;
export const U64_MAX = 0xffffffffffffffffn;
export const I32_MIN = -0x80000000;

/** Throws a TypeError for what is no integer, and a RangeError for one that is out of range, with Node's codes. */
export function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value)) throw invalidType(name, `an integer from ${least} to ${most}`, value);
  if (value < least || value > most) throw outOfRange(name, `from ${least} to ${most}`, value);
}

/** What has 64 bits: a number as far as it is exact, or a BigInt. The same as a BigInt, from `least` on. */
export function wideOf(name: string, value: number | bigint, least = 0n): bigint {
  if (typeof value !== "bigint") {
    requireInteger(name, value, Number(least), Number.MAX_SAFE_INTEGER);
    return BigInt(value);
  }
  if (value < least || value > U64_MAX) throw outOfRange(name, `from ${least} to ${U64_MAX}`, value);
  return value;
}
