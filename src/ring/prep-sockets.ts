/**
 * Operations on sockets. They wait for a socket that is not ready. If the socket has O_NONBLOCK or
 * `flags` has MSG_DONTWAIT, they don't wait, and `res` is -EAGAIN. An address argument points at a
 * sockaddr (`RingMemory.sockaddr`).
 */
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_FILE_INDEX_ALLOC,
  IORING_OP_ACCEPT,
  IORING_OP_BIND,
  IORING_OP_CONNECT,
  IORING_OP_LISTEN,
  IORING_OP_RECV,
  IORING_OP_RECVMSG,
  IORING_OP_SEND,
  IORING_OP_SEND_ZC,
  IORING_OP_SENDMSG,
  IORING_OP_SENDMSG_ZC,
  IORING_OP_SHUTDOWN,
  IORING_OP_SOCKET,
  IORING_RECV_MULTISHOT,
  IORING_RECVSEND_BUNDLE,
  IORING_RECVSEND_FIXED_BUF,
} from "../sys/abi.ts";
import { PathSqe } from "./prep-paths.ts";
import { U16_MAX, U32_MAX } from "../sys/check.ts";
import { require32, requireField, requireWide, type Wide } from "./sqe-checks.ts";

export class SocketSqe extends PathSqe {
  /**
   * io_uring_prep_socket(3). `domain`: AF_*. `type`: SOCK_* with SOCK_CLOEXEC. `res` is the
   * descriptor. Linux 5.19.
   */
  prepSocket(domain: number, type: number, protocol = 0, flags = 0): this {
    return this.fill(IORING_OP_SOCKET, domain, 0, protocol, require32(this, "type", type), flags);
  }

  /** io_uring_prep_socket_direct(3). Makes the socket in a slot of the registered files. */
  prepSocketDirect(domain: number, type: number, protocol: number, fileIndex: number, flags = 0): this {
    return this.prepSocket(domain, type, protocol, flags).putTargetFile(fileIndex);
  }

  /** io_uring_prep_socket_direct_alloc(3). Makes the socket in a free slot; `res` is that slot. */
  prepSocketDirectAlloc(domain: number, type: number, protocol = 0, flags = 0): this {
    return this.prepSocketDirect(domain, type, protocol, IORING_FILE_INDEX_ALLOC, flags);
  }

  /**
   * bind(2). `address` points at a sockaddr of `bytes` bytes. Linux 6.11; io_uring_prep_bind is
   * newer than liburing 2.3.
   */
  prepBind(fd: number, address: Wide, bytes: number): this {
    requireField(this, "bytes", bytes, 0, U32_MAX);
    return this.fill(IORING_OP_BIND, fd, address, 0, bytes);
  }

  /** listen(2). Linux 6.11; io_uring_prep_listen is newer than liburing 2.3. */
  prepListen(fd: number, backlog: number): this {
    return this.fill(IORING_OP_LISTEN, fd, 0, backlog, 0);
  }

  /**
   * io_uring_prep_accept(3). `flags`: SOCK_CLOEXEC, SOCK_NONBLOCK. `address` points at room for the
   * peer's sockaddr. `addressLength` points at a u32 with the size of that room, which the kernel
   * replaces by the address's size. If both are 0, the kernel does not give the address. `res` is
   * the descriptor.
   */
  prepAccept(fd: number, flags = 0, address: Wide = 0, addressLength: Wide = 0): this {
    requireWide(this, "addressLength", addressLength, 0);
    return this.fill(IORING_OP_ACCEPT, fd, address, 0, addressLength, flags);
  }

  /** io_uring_prep_accept_direct(3). Puts the connection into a slot of the registered files. */
  prepAcceptDirect(fd: number, flags: number, fileIndex: number, address: Wide = 0, addressLength: Wide = 0): this {
    return this.prepAccept(fd, flags, address, addressLength).putTargetFile(fileIndex);
  }

  /**
   * io_uring_prep_multishot_accept(3). Completes for each connection, until a completion has no
   * IORING_CQE_F_MORE. It does not ask for the peers' addresses, because nothing would tell which
   * connection an address belongs to. Linux 5.19.
   */
  prepMultishotAccept(fd: number, flags = 0): this {
    return this.fill(IORING_OP_ACCEPT, fd, 0, 0, 0, flags, IORING_ACCEPT_MULTISHOT);
  }

  /**
   * io_uring_prep_multishot_accept_direct(3). Puts each connection into a free slot of the
   * registered files; `res` is that slot.
   */
  prepMultishotAcceptDirect(fd: number, flags = 0): this {
    return this.prepMultishotAccept(fd, flags).putTargetFile(IORING_FILE_INDEX_ALLOC);
  }

  /** io_uring_prep_connect(3). `address` points at a sockaddr of `bytes` bytes. */
  prepConnect(fd: number, address: Wide, bytes: number): this {
    requireField(this, "bytes", bytes, 0, U32_MAX);
    return this.fill(IORING_OP_CONNECT, fd, address, 0, bytes);
  }

  /**
   * io_uring_prep_recv(3), like recv(2). `res` is the number of bytes, 0 after the peer has ended.
   */
  prepRecv(fd: number, address: Wide, bytes: number, flags = 0): this {
    return this.fill(IORING_OP_RECV, fd, address, bytes, 0, flags);
  }

  /**
   * io_uring_prep_recv_multishot(3). Receives into buffers of group `bgid`, until a completion has
   * no IORING_CQE_F_MORE. Linux 6.0.
   */
  prepRecvMultishot(fd: number, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_RECV, fd, 0, 0, 0, flags, IORING_RECV_MULTISHOT).setBufferGroup(bgid);
  }

  /**
   * Receives into several buffers of group `bgid` at once. They follow each other from the
   * completion's `bufferId` on. `res` is the number of bytes in all of them. If `bytes` is 0, it
   * receives all bytes that are present. The group must be a ring of provided buffers. Linux 6.10
   * (IORING_FEAT_RECVSEND_BUNDLE).
   */
  prepRecvBundle(fd: number, bytes: number, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_RECV, fd, 0, bytes, 0, flags, IORING_RECVSEND_BUNDLE).setBufferGroup(bgid);
  }

  /** Receives bundles until a completion has no IORING_CQE_F_MORE. */
  prepRecvMultishotBundle(fd: number, bgid: number, flags = 0): this {
    return this.prepRecvBundle(fd, 0, bgid, flags).addIoprio(IORING_RECV_MULTISHOT);
  }

  /**
   * io_uring_prep_sendmsg(3). `message` points at a struct msghdr (`RingMemory.msghdr`), which must
   * live until the completion.
   */
  prepSendmsg(fd: number, message: Wide, flags = 0): this {
    return this.fill(IORING_OP_SENDMSG, fd, message, 1, 0, flags);
  }

  /** io_uring_prep_sendmsg_zc(3). Completes twice, like `prepSendZc`. Linux 6.1. */
  prepSendmsgZc(fd: number, message: Wide, flags = 0): this {
    return this.fill(IORING_OP_SENDMSG_ZC, fd, message, 1, 0, flags);
  }

  /**
   * io_uring_prep_sendmsg_zc_fixed. The pieces lie within the registered buffer `bufferIndex`.
   * Linux 6.15.
   */
  prepSendmsgZcFixed(fd: number, message: Wide, flags: number, bufferIndex: number): this {
    return this.prepSendmsgZc(fd, message, flags)
      .addIoprio(IORING_RECVSEND_FIXED_BUF)
      .putBufferIndex("bufferIndex", bufferIndex);
  }

  /** io_uring_prep_recvmsg(3). */
  prepRecvmsg(fd: number, message: Wide, flags = 0): this {
    return this.fill(IORING_OP_RECVMSG, fd, message, 1, 0, flags);
  }

  /**
   * io_uring_prep_recvmsg_multishot(3). Receives datagrams into buffers of group `bgid`. In each
   * buffer, a struct io_uring_recvmsg_out and the address precede the datagram (`RecvmsgOut`).
   * msg_namelen and msg_controllen of `message` give the room for the address and the ancillary
   * data. Linux 6.0.
   */
  prepRecvmsgMultishot(fd: number, message: Wide, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_RECVMSG, fd, message, 1, 0, flags, IORING_RECV_MULTISHOT).setBufferGroup(bgid);
  }

  /**
   * io_uring_prep_send(3), like send(2). `res` is the number of bytes, which may be smaller than
   * `bytes`.
   */
  prepSend(fd: number, address: Wide, bytes: number, flags = 0): this {
    return this.fill(IORING_OP_SEND, fd, address, bytes, 0, flags);
  }

  /**
   * io_uring_prep_send_bundle(3). Sends the bytes in the buffers of group `bgid`, in their order.
   * `bytes` is the number of bytes in all; 0 means every buffer of the group. `res` is the number
   * of bytes sent. Linux 6.10 (IORING_FEAT_RECVSEND_BUNDLE).
   */
  prepSendBundle(fd: number, bytes: number, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_SEND, fd, 0, bytes, 0, flags, IORING_RECVSEND_BUNDLE).setBufferGroup(bgid);
  }

  /** io_uring_prep_send_set_addr. Sends a datagram to an address, like sendto(2). Linux 6.2. */
  prepSendto(fd: number, address: Wide, bytes: number, flags: number, to: Wide, toBytes: number): this {
    this.prepSend(fd, address, bytes, flags);
    requireField(this, "toBytes", toBytes, 0, U16_MAX);
    return this.putAddress2("to", to).putWord11("toBytes", toBytes);
  }

  /**
   * io_uring_prep_send_zc(3). Sends without copying, and completes twice. The first completion has
   * the number of bytes and IORING_CQE_F_MORE. The second one has IORING_CQE_F_NOTIF; after it, the
   * memory may be used again. `zcFlags`: IORING_RECVSEND_POLL_FIRST, IORING_SEND_ZC_REPORT_USAGE.
   * Linux 6.0.
   */
  prepSendZc(fd: number, address: Wide, bytes: number, flags = 0, zcFlags = 0): this {
    requireField(this, "zcFlags", zcFlags, 0, U16_MAX);
    return this.fill(IORING_OP_SEND_ZC, fd, address, bytes, 0, flags, zcFlags);
  }

  /** io_uring_prep_send_zc_fixed(3). The bytes lie within the registered buffer `bufferIndex`. */
  prepSendZcFixed(fd: number, address: Wide, bytes: number, flags: number, zcFlags: number, bufferIndex: number): this {
    return this.prepSendZc(
      fd,
      address,
      bytes,
      flags,
      require32(this, "zcFlags", zcFlags) | IORING_RECVSEND_FIXED_BUF,
    ).putBufferIndex("bufferIndex", bufferIndex);
  }

  /**
   * io_uring_prep_send_set_addr(3). Sets the destination of a prepared `prepSend` or `prepSendZc`.
   */
  setSendAddress(address: Wide, bytes: number): this {
    requireField(this, "bytes", bytes, 0, U16_MAX);
    return this.putAddress2("address", address).putWord11("bytes", bytes);
  }

  /** io_uring_prep_shutdown(3). `how`: SHUT_RD, SHUT_WR, SHUT_RDWR. */
  prepShutdown(fd: number, how: number): this {
    return this.fill(IORING_OP_SHUTDOWN, fd, 0, how, 0);
  }

  /**
   * Runs a command of a socket (SOCKET_URING_OP_*): queue lengths, getsockopt(2), setsockopt(2).
   * `value` is the address of `bytes` bytes. Linux 6.7; io_uring_prep_cmd_sock is newer than
   * liburing 2.3.
   */
  prepCmdSock(command: number, fd: number, level = 0, name = 0, value: Wide = 0, bytes = 0): this {
    requireField(this, "bytes", bytes, 0, U32_MAX);
    return this.prepUringCmd(command, fd)
      .putTarget(require32(this, "level", level), name, "level", "name")
      .putWord11("bytes", bytes)
      .putAddress3("value", value);
  }
}
