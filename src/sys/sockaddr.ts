/**
 * Socket addresses. Converts between the kernel's sockaddr bytes and host, port and family in
 * Node's and Bun's terms.
 */
import { invalidValue } from "./check.ts";
import { AF_INET, AF_UNIX } from "./socket-abi.ts";
import { check } from "./errno.ts";
import { native, pointerTo, withPointer } from "./library.ts";

export interface SocketAddress {
  address: string;
  family: "IPv4" | "IPv6";
  port: number;
}

/** sizeof(struct sockaddr_storage). */
export const SOCKADDR_BYTES_MAX = 128;

/**
 * Returns sockaddr bytes for a numeric address or a host name. The system resolves a host name, and
 * the call blocks meanwhile. Throws an Error with code ENOTFOUND.
 */
export function encodeAddress(hostname: string, port: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const name = Buffer.from(`${hostname}\0`);
  const length = withPointer(name, (host) => native().rl_resolve(host, port, pointerTo(bytes)));
  if (length < 0) {
    const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`);
    // Bun's errno here is the number of its resolver (ARES_ENOTFOUND).
    throw Object.assign(error, { code: "ENOTFOUND", syscall: "getaddrinfo", hostname, errno: 4 });
  }
  return bytes.subarray(0, length);
}

/** sizeof(sun_path). */
const UNIX_PATH_BYTES = 108;

/** Longest path or name: a NUL follows a path, and a NUL precedes an abstract name. */
export const UNIX_PATH_BYTES_MAX = UNIX_PATH_BYTES - 1;

/**
 * Returns sockaddr_un bytes for a path, or for an abstract name with a leading NUL. Throws a
 * TypeError if the path is empty or too long.
 */
export function encodeUnixAddress(unix: string): Uint8Array {
  const path = Buffer.from(unix);
  const isAbstract = path[0] === 0;
  // unix(7): a path may fill sun_path without its NUL. The address length gives the length of an
  // abstract name.
  if (path.length === 0 || path.length > UNIX_PATH_BYTES - (isAbstract ? 0 : 1) || path.indexOf(0, 1) >= 0)
    throw invalidValue("unix", `a path or a name of 1 to ${UNIX_PATH_BYTES - 1} bytes without NUL`, unix);
  const bytes = new Uint8Array(2 + path.length + (isAbstract ? 0 : 1));
  bytes[0] = AF_UNIX;
  bytes.set(path, 2);
  return bytes;
}

export function familyOf(address: Uint8Array): number {
  return address[0]! | (address[1]! << 8);
}

/** Returns the host and port in sockaddr bytes. */
export function decodeAddress(bytes: Uint8Array): SocketAddress {
  const text = new Uint8Array(64);
  const length = check(
    native().rl_format_address(pointerTo(bytes), bytes.length, pointerTo(text), text.length),
    "getnameinfo",
  );
  return {
    address: Buffer.from(text.buffer, 0, length).latin1Slice(),
    family: familyOf(bytes) === AF_INET ? "IPv4" : "IPv6",
    port: (bytes[2]! << 8) | bytes[3]!,
  };
}
