/**
 * Makes listening sockets, and sockets that are about to connect: ordinary system calls create,
 * bind and set them up.
 *
 * Guarantees: a returned descriptor is blocking (io_uring waits for it by itself) and
 * close-on-exec. After an error, no descriptor is left open.
 */
import {
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../sys/socket-abi.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { encodeAddress, familyOf } from "./address.ts";
import { activationError, passedDescriptors, type PassedSocket, takePassedSocket } from "./passed-sockets.ts";
import { UnixAddress } from "./unix-address.ts";

/** Where to listen: `fd`, or `unix`, or `hostname` and `port`. */
export interface ListenTarget {
  /** A numeric address or a name. Default: all addresses, IPv6 and IPv4. */
  hostname?: string | undefined;
  /** The port. 0 chooses a free port. Default 0. */
  port?: number | undefined;
  /**
   * Whether to set SO_REUSEPORT: other processes may listen on the same port, and the kernel
   * distributes connections. Default false.
   */
  reusePort?: boolean | undefined;
  /** Whether nobody else may share the port, even if both sides set SO_REUSEPORT. Default false. */
  exclusive?: boolean | undefined;
  /** Whether an IPv6 address refuses IPv4 connections. Default false. */
  ipv6Only?: boolean | undefined;
  /** A path, or an abstract name with a leading NUL. */
  unix?: string | undefined;
  /**
   * A socket that already listens, such as one from socket activation. The listener becomes its
   * owner.
   */
  fd?: number | PassedSocket | undefined;
}

const BACKLOG = 512;

export function openListeningSocket(target: ListenTarget): number {
  const { fd, unix, hostname, port = 0 } = target;
  if (typeof fd === "string") return adoptPassedSocket(fd);
  if (fd !== undefined) return adoptListeningSocket(fd);
  if (unix !== undefined) {
    using address = new UnixAddress(unix, "listen");
    return listenOn(address.bytes, target);
  }
  if (hostname !== undefined) return listenOn(encodeAddress(hostname, port), target);
  try {
    return listenOn(encodeAddress("::", port), target);
  } catch (error) {
    // The machine has no IPv6.
    const { code } = error as { code?: string };
    if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") throw error;
    return listenOn(encodeAddress("0.0.0.0", port), target);
  }
}

/** Removes the file of a listening socket. An abstract name disappears with its socket. */
export function unlinkSocket(unix: string): void {
  if (unix.startsWith("\0")) return;
  try {
    (require("node:fs") as typeof import("node:fs")).unlinkSync(unix);
  } catch {
    // The file was removed or replaced elsewhere.
  }
}

/** Opens a stream socket for connecting to `address`. Throws SystemError. */
export function openStreamSocket(address: Uint8Array): number {
  const family = familyOf(address);
  const fd = check(native().rl_socket(family, SOCK_STREAM), "socket");
  if (family !== AF_UNIX) native().rl_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

/**
 * Makes a descriptor from elsewhere blocking, as the ring needs it, and close-on-exec. Throws
 * SystemError (EBADF).
 */
export function adoptSocket(fd: number, syscall: string): number {
  check(native().rl_set_blocking(fd), syscall);
  check(native().rl_close_on_exec(fd), syscall);
  return fd;
}

/** Adopts a socket that systemd has passed. As sd_listen_fds(3), makes all of them close-on-exec. */
function adoptPassedSocket(which: PassedSocket): number {
  const fd = takePassedSocket(which);
  for (const each of passedDescriptors()) native().rl_close_on_exec(each); // Fails without harm for a closed one.
  if (native().rl_is_listening(fd) !== 1)
    throw activationError(
      which,
      `is descriptor ${fd}, which does not listen: the socket unit needs ListenStream= and Accept=no`,
    );
  return adoptListeningSocket(fd);
}

function adoptListeningSocket(fd: number): number {
  adoptSocket(fd, "listen");
  // A socket that listens keeps its backlog. A socket that cannot listen is an error.
  if (native().rl_is_listening(fd) !== 1) check(native().rl_listen(fd, BACKLOG), "listen");
  native().rl_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1); // Fails without harm for a Unix socket.
  return fd;
}

function listenOn(address: Uint8Array, target: ListenTarget): number {
  const sys = native();
  const { unix, hostname = "::", port = 0 } = target;
  const where = unix === undefined ? { address: hostname, port } : { address: unix };
  const family = familyOf(address);
  const fd = check(sys.rl_socket(family, SOCK_STREAM), "socket", where);
  try {
    if (family !== AF_UNIX) {
      check(sys.rl_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1), "setsockopt", where);
      if (target.reusePort && !target.exclusive)
        check(sys.rl_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1), "setsockopt", where);
      // Accepted sockets inherit it, so that none of them needs a system call.
      check(sys.rl_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1), "setsockopt", where);
    }
    if (family === AF_INET6)
      check(sys.rl_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, target.ipv6Only ? 1 : 0), "setsockopt", where);
    check(sys.rl_bind(fd, pointerTo(address), address.length), "listen", where);
    check(sys.rl_listen(fd, BACKLOG), "listen", where);
    return fd;
  } catch (error) {
    sys.rl_close(fd);
    throw error;
  }
}
