/**
 * Checks of what a program gives, and the errors for what is refused. Each error says "NAME must be ALLOWED, not VALUE" and
 * has Node's code.
 *
 * A wrong type is a TypeError. A number out of range is a RangeError where it is an argument, and a TypeError where it is an
 * option of an object (`invalidOption`). Leaves to others: what Bun words in its own way (bun/), and what must hold whatever
 * a program gives (assert.ts).
 */

export const U16_MAX = 0xffff;
export const U32_MAX = 0xffffffff;
export const U64_MAX = 0xffffffffffffffffn;
export const I32_MIN = -0x80000000;
export const I32_MAX = 0x7fffffff;

// ---- errors ------------------------------------------------------------------------------------------------------

/** Of a wrong type: ERR_INVALID_ARG_TYPE. */
export function invalidType(name: string, allowed: string, value: unknown): TypeError {
  return Object.assign(new TypeError(says(name, allowed, value)), { code: "ERR_INVALID_ARG_TYPE" });
}

/** Of the right type, and none of what is allowed: ERR_INVALID_ARG_VALUE. */
export function invalidValue(name: string, allowed: string, value: unknown): TypeError {
  return Object.assign(new TypeError(says(name, allowed, value)), { code: "ERR_INVALID_ARG_VALUE" });
}

/** A number out of range: ERR_OUT_OF_RANGE. */
export function outOfRange(name: string, allowed: string, value: unknown): RangeError {
  return Object.assign(new RangeError(says(name, allowed, value)), { code: "ERR_OUT_OF_RANGE" });
}

/** An option, whose values are of one type: a TypeError with the code for the type, or else for the value. */
export function invalidOption(
  name: string,
  type: "number" | "string" | "object",
  allowed: string,
  value: unknown,
): TypeError {
  return typeof value === type ? invalidValue(name, allowed, value) : invalidType(name, allowed, value);
}

const says = (name: string, allowed: string, value: unknown): string =>
  `${name} must be ${allowed}, not ${shown(value)}`;

/** A value as errors show it. One that cannot be inspected, because that runs code of the program's, is shown as its type. */
function shown(value: unknown): string {
  try {
    return Bun.inspect(value);
  } catch {
    return `a value of type ${typeof value}`;
  }
}

// ---- numbers -----------------------------------------------------------------------------------------------------

/** Throws a TypeError for what is no integer, and a RangeError for one that is out of range. */
export function requireInteger(name: string, value: unknown, least: number, most: number): asserts value is number {
  if (!Number.isInteger(value)) throw invalidType(name, `an integer from ${least} to ${most}`, value);
  if ((value as number) < least || (value as number) > most) throw outOfRange(name, `from ${least} to ${most}`, value);
}

/** The same as Node does it: a fraction is a RangeError. */
export function requireNodeInteger(name: string, value: unknown, least: number, most: number): asserts value is number {
  requireNumber(name, value);
  if (!Number.isInteger(value)) throw outOfRange(name, `an integer from ${least} to ${most}`, value);
  if (value < least || value > most) throw outOfRange(name, `from ${least} to ${most}`, value);
}

/** Fractions are allowed, and without a range everything is. A wrong type is a TypeError, what is out of range a RangeError. */
export function requireNumber(
  name: string,
  value: unknown,
  least?: number,
  most: number = Infinity,
): asserts value is number {
  const allowed = most === Infinity ? `at least ${least}` : `from ${least} to ${most}`;
  if (typeof value !== "number")
    throw invalidType(name, least === undefined ? "a number" : `a number, ${allowed}`, value);
  if (least !== undefined && !(value >= least && value <= most)) throw outOfRange(name, allowed, value);
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

/** Throws a TypeError for any other. */
export function requirePowerOfTwo(name: string, value: unknown, least: number, most: number): asserts value is number {
  const number = Number.isInteger(value) ? (value as number) : 0;
  if (number < least || number > most || (number & (number - 1)) !== 0)
    throw invalidOption(name, "number", `a power of two from ${least} to ${most}`, value);
}

// ---- other types -------------------------------------------------------------------------------------------------

export function requireObject(name: string, value: unknown, allowed = "an object"): asserts value is object {
  if (typeof value !== "object" || value === null) throw invalidType(name, allowed, value);
}

export function requireFunction(name: string, value: unknown): asserts value is Function {
  if (typeof value !== "function") throw invalidType(name, "a function", value);
}

export function requireBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== "boolean") throw invalidType(name, "true or false", value);
}

/** An option that need not be given. */
export function requireOptionalBoolean(name: string, value: unknown): asserts value is boolean | undefined {
  if (value !== undefined) requireBoolean(name, value);
}

export function requireArray(name: string, value: unknown, allowed = "an array"): asserts value is unknown[] {
  if (!Array.isArray(value)) throw invalidType(name, allowed, value);
}

/** Bytes, or numbers of another kind. */
export function requireView(name: string, value: unknown): asserts value is NodeJS.ArrayBufferView {
  if (!ArrayBuffer.isView(value)) throw invalidType(name, "an ArrayBuffer's view", value);
}

export function requireBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalidType(name, "a Uint8Array", value);
}

/** A signal, or undefined. */
export function requireSignal(name: string, value: unknown): asserts value is AbortSignal | undefined {
  if (value !== undefined && !(value instanceof AbortSignal)) throw invalidType(name, "an AbortSignal", value);
}

/** Text that the kernel takes whole. */
export function requireText(name: string, value: unknown): asserts value is string {
  const allowed = "a string without NUL";
  if (typeof value !== "string") throw invalidType(name, allowed, value);
  if (value.includes("\0")) throw invalidValue(name, allowed, value);
}

/** A path or a name as the kernel takes it. */
export function requirePath(name: string, value: unknown): asserts value is string | Uint8Array {
  const allowed = "a string or bytes without NUL";
  if (typeof value !== "string" && !(value instanceof Uint8Array)) throw invalidType(name, allowed, value);
  if (typeof value === "string" ? value.includes("\0") : value.includes(0)) throw invalidValue(name, allowed, value);
}

/** One of a few words. Throws a TypeError that lists them. */
export function requireOneOf<Word extends string>(
  name: string,
  value: unknown,
  words: readonly Word[],
): asserts value is Word {
  if (words.includes(value as Word)) return;
  throw invalidOption(name, "string", `one of ${words.map((word) => JSON.stringify(word)).join(", ")}`, value);
}
