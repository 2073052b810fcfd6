/* Sends a new epoll descriptor to the Unix socket with the abstract name argv[1]. So the epoll
 * instance belongs to neither Bun nor ringloop. */
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc < 2 || strlen(argv[1]) >= sizeof(address.sun_path) - 1)
    return 1;
  memcpy(address.sun_path + 1, argv[1], strlen(argv[1]));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[1])) < 0)
    return 2;
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  *(int *)CMSG_DATA(&control.header) = epoll_create1(EPOLL_CLOEXEC);
  struct iovec byte = {.iov_base = "e", .iov_len = 1};
  struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
  return sendmsg(fd, &message, 0) == 1 ? 0 : 3;
}
