/**
 * What ringloop needs of the kernel's headers: names of constants, structures and their members.
 * generate-abi.ts finds their values, and writes src/sys/abi.ts, src/sys/socket-abi.ts,
 * src/sys/linux.ts, src/sys/layout.ts and layout.h.
 *
 * Values are here only where a header may lack them: constants that are newer than liburing 2.3 or
 * Linux 6.1, ringloop's own constants, and what differs between machines.
 */

/** Returns the words of a text. */
export function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

/** Constants below one title. */
export interface Group {
  /** Comment above the group. */
  title: string;
  /** How the values are written. Default: decimal digits. */
  form?: "bits" | "hex";
  /** Names in the headers, by the prefix that they share. */
  names?: Record<string, string>;
  /** Values of names that older headers lack, by the first version of Linux that has them. */
  newer?: Record<string, Record<string, number>>;
  /** Values of ringloop's own names. */
  own?: Record<string, number>;
  /** Names of sizes and offsets, with their expressions in C. */
  measured?: Record<string, string>;
}

/** Headers of what layout.h has. */
export const headers = words(`liburing.h linux/openat2.h netinet/in.h netinet/tcp.h poll.h signal.h stddef.h stdint.h
  sys/epoll.h sys/socket.h sys/stat.h sys/uio.h sys/un.h`);
/** More headers, of what src/sys/linux.ts has. Some of them are only glibc's. */
export const linuxHeaders = words(`fcntl.h linux/falloc.h linux/fs.h linux/futex.h linux/net_tstamp.h netinet/udp.h
  sys/eventfd.h sys/inotify.h sys/mman.h sys/pidfd.h sys/timerfd.h sys/wait.h sys/xattr.h`);

/** Values that differ between the machines. Everything else is the same on x86-64 and arm64. */
export const byMachine: Record<string, { x64: number; arm64: number }> = {
  // struct epoll_event is packed on x86-64 alone.
  "sizeof(struct epoll_event)": { x64: 12, arm64: 16 },
  "offsetof(struct epoll_event, data)": { x64: 4, arm64: 8 },
};

/** src/sys/abi.ts. layout.h has each of these, too. */
export const abi: readonly Group[] = [
  {
    title: "ringloop's own constants, shared with ffi/ringloop.c.",
    own: { RL_ABI_VERSION: 7, RL_OWNED_RINGS: 64, RL_OWNED_DESCRIPTORS: 1048576, RL_DESCRIPTOR_KIND: 7 },
  },
  {
    title: "Opcodes (enum io_uring_op).",
    names: {
      IORING_OP_: `NOP READV WRITEV FSYNC READ_FIXED WRITE_FIXED POLL_ADD POLL_REMOVE SYNC_FILE_RANGE SENDMSG RECVMSG
        TIMEOUT TIMEOUT_REMOVE ACCEPT ASYNC_CANCEL LINK_TIMEOUT CONNECT FALLOCATE OPENAT CLOSE FILES_UPDATE STATX READ
        WRITE FADVISE MADVISE SEND RECV OPENAT2 EPOLL_CTL SPLICE PROVIDE_BUFFERS REMOVE_BUFFERS TEE SHUTDOWN RENAMEAT
        UNLINKAT MKDIRAT SYMLINKAT LINKAT MSG_RING FSETXATTR SETXATTR FGETXATTR GETXATTR SOCKET URING_CMD SEND_ZC
        SENDMSG_ZC`,
    },
    newer: {
      "6.7": {
        IORING_OP_READ_MULTISHOT: 49,
        IORING_OP_WAITID: 50,
        IORING_OP_FUTEX_WAIT: 51,
        IORING_OP_FUTEX_WAKE: 52,
        IORING_OP_FUTEX_WAITV: 53,
      },
      "6.8": { IORING_OP_FIXED_FD_INSTALL: 54 },
      "6.9": { IORING_OP_FTRUNCATE: 55 },
      "6.11": { IORING_OP_BIND: 56, IORING_OP_LISTEN: 57 },
      "6.15": {
        IORING_OP_RECV_ZC: 58,
        IORING_OP_EPOLL_WAIT: 59,
        IORING_OP_READV_FIXED: 60,
        IORING_OP_WRITEV_FIXED: 61,
      },
      "6.16": { IORING_OP_PIPE: 62 },
    },
  },
  {
    title: "Submission entries.",
    form: "bits",
    names: {
      IOSQE_: "FIXED_FILE IO_DRAIN IO_LINK IO_HARDLINK ASYNC BUFFER_SELECT CQE_SKIP_SUCCESS",
      "": "IORING_FILE_INDEX_ALLOC",
    },
  },
  {
    title: "io_uring_setup(2) flags.",
    form: "bits",
    names: {
      IORING_SETUP_: `IOPOLL SQPOLL SQ_AFF CQSIZE CLAMP ATTACH_WQ R_DISABLED SUBMIT_ALL COOP_TASKRUN TASKRUN_FLAG SQE128
        CQE32 SINGLE_ISSUER DEFER_TASKRUN`,
    },
    newer: {
      "6.5": { IORING_SETUP_NO_MMAP: 1 << 14, IORING_SETUP_REGISTERED_FD_ONLY: 1 << 15 },
      "6.6": { IORING_SETUP_NO_SQARRAY: 1 << 16 },
      "6.13": { IORING_SETUP_HYBRID_IOPOLL: 1 << 17 },
      "6.18": { IORING_SETUP_CQE_MIXED: 1 << 18 },
      "6.19": { IORING_SETUP_SQE_MIXED: 1 << 19 },
    },
  },
  {
    title: "Features that io_uring_setup(2) reports.",
    form: "bits",
    names: {
      IORING_FEAT_: `SINGLE_MMAP NODROP SUBMIT_STABLE RW_CUR_POS CUR_PERSONALITY FAST_POLL POLL_32BITS SQPOLL_NONFIXED
        EXT_ARG NATIVE_WORKERS RSRC_TAGS CQE_SKIP LINKED_FILE`,
    },
    newer: {
      "6.3": { IORING_FEAT_REG_REG_RING: 1 << 13 },
      "6.10": { IORING_FEAT_RECVSEND_BUNDLE: 1 << 14 },
      "6.12": { IORING_FEAT_MIN_TIMEOUT: 1 << 15 },
      "6.14": { IORING_FEAT_RW_ATTR: 1 << 16 },
      "6.15": { IORING_FEAT_NO_IOWAIT: 1 << 17 },
    },
  },
  {
    title: "Flags in the mapped rings.",
    form: "bits",
    names: { IORING_: "SQ_NEED_WAKEUP SQ_CQ_OVERFLOW SQ_TASKRUN CQ_EVENTFD_DISABLED" },
  },
  {
    title: "Completion entries.",
    form: "bits",
    names: { IORING_CQE_F_: "BUFFER MORE SOCK_NONEMPTY NOTIF" },
    newer: {
      "6.12": { IORING_CQE_F_BUF_MORE: 1 << 4 },
      "6.17": { IORING_CQE_F_TSTAMP_HW: 1 << 16 },
      "6.18": { IORING_CQE_F_SKIP: 1 << 5, IORING_CQE_F_32: 1 << 15 },
    },
  },
  {
    title: "Positions of other values in a completion's flags.",
    names: { "": "IORING_CQE_BUFFER_SHIFT" },
    newer: { "6.17": { IORING_TIMESTAMP_HW_SHIFT: 16, IORING_TIMESTAMP_TYPE_SHIFT: 17 } },
  },
  {
    title: "Operation flags.",
    form: "bits",
    names: {
      IORING_: `FSYNC_DATASYNC LINK_TIMEOUT_UPDATE RECVSEND_POLL_FIRST RECV_MULTISHOT RECVSEND_FIXED_BUF ACCEPT_MULTISHOT
        MSG_RING_CQE_SKIP`,
      IORING_TIMEOUT_: "ABS UPDATE BOOTTIME REALTIME ETIME_SUCCESS",
      IORING_POLL_: "ADD_MULTI UPDATE_EVENTS UPDATE_USER_DATA ADD_LEVEL",
      IORING_ASYNC_CANCEL_: "ALL FD ANY FD_FIXED",
      "": "SPLICE_F_FD_IN_FIXED",
    },
    newer: {
      "6.1": { IORING_URING_CMD_FIXED: 1 << 0, IORING_URING_CMD_MASK: 1 << 0 },
      "6.2": { IORING_SEND_ZC_REPORT_USAGE: 1 << 3, IORING_NOTIF_USAGE_ZC_COPIED: 0x80000000 },
      "6.3": { IORING_MSG_RING_FLAGS_PASS: 1 << 1 },
      "6.4": { IORING_TIMEOUT_MULTISHOT: 1 << 6 },
      "6.6": { IORING_ASYNC_CANCEL_USERDATA: 1 << 4, IORING_ASYNC_CANCEL_OP: 1 << 5 },
      "6.8": { IORING_FIXED_FD_NO_CLOEXEC: 1 << 0 },
      "6.10": {
        IORING_NOP_INJECT_RESULT: 1 << 0,
        IORING_RECVSEND_BUNDLE: 1 << 4,
        IORING_ACCEPT_DONTWAIT: 1 << 1,
        IORING_ACCEPT_POLL_FIRST: 1 << 2,
      },
      "6.14": { IORING_RW_ATTR_FLAG_PI: 1 << 0 },
      "6.17": { IORING_SEND_VECTORIZED: 1 << 5 },
      "6.18": { IORING_NOP_CQE32: 1 << 5 },
    },
  },
  { title: "Commands of IORING_OP_MSG_RING.", names: { IORING_MSG_: "DATA SEND_FD" } },
  {
    title: "Commands of prepCmdSock.",
    newer: {
      "6.5": { SOCKET_URING_OP_SIOCINQ: 0, SOCKET_URING_OP_SIOCOUTQ: 1 },
      "6.7": { SOCKET_URING_OP_GETSOCKOPT: 2, SOCKET_URING_OP_SETSOCKOPT: 3 },
      "6.17": { SOCKET_URING_OP_TX_TIMESTAMP: 4 },
      "6.19": { SOCKET_URING_OP_GETSOCKNAME: 5 },
    },
  },
  {
    title: "io_uring_enter(2) flags.",
    form: "bits",
    names: { IORING_ENTER_: "GETEVENTS SQ_WAKEUP SQ_WAIT EXT_ARG REGISTERED_RING" },
    newer: {
      "6.12": { IORING_ENTER_ABS_TIMER: 1 << 5 },
      "6.13": { IORING_ENTER_EXT_ARG_REG: 1 << 6 },
      "6.15": { IORING_ENTER_NO_IOWAIT: 1 << 7 },
    },
  },
  {
    title: "io_uring_register(2) opcodes.",
    names: {
      IORING_REGISTER_: `BUFFERS FILES EVENTFD FILES_UPDATE EVENTFD_ASYNC PROBE PERSONALITY RESTRICTIONS ENABLE_RINGS
        FILES2 FILES_UPDATE2 BUFFERS2 BUFFERS_UPDATE IOWQ_AFF IOWQ_MAX_WORKERS RING_FDS PBUF_RING SYNC_CANCEL
        FILE_ALLOC_RANGE FILES_SKIP`,
      IORING_UNREGISTER_: "BUFFERS FILES EVENTFD PERSONALITY IOWQ_AFF RING_FDS PBUF_RING",
    },
    newer: {
      "6.3": { IORING_REGISTER_USE_REGISTERED_RING: 0x80000000 },
      "6.8": { IORING_REGISTER_PBUF_STATUS: 26 },
      "6.9": { IORING_REGISTER_NAPI: 27, IORING_UNREGISTER_NAPI: 28 },
      "6.12": { IORING_REGISTER_CLOCK: 29, IORING_REGISTER_CLONE_BUFFERS: 30 },
      "6.13": {
        IORING_REGISTER_SEND_MSG_RING: 31,
        IORING_REGISTER_RESIZE_RINGS: 33,
        IORING_REGISTER_MEM_REGION: 34,
      },
      "6.15": { IORING_REGISTER_ZCRX_IFQ: 32 },
      "6.18": { IORING_REGISTER_QUERY: 35 },
    },
  },
  {
    title: "Arguments of io_uring_register(2), and their flags.",
    names: {
      IORING_: `RSRC_REGISTER_SPARSE RESTRICTION_REGISTER_OP RESTRICTION_SQE_OP RESTRICTION_SQE_FLAGS_ALLOWED
        RESTRICTION_SQE_FLAGS_REQUIRED`,
      "": "IO_URING_OP_SUPPORTED",
    },
    newer: {
      "6.4": { IOU_PBUF_RING_MMAP: 1 },
      "6.12": { IOU_PBUF_RING_INC: 2, IORING_REGISTER_SRC_REGISTERED: 1 },
      "6.13": {
        IORING_REGISTER_DST_REPLACE: 2,
        IORING_MEM_REGION_TYPE_USER: 1,
        IORING_MEM_REGION_REG_WAIT_ARG: 1,
        IORING_REG_WAIT_TS: 1,
      },
      "6.15": { IORING_ZCRX_AREA_SHIFT: 48 },
      "6.16": { IORING_ZCRX_AREA_DMABUF: 1 },
      "6.18": { IO_URING_QUERY_OPCODES: 0 },
      "6.19": { IO_URING_QUERY_ZCRX: 1, IO_URING_QUERY_SCQ: 2 },
    },
  },
  {
    title: "Structures.",
    measured: {
      SQE_BYTES: "sizeof(struct io_uring_sqe)",
      CQE_BYTES: "sizeof(struct io_uring_cqe)",
      BUF_BYTES: "sizeof(struct io_uring_buf)",
      BUF_RING_TAIL_OFFSET: "offsetof(struct io_uring_buf_ring, tail)",
      EPOLL_EVENT_BYTES: "sizeof(struct epoll_event)",
      MSGHDR_BYTES: "sizeof(struct msghdr)",
      IOVEC_BYTES: "sizeof(struct iovec)",
      RECVMSG_OUT_BYTES: "sizeof(struct io_uring_recvmsg_out)",
    },
  },
];

/** src/sys/socket-abi.ts. layout.h has each of these, too. */
export const sockets: readonly Group[] = [
  {
    title: "Sockets.",
    names: {
      "": `AF_UNIX AF_INET AF_INET6 SOCK_STREAM SOCK_DGRAM SOL_SOCKET SO_REUSEADDR SO_REUSEPORT SO_LINGER SO_KEEPALIVE
        SO_BROADCAST SHUT_RD SHUT_WR SHUT_RDWR`,
      IPPROTO_: "IP TCP IPV6",
      TCP_: "NODELAY KEEPIDLE",
      IP_: `TOS TTL RECVERR MULTICAST_IF MULTICAST_TTL MULTICAST_LOOP ADD_MEMBERSHIP DROP_MEMBERSHIP
        ADD_SOURCE_MEMBERSHIP DROP_SOURCE_MEMBERSHIP`,
      IPV6_: `UNICAST_HOPS MULTICAST_IF MULTICAST_HOPS MULTICAST_LOOP JOIN_GROUP LEAVE_GROUP RECVERR V6ONLY TCLASS`,
    },
  },
  {
    title: "Flags of sockets, messages and polls.",
    form: "hex",
    names: { SOCK_: "NONBLOCK CLOEXEC", MSG_: "TRUNC NOSIGNAL WAITALL", "": "POLLIN" },
  },
];

/** src/sys/linux.ts. */
export const linux: readonly Group[] = [
  {
    title: "openat(2), statx(2), unlink(2), link(2).",
    form: "hex",
    names: {
      AT_: `FDCWD SYMLINK_NOFOLLOW REMOVEDIR SYMLINK_FOLLOW NO_AUTOMOUNT EMPTY_PATH STATX_FORCE_SYNC STATX_DONT_SYNC`,
      RESOLVE_: "NO_XDEV NO_MAGICLINKS NO_SYMLINKS BENEATH IN_ROOT CACHED",
      STATX_: "TYPE MODE NLINK UID GID ATIME MTIME CTIME INO SIZE BLOCKS BASIC_STATS BTIME",
      RENAME_: "NOREPLACE EXCHANGE",
      XATTR_: "CREATE REPLACE",
    },
  },
  {
    title: "preadv2(2), sync_file_range(2), fallocate(2), splice(2).",
    form: "hex",
    names: {
      RWF_: "HIPRI DSYNC SYNC NOWAIT APPEND",
      SYNC_FILE_RANGE_: "WAIT_BEFORE WRITE WAIT_AFTER",
      FALLOC_FL_: "KEEP_SIZE PUNCH_HOLE COLLAPSE_RANGE ZERO_RANGE INSERT_RANGE",
      SPLICE_F_: "MOVE NONBLOCK MORE",
    },
  },
  {
    title: "posix_fadvise(2), madvise(2).",
    names: {
      POSIX_FADV_: "NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED NOREUSE",
      MADV_: "NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED",
    },
  },
  { title: "Commands of block devices.", form: "hex", newer: { "6.12": { BLOCK_URING_CMD_DISCARD: 0x1200 } } },
  {
    title: "send(2), recv(2).",
    form: "hex",
    names: { MSG_: "PEEK CTRUNC DONTWAIT ERRQUEUE MORE CMSG_CLOEXEC" },
  },
  {
    title: "poll(2), epoll(7).",
    form: "hex",
    names: {
      POLL: "PRI OUT ERR HUP NVAL RDHUP",
      EPOLL_CTL_: "ADD DEL MOD",
      EPOLL: "IN OUT ERR HUP RDHUP EXCLUSIVE ONESHOT ET",
    },
  },
  {
    title: "waitid(2).",
    names: { P_: "ALL PID PGID PIDFD", CLD_: "EXITED KILLED DUMPED" },
  },
  {
    title: "waitid(2): options.",
    form: "hex",
    names: { W: "NOHANG STOPPED EXITED CONTINUED NOWAIT" },
  },
  {
    title: "futex(2).",
    form: "hex",
    names: { "": "FUTEX_BITSET_MATCH_ANY" },
    newer: { "6.7": { FUTEX2_SIZE_U32: 0x02, FUTEX2_PRIVATE: 0x80 } },
  },
  {
    title: "cmsg(3), socket(7), udp(7): ancillary data of a message.",
    names: {
      SCM_: "RIGHTS CREDENTIALS",
      SO_: "PASSCRED RCVBUF SNDBUF ERROR TYPE ZEROCOPY TIMESTAMP TIMESTAMPNS TIMESTAMPING",
      IP_: "PKTINFO RECVTOS",
      IPV6_: "PKTINFO RECVPKTINFO RECVTCLASS",
      "": "SOCK_SEQPACKET IPPROTO_UDP UDP_SEGMENT UDP_GRO",
    },
  },
  { title: "socket(7): SO_TIMESTAMPING.", form: "bits", names: { SOF_TIMESTAMPING_: "RX_SOFTWARE SOFTWARE" } },
  { title: "clock_gettime(2).", names: { CLOCK_: "REALTIME MONOTONIC BOOTTIME" } },
  {
    title: "eventfd(2), timerfd_create(2), pidfd_open(2), memfd_create(2), inotify(7).",
    form: "hex",
    names: {
      EFD_: "SEMAPHORE CLOEXEC NONBLOCK",
      TFD_: "NONBLOCK TIMER_ABSTIME TIMER_CANCEL_ON_SET",
      PIDFD_: "NONBLOCK",
      MFD_: "CLOEXEC ALLOW_SEALING HUGETLB",
      IN_: `NONBLOCK ACCESS MODIFY ATTRIB CLOSE_WRITE CLOSE_NOWRITE OPEN MOVED_FROM MOVED_TO CREATE DELETE DELETE_SELF
        MOVE_SELF UNMOUNT Q_OVERFLOW IGNORED ONLYDIR DONT_FOLLOW EXCL_UNLINK ISDIR ONESHOT`,
    },
  },
];

/** Comments of single constants. The version of Linux of newer ones follows by itself. */
export const comments: Record<string, string> = {
  RL_ABI_VERSION: "Changes with every signature and with the meaning of every out parameter in ffi/ringloop.c.",
  RL_OWNED_RINGS: "Number of rings that a thread's end closes: see owned.ts.",
  RL_OWNED_DESCRIPTORS: "The same number of descriptors. It is the system's usual limit, fs.nr_open.",
  RL_DESCRIPTOR_KIND: "Bits 32 to 39 of user_data if the result is a new descriptor: see op-table.ts.",
  IORING_FILE_INDEX_ALLOC: "A file index for which the kernel picks a free slot; the completion's `res` is that slot.",
  IORING_CQE_F_BUF_MORE: "The provided buffer is only partly used, and stays the kernel's.",
  IORING_CQE_F_SKIP: "With IORING_SETUP_CQE_MIXED.",
  IORING_CQE_F_32: "With IORING_SETUP_CQE_MIXED.",
  IORING_CQE_F_TSTAMP_HW: "Of SOCKET_URING_OP_TX_TIMESTAMP.",
  IORING_REGISTER_USE_REGISTERED_RING: "Beside an opcode: the descriptor is the index of a registered ring.",
  IORING_REGISTER_FILES_SKIP: "As a descriptor in an update: leaves that slot of the registered files as it is.",
  BUF_RING_TAIL_OFFSET: "The tail of a ring of buffers lies in the last two bytes of the first entry.",
  EPOLL_EVENT_BYTES: "struct epoll_event is packed on x86-64 alone.",
  BLOCK_URING_CMD_DISCARD: "For prepCmdDiscard: _IO(0x12, 0).",
};

/** Members whose offsets ringloop relies on, by structure. */
export const members: Record<string, string> = {
  "struct io_uring_sqe": "opcode flags ioprio fd off addr len msg_flags user_data buf_group splice_fd_in",
  "struct io_uring_cqe": "user_data res flags",
  "struct io_uring_buf": "addr len bid",
  "struct msghdr": "msg_namelen msg_iov msg_iovlen msg_flags",
  "struct io_uring_recvmsg_out": "namelen payloadlen flags",
  "struct statx": "stx_blksize stx_nlink stx_ino stx_size stx_atime stx_rdev_major stx_dev_major",
  siginfo_t: "si_code si_pid si_status",
  "struct epoll_event": "data",
};

/** Types on whose sizes alone ringloop relies. */
export const types = [
  "void *",
  "struct sockaddr_in",
  "struct sockaddr_in6",
  "struct sockaddr_un",
  "struct __kernel_timespec",
  "struct open_how",
];
