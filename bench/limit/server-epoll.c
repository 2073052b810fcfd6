/* The reference in C over epoll, level-triggered like Bun's own loop: server-epoll echo|http. */
#define _GNU_SOURCE
#include "server.h"
#include <sys/epoll.h>

#define EVENTS_MAX 1024

static int loop;

static void drop(struct connection *c) {
  close(c->fd);
  free_connection(c);
}

/* Returns 0 when the connection is gone. */
static int flush_out(struct connection *c) {
  for (;;) {
    struct queue *half = &c->halves[0];
    if (c->sent == half->length && !next_half(c))
      break;
    ssize_t sent = send(c->fd, half->bytes + c->sent, half->length - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EAGAIN) {
        if (!c->sending) {
          struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.fd = c->fd};
          epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &event);
          c->sending = 1;
        }
        return 1;
      }
      drop(c);
      return 0;
    }
    c->sent += (size_t)sent;
    if (c->sent == half->length)
      c->sent = half->length = 0;
  }
  if (c->sending) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = c->fd};
    epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &event);
    c->sending = 0;
  }
  if (c->closing) {
    drop(c);
    return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  read_service(argc, argv, "server-epoll echo|http");
  int listener = listen_on_loopback();
  loop = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS_MAX];
  if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0)
    fail("epoll");
  static char buffer[65536];
  for (;;) {
    int count = epoll_wait(loop, events, EVENTS_MAX, -1);
    if (count < 0 && errno != EINTR)
      fail("epoll_wait");
    refresh_date();
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0)
          continue;
        new_connection(accepted);
        event = (struct epoll_event){.events = EPOLLIN, .data.fd = accepted};
        epoll_ctl(loop, EPOLL_CTL_ADD, accepted, &event);
        continue;
      }
      struct connection *c = connections[fd];
      if (c == NULL)
        continue;
      if (events[i].events & EPOLLIN) {
        ssize_t received = recv(fd, buffer, sizeof(buffer), 0);
        if (received <= 0) {
          if (received < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
          drop(c);
          continue;
        }
        serve(c, buffer, (size_t)received);
      } else if (events[i].events & (EPOLLHUP | EPOLLERR)) {
        drop(c);
        continue;
      }
      flush_out(c);
    }
  }
}
