/**
 * Operations on sockets' descriptors, one at a time: `connect`, `listen` and `udpSocket` of the package have multishot operations and
 * buffers beneath them, and are what a server wants.
 */
import { sockaddrBytes, type SockaddrOptions } from "../ring/messages.ts";
import { requireInteger } from "../sys/check.ts";
import { MSG_NOSIGNAL, MSG_TRUNC, SOCK_CLOEXEC } from "../sys/abi.ts";
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
 * With MSG_TRUNC the result is the datagram's own length, however little of it has found room (recv(2)); and of a TCP socket the bytes are dropped
 * (tcp(7)), so that the room is as it was. It holds what the caller's memory has, which is then copied back.
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
  /** socket(2), close-on-exec. `domain`: AF_*, `type`: SOCK_*. The descriptor. */
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

  /** bind(2) to numeric `hostname` and `port`, or `unix`. Linux 6.11; EINVAL before. */
  bind(fd: number, address: SockaddrOptions, options?: OperationOptions): Operation<void> {
    return this.withAddress(bind, fd, address, options);
  }

  /** listen(2). Linux 6.11; EINVAL before. */
  listen(fd: number, backlog = 512, options?: OperationOptions): Operation<void> {
    requireInteger("backlog", backlog, 0, 0x7fffffff);
    const operation = this.onFile(listen, fd, options);
    operation.length = backlog;
    return operation;
  }

  /** accept(2): the descriptor of one connection, close-on-exec. */
  accept(fd: number, options?: OperationOptions): Operation<number> {
    return this.onFile(accept, fd, options);
  }

  /** connect(2) to numeric `hostname` and `port`, or `unix`. */
  connect(fd: number, address: SockaddrOptions, options?: OperationOptions): Operation<void> {
    return this.withAddress(connect, fd, address, options);
  }

  /**
   * recv(2): the number of bytes, 0 when the peer has ended; they are copied to `into` when they are there. `flags`: MSG_*. With MSG_TRUNC the
   * number is that of the whole datagram, which may be more than `into` has room for.
   */
  recv(fd: number, into: Uint8Array, flags = 0, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    const operation = this.withBytes((flags & MSG_TRUNC) === 0 ? recv : recvTruncating, "into", fd, into, options);
    operation.flags = flags;
    return operation;
  }

  /** send(2), without a signal: at most 1 MiB. The number of bytes, which may be fewer. `flags`: MSG_*. */
  send(fd: number, data: Uint8Array, flags = 0, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    const operation = this.withBytes(send, "data", fd, data, options);
    operation.flags = flags | MSG_NOSIGNAL;
    return operation;
  }

  /** The same without a copy in the kernel (Linux 6.0). It is over when the bytes are sent; the memory is kept until they are acknowledged. */
  sendZc(fd: number, data: Uint8Array, flags = 0, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    const operation = this.withBytes(sendZc, "data", fd, data, options);
    operation.flags = flags | MSG_NOSIGNAL;
    return operation;
  }

  /** shutdown(2). `how`: SHUT_*. */
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
