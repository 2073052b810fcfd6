/*
 * Load for echo over TCP, UDP and WebSocket, for HTTP GET, and for messages to many WebSockets. It
 * checks every answer. It has one thread over io_uring, so that on two cores it is not the
 * bottleneck.
 *
 *   load echo|udp|http|ws PORT CONNECTIONS SECONDS BYTES [RATE [PATH]]
 *   load fan PORT CONNECTIONS SECONDS BYTES COUNT PATH
 *
 * fan: the first WebSocket sends a message. The server answers with COUNT messages to each
 * WebSocket. When the first WebSocket has its COUNT messages, it sends the next one. The result
 * counts the received messages of all WebSockets. A PATH that contains "deflate" asks for
 * permessage-deflate.
 *
 * Closed loop: without RATE (or with 0), each connection sends its next message after the answer to
 * the last one. Open loop: with RATE, that many messages a second are due at even intervals,
 * whatever the server does. Latency counts from the time at which a message was due. So the figures
 * include the wait for a free connection (no coordinated omission). The first fifth of a second is
 * not counted.
 *
 * Prints one line of JSON: messages, messages before the counted time, seconds, errors (a wrong,
 * lost or refused answer), and latency percentiles in microseconds. The percentiles come from a
 * histogram of three significant digits. Exits with 1 after an error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 2048
#define BUFFER_BYTES 16384
#define WAITING_MAX (1 << 20)
#define WARM_UP_NS 200000000ULL
/* A datagram without an answer after this time is lost. */
#define LOST_NS 1000000000ULL
/* 1024 values for each power of two above 2048 us. */
#define SUB_BITS 10
#define BUCKETS ((64 - SUB_BITS) << SUB_BITS)

enum service { ECHO, UDP, HTTP, WS, FAN };

struct client {
  int fd;
  int busy;
  size_t received, sent;
  unsigned char byte;
  uint64_t due_ns, started_ns;
  char *message;
  /*
   * The frame that is being received: the received part of its head, and the rest of its payload.
   */
  unsigned char head[14];
  unsigned head_length, frames;
  uint64_t frame_left;
};

static struct io_uring ring;
static struct client *clients;
static struct io_uring_buf_ring *buffers;
static char *pool;
static enum service service;
static unsigned connections;
/* head_bytes: size of the head of a sent frame. */
static size_t message_bytes, answer_bytes, head_bytes;
static unsigned fan_count;
static uint64_t messages, warm_up_messages, errors, histogram[BUCKETS];
static int measuring, stopping;

static double interval_ns, next_due_ns;
static uint64_t waiting[WAITING_MAX]; /* Due times of messages for which no connection was free. */
static unsigned waiting_head, waiting_tail;
static unsigned *idle, idle_count;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static struct io_uring_sqe *next_sqe(void) {
  struct io_uring_sqe *sqe;
  while ((sqe = io_uring_get_sqe(&ring)) == NULL)
    io_uring_submit(&ring);
  return sqe;
}

static unsigned bucket_of(uint64_t us) {
  if (us < 2ULL << SUB_BITS)
    return (unsigned)us;
  unsigned shift = 63U - (unsigned)__builtin_clzll(us) - SUB_BITS;
  return ((shift + 1U) << SUB_BITS) + (unsigned)((us >> shift) - (1ULL << SUB_BITS));
}

static double value_of(unsigned bucket) {
  if (bucket < 2U << SUB_BITS)
    return bucket;
  unsigned shift = (bucket >> SUB_BITS) - 1U;
  return (double)(((uint64_t)(bucket & ((1U << SUB_BITS) - 1U)) + (1ULL << SUB_BITS)) << shift);
}

static double percentile(double p) {
  uint64_t below = 0;
  for (unsigned i = 0; i < BUCKETS; i++) {
    below += histogram[i];
    if (below > 0 && (double)below >= (double)messages * p)
      return value_of(i);
  }
  return 0;
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

static void start(unsigned i, uint64_t due_ns) {
  struct client *c = &clients[i];
  c->busy = 1;
  c->received = c->sent = 0;
  c->due_ns = due_ns;
  c->started_ns = now_ns();
  if (service != HTTP) {
    c->byte++;
    memset(c->message + head_bytes, c->byte, message_bytes - head_bytes);
  }
  send_rest(i);
}

/* Sends the due messages on free connections. */
static void send_due(uint64_t now) {
  while (next_due_ns <= (double)now) {
    uint64_t due = (uint64_t)next_due_ns;
    next_due_ns += interval_ns;
    if (idle_count > 0)
      start(idle[--idle_count], due);
    else if (waiting_tail - waiting_head < WAITING_MAX)
      waiting[waiting_tail++ % WAITING_MAX] = due;
    else
      errors++;
  }
}

static void became_free(unsigned i) {
  clients[i].busy = 0;
  if (stopping)
    return;
  if (interval_ns == 0)
    start(i, now_ns());
  else if (waiting_head != waiting_tail)
    start(i, waiting[waiting_head++ % WAITING_MAX]);
  else
    idle[idle_count++] = i;
}

static void answered(unsigned i) {
  if (measuring) {
    histogram[bucket_of((now_ns() - clients[i].due_ns) / 1000)]++;
    messages++;
  } else
    warm_up_messages++;
  became_free(i);
}

static void check(struct client *c, const char *data, size_t bytes) {
  if (service == HTTP) {
    static const char ok[] = "HTTP/1.1 200 ";
    for (size_t k = 0; k < bytes && c->received + k < sizeof(ok) - 1; k++)
      if (data[k] != ok[c->received + k]) {
        errors++;
        return;
      }
    return;
  }
  for (size_t k = 0; k < bytes; k++)
    if ((unsigned char)data[k] != c->byte) {
      errors++;
      return;
    }
}

/* Handles a whole received frame. */
static void received_frame(unsigned i) {
  struct client *c = &clients[i];
  if (service == WS) {
    if (c->busy)
      answered(i);
    else
      errors++;
    return;
  }
  if (measuring) {
    messages++;
    histogram[bucket_of((now_ns() - clients[0].started_ns) / 1000)]++;
  } else
    warm_up_messages++;
  if (++c->frames == fan_count) {
    c->frames = 0;
    if (i == 0 && !stopping)
      start(0, now_ns());
  }
}

/*
 * Reads frames of a server (RFC 6455 section 5.2), which are neither masked nor fragmented. Checks
 * payloads without compression.
 */
static void receive_frames(unsigned i, const unsigned char *data, size_t bytes) {
  struct client *c = &clients[i];
  while (bytes > 0) {
    if (c->frame_left > 0) {
      size_t part = bytes < c->frame_left ? bytes : c->frame_left;
      /* The first WebSocket may send its next message before all others have the last one. */
      unsigned char expected = service == WS ? c->byte : data[0];
      int known = service == WS || data[0] == clients[0].byte || data[0] == (unsigned char)(clients[0].byte - 1);
      if ((c->head[0] & 0x40) == 0 && (!known || data[0] != expected || data[part - 1] != expected))
        errors++;
      c->frame_left -= part;
      data += part;
      bytes -= part;
      if (c->frame_left == 0)
        received_frame(i);
      continue;
    }
    c->head[c->head_length++] = *data++;
    bytes--;
    unsigned length = c->head[1] & 0x7f, wanted = length == 127 ? 10 : length == 126 ? 4 : 2;
    if (c->head_length < 2 || c->head_length < wanted)
      continue;
    c->head_length = 0;
    if ((c->head[0] & 0x8f) != 0x82 || (c->head[1] & 0x80))
      errors++;
    c->frame_left = length;
    if (wanted > 2) {
      c->frame_left = 0;
      for (unsigned k = 2; k < wanted; k++)
        c->frame_left = c->frame_left << 8 | c->head[k];
    }
  }
}

static void on_receive(unsigned i, struct io_uring_cqe *cqe) {
  struct client *c = &clients[i];
  if (cqe->res > 0) {
    unsigned short bid = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    char *data = pool + (size_t)bid * BUFFER_BYTES;
    size_t bytes = (size_t)cqe->res;
    if (service >= WS)
      receive_frames(i, (unsigned char *)data, bytes);
    else if (c->busy) {
      check(c, data, bytes);
      c->received += bytes;
      if (c->received > answer_bytes)
        errors++;
    } else if (service != UDP) /* A datagram may arrive late. */
      errors++;
    io_uring_buf_ring_add(buffers, data, BUFFER_BYTES, bid, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
    if (service < WS && c->busy && c->received >= answer_bytes)
      answered(i);
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
  clients[i].sent += (size_t)cqe->res;
  if (clients[i].sent < message_bytes)
    send_rest(i);
}

static void give_up_lost(void) {
  uint64_t now = now_ns(); /* This time is later than the start of any message. */
  for (unsigned i = 0; i < connections; i++)
    if (clients[i].busy && now - clients[i].started_ns > LOST_NS) {
      errors++;
      became_free(i);
    }
}

static void run_until(uint64_t end_ns) {
  struct io_uring_cqe *batch[512];
  uint64_t now, looked_ns = now_ns();
  while ((now = now_ns()) < end_ns) {
    if (interval_ns > 0)
      send_due(now);
    if (service == UDP && now - looked_ns > LOST_NS / 10) {
      looked_ns = now;
      give_up_lost();
    }
    uint64_t wait_ns = end_ns - now < 50000000 ? end_ns - now : 50000000;
    if (interval_ns > 0 && next_due_ns - (double)now < (double)wait_ns)
      wait_ns = next_due_ns > (double)now ? (uint64_t)(next_due_ns - (double)now) : 1;
    struct __kernel_timespec limit = {.tv_nsec = (long long)wait_ns};
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
      if (interval_ns > 0)
        send_due(now_ns());
    }
  }
}

static int open_socket(const struct sockaddr_in *address) {
  int one = 1, fd = socket(AF_INET, service == UDP ? SOCK_DGRAM : SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
    die("connect");
  if (service != UDP)
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

/* Returns the length of the answer to `request`. It sends the request once and reads the answer. */
static size_t measure_answer(const struct sockaddr_in *address, const char *request) {
  static char answer[65536];
  size_t length = 0;
  int fd = open_socket(address);
  if (send(fd, request, strlen(request), 0) < 0)
    die("send");
  for (;;) {
    ssize_t received = recv(fd, answer + length, sizeof(answer) - 1 - length, 0);
    if (received <= 0)
      die("the first answer");
    length += (size_t)received;
    answer[length] = 0;
    char *end = strstr(answer, "\r\n\r\n"), *field = strcasestr(answer, "\r\nContent-Length:");
    if (end == NULL)
      continue;
    if (field == NULL || field > end) {
      fprintf(stderr, "load: the answer has no Content-Length\n");
      exit(1);
    }
    close(fd);
    return (size_t)(end + 4 - answer) + strtoull(field + 17, NULL, 10);
  }
}

static void shake_hands(int fd, const char *path) {
  char request[512], answer[2048];
  int length = snprintf(request, sizeof(request),
                        "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                        path, strstr(path, "deflate") ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
  if (send(fd, request, (size_t)length, 0) != length)
    die("send");
  /* Reads byte by byte, because frames may follow. */
  size_t got = 0;
  while (got < sizeof(answer) - 1 && recv(fd, answer + got, 1, 0) == 1) {
    answer[++got] = 0;
    if (got >= 4 && memcmp(answer + got - 4, "\r\n\r\n", 4) == 0) {
      if (strncmp(answer, "HTTP/1.1 101 ", 13) == 0)
        return;
      break;
    }
  }
  fprintf(stderr, "load: no WebSocket: %s\n", answer);
  exit(1);
}

/* Makes a masked binary frame with the key 0. */
static char *make_frame(size_t bytes) {
  unsigned char *frame = calloc(1, bytes + 14);
  if (frame == NULL)
    die("memory");
  frame[0] = 0x82;
  frame[1] = (unsigned char)(0x80 | (bytes < 126 ? bytes : bytes < 65536 ? 126 : 127));
  unsigned width = bytes < 126 ? 0 : bytes < 65536 ? 2 : 8;
  for (unsigned k = 0; k < width; k++)
    frame[2 + k] = (unsigned char)(bytes >> (8 * (width - 1 - k)));
  head_bytes = 2 + width + 4;
  message_bytes = head_bytes + bytes;
  return (char *)frame;
}

int main(int argc, char **argv) {
  static const char *const names[] = {"echo", "udp", "http", "ws", "fan"};
  int known = 0;
  for (; argc > 1 && known < 5 && strcmp(argv[1], names[known]) != 0; known++)
    ;
  if (argc < 6 || argc > 8 || known == 5 || (known == FAN && argc < 8)) {
    fprintf(stderr, "usage: load echo|udp|http|ws PORT CONNECTIONS SECONDS BYTES [RATE [PATH]]\n"
                    "       load fan PORT CONNECTIONS SECONDS BYTES COUNT PATH\n");
    return 2;
  }
  service = (enum service)known;
  connections = (unsigned)atoi(argv[3]);
  double seconds = atof(argv[4]);
  double rate = argc > 6 && service != FAN ? atof(argv[6]) : 0;
  fan_count = service == FAN ? (unsigned)atoi(argv[6]) : 0;
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(argv[2])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  static char request[4096];
  snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argc > 7 ? argv[7] : "/");
  message_bytes = service == HTTP ? strlen(request) : (size_t)atoi(argv[5]);
  answer_bytes = service == HTTP ? measure_answer(&address, request) : message_bytes;

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
    io_uring_buf_ring_add(buffers, pool + (size_t)b * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)b,
                          io_uring_buf_ring_mask(BUFFERS), (int)b);
  io_uring_buf_ring_advance(buffers, BUFFERS);

  clients = calloc(connections, sizeof(*clients));
  idle = calloc(connections, sizeof(*idle));
  if (clients == NULL || idle == NULL)
    die("memory");
  for (unsigned i = 0; i < connections; i++) {
    clients[i].fd = open_socket(&address);
    clients[i].byte = (unsigned char)i;
    clients[i].message = service == HTTP ? request : service >= WS ? make_frame((size_t)atoi(argv[5])) : malloc(message_bytes);
    if (clients[i].message == NULL)
      die("memory");
    if (service >= WS)
      shake_hands(clients[i].fd, argc > 7 ? argv[7] : "/");
    arm_receive(i);
  }
  uint64_t begin = now_ns();
  if (rate > 0) {
    interval_ns = 1e9 / rate;
    next_due_ns = (double)begin;
  }
  for (unsigned i = 0; i < (service == FAN ? 1 : connections); i++)
    became_free(i);
  run_until(begin + WARM_UP_NS);
  measuring = 1;
  begin = now_ns();
  run_until(begin + (uint64_t)(seconds * 1e9));
  double elapsed = (double)(now_ns() - begin) / 1e9;
  printf("{\"messages\":%llu,\"warm_up_messages\":%llu,\"seconds\":%.3f,\"errors\":%llu,\"p50_us\":%.0f,\"p90_us\":%.0f,\"p99_us\":%.0f,"
         "\"p999_us\":%.0f,\"max_us\":%.0f}\n",
         (unsigned long long)messages, (unsigned long long)warm_up_messages, elapsed, (unsigned long long)errors, percentile(0.5), percentile(0.9),
         percentile(0.99), percentile(0.999), percentile(1));
  return errors > 0;
}
