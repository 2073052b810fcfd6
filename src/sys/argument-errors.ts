/** Errors for arguments, with the codes of Node's: each names the argument, what is allowed, and the value. */

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

const says = (name: string, allowed: string, value: unknown): string =>
  `${name} must be ${allowed}, not ${Bun.inspect(value)}`;
