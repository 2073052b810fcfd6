/*
 * Compares SEND_ZC with SEND on a loopback connection, one send at a time. Prints the rate, the
 * sender's CPU per MiB, and how many of the kernel's notifications report a copy.
 *
 *   cc -O2 -Wall -o /tmp/send-zc bench/limit/send-zc.c -luring
 *   /tmp/send-zc 0 65536     (0: SEND, 1: SEND_ZC; bytes per send)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#define NOTIF_COPIED (1U << 31)
#define GOAL (4UL << 30)

static void *drain(void *argument) {
  int fd = (int)(long)argument;
  static char buffer[1 << 20];
  while (recv(fd, buffer, sizeof buffer, 0) > 0) {
  }
  return NULL;
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check(int result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

int main(int count, char **arguments) {
  if (count != 3 || atol(arguments[2]) <= 0) {
    fprintf(stderr, "usage: send-zc 0|1 BYTES\n");
    return 2;
  }
  int zero_copy = atoi(arguments[1]);
  size_t size = (size_t)atol(arguments[2]);

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  check(bind(listener, (struct sockaddr *)&address, length), "bind");
  check(listen(listener, 1), "listen");
  check(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
  int client = socket(AF_INET, SOCK_STREAM, 0);
  check(connect(client, (struct sockaddr *)&address, length), "connect");
  int peer = accept(listener, NULL, NULL);
  check(peer, "accept");
  pthread_t thread;
  pthread_create(&thread, NULL, drain, (void *)(long)peer);

  struct io_uring ring;
  struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
  check(io_uring_queue_init_params(8, &ring, &params), "io_uring_queue_init_params");
  char *data = aligned_alloc(4096, (size + 4095) & ~4095UL);
  memset(data, 1, size);

  double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
  size_t sent = 0, notifications = 0, copied = 0;
  while (sent < GOAL) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (zero_copy) io_uring_prep_send_zc(sqe, client, data, size, MSG_WAITALL, IORING_SEND_ZC_REPORT_USAGE);
    else io_uring_prep_send(sqe, client, data, size, MSG_WAITALL);
    io_uring_submit_and_wait(&ring, 1);
    for (int expected = 1; expected > 0; expected--) {
      struct io_uring_cqe *cqe;
      check(io_uring_wait_cqe(&ring, &cqe), "io_uring_wait_cqe");
      if (cqe->flags & IORING_CQE_F_NOTIF) {
        notifications++;
        if ((unsigned)cqe->res & NOTIF_COPIED) copied++;
      } else {
        if (cqe->res < 0) {
          fprintf(stderr, "send: %s\n", strerror(-cqe->res));
          return 1;
        }
        sent += (size_t)cqe->res;
        if (cqe->flags & IORING_CQE_F_MORE) expected++;
      }
      io_uring_cqe_seen(&ring, cqe);
    }
  }
  cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
  wall = seconds(CLOCK_MONOTONIC) - wall;
  printf("%s %zu bytes: %.2f GB/s, %.0f us CPU per MiB, %zu of %zu notifications say copied\n", zero_copy ? "SEND_ZC" : "SEND",
         size, (double)sent / wall / 1e9, cpu * 1e6 / ((double)sent / 1048576.0), copied, notifications);
  return 0;
}
