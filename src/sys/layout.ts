/**
 * The values that abi.ts expects of the compiled ffi/ringloop.c. library.ts compares them before a
 * ring is set up.
 *
 * Guarantees: the same lines in the same order as `layout` in ffi/layout.h.
 */
import * as abi from "./abi.ts";

/** Name and expected value of every line of `layout` in ffi/layout.h, in the same order. */
export const layout: readonly (readonly [name: string, value: number])[] = [
  ["RL_ABI_VERSION", abi.RL_ABI_VERSION],
  ["RL_OWNED_RINGS", abi.RL_OWNED_RINGS],
  ["RL_OWNED_DESCRIPTORS", abi.RL_OWNED_DESCRIPTORS],
  ["RL_DESCRIPTOR_KIND", abi.RL_DESCRIPTOR_KIND],
  ["sizeof(void *)", 8],
  ["sizeof(struct io_uring_sqe)", abi.SQE_BYTES],
  ["io_uring_sqe.opcode", 0],
  ["io_uring_sqe.flags", 1],
  ["io_uring_sqe.ioprio", 2],
  ["io_uring_sqe.fd", 4],
  ["io_uring_sqe.off", 8],
  ["io_uring_sqe.addr", 16],
  ["io_uring_sqe.len", 24],
  ["io_uring_sqe.msg_flags", 28],
  ["io_uring_sqe.user_data", 32],
  ["io_uring_sqe.buf_group", 40],
  ["io_uring_sqe.splice_fd_in", 44],
  ["sizeof(struct io_uring_cqe)", abi.CQE_BYTES],
  ["io_uring_cqe.user_data", 0],
  ["io_uring_cqe.res", 8],
  ["io_uring_cqe.flags", 12],
  ["sizeof(struct io_uring_buf)", abi.BUF_BYTES],
  ["io_uring_buf.addr", 0],
  ["io_uring_buf.len", 8],
  ["io_uring_buf.bid", 12],
  ["io_uring_buf_ring.tail", abi.BUF_RING_TAIL_OFFSET],
  ["sizeof(struct sockaddr_in)", 16],
  ["sizeof(struct sockaddr_in6)", 28],
  ["sizeof(struct sockaddr_un)", 110],
  ["sizeof(struct msghdr)", abi.MSGHDR_BYTES],
  ["msghdr.msg_namelen", 8],
  ["msghdr.msg_iov", 16],
  ["msghdr.msg_iovlen", 24],
  ["msghdr.msg_flags", 48],
  ["sizeof(struct io_uring_recvmsg_out)", abi.RECVMSG_OUT_BYTES],
  ["io_uring_recvmsg_out.namelen", 0],
  ["io_uring_recvmsg_out.payloadlen", 8],
  ["io_uring_recvmsg_out.flags", 12],
  ["sizeof(struct iovec)", abi.IOVEC_BYTES],
  ["sizeof(struct __kernel_timespec)", 16],
  ["sizeof(struct open_how)", 24],
  ["sizeof(struct statx)", 256],
  ["statx.stx_blksize", 4],
  ["statx.stx_nlink", 16],
  ["statx.stx_ino", 32],
  ["statx.stx_size", 40],
  ["statx.stx_atime", 64],
  ["statx.stx_rdev_major", 128],
  ["statx.stx_dev_major", 136],
  ["sizeof(siginfo_t)", 128],
  ["siginfo_t.si_code", 8],
  ["siginfo_t.si_pid", 16],
  ["siginfo_t.si_status", 24],
  // struct epoll_event is packed on x86-64 alone.
  ["sizeof(struct epoll_event)", abi.EPOLL_EVENT_BYTES],
  ["epoll_event.data", abi.EPOLL_EVENT_BYTES - 8],
  ...constants(),
];

/**
 * Returns the constants of the kernel's io_uring.h. A module lists its exports in alphabetical
 * order.
 */
function constants(): (readonly [name: string, value: number])[] {
  const all = Object.entries(abi).filter(([name]) => /^(IORING|IOSQE|IOU|IO_URING)_/.test(name));
  return all.map(([name, value]) => [name, value >>> 0]);
}
