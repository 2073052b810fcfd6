/**
 * Checks the options that programs pass to listen, connect and serve. Every error names the option,
 * the value and what is allowed.
 */
import { invalidOption, invalidValue, shown, withCode } from "../../sys/check.ts";
import type { ListenTarget } from "../../transport/open-socket.ts";
import { isPassedSocket, type PassedSocket } from "../../transport/passed-sockets.ts";

/**
 * Reads a text. As in Bun, an empty string or null counts as no value, and another type is
 * converted to a string: a Buffer, or a number. Throws a TypeError for a text with NUL, and for a
 * value that has no text.
 */
export function readText(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  const text = textOf(value);
  if (text === "") return undefined;
  if (text !== undefined && !text.includes("\0")) return text;
  throw invalidOption(name, "string", "a string without NUL", value);
}

/**
 * Converts a value to a string, as Bun does. Returns undefined for a value without a text: null, a
 * symbol, or an object without toString.
 */
export function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null || typeof value === "symbol") return undefined;
  try {
    return String(value);
  } catch {
    return undefined;
  }
}

/**
 * Returns a host in the form that the resolver accepts. An IPv6 address loses its brackets, and
 * "localhost." loses its dot (RFC 6761 section 6.3).
 */
export function hostOf(hostname: string): string {
  if (hostname.startsWith("[") && hostname.endsWith("]") && hostname.includes(":")) return hostname.slice(1, -1);
  return hostname.toLowerCase() === "localhost." ? "localhost" : hostname;
}

/**
 * Reads an integer from a number, from a text of a number, or, as in Bun, from an object that
 * converts to one. Returns NaN for any other value.
 */
export function readInteger(value: unknown): number {
  if (value === "" || typeof value === "symbol" || typeof value === "bigint") return NaN;
  try {
    const port = Number(value);
    return Number.isInteger(port) ? port : NaN;
  } catch {
    return NaN; // An object that converts neither to a number nor to a text.
  }
}

/**
 * Checks the option `port` of listen and connect. Throws Bun's RangeError, or a TypeError if it is
 * missing.
 */
function requireSocketPort(value: unknown): number {
  if (value === undefined || value === null)
    throw withCode(
      "ERR_INVALID_ARG_TYPE",
      new TypeError(`Missing "port": it must be an integer from 0 to 65535, not ${value}`),
    );
  const port = readInteger(value);
  if (port >= 0 && port <= 65535) return port;
  const rule = Number.isNaN(port) ? "an integer" : "in the range [0, 65535]";
  throw withCode(
    "ERR_OUT_OF_RANGE",
    new RangeError(`SocketOptions.port must be ${rule} (received ${received(value)})`),
  );
}

/** Checks the option `port` of serve. Throws Bun's RangeError. */
export function requireServerPort(value: unknown): number {
  const port = readInteger(value);
  if (port >= 0 && port <= 65535) return port;
  const rule = Number.isNaN(port) ? "an integer" : ">= 0 and <= 65535";
  const message = `The value of "options.port" is out of range. It must be ${rule}. Received ${received(value)}`;
  throw withCode("ERR_OUT_OF_RANGE", new RangeError(message));
}

/** Returns the number that a value stands for, as Bun's errors write it. */
function received(value: unknown): string {
  return String(typeof value === "number" ? value : readInteger(value));
}

export function requireDescriptor(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0x7fffffff) return value;
  throw invalidOption("fd", "number", "a descriptor", value);
}

/** Checks the option `fd` of serve, listen and listenStream. */
export function requireListeningDescriptor(value: number | PassedSocket): number | PassedSocket {
  if (isPassedSocket(value)) return value;
  if (typeof value !== "string") return requireDescriptor(value);
  throw invalidValue("fd", 'a descriptor, "systemd", or "systemd:" with a name', value);
}

/** A number of bytes. Infinity is no limit. */
export function readByteCount(name: string, value: number | undefined, byDefault: number, min: number): number {
  if (value === undefined) return byDefault;
  if ((Number.isSafeInteger(value) || value === Infinity) && value >= min) return value;
  throw invalidOption(name, "number", `an integer number of bytes, at least ${min}`, value);
}

/** The target of `listen` or `connect`: `fd`, or `unix`, or a host and a port. */
export interface Endpoint {
  hostname?: string | undefined;
  port?: number | undefined;
  unix?: string | undefined;
  fd?: number | PassedSocket | undefined;
}

/** Reads where to listen. */
export function readListenEndpoint(options: Endpoint): Pick<ListenTarget, "hostname" | "port" | "unix" | "fd"> {
  return options.fd === undefined ? readEndpoint(options) : { fd: requireListeningDescriptor(options.fd) };
}

/** Reads where to connect to. */
export function readEndpoint(options: Endpoint): Pick<ListenTarget, "hostname" | "port" | "unix"> & { fd?: number } {
  const { fd, unix, port } = options;
  if (fd !== undefined) return { fd: requireDescriptor(fd as number) };
  if (unix !== undefined && unix !== null) {
    if (typeof unix !== "string" || unix === "")
      throw invalidOption("SocketOptions.unix", "string", "a string, a path or an abstract name", unix);
    return { unix };
  }
  const hostname = readText("hostname", options.hostname);
  if (hostname === undefined && typeof options.hostname === "object" && options.hostname !== null)
    throw new TypeError(`Expected a non-empty "hostname", not ${shown(options.hostname)}`);
  return { hostname, port: requireSocketPort(port) };
}
