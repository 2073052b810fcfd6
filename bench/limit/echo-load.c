/*
 * Closed-loop load for a TCP echo server: each connection sends a message, waits for all of it to come back, checks every byte, and
 * sends the next. One thread over io_uring, so that on two cores it is not the bottleneck.
 *
 *   echo-load HOST PORT CONNECTIONS SECONDS BYTES
 *
 * Prints one line of JSON: messages, seconds, errors, latency percentiles in microseconds. Exits 1 when an echo was wrong or lost.
 */
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 1024
#define BUFFER_BYTES 16384
#define BUCKETS 4096 /* of 1 us up to 1024 us, then of 1 ms */

struct client {
  int fd;
  unsigned received;
  unsigned sent;
  char byte;
  uint64_t started_ns;
  char *message;
};

static struct io_uring ring;
static struct client *clients;
static struct io_uring_buf_ring *buffers;
static char *pool;
static unsigned connections, message_bytes;
static uint64_t messages, errors, histogram[BUCKETS];
static int measuring;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static struct io_uring_sqe *next_sqe(void) {
  struct io_uring_sqe *sqe;
  while ((sqe = io_uring_get_sqe(&ring)) == NULL)
    io_uring_submit(&ring);
  return sqe;
}

static void arm_receive(unsigned i) {
  struct io_uring_sqe *sqe = next_sqe();
  io_uring_prep_recv_multishot(sqe, clients[i].fd, NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
  io_uring_sqe_set_data64(sqe, i);
}

static void send_rest(unsigned i) {
  struct client *c = &clients[i];
  struct io_uring_sqe *sqe = next_sqe();
  io_uring_prep_send(sqe, c->fd, c->message + c->sent, message_bytes - c->sent, MSG_NOSIGNAL);
  io_uring_sqe_set_data64(sqe, (uint64_t)i | 1ULL << 32);
}

static void start_message(unsigned i) {
  struct client *c = &clients[i];
  c->received = c->sent = 0;
  c->byte++;
  memset(c->message, c->byte, message_bytes);
  c->started_ns = now_ns();
  send_rest(i);
}

static void finish_message(unsigned i) {
  uint64_t us = (now_ns() - clients[i].started_ns) / 1000;
  if (measuring) {
    uint64_t bucket = us < 1024 ? us : 1024 + us / 1000;
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    messages++;
  }
  start_message(i);
}

static void on_receive(unsigned i, struct io_uring_cqe *cqe) {
  struct client *c = &clients[i];
  if (cqe->res > 0) {
    unsigned bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    char *data = pool + (size_t)bid * BUFFER_BYTES;
    for (int k = 0; k < cqe->res; k++)
      if (data[k] != c->byte)
        errors++;
    io_uring_buf_ring_add(buffers, data, BUFFER_BYTES, bid, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
    c->received += cqe->res;
    if (c->received > message_bytes)
      errors++;
    if (c->received == message_bytes)
      finish_message(i);
  } else if (cqe->res != -ENOBUFS) {
    errors++;
    return;
  }
  if (!(cqe->flags & IORING_CQE_F_MORE))
    arm_receive(i);
}

static void on_send(unsigned i, struct io_uring_cqe *cqe) {
  if (cqe->res < 0) {
    errors++;
    return;
  }
  clients[i].sent += cqe->res;
  if (clients[i].sent < message_bytes)
    send_rest(i);
}

static void run_until(uint64_t end_ns) {
  struct io_uring_cqe *batch[512];
  struct __kernel_timespec limit = {.tv_nsec = 50000000};
  while (now_ns() < end_ns) {
    struct io_uring_cqe *first;
    io_uring_submit_and_wait_timeout(&ring, &first, 1, &limit, NULL);
    unsigned count;
    while ((count = io_uring_peek_batch_cqe(&ring, batch, 512)) > 0) {
      for (unsigned k = 0; k < count; k++) {
        uint64_t data = io_uring_cqe_get_data64(batch[k]);
        if (data >> 32)
          on_send((unsigned)data, batch[k]);
        else
          on_receive((unsigned)data, batch[k]);
      }
      io_uring_cq_advance(&ring, count);
    }
  }
}

static double percentile(double p) {
  uint64_t below = 0;
  for (unsigned i = 0; i < BUCKETS; i++) {
    below += histogram[i];
    if (below > 0 && below >= messages * p)
      return i < 1024 ? i : (i - 1024) * 1000.0;
  }
  return 0;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: echo-load HOST PORT CONNECTIONS SECONDS BYTES\n");
    return 2;
  }
  connections = atoi(argv[3]);
  double seconds = atof(argv[4]);
  message_bytes = atoi(argv[5]);
  struct io_uring_params params = {
      .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
      .cq_entries = 16384,
  };
  if (io_uring_queue_init_params(4096, &ring, &params) < 0)
    die("io_uring_queue_init");
  if (posix_memalign((void **)&pool, 4096, (size_t)BUFFERS * BUFFER_BYTES) ||
      posix_memalign((void **)&buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)))
    die("memory");
  io_uring_buf_ring_init(buffers);
  struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)buffers, .ring_entries = BUFFERS, .bgid = 0};
  if (io_uring_register_buf_ring(&ring, &registration, 0) < 0)
    die("io_uring_register_buf_ring");
  for (unsigned b = 0; b < BUFFERS; b++)
    io_uring_buf_ring_add(buffers, pool + (size_t)b * BUFFER_BYTES, BUFFER_BYTES, b, io_uring_buf_ring_mask(BUFFERS), b);
  io_uring_buf_ring_advance(buffers, BUFFERS);

  clients = calloc(connections, sizeof(*clients));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (clients == NULL || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
    die("address");
  for (unsigned i = 0; i < connections; i++) {
    int one = 1;
    clients[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    clients[i].message = malloc(message_bytes);
    clients[i].byte = (char)i;
    if (clients[i].fd < 0 || connect(clients[i].fd, (struct sockaddr *)&address, sizeof(address)) < 0)
      die("connect");
    setsockopt(clients[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    arm_receive(i);
    start_message(i);
  }
  run_until(now_ns() + (uint64_t)(seconds * 0.2e9));
  measuring = 1;
  uint64_t begin = now_ns();
  run_until(begin + (uint64_t)(seconds * 1e9));
  double elapsed = (now_ns() - begin) / 1e9;
  printf("{\"messages\":%llu,\"seconds\":%.3f,\"errors\":%llu,\"p50_us\":%.0f,\"p99_us\":%.0f}\n",
         (unsigned long long)messages, elapsed, (unsigned long long)errors, percentile(0.5), percentile(0.99));
  return errors > 0;
}
