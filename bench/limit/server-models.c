/*
 * TCP echo on the classic I/O models, in one program: server-models threads|spin|select|poll|sigio.
 * epoll and io_uring have separate programs (server-epoll.c, server-uring.c).
 *
 * If the socket does not accept the whole answer at once, the server waits for it at this place. So
 * a slow reader stops the others, as in programs that are written in this way.
 */
#define _GNU_SOURCE
#include "server.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>

#define BUFFER_BYTES 65536

static void send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN)
        return; /* The next receive sees the error. */
      struct pollfd writable = {.fd = fd, .events = POLLOUT};
      poll(&writable, 1, -1);
      continue;
    }
    bytes += sent;
    length -= (size_t)sent;
  }
}

/* Echoes the received bytes. Returns 0 after the peer has gone. */
static int echo_once(int fd, char *buffer) {
  ssize_t received = recv(fd, buffer, BUFFER_BYTES, 0);
  if (received < 0)
    return errno == EAGAIN || errno == EINTR;
  if (received == 0)
    return 0;
  send_all(fd, buffer, (size_t)received);
  return 1;
}

/* ---- a thread for each connection, blocking ---- */

static void *converse(void *fd) {
  char buffer[16384];
  for (;;) {
    ssize_t received = recv((int)(intptr_t)fd, buffer, sizeof(buffer), 0);
    if (received <= 0)
      break;
    send_all((int)(intptr_t)fd, buffer, (size_t)received);
  }
  close((int)(intptr_t)fd);
  return NULL;
}

static void run_threads(int listener) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (;;) {
    pthread_t thread;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0 && pthread_create(&thread, &attributes, converse, (void *)(intptr_t)fd) != 0)
      close(fd);
  }
}

/* ---- the others: a list of descriptors ---- */

static struct pollfd watched[CONNECTIONS_MAX];
static nfds_t watched_count;
static char buffer[BUFFER_BYTES];

static void watch(int fd) { watched[watched_count++] = (struct pollfd){.fd = fd, .events = POLLIN}; }

static void forget(nfds_t i) {
  close(watched[i].fd);
  watched[i] = watched[--watched_count];
}

static int accept_one(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

/* Asks every connection in turn, without an end. */
static void run_spin(int listener) {
  for (;;) {
    int fd = accept_one(listener);
    if (fd >= 0)
      watch(fd);
    for (nfds_t i = 0; i < watched_count;)
      if (echo_once(watched[i].fd, buffer))
        i++;
      else
        forget(i);
  }
}

static void run_poll(int listener) {
  watch(listener);
  for (;;) {
    if (poll(watched, watched_count, -1) < 0 && errno != EINTR)
      fail("poll");
    for (nfds_t i = watched_count; i-- > 1;)
      if (watched[i].revents != 0 && !echo_once(watched[i].fd, buffer))
        forget(i);
    if (watched[0].revents != 0) {
      int fd = accept_one(listener);
      if (fd >= 0)
        watch(fd);
    }
  }
}

/* select(2) allows 1,024 descriptors. Further connections are closed. */
static void run_select(int listener) {
  for (;;) {
    fd_set readable;
    int highest = listener;
    FD_ZERO(&readable);
    FD_SET(listener, &readable);
    for (nfds_t i = 0; i < watched_count; i++) {
      FD_SET(watched[i].fd, &readable);
      if (watched[i].fd > highest)
        highest = watched[i].fd;
    }
    if (select(highest + 1, &readable, NULL, NULL, NULL) < 0 && errno != EINTR)
      fail("select");
    for (nfds_t i = watched_count; i-- > 0;)
      if (FD_ISSET(watched[i].fd, &readable) && !echo_once(watched[i].fd, buffer))
        forget(i);
    if (FD_ISSET(listener, &readable)) {
      int fd = accept_one(listener);
      if (fd >= FD_SETSIZE)
        close(fd);
      else if (fd >= 0)
        watch(fd);
    }
  }
}

static void signal_for(int fd) {
  if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETSIG, SIGRTMIN) < 0 ||
      fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC) < 0)
    fail("fcntl");
}

static void accept_all(int listener) {
  for (int fd; (fd = accept_one(listener)) >= 0;) {
    signal_for(fd);
    connections[fd] = new_connection(fd);
    /* Bytes from before the signal was set up have caused no signal. */
    if (!echo_once(fd, buffer)) {
      close(fd);
      free_connection(connections[fd]);
    }
  }
}

static void hear(int listener, int fd) {
  if (fd == listener)
    accept_all(listener);
  else if (fd >= 0 && fd < CONNECTIONS_MAX && connections[fd] != NULL && !echo_once(fd, buffer)) {
    close(fd);
    free_connection(connections[fd]);
  }
}

/*
 * A queued real-time signal gives the descriptor (F_SETSIG). When the queue is full, SIGIO means
 * that any descriptor may be ready.
 */
static void run_sigio(int listener) {
  sigset_t waited;
  sigemptyset(&waited);
  sigaddset(&waited, SIGRTMIN);
  sigaddset(&waited, SIGIO);
  sigprocmask(SIG_BLOCK, &waited, NULL);
  signal_for(listener);
  for (;;) {
    siginfo_t info;
    int signal = sigwaitinfo(&waited, &info);
    if (signal == SIGRTMIN)
      hear(listener, info.si_fd);
    else if (signal == SIGIO) {
      accept_all(listener);
      for (int fd = 0; fd < CONNECTIONS_MAX; fd++)
        hear(-1, fd);
    }
  }
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(int listener);
    int nonblocking;
  } models[] = {{"threads", run_threads, 0}, {"spin", run_spin, 1}, {"select", run_select, 1}, {"poll", run_poll, 1}, {"sigio", run_sigio, 1}};
  for (size_t i = 0; argc == 2 && i < sizeof(models) / sizeof(models[0]); i++) {
    if (strcmp(argv[1], models[i].name) != 0)
      continue;
    int listener = listen_on_loopback();
    if (models[i].nonblocking && fcntl(listener, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
      fail("fcntl");
    models[i].run(listener);
  }
  fprintf(stderr, "usage: server-models threads|spin|select|poll|sigio\n");
  return 2;
}
