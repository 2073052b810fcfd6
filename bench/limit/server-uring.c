/*
 * The reference in C over liburing, with the features that ringloop uses: multishot accept and
 * receive, provided buffers, one send for each connection and batch: server-uring echo|http
 * defer|sqpoll.
 */
#define _GNU_SOURCE
#include "server.h"
#include <liburing.h>

#define ENTRIES 1024
#define COMPLETIONS 8192
#define BUFFERS 2048
#define BUFFER_BYTES 16384

enum kind { ACCEPT, RECEIVE, SEND };

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static int listener;
static struct connection *dirty[CONNECTIONS_MAX];
static unsigned dirty_count;

static struct io_uring_sqe *next_sqe(void) {
  struct io_uring_sqe *sqe;
  while ((sqe = io_uring_get_sqe(&ring)) == NULL)
    io_uring_submit(&ring);
  return sqe;
}

static void tag(struct io_uring_sqe *sqe, enum kind kind, int fd) { sqe->user_data = ((unsigned long long)kind << 32) | (unsigned)fd; }

static void arm_accept(void) {
  struct io_uring_sqe *sqe = next_sqe();
  io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
  tag(sqe, ACCEPT, listener);
}

static void arm_receive(int fd) {
  struct io_uring_sqe *sqe = next_sqe();
  io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
  tag(sqe, RECEIVE, fd);
}

static void provide(unsigned short bid, int offset) {
  io_uring_buf_ring_add(buffers, memory + (size_t)bid * BUFFER_BYTES, BUFFER_BYTES, bid, io_uring_buf_ring_mask(BUFFERS), offset);
}

static void send_next(struct connection *c) {
  if (c->sending || (c->sent == c->halves[0].length && !next_half(c)))
    return;
  struct io_uring_sqe *sqe = next_sqe();
  io_uring_prep_send(sqe, c->fd, c->halves[0].bytes + c->sent, c->halves[0].length - c->sent, MSG_NOSIGNAL);
  tag(sqe, SEND, c->fd);
  c->sending = 1;
}

static void mark(struct connection *c) {
  if (c->dirty)
    return;
  c->dirty = 1;
  dirty[dirty_count++] = c;
}

/*
 * Closes the descriptor when no operation of the connection is in flight. Only then may another
 * connection use it.
 */
static void finish(struct connection *c) {
  if (!c->ended)
    shutdown(c->fd, SHUT_RDWR); /* This ends the receive. */
  if (c->sending || !c->ended)
    return;
  close(c->fd);
  free_connection(c);
}

static void completed(struct io_uring_cqe *cqe) {
  enum kind kind = (enum kind)(cqe->user_data >> 32);
  int fd = (int)cqe->user_data, result = cqe->res;
  struct connection *c = kind == ACCEPT ? NULL : connections[fd];
  switch (kind) {
  case ACCEPT:
    if (result >= 0) {
      new_connection(result);
      arm_receive(result);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
      arm_accept();
    return;
  case RECEIVE:
    if (c == NULL)
      return;
    if (result > 0) {
      unsigned short bid = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
      serve(c, memory + (size_t)bid * BUFFER_BYTES, (size_t)result);
      provide(bid, 0);
      io_uring_buf_ring_advance(buffers, 1);
      mark(c);
      if (!(cqe->flags & IORING_CQE_F_MORE))
        arm_receive(fd);
      return;
    }
    if (result == -ENOBUFS) {
      arm_receive(fd);
      return;
    }
    c->closing = c->ended = 1;
    mark(c);
    return;
  case SEND:
    if (c == NULL)
      return;
    c->sending = 0;
    if (result < 0)
      c->closing = 1;
    else
      c->sent += (size_t)result;
    if (c->sent == c->halves[0].length)
      c->sent = c->halves[0].length = 0;
    mark(c);
    return;
  }
}

static void flush_dirty(void) {
  for (unsigned i = 0; i < dirty_count; i++) {
    struct connection *c = dirty[i];
    c->dirty = 0;
    if (c->closing)
      finish(c);
    else
      send_next(c);
  }
  dirty_count = 0;
}

int main(int argc, char **argv) {
  const char *usage = "server-uring echo|http defer|sqpoll";
  read_service(argc, argv, usage);
  int sqpoll = argc > 2 && strcmp(argv[2], "sqpoll") == 0;
  struct io_uring_params params = {
      .flags = sqpoll ? IORING_SETUP_SQPOLL | IORING_SETUP_CQSIZE
                      : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
      .cq_entries = COMPLETIONS,
      .sq_thread_idle = 10,
  };
  int failed = io_uring_queue_init_params(ENTRIES, &ring, &params);
  if (failed < 0) {
    errno = -failed;
    fail("io_uring_queue_init_params");
  }
  io_uring_register_ring_fd(&ring);
  memory = aligned_alloc(4096, (size_t)BUFFERS * BUFFER_BYTES);
  buffers = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
  if (memory == NULL || buffers == NULL)
    fail("aligned_alloc");
  struct io_uring_buf_reg registration = {.ring_addr = (unsigned long long)buffers, .ring_entries = BUFFERS, .bgid = 0};
  failed = io_uring_register_buf_ring(&ring, &registration, 0);
  if (failed < 0) {
    errno = -failed;
    fail("io_uring_register_buf_ring");
  }
  io_uring_buf_ring_init(buffers);
  for (int bid = 0; bid < BUFFERS; bid++)
    provide((unsigned short)bid, bid);
  io_uring_buf_ring_advance(buffers, BUFFERS);
  listener = listen_on_loopback();
  arm_accept();
  for (;;) {
    failed = io_uring_submit_and_wait(&ring, 1);
    if (failed < 0 && failed != -EINTR && failed != -EBUSY) {
      errno = -failed;
      fail("io_uring_submit_and_wait");
    }
    refresh_date();
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
      completed(cqe);
      count++;
    }
    io_uring_cq_advance(&ring, count);
    flush_dirty();
  }
}
