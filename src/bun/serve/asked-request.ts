/**
 * Returns the Request that `server.fetch` was given, or makes one from a URL text, which may be
 * relative to `base`. Throws the errors that Bun throws.
 */
import { withCode } from "../../sys/check.ts";

export function askedOf(given: unknown[], base: URL): Request {
  if (given.length === 0) throw new Error("fetch() expects a string but received no arguments.");
  const [request] = given;
  if (request instanceof Request) return request;
  if (typeof request !== "string") {
    const kind = request === null ? "null" : typeof request === "bigint" ? "bigInt" : typeof request;
    const error = new TypeError(`fetch() expects a string, but received ${kind[0]!.toUpperCase()}${kind.slice(1)}`);
    throw withCode("ERR_INVALID_ARG_TYPE", error);
  }
  if (request === "") throw new Error("fetch() URL must not be a blank string.");
  const url = new URL(request, base);
  url.hash = "";
  return new Request(url.href);
}
