/*
 * Prints the 64 bytes of submission entries that liburing's own prep functions fill, one line each:
 * name, space, hexadecimal digits. sqe-bytes.test.ts compares them with ringloop's entries.
 *
 * If liburing 2.3 has no function for an entry, this program fills the kernel's struct io_uring_sqe
 * itself. The name of such an entry starts with "kernel:".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

/* Addresses, offsets and user data that use all their bytes. The test has the same values. */
#define A ((void *)0x123456789abcULL)
#define B ((void *)0x0fedcba98765ULL)
#define C ((void *)0x7ffff0001238ULL)
#define OFFSET 0x1234567890abULL
#define DATA 0xfedcba9876543210ULL
#define DATA2 0x0123456789abcdefULL
#define BYTES 0x89abcdefU
#define FLAGS 0x70u

/* Constants that the header of liburing 2.3 does not have. */
enum {
  OP_READ_MULTISHOT = 49,
  OP_WAITID,
  OP_FUTEX_WAIT,
  OP_FUTEX_WAKE,
  OP_FUTEX_WAITV,
  OP_FIXED_FD_INSTALL,
  OP_FTRUNCATE,
  OP_BIND,
  OP_LISTEN,
  OP_EPOLL_WAIT = 59,
  OP_READV_FIXED,
  OP_WRITEV_FIXED,
  OP_PIPE,
};

static struct io_uring_sqe sqe;

static void print(const char *name) {
  printf("%s ", name);
  for (size_t i = 0; i < sizeof(sqe); i++)
    printf("%02x", ((unsigned char *)&sqe)[i]);
  putchar('\n');
}

#define ENTRY(name, statement)                                                                                                             \
  do {                                                                                                                                     \
    memset(&sqe, 0, sizeof(sqe));                                                                                                          \
    statement;                                                                                                                             \
    print(name);                                                                                                                           \
  } while (0)

static void kernel(int opcode, int fd, const void *address, unsigned length, uint64_t offset, unsigned flags) {
  sqe.opcode = opcode;
  sqe.fd = fd;
  sqe.addr = (uintptr_t)address;
  sqe.len = length;
  sqe.off = offset;
  sqe.rw_flags = flags;
}

int main(void) {
  struct io_uring_sqe *s = &sqe;

  ENTRY("nop", io_uring_prep_nop(s));
  ENTRY("nop with flags and data", (io_uring_prep_nop(s), io_uring_sqe_set_flags(s, IOSQE_IO_LINK | IOSQE_ASYNC | IOSQE_CQE_SKIP_SUCCESS),
                                    io_uring_sqe_set_data64(s, DATA)));
  ENTRY("nop with a pointer", (io_uring_prep_nop(s), io_uring_sqe_set_data(s, A)));
  ENTRY("nop with a personality", (io_uring_prep_nop(s), s->personality = 0xfedc, s->flags = IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN));

  ENTRY("read", io_uring_prep_read(s, 7, A, BYTES, OFFSET));
  ENTRY("read at the position", io_uring_prep_read(s, 7, A, BYTES, -1));
  ENTRY("read of a fixed file", (io_uring_prep_read(s, 7, A, BYTES, 0), s->flags |= IOSQE_FIXED_FILE));
  ENTRY("read from a group", (io_uring_prep_read(s, 7, NULL, BYTES, 0), s->buf_group = 0xabcd, s->flags |= IOSQE_BUFFER_SELECT));
  ENTRY("write", io_uring_prep_write(s, 7, A, BYTES, OFFSET));
  ENTRY("readv", io_uring_prep_readv2(s, 7, A, 3, OFFSET, FLAGS));
  ENTRY("writev", io_uring_prep_writev2(s, 7, A, 3, OFFSET, FLAGS));
  ENTRY("readFixed", io_uring_prep_read_fixed(s, 7, A, BYTES, OFFSET, 0xabcd));
  ENTRY("writeFixed", io_uring_prep_write_fixed(s, 7, A, BYTES, OFFSET, 0xabcd));
  ENTRY("kernel:readvFixed", (kernel(OP_READV_FIXED, 7, A, 3, OFFSET, FLAGS), s->buf_index = 0xabcd));
  ENTRY("kernel:writevFixed", (kernel(OP_WRITEV_FIXED, 7, A, 3, OFFSET, FLAGS), s->buf_index = 0xabcd));
  ENTRY("kernel:readMultishot", (kernel(OP_READ_MULTISHOT, 7, NULL, BYTES, OFFSET, 0), s->buf_group = 9, s->flags = IOSQE_BUFFER_SELECT));
  ENTRY("fsync", io_uring_prep_fsync(s, 7, 0));
  ENTRY("fdatasync", io_uring_prep_fsync(s, 7, IORING_FSYNC_DATASYNC));
  ENTRY("syncFileRange", io_uring_prep_sync_file_range(s, 7, BYTES, OFFSET, 5));
  ENTRY("fallocate", io_uring_prep_fallocate(s, 7, 3, OFFSET, 0x0edcba987654LL));
  ENTRY("kernel:ftruncate", kernel(OP_FTRUNCATE, 7, NULL, 0, OFFSET, 0));
  ENTRY("fadvise", io_uring_prep_fadvise(s, 7, OFFSET, BYTES, 4));
  ENTRY("madvise", io_uring_prep_madvise(s, A, BYTES, 4));
  ENTRY("kernel:fadvise64", (kernel(IORING_OP_FADVISE, 7, (void *)0x0edcba987654ULL, 0, OFFSET, 4)));
  ENTRY("kernel:madvise64", (kernel(IORING_OP_MADVISE, -1, A, 0, 0x0edcba987654ULL, 4)));
  ENTRY("kernel:uringCmd", kernel(IORING_OP_URING_CMD, 7, NULL, 0, BYTES, 0));
  /* _IO(0x12, 0) at cmd_op, in the place of the offset. The offset is at addr, bytes at addr3. */
  ENTRY("kernel:cmdDiscard", (kernel(IORING_OP_URING_CMD, 7, (void *)OFFSET, 0, 0x1200, 0), s->addr3 = 0x0edcba987654ULL));
  ENTRY("splice", io_uring_prep_splice(s, 8, OFFSET, 9, 0x0edcba987654LL, BYTES, SPLICE_F_FD_IN_FIXED | 1));
  ENTRY("splice between pipes", io_uring_prep_splice(s, 8, -1, 9, -1, BYTES, 0));
  ENTRY("tee", io_uring_prep_tee(s, 8, 9, BYTES, 2));
  ENTRY("close", io_uring_prep_close(s, 7));
  ENTRY("closeDirect", io_uring_prep_close_direct(s, 6));
  ENTRY("kernel:fixedFdInstall", (kernel(OP_FIXED_FD_INSTALL, 6, NULL, 0, 0, 1), s->flags = IOSQE_FIXED_FILE));

  ENTRY("openat", io_uring_prep_openat(s, AT_FDCWD, A, O_RDWR | O_CREAT | O_EXCL, 0640));
  ENTRY("openatDirect", io_uring_prep_openat_direct(s, AT_FDCWD, A, O_RDWR, 0640, 5));
  ENTRY("kernel:openatDirect into a free slot", (io_uring_prep_openat(s, AT_FDCWD, A, O_RDWR, 0640), s->file_index = IORING_FILE_INDEX_ALLOC));
  ENTRY("kernel:open", io_uring_prep_openat(s, AT_FDCWD, A, O_RDWR | O_CREAT, 0640));
  ENTRY("kernel:openDirect", io_uring_prep_openat_direct(s, AT_FDCWD, A, O_RDWR, 0640, 5));
  ENTRY("openat2", io_uring_prep_openat2(s, 7, A, B));
  ENTRY("openat2Direct", io_uring_prep_openat2_direct(s, 7, A, B, 5));
  ENTRY("statx", io_uring_prep_statx(s, AT_FDCWD, A, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, B));
  ENTRY("renameat", io_uring_prep_renameat(s, 7, A, 8, B, 2));
  ENTRY("rename", io_uring_prep_rename(s, A, B));
  ENTRY("unlinkat", io_uring_prep_unlinkat(s, 7, A, AT_REMOVEDIR));
  ENTRY("unlink", io_uring_prep_unlink(s, A, 0));
  ENTRY("mkdirat", io_uring_prep_mkdirat(s, 7, A, 0750));
  ENTRY("mkdir", io_uring_prep_mkdir(s, A, 0750));
  ENTRY("symlinkat", io_uring_prep_symlinkat(s, A, 7, B));
  ENTRY("symlink", io_uring_prep_symlink(s, A, B));
  ENTRY("linkat", io_uring_prep_linkat(s, 7, A, 8, B, AT_SYMLINK_FOLLOW));
  ENTRY("link", io_uring_prep_link(s, A, B, 0));
  ENTRY("getxattr", io_uring_prep_getxattr(s, A, B, C, BYTES));
  ENTRY("setxattr", io_uring_prep_setxattr(s, A, B, C, 1, BYTES));
  ENTRY("fgetxattr", io_uring_prep_fgetxattr(s, 7, A, B, BYTES));
  ENTRY("fsetxattr", io_uring_prep_fsetxattr(s, 7, A, B, 2, BYTES));

  ENTRY("socket", io_uring_prep_socket(s, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 6, 0));
  ENTRY("socketDirect", io_uring_prep_socket_direct(s, AF_INET6, SOCK_STREAM, 6, 5, 0));
  ENTRY("socketDirectAlloc", io_uring_prep_socket_direct_alloc(s, AF_INET6, SOCK_STREAM, 6, 0));
  ENTRY("kernel:bind", kernel(OP_BIND, 7, A, 0, 28, 0));
  ENTRY("kernel:listen", kernel(OP_LISTEN, 7, NULL, 128, 0, 0));
  ENTRY("accept", io_uring_prep_accept(s, 7, A, B, SOCK_CLOEXEC));
  ENTRY("accept without an address", io_uring_prep_accept(s, 7, NULL, NULL, 0));
  ENTRY("acceptDirect", io_uring_prep_accept_direct(s, 7, A, B, 0, 5));
  ENTRY("multishotAccept", io_uring_prep_multishot_accept(s, 7, NULL, NULL, SOCK_CLOEXEC));
  ENTRY("multishotAcceptDirect", io_uring_prep_multishot_accept_direct(s, 7, NULL, NULL, 0));
  ENTRY("connect", io_uring_prep_connect(s, 7, A, 28));
  ENTRY("recv", io_uring_prep_recv(s, 7, A, BYTES, MSG_WAITALL));
  ENTRY("recvMultishot",
        (io_uring_prep_recv_multishot(s, 7, NULL, 0, MSG_DONTWAIT), s->buf_group = 3, s->flags |= IOSQE_BUFFER_SELECT));
  ENTRY("kernel:recvBundle", (io_uring_prep_recv(s, 7, NULL, BYTES, MSG_DONTWAIT), s->ioprio = 1 << 4, s->buf_group = 0xabcd,
                              s->flags = IOSQE_BUFFER_SELECT));
  ENTRY("kernel:recvMultishotBundle", (io_uring_prep_recv(s, 7, NULL, 0, MSG_DONTWAIT), s->ioprio = 1 << 4 | IORING_RECV_MULTISHOT,
                                       s->buf_group = 0xabcd, s->flags = IOSQE_BUFFER_SELECT));
  ENTRY("kernel:sendBundle", (io_uring_prep_send(s, 7, NULL, BYTES, MSG_NOSIGNAL), s->ioprio = 1 << 4, s->buf_group = 0xabcd,
                              s->flags = IOSQE_BUFFER_SELECT));
  ENTRY("kernel:sendmsgZcFixed", (io_uring_prep_sendmsg_zc(s, 7, A, MSG_NOSIGNAL), s->ioprio = IORING_RECVSEND_FIXED_BUF, s->buf_index = 0xabcd));
  ENTRY("sendmsg", io_uring_prep_sendmsg(s, 7, A, MSG_NOSIGNAL));
  ENTRY("sendmsgZc", io_uring_prep_sendmsg_zc(s, 7, A, MSG_NOSIGNAL));
  ENTRY("recvmsg", io_uring_prep_recvmsg(s, 7, A, MSG_TRUNC));
  ENTRY("recvmsgMultishot", (io_uring_prep_recvmsg_multishot(s, 7, A, 0), s->buf_group = 3, s->flags |= IOSQE_BUFFER_SELECT));
  ENTRY("send", io_uring_prep_send(s, 7, A, BYTES, MSG_NOSIGNAL));
  ENTRY("sendto", (io_uring_prep_send(s, 7, A, BYTES, 0), io_uring_prep_send_set_addr(s, B, 28)));
  ENTRY("sendZc", io_uring_prep_send_zc(s, 7, A, BYTES, MSG_WAITALL, IORING_RECVSEND_POLL_FIRST));
  ENTRY("sendZc to an address", (io_uring_prep_send_zc(s, 7, A, BYTES, 0, 0), io_uring_prep_send_set_addr(s, B, 16)));
  ENTRY("sendZcFixed", io_uring_prep_send_zc_fixed(s, 7, A, BYTES, MSG_WAITALL, IORING_RECVSEND_POLL_FIRST, 0xabcd));
  ENTRY("shutdown", io_uring_prep_shutdown(s, 7, 2));
  /* struct { __u32 cmd_op, __pad1; } at off, struct { __u32 level, optname; } at addr, optlen at
   * splice_fd_in, optval at addr3. */
  ENTRY("kernel:cmdSock", (kernel(IORING_OP_URING_CMD, 7, (void *)(1ULL | 9ULL << 32), 0, 3, 0), s->file_index = 4, s->addr3 = (uintptr_t)A));

  ENTRY("every word by itself",
        (kernel(0x5a, 7, A, BYTES, OFFSET, FLAGS), s->flags = 0x70, s->ioprio = 0x1234, s->user_data = DATA, s->buf_index = 0xabcd, s->personality = 0xfedc,
         s->file_index = 0x89abcdef, s->addr3 = (uintptr_t)B, s->__pad2[0] = (uintptr_t)C));

  ENTRY("pollAdd", io_uring_prep_poll_add(s, 7, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE));
  ENTRY("pollMultishot", io_uring_prep_poll_multishot(s, 7, EPOLLOUT));
  ENTRY("pollUpdate", io_uring_prep_poll_update(s, DATA, DATA2, EPOLLOUT, IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA));
  ENTRY("pollRemove", io_uring_prep_poll_remove(s, DATA));
  ENTRY("timeout", io_uring_prep_timeout(s, A, 5, IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME));
  ENTRY("kernel:timeoutMultishot", kernel(IORING_OP_TIMEOUT, -1, A, 1, 5, 1 << 6));
  ENTRY("timeoutUpdate", io_uring_prep_timeout_update(s, A, DATA, IORING_LINK_TIMEOUT_UPDATE));
  ENTRY("timeoutRemove", io_uring_prep_timeout_remove(s, DATA, 0));
  ENTRY("linkTimeout", io_uring_prep_link_timeout(s, A, IORING_TIMEOUT_BOOTTIME));
  ENTRY("cancel", io_uring_prep_cancel(s, A, IORING_ASYNC_CANCEL_ALL));
  ENTRY("cancel64", io_uring_prep_cancel64(s, DATA, IORING_ASYNC_CANCEL_ALL));
  ENTRY("cancelFd", io_uring_prep_cancel_fd(s, 7, IORING_ASYNC_CANCEL_ALL));
  ENTRY("cancelAny", io_uring_prep_cancel64(s, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL));
  ENTRY("epollCtl", io_uring_prep_epoll_ctl(s, 7, 8, EPOLL_CTL_MOD, A));
  ENTRY("kernel:epollWait", kernel(OP_EPOLL_WAIT, 7, A, 12, 0, 0));
  ENTRY("msgRing", io_uring_prep_msg_ring(s, 7, BYTES, DATA, 0));
  ENTRY("kernel:msgRingCqeFlags", (kernel(IORING_OP_MSG_RING, 7, NULL, BYTES, DATA, 2), s->file_index = 0x12340001));
  ENTRY("kernel:msgRingFd",
        (kernel(IORING_OP_MSG_RING, 7, (void *)(uintptr_t)IORING_MSG_SEND_FD, 0, DATA, IORING_MSG_RING_CQE_SKIP), s->addr3 = 4, s->file_index = 6));
  ENTRY("kernel:msgRingFdAlloc", (kernel(IORING_OP_MSG_RING, 7, (void *)(uintptr_t)IORING_MSG_SEND_FD, 0, DATA, 0), s->addr3 = 4,
                                  s->file_index = IORING_FILE_INDEX_ALLOC));
  ENTRY("kernel:futexWait", (kernel(OP_FUTEX_WAIT, 0x82, A, 0, BYTES, 0), s->addr3 = 0xffffffff));
  ENTRY("kernel:futexWake", (kernel(OP_FUTEX_WAKE, 0x82, A, 0, 3, 0), s->addr3 = 0xffffffff));
  ENTRY("kernel:futexWaitv", kernel(OP_FUTEX_WAITV, 0, A, 2, 0, 0));
  ENTRY("kernel:waitid", (kernel(OP_WAITID, 4321, NULL, 1, (uintptr_t)A, 0), s->file_index = 0x01000004));
  ENTRY("kernel:pipe", kernel(OP_PIPE, 0, A, 0, 0, O_CLOEXEC));
  ENTRY("kernel:pipeDirect", (kernel(OP_PIPE, 0, A, 0, 0, 0), s->file_index = 5));
  ENTRY("filesUpdate", io_uring_prep_files_update(s, A, 3, 4));
  ENTRY("provideBuffers", io_uring_prep_provide_buffers(s, A, 4096, 8, 0xabcd, 5));
  ENTRY("removeBuffers", io_uring_prep_remove_buffers(s, 8, 0xabcd));
  return 0;
}
