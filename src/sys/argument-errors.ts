/**
 * Errors for arguments, with Node's codes. Each error names the argument, the allowed values, and
 * the given value.
 */

/** Returns an error for a value of a wrong type: ERR_INVALID_ARG_TYPE. */
export function invalidType(name: string, allowed: string, value: unknown): TypeError {
  return Object.assign(new TypeError(says(name, allowed, value)), { code: "ERR_INVALID_ARG_TYPE" });
}

/** Returns an error for a value of the right type that is not allowed: ERR_INVALID_ARG_VALUE. */
export function invalidValue(name: string, allowed: string, value: unknown): TypeError {
  return Object.assign(new TypeError(says(name, allowed, value)), { code: "ERR_INVALID_ARG_VALUE" });
}

/** Returns an error for a number out of range: ERR_OUT_OF_RANGE. */
export function outOfRange(name: string, allowed: string, value: unknown): RangeError {
  return Object.assign(new RangeError(says(name, allowed, value)), { code: "ERR_OUT_OF_RANGE" });
}

/**
 * Returns an error for "hex" text that ends within a byte: ERR_INVALID_ARG_VALUE, with Node's
 * message.
 */
export function oddHex(length: number): TypeError {
  const message = `The argument 'encoding' is invalid for data of length ${length}. Received 'hex'`;
  return Object.assign(new TypeError(message), { code: "ERR_INVALID_ARG_VALUE" });
}

/** Returns an error for an operation that the present state does not allow: ERR_INVALID_STATE. */
export function invalidState(message: string): Error {
  return Object.assign(new Error(`Invalid state: ${message}`), { code: "ERR_INVALID_STATE" });
}

const says = (name: string, allowed: string, value: unknown): string =>
  `${name} must be ${allowed}, not ${Bun.inspect(value)}`;
