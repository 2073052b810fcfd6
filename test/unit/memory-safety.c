/*
 * Calls every exported function of ffi/ringloop.c, with right arguments and with arguments that the
 * kernel refuses. memory-safety.test.ts runs this program under AddressSanitizer and valgrind. The
 * memory for a function is as small as its contract allows, so that one byte more is an error.
 * Prints the name of each called function.
 */
#include "../../ffi/ringloop.c"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

static char driven[80][32];
static int driven_count;

static void note(const char *name) {
  for (int i = 0; i < driven_count; i++)
    if (strcmp(driven[i], name) == 0)
      return;
  strcpy(driven[driven_count++], name);
}

#define DRIVE(name, ...) (note(#name), name(__VA_ARGS__))
#define EXPECT(condition)                                                                                                        \
  do {                                                                                                                           \
    if (!(condition)) {                                                                                                          \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                                    \
      exit(2);                                                                                                                   \
    }                                                                                                                            \
  } while (0)

static void *as_pointer(double address) { return (void *)(uintptr_t)address; }

static int open_descriptors(void) {
  int count = 0;
  DIR *directory = opendir("/proc/self/fd");
  while (readdir(directory) != NULL)
    count++;
  closedir(directory);
  return count;
}

/* ---- layouts --------------------------------------------------------------------------------- */

static void layouts(void) {
  int count = DRIVE(rl_layout, NULL, 0);
  EXPECT(count > 100);
  uint32_t *all = malloc(count * sizeof(*all));
  EXPECT(DRIVE(rl_layout, all, count) == count);
  uint32_t *few = malloc(3 * sizeof(*few));
  EXPECT(DRIVE(rl_layout, few, 3) == count);
  EXPECT(memcmp(all, few, 3 * sizeof(*few)) == 0);
  free(few);
  free(all);
}

/* ---- rings ----------------------------------------------------------------------------------- */

enum { IN_WORDS = 8, OUT_WORDS = 17 };

/* The words of `out`, see rl_ring_open. */
enum { HANDLE, SQ_HEAD, SQ_TAIL, SQ_FLAGS, SQ_DROPPED, SQES, CQ_HEAD, CQ_TAIL, CQ_OVERFLOW, CQES, CQ_FLAGS, SQ_ARRAY, FD, SQ_ENTRIES };
enum { CQ_ENTRIES = SQ_ENTRIES + 1 };

static int open_ring(double **out, unsigned entries, unsigned flags, unsigned cq_entries, double rings, double sqes) {
  double *in = calloc(IN_WORDS, sizeof(*in));
  *out = calloc(OUT_WORDS, sizeof(**out));
  in[0] = entries;
  in[1] = flags;
  in[2] = cq_entries;
  in[3] = 1;
  in[6] = rings;
  in[7] = sqes;
  int failed = DRIVE(rl_ring_open, in, *out);
  free(in);
  return failed;
}

static unsigned *word(double *ring, int which) { return as_pointer(ring[which]); }

static struct io_uring_sqe *next_sqe(double *ring) {
  unsigned tail = *word(ring, SQ_TAIL), index = tail & ((unsigned)ring[SQ_ENTRIES] - 1);
  struct io_uring_sqe *sqe = (struct io_uring_sqe *)as_pointer(ring[SQES]) + index;
  memset(sqe, 0, sizeof(*sqe));
  word(ring, SQ_ARRAY)[index] = index;
  return sqe;
}

/* Submits a complete entry. */
static void publish(double *ring) { __atomic_store_n(word(ring, SQ_TAIL), *word(ring, SQ_TAIL) + 1, __ATOMIC_SEQ_CST); }

struct completion {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};

static struct completion next_cqe(double *ring) {
  unsigned head = *word(ring, CQ_HEAD);
  EXPECT(head != __atomic_load_n(word(ring, CQ_TAIL), __ATOMIC_SEQ_CST));
  struct io_uring_cqe *cqe = (struct io_uring_cqe *)as_pointer(ring[CQES]) + (head & ((unsigned)ring[CQ_ENTRIES] - 1));
  struct completion completion = {cqe->user_data, cqe->res, cqe->flags};
  __atomic_store_n(word(ring, CQ_HEAD), head + 1, __ATOMIC_SEQ_CST);
  return completion;
}

static void close_ring(double *ring) {
  DRIVE(rl_ring_close, as_pointer(ring[HANDLE]));
  free(ring);
}

/* Waits with a minimum time and with registered arguments, if the kernel has them (Linux 6.13), and
 * other sizes of the queues. */
static void newer_ring(void) {
  double *ring;
  unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  if (open_ring(&ring, 4, flags | 1U << 16 /* NO_SQARRAY, Linux 6.6 */, 0, 0, 0) < 0) {
    free(ring);
    return;
  }
  unsigned no_array[64];
  int fd = (int)ring[FD];
  int waited = DRIVE(rl_enter_min, fd, 0, 2, IORING_ENTER_GETEVENTS, 1000, 100);
  EXPECT(waited == -ETIME || waited == -EINVAL);
  EXPECT(DRIVE(rl_enter_registered, fd, 0, 1, IORING_ENTER_GETEVENTS, 0) < 0);
  void *handle = as_pointer(ring[HANDLE]);
  for (unsigned entries = 4; entries <= 64; entries *= 2) {
    ring[SQ_ARRAY] = (uintptr_t)no_array;
    struct io_uring_sqe *sqe = next_sqe(ring);
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = entries;
    publish(ring);
    int resized = DRIVE(rl_ring_resize, handle, entries, entries * 4, IORING_SETUP_CQSIZE, ring);
    EXPECT(resized == 0 ? ring[SQ_ENTRIES] == entries && ring[CQ_ENTRIES] == entries * 4 : resized == -EINVAL);
    EXPECT(ring[HANDLE] == (double)(uintptr_t)handle);
    EXPECT(DRIVE(rl_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, 1000000) == 1);
    EXPECT(next_cqe(ring).user_data == entries);
  }
  EXPECT(DRIVE(rl_ring_resize, handle, 0, 0, 0, ring) == -EINVAL);
  close_ring(ring);
}

static void ring_with(unsigned flags) {
  double *ring;
  EXPECT(open_ring(&ring, 4, flags, 0, 0, 0) == 0);
  EXPECT(ring[SQ_ENTRIES] == 4 && ring[CQ_ENTRIES] == 8 && *word(ring, SQ_DROPPED) == 0 && *word(ring, CQ_OVERFLOW) == 0);
  int fd = (int)ring[FD];
  for (int i = 0; i < 20; i++) {
    struct io_uring_sqe *sqe = next_sqe(ring);
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = i;
    publish(ring);
    unsigned wake = flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0;
    EXPECT(DRIVE(rl_enter, fd, 1, 1, IORING_ENTER_GETEVENTS | wake, i % 2 ? -1 : 1000000) >= 0);
    EXPECT(next_cqe(ring).user_data == (unsigned)i);
  }
  EXPECT(DRIVE(rl_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, 1000) == -ETIME);
  EXPECT(DRIVE(rl_enter, fd, 0, 0, 0, 1000) == 0);
  int entered = DRIVE(rl_ring_register_fd, as_pointer(ring[HANDLE]));
  EXPECT(entered >= 0);
  EXPECT(DRIVE(rl_enter, entered, 0, 0, IORING_ENTER_REGISTERED_RING, -1) == 0);
  EXPECT(DRIVE(rl_ring_unregister_fd, as_pointer(ring[HANDLE])) == 1);
  close_ring(ring);
}

/* A ring in two pieces of the program's own memory, which outlive the ring. */
static void ring_in_own_memory(unsigned flags) {
  double rings = DRIVE(rl_map, 8192), sqes = DRIVE(rl_map, 4096), *ring;
  int failed = open_ring(&ring, 4, IORING_SETUP_NO_MMAP | flags, 0, rings, sqes);
  if (failed == -EINVAL) { /* Before Linux 6.5. */
    free(ring);
  } else {
    EXPECT(failed == 0 && ring[SQES] == sqes && ring[CQ_HEAD] > rings && ring[CQ_HEAD] < rings + 8192);
    struct io_uring_sqe *sqe = next_sqe(ring);
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = 9;
    publish(ring);
    unsigned registered = flags & IORING_SETUP_REGISTERED_FD_ONLY ? IORING_ENTER_REGISTERED_RING : 0;
    EXPECT(DRIVE(rl_enter, (int)ring[FD], 1, 1, IORING_ENTER_GETEVENTS | registered, -1) == 1);
    EXPECT(next_cqe(ring).user_data == 9);
    close_ring(ring);
  }
  EXPECT(DRIVE(rl_unmap, rings, 8192) == 0 && DRIVE(rl_unmap, sqes, 4096) == 0);
}

static void refused_rings(void) {
  const unsigned wrong[][3] = {
      {0, 0, 0},                            /* No entries. */
      {65536, 0, 0},                        /* Too many. */
      {4, 1U << 31, 0},                     /* An unknown flag. */
      {4, IORING_SETUP_DEFER_TASKRUN, 0},   /* It needs SINGLE_ISSUER. */
      {8, IORING_SETUP_CQSIZE, 4},          /* Fewer completions than submissions. */
      {4, IORING_SETUP_ATTACH_WQ, 0},       /* The descriptor is not a ring. */
  };
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    double *ring;
    EXPECT(open_ring(&ring, wrong[i][0], wrong[i][1], wrong[i][2], 0, 0) < 0);
    for (int at = 0; at < OUT_WORDS; at++)
      EXPECT(ring[at] == 0);
    free(ring);
  }
  EXPECT(DRIVE(rl_enter, -1, 0, 0, 0, -1) == -EBADF);
  EXPECT(DRIVE(rl_enter, 0, 0, 1, IORING_ENTER_GETEVENTS, 1) == -EOPNOTSUPP);
  EXPECT(DRIVE(rl_register, -1, IORING_UNREGISTER_EVENTFD, NULL, 0) < 0); /* Since Linux 6.13 some opcodes need no ring. */
}

/* A completion signals an eventfd. A receive fills the buffers of a buffer ring, and no byte beside
 * them. */
static void received_into_a_buffer_ring(void) {
  enum { COUNT = 4, BYTES = 64, GROUP = 3 };
  double *ring, entries = DRIVE(rl_map, 4096);
  EXPECT(open_ring(&ring, 4, 0, 0, 0, 0) == 0);
  int fd = (int)ring[FD], event = DRIVE(rl_eventfd), pair[2];
  EXPECT(DRIVE(rl_register, fd, IORING_REGISTER_EVENTFD, &event, 1) == 0);
  EXPECT(DRIVE(rl_register, fd, IORING_REGISTER_EVENTFD, &event, 1) == -EBUSY);
  struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)entries, .ring_entries = COUNT, .bgid = GROUP};
  EXPECT(DRIVE(rl_register, fd, IORING_REGISTER_PBUF_RING, &reg, 1) == 0);
  EXPECT(DRIVE(rl_register, fd, IORING_REGISTER_PBUF_RING, &reg, 1) == -EEXIST);
  struct io_uring_buf_ring *buffers = as_pointer(entries);
  char *memory[COUNT];
  for (int bid = 0; bid < COUNT; bid++) {
    memory[bid] = calloc(1, BYTES + 1);
    memory[bid][BYTES] = 42;
    buffers->bufs[bid].addr = (uintptr_t)memory[bid];
    buffers->bufs[bid].len = BYTES;
    buffers->bufs[bid].bid = bid;
  }
  __atomic_store_n(&buffers->tail, COUNT, __ATOMIC_SEQ_CST);
  EXPECT(DRIVE(rl_socketpair, pair) == 0);
  EXPECT(DRIVE(rl_set_blocking, pair[0]) == 0 && DRIVE(rl_set_blocking, pair[1]) == 0);
  char sent[COUNT * BYTES];
  memset(sent, 7, sizeof(sent));
  EXPECT(write(pair[1], sent, sizeof(sent)) == sizeof(sent));
  for (int i = 0; i <= COUNT; i++) {
    struct io_uring_sqe *sqe = next_sqe(ring);
    sqe->opcode = IORING_OP_RECV;
    sqe->fd = pair[0];
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    sqe->len = BYTES;
    publish(ring);
    EXPECT(DRIVE(rl_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, -1) == 1);
    struct completion cqe = next_cqe(ring);
    if (i == COUNT) {
      EXPECT(cqe.res == -ENOBUFS);
      break;
    }
    EXPECT(cqe.res == BYTES && cqe.flags & IORING_CQE_F_BUFFER);
    unsigned bid = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    EXPECT(bid < COUNT && memory[bid][0] == 7 && memory[bid][BYTES - 1] == 7 && memory[bid][BYTES] == 42);
  }
  uint64_t signals;
  EXPECT(read(event, &signals, sizeof(signals)) == sizeof(signals) && signals > 0);
  EXPECT(DRIVE(rl_register, fd, IORING_UNREGISTER_PBUF_RING, &reg, 1) == 0);
  EXPECT(DRIVE(rl_register, fd, IORING_UNREGISTER_EVENTFD, NULL, 0) == 0);
  EXPECT(DRIVE(rl_register, fd, IORING_UNREGISTER_EVENTFD, NULL, 0) == -ENXIO);
  close_ring(ring);
  for (int bid = 0; bid < COUNT; bid++)
    free(memory[bid]);
  EXPECT(DRIVE(rl_close, pair[0]) == 0 && DRIVE(rl_close, pair[1]) == 0 && DRIVE(rl_close, event) == 0);
  EXPECT(DRIVE(rl_unmap, entries, 4096) == 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void mapped_memory(void) {
  double address = DRIVE(rl_map, 3 * 4096);
  char *memory = as_pointer(address);
  memset(memory, 1, 3 * 4096);
  EXPECT(DRIVE(rl_discard, address + 4096, 4096) == 0);
  EXPECT(memory[4095] == 1 && memory[4096] == 0 && memory[8191] == 0 && memory[8192] == 1);
  EXPECT(DRIVE(rl_discard, address + 1, 4096) == -EINVAL);
  EXPECT(DRIVE(rl_unmap, address + 1, 4096) == -EINVAL);
  EXPECT(DRIVE(rl_unmap, address, 3 * 4096) == 0);
  EXPECT(DRIVE(rl_discard, address, 3 * 4096) == -ENOMEM);
  EXPECT(DRIVE(rl_map, 0) == -EINVAL);
  EXPECT(DRIVE(rl_map, 9007199254740991.0) < 0); /* Under valgrind it is EINVAL. */
}

static void blocks_of_memory(void) {
  double addresses[3];
  for (int i = 0; i < 3; i++) {
    addresses[i] = DRIVE(rl_block_allocate, 100 + i);
    memset(as_pointer(addresses[i]), i, 100 + i);
  }
  const char *text = "four";
  DRIVE(rl_copy, addresses[0] + 96, text, 4);
  EXPECT(memcmp((char *)as_pointer(addresses[0]) + 96, text, 4) == 0);
  DRIVE(rl_block_give, addresses[1]);
  DRIVE(rl_block_free, addresses[0]);
  DRIVE(rl_block_free, addresses[2]);
  EXPECT(blocks == NULL);
  uint32_t calls = 0;
  DRIVE(rl_block_dispose, as_pointer(addresses[1]), &calls);
  EXPECT(calls == 1);
  double last = rl_block_allocate(1), terminated = rl_block_allocate(1), first = rl_block_allocate(1);
  rl_block_give(last);
  DRIVE(rl_block_dispose, as_pointer(last), NULL);
  DRIVE(rl_block_dispose, as_pointer(terminated), NULL);
  EXPECT(blocks == (struct block *)as_pointer(first) - 1 && blocks->next == NULL);
  rl_block_free(first);
}

/* ---- descriptors and sockets ----------------------------------------------------------------- */

static void descriptors(void) {
  int event = DRIVE(rl_eventfd);
  uint64_t value;
  EXPECT(read(event, &value, sizeof(value)) < 0 && errno == EAGAIN);
  EXPECT(DRIVE(rl_eventfd_signal, event) == sizeof(value) && DRIVE(rl_eventfd_signal, event) == sizeof(value));
  EXPECT(read(event, &value, sizeof(value)) == sizeof(value) && value == 2);
  EXPECT(DRIVE(rl_set_blocking, event) == 0 && (fcntl(event, F_GETFL) & O_NONBLOCK) == 0);
  EXPECT(fcntl(event, F_SETFD, 0) == 0 && DRIVE(rl_close_on_exec, event) == 0 && fcntl(event, F_GETFD) == FD_CLOEXEC);
  EXPECT(DRIVE(rl_is_listening, event) == -ENOTSOCK);
  EXPECT(DRIVE(rl_close, event) == 0);
  EXPECT(DRIVE(rl_close_on_exec, event) == -EBADF && DRIVE(rl_is_listening, event) == -EBADF);
  EXPECT(DRIVE(rl_close, event) == -EBADF && DRIVE(rl_eventfd_signal, event) == -EBADF && DRIVE(rl_set_blocking, event) == -EBADF);
}

/* Descriptors that a program makes, and arguments that the kernel refuses. */
static void makers(void) {
  int *two = malloc(2 * sizeof(*two));
  struct itimerspec *times = malloc(sizeof(*times));
  *times = (struct itimerspec){.it_value = {.tv_sec = 1000}, .it_interval = {.tv_nsec = 5}};
  int counter = DRIVE(rl_make_eventfd, 3, EFD_CLOEXEC), timer = DRIVE(rl_make_timerfd, CLOCK_MONOTONIC, TFD_CLOEXEC);
  EXPECT(counter >= 0 && timer >= 0);
  EXPECT(DRIVE(rl_timerfd_settime, timer, 0, times) == 0 && DRIVE(rl_timerfd_gettime, timer, times) == 0);
  EXPECT(times->it_value.tv_sec > 0 && times->it_interval.tv_nsec == 5);
  int process = DRIVE(rl_make_pidfd, getpid(), 0);
  EXPECT(process >= 0 ? close(process) == 0 : process == -ENOSYS); /* valgrind does not know pidfd_open(2). */
  int made[] = {counter, timer, DRIVE(rl_make_epoll, EPOLL_CLOEXEC), DRIVE(rl_make_memfd, "x", MFD_CLOEXEC)};
  int notify = DRIVE(rl_make_inotify, IN_CLOEXEC);
  EXPECT(DRIVE(rl_inotify_add_watch, notify, "/", IN_CREATE) > 0 && DRIVE(rl_inotify_add_watch, notify, "/", 0) == -EINVAL);
  EXPECT(close(notify) == 0);
  for (int i = 0; i < 4; i++)
    EXPECT(made[i] >= 0 && close(made[i]) == 0);
  EXPECT(DRIVE(rl_make_pipe, two, O_CLOEXEC) == 0 && close(two[0]) == 0 && close(two[1]) == 0);
  EXPECT(DRIVE(rl_make_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, two) == 0 && close(two[0]) == 0 && close(two[1]) == 0);
  EXPECT(DRIVE(rl_make_eventfd, 0, -1) == -EINVAL && DRIVE(rl_make_epoll, 1) == -EINVAL && DRIVE(rl_make_timerfd, 99, 0) == -EINVAL);
  EXPECT(DRIVE(rl_timerfd_settime, -1, 0, times) == -EBADF && DRIVE(rl_timerfd_gettime, -1, times) == -EBADF);
  EXPECT(DRIVE(rl_make_pidfd, -1, 0) < 0 && DRIVE(rl_make_memfd, "x", ~0u) == -EINVAL && DRIVE(rl_make_inotify, 1) == -EINVAL);
  EXPECT(DRIVE(rl_make_pipe, two, 1) == -EINVAL && DRIVE(rl_make_socketpair, 99, 1, 0, two) == -EAFNOSUPPORT);
  free(times);
  free(two);
}

/* 28 bytes are exactly enough for both kinds of addresses. */
static int resolve(const char *host, int port, void **address) {
  *address = malloc(28);
  return DRIVE(rl_resolve, host, port, *address);
}

/* Only the epoll instance that watches the descriptor is found, and no instance changes. */
static void epolls(void) {
  int pair[2];
  EXPECT(DRIVE(rl_socketpair, pair) == 0);
  EXPECT(DRIVE(rl_find_epoll, pair[0]) == -ENOENT && DRIVE(rl_find_epoll, -1) == -ENOENT);
  int other = epoll_create1(EPOLL_CLOEXEC), epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event readable = {.events = EPOLLIN};
  EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &readable) == 0);
  EXPECT(DRIVE(rl_find_epoll, pair[0]) == epoll);
  EXPECT(epoll_ctl(other, EPOLL_CTL_DEL, pair[0], NULL) == -1 && errno == ENOENT);
  EXPECT(epoll_ctl(epoll, EPOLL_CTL_DEL, pair[0], NULL) == 0);
  for (int i = 0; i < 2; i++)
    EXPECT(DRIVE(rl_close, pair[i]) == 0);
  EXPECT(DRIVE(rl_close, other) == 0 && DRIVE(rl_close, epoll) == 0);
}

static void addresses(void) {
  const struct {
    const char *host, *text;
    int length;
  } hosts[] = {
      {"127.0.0.1", "127.0.0.1", sizeof(struct sockaddr_in)},
      {"::1", "::1", sizeof(struct sockaddr_in6)},
      {"2001:db8:85a3:1111:2222:8a2e:3700:7334", "2001:db8:85a3:1111:2222:8a2e:3700:7334", sizeof(struct sockaddr_in6)},
  };
  for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
    void *address;
    int length = resolve(hosts[i].host, 65535, &address);
    EXPECT(length == hosts[i].length && ((struct sockaddr_in *)address)->sin_port == 0xffff);
    size_t capacity = strlen(hosts[i].text) + 1;
    char *text = malloc(capacity);
    EXPECT(DRIVE(rl_format_address, address, length, text, capacity) == (int)capacity - 1 && strcmp(text, hosts[i].text) == 0);
    EXPECT(DRIVE(rl_format_address, address, length, text, capacity - 1) == -EINVAL);
    EXPECT(DRIVE(rl_format_address, address, 3, text, capacity) == -EINVAL);
    free(text);
    free(address);
  }
  const char *unknown[] = {"no.such.host.invalid", "", "300.1.1.1", "::1::"};
  for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
    void *address;
    EXPECT(resolve(unknown[i], 1, &address) == -ENOENT);
    free(address);
  }
}

static void stream_sockets(void) {
  void *address;
  int length = resolve("127.0.0.1", 0, &address);
  int server = DRIVE(rl_socket, AF_INET, SOCK_STREAM), client = DRIVE(rl_socket, AF_INET, SOCK_STREAM);
  EXPECT(DRIVE(rl_setsockopt, server, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
  EXPECT(DRIVE(rl_getsockopt, server, SOL_SOCKET, SO_REUSEADDR) == 1);
  EXPECT(DRIVE(rl_bind, server, address, length) == 0 && DRIVE(rl_bind, server, address, length) == -EINVAL);
  EXPECT(DRIVE(rl_is_listening, server) == 0);
  EXPECT(DRIVE(rl_listen, server, 5) == 0 && DRIVE(rl_is_listening, server) == 1);
  /* The room for a socket name is exact, too small, or none. The result is always its length. */
  for (int room = length; room >= 0; room -= length / 2) {
    void *name = malloc(room);
    EXPECT(DRIVE(rl_sockname, server, 0, name, room) == length);
    if (room == length)
      EXPECT(DRIVE(rl_connect, client, name, room) == 0);
    free(name);
  }
  void *peer = malloc(length);
  EXPECT(DRIVE(rl_sockname, client, 1, peer, length) == length && DRIVE(rl_sockname, server, 1, peer, length) == -ENOTCONN);
  free(peer);
  const int linger[] = {1, 0};
  EXPECT(DRIVE(rl_setsockopt_bytes, client, SOL_SOCKET, SO_LINGER, linger, sizeof(linger)) == 0);
  EXPECT(DRIVE(rl_setsockopt_bytes, client, SOL_SOCKET, SO_LINGER, linger, 1) == -EINVAL);
  int *lingers = malloc(sizeof(linger));
  EXPECT(DRIVE(rl_getsockopt_bytes, client, SOL_SOCKET, SO_LINGER, lingers, sizeof(linger)) == sizeof(linger) && lingers[0] == 1);
  EXPECT(DRIVE(rl_getsockopt_bytes, client, SOL_SOCKET, 9999, lingers, 4) == -ENOPROTOOPT);
  free(lingers);
  EXPECT(DRIVE(rl_shutdown, client, SHUT_RDWR) == 0 && DRIVE(rl_shutdown, client, 9) == -EINVAL);
  EXPECT(DRIVE(rl_close, client) == 0 && DRIVE(rl_close, server) == 0);
  free(address);

  EXPECT(DRIVE(rl_socket, -1, SOCK_STREAM) == -EAFNOSUPPORT);
  char nothing[1] = {0};
  EXPECT(DRIVE(rl_getsockopt, -1, SOL_SOCKET, SO_ERROR) == -EBADF && DRIVE(rl_setsockopt, -1, 0, 0, 0) == -EBADF);
  EXPECT(DRIVE(rl_setsockopt_bytes, -1, 0, 0, nothing, 0) == -EBADF && DRIVE(rl_listen, -1, 1) == -EBADF);
  EXPECT(DRIVE(rl_bind, -1, nothing, 0) == -EBADF && DRIVE(rl_connect, -1, nothing, 0) == -EBADF);
  EXPECT(DRIVE(rl_sockname, -1, 0, nothing, 0) == -EBADF && DRIVE(rl_shutdown, -1, SHUT_WR) == -EBADF);
  int pair[2];
  EXPECT(DRIVE(rl_socketpair, pair) == 0 && DRIVE(rl_close, pair[0]) == 0 && DRIVE(rl_close, pair[1]) == 0);
}

/* The longest name of a Unix socket has no NUL at its end. */
static void unix_sockets(void) {
  struct sockaddr_un *address = malloc(sizeof(*address)), *name = malloc(sizeof(*name));
  address->sun_family = AF_UNIX;
  memset(address->sun_path, 'x', sizeof(address->sun_path));
  address->sun_path[0] = 0;
  memcpy(address->sun_path + 1, &(pid_t){getpid()}, sizeof(pid_t));
  int fd = DRIVE(rl_socket, AF_UNIX, SOCK_STREAM);
  EXPECT(DRIVE(rl_bind, fd, address, sizeof(*address)) == 0);
  EXPECT(DRIVE(rl_sockname, fd, 0, name, sizeof(*name)) == sizeof(*name) && memcmp(name, address, sizeof(*name)) == 0);
  EXPECT(DRIVE(rl_sockname, fd, 0, name, 28) == sizeof(*name));
  EXPECT(DRIVE(rl_format_address, (struct sockaddr *)name, sizeof(*name), (char[4]){0}, 4) == -EINVAL);
  EXPECT(DRIVE(rl_close, fd) == 0);
  free(address);
  free(name);
}

/* Datagrams to a port without a socket. The ICMP answers are in the error queue. */
static void error_queue(const char *host, int level, int option) {
  void *address;
  int length = resolve(host, 0, &address), family = ((struct sockaddr *)address)->sa_family;
  int closed = DRIVE(rl_socket, family, SOCK_DGRAM), fd = DRIVE(rl_socket, family, SOCK_DGRAM);
  EXPECT(DRIVE(rl_bind, closed, address, length) == 0 && DRIVE(rl_sockname, closed, 0, address, length) == length);
  EXPECT(DRIVE(rl_close, closed) == 0);
  EXPECT(DRIVE(rl_drain_errors, fd) == 0);
  EXPECT(DRIVE(rl_setsockopt, fd, level, option, 1) == 0);
  for (int i = 0; i < 3; i++)
    sendto(fd, "x", 1, 0, address, length);
  EXPECT(DRIVE(rl_drain_errors, fd) == ECONNREFUSED && DRIVE(rl_drain_errors, fd) == 0);
  EXPECT(DRIVE(rl_drain_errors, -1) == 0);
  EXPECT(DRIVE(rl_close, fd) == 0);
  free(address);
}

static void multicast(void) {
  int fd = DRIVE(rl_socket, AF_INET, SOCK_DGRAM);
  struct ip_mreq *request = calloc(1, sizeof(*request));
  inet_pton(AF_INET, "239.1.2.3", &request->imr_multiaddr);
  inet_pton(AF_INET, "127.0.0.1", &request->imr_interface);
  EXPECT(DRIVE(rl_setsockopt_bytes, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, request, sizeof(*request)) == 0);
  EXPECT(DRIVE(rl_setsockopt_bytes, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, request, sizeof(*request)) == -EADDRINUSE);
  EXPECT(DRIVE(rl_setsockopt_bytes, fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, request, sizeof(*request)) == 0);
  EXPECT(DRIVE(rl_setsockopt_bytes, fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, request, 3) == -EINVAL);
  EXPECT(DRIVE(rl_setsockopt, fd, IPPROTO_IP, IP_MULTICAST_TTL, 300) == -EINVAL);
  EXPECT(DRIVE(rl_close, fd) == 0);
  free(request);
}

/* ---- files ----------------------------------------------------------------------------------- */

enum { FILE_BYTES = 100000 };

static void files(const char *path) {
  EXPECT(mkdir(path, 0700) == 0);
  int directory = open(path, O_RDONLY | O_DIRECTORY);
  int written = openat(directory, "file", O_CREAT | O_WRONLY, 0600);
  char *bytes = malloc(FILE_BYTES), *received = malloc(FILE_BYTES + 100);
  for (int i = 0; i < FILE_BYTES; i++)
    bytes[i] = (char)(i * 7);
  EXPECT(write(written, bytes, FILE_BYTES) == FILE_BYTES && DRIVE(rl_close, written) == 0);
  EXPECT(symlinkat("/etc/passwd", directory, "out") == 0);

  int file = DRIVE(rl_open_within, directory, "../../file");
  if (file == -ENOSYS) { /* valgrind 3.19 does not know openat2. */
    file = openat(directory, "file", O_RDONLY);
  } else {
    EXPECT(DRIVE(rl_open_within, directory, "missing") == -ENOENT && DRIVE(rl_open_within, directory, "") == -ENOENT);
    EXPECT(DRIVE(rl_open_within, directory, "out") == -ENOENT && DRIVE(rl_open_within, -1, "file") == -EBADF);
    char *long_path = malloc(5000);
    memset(long_path, 'x', 4999);
    long_path[4999] = 0;
    EXPECT(DRIVE(rl_open_within, directory, long_path) == -ENAMETOOLONG);
    free(long_path);
  }
  EXPECT(file >= 0);

  EXPECT(DRIVE(rl_seek, file, 0, SEEK_END) == FILE_BYTES && DRIVE(rl_seek, file, 5, SEEK_SET) == 5);
  EXPECT((DRIVE(rl_status_flags, file) & O_ACCMODE) == (fcntl(file, F_GETFL) & O_ACCMODE) && DRIVE(rl_status_flags, -1) == -EBADF);
  EXPECT(DRIVE(rl_seek, file, -1, SEEK_SET) == -EINVAL && DRIVE(rl_seek, -1, 0, SEEK_SET) == -EBADF);

  int pair[2];
  EXPECT(DRIVE(rl_socketpair, pair) == 0 && DRIVE(rl_set_blocking, pair[0]) == 0);
  const char *head = "head";
  int sent = DRIVE(rl_send_file, pair[0], head, 4, file, 1000, 5000);
  EXPECT(sent > 4 && sent <= 5004);
  EXPECT(read(pair[1], received, FILE_BYTES) == sent);
  EXPECT(memcmp(received, head, 4) == 0 && memcmp(received + 4, bytes + 1000, sent - 4) == 0);
  EXPECT(DRIVE(rl_send_file, pair[0], NULL, 0, file, FILE_BYTES - 1, 1) == 1);
  EXPECT(read(pair[1], received, FILE_BYTES) == 1 && received[0] == bytes[FILE_BYTES - 1]);
  EXPECT(DRIVE(rl_send_file, pair[0], NULL, 0, file, FILE_BYTES, 10) == 0);
  EXPECT(DRIVE(rl_send_now, pair[0], (double)(uintptr_t)bytes, 100, 0) == 100);
  struct iovec pieces[] = {{(void *)head, 4}, {bytes, 96}};
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
  EXPECT(DRIVE(rl_send_now, pair[0], 0, 0, (double)(uintptr_t)&message) == 100);
  EXPECT(read(pair[1], received, FILE_BYTES) == 200 && memcmp(received + 100, head, 4) == 0);
  EXPECT(DRIVE(rl_received_bytes, pair[1]) == 0 && DRIVE(rl_received_bytes, -1) == -EBADF);
  EXPECT(DRIVE(rl_receive_now, pair[1], (double)(uintptr_t)received, 10) == -EAGAIN);
  EXPECT(write(pair[0], bytes + 50, 30) == 30 && DRIVE(rl_received_bytes, pair[1]) == 30);
  EXPECT(DRIVE(rl_receive_now, pair[1], (double)(uintptr_t)received, 10) == 10);
  EXPECT(DRIVE(rl_receive_now, pair[1], (double)(uintptr_t)(received + 10), 100) == 20);
  EXPECT(memcmp(received, bytes + 50, 30) == 0);
  while (DRIVE(rl_send_file, pair[0], head, 4, file, 0, FILE_BYTES) > 0)
    ;
  while (DRIVE(rl_send_now, pair[0], (double)(uintptr_t)bytes, FILE_BYTES, 0) > 0)
    ;
  EXPECT(DRIVE(rl_send_now, pair[0], (double)(uintptr_t)bytes, FILE_BYTES, 0) == -EAGAIN);
  EXPECT(DRIVE(rl_send_file, pair[0], head, 4, file, 0, FILE_BYTES) == -EAGAIN);
  EXPECT(DRIVE(rl_send_file, pair[0], NULL, 0, file, 0, FILE_BYTES) == -EAGAIN);
  EXPECT((fcntl(pair[0], F_GETFL) & O_NONBLOCK) == 0);
  EXPECT(DRIVE(rl_close, pair[1]) == 0);
  EXPECT(DRIVE(rl_send_file, pair[0], head, 4, file, 0, 10) == -EPIPE);
  EXPECT(DRIVE(rl_send_now, pair[0], (double)(uintptr_t)bytes, 10, 0) == -EPIPE);
  EXPECT(DRIVE(rl_send_file, -1, head, 4, file, 0, 10) == -EBADF && DRIVE(rl_send_file, pair[0], head, 4, -1, 0, 10) < 0);
  EXPECT(DRIVE(rl_receive_now, -1, (double)(uintptr_t)received, 10) == -EBADF);
  EXPECT(DRIVE(rl_close, pair[0]) == 0 && DRIVE(rl_close, file) == 0);
  EXPECT(unlinkat(directory, "file", 0) == 0 && unlinkat(directory, "out", 0) == 0);
  EXPECT(DRIVE(rl_close, directory) == 0 && rmdir(path) == 0);
  free(bytes);
  free(received);
}

/* ---- threads --------------------------------------------------------------------------------- */

static uint8_t *left;

/* Leaves a ring, two of three descriptors, memory and blocks. The end of the thread must free them. */
static void *ends(void *out) {
  double kept = DRIVE(rl_map, 8192), undone = DRIVE(rl_map, 4096);
  left = as_pointer(kept);
  memset(left, 1, 8192);
  rl_block_allocate(100);
  rl_block_allocate(100);
  EXPECT(DRIVE(rl_unmap, undone, 4096) == 0);
  struct owned *owned = as_pointer(DRIVE(rl_owned));
  EXPECT(as_pointer(DRIVE(rl_owned)) == owned);
  uint32_t *words = owned->descriptors;
  int *fds = out;
  for (int i = 0; i < 3; i++) {
    fds[i] = rl_eventfd();
    EXPECT(fds[i] >= 0);
    words[fds[i] / 32] |= 1u << fds[i] % 32;
  }
  words[fds[1] / 32] &= ~(1u << fds[1] % 32);
  words[RL_OWNED_DESCRIPTORS / 32 - 1] |= 1u << 31; /* The last descriptor, which is not open. */
  double in[IN_WORDS] = {8}, map[OUT_WORDS];
  EXPECT(rl_ring_open(in, map) == 0);
  owned->rings[RL_OWNED_RINGS - 1] = (uint64_t)map[0];
  return NULL;
}

/* A listening socket and its connections: one that the program knows, one that is being reported to
 * it, one in the batch, one in the ring. */
struct accepted {
  int listener, clients[4], told;
};

static void *accepts(void *out) {
  struct accepted *accepted = out;
  struct owned *owned = as_pointer(DRIVE(rl_owned));
  double in[IN_WORDS] = {8}, map[OUT_WORDS];
  EXPECT(rl_ring_open(in, map) == 0);
  struct io_uring *ring = as_pointer(map[0]);
  struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
  io_uring_prep_multishot_accept(sqe, accepted->listener, NULL, NULL, 0);
  sqe->user_data = (uint64_t)RL_DESCRIPTOR_KIND << 32;
  EXPECT(io_uring_submit(ring) == 1);
  struct batch *batch = calloc(1, sizeof(*batch) + 3 * sizeof(batch->completions[0]));
  struct sockaddr_in address;
  socklen_t length = sizeof(address);
  EXPECT(getsockname(accepted->listener, (struct sockaddr *)&address, &length) == 0);
  for (int i = 0; i < 4; i++) {
    accepted->clients[i] = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(connect(accepted->clients[i], (struct sockaddr *)&address, length) == 0);
    if (i == 3)
      break;
    struct io_uring_cqe *cqe;
    EXPECT(io_uring_wait_cqe(ring, &cqe) == 0);
    batch->completions[i].user_data = cqe->user_data;
    batch->completions[i].res = cqe->res;
    io_uring_cqe_seen(ring, cqe);
  }
  accepted->told = batch->completions[0].res;
  batch->next = 2;
  batch->count = 3;
  owned->rings[3] = (uint64_t)map[0];
  owned->batches[3] = (uint64_t)(uintptr_t)batch;
  return batch;
}

static void accepting_thread(void) {
  struct accepted accepted = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
  struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  EXPECT(bind(accepted.listener, (struct sockaddr *)&loopback, sizeof(loopback)) == 0);
  EXPECT(listen(accepted.listener, 8) == 0);
  pthread_t thread;
  void *batch;
  EXPECT(pthread_create(&thread, NULL, accepts, &accepted) == 0 && pthread_join(thread, &batch) == 0);
  free(batch);
  EXPECT(close(accepted.told) == 0);     /* The program knows this connection, so it closes it. */
  EXPECT(close(accepted.listener) == 0); /* Connections that were never accepted are reset. */
  for (int i = 0; i < 4; i++) {
    char byte;
    struct timeval limit = {.tv_sec = 5};
    EXPECT(setsockopt(accepted.clients[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    EXPECT(read(accepted.clients[i], &byte, 1) == 0 || errno == ECONNRESET);
    close(accepted.clients[i]);
  }
}

static void threads(void) {
  pthread_t thread;
  int fds[3];
  EXPECT(pthread_create(&thread, NULL, ends, fds) == 0 && pthread_join(thread, NULL) == 0);
  EXPECT(rl_close(fds[0]) == -EBADF && rl_close(fds[2]) == -EBADF);
  EXPECT(rl_close(fds[1]) == 0);
  for (int i = 0; i < 8192; i++)
    EXPECT(left[i] == 0);
  EXPECT(DRIVE(rl_unmap, (double)(uintptr_t)left, 8192) == 0);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* In place, and from memory to other memory. */
static void unmasking(void) {
  const uint32_t key = 0x84736251;
  for (uint32_t length = 0; length < 100; length++) {
    for (int offset = 0; offset < 8; offset++) {
      uint8_t *memory = malloc(offset + length), *bytes = memory + offset, *copy = malloc(length);
      int ascii = 1;
      for (uint32_t i = 0; i < length; i++) {
        uint8_t plain = (uint8_t)(i * 31 + offset);
        ascii &= plain < 128;
        bytes[i] = plain ^ (uint8_t)(key >> (i & 3) * 8);
      }
      EXPECT(DRIVE(rl_unmask, bytes, copy, length, key) == ascii);
      EXPECT(DRIVE(rl_unmask, bytes, bytes, length, key) == ascii);
      for (uint32_t i = 0; i < length; i++)
        EXPECT(bytes[i] == (uint8_t)(i * 31 + offset) && copy[i] == bytes[i]);
      free(copy);
      free(memory);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 1;
  int before = open_descriptors();
  layouts();
  for (int i = 0; i < 3; i++) {
    ring_with(0);
    ring_with(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL);
    ring_with(IORING_SETUP_SQPOLL);
    newer_ring();
    ring_in_own_memory(0);
    ring_in_own_memory(IORING_SETUP_REGISTERED_FD_ONLY);
    received_into_a_buffer_ring();
  }
  refused_rings();
  mapped_memory();
  blocks_of_memory();
  descriptors();
  makers();
  epolls();
  addresses();
  stream_sockets();
  unix_sockets();
  error_queue("127.0.0.1", IPPROTO_IP, IP_RECVERR);
  error_queue("::1", IPPROTO_IPV6, IPV6_RECVERR);
  multicast();
  files(argv[1]);
  threads();
  accepting_thread();
  unmasking();
  EXPECT(DRIVE(rl_thread_cpu_ns) > 0);
  EXPECT(open_descriptors() == before);
  for (int i = 0; i < driven_count; i++)
    puts(driven[i]);
}
