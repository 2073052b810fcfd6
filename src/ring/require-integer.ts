/** Checks of arguments that the kernel would take for something else, or answer with a bare EINVAL. */
export const U16_MAX = 0xffff;
export const U32_MAX = 0xffffffff;

/** Throws a TypeError for what is no integer, and a RangeError for one that is out of range. */
export function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value))
    throw new TypeError(`${name} must be an integer from ${least} to ${most}, not ${Bun.inspect(value)}`);
  if (value < least || value > most) throw new RangeError(`${name} must be from ${least} to ${most}, not ${value}`);
}
