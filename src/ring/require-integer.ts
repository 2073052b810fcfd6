/** Checks of arguments that the kernel would take for something else, or answer with a bare EINVAL. */
import { invalidType, outOfRange } from "../sys/argument-errors.ts";

export const U16_MAX = 0xffff;
export const U32_MAX = 0xffffffff;

/** Throws a TypeError for what is no integer, and a RangeError for one that is out of range, with Node's codes. */
export function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value)) throw invalidType(name, `an integer from ${least} to ${most}`, value);
  if (value < least || value > most) throw outOfRange(name, `from ${least} to ${most}`, value);
}
