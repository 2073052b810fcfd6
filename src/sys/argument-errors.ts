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

/** Text in "hex" that ends within a byte: ERR_INVALID_ARG_VALUE, in Node's words. */
export function oddHex(length: number): TypeError {
  const message = `The argument 'encoding' is invalid for data of length ${length}. Received 'hex'`;
  return Object.assign(new TypeError(message), { code: "ERR_INVALID_ARG_VALUE" });
}

/** What cannot be done as things are: ERR_INVALID_STATE. */
export function invalidState(message: string): Error {
  return Object.assign(new Error(`Invalid state: ${message}`), { code: "ERR_INVALID_STATE" });
}

const says = (name: string, allowed: string, value: unknown): string =>
  `${name} must be ${allowed}, not ${Bun.inspect(value)}`;
