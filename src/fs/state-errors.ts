/** Errors of node:fs that are about how things are, and about no one argument. */

/** Text in "hex" that ends within a byte: ERR_INVALID_ARG_VALUE, in Node's words. */
export function oddHex(length: number): TypeError {
  const message = `The argument 'encoding' is invalid for data of length ${length}. Received 'hex'`;
  return Object.assign(new TypeError(message), { code: "ERR_INVALID_ARG_VALUE" });
}

/** What cannot be done as things are: ERR_INVALID_STATE. */
export function invalidState(message: string): Error {
  return Object.assign(new Error(`Invalid state: ${message}`), { code: "ERR_INVALID_STATE" });
}
