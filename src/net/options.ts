/** Checks what programs pass to listen, connect and serve. Every error names the option, the value and what is allowed. */
import type { ListenTarget } from "./open-socket.ts";

export function requireObject(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null)
    throw new TypeError(`${name} must be an object, not ${Bun.inspect(value)}`);
}

/** As in Bun, an empty string or null is no value. */
export function requireText(name: string, value: string | null | undefined): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string" && !value.includes("\0")) return value;
  throw new TypeError(`${name} must be a string without NUL, not ${Bun.inspect(value)}`);
}

/** A number, or, as in Bun, a string of digits. */
export function requirePort(value: number | string, name = "port"): number {
  const port = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  if (Number.isInteger(port) && (port as number) >= 0 && (port as number) <= 65535) return port as number;
  throw new TypeError(`${name} must be an integer from 0 to 65535, not ${Bun.inspect(value)}`);
}

export function requireDescriptor(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0x7fffffff) return value;
  throw new TypeError(`fd must be a descriptor, not ${Bun.inspect(value)}`);
}

export function requireBytes(name: string, value: number | undefined, byDefault: number, min: number): number {
  if (value === undefined) return byDefault;
  if ((Number.isSafeInteger(value) || value === Infinity) && value >= min) return value;
  throw new TypeError(`${name} must be an integer number of bytes, at least ${min}, not ${Bun.inspect(value)}`);
}

/** Where `listen` or `connect` is to go: `fd`, or `unix`, or a host and a port. */
export interface Endpoint {
  hostname?: string | undefined;
  port?: number | undefined;
  unix?: string | undefined;
  fd?: number | undefined;
}

export function readEndpoint(options: Endpoint): Pick<ListenTarget, "hostname" | "port" | "unix" | "fd"> {
  const { fd, unix, port } = options;
  if (fd !== undefined) return { fd: requireDescriptor(fd) };
  if (unix !== undefined) {
    if (typeof unix !== "string" || unix === "") throw new TypeError(`unix must be a path, not ${Bun.inspect(unix)}`);
    return { unix };
  }
  return { hostname: requireText("hostname", options.hostname), port: requirePort(port as number) };
}
