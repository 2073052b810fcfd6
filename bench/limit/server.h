/*
 * The common part of the reference servers in C: the two services, and an outgoing queue for each
 * connection. The servers have one thread, use TCP on loopback, and print the port to stdout. They
 * do as little as possible: echo, and HTTP/1.1 GET that looks only for the end of each head. The
 * response is as long as ringloop's.
 */
#ifndef RINGLOOP_BENCH_SERVER_H
#define RINGLOOP_BENCH_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 65536
#define HEAD_BYTES_MAX 16384

static inline void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Bytes to send. Bytes that are written during a send go into the other half. */
struct queue {
  char *bytes;
  size_t length, capacity;
};

struct connection {
  int fd;
  int sending, dirty, closing, ended;
  size_t sent;
  struct queue halves[2]; /* [0] is being sent, [1] is being filled. */
  char *head; /* The beginning of an incomplete head. */
  size_t head_length;
};

static struct connection *connections[CONNECTIONS_MAX];

static inline char *reserve(struct queue *queue, size_t bytes) {
  if (queue->length + bytes > queue->capacity) {
    while (queue->length + bytes > queue->capacity)
      queue->capacity = queue->capacity ? queue->capacity * 2 : 4096;
    queue->bytes = realloc(queue->bytes, queue->capacity);
    if (queue->bytes == NULL)
      fail("realloc");
  }
  return queue->bytes + queue->length;
}

static inline void write_out(struct connection *c, const char *bytes, size_t length) {
  memcpy(reserve(&c->halves[1], length), bytes, length);
  c->halves[1].length += length;
}

static char response[256];
static size_t response_length;

/* Updates the date once a second, as servers do. */
static inline void refresh_date(void) {
  static time_t last;
  time_t now = time(NULL);
  if (now == last)
    return;
  last = now;
  char date[64];
  struct tm tm;
  strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
  response_length = (size_t)snprintf(response, sizeof(response),
                                     "HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=utf-8\r\nDate: %s\r\n"
                                     "Content-Length: 13\r\n\r\nHello, World!",
                                     date);
}

static inline void serve_http(struct connection *c, const char *bytes, size_t length) {
  char joined[HEAD_BYTES_MAX + 65536];
  if (c->head_length > 0) {
    if (c->head_length + length > sizeof(joined)) {
      c->closing = 1;
      return;
    }
    memcpy(joined, c->head, c->head_length);
    memcpy(joined + c->head_length, bytes, length);
    bytes = joined;
    length += c->head_length;
    c->head_length = 0;
  }
  const char *at = bytes, *end = bytes + length;
  while (at < end) {
    const char *stop = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    if (stop == NULL)
      break;
    if (memcmp(at, "GET ", 4) != 0) {
      c->closing = 1;
      return;
    }
    write_out(c, response, response_length);
    at = stop + 4;
  }
  size_t rest = (size_t)(end - at);
  if (rest == 0)
    return;
  if (rest > HEAD_BYTES_MAX) {
    c->closing = 1;
    return;
  }
  if (c->head == NULL)
    c->head = malloc(HEAD_BYTES_MAX);
  memcpy(c->head, at, rest);
  c->head_length = rest;
}

static int is_http;

static inline void serve(struct connection *c, const char *bytes, size_t length) {
  if (is_http)
    serve_http(c, bytes, length);
  else
    write_out(c, bytes, length);
}

/* Makes the filled half the one to send. Returns whether it has bytes. */
static inline int next_half(struct connection *c) {
  if (c->halves[1].length == 0)
    return 0;
  struct queue filled = c->halves[1];
  c->halves[1] = c->halves[0];
  c->halves[1].length = 0;
  c->halves[0] = filled;
  c->sent = 0;
  return 1;
}

static inline struct connection *new_connection(int fd) {
  if (fd >= CONNECTIONS_MAX)
    fail("too many descriptors");
  struct connection *c = calloc(1, sizeof(*c));
  if (c == NULL)
    fail("calloc");
  c->fd = fd;
  connections[fd] = c;
  return c;
}

static inline void free_connection(struct connection *c) {
  connections[c->fd] = NULL;
  free(c->halves[0].bytes);
  free(c->halves[1].bytes);
  free(c->head);
  free(c);
}

static inline int listen_on_loopback(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
      bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 4096) < 0 ||
      getsockname(fd, (struct sockaddr *)&address, &length) < 0)
    fail("listen");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static inline void read_service(int argc, char **argv, const char *usage) {
  if (argc < 2 || (strcmp(argv[1], "echo") != 0 && strcmp(argv[1], "http") != 0)) {
    fprintf(stderr, "usage: %s\n", usage);
    exit(2);
  }
  is_http = strcmp(argv[1], "http") == 0;
}

#endif
