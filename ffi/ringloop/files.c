/* Files. A part of ringloop.c. */

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

/* Returns the file's status flags: O_APPEND, O_NONBLOCK and so on. */
EXPORT int rl_status_flags(int fd) { return result(fcntl(fd, F_GETFL)); }

EXPORT double rl_seek(int file, double offset, int whence) {
  off_t at = lseek(file, (off_t)offset, whence);
  return at < 0 ? -errno : (double)at;
}
