/*
 * Random reads of 4 KiB on the classic I/O models:
 *
 *   file-models pread|threads|posix-aio|libaio|uring|sqpoll FILE SECONDS DEPTH direct|cached
 *
 * pread makes one blocking call after another, and ignores DEPTH. threads has DEPTH threads that do
 * the same. The other models keep DEPTH reads in flight from one thread. `direct` opens with
 * O_DIRECT, which bypasses the page cache.
 *
 * Prints one line of JSON: reads, seconds, CPU seconds of the process (without kernel threads that
 * are not its own), p50 and p99 in microseconds.
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define DEPTH_MAX 1024
#define US_MAX 100000

static int fd;
static uint64_t blocks, end_ns;
static unsigned depth;
static char *memory;
static uint64_t started_ns[DEPTH_MAX];
static _Atomic uint64_t reads, histogram[US_MAX + 1];

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void die(const char *what, int error) {
  fprintf(stderr, "file-models: %s: %s\n", what, strerror(error));
  exit(1);
}

/* xorshift64*: returns another offset for each read. */
static off_t somewhere(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (off_t)((*state * 2685821657736338717ULL >> 11) % blocks * BLOCK);
}

static void count(unsigned slot, ssize_t result) {
  if (result != BLOCK)
    die("read", result < 0 ? (int)-result : EIO);
  uint64_t us = (now_ns() - started_ns[slot]) / 1000;
  reads++;
  histogram[us < US_MAX ? us : US_MAX]++;
}

static void *read_one_by_one(void *slot_of) {
  unsigned slot = (unsigned)(uintptr_t)slot_of;
  uint64_t state = 88172645463325252ULL + slot;
  while ((started_ns[slot] = now_ns()) < end_ns) {
    ssize_t result = pread(fd, memory + (size_t)slot * BLOCK, BLOCK, somewhere(&state));
    count(slot, result < 0 ? -errno : result);
  }
  return NULL;
}

static void run_pread(void) { read_one_by_one(NULL); }

static void run_threads(void) {
  pthread_t threads[DEPTH_MAX];
  for (unsigned i = 0; i < depth; i++)
    if (pthread_create(&threads[i], NULL, read_one_by_one, (void *)(uintptr_t)i) != 0)
      die("pthread_create", errno);
  for (unsigned i = 0; i < depth; i++)
    pthread_join(threads[i], NULL);
}

/* glibc's aio_read(3), which uses threads. */
static void run_posix_aio(void) {
  static struct aiocb blocks_of[DEPTH_MAX];
  const struct aiocb *list[DEPTH_MAX];
  uint64_t state = 88172645463325252ULL;
  for (unsigned i = 0; i < depth; i++) {
    blocks_of[i] = (struct aiocb){.aio_fildes = fd, .aio_buf = memory + (size_t)i * BLOCK, .aio_nbytes = BLOCK, .aio_offset = somewhere(&state)};
    started_ns[i] = now_ns();
    if (aio_read(&blocks_of[i]) < 0)
      die("aio_read", errno);
    list[i] = &blocks_of[i];
  }
  while (now_ns() < end_ns) {
    if (aio_suspend(list, (int)depth, NULL) < 0 && errno != EINTR)
      die("aio_suspend", errno);
    for (unsigned i = 0; i < depth; i++) {
      if (aio_error(&blocks_of[i]) == EINPROGRESS)
        continue;
      count(i, aio_return(&blocks_of[i]));
      blocks_of[i].aio_offset = somewhere(&state);
      started_ns[i] = now_ns();
      if (aio_read(&blocks_of[i]) < 0)
        die("aio_read", errno);
    }
  }
}

/* io_submit(2). It is asynchronous only with O_DIRECT; otherwise, it blocks. */
static void run_libaio(void) {
  aio_context_t context = 0;
  static struct iocb blocks_of[DEPTH_MAX];
  struct iocb *list[DEPTH_MAX];
  static struct io_event events[DEPTH_MAX];
  uint64_t state = 88172645463325252ULL;
  if (syscall(SYS_io_setup, depth, &context) < 0)
    die("io_setup", errno);
  long ready = depth;
  for (unsigned i = 0; i < depth; i++)
    events[i].data = i;
  for (;;) {
    for (long k = 0; k < ready; k++) {
      unsigned i = (unsigned)events[k].data;
      blocks_of[i] = (struct iocb){.aio_data = i,
                                   .aio_lio_opcode = IOCB_CMD_PREAD,
                                   .aio_fildes = (uint32_t)fd,
                                   .aio_buf = (uint64_t)(uintptr_t)(memory + (size_t)i * BLOCK),
                                   .aio_nbytes = BLOCK,
                                   .aio_offset = somewhere(&state)};
      list[k] = &blocks_of[i];
      started_ns[i] = now_ns();
    }
    if (syscall(SYS_io_submit, context, ready, list) != ready)
      die("io_submit", errno);
    if ((ready = syscall(SYS_io_getevents, context, 1, depth, events, NULL)) < 1)
      die("io_getevents", errno);
    for (long k = 0; k < ready; k++)
      count((unsigned)events[k].data, (ssize_t)events[k].res);
    if (now_ns() >= end_ns)
      return;
  }
}

static void run_ring(unsigned flags) {
  struct io_uring ring;
  struct io_uring_params params = {.flags = flags, .sq_thread_idle = 10};
  int failed = io_uring_queue_init_params(DEPTH_MAX, &ring, &params);
  if (failed < 0)
    die("io_uring_queue_init_params", -failed);
  uint64_t state = 88172645463325252ULL;
  unsigned ready[DEPTH_MAX], ready_count = depth;
  for (unsigned i = 0; i < depth; i++)
    ready[i] = i;
  for (;;) {
    for (unsigned k = 0; k < ready_count; k++) {
      struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
      io_uring_prep_read(sqe, fd, memory + (size_t)ready[k] * BLOCK, BLOCK, (uint64_t)somewhere(&state));
      io_uring_sqe_set_data64(sqe, ready[k]);
      started_ns[ready[k]] = now_ns();
    }
    if ((failed = io_uring_submit_and_wait(&ring, 1)) < 0 && failed != -EINTR)
      die("io_uring_submit_and_wait", -failed);
    struct io_uring_cqe *cqe;
    unsigned head;
    ready_count = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
      count((unsigned)cqe->user_data, cqe->res);
      ready[ready_count++] = (unsigned)cqe->user_data;
    }
    io_uring_cq_advance(&ring, ready_count);
    if (now_ns() >= end_ns)
      return;
  }
}

static void run_uring(void) { run_ring(0); }

static void run_sqpoll(void) { run_ring(IORING_SETUP_SQPOLL); }

static double percentile(double p) {
  uint64_t below = 0;
  for (unsigned us = 0; us <= US_MAX; us++)
    if ((below += histogram[us]) > 0 && (double)below >= (double)reads * p)
      return us;
  return US_MAX;
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } models[] = {{"pread", run_pread}, {"threads", run_threads}, {"posix-aio", run_posix_aio}, {"libaio", run_libaio}, {"uring", run_uring}, {"sqpoll", run_sqpoll}};
  for (size_t i = 0; argc == 6 && i < sizeof(models) / sizeof(models[0]); i++) {
    if (strcmp(argv[1], models[i].name) != 0)
      continue;
    struct stat file;
    int direct = strcmp(argv[5], "direct") == 0;
    depth = (unsigned)atoi(argv[4]);
    fd = open(argv[2], O_RDONLY | (direct ? O_DIRECT : 0));
    if (fd < 0 || fstat(fd, &file) < 0 || (blocks = (uint64_t)file.st_size / BLOCK) == 0)
      die(argv[2], errno);
    if (depth < 1 || depth > DEPTH_MAX || posix_memalign((void **)&memory, BLOCK, (size_t)DEPTH_MAX * BLOCK))
      die("depth", EINVAL);
    uint64_t begin_ns = now_ns();
    end_ns = begin_ns + (uint64_t)(atof(argv[3]) * 1e9);
    models[i].run();
    double seconds = (double)(now_ns() - begin_ns) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"reads\":%llu,\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n", (unsigned long long)reads, seconds,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           percentile(0.5), percentile(0.99));
    fflush(stdout);
    _exit(0); /* Reads in flight end with the process. */
  }
  fprintf(stderr, "usage: file-models pread|threads|posix-aio|libaio|uring|sqpoll FILE SECONDS DEPTH direct|cached\n");
  return 2;
}
