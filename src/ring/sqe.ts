/**
 * One entry of the submission queue, written in place in the mapped ring.
 *
 * Guarantees: every prep function sets all 64 bytes, so nothing of the entry's former use remains; flags and user data are
 * zero until `setFlags`, `setUserData` or `setData64`. Names and arguments follow liburing's `io_uring_prep_*(3)`; addresses
 * are numbers (`Mapping.address` plus an offset) and must lie outside the garbage-collected heap until the last completion.
 */
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_ASYNC_CANCEL_FD,
  IORING_FSYNC_DATASYNC,
  IORING_OP_ACCEPT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_CLOSE,
  IORING_OP_CONNECT,
  IORING_OP_FSYNC,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_NOP,
  IORING_OP_OPENAT,
  IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE,
  IORING_OP_READ,
  IORING_OP_READV,
  IORING_OP_RECV,
  IORING_OP_RECVMSG,
  IORING_OP_SEND,
  IORING_OP_SENDMSG,
  IORING_OP_SHUTDOWN,
  IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE,
  IORING_OP_WRITE,
  IORING_OP_WRITEV,
  IORING_POLL_ADD_MULTI,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
} from "../sys/abi.ts";

/** Exact: the product of a multiple of 2^32 below 2^53 and a power of two. */
const PER_TWO_32 = 1 / 4294967296;

export class Sqe {
  /** The whole SQE array as u32 words, and this entry's first word in it. */
  private readonly words: Uint32Array;
  private readonly base: number;

  constructor(words: Uint32Array, index: number) {
    this.words = words;
    this.base = index * 16;
  }

  /**
   * The raw form behind all prep functions. `address` and `offset` are unsigned integers up to 2^53; an offset of -1 is the
   * file's current position (all 64 bits set).
   */
  prep(opcode: number, fd: number, address: number, length: number, offset: number, opFlags = 0, ioprio = 0): this {
    const words = this.words;
    const base = this.base;
    const addressLow = address >>> 0;
    words[base] = opcode | (ioprio << 16);
    words[base + 1] = fd;
    if (offset >= 0) {
      const offsetLow = offset >>> 0;
      words[base + 2] = offsetLow;
      words[base + 3] = (offset - offsetLow) * PER_TWO_32;
    } else {
      words[base + 2] = 0xffffffff;
      words[base + 3] = 0xffffffff;
    }
    words[base + 4] = addressLow;
    words[base + 5] = (address - addressLow) * PER_TWO_32;
    words[base + 6] = length;
    words[base + 7] = opFlags;
    words[base + 8] = 0;
    words[base + 9] = 0;
    words[base + 10] = 0;
    words[base + 11] = 0;
    words[base + 12] = 0;
    words[base + 13] = 0;
    words[base + 14] = 0;
    words[base + 15] = 0;
    return this;
  }

  /** Adds IOSQE_* flags. */
  setFlags(flags: number): this {
    this.words[this.base]! |= flags << 8;
    return this;
  }

  /** The two u32 halves that come back in the completion. */
  setUserData(low: number, high: number): this {
    this.words[this.base + 8] = low;
    this.words[this.base + 9] = high;
    return this;
  }

  /** The same 64 bits as a BigInt (io_uring_sqe_set_data64(3)); slower than `setUserData`. */
  setData64(data: bigint): this {
    return this.setUserData(Number(data & 0xffffffffn), Number((data >> 32n) & 0xffffffffn));
  }

  /** Group of provided buffers to take a buffer from (IOSQE_BUFFER_SELECT). */
  setBufferGroup(bgid: number): this {
    this.words[this.base + 10]! |= bgid;
    return this.setFlags(IOSQE_BUFFER_SELECT);
  }

  prepNop(): this {
    return this.prep(IORING_OP_NOP, -1, 0, 0, 0);
  }

  /** `offset` -1 reads at the file's position. */
  prepRead(fd: number, address: number, bytes: number, offset = -1): this {
    return this.prep(IORING_OP_READ, fd, address, bytes, offset);
  }

  prepWrite(fd: number, address: number, bytes: number, offset = -1): this {
    return this.prep(IORING_OP_WRITE, fd, address, bytes, offset);
  }

  /** `address` points at `count` struct iovec (two u64 each: base, length). */
  prepReadv(fd: number, address: number, count: number, offset = -1): this {
    return this.prep(IORING_OP_READV, fd, address, count, offset);
  }

  prepWritev(fd: number, address: number, count: number, offset = -1): this {
    return this.prep(IORING_OP_WRITEV, fd, address, count, offset);
  }

  prepFsync(fd: number, datasync = false): this {
    return this.prep(IORING_OP_FSYNC, fd, 0, 0, 0, datasync ? IORING_FSYNC_DATASYNC : 0);
  }

  /** `path` is the address of a NUL-terminated string. */
  prepOpenat(directoryFd: number, path: number, flags: number, mode: number): this {
    return this.prep(IORING_OP_OPENAT, directoryFd, path, mode, 0, flags);
  }

  prepClose(fd: number): this {
    return this.prep(IORING_OP_CLOSE, fd, 0, 0, 0);
  }

  /** `flags`: SOCK_CLOEXEC, SOCK_NONBLOCK. The peer's address is not asked for: a multishot accept could not tell whose it is. */
  prepAccept(fd: number, flags = 0): this {
    return this.prep(IORING_OP_ACCEPT, fd, 0, 0, 0, flags);
  }

  /** One completion for each connection until one comes without IORING_CQE_F_MORE. Linux 5.19. */
  prepMultishotAccept(fd: number, flags = 0): this {
    return this.prep(IORING_OP_ACCEPT, fd, 0, 0, 0, flags, IORING_ACCEPT_MULTISHOT);
  }

  /** `address` points at a sockaddr of `bytes` bytes. */
  prepConnect(fd: number, address: number, bytes: number): this {
    return this.prep(IORING_OP_CONNECT, fd, address, 0, bytes);
  }

  prepRecv(fd: number, address: number, bytes: number, flags = 0): this {
    return this.prep(IORING_OP_RECV, fd, address, bytes, 0, flags);
  }

  /** Receives into buffers of group `bgid` until a completion comes without IORING_CQE_F_MORE. Linux 6.0. */
  prepRecvMultishot(fd: number, bgid: number, flags = 0): this {
    return this.prep(IORING_OP_RECV, fd, 0, 0, 0, flags, IORING_RECV_MULTISHOT).setBufferGroup(bgid);
  }

  /** `message` points at a struct msghdr, which must live until the completion. */
  prepSendmsg(fd: number, message: number, flags = 0): this {
    return this.prep(IORING_OP_SENDMSG, fd, message, 1, 0, flags);
  }

  prepRecvmsg(fd: number, message: number, flags = 0): this {
    return this.prep(IORING_OP_RECVMSG, fd, message, 1, 0, flags);
  }

  /**
   * Receives datagrams into buffers of group `bgid`, each with a struct io_uring_recvmsg_out and the address before it; `message` says with
   * msg_namelen and msg_controllen how much room those get. Linux 6.0.
   */
  prepRecvmsgMultishot(fd: number, message: number, bgid: number, flags = 0): this {
    return this.prep(IORING_OP_RECVMSG, fd, message, 1, 0, flags, IORING_RECV_MULTISHOT).setBufferGroup(bgid);
  }

  prepSend(fd: number, address: number, bytes: number, flags = 0): this {
    return this.prep(IORING_OP_SEND, fd, address, bytes, 0, flags);
  }

  /** `how`: SHUT_RD, SHUT_WR, SHUT_RDWR. */
  prepShutdown(fd: number, how: number): this {
    return this.prep(IORING_OP_SHUTDOWN, fd, 0, how, 0);
  }

  /** Completes once when one of `events` (POLLIN and so on) is there, or, `multishot`, each time it comes anew. */
  prepPollAdd(fd: number, events: number, multishot = false): this {
    return this.prep(IORING_OP_POLL_ADD, fd, 0, multishot ? IORING_POLL_ADD_MULTI : 0, 0, events);
  }

  /** Removes the poll that was submitted with this user data. */
  prepPollRemove(low: number, high: number): this {
    return this.prep(IORING_OP_POLL_REMOVE, -1, 0, 0, 0).setTarget(low, high);
  }

  /** `address` points at a struct __kernel_timespec (two s64: seconds, nanoseconds). */
  prepTimeout(address: number, completions = 0, flags = 0): this {
    return this.prep(IORING_OP_TIMEOUT, -1, address, 1, completions, flags);
  }

  prepTimeoutRemove(low: number, high: number): this {
    return this.prep(IORING_OP_TIMEOUT_REMOVE, -1, 0, 0, 0).setTarget(low, high);
  }

  prepLinkTimeout(address: number, flags = 0): this {
    return this.prep(IORING_OP_LINK_TIMEOUT, -1, address, 1, 0, flags);
  }

  /** Cancels by user data. `flags`: IORING_ASYNC_CANCEL_*. */
  prepCancel(low: number, high: number, flags = 0): this {
    return this.prep(IORING_OP_ASYNC_CANCEL, -1, 0, 0, 0, flags).setTarget(low, high);
  }

  /** Cancels what is in flight on a descriptor; with IORING_ASYNC_CANCEL_ALL everything. Linux 5.19. */
  prepCancelFd(fd: number, flags = 0): this {
    return this.prep(IORING_OP_ASYNC_CANCEL, fd, 0, 0, 0, flags | IORING_ASYNC_CANCEL_FD);
  }

  /** The user data of another operation, where that is an operation's argument. */
  private setTarget(low: number, high: number): this {
    this.words[this.base + 4] = low;
    this.words[this.base + 5] = high;
    return this;
  }
}
