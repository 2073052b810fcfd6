/* Sockets: options, addresses, and sends and receives that are system calls. A part of ringloop.c. */

/*
 * The socket blocks: io_uring waits for a socket that is not ready, but answers EAGAIN for a socket
 * with O_NONBLOCK.
 */
EXPORT int rl_socket(int domain, int type) { return result(socket(domain, type | SOCK_CLOEXEC, 0)); }

/* Whether a socket listens: 1 or 0. */
EXPORT int rl_is_listening(int fd) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) < 0 ? -errno : value;
}

EXPORT int rl_getsockopt(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}

/* Reads an option of up to `capacity` bytes. Returns its length. */
EXPORT int rl_getsockopt_bytes(int fd, int level, int name, void *out, uint32_t capacity) {
  socklen_t bytes = capacity;
  return getsockopt(fd, level, name, out, &bytes) < 0 ? -errno : (int)bytes;
}

EXPORT int rl_setsockopt(int fd, int level, int name, int value) {
  return result(setsockopt(fd, level, name, &value, sizeof(value)));
}

EXPORT int rl_setsockopt_bytes(int fd, int level, int name, const void *value, uint32_t length) {
  return result(setsockopt(fd, level, name, value, length));
}

EXPORT int rl_bind(int fd, const void *address, uint32_t length) { return result(bind(fd, address, length)); }

EXPORT int rl_listen(int fd, int backlog) { return result(listen(fd, backlog)); }

/* peer = 0 calls getsockname, otherwise getpeername. Returns the address's length. */
EXPORT int rl_sockname(int fd, int peer, void *out, uint32_t capacity) {
  socklen_t length = capacity;
  int failed = peer ? getpeername(fd, out, &length) : getsockname(fd, out, &length);
  return failed < 0 ? -errno : (int)length;
}

EXPORT int rl_shutdown(int fd, int how) { return result(shutdown(fd, how)); }

/*
 * Writes the first address of a host name or numeric address, with its port, as a sockaddr to `out`
 * (28 bytes). Returns its length, or -ENOENT for an unknown name.
 */
EXPORT int rl_resolve(const char *host, int port, void *out) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  if (getaddrinfo(host, NULL, &hints, &found) != 0)
    return -ENOENT;
  int length = (int)found->ai_addrlen;
  if (found->ai_family == AF_INET)
    ((struct sockaddr_in *)found->ai_addr)->sin_port = htons(port);
  else
    ((struct sockaddr_in6 *)found->ai_addr)->sin6_port = htons(port);
  memcpy(out, found->ai_addr, length);
  freeaddrinfo(found);
  return length;
}

/* Writes the numeric text of a sockaddr_in or sockaddr_in6, NUL-terminated. Returns its length. */
EXPORT int rl_format_address(const struct sockaddr *address, uint32_t length, char *out, uint32_t capacity) {
  return getnameinfo(address, length, out, capacity, NULL, 0, NI_NUMERICHOST) == 0 ? (int)strlen(out) : -EINVAL;
}

/*
 * Empties a socket's error queue (IP_RECVERR). Otherwise, the socket would look ready for ever.
 * Returns the last error in the queue, as a positive errno, or 0.
 */
EXPORT int rl_drain_errors(int fd) {
  int last = 0;
  for (;;) {
    char control[512];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
      return last;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
      if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
          (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
        last = (int)((struct sock_extended_err *)CMSG_DATA(c))->ee_errno;
    }
  }
}

EXPORT int rl_connect(int fd, const void *address, uint32_t length) { return result(connect(fd, address, length)); }

/* Sends what the socket takes at once: bytes, or, with `message`, the iovecs of a msghdr. Returns how many, or -errno. */
EXPORT int rl_send_now(int socket, double bytes, uint32_t length, double message) {
  int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  ssize_t sent = message != 0 ? sendmsg(socket, (const struct msghdr *)(uintptr_t)message, flags)
                              : send(socket, (const void *)(uintptr_t)bytes, length, flags);
  return result(sent);
}

/* Returns the number of bytes that a socket has received and that nobody has read, or -errno. */
EXPORT int rl_received_bytes(int socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) < 0 ? -errno : bytes;
}

/* Receives what a socket has, up to `capacity` bytes. Returns how many, 0 at the end, or -errno. */
EXPORT int rl_receive_now(int socket, double to, double capacity) {
  return result(recv(socket, (void *)(uintptr_t)to, (size_t)capacity, MSG_DONTWAIT));
}
