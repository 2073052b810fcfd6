/*
 * What src/sys/layout.ts compares with TypeScript's constants: sizes and offsets of the kernel's structures, then every constant of
 * src/sys/abi.ts whose name starts with IORING_, IOSQE_, IOU_ or IO_URING_, in alphabetical order.
 */
#ifndef RINGLOOP_LAYOUT_H
#define RINGLOOP_LAYOUT_H

#include <liburing.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <netinet/in.h>
/* musl's header has struct statx since 1.2.4. */
#ifndef STATX_BASIC_STATS
#include <linux/stat.h>
#endif

/* Newer than liburing 2.3's header: the kernel's values, where the header has none. */
#ifndef IORING_NOP_INJECT_RESULT
#define IORING_NOP_INJECT_RESULT (1U << 0)
#endif
#ifndef IORING_OP_READ_MULTISHOT
#define IORING_OP_READ_MULTISHOT 49
#endif
#ifndef IORING_OP_WAITID
#define IORING_OP_WAITID 50
#endif
#ifndef IORING_OP_FUTEX_WAIT
#define IORING_OP_FUTEX_WAIT 51
#endif
#ifndef IORING_OP_FUTEX_WAKE
#define IORING_OP_FUTEX_WAKE 52
#endif
#ifndef IORING_OP_FUTEX_WAITV
#define IORING_OP_FUTEX_WAITV 53
#endif
#ifndef IORING_OP_FIXED_FD_INSTALL
#define IORING_OP_FIXED_FD_INSTALL 54
#endif
#ifndef IORING_OP_FTRUNCATE
#define IORING_OP_FTRUNCATE 55
#endif
#ifndef IORING_OP_BIND
#define IORING_OP_BIND 56
#endif
#ifndef IORING_OP_LISTEN
#define IORING_OP_LISTEN 57
#endif
#ifndef IORING_OP_RECV_ZC
#define IORING_OP_RECV_ZC 58
#endif
#ifndef IORING_OP_EPOLL_WAIT
#define IORING_OP_EPOLL_WAIT 59
#endif
#ifndef IORING_OP_READV_FIXED
#define IORING_OP_READV_FIXED 60
#endif
#ifndef IORING_OP_WRITEV_FIXED
#define IORING_OP_WRITEV_FIXED 61
#endif
#ifndef IORING_OP_PIPE
#define IORING_OP_PIPE 62
#endif
#ifndef IORING_SETUP_NO_MMAP
#define IORING_SETUP_NO_MMAP (1U << 14)
#endif
#ifndef IORING_SETUP_REGISTERED_FD_ONLY
#define IORING_SETUP_REGISTERED_FD_ONLY (1U << 15)
#endif
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef IORING_SETUP_HYBRID_IOPOLL
#define IORING_SETUP_HYBRID_IOPOLL (1U << 17)
#endif
#ifndef IORING_SETUP_CQE_MIXED
#define IORING_SETUP_CQE_MIXED (1U << 18)
#endif
#ifndef IORING_SETUP_SQE_MIXED
#define IORING_SETUP_SQE_MIXED (1U << 19)
#endif
#ifndef IORING_FEAT_REG_REG_RING
#define IORING_FEAT_REG_REG_RING (1U << 13)
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)
#endif
#ifndef IORING_FEAT_RW_ATTR
#define IORING_FEAT_RW_ATTR (1U << 16)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif
#ifndef IORING_CQE_F_BUF_MORE
#define IORING_CQE_F_BUF_MORE (1U << 4)
#endif
#ifndef IORING_TIMEOUT_MULTISHOT
#define IORING_TIMEOUT_MULTISHOT (1U << 6)
#endif
#ifndef IORING_ASYNC_CANCEL_USERDATA
#define IORING_ASYNC_CANCEL_USERDATA (1U << 4)
#endif
#ifndef IORING_ASYNC_CANCEL_OP
#define IORING_ASYNC_CANCEL_OP (1U << 5)
#endif
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)
#endif
#ifndef IORING_ACCEPT_DONTWAIT
#define IORING_ACCEPT_DONTWAIT (1U << 1)
#endif
#ifndef IORING_ACCEPT_POLL_FIRST
#define IORING_ACCEPT_POLL_FIRST (1U << 2)
#endif
#ifndef IORING_MSG_RING_FLAGS_PASS
#define IORING_MSG_RING_FLAGS_PASS (1U << 1)
#endif
#ifndef IORING_FIXED_FD_NO_CLOEXEC
#define IORING_FIXED_FD_NO_CLOEXEC (1U << 0)
#endif
#ifndef IORING_REGISTER_PBUF_STATUS
#define IORING_REGISTER_PBUF_STATUS 26
#endif
#ifndef IORING_REGISTER_RESIZE_RINGS
#define IORING_REGISTER_RESIZE_RINGS 33
#endif
#ifndef IORING_REGISTER_USE_REGISTERED_RING
#define IORING_REGISTER_USE_REGISTERED_RING 0x80000000U
#endif
#ifndef IOU_PBUF_RING_INC
#define IOU_PBUF_RING_INC (1U << 1)
#endif

static const uint32_t layout[] = {
    RL_ABI_VERSION,
    RL_OWNED_RINGS,
    RL_OWNED_DESCRIPTORS,
    RL_DESCRIPTOR_KIND,
    sizeof(void *),
    sizeof(struct io_uring_sqe),
    offsetof(struct io_uring_sqe, opcode),
    offsetof(struct io_uring_sqe, flags),
    offsetof(struct io_uring_sqe, ioprio),
    offsetof(struct io_uring_sqe, fd),
    offsetof(struct io_uring_sqe, off),
    offsetof(struct io_uring_sqe, addr),
    offsetof(struct io_uring_sqe, len),
    offsetof(struct io_uring_sqe, msg_flags),
    offsetof(struct io_uring_sqe, user_data),
    offsetof(struct io_uring_sqe, buf_group),
    offsetof(struct io_uring_sqe, splice_fd_in),
    sizeof(struct io_uring_cqe),
    offsetof(struct io_uring_cqe, user_data),
    offsetof(struct io_uring_cqe, res),
    offsetof(struct io_uring_cqe, flags),
    sizeof(struct io_uring_buf),
    offsetof(struct io_uring_buf, addr),
    offsetof(struct io_uring_buf, len),
    offsetof(struct io_uring_buf, bid),
    offsetof(struct io_uring_buf_ring, tail),
    sizeof(struct sockaddr_in),
    sizeof(struct sockaddr_in6),
    sizeof(struct sockaddr_un),
    sizeof(struct msghdr),
    offsetof(struct msghdr, msg_namelen),
    offsetof(struct msghdr, msg_iov),
    offsetof(struct msghdr, msg_iovlen),
    offsetof(struct msghdr, msg_flags),
    sizeof(struct io_uring_recvmsg_out),
    offsetof(struct io_uring_recvmsg_out, namelen),
    offsetof(struct io_uring_recvmsg_out, payloadlen),
    offsetof(struct io_uring_recvmsg_out, flags),
    sizeof(struct iovec),
    sizeof(struct __kernel_timespec),
    sizeof(struct open_how),
    sizeof(struct statx),
    offsetof(struct statx, stx_blksize),
    offsetof(struct statx, stx_nlink),
    offsetof(struct statx, stx_ino),
    offsetof(struct statx, stx_size),
    offsetof(struct statx, stx_atime),
    offsetof(struct statx, stx_rdev_major),
    offsetof(struct statx, stx_dev_major),
    sizeof(siginfo_t),
    offsetof(siginfo_t, si_code),
    offsetof(siginfo_t, si_pid),
    offsetof(siginfo_t, si_status),
    sizeof(struct epoll_event),
    offsetof(struct epoll_event, data),
    IORING_ACCEPT_DONTWAIT,
    IORING_ACCEPT_MULTISHOT,
    IORING_ACCEPT_POLL_FIRST,
    IORING_ASYNC_CANCEL_ALL,
    IORING_ASYNC_CANCEL_ANY,
    IORING_ASYNC_CANCEL_FD,
    IORING_ASYNC_CANCEL_FD_FIXED,
    IORING_ASYNC_CANCEL_OP,
    IORING_ASYNC_CANCEL_USERDATA,
    IORING_CQE_BUFFER_SHIFT,
    IORING_CQE_F_BUFFER,
    IORING_CQE_F_BUF_MORE,
    IORING_CQE_F_MORE,
    IORING_CQE_F_NOTIF,
    IORING_CQE_F_SOCK_NONEMPTY,
    IORING_CQ_EVENTFD_DISABLED,
    IORING_ENTER_EXT_ARG,
    IORING_ENTER_GETEVENTS,
    IORING_ENTER_REGISTERED_RING,
    IORING_ENTER_SQ_WAIT,
    IORING_ENTER_SQ_WAKEUP,
    IORING_FEAT_CQE_SKIP,
    IORING_FEAT_CUR_PERSONALITY,
    IORING_FEAT_EXT_ARG,
    IORING_FEAT_FAST_POLL,
    IORING_FEAT_LINKED_FILE,
    IORING_FEAT_MIN_TIMEOUT,
    IORING_FEAT_NATIVE_WORKERS,
    IORING_FEAT_NODROP,
    IORING_FEAT_NO_IOWAIT,
    IORING_FEAT_POLL_32BITS,
    IORING_FEAT_RECVSEND_BUNDLE,
    IORING_FEAT_REG_REG_RING,
    IORING_FEAT_RSRC_TAGS,
    IORING_FEAT_RW_ATTR,
    IORING_FEAT_RW_CUR_POS,
    IORING_FEAT_SINGLE_MMAP,
    IORING_FEAT_SQPOLL_NONFIXED,
    IORING_FEAT_SUBMIT_STABLE,
    IORING_FILE_INDEX_ALLOC,
    IORING_FIXED_FD_NO_CLOEXEC,
    IORING_FSYNC_DATASYNC,
    IORING_LINK_TIMEOUT_UPDATE,
    IORING_MSG_DATA,
    IORING_MSG_RING_CQE_SKIP,
    IORING_MSG_RING_FLAGS_PASS,
    IORING_MSG_SEND_FD,
    IORING_NOP_INJECT_RESULT,
    IORING_OP_ACCEPT,
    IORING_OP_ASYNC_CANCEL,
    IORING_OP_BIND,
    IORING_OP_CLOSE,
    IORING_OP_CONNECT,
    IORING_OP_EPOLL_CTL,
    IORING_OP_EPOLL_WAIT,
    IORING_OP_FADVISE,
    IORING_OP_FALLOCATE,
    IORING_OP_FGETXATTR,
    IORING_OP_FILES_UPDATE,
    IORING_OP_FIXED_FD_INSTALL,
    IORING_OP_FSETXATTR,
    IORING_OP_FSYNC,
    IORING_OP_FTRUNCATE,
    IORING_OP_FUTEX_WAIT,
    IORING_OP_FUTEX_WAITV,
    IORING_OP_FUTEX_WAKE,
    IORING_OP_GETXATTR,
    IORING_OP_LINKAT,
    IORING_OP_LINK_TIMEOUT,
    IORING_OP_LISTEN,
    IORING_OP_MADVISE,
    IORING_OP_MKDIRAT,
    IORING_OP_MSG_RING,
    IORING_OP_NOP,
    IORING_OP_OPENAT,
    IORING_OP_OPENAT2,
    IORING_OP_PIPE,
    IORING_OP_POLL_ADD,
    IORING_OP_POLL_REMOVE,
    IORING_OP_PROVIDE_BUFFERS,
    IORING_OP_READ,
    IORING_OP_READV,
    IORING_OP_READV_FIXED,
    IORING_OP_READ_FIXED,
    IORING_OP_READ_MULTISHOT,
    IORING_OP_RECV,
    IORING_OP_RECVMSG,
    IORING_OP_RECV_ZC,
    IORING_OP_REMOVE_BUFFERS,
    IORING_OP_RENAMEAT,
    IORING_OP_SEND,
    IORING_OP_SENDMSG,
    IORING_OP_SENDMSG_ZC,
    IORING_OP_SEND_ZC,
    IORING_OP_SETXATTR,
    IORING_OP_SHUTDOWN,
    IORING_OP_SOCKET,
    IORING_OP_SPLICE,
    IORING_OP_STATX,
    IORING_OP_SYMLINKAT,
    IORING_OP_SYNC_FILE_RANGE,
    IORING_OP_TEE,
    IORING_OP_TIMEOUT,
    IORING_OP_TIMEOUT_REMOVE,
    IORING_OP_UNLINKAT,
    IORING_OP_URING_CMD,
    IORING_OP_WAITID,
    IORING_OP_WRITE,
    IORING_OP_WRITEV,
    IORING_OP_WRITEV_FIXED,
    IORING_OP_WRITE_FIXED,
    IORING_POLL_ADD_LEVEL,
    IORING_POLL_ADD_MULTI,
    IORING_POLL_UPDATE_EVENTS,
    IORING_POLL_UPDATE_USER_DATA,
    IORING_RECVSEND_BUNDLE,
    IORING_RECVSEND_FIXED_BUF,
    IORING_RECVSEND_POLL_FIRST,
    IORING_RECV_MULTISHOT,
    IORING_REGISTER_BUFFERS,
    IORING_REGISTER_BUFFERS2,
    IORING_REGISTER_BUFFERS_UPDATE,
    IORING_REGISTER_ENABLE_RINGS,
    IORING_REGISTER_EVENTFD,
    IORING_REGISTER_EVENTFD_ASYNC,
    IORING_REGISTER_FILES,
    IORING_REGISTER_FILES2,
    (uint32_t)IORING_REGISTER_FILES_SKIP,
    IORING_REGISTER_FILES_UPDATE,
    IORING_REGISTER_FILES_UPDATE2,
    IORING_REGISTER_FILE_ALLOC_RANGE,
    IORING_REGISTER_IOWQ_AFF,
    IORING_REGISTER_IOWQ_MAX_WORKERS,
    IORING_REGISTER_PBUF_RING,
    IORING_REGISTER_PBUF_STATUS,
    IORING_REGISTER_PERSONALITY,
    IORING_REGISTER_PROBE,
    IORING_REGISTER_RESIZE_RINGS,
    IORING_REGISTER_RESTRICTIONS,
    IORING_REGISTER_RING_FDS,
    IORING_REGISTER_SYNC_CANCEL,
    IORING_REGISTER_USE_REGISTERED_RING,
    IORING_RESTRICTION_REGISTER_OP,
    IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
    IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
    IORING_RESTRICTION_SQE_OP,
    IORING_RSRC_REGISTER_SPARSE,
    IORING_SEND_ZC_REPORT_USAGE,
    IORING_SETUP_ATTACH_WQ,
    IORING_SETUP_CLAMP,
    IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_CQE32,
    IORING_SETUP_CQE_MIXED,
    IORING_SETUP_CQSIZE,
    IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_HYBRID_IOPOLL,
    IORING_SETUP_IOPOLL,
    IORING_SETUP_NO_MMAP,
    IORING_SETUP_NO_SQARRAY,
    IORING_SETUP_REGISTERED_FD_ONLY,
    IORING_SETUP_R_DISABLED,
    IORING_SETUP_SINGLE_ISSUER,
    IORING_SETUP_SQE128,
    IORING_SETUP_SQE_MIXED,
    IORING_SETUP_SQPOLL,
    IORING_SETUP_SQ_AFF,
    IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_TASKRUN_FLAG,
    IORING_SQ_CQ_OVERFLOW,
    IORING_SQ_NEED_WAKEUP,
    IORING_SQ_TASKRUN,
    IORING_TIMEOUT_ABS,
    IORING_TIMEOUT_BOOTTIME,
    IORING_TIMEOUT_ETIME_SUCCESS,
    IORING_TIMEOUT_MULTISHOT,
    IORING_TIMEOUT_REALTIME,
    IORING_TIMEOUT_UPDATE,
    IORING_UNREGISTER_BUFFERS,
    IORING_UNREGISTER_EVENTFD,
    IORING_UNREGISTER_FILES,
    IORING_UNREGISTER_IOWQ_AFF,
    IORING_UNREGISTER_PBUF_RING,
    IORING_UNREGISTER_PERSONALITY,
    IORING_UNREGISTER_RING_FDS,
    IOSQE_ASYNC,
    IOSQE_BUFFER_SELECT,
    IOSQE_CQE_SKIP_SUCCESS,
    IOSQE_FIXED_FILE,
    IOSQE_IO_DRAIN,
    IOSQE_IO_HARDLINK,
    IOSQE_IO_LINK,
    IOU_PBUF_RING_INC,
    IO_URING_OP_SUPPORTED,
};

#endif
