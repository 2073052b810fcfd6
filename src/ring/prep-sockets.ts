/**
 * Operations on sockets. They wait for a socket that is not ready, unless it has O_NONBLOCK or `flags` has MSG_DONTWAIT: then `res` is
 * -EAGAIN. An address is that of a sockaddr (`RingMemory.sockaddr`).
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
import type { Wide } from "./sqe-fields.ts";

export class SocketSqe extends PathSqe {
  /** io_uring_prep_socket(3). `domain`: AF_*, `type`: SOCK_* with SOCK_CLOEXEC. `res` is the descriptor. Linux 5.19. */
  prepSocket(domain: number, type: number, protocol = 0, flags = 0): this {
    return this.fill(IORING_OP_SOCKET, domain, 0, protocol, this.require32("type", type), flags);
  }

  /** io_uring_prep_socket_direct(3): into a slot of the registered files. */
  prepSocketDirect(domain: number, type: number, protocol: number, fileIndex: number, flags = 0): this {
    return this.prepSocket(domain, type, protocol, flags).putTargetFile(fileIndex);
  }

  /** io_uring_prep_socket_direct_alloc(3): into a free slot, which is `res`. */
  prepSocketDirectAlloc(domain: number, type: number, protocol = 0, flags = 0): this {
    return this.prepSocketDirect(domain, type, protocol, IORING_FILE_INDEX_ALLOC, flags);
  }

  /** bind(2). `address` points at a sockaddr of `bytes` bytes. Linux 6.11; io_uring_prep_bind is newer than liburing 2.3. */
  prepBind(fd: number, address: Wide, bytes: number): this {
    this.require("bytes", bytes, 0, U32_MAX);
    return this.fill(IORING_OP_BIND, fd, address, 0, bytes);
  }

  /** listen(2). Linux 6.11; io_uring_prep_listen is newer than liburing 2.3. */
  prepListen(fd: number, backlog: number): this {
    return this.fill(IORING_OP_LISTEN, fd, 0, backlog, 0);
  }

  /**
   * io_uring_prep_accept(3). `flags`: SOCK_CLOEXEC, SOCK_NONBLOCK. `address` points at room for the peer's sockaddr, `addressLength` at a u32
   * that holds the room's size and then the address's; 0 and 0 do not ask for it. `res` is the descriptor.
   */
  prepAccept(fd: number, flags = 0, address: Wide = 0, addressLength: Wide = 0): this {
    this.requireWide("addressLength", addressLength, 0);
    return this.fill(IORING_OP_ACCEPT, fd, address, 0, addressLength, flags);
  }

  /** io_uring_prep_accept_direct(3): into a slot of the registered files. */
  prepAcceptDirect(fd: number, flags: number, fileIndex: number, address: Wide = 0, addressLength: Wide = 0): this {
    return this.prepAccept(fd, flags, address, addressLength).putTargetFile(fileIndex);
  }

  /**
   * io_uring_prep_multishot_accept(3): one completion for each connection until one comes without IORING_CQE_F_MORE. The peers' addresses
   * are not asked for: nothing would tell whose it is. Linux 5.19.
   */
  prepMultishotAccept(fd: number, flags = 0): this {
    return this.fill(IORING_OP_ACCEPT, fd, 0, 0, 0, flags, IORING_ACCEPT_MULTISHOT);
  }

  /** io_uring_prep_multishot_accept_direct(3): each into a free slot of the registered files, which is `res`. */
  prepMultishotAcceptDirect(fd: number, flags = 0): this {
    return this.prepMultishotAccept(fd, flags).putTargetFile(IORING_FILE_INDEX_ALLOC);
  }

  /** io_uring_prep_connect(3). `address` points at a sockaddr of `bytes` bytes. */
  prepConnect(fd: number, address: Wide, bytes: number): this {
    this.require("bytes", bytes, 0, U32_MAX);
    return this.fill(IORING_OP_CONNECT, fd, address, 0, bytes);
  }

  /** io_uring_prep_recv(3), as recv(2). `res` is the number of bytes, 0 when the peer has ended. */
  prepRecv(fd: number, address: Wide, bytes: number, flags = 0): this {
    return this.fill(IORING_OP_RECV, fd, address, bytes, 0, flags);
  }

  /** io_uring_prep_recv_multishot(3): into buffers of group `bgid` until a completion comes without IORING_CQE_F_MORE. Linux 6.0. */
  prepRecvMultishot(fd: number, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_RECV, fd, 0, 0, 0, flags, IORING_RECV_MULTISHOT).setBufferGroup(bgid);
  }

  /**
   * A receive into as many buffers of group `bgid` as it takes, one after the other from the completion's `bufferId` on; `res` is the bytes in all of
   * them. `bytes` 0: what is there. The group must be a ring of provided buffers. Linux 6.10 (IORING_FEAT_RECVSEND_BUNDLE).
   */
  prepRecvBundle(fd: number, bytes: number, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_RECV, fd, 0, bytes, 0, flags, IORING_RECVSEND_BUNDLE).setBufferGroup(bgid);
  }

  /** The same until a completion comes without IORING_CQE_F_MORE. */
  prepRecvMultishotBundle(fd: number, bgid: number, flags = 0): this {
    return this.prepRecvBundle(fd, 0, bgid, flags).addIoprio(IORING_RECV_MULTISHOT);
  }

  /** io_uring_prep_sendmsg(3). `message` points at a struct msghdr (`RingMemory.msghdr`), which must live until the completion. */
  prepSendmsg(fd: number, message: Wide, flags = 0): this {
    return this.fill(IORING_OP_SENDMSG, fd, message, 1, 0, flags);
  }

  /** io_uring_prep_sendmsg_zc(3): two completions, as of `prepSendZc`. Linux 6.1. */
  prepSendmsgZc(fd: number, message: Wide, flags = 0): this {
    return this.fill(IORING_OP_SENDMSG_ZC, fd, message, 1, 0, flags);
  }

  /** io_uring_prep_sendmsg_zc_fixed: the pieces lie within the registered buffer `bufferIndex`. Linux 6.15. */
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
   * io_uring_prep_recvmsg_multishot(3): datagrams into buffers of group `bgid`, each with a struct io_uring_recvmsg_out and the address before
   * it (`RecvmsgOut`); `message` says with msg_namelen and msg_controllen how much room those get. Linux 6.0.
   */
  prepRecvmsgMultishot(fd: number, message: Wide, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_RECVMSG, fd, message, 1, 0, flags, IORING_RECV_MULTISHOT).setBufferGroup(bgid);
  }

  /** io_uring_prep_send(3), as send(2). `res` is the number of bytes, which may be fewer. */
  prepSend(fd: number, address: Wide, bytes: number, flags = 0): this {
    return this.fill(IORING_OP_SEND, fd, address, bytes, 0, flags);
  }

  /**
   * io_uring_prep_send_bundle(3): what lies in the buffers of group `bgid`, `bytes` in all (0: every buffer that is there), in their order. `res` is the
   * bytes that were sent. Linux 6.10 (IORING_FEAT_RECVSEND_BUNDLE).
   */
  prepSendBundle(fd: number, bytes: number, bgid: number, flags = 0): this {
    return this.fill(IORING_OP_SEND, fd, 0, bytes, 0, flags, IORING_RECVSEND_BUNDLE).setBufferGroup(bgid);
  }

  /** A datagram to an address, io_uring_prep_send_set_addr: as sendto(2). Linux 6.2. */
  prepSendto(fd: number, address: Wide, bytes: number, flags: number, to: Wide, toBytes: number): this {
    this.prepSend(fd, address, bytes, flags);
    this.require("toBytes", toBytes, 0, U16_MAX);
    return this.putAddress2("to", to).putWord11("toBytes", toBytes);
  }

  /**
   * io_uring_prep_send_zc(3): without copying. Two completions: the first has the number of bytes and IORING_CQE_F_MORE, the second
   * IORING_CQE_F_NOTIF, after which the memory may be used again. `zcFlags`: IORING_RECVSEND_POLL_FIRST, IORING_SEND_ZC_REPORT_USAGE. Linux 6.0.
   */
  prepSendZc(fd: number, address: Wide, bytes: number, flags = 0, zcFlags = 0): this {
    this.require("zcFlags", zcFlags, 0, U16_MAX);
    return this.fill(IORING_OP_SEND_ZC, fd, address, bytes, 0, flags, zcFlags);
  }

  /** io_uring_prep_send_zc_fixed(3): from within the registered buffer `bufferIndex`. */
  prepSendZcFixed(fd: number, address: Wide, bytes: number, flags: number, zcFlags: number, bufferIndex: number): this {
    return this.prepSendZc(
      fd,
      address,
      bytes,
      flags,
      this.require32("zcFlags", zcFlags) | IORING_RECVSEND_FIXED_BUF,
    ).putBufferIndex("bufferIndex", bufferIndex);
  }

  /** io_uring_prep_send_set_addr(3): where a prepared `prepSend` or `prepSendZc` goes to. */
  setSendAddress(address: Wide, bytes: number): this {
    this.require("bytes", bytes, 0, U16_MAX);
    return this.putAddress2("address", address).putWord11("bytes", bytes);
  }

  /** io_uring_prep_shutdown(3). `how`: SHUT_RD, SHUT_WR, SHUT_RDWR. */
  prepShutdown(fd: number, how: number): this {
    return this.fill(IORING_OP_SHUTDOWN, fd, 0, how, 0);
  }

  /**
   * A socket's own commands (SOCKET_URING_OP_*): queue lengths, and getsockopt(2) and setsockopt(2) with `level`, `name` and `value`, the
   * address of `bytes` bytes. Linux 6.7; io_uring_prep_cmd_sock is newer than liburing 2.3.
   */
  prepCmdSock(command: number, fd: number, level = 0, name = 0, value: Wide = 0, bytes = 0): this {
    this.require("bytes", bytes, 0, U32_MAX);
    return this.prepUringCmd(command, fd)
      .putTarget(this.require32("level", level), name, "level", "name")
      .putWord11("bytes", bytes)
      .putAddress3("value", value);
  }
}
