/** Addresses of open sockets. sys/sockaddr.ts has their form in bytes. */
import { AF_INET, AF_INET6 } from "../sys/socket-abi.ts";
import { native, pointerTo } from "../sys/library.ts";
import { decodeAddress, familyOf, SOCKADDR_BYTES_MAX, type SocketAddress } from "../sys/sockaddr.ts";

export {
  decodeAddress,
  encodeAddress,
  encodeUnixAddress,
  familyOf,
  type SocketAddress,
  UNIX_PATH_BYTES_MAX,
} from "../sys/sockaddr.ts";

function addressOf(fd: number, peer: boolean): SocketAddress | undefined {
  const bytes = nameOf(fd, peer);
  if (bytes === undefined) return undefined;
  const family = familyOf(bytes);
  return family === AF_INET || family === AF_INET6 ? decodeAddress(bytes) : undefined;
}

/** Returns undefined if the peer is gone, and the kernel has forgotten its address. */
function nameOf(fd: number, peer: boolean): Uint8Array | undefined {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = native().rl_sockname(fd, peer ? 1 : 0, pointerTo(bytes), bytes.length);
  return length < 0 ? undefined : bytes.subarray(0, length);
}

/** getsockname(2). Returns undefined for a socket of another family than IPv4 and IPv6. */
export function localAddress(fd: number): SocketAddress | undefined {
  return addressOf(fd, false);
}

/**
 * Returns the path of a Unix socket, or its abstract name with a leading NUL; "" for a socket
 * without one (unix(7)).
 */
export function localPath(fd: number): string {
  const path = Buffer.from(nameOf(fd, false)?.subarray(2) ?? []);
  const end = path.indexOf(0, 1);
  return path.utf8Slice(0, end < 0 ? path.length : end);
}

/**
 * getpeername(2). Returns undefined for a socket of another family than IPv4 and IPv6, and once the
 * connection is gone.
 */
export function remoteAddress(fd: number): SocketAddress | undefined {
  return addressOf(fd, true);
}
