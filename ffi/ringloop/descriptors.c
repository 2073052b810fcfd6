/* Descriptors of every kind. A part of ringloop.c. */

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

/* Clears O_NONBLOCK of a descriptor that other code has made: see rl_socket. */
EXPORT int rl_set_blocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -errno : result(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

/* Sets FD_CLOEXEC of a descriptor that the process was started with. */
EXPORT int rl_close_on_exec(int fd) { return result(fcntl(fd, F_SETFD, FD_CLOEXEC)); }

EXPORT int rl_close(int fd) { return result(close(fd)); }
