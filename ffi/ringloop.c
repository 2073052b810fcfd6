/*
 * The only C in ringloop: what TypeScript cannot do through memory alone.
 *
 * A ring is set up and torn down by liburing; from then on TypeScript writes submission entries and reads completions
 * in the mapped rings, and this file is entered only to make a system call. Every function returns a value >= 0 or
 * -errno, so that no caller has to read errno. Nothing here keeps state.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/errqueue.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Changes whenever a signature or the meaning of an out parameter in this file does; src/sys/abi.ts holds its twin. */
#define RL_ABI_VERSION 1

#ifndef IORING_SETUP_DEFER_TASKRUN
#error "ringloop needs the headers of liburing 2.3 or newer (Debian 12, Ubuntu 24.04)"
#endif

static int result(long value) { return value < 0 ? -errno : (int)value; }

/* ---- layouts ------------------------------------------------------------------------------------------------ */

/* One entry per line of `layout` in src/sys/abi.ts, in the same order. */
static const uint32_t layout[] = {
    RL_ABI_VERSION,
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
    IORING_OP_READ,
    IORING_OP_ACCEPT,
    IORING_OP_ASYNC_CANCEL,
    IORING_OP_CLOSE,
    IORING_OP_POLL_ADD,
    IORING_OP_POLL_REMOVE,
    IORING_OP_RECV,
    IORING_OP_SENDMSG,
    IORING_OP_RECVMSG,
    IORING_OP_SEND,
    IORING_OP_SHUTDOWN,
    IORING_OP_TIMEOUT,
    IORING_OP_SEND_ZC,
    IORING_SETUP_SQPOLL,
    IORING_SETUP_CQSIZE,
    IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SINGLE_ISSUER,
    IORING_SETUP_DEFER_TASKRUN,
    IORING_FEAT_FAST_POLL,
    IORING_FEAT_NODROP,
    IORING_FEAT_EXT_ARG,
    IORING_SQ_NEED_WAKEUP,
    IORING_SQ_CQ_OVERFLOW,
    IORING_SQ_TASKRUN,
    IORING_CQ_EVENTFD_DISABLED,
    IORING_CQE_F_BUFFER,
    IORING_CQE_F_MORE,
    IORING_CQE_BUFFER_SHIFT,
    IORING_RECV_MULTISHOT,
    IORING_ACCEPT_MULTISHOT,
    IORING_ENTER_GETEVENTS,
    IORING_ENTER_SQ_WAKEUP,
    IORING_ENTER_SQ_WAIT,
    IORING_ENTER_EXT_ARG,
    IORING_ENTER_REGISTERED_RING,
    IORING_REGISTER_PBUF_RING,
    IORING_ASYNC_CANCEL_ALL,
    IORING_ASYNC_CANCEL_FD,
    IOSQE_BUFFER_SELECT,
    IOSQE_CQE_SKIP_SUCCESS,
};

/* Copies at most `capacity` entries of the layout table to `out`; returns how many there are. */
EXPORT int rl_layout(uint32_t *out, uint32_t capacity) {
  uint32_t count = sizeof(layout) / sizeof(layout[0]);
  for (uint32_t i = 0; i < count && i < capacity; i++)
    out[i] = layout[i];
  return (int)count;
}

/* ---- rings -------------------------------------------------------------------------------------------------- */

/*
 * Sets up a ring and maps it. in: entries, flags, CQ entries (with IORING_SETUP_CQSIZE), SQ thread idle in ms, its CPU
 * (with IORING_SETUP_SQ_AFF), the fd of a ring to share workers with (with IORING_SETUP_ATTACH_WQ).
 * out: see RingMap in src/ring/ring.ts.
 */
EXPORT int rl_ring_open(const uint32_t *in, double *out) {
  struct io_uring *ring = calloc(1, sizeof(*ring));
  if (ring == NULL)
    return -ENOMEM;
  struct io_uring_params params = {
      .flags = in[1],
      .cq_entries = in[2],
      .sq_thread_idle = in[3],
      .sq_thread_cpu = in[4],
      .wq_fd = in[5],
  };
  int failed = io_uring_queue_init_params(in[0], ring, &params);
  if (failed < 0) {
    free(ring);
    return failed;
  }
  const void *addresses[] = {ring,           ring->sq.khead, ring->sq.ktail, ring->sq.kflags,    ring->sq.kdropped,
                             ring->sq.sqes,  ring->cq.khead, ring->cq.ktail, ring->cq.koverflow, ring->cq.cqes,
                             ring->cq.kflags, ring->sq.array};
  int n = 0;
  for (; n < 12; n++)
    out[n] = (double)(uintptr_t)addresses[n];
  out[n++] = ring->ring_fd;
  out[n++] = params.sq_entries;
  out[n++] = params.cq_entries;
  out[n++] = params.features;
  out[n++] = params.flags;
  return 0;
}

/* Registers the ring's own fd with the calling thread; returns the index to enter with (IORING_ENTER_REGISTERED_RING). */
EXPORT int rl_ring_register_fd(struct io_uring *ring) {
  int registered = io_uring_register_ring_fd(ring);
  return registered == 1 ? ring->enter_ring_fd : (registered < 0 ? registered : -EINVAL);
}

EXPORT void rl_ring_close(struct io_uring *ring) {
  io_uring_queue_exit(ring);
  free(ring);
}

/* timeout_us < 0 waits without a limit. Returns the number of entries submitted, or -errno (-ETIME when time is up). */
EXPORT int rl_enter(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, int timeout_us) {
  if (timeout_us < 0 || !(flags & IORING_ENTER_GETEVENTS))
    return io_uring_enter2(fd, to_submit, min_complete, flags, NULL, 0);
  struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000, .tv_nsec = (timeout_us % 1000000) * 1000LL};
  struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&limit};
  return io_uring_enter2(fd, to_submit, min_complete, flags | IORING_ENTER_EXT_ARG, (void *)&arg, sizeof(arg));
}

EXPORT int rl_register(int fd, uint32_t opcode, void *arg, uint32_t count) {
  return io_uring_register(fd, opcode, arg, count);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* Maps `bytes` of zeroed, page-aligned, private memory. Returns its address, or -errno. */
EXPORT double rl_map(double bytes) {
  void *address = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return address == MAP_FAILED ? (double)-errno : (double)(uintptr_t)address;
}

EXPORT int rl_unmap(double address, double bytes) { return result(munmap((void *)(uintptr_t)address, (size_t)bytes)); }

/* Gives the pages back to the system; the mapping stays and reads as zeroes. */
EXPORT int rl_discard(double address, double bytes) {
  return result(madvise((void *)(uintptr_t)address, (size_t)bytes, MADV_DONTNEED));
}

/* ---- descriptors and sockets -------------------------------------------------------------------------------- */

EXPORT int rl_eventfd(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

/* Adds one to an eventfd. */
EXPORT int rl_eventfd_signal(int fd) {
  uint64_t one = 1;
  return result(write(fd, &one, sizeof(one)));
}

EXPORT int rl_socketpair(int *out) {
  return result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out));
}

/*
 * Blocking on purpose: io_uring waits for a socket that is not ready, but answers EAGAIN for one with O_NONBLOCK set.
 */
EXPORT int rl_socket(int domain, int type) { return result(socket(domain, type | SOCK_CLOEXEC, 0)); }

/* Clears O_NONBLOCK of a descriptor that was made elsewhere: see rl_socket. */
EXPORT int rl_set_blocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -errno : result(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

EXPORT int rl_getsockopt(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}

EXPORT int rl_setsockopt(int fd, int level, int name, int value) {
  return result(setsockopt(fd, level, name, &value, sizeof(value)));
}

EXPORT int rl_setsockopt_bytes(int fd, int level, int name, const void *value, uint32_t length) {
  return result(setsockopt(fd, level, name, value, length));
}

EXPORT int rl_bind(int fd, const void *address, uint32_t length) { return result(bind(fd, address, length)); }

EXPORT int rl_listen(int fd, int backlog) { return result(listen(fd, backlog)); }

/* peer = 0: getsockname, else getpeername. Returns the address's length. */
EXPORT int rl_sockname(int fd, int peer, void *out, uint32_t capacity) {
  socklen_t length = capacity;
  int failed = peer ? getpeername(fd, out, &length) : getsockname(fd, out, &length);
  return failed < 0 ? -errno : (int)length;
}

EXPORT int rl_shutdown(int fd, int how) { return result(shutdown(fd, how)); }

/*
 * The first address of a host name or numeric address, with its port, as a sockaddr in `out` (28 bytes). Returns its length, or
 * -ENOENT when the name is unknown.
 */
EXPORT int rl_resolve(const char *host, int port, void *out) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  if (getaddrinfo(host, NULL, &hints, &found) != 0)
    return -ENOENT;
  int length = (int)found->ai_addrlen;
  if (found->ai_family == AF_INET)
    ((struct sockaddr_in *)found->ai_addr)->sin_port = htons(port);
  else
    ((struct sockaddr_in6 *)found->ai_addr)->sin6_port = htons(port);
  memcpy(out, found->ai_addr, length);
  freeaddrinfo(found);
  return length;
}

/* The numeric text of a sockaddr_in or sockaddr_in6, NUL-terminated. Returns its length. */
EXPORT int rl_format_address(const struct sockaddr *address, uint32_t length, char *out, uint32_t capacity) {
  return getnameinfo(address, length, out, capacity, NULL, 0, NI_NUMERICHOST) == 0 ? (int)strlen(out) : -EINVAL;
}

/*
 * Empties a socket's error queue (IP_RECVERR), which would otherwise make it look ready for good. Returns the last error in it, as a
 * positive errno, or 0.
 */
EXPORT int rl_drain_errors(int fd) {
  int last = 0;
  for (;;) {
    char control[512];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
      return last;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
      if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
          (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
        last = (int)((struct sock_extended_err *)CMSG_DATA(c))->ee_errno;
    }
  }
}

EXPORT int rl_connect(int fd, const void *address, uint32_t length) { return result(connect(fd, address, length)); }

EXPORT int rl_close(int fd) { return result(close(fd)); }

/*
 * Opens a file below a directory for reading, whatever `path` says: "..", absolute links and mount points cannot leave it. A pipe that
 * nobody writes to does not block.
 */
EXPORT int rl_open_within(int directory, const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT};
  return result((int)syscall(SYS_openat2, directory, path, &how, sizeof(how)));
}

/* CPU time of the calling thread alone, in nanoseconds. */
EXPORT double rl_thread_cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}
