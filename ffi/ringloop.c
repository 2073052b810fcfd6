/*
 * The only C in ringloop: functions that TypeScript cannot do through memory alone.
 *
 * liburing sets up and closes a ring. Between the two, TypeScript writes submission entries and
 * reads completions in the mapped rings, and calls this file only to make a system call.
 *
 * Every function returns a value >= 0 or -errno, so no caller reads errno. This file keeps no
 * state, except what a thread leaves open.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/errqueue.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/*
 * glibc 2.34 gave the functions of threads a new version when it moved them into libc.so.6. The
 * functions are the same. A library that asks for the old version loads in every glibc from 2.17
 * on.
 */
#if defined(__GLIBC__) && defined(__x86_64__)
#define THREADS_VERSION "GLIBC_2.2.5"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define THREADS_VERSION "GLIBC_2.17"
#endif
#ifdef THREADS_VERSION
__asm__(".symver pthread_once, pthread_once@" THREADS_VERSION);
__asm__(".symver pthread_key_create, pthread_key_create@" THREADS_VERSION);
__asm__(".symver pthread_getspecific, pthread_getspecific@" THREADS_VERSION);
__asm__(".symver pthread_setspecific, pthread_setspecific@" THREADS_VERSION);
#endif

/* musl has RWF_NOWAIT, and preadv2, only since 1.2.5. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

#ifndef IORING_SETUP_DEFER_TASKRUN
#error "ringloop needs the headers of liburing 2.3 or newer (Debian 12, Ubuntu 24.04)"
#endif

#include "layout.h"

static int result(long value) { return value < 0 ? -errno : (int)value; }

/* ---- layouts ---- */

/*
 * Copies at most `capacity` entries of the layout table to `out`. Returns the number of entries in
 * the table.
 */
EXPORT int rl_layout(uint32_t *out, uint32_t capacity) {
  uint32_t count = sizeof(layout) / sizeof(layout[0]);
  for (uint32_t i = 0; i < count && i < capacity; i++)
    out[i] = layout[i];
  return (int)count;
}

/* ---- rings ---- */

/*
 * Reports the addresses of a ring's parts, and its parameters: see RingMap in src/ring/ring-map.ts.
 */
static void report_ring(struct io_uring *ring, const struct io_uring_params *params, const uint64_t memory[2], int fd, double *out) {
  int mapped = ring->sq.ring_ptr != NULL;
  uintptr_t sq = mapped ? (uintptr_t)ring->sq.ring_ptr : memory[0];
  uintptr_t cq = mapped ? (uintptr_t)ring->cq.ring_ptr : memory[0];
  const uintptr_t addresses[] = {
      (uintptr_t)ring,
      sq + params->sq_off.head,
      sq + params->sq_off.tail,
      sq + params->sq_off.flags,
      sq + params->sq_off.dropped,
      mapped ? (uintptr_t)ring->sq.sqes : memory[1],
      cq + params->cq_off.head,
      cq + params->cq_off.tail,
      cq + params->cq_off.overflow,
      cq + params->cq_off.cqes,
      cq + params->cq_off.flags,
      sq + params->sq_off.array,
      fd,
      params->sq_entries,
      params->cq_entries,
      params->features,
      params->flags,
  };
  for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
    out[i] = (double)addresses[i];
}

/*
 * Sets up a ring and maps it. in: see RingInput, out: see RingMap, both in src/ring/ring-map.ts.
 * With IORING_SETUP_NO_MMAP, the ring lies in memory that the caller gives and owns.
 */
EXPORT int rl_ring_open(const double *in, double *out) {
  struct io_uring_params params = {
      .flags = (uint32_t)in[1],
      .cq_entries = (uint32_t)in[2],
      .sq_thread_idle = (uint32_t)in[3],
      .sq_thread_cpu = (uint32_t)in[4],
      .wq_fd = (uint32_t)in[5],
  };
  /* The last field of each struct is user_addr. Headers from before Linux 6.5 call it resv2. */
  const uint64_t memory[] = {(uint64_t)in[6], (uint64_t)in[7]};
  memcpy((char *)(&params.cq_off + 1) - sizeof(memory[0]), &memory[0], sizeof(memory[0]));
  memcpy((char *)(&params.sq_off + 1) - sizeof(memory[1]), &memory[1], sizeof(memory[1]));
  struct io_uring *ring = calloc(1, sizeof(*ring));
  if (ring == NULL)
    return -ENOMEM;
  int fd = io_uring_setup((unsigned)in[0], &params);
  int failed = fd;
  if (fd >= 0 && params.flags & IORING_SETUP_NO_MMAP) {
    ring->ring_fd = ring->enter_ring_fd = fd;
    ring->flags = params.flags;
  } else if (fd >= 0) {
    failed = io_uring_queue_mmap(fd, &params, ring);
    if (failed < 0)
      close(fd);
  }
  if (failed < 0) {
    free(ring);
    return failed;
  }
  report_ring(ring, &params, memory, fd, out);
  return 0;
}

/*
 * Changes the sizes of a ring (Linux 6.13, DEFER_TASKRUN). The kernel moves the content of the
 * queues to new queues, which replace the old ones in the mapping. The old queues must not be used
 * any more. After -errno, the ring is as it was. But if the new queues cannot be mapped, out[0] is
 * 0, and the caller can only close the ring.
 */
EXPORT int rl_ring_resize(struct io_uring *ring, uint32_t sq_entries, uint32_t cq_entries, uint32_t flags, double *out) {
  struct io_uring_params params = {.sq_entries = sq_entries, .cq_entries = cq_entries, .flags = flags};
  struct io_uring before = *ring;
  if (before.sq.ring_ptr == NULL)
    return -EINVAL;
  int failed = io_uring_register(before.ring_fd, IORING_REGISTER_RESIZE_RINGS, &params, 1);
  if (failed < 0)
    return failed;
  munmap(before.sq.sqes, before.sq.ring_entries * sizeof(struct io_uring_sqe) << !!(before.flags & IORING_SETUP_SQE128));
  munmap(before.sq.ring_ptr, before.sq.ring_sz);
  if (before.cq.ring_ptr != before.sq.ring_ptr)
    munmap(before.cq.ring_ptr, before.cq.ring_sz);
  params.features = IORING_FEAT_SINGLE_MMAP; /* Every kernel with this call has the feature. */
  failed = io_uring_queue_mmap(before.ring_fd, &params, ring);
  if (failed < 0)
    ring->sq.ring_ptr = NULL; /* Tells rl_ring_close that nothing is mapped. */
  else
    report_ring(ring, &params, NULL, before.ring_fd, out);
  out[0] = failed < 0 ? 0 : out[0];
  ring->ring_fd = before.ring_fd;
  ring->enter_ring_fd = before.enter_ring_fd;
  ring->int_flags = before.int_flags;
  ring->flags = before.flags;
  ring->features = before.features;
  return failed;
}

/*
 * Registers the ring's own descriptor with the calling thread. Returns the index to enter with
 * (IORING_ENTER_REGISTERED_RING).
 */
EXPORT int rl_ring_register_fd(struct io_uring *ring) {
  int registered = io_uring_register_ring_fd(ring);
  return registered == 1 ? ring->enter_ring_fd : (registered < 0 ? registered : -EINVAL);
}

/*
 * Unregisters the ring's descriptor, on the thread that registered it. Only for a ring with a
 * registered descriptor.
 */
EXPORT int rl_ring_unregister_fd(struct io_uring *ring) { return io_uring_unregister_ring_fd(ring); }

EXPORT void rl_ring_close(struct io_uring *ring) {
  struct io_uring_rsrc_update only = {.offset = ring->ring_fd};
  if (ring->sq.ring_ptr != NULL)
    io_uring_queue_exit(ring);
  else if (ring->flags & IORING_SETUP_REGISTERED_FD_ONLY)
    io_uring_register(ring->ring_fd, IORING_UNREGISTER_RING_FDS | IORING_REGISTER_USE_REGISTERED_RING, &only, 1);
  else
    close(ring->ring_fd);
  free(ring);
}

/*
 * A negative timeout_us means no limit. Returns the number of submitted entries, or -errno (-ETIME
 * at the end of the time).
 */
EXPORT int rl_enter(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, int timeout_us) {
  if (timeout_us < 0 || !(flags & IORING_ENTER_GETEVENTS))
    return io_uring_enter2(fd, to_submit, min_complete, flags, NULL, 0);
  struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000, .tv_nsec = (timeout_us % 1000000) * 1000LL};
  struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&limit};
  return io_uring_enter2(fd, to_submit, min_complete, flags | IORING_ENTER_EXT_ARG, (void *)&arg, sizeof(arg));
}

/* struct io_uring_getevents_arg. Headers from before Linux 6.12 call the third field pad. */
struct wait_argument {
  uint64_t signals;
  uint32_t signal_bytes;
  uint32_t least_us;
  uint64_t limit;
};

/*
 * Waits for min_complete completions for least_us, and then for one completion. The whole wait
 * takes at most timeout_us; a negative value means no limit.
 */
EXPORT int rl_enter_min(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, int timeout_us, uint32_t least_us) {
  struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000, .tv_nsec = (timeout_us % 1000000) * 1000LL};
  struct wait_argument argument = {.least_us = least_us, .limit = timeout_us < 0 ? 0 : (uintptr_t)&limit};
  return io_uring_enter2(fd, to_submit, min_complete, flags | IORING_ENTER_EXT_ARG, (void *)&argument, sizeof(argument));
}

/* Waits with the registered argument `index` (struct io_uring_reg_wait, 64 bytes each). */
EXPORT int rl_enter_registered(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, uint32_t index) {
  size_t bytes = 64;
  return io_uring_enter2(fd, to_submit, min_complete, flags | IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG, (void *)(index * bytes), bytes);
}

EXPORT int rl_register(int fd, uint32_t opcode, void *arg, uint32_t count) {
  return io_uring_register(fd, opcode, arg, count);
}

/* ---- memory ---- */

/* A mapping of the thread. */
struct mapping {
  void *address;
  size_t bytes;
  struct mapping *next;
};
static _Thread_local struct mapping *mappings;

/* Maps `bytes` of zeroed, page-aligned, private memory. Returns its address, or -errno. */
EXPORT double rl_map(double bytes) {
  struct mapping *mapping = malloc(sizeof(*mapping));
  if (mapping == NULL)
    return -ENOMEM;
  void *address = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    int error = errno;
    free(mapping);
    return -error;
  }
  *mapping = (struct mapping){.address = address, .bytes = (size_t)bytes, .next = mappings};
  mappings = mapping;
  return (double)(uintptr_t)address;
}

/* Unmaps the memory, on the thread that has mapped it. */
EXPORT int rl_unmap(double address, double bytes) {
  struct mapping **at = &mappings;
  while (*at != NULL && (*at)->address != (void *)(uintptr_t)address)
    at = &(*at)->next;
  if (*at != NULL) {
    struct mapping *mapping = *at;
    *at = mapping->next;
    free(mapping);
  }
  return result(munmap((void *)(uintptr_t)address, (size_t)bytes));
}

/* Returns the pages to the system. The mapping stays, and reads as zeroes. */
EXPORT int rl_discard(double address, double bytes) {
  return result(madvise((void *)(uintptr_t)address, (size_t)bytes, MADV_DONTNEED));
}

/*
 * A block: memory for bytes that are still arriving. The garbage collector does not see it. An
 * ArrayBuffer gets it when it is full, and frees it.
 */
struct block {
  struct block *previous, *next;
};
/* Blocks of the thread that no ArrayBuffer has got. */
static _Thread_local struct block *blocks;

static void unlink_block(struct block *block) {
  if (block->previous != NULL)
    block->previous->next = block->next;
  else
    blocks = block->next;
  if (block->next != NULL)
    block->next->previous = block->previous;
}

/* Allocates a block. Returns the address of its memory, which is not cleared, or -errno. */
EXPORT double rl_block_allocate(double bytes) {
  struct block *block = malloc(sizeof(*block) + (size_t)bytes);
  if (block == NULL)
    return -ENOMEM;
  *block = (struct block){.next = blocks};
  if (blocks != NULL)
    blocks->previous = block;
  blocks = block;
  return (double)(uintptr_t)(block + 1);
}

/* Frees the block whose memory is at `address`, on the thread that has allocated it. */
EXPORT void rl_block_free(double address) {
  struct block *block = (struct block *)(uintptr_t)address - 1;
  unlink_block(block);
  free(block);
}

/* An ArrayBuffer gets the block, on the thread that has allocated it. It calls rl_block_dispose. */
EXPORT void rl_block_give(double address) { unlink_block((struct block *)(uintptr_t)address - 1); }

/*
 * Frees the block of an ArrayBuffer, on any thread: a JSTypedArrayBytesDeallocator. If `calls` is
 * not NULL, it counts the call there.
 */
EXPORT void rl_block_dispose(void *address, uint32_t *calls) {
  free((struct block *)address - 1);
  if (calls != NULL)
    ++*calls;
}

EXPORT void rl_copy(double to, const void *from, uint32_t length) { memcpy((void *)(uintptr_t)to, from, length); }

static void free_blocks(void) {
  while (blocks != NULL) {
    struct block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
}

/* ---- threads ---- */

/*
 * Completions that a reactor has reaped from its ring. If `next` is not 0, the completion before
 * `next` is being delivered. See src/reactor/batch.ts.
 */
struct batch {
  uint32_t next, count, unused[2];
  struct {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
  } completions[];
};

/* Rings and descriptors that a thread owns. TypeScript writes them, see src/sys/owned.ts. */
struct owned {
  uint64_t rings[RL_OWNED_RINGS];
  uint64_t batches[RL_OWNED_RINGS];
  uint32_t descriptors[RL_OWNED_DESCRIPTORS / 32];
};

static pthread_key_t owned_key;
static int owned_key_failed;

static void own_result(struct owned *owned, uint64_t user_data, int32_t result) {
  if ((user_data >> 32 & 0xff) == RL_DESCRIPTOR_KIND && result >= 0 && result < RL_OWNED_DESCRIPTORS)
    owned->descriptors[result / 32] |= 1u << result % 32;
}

/* Whether the SQ thread will start the queued entries. */
static int will_submit(const struct io_uring *ring) {
  return ring->flags & IORING_SETUP_SQPOLL && IO_URING_READ_ONCE(*ring->sq.khead) != *ring->sq.ktail &&
         !(IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_NEED_WAKEUP);
}

/*
 * Ends the operations that a reactor has in flight. Adds descriptors in undelivered results to
 * those that the thread owns.
 */
static void own_undelivered(struct owned *owned, struct io_uring *ring, const struct batch *batch) {
  /*
   * No operation may start after the cancellation. The limit is for an SQ thread without a CPU: it
   * must not delay the thread's end for ever.
   */
  for (int yields = 0; yields < 100000 && will_submit(ring); yields++)
    sched_yield();
  struct io_uring_sync_cancel_reg everything = {
      .fd = -1,
      .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
      .timeout = {.tv_sec = 1},
  };
  io_uring_register_sync_cancel(ring, &everything);
  for (uint32_t i = batch->next > 0 ? batch->next - 1 : 0; i < batch->count; i++)
    own_result(owned, batch->completions[i].user_data, batch->completions[i].res);
  unsigned head, count;
  do {
    io_uring_get_events(ring);
    struct io_uring_cqe *cqe;
    count = 0;
    io_uring_for_each_cqe(ring, head, cqe) {
      own_result(owned, cqe->user_data, cqe->res);
      count++;
    }
    io_uring_cq_advance(ring, count);
  } while (count > 0);
}

/*
 * Returns the pages to the system. The addresses stay mapped: a ring ends later, and must not write
 * into memory of another owner.
 */
static void discard_mappings(void) {
  while (mappings != NULL) {
    struct mapping *mapping = mappings;
    madvise(mapping->address, mapping->bytes, MADV_DONTNEED);
    mappings = mapping->next;
    free(mapping);
  }
}

static void close_owned(void *address) {
  struct owned *owned = address;
  /*
   * The rings come first, because operations in flight keep sockets open, and a mapped ring lives
   * on after its descriptor is closed.
   */
  for (uint32_t i = 0; i < RL_OWNED_RINGS; i++) {
    struct io_uring *ring = (struct io_uring *)(uintptr_t)owned->rings[i];
    if (owned->batches[i] != 0)
      own_undelivered(owned, ring, (const struct batch *)(uintptr_t)owned->batches[i]);
    if (ring != NULL)
      rl_ring_close(ring);
  }
  for (uint32_t i = 0; i < RL_OWNED_DESCRIPTORS / 32; i++)
    for (uint32_t *bits = &owned->descriptors[i]; *bits != 0; *bits &= *bits - 1)
      close((int)(i * 32 + (uint32_t)__builtin_ctz(*bits)));
  discard_mappings();
  free_blocks();
  munmap(owned, sizeof(*owned));
}

static void make_owned_key(void) { owned_key_failed = pthread_key_create(&owned_key, close_owned); }

/*
 * Returns the address of the calling thread's struct owned, or -errno. It has the handles of rings,
 * or 0; the batch of each ring that belongs to a reactor, or 0; and a bit for each descriptor.
 *
 * When the thread ends before the process, its rings and descriptors are closed, the pages of its
 * mappings are returned to the system, and its blocks and the struct are freed.
 */
EXPORT double rl_owned(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_owned_key);
  if (owned_key_failed)
    return -owned_key_failed;
  void *owned = pthread_getspecific(owned_key);
  if (owned != NULL)
    return (double)(uintptr_t)owned;
  double address = rl_map(sizeof(struct owned));
  int failed = address < 0 ? 0 : pthread_setspecific(owned_key, (void *)(uintptr_t)address);
  if (failed)
    rl_unmap(address, sizeof(struct owned));
  return failed ? -failed : address;
}

/* ---- descriptors and sockets ---- */

EXPORT int rl_eventfd(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

/* Adds one to an eventfd. */
EXPORT int rl_eventfd_signal(int fd) {
  uint64_t one = 1;
  return result(write(fd, &one, sizeof(one)));
}

EXPORT int rl_socketpair(int *out) {
  return result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out));
}

/* Descriptors that programs ask for. The caller gives all flags, also close-on-exec. */

EXPORT int rl_make_eventfd(uint32_t initial, int flags) { return result(eventfd(initial, flags)); }

EXPORT int rl_make_epoll(int flags) { return result(epoll_create1(flags)); }

EXPORT int rl_make_timerfd(int clock, int flags) { return result(timerfd_create(clock, flags)); }

/* value points at a struct itimerspec. */
EXPORT int rl_timerfd_settime(int fd, int flags, const void *value) { return result(timerfd_settime(fd, flags, value, NULL)); }

EXPORT int rl_timerfd_gettime(int fd, void *value) { return result(timerfd_gettime(fd, value)); }

EXPORT int rl_make_pidfd(int pid, uint32_t flags) { return result(syscall(SYS_pidfd_open, pid, flags)); }

/* The call goes by its number, because glibc has the function only since 2.27. */
EXPORT int rl_make_memfd(const char *name, uint32_t flags) { return result(syscall(SYS_memfd_create, name, flags)); }

EXPORT int rl_make_pipe(int *out, int flags) { return result(pipe2(out, flags)); }

EXPORT int rl_make_socketpair(int domain, int type, int protocol, int *out) { return result(socketpair(domain, type, protocol, out)); }

EXPORT int rl_make_inotify(int flags) { return result(inotify_init1(flags)); }

EXPORT int rl_inotify_add_watch(int fd, const char *path, uint32_t mask) { return result(inotify_add_watch(fd, path, mask)); }

/*
 * Returns the epoll descriptor of this process that watches `watched`, or -ENOENT. It is the one
 * that refuses to watch it again. Any other epoll descriptor adds it without events, and then
 * removes it.
 */
EXPORT int rl_find_epoll(int watched) {
  DIR *directory = opendir("/proc/self/fd");
  if (directory == NULL)
    return -errno;
  int found = -ENOENT;
  for (struct dirent *entry = readdir(directory); entry != NULL && found < 0; entry = readdir(directory)) {
    /* "." and ".." become 0, which is not this process's epoll descriptor. */
    int fd = atoi(entry->d_name);
    struct epoll_event none = {0};
    if (epoll_ctl(fd, EPOLL_CTL_ADD, watched, &none) == 0)
      epoll_ctl(fd, EPOLL_CTL_DEL, watched, NULL);
    else if (errno == EEXIST)
      found = fd;
  }
  closedir(directory);
  return found;
}

/*
 * The socket blocks: io_uring waits for a socket that is not ready, but answers EAGAIN for a socket
 * with O_NONBLOCK.
 */
EXPORT int rl_socket(int domain, int type) { return result(socket(domain, type | SOCK_CLOEXEC, 0)); }

/* Clears O_NONBLOCK of a descriptor that other code has made: see rl_socket. */
EXPORT int rl_set_blocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -errno : result(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

/* Sets FD_CLOEXEC of a descriptor that the process was started with. */
EXPORT int rl_close_on_exec(int fd) { return result(fcntl(fd, F_SETFD, FD_CLOEXEC)); }

/* Whether a socket listens: 1 or 0. */
EXPORT int rl_is_listening(int fd) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0 ? -errno : value;
}

EXPORT int rl_getsockopt(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}

/* Reads an option of up to `capacity` bytes. Returns its length. */
EXPORT int rl_getsockopt_bytes(int fd, int level, int name, void *out, uint32_t capacity) {
  socklen_t bytes = capacity;
  return getsockopt(fd, level, name, out, &bytes) < 0 ? -errno : (int)bytes;
}

EXPORT int rl_setsockopt(int fd, int level, int name, int value) {
  return result(setsockopt(fd, level, name, &value, sizeof(value)));
}

EXPORT int rl_setsockopt_bytes(int fd, int level, int name, const void *value, uint32_t length) {
  return result(setsockopt(fd, level, name, value, length));
}

EXPORT int rl_bind(int fd, const void *address, uint32_t length) { return result(bind(fd, address, length)); }

EXPORT int rl_listen(int fd, int backlog) { return result(listen(fd, backlog)); }

/* peer = 0 calls getsockname, otherwise getpeername. Returns the address's length. */
EXPORT int rl_sockname(int fd, int peer, void *out, uint32_t capacity) {
  socklen_t length = capacity;
  int failed = peer ? getpeername(fd, out, &length) : getsockname(fd, out, &length);
  return failed < 0 ? -errno : (int)length;
}

EXPORT int rl_shutdown(int fd, int how) { return result(shutdown(fd, how)); }

/*
 * Writes the first address of a host name or numeric address, with its port, as a sockaddr to `out`
 * (28 bytes). Returns its length, or -ENOENT for an unknown name.
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

/* Writes the numeric text of a sockaddr_in or sockaddr_in6, NUL-terminated. Returns its length. */
EXPORT int rl_format_address(const struct sockaddr *address, uint32_t length, char *out, uint32_t capacity) {
  return getnameinfo(address, length, out, capacity, NULL, 0, NI_NUMERICHOST) == 0 ? (int)strlen(out) : -EINVAL;
}

/*
 * Empties a socket's error queue (IP_RECVERR). Otherwise, the socket would look ready for ever.
 * Returns the last error in the queue, as a positive errno, or 0.
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
 * Opens a file below a directory for reading. No `path` leads out of the directory: not "..",
 * absolute links or mount points. A pipe without a writer does not block.
 */
EXPORT int rl_open_within(int directory, const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT};
  return result((int)syscall(SYS_openat2, directory, path, &how, sizeof(how)));
}

static int is_cached(int file, off_t offset) {
  char byte;
  struct iovec one = {&byte, 1};
  return syscall(SYS_preadv2, file, &one, 1, offset, 0, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

/*
 * Sends `head` to a blocking socket, and then a file from the page cache with sendfile(2), as far
 * as the socket accepts the bytes at once. Returns the number of accepted bytes of both. Returns
 * -EAGAIN if it accepts none now, and -ENODATA if the file must be read from its disk first.
 */
EXPORT int rl_send_file(int socket, const void *head, uint32_t head_bytes, int file, double offset, uint32_t bytes) {
  off_t from = (off_t)offset;
  ssize_t sent_head = 0, sent = 0;
  if (!is_cached(file, from) || !is_cached(file, from + bytes - 1))
    return -ENODATA;
  if (head_bytes > 0) {
    sent_head = send(socket, head, head_bytes, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent_head < (ssize_t)head_bytes)
      return result((int)sent_head);
  }
  /*
   * sendfile(2) has no MSG_DONTWAIT. The ring may see O_NONBLOCK meanwhile; it answers EAGAIN then,
   * and the operation's owner repeats it.
   */
  if (fcntl(socket, F_SETFL, O_RDWR | O_NONBLOCK) == 0) {
    sent = sendfile(socket, file, &from, bytes);
    int failed = errno;
    fcntl(socket, F_SETFL, O_RDWR);
    errno = failed;
  }
  return sent >= 0 ? (int)(sent_head + sent) : sent_head > 0 ? (int)sent_head : -errno;
}

/* Sends what the socket takes at once: bytes, or, with `message`, the iovecs of a msghdr. Returns how many, or -errno. */
EXPORT int rl_send_now(int socket, double bytes, uint32_t length, double message) {
  int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  ssize_t sent = message != 0 ? sendmsg(socket, (const struct msghdr *)(uintptr_t)message, flags)
                              : send(socket, (const void *)(uintptr_t)bytes, length, flags);
  return result(sent);
}

/* Returns the number of bytes that a socket has received and that nobody has read, or -errno. */
EXPORT int rl_received_bytes(int socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) < 0 ? -errno : bytes;
}

/* Receives what a socket has, up to `capacity` bytes. Returns how many, 0 at the end, or -errno. */
EXPORT int rl_receive_now(int socket, double to, double capacity) {
  return result(recv(socket, (void *)(uintptr_t)to, (size_t)capacity, MSG_DONTWAIT));
}

/* Two words, at any address. */
typedef uint64_t Words __attribute__((vector_size(16), aligned(1), may_alias));

/*
 * Copies bytes of a WebSocket frame from `from` to `to` and unmasks them (RFC 6455 section 5.3).
 * The two are the same memory or do not overlap. `key` is the mask of the first four bytes as a
 * little-endian word. Returns whether all unmasked bytes are ASCII.
 */
EXPORT int rl_unmask(const uint8_t *from, uint8_t *to, uint32_t length, uint32_t key) {
  uint64_t wide = (uint64_t)key << 32 | key;
  Words mask = {wide, wide}, seen = {0, 0};
  uint8_t rest = 0;
  uint32_t at = 0;
  for (; length - at >= sizeof mask; at += sizeof mask) {
    Words words = *(const Words *)(from + at) ^ mask;
    seen |= words;
    *(Words *)(to + at) = words;
  }
  for (; at < length; at++)
    rest |= to[at] = from[at] ^ (uint8_t)(key >> (at & 3) * 8);
  return ((seen[0] | seen[1] | rest) & 0x8080808080808080ULL) == 0;
}

/* Returns the file's status flags: O_APPEND, O_NONBLOCK and so on. */
EXPORT int rl_status_flags(int fd) { return result(fcntl(fd, F_GETFL)); }

EXPORT double rl_seek(int file, double offset, int whence) {
  off_t at = lseek(file, (off_t)offset, whence);
  return at < 0 ? -errno : (double)at;
}

/* Returns the CPU time of the calling thread alone, in nanoseconds. */
EXPORT double rl_thread_cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}
