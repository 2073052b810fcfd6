/** Addresses of open sockets. sys/sockaddr.ts has their form in bytes. */
import { AF_INET, AF_INET6 } from "../sys/abi.ts";
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
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const length = native().rl_sockname(fd, peer ? 1 : 0, pointerTo(bytes), bytes.length);
  if (length < 0) return undefined; // The peer is gone, and the kernel has forgotten its address.
  const family = familyOf(bytes);
  return family === AF_INET || family === AF_INET6 ? decodeAddress(bytes.subarray(0, length)) : undefined;
}

/** getsockname(2). Returns undefined for a socket of another family than IPv4 and IPv6. */
export function localAddress(fd: number): SocketAddress | undefined {
  return addressOf(fd, false);
}

/**
 * getpeername(2). Returns undefined for a socket of another family than IPv4 and IPv6, and once the
 * connection is gone.
 */
export function remoteAddress(fd: number): SocketAddress | undefined {
  return addressOf(fd, true);
}
