/*
 * The only C in ringloop: functions that TypeScript cannot do through memory alone.
 *
 * liburing sets up and closes a ring. Between the two, TypeScript writes submission entries and
 * reads completions in the mapped rings, and calls these functions only to make a system call.
 *
 * Every function returns a value >= 0 or -errno, so no caller reads errno. There is no state, except
 * what a thread leaves open. This file includes its parts: one unit is compiled.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/errqueue.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/*
 * glibc 2.34 gave the functions of threads a new version when it moved them into libc.so.6. The
 * functions are the same. A library that asks for the old version loads in every glibc from 2.17
 * on.
 */
#if defined(__GLIBC__) && defined(__x86_64__)
#define THREADS_VERSION "GLIBC_2.2.5"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define THREADS_VERSION "GLIBC_2.17"
#endif
#ifdef THREADS_VERSION
__asm__(".symver pthread_once, pthread_once@" THREADS_VERSION);
__asm__(".symver pthread_key_create, pthread_key_create@" THREADS_VERSION);
__asm__(".symver pthread_getspecific, pthread_getspecific@" THREADS_VERSION);
__asm__(".symver pthread_setspecific, pthread_setspecific@" THREADS_VERSION);
#endif

/* musl has RWF_NOWAIT, and preadv2, only since 1.2.5. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

#ifndef IORING_SETUP_DEFER_TASKRUN
#error "ringloop needs the headers of liburing 2.3 or newer (Debian 12, Ubuntu 24.04)"
#endif

#include "layout.h"

static int result(long value) { return value < 0 ? -errno : (int)value; }

/*
 * Copies at most `capacity` entries of the layout table to `out`. Returns the number of entries in
 * the table.
 */
EXPORT int rl_layout(uint32_t *out, uint32_t capacity) {
  uint32_t count = sizeof(layout) / sizeof(layout[0]);
  for (uint32_t i = 0; i < count && i < capacity; i++)
    out[i] = layout[i];
  return (int)count;
}

#include "ringloop/rings.c"
#include "ringloop/memory.c"
#include "ringloop/threads.c"
#include "ringloop/descriptors.c"
#include "ringloop/sockets.c"
#include "ringloop/files.c"
#include "ringloop/frames.c"
