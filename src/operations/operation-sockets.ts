/**
 * Operations on sockets' descriptors, one at a time. Servers are better served by the package's
 * `connect`, `listen` and `udpSocket`, which use multishot operations and buffers.
 */
import { sockaddrBytes, type SockaddrOptions } from "../ring/messages.ts";
import { requireInteger } from "../sys/check.ts";
import { MSG_NOSIGNAL, MSG_TRUNC, SOCK_CLOEXEC } from "../sys/socket-abi.ts";
import { closeResult, giveBack, noResult, placeData, readKind, theResult } from "./operation-data.ts";
import type { Kind, Operation, OperationOptions } from "./operation.ts";
import { PathOperations } from "./operation-paths.ts";

const FLAGS_MAX = 0x7fffffff;

const socket: Kind<number> = {
  syscall: "socket",
  prepare: (sqe, { fd, flags, mode }) => void sqe.prepSocket(fd, flags, mode),
  finish: theResult,
  discard: closeResult,
};
const listen: Kind<void> = {
  syscall: "listen",
  prepare: (sqe, { fd, length }) => void sqe.prepListen(fd, length),
  finish: noResult,
};
const accept: Kind<number> = {
  syscall: "accept",
  prepare: (sqe, { fd }) => void sqe.prepAccept(fd, SOCK_CLOEXEC),
  finish: theResult,
  discard: closeResult,
};
const bind: Kind<void> = {
  syscall: "bind",
  place: placeAddress,
  prepare: (sqe, { fd, address, length }) => void sqe.prepBind(fd, address, length),
  finish: noResult,
};
const connect: Kind<void> = {
  syscall: "connect",
  place: placeAddress,
  prepare: (sqe, { fd, address, length }) => void sqe.prepConnect(fd, address, length),
  finish: noResult,
};
const recv: Kind<number> = {
  ...readKind,
  syscall: "recv",
  prepare: (sqe, { fd, address, lent, flags }) => void sqe.prepRecv(fd, address, lent, flags),
};
/**
 * Receives with MSG_TRUNC: the result may be larger than the room.
 *
 * For a datagram the result is its full length (recv(2)). For TCP the kernel drops the bytes
 * (tcp(7)), so the room stays unchanged. So the room starts with the content of the caller's
 * memory, which is then copied back.
 */
const recvTruncating: Kind<number> = {
  syscall: "recv",
  place: placeData,
  prepare: recv.prepare,
  finish(operation, result) {
    giveBack(operation.chunk!, Math.min(result, operation.lent), operation.data as Uint8Array, operation.offset);
    return result;
  },
};
const send: Kind<number> = {
  syscall: "send",
  place: placeData,
  prepare: (sqe, { fd, address, lent, flags }) => void sqe.prepSend(fd, address, lent, flags),
  moves: true,
  finish: theResult,
};
const sendZc: Kind<number> = {
  ...send,
  notifies: true,
  prepare: (sqe, { fd, address, lent, flags }) => void sqe.prepSendZc(fd, address, lent, flags),
};
const shutdown: Kind<void> = {
  syscall: "shutdown",
  prepare: (sqe, { fd, mode }) => void sqe.prepShutdown(fd, mode),
  finish: noResult,
};

function placeAddress(operation: Operation<void>): void {
  const bytes = operation.data as Uint8Array;
  const chunk = operation.room(bytes.length);
  chunk.buffer.set(bytes);
  operation.address = chunk.address;
  operation.length = bytes.length;
}

export class SocketOperations extends PathOperations {
  /** Runs socket(2), close-on-exec. `domain`: AF_*, `type`: SOCK_*. The value is the descriptor. */
  socket(domain: number, type: number, protocol = 0, options?: OperationOptions): Operation<number> {
    requireInteger("domain", domain, 0, 0xffff);
    requireInteger("type", type, 0, FLAGS_MAX);
    requireInteger("protocol", protocol, 0, FLAGS_MAX);
    const operation = this.describe(socket, options);
    operation.fd = domain;
    operation.flags = type | SOCK_CLOEXEC;
    operation.mode = protocol;
    return operation;
  }

  /** Runs bind(2) for numeric `hostname` and `port`, or for `unix`. Linux 6.11; EINVAL before. */
  bind(fd: number, address: SockaddrOptions, options?: OperationOptions): Operation<void> {
    return this.withAddress(bind, fd, address, options);
  }

  /** Runs listen(2). Linux 6.11; EINVAL before. */
  listen(fd: number, backlog = 512, options?: OperationOptions): Operation<void> {
    requireInteger("backlog", backlog, 0, 0x7fffffff);
    const operation = this.onFile(listen, fd, options);
    operation.length = backlog;
    return operation;
  }

  /** Runs accept(2). The value is the descriptor of one connection, close-on-exec. */
  accept(fd: number, options?: OperationOptions): Operation<number> {
    return this.onFile(accept, fd, options);
  }

  /** Runs connect(2) for numeric `hostname` and `port`, or for `unix`. */
  connect(fd: number, address: SockaddrOptions, options?: OperationOptions): Operation<void> {
    return this.withAddress(connect, fd, address, options);
  }

  /**
   * Runs recv(2), and copies the bytes to `into` when they have come. The value is the number of
   * bytes, 0 when the peer has ended. `flags`: MSG_*. With MSG_TRUNC the value is the length of the
   * whole datagram, which may be more than `into` has room for.
   */
  recv(fd: number, into: Uint8Array, flags = 0, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    const operation = this.withBytes((flags & MSG_TRUNC) === 0 ? recv : recvTruncating, "into", fd, into, options);
    operation.flags = flags;
    return operation;
  }

  /**
   * Runs send(2), without a signal, for at most 1 MiB. The value is the number of bytes, which may
   * be fewer. `flags`: MSG_*.
   */
  send(fd: number, data: Uint8Array, flags = 0, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    const operation = this.withBytes(send, "data", fd, data, options);
    operation.flags = flags | MSG_NOSIGNAL;
    return operation;
  }

  /**
   * Like `send`, without a copy in the kernel (Linux 6.0). The promise is fulfilled when the bytes
   * are sent. The memory is kept until they are acknowledged.
   */
  sendZc(fd: number, data: Uint8Array, flags = 0, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    const operation = this.withBytes(sendZc, "data", fd, data, options);
    operation.flags = flags | MSG_NOSIGNAL;
    return operation;
  }

  /** Runs shutdown(2). `how`: SHUT_*. */
  shutdown(fd: number, how: number, options?: OperationOptions): Operation<void> {
    requireInteger("how", how, 0, 2);
    const operation = this.onFile(shutdown, fd, options);
    operation.mode = how;
    return operation;
  }

  private withAddress(
    kind: Kind<void>,
    fd: number,
    address: SockaddrOptions,
    options?: OperationOptions,
  ): Operation<void> {
    const operation = this.onFile(kind, fd, options);
    operation.data = sockaddrBytes(address);
    return operation;
  }
}
