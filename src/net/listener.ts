/**
 * A listening TCP socket: one multishot accept serves all connections.
 *
 * Guarantees: the socket is bound and listens when the constructor returns; out of descriptors it neither spins nor dies, and goes on
 * when some are free again.
 */
import {
  AF_INET6,
  IORING_CQE_F_MORE,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  SHUT_RDWR,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../sys/abi.ts";
import { check, ECANCELED, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, SystemError } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Flushable, Reactor } from "../reactor/reactor.ts";
import { WheelEntry } from "../reactor/wheel.ts";
import { encodeAddress, familyOf, localAddress, type SocketAddress } from "./address.ts";

export interface ListenOptions {
  /** A numeric address or a name. Default: all addresses, IPv6 and IPv4. */
  hostname?: string | undefined;
  /** 0 takes a free port. */
  port: number;
  /** SO_REUSEPORT: other processes may listen on the same port, and the kernel distributes connections. Default false. */
  reusePort?: boolean | undefined;
  /** No IPv4 connections on an IPv6 address. Default false. */
  ipv6Only?: boolean | undefined;
}

const BACKLOG = 512;
/** How soon a listener without descriptors looks again. */
const EXHAUSTED_RETRY_MS = 100;

const enum Kind {
  Accept,
  Cancel,
  Close,
}

export class Listener implements OperationOwner, Flushable {
  /** As bound: the numeric address and the port that was taken. */
  readonly address: SocketAddress;
  /** Connections that were accepted. */
  accepted = 0;
  /** Times that descriptors or memory ran out. */
  exhausted = 0;

  private readonly reactor: Reactor;
  private readonly slot: number;
  private readonly onConnection: (fd: number) => void;
  private readonly retry: WheelEntry;
  private fd: number;
  private acceptArmed = false;
  private closing = false;
  private closed = false;
  private referenced = true;

  /** `onConnection` takes over each accepted descriptor. Throws SystemError with `syscall: "listen"`, address and port. */
  constructor(reactor: Reactor, options: ListenOptions, onConnection: (fd: number) => void) {
    this.reactor = reactor;
    this.onConnection = onConnection;
    this.fd = openListeningSocket(options);
    this.address = localAddress(this.fd)!;
    this.slot = reactor.operations.acquire(this);
    this.retry = new WheelEntry(() => reactor.scheduleFlush(this));
    reactor.addHandle();
    reactor.ref();
    reactor.scheduleFlush(this);
  }

  /** Accepts no more. Connections that were accepted live on. */
  close(): void {
    if (this.closing) return;
    this.closing = true;
    const { reactor, slot } = this;
    reactor.wheel.clear(this.retry);
    if (this.acceptArmed) {
      const tag = reactor.operations.tagOf(slot, Kind.Accept);
      reactor.tag(reactor.nextSqe().prepCancel(slot, tag), slot, Kind.Cancel);
    }
    // The accept in flight keeps the socket until its cancellation is read; this ends the listening, and frees the port, at once.
    native().rl_shutdown(this.fd, SHUT_RDWR);
    reactor.tag(reactor.nextSqe().prepClose(this.fd), slot, Kind.Close);
    this.fd = -1;
  }

  setReferenced(referenced: boolean): void {
    if (this.referenced === referenced || this.closed) return;
    this.referenced = referenced;
    if (referenced) this.reactor.ref();
    else this.reactor.unref();
  }

  flush(): void {
    if (this.acceptArmed || this.closing) return;
    this.acceptArmed = true;
    this.reactor.tag(this.reactor.nextSqe().prepMultishotAccept(this.fd, SOCK_CLOEXEC), this.slot, Kind.Accept);
  }

  complete(kind: number, result: number, flags: number): void {
    if (kind === Kind.Accept) this.acceptCompleted(result, flags);
    if (!this.closing || this.closed || this.reactor.operations.inFlightOf(this.slot) > 0) return;
    this.closed = true;
    this.reactor.operations.release(this.slot);
    this.reactor.removeHandle();
    if (this.referenced) this.reactor.unref();
  }

  private acceptCompleted(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0) this.acceptArmed = false;
    if (result >= 0) {
      if (this.closing)
        native().rl_close(result); // Was accepted while the cancel was under way.
      else {
        this.accepted++;
        if (!this.acceptArmed) this.rearm();
        this.onConnection(result);
        return;
      }
    }
    if (this.closing) return;
    switch (-result) {
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        this.exhausted++;
        if (!this.acceptArmed) this.reactor.wheel.set(this.retry, this.reactor.nowMs, EXHAUSTED_RETRY_MS);
        return;
      case EINVAL: // Not listening any more (somebody shut the descriptor down), or no multishot accept (before Linux 5.19).
        throw new SystemError(EINVAL, "accept");
      case ECANCELED:
      default: // ECONNABORTED, EPROTO, ENETDOWN...: the one connection is lost, not the listener (accept(2), "Error handling").
        if (!this.acceptArmed) this.rearm();
    }
  }

  private rearm(): void {
    this.reactor.counters.rearms++;
    this.flush();
  }
}

function openListeningSocket(options: ListenOptions): number {
  if (options.hostname !== undefined) return listenOn(encodeAddress(options.hostname, options.port), options);
  try {
    return listenOn(encodeAddress("::", options.port), options);
  } catch (error) {
    // A machine without IPv6.
    const { code } = error as { code?: string };
    if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") throw error;
    return listenOn(encodeAddress("0.0.0.0", options.port), options);
  }
}

function listenOn(address: Uint8Array, options: ListenOptions): number {
  const sys = native();
  const where = { address: options.hostname ?? "::", port: options.port };
  const family = familyOf(address);
  const fd = check(sys.rl_socket(family, SOCK_STREAM), "socket", where);
  try {
    check(sys.rl_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1), "setsockopt", where);
    if (options.reusePort) check(sys.rl_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1), "setsockopt", where);
    if (family === AF_INET6)
      check(sys.rl_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6Only ? 1 : 0), "setsockopt", where);
    // Accepted sockets inherit it: no system call for each.
    check(sys.rl_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1), "setsockopt", where);
    check(sys.rl_bind(fd, pointerTo(address), address.length), "listen", where);
    check(sys.rl_listen(fd, BACKLOG), "listen", where);
    return fd;
  } catch (error) {
    sys.rl_close(fd);
    throw error;
  }
}
