/** Errors of node:fs that several files throw, or that do not name one argument. */
import { invalidValue, withCode } from "../sys/check.ts";

/** Returns the error for text in "hex" with half a byte: ERR_INVALID_ARG_VALUE, in Node's words. */
export function oddHex(length: number): TypeError {
  const message = `The argument 'encoding' is invalid for data of length ${length}. Received 'hex'`;
  return withCode("ERR_INVALID_ARG_VALUE", new TypeError(message));
}

/** Returns the error for a call that the present state forbids: ERR_INVALID_STATE. */
export function invalidState(message: string): Error {
  return withCode("ERR_INVALID_STATE", new Error(`Invalid state: ${message}`));
}

/** Returns the error for an atomic write to an open file: the result would be another file. */
export function atomicOpenFile(): TypeError {
  return invalidValue("atomic", "false for a file that is open", true);
}
