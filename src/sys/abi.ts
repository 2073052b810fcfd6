/**
 * Constants and layouts of io_uring under the kernel's names (include/uapi/linux/io_uring.h).
 *
 * Guarantees: layout.ts compares each with the C compiler's value before a ring is set up.
 */

/** Equals RL_ABI_VERSION in ffi/ringloop.c. */
export const RL_ABI_VERSION = 5;
/** How many rings and descriptors of a thread its end can close: see owned.ts. */
export const RL_OWNED_RINGS = 64;
export const RL_OWNED_DESCRIPTORS = 1048576;
/** The kind of an operation whose result is a descriptor: see op-table.ts. */
export const RL_DESCRIPTOR_KIND = 7;

// Opcodes (enum io_uring_op). Those that liburing 2.3 lacks name their first Linux version.
export const IORING_OP_NOP = 0;
export const IORING_OP_READV = 1;
export const IORING_OP_WRITEV = 2;
export const IORING_OP_FSYNC = 3;
export const IORING_OP_READ_FIXED = 4;
export const IORING_OP_WRITE_FIXED = 5;
export const IORING_OP_POLL_ADD = 6;
export const IORING_OP_POLL_REMOVE = 7;
export const IORING_OP_SYNC_FILE_RANGE = 8;
export const IORING_OP_SENDMSG = 9;
export const IORING_OP_RECVMSG = 10;
export const IORING_OP_TIMEOUT = 11;
export const IORING_OP_TIMEOUT_REMOVE = 12;
export const IORING_OP_ACCEPT = 13;
export const IORING_OP_ASYNC_CANCEL = 14;
export const IORING_OP_LINK_TIMEOUT = 15;
export const IORING_OP_CONNECT = 16;
export const IORING_OP_FALLOCATE = 17;
export const IORING_OP_OPENAT = 18;
export const IORING_OP_CLOSE = 19;
export const IORING_OP_FILES_UPDATE = 20;
export const IORING_OP_STATX = 21;
export const IORING_OP_READ = 22;
export const IORING_OP_WRITE = 23;
export const IORING_OP_FADVISE = 24;
export const IORING_OP_MADVISE = 25;
export const IORING_OP_SEND = 26;
export const IORING_OP_RECV = 27;
export const IORING_OP_OPENAT2 = 28;
export const IORING_OP_EPOLL_CTL = 29;
export const IORING_OP_SPLICE = 30;
export const IORING_OP_PROVIDE_BUFFERS = 31;
export const IORING_OP_REMOVE_BUFFERS = 32;
export const IORING_OP_TEE = 33;
export const IORING_OP_SHUTDOWN = 34;
export const IORING_OP_RENAMEAT = 35;
export const IORING_OP_UNLINKAT = 36;
export const IORING_OP_MKDIRAT = 37;
export const IORING_OP_SYMLINKAT = 38;
export const IORING_OP_LINKAT = 39;
export const IORING_OP_MSG_RING = 40;
export const IORING_OP_FSETXATTR = 41;
export const IORING_OP_SETXATTR = 42;
export const IORING_OP_FGETXATTR = 43;
export const IORING_OP_GETXATTR = 44;
export const IORING_OP_SOCKET = 45;
export const IORING_OP_URING_CMD = 46;
export const IORING_OP_SEND_ZC = 47;
export const IORING_OP_SENDMSG_ZC = 48;
/** Linux 6.7. */
export const IORING_OP_READ_MULTISHOT = 49;
/** Linux 6.7. */
export const IORING_OP_WAITID = 50;
/** Linux 6.7. */
export const IORING_OP_FUTEX_WAIT = 51;
/** Linux 6.7. */
export const IORING_OP_FUTEX_WAKE = 52;
/** Linux 6.7. */
export const IORING_OP_FUTEX_WAITV = 53;
/** Linux 6.8. */
export const IORING_OP_FIXED_FD_INSTALL = 54;
/** Linux 6.9. */
export const IORING_OP_FTRUNCATE = 55;
/** Linux 6.11. */
export const IORING_OP_BIND = 56;
/** Linux 6.11. */
export const IORING_OP_LISTEN = 57;
/** Linux 6.15. */
export const IORING_OP_RECV_ZC = 58;
/** Linux 6.15. */
export const IORING_OP_EPOLL_WAIT = 59;
/** Linux 6.15. */
export const IORING_OP_READV_FIXED = 60;
/** Linux 6.15. */
export const IORING_OP_WRITEV_FIXED = 61;
/** Linux 6.16. */
export const IORING_OP_PIPE = 62;

// Submission entries.
export const SQE_BYTES = 64;
export const IOSQE_FIXED_FILE = 1 << 0;
export const IOSQE_IO_DRAIN = 1 << 1;
export const IOSQE_IO_LINK = 1 << 2;
export const IOSQE_IO_HARDLINK = 1 << 3;
export const IOSQE_ASYNC = 1 << 4;
export const IOSQE_BUFFER_SELECT = 1 << 5;
export const IOSQE_CQE_SKIP_SUCCESS = 1 << 6;
/** A file index for which the kernel picks a free slot; the completion's `res` is that slot. */
export const IORING_FILE_INDEX_ALLOC = 0xffffffff;

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
export const IORING_SETUP_SQE128 = 1 << 10;
export const IORING_SETUP_CQE32 = 1 << 11;
export const IORING_SETUP_SINGLE_ISSUER = 1 << 12;
export const IORING_SETUP_DEFER_TASKRUN = 1 << 13;
/** Linux 6.5. */
export const IORING_SETUP_NO_MMAP = 1 << 14;
/** Linux 6.5. */
export const IORING_SETUP_REGISTERED_FD_ONLY = 1 << 15;
/** Linux 6.6. */
export const IORING_SETUP_NO_SQARRAY = 1 << 16;
/** Linux 6.13. */
export const IORING_SETUP_HYBRID_IOPOLL = 1 << 17;
/** Linux 6.18. */
export const IORING_SETUP_CQE_MIXED = 1 << 18;
/** Linux 6.19. */
export const IORING_SETUP_SQE_MIXED = 1 << 19;

// Features that io_uring_setup(2) reports.
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
/** Linux 6.14. */
export const IORING_FEAT_RW_ATTR = 1 << 16;
/** Linux 6.15. */
export const IORING_FEAT_NO_IOWAIT = 1 << 17;

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
/** The provided buffer is only partly used, and stays the kernel's. Linux 6.12. */
export const IORING_CQE_F_BUF_MORE = 1 << 4;
/** Linux 6.18, with IORING_SETUP_CQE_MIXED. */
export const IORING_CQE_F_SKIP = 1 << 5;
/** Linux 6.18, with IORING_SETUP_CQE_MIXED. */
export const IORING_CQE_F_32 = 1 << 15;
/** Linux 6.17, of SOCKET_URING_OP_TX_TIMESTAMP. */
export const IORING_CQE_F_TSTAMP_HW = 1 << 16;
/** Linux 6.17. */
export const IORING_TIMESTAMP_HW_SHIFT = 16;
/** Linux 6.17. */
export const IORING_TIMESTAMP_TYPE_SHIFT = 17;
export const IORING_CQE_BUFFER_SHIFT = 16;

// Operation flags, grouped by operation.
export const IORING_FSYNC_DATASYNC = 1 << 0;
export const IORING_TIMEOUT_ABS = 1 << 0;
export const IORING_TIMEOUT_UPDATE = 1 << 1;
export const IORING_TIMEOUT_BOOTTIME = 1 << 2;
export const IORING_TIMEOUT_REALTIME = 1 << 3;
export const IORING_LINK_TIMEOUT_UPDATE = 1 << 4;
export const IORING_TIMEOUT_ETIME_SUCCESS = 1 << 5;
/** Linux 6.4. */
export const IORING_TIMEOUT_MULTISHOT = 1 << 6;
export const SPLICE_F_FD_IN_FIXED = 0x80000000;
export const IORING_POLL_ADD_MULTI = 1 << 0;
export const IORING_POLL_UPDATE_EVENTS = 1 << 1;
export const IORING_POLL_UPDATE_USER_DATA = 1 << 2;
export const IORING_POLL_ADD_LEVEL = 1 << 3;
export const IORING_ASYNC_CANCEL_ALL = 1 << 0;
export const IORING_ASYNC_CANCEL_FD = 1 << 1;
export const IORING_ASYNC_CANCEL_ANY = 1 << 2;
export const IORING_ASYNC_CANCEL_FD_FIXED = 1 << 3;
/** Linux 6.6. */
export const IORING_ASYNC_CANCEL_USERDATA = 1 << 4;
/** Linux 6.6. */
export const IORING_ASYNC_CANCEL_OP = 1 << 5;
/** Linux 6.10. */
export const IORING_NOP_INJECT_RESULT = 1 << 0;
/** Linux 6.18. */
export const IORING_NOP_CQE32 = 1 << 5;
export const IORING_RECVSEND_POLL_FIRST = 1 << 0;
export const IORING_RECV_MULTISHOT = 1 << 1;
export const IORING_RECVSEND_FIXED_BUF = 1 << 2;
/** Linux 6.2. */
export const IORING_SEND_ZC_REPORT_USAGE = 1 << 3;
/** Linux 6.2. */
export const IORING_NOTIF_USAGE_ZC_COPIED = 0x80000000;
/** Linux 6.17. */
export const IORING_SEND_VECTORIZED = 1 << 5;
/** Linux 6.10. */
export const IORING_RECVSEND_BUNDLE = 1 << 4;
export const IORING_ACCEPT_MULTISHOT = 1 << 0;
/** Linux 6.10. */
export const IORING_ACCEPT_DONTWAIT = 1 << 1;
/** Linux 6.10. */
export const IORING_ACCEPT_POLL_FIRST = 1 << 2;
export const IORING_MSG_DATA = 0;
export const IORING_MSG_SEND_FD = 1;
export const IORING_MSG_RING_CQE_SKIP = 1 << 0;
/** Linux 6.3. */
export const IORING_MSG_RING_FLAGS_PASS = 1 << 1;
/** Linux 6.8. */
export const IORING_FIXED_FD_NO_CLOEXEC = 1 << 0;
/** Linux 6.1. */
export const IORING_URING_CMD_FIXED = 1 << 0;
/** Linux 6.1. */
export const IORING_URING_CMD_MASK = 1 << 0;
/** Linux 6.14. */
export const IORING_RW_ATTR_FLAG_PI = 1 << 0;
// Of prepCmdSock. Linux 6.5, the two of options 6.7, TX_TIMESTAMP 6.17, GETSOCKNAME 6.19.
export const SOCKET_URING_OP_SIOCINQ = 0;
export const SOCKET_URING_OP_SIOCOUTQ = 1;
export const SOCKET_URING_OP_GETSOCKOPT = 2;
export const SOCKET_URING_OP_SETSOCKOPT = 3;
export const SOCKET_URING_OP_TX_TIMESTAMP = 4;
export const SOCKET_URING_OP_GETSOCKNAME = 5;

// io_uring_enter(2) flags.
export const IORING_ENTER_GETEVENTS = 1 << 0;
export const IORING_ENTER_SQ_WAKEUP = 1 << 1;
export const IORING_ENTER_SQ_WAIT = 1 << 2;
export const IORING_ENTER_EXT_ARG = 1 << 3;
export const IORING_ENTER_REGISTERED_RING = 1 << 4;
/** Linux 6.12. */
export const IORING_ENTER_ABS_TIMER = 1 << 5;
/** Linux 6.13. */
export const IORING_ENTER_EXT_ARG_REG = 1 << 6;
/** Linux 6.15. */
export const IORING_ENTER_NO_IOWAIT = 1 << 7;

// io_uring_register(2) opcodes and their arguments' flags.
export const IORING_REGISTER_BUFFERS = 0;
export const IORING_UNREGISTER_BUFFERS = 1;
export const IORING_REGISTER_FILES = 2;
export const IORING_UNREGISTER_FILES = 3;
export const IORING_REGISTER_EVENTFD = 4;
export const IORING_UNREGISTER_EVENTFD = 5;
export const IORING_REGISTER_FILES_UPDATE = 6;
export const IORING_REGISTER_EVENTFD_ASYNC = 7;
export const IORING_REGISTER_PROBE = 8;
export const IORING_REGISTER_PERSONALITY = 9;
export const IORING_UNREGISTER_PERSONALITY = 10;
export const IORING_REGISTER_RESTRICTIONS = 11;
export const IORING_REGISTER_ENABLE_RINGS = 12;
export const IORING_REGISTER_FILES2 = 13;
export const IORING_REGISTER_FILES_UPDATE2 = 14;
export const IORING_REGISTER_BUFFERS2 = 15;
export const IORING_REGISTER_BUFFERS_UPDATE = 16;
export const IORING_REGISTER_IOWQ_AFF = 17;
export const IORING_UNREGISTER_IOWQ_AFF = 18;
export const IORING_REGISTER_IOWQ_MAX_WORKERS = 19;
export const IORING_REGISTER_RING_FDS = 20;
export const IORING_UNREGISTER_RING_FDS = 21;
export const IORING_REGISTER_PBUF_RING = 22;
export const IORING_UNREGISTER_PBUF_RING = 23;
export const IORING_REGISTER_SYNC_CANCEL = 24;
export const IORING_REGISTER_FILE_ALLOC_RANGE = 25;
/** Linux 6.8. */
export const IORING_REGISTER_PBUF_STATUS = 26;
/** Linux 6.9. */
export const IORING_REGISTER_NAPI = 27;
/** Linux 6.9. */
export const IORING_UNREGISTER_NAPI = 28;
/** Linux 6.12. */
export const IORING_REGISTER_CLOCK = 29;
/** Linux 6.12. */
export const IORING_REGISTER_CLONE_BUFFERS = 30;
/** Linux 6.13. */
export const IORING_REGISTER_SEND_MSG_RING = 31;
/** Linux 6.15. */
export const IORING_REGISTER_ZCRX_IFQ = 32;
/** Linux 6.13. */
export const IORING_REGISTER_RESIZE_RINGS = 33;
/** Linux 6.13. */
export const IORING_REGISTER_MEM_REGION = 34;
/** Linux 6.18. */
export const IORING_REGISTER_QUERY = 35;
/** Beside an opcode: the descriptor is the index of a registered ring. Linux 6.3. */
export const IORING_REGISTER_USE_REGISTERED_RING = 0x80000000;
/** As a descriptor in an update: leaves that slot of the registered files as it is. */
export const IORING_REGISTER_FILES_SKIP = -2;
export const IORING_RSRC_REGISTER_SPARSE = 1 << 0;
export const IO_URING_OP_SUPPORTED = 1 << 0;
/** Linux 6.12. */
export const IORING_REGISTER_SRC_REGISTERED = 1 << 0;
/** Linux 6.13. */
export const IORING_REGISTER_DST_REPLACE = 1 << 1;
/** Linux 6.13. */
export const IORING_MEM_REGION_TYPE_USER = 1;
/** Linux 6.13. */
export const IORING_MEM_REGION_REG_WAIT_ARG = 1;
/** Linux 6.13. */
export const IORING_REG_WAIT_TS = 1 << 0;
/** Linux 6.18. */
export const IO_URING_QUERY_OPCODES = 0;
/** Linux 6.19. */
export const IO_URING_QUERY_ZCRX = 1;
/** Linux 6.19. */
export const IO_URING_QUERY_SCQ = 2;
/** Linux 6.16. */
export const IORING_ZCRX_AREA_DMABUF = 1;
/** Linux 6.15. */
export const IORING_ZCRX_AREA_SHIFT = 48;
/** Linux 6.4. */
export const IOU_PBUF_RING_MMAP = 1;
/** Linux 6.12. */
export const IOU_PBUF_RING_INC = 1 << 1;
export const IORING_RESTRICTION_REGISTER_OP = 0;
export const IORING_RESTRICTION_SQE_OP = 1;
export const IORING_RESTRICTION_SQE_FLAGS_ALLOWED = 2;
export const IORING_RESTRICTION_SQE_FLAGS_REQUIRED = 3;

/** struct io_uring_buf. The ring's tail lies in the last two bytes of the first entry. */
export const BUF_BYTES = 16;
export const BUF_RING_TAIL_OFFSET = 14;

/** struct epoll_event, which is packed on x86-64 alone. */
export const EPOLL_EVENT_BYTES = process.arch === "x64" ? 12 : 16;

/** struct msghdr, struct iovec and struct io_uring_recvmsg_out on 64-bit Linux. */
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
export const IP_TOS = 1;
export const IPV6_TCLASS = 67;
export const MSG_TRUNC = 0x20;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_WAITALL = 0x100;
export const POLLIN = 1;
