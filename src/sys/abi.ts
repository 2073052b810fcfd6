/**
 * Constants and layouts of the io_uring interface, under the kernel's names (include/uapi/linux/io_uring.h).
 *
 * Guarantees: every value listed in `layout` was compared with what the C compiler saw before a ring is set up (library.ts).
 * A constant that is newer than liburing 2.3's header cannot be compared and says so.
 */

/** Twin of RL_ABI_VERSION in ffi/ringloop.c. */
export const RL_ABI_VERSION = 1;

// Opcodes.
export const IORING_OP_NOP = 0;
export const IORING_OP_READV = 1;
export const IORING_OP_WRITEV = 2;
export const IORING_OP_FSYNC = 3;
export const IORING_OP_POLL_ADD = 6;
export const IORING_OP_POLL_REMOVE = 7;
export const IORING_OP_SENDMSG = 9;
export const IORING_OP_RECVMSG = 10;
export const IORING_OP_TIMEOUT = 11;
export const IORING_OP_TIMEOUT_REMOVE = 12;
export const IORING_OP_ACCEPT = 13;
export const IORING_OP_ASYNC_CANCEL = 14;
export const IORING_OP_LINK_TIMEOUT = 15;
export const IORING_OP_CONNECT = 16;
export const IORING_OP_OPENAT = 18;
export const IORING_OP_CLOSE = 19;
export const IORING_OP_READ = 22;
export const IORING_OP_WRITE = 23;
export const IORING_OP_SEND = 26;
export const IORING_OP_RECV = 27;
export const IORING_OP_SHUTDOWN = 34;
export const IORING_OP_SEND_ZC = 47;

// Submission entries.
export const SQE_BYTES = 64;
export const IOSQE_FIXED_FILE = 1 << 0;
export const IOSQE_IO_DRAIN = 1 << 1;
export const IOSQE_IO_LINK = 1 << 2;
export const IOSQE_IO_HARDLINK = 1 << 3;
export const IOSQE_ASYNC = 1 << 4;
export const IOSQE_BUFFER_SELECT = 1 << 5;
export const IOSQE_CQE_SKIP_SUCCESS = 1 << 6;

// io_uring_setup(2) flags.
export const IORING_SETUP_IOPOLL = 1 << 0;
export const IORING_SETUP_SQPOLL = 1 << 1;
export const IORING_SETUP_SQ_AFF = 1 << 2;
export const IORING_SETUP_CQSIZE = 1 << 3;
export const IORING_SETUP_CLAMP = 1 << 4;
export const IORING_SETUP_ATTACH_WQ = 1 << 5;
export const IORING_SETUP_R_DISABLED = 1 << 6;
export const IORING_SETUP_SUBMIT_ALL = 1 << 7;
export const IORING_SETUP_COOP_TASKRUN = 1 << 8;
export const IORING_SETUP_TASKRUN_FLAG = 1 << 9;
export const IORING_SETUP_SINGLE_ISSUER = 1 << 12;
export const IORING_SETUP_DEFER_TASKRUN = 1 << 13;

// What io_uring_setup(2) says the kernel has.
export const IORING_FEAT_SINGLE_MMAP = 1 << 0;
export const IORING_FEAT_NODROP = 1 << 1;
export const IORING_FEAT_SUBMIT_STABLE = 1 << 2;
export const IORING_FEAT_RW_CUR_POS = 1 << 3;
export const IORING_FEAT_CUR_PERSONALITY = 1 << 4;
export const IORING_FEAT_FAST_POLL = 1 << 5;
export const IORING_FEAT_POLL_32BITS = 1 << 6;
export const IORING_FEAT_SQPOLL_NONFIXED = 1 << 7;
export const IORING_FEAT_EXT_ARG = 1 << 8;
export const IORING_FEAT_NATIVE_WORKERS = 1 << 9;
export const IORING_FEAT_RSRC_TAGS = 1 << 10;
export const IORING_FEAT_CQE_SKIP = 1 << 11;
export const IORING_FEAT_LINKED_FILE = 1 << 12;
/** Linux 6.3. */
export const IORING_FEAT_REG_REG_RING = 1 << 13;
/** Linux 6.10. */
export const IORING_FEAT_RECVSEND_BUNDLE = 1 << 14;
/** Linux 6.12. */
export const IORING_FEAT_MIN_TIMEOUT = 1 << 15;

// Flags in the mapped rings.
export const IORING_SQ_NEED_WAKEUP = 1 << 0;
export const IORING_SQ_CQ_OVERFLOW = 1 << 1;
export const IORING_SQ_TASKRUN = 1 << 2;
export const IORING_CQ_EVENTFD_DISABLED = 1 << 0;

// Completion entries.
export const CQE_BYTES = 16;
export const IORING_CQE_F_BUFFER = 1 << 0;
export const IORING_CQE_F_MORE = 1 << 1;
export const IORING_CQE_F_SOCK_NONEMPTY = 1 << 2;
export const IORING_CQE_F_NOTIF = 1 << 3;
export const IORING_CQE_BUFFER_SHIFT = 16;

// Operation flags.
export const IORING_RECVSEND_POLL_FIRST = 1 << 0;
export const IORING_RECV_MULTISHOT = 1 << 1;
export const IORING_ACCEPT_MULTISHOT = 1 << 0;
export const IORING_POLL_ADD_MULTI = 1 << 0;
export const IORING_FSYNC_DATASYNC = 1 << 0;
export const IORING_ASYNC_CANCEL_ALL = 1 << 0;
export const IORING_ASYNC_CANCEL_FD = 1 << 1;
export const IORING_ASYNC_CANCEL_ANY = 1 << 2;

// io_uring_enter(2) flags.
export const IORING_ENTER_GETEVENTS = 1 << 0;
export const IORING_ENTER_SQ_WAKEUP = 1 << 1;
export const IORING_ENTER_SQ_WAIT = 1 << 2;
export const IORING_ENTER_EXT_ARG = 1 << 3;
export const IORING_ENTER_REGISTERED_RING = 1 << 4;

// io_uring_register(2) opcodes.
export const IORING_REGISTER_EVENTFD = 4;
export const IORING_UNREGISTER_EVENTFD = 5;
export const IORING_REGISTER_PBUF_RING = 22;
export const IORING_UNREGISTER_PBUF_RING = 23;

/** struct io_uring_buf, an entry of a provided buffer ring; the ring's tail lies in the first entry's last two bytes. */
export const BUF_BYTES = 16;
export const BUF_RING_TAIL_OFFSET = 14;

/** struct msghdr and struct iovec on 64-bit Linux; what a multishot recvmsg puts before the address and the payload. */
export const MSGHDR_BYTES = 56;
export const IOVEC_BYTES = 16;
export const RECVMSG_OUT_BYTES = 16;

// Sockets and files (asm-generic; the same on x86-64 and arm64).
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_REUSEPORT = 15;
export const SO_LINGER = 13;
export const SO_KEEPALIVE = 9;
export const IPPROTO_TCP = 6;
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;
export const SO_BROADCAST = 6;
export const IPPROTO_IP = 0;
export const IP_TTL = 2;
export const IP_RECVERR = 11;
export const IP_MULTICAST_IF = 32;
export const IP_MULTICAST_TTL = 33;
export const IP_MULTICAST_LOOP = 34;
export const IP_ADD_MEMBERSHIP = 35;
export const IP_DROP_MEMBERSHIP = 36;
export const IP_ADD_SOURCE_MEMBERSHIP = 39;
export const IP_DROP_SOURCE_MEMBERSHIP = 40;
export const IPV6_UNICAST_HOPS = 16;
export const IPV6_MULTICAST_IF = 17;
export const IPV6_MULTICAST_HOPS = 18;
export const IPV6_MULTICAST_LOOP = 19;
export const IPV6_JOIN_GROUP = 20;
export const IPV6_LEAVE_GROUP = 21;
export const IPV6_RECVERR = 25;
export const MSG_TRUNC = 0x20;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_WAITALL = 0x100;
export const POLLIN = 1;

/** Name and expected value of every line of `layout` in ffi/ringloop.c, in the same order. */
export const layout: readonly (readonly [name: string, value: number])[] = [
  ["RL_ABI_VERSION", RL_ABI_VERSION],
  ["sizeof(void *)", 8],
  ["sizeof(struct io_uring_sqe)", SQE_BYTES],
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
  ["sizeof(struct io_uring_cqe)", CQE_BYTES],
  ["io_uring_cqe.user_data", 0],
  ["io_uring_cqe.res", 8],
  ["io_uring_cqe.flags", 12],
  ["sizeof(struct io_uring_buf)", BUF_BYTES],
  ["io_uring_buf.addr", 0],
  ["io_uring_buf.len", 8],
  ["io_uring_buf.bid", 12],
  ["io_uring_buf_ring.tail", BUF_RING_TAIL_OFFSET],
  ["sizeof(struct sockaddr_in)", 16],
  ["sizeof(struct sockaddr_in6)", 28],
  ["sizeof(struct sockaddr_un)", 110],
  ["sizeof(struct msghdr)", MSGHDR_BYTES],
  ["msghdr.msg_namelen", 8],
  ["msghdr.msg_iov", 16],
  ["msghdr.msg_iovlen", 24],
  ["msghdr.msg_flags", 48],
  ["sizeof(struct io_uring_recvmsg_out)", RECVMSG_OUT_BYTES],
  ["io_uring_recvmsg_out.namelen", 0],
  ["io_uring_recvmsg_out.payloadlen", 8],
  ["io_uring_recvmsg_out.flags", 12],
  ["IORING_OP_READ", IORING_OP_READ],
  ["IORING_OP_ACCEPT", IORING_OP_ACCEPT],
  ["IORING_OP_ASYNC_CANCEL", IORING_OP_ASYNC_CANCEL],
  ["IORING_OP_CLOSE", IORING_OP_CLOSE],
  ["IORING_OP_POLL_ADD", IORING_OP_POLL_ADD],
  ["IORING_OP_POLL_REMOVE", IORING_OP_POLL_REMOVE],
  ["IORING_OP_RECV", IORING_OP_RECV],
  ["IORING_OP_SENDMSG", IORING_OP_SENDMSG],
  ["IORING_OP_RECVMSG", IORING_OP_RECVMSG],
  ["IORING_OP_SEND", IORING_OP_SEND],
  ["IORING_OP_SHUTDOWN", IORING_OP_SHUTDOWN],
  ["IORING_OP_TIMEOUT", IORING_OP_TIMEOUT],
  ["IORING_OP_SEND_ZC", IORING_OP_SEND_ZC],
  ["IORING_SETUP_SQPOLL", IORING_SETUP_SQPOLL],
  ["IORING_SETUP_CQSIZE", IORING_SETUP_CQSIZE],
  ["IORING_SETUP_SUBMIT_ALL", IORING_SETUP_SUBMIT_ALL],
  ["IORING_SETUP_COOP_TASKRUN", IORING_SETUP_COOP_TASKRUN],
  ["IORING_SETUP_TASKRUN_FLAG", IORING_SETUP_TASKRUN_FLAG],
  ["IORING_SETUP_SINGLE_ISSUER", IORING_SETUP_SINGLE_ISSUER],
  ["IORING_SETUP_DEFER_TASKRUN", IORING_SETUP_DEFER_TASKRUN],
  ["IORING_FEAT_FAST_POLL", IORING_FEAT_FAST_POLL],
  ["IORING_FEAT_NODROP", IORING_FEAT_NODROP],
  ["IORING_FEAT_EXT_ARG", IORING_FEAT_EXT_ARG],
  ["IORING_SQ_NEED_WAKEUP", IORING_SQ_NEED_WAKEUP],
  ["IORING_SQ_CQ_OVERFLOW", IORING_SQ_CQ_OVERFLOW],
  ["IORING_SQ_TASKRUN", IORING_SQ_TASKRUN],
  ["IORING_CQ_EVENTFD_DISABLED", IORING_CQ_EVENTFD_DISABLED],
  ["IORING_CQE_F_BUFFER", IORING_CQE_F_BUFFER],
  ["IORING_CQE_F_MORE", IORING_CQE_F_MORE],
  ["IORING_CQE_BUFFER_SHIFT", IORING_CQE_BUFFER_SHIFT],
  ["IORING_RECV_MULTISHOT", IORING_RECV_MULTISHOT],
  ["IORING_ACCEPT_MULTISHOT", IORING_ACCEPT_MULTISHOT],
  ["IORING_ENTER_GETEVENTS", IORING_ENTER_GETEVENTS],
  ["IORING_ENTER_SQ_WAKEUP", IORING_ENTER_SQ_WAKEUP],
  ["IORING_ENTER_SQ_WAIT", IORING_ENTER_SQ_WAIT],
  ["IORING_ENTER_EXT_ARG", IORING_ENTER_EXT_ARG],
  ["IORING_ENTER_REGISTERED_RING", IORING_ENTER_REGISTERED_RING],
  ["IORING_REGISTER_PBUF_RING", IORING_REGISTER_PBUF_RING],
  ["IORING_ASYNC_CANCEL_ALL", IORING_ASYNC_CANCEL_ALL],
  ["IORING_ASYNC_CANCEL_FD", IORING_ASYNC_CANCEL_FD],
  ["IOSQE_BUFFER_SELECT", IOSQE_BUFFER_SELECT],
  ["IOSQE_CQE_SKIP_SUCCESS", IOSQE_CQE_SKIP_SUCCESS],
];
