/**
 * Checks of arguments and options, and the errors for wrong ones. An error says "NAME must be
 * ALLOWED, not VALUE", and has Node's code.
 *
 * A wrong type is a TypeError. A number out of range is a RangeError if it is an argument, and a
 * TypeError if it is an option (`invalidOption`). Leaves to others: errors in Bun's own words
 * (bun/), and what must hold for any argument (assert.ts).
 */

export const U16_MAX = 0xffff;
export const U32_MAX = 0xffffffff;
export const U64_MAX = 0xffffffffffffffffn;
export const I32_MIN = -0x80000000;
export const I32_MAX = 0x7fffffff;

// ---- errors -------------------------------------------------------------------------------------

/** Returns the error for a value of a wrong type: ERR_INVALID_ARG_TYPE. */
export function invalidType(name: string, allowed: string, value: unknown): TypeError {
  return withCode("ERR_INVALID_ARG_TYPE", new TypeError(says(name, allowed, value)));
}

/** Returns the error for a wrong value of the right type: ERR_INVALID_ARG_VALUE. */
export function invalidValue(name: string, allowed: string, value: unknown): TypeError {
  return withCode("ERR_INVALID_ARG_VALUE", new TypeError(says(name, allowed, value)));
}

/** Returns the error for a number out of range: ERR_OUT_OF_RANGE. */
export function outOfRange(name: string, allowed: string, value: unknown): RangeError {
  return withCode("ERR_OUT_OF_RANGE", new RangeError(says(name, allowed, value)));
}

/**
 * Returns the error for an option of one type. Its code says whether the type or the value is
 * wrong.
 */
export function invalidOption(
  name: string,
  type: "number" | "string" | "object",
  allowed: string,
  value: unknown,
): TypeError {
  return typeof value === type ? invalidValue(name, allowed, value) : invalidType(name, allowed, value);
}

/** Adds a `code` to an error, as Node's errors have it. Errors in Bun's own words need it. */
export function withCode<E extends Error>(code: string, error: E): E {
  return Object.assign(error, { code });
}

const says = (name: string, allowed: string, value: unknown): string =>
  `${name} must be ${allowed}, not ${shown(value)}`;

/**
 * Returns the text for a value in an error, also in one of Bun's own words. The inspection of a value can run code of the program.
 * If that code throws, the text is the type.
 */
export function shown(value: unknown): string {
  try {
    return Bun.inspect(value);
  } catch {
    return `a value of type ${typeof value}`;
  }
}

/** Returns the error for an option that must be one of a few words. It lists the words. */
export function wrongWord(name: string, value: unknown, words: readonly string[]): TypeError {
  return invalidOption(name, "string", `one of ${words.map((word) => JSON.stringify(word)).join(", ")}`, value);
}

// ---- numbers ------------------------------------------------------------------------------------

/** Throws a TypeError for a value that is not an integer, and a RangeError for one out of range. */
export function requireInteger(name: string, value: unknown, least: number, most: number): asserts value is number {
  if (!Number.isInteger(value)) throw invalidType(name, `an integer from ${least} to ${most}`, value);
  if ((value as number) < least || (value as number) > most) throw outOfRange(name, `from ${least} to ${most}`, value);
}

/** Does the same in the way of Node: a fraction is a RangeError. */
export function requireNodeInteger(name: string, value: unknown, least: number, most: number): asserts value is number {
  requireNumber(name, value);
  if (!Number.isInteger(value)) throw outOfRange(name, `an integer from ${least} to ${most}`, value);
  if (value < least || value > most) throw outOfRange(name, `from ${least} to ${most}`, value);
}

/**
 * Checks a number, which may be a fraction. Throws a TypeError for a wrong type, and a RangeError
 * for a number out of range. Without `least`, there is no range.
 */
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

/** Throws a TypeError for any other value: powers of two are asked for as options. */
export function requirePowerOfTwo(name: string, value: unknown, least: number, most: number): asserts value is number {
  const number = Number.isInteger(value) ? (value as number) : 0;
  if (number < least || number > most || (number & (number - 1)) !== 0)
    throw invalidOption(name, "number", `a power of two from ${least} to ${most}`, value);
}

// ---- other types --------------------------------------------------------------------------------

export function requireObject(name: string, value: unknown, allowed = "an object"): asserts value is object {
  if (typeof value !== "object" || value === null) throw invalidType(name, allowed, value);
}

export function requireFunction(name: string, value: unknown): asserts value is Function {
  if (typeof value !== "function") throw invalidType(name, "a function", value);
}

export function requireBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== "boolean") throw invalidType(name, "true or false", value);
}

/** Checks a boolean that may be undefined. */
export function requireOptionalBoolean(name: string, value: unknown): asserts value is boolean | undefined {
  if (value !== undefined) requireBoolean(name, value);
}

export function requireArray(name: string, value: unknown, allowed = "an array"): asserts value is unknown[] {
  if (!Array.isArray(value)) throw invalidType(name, allowed, value);
}

/** Checks an array of objects. An error names the element. */
export function requireObjects(name: string, value: unknown): asserts value is object[] {
  requireArray(name, value, "an array of objects");
  for (let i = 0; i < value.length; i++) requireObject(`${name}[${i}]`, value[i]);
}

/** Checks a typed array or a DataView. */
export function requireView(name: string, value: unknown): asserts value is NodeJS.ArrayBufferView {
  if (!ArrayBuffer.isView(value)) throw invalidType(name, "an ArrayBuffer's view", value);
}

export function requireBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalidType(name, "a Uint8Array", value);
}

/** Checks a signal that may be undefined. */
export function requireSignal(name: string, value: unknown): asserts value is AbortSignal | undefined {
  if (value !== undefined && !(value instanceof AbortSignal)) throw invalidType(name, "an AbortSignal", value);
}

export function requireString(name: string, value: unknown): asserts value is string {
  if (typeof value !== "string") throw invalidType(name, "a string", value);
}

/** Checks a text for the kernel, where a NUL would end it. */
export function requireText(name: string, value: unknown): asserts value is string {
  const allowed = "a string without NUL";
  if (typeof value !== "string") throw invalidType(name, allowed, value);
  if (value.includes("\0")) throw invalidValue(name, allowed, value);
}

/** Checks a path or a name for the kernel, where a NUL would end it. */
export function requirePath(name: string, value: unknown): asserts value is string | Uint8Array {
  const allowed = "a string or bytes without NUL";
  if (typeof value !== "string" && !(value instanceof Uint8Array)) throw invalidType(name, allowed, value);
  if (typeof value === "string" ? value.includes("\0") : value.includes(0)) throw invalidValue(name, allowed, value);
}

/** Checks that a value is one of a few words. Throws a TypeError that lists the words. */
export function requireOneOf<Word extends string>(
  name: string,
  value: unknown,
  words: readonly Word[],
): asserts value is Word {
  if (!words.includes(value as Word)) throw wrongWord(name, value, words);
}
