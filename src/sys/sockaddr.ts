/** Socket addresses: between the kernel's sockaddr bytes and host, port and family as Node and Bun name them. */
import { AF_INET, AF_UNIX } from "./abi.ts";
import { check } from "./errno.ts";
import { native, pointerTo, withPointer } from "./library.ts";

export interface SocketAddress {
  address: string;
  family: "IPv4" | "IPv6";
  port: number;
}

/** sizeof(struct sockaddr_storage). */
export const SOCKADDR_BYTES_MAX = 128;

/** A numeric address or a host name (resolved by the system, blocking) as sockaddr bytes. Throws with code ENOTFOUND. */
export function encodeAddress(hostname: string, port: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const name = Buffer.from(`${hostname}\0`);
  const length = withPointer(name, (host) => native().rl_resolve(host, port, pointerTo(bytes)));
  if (length < 0) {
    const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`);
    // errno as in Bun, which has that of its resolver (ARES_ENOTFOUND).
    throw Object.assign(error, { code: "ENOTFOUND", syscall: "getaddrinfo", hostname, errno: 4 });
  }
  return bytes.subarray(0, length);
}

/** sizeof(sun_path). */
const UNIX_PATH_BYTES = 108;

/** What fits: a path has a NUL behind it, an abstract name one before it. */
export const UNIX_PATH_BYTES_MAX = UNIX_PATH_BYTES - 1;

/** A path, or an abstract name with a leading NUL, as sockaddr_un bytes. Throws a TypeError for one that is too long or empty. */
export function encodeUnixAddress(unix: string): Uint8Array {
  const path = Buffer.from(unix);
  const isAbstract = path[0] === 0;
  // unix(7): a path may fill sun_path without its NUL, an abstract name is as long as the address says.
  if (path.length === 0 || path.length > UNIX_PATH_BYTES - (isAbstract ? 0 : 1) || path.indexOf(0, 1) >= 0)
    throw new TypeError(
      `unix must be a path or a name of 1 to ${UNIX_PATH_BYTES - 1} bytes without NUL, not ${Bun.inspect(unix)}`,
    );
  const bytes = new Uint8Array(2 + path.length + (isAbstract ? 0 : 1));
  bytes[0] = AF_UNIX;
  bytes.set(path, 2);
  return bytes;
}

export function familyOf(address: Uint8Array): number {
  return address[0]! | (address[1]! << 8);
}

/** The host and port in sockaddr bytes. */
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
