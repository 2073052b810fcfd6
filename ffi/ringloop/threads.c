/* What a thread owns, and how it ends. A part of ringloop.c. */

/*
 * Completions that a reactor has reaped from its ring. If `next` is not 0, the completion before
 * `next` is being delivered. See src/reactor/batch.ts.
 */
struct batch {
  uint32_t next, count, unused[2];
  struct {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
  } completions[];
};

/* Rings and descriptors that a thread owns. TypeScript writes them, see src/sys/owned.ts. */
struct owned {
  uint64_t rings[RL_OWNED_RINGS];
  uint64_t batches[RL_OWNED_RINGS];
  uint32_t descriptors[RL_OWNED_DESCRIPTORS / 32];
};

static pthread_key_t owned_key;
static int owned_key_failed;

static void own_result(struct owned *owned, uint64_t user_data, int32_t result) {
  if ((user_data >> 32 & 0xff) == RL_DESCRIPTOR_KIND && result >= 0 && result < RL_OWNED_DESCRIPTORS)
    owned->descriptors[result / 32] |= 1u << result % 32;
}

/* Whether the SQ thread will start the queued entries. */
static int will_submit(const struct io_uring *ring) {
  return ring->flags & IORING_SETUP_SQPOLL && IO_URING_READ_ONCE(*ring->sq.khead) != *ring->sq.ktail &&
         !(IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_NEED_WAKEUP);
}

/*
 * Ends the operations that a reactor has in flight. Adds descriptors in undelivered results to
 * those that the thread owns.
 */
static void own_undelivered(struct owned *owned, struct io_uring *ring, const struct batch *batch) {
  /*
   * No operation may start after the cancellation. The limit is for an SQ thread without a CPU: it
   * must not delay the thread's end for ever.
   */
  for (int yields = 0; yields < 100000 && will_submit(ring); yields++)
    sched_yield();
  struct io_uring_sync_cancel_reg everything = {
      .fd = -1,
      .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
      .timeout = {.tv_sec = 1},
  };
  io_uring_register_sync_cancel(ring, &everything);
  for (uint32_t i = batch->next > 0 ? batch->next - 1 : 0; i < batch->count; i++)
    own_result(owned, batch->completions[i].user_data, batch->completions[i].res);
  unsigned head, count;
  do {
    io_uring_get_events(ring);
    struct io_uring_cqe *cqe;
    count = 0;
    io_uring_for_each_cqe(ring, head, cqe) {
      own_result(owned, cqe->user_data, cqe->res);
      count++;
    }
    io_uring_cq_advance(ring, count);
  } while (count > 0);
}

/*
 * Returns the pages to the system. The addresses stay mapped: a ring ends later, and must not write
 * into memory of another owner.
 */
static void discard_mappings(void) {
  while (mappings != NULL) {
    struct mapping *mapping = mappings;
    madvise(mapping->address, mapping->bytes, MADV_DONTNEED);
    mappings = mapping->next;
    free(mapping);
  }
}

static void close_owned(void *address) {
  struct owned *owned = address;
  /*
   * The rings come first, because operations in flight keep sockets open, and a mapped ring lives
   * on after its descriptor is closed.
   */
  for (uint32_t i = 0; i < RL_OWNED_RINGS; i++) {
    struct io_uring *ring = (struct io_uring *)(uintptr_t)owned->rings[i];
    if (owned->batches[i] != 0)
      own_undelivered(owned, ring, (const struct batch *)(uintptr_t)owned->batches[i]);
    if (ring != NULL)
      rl_ring_close(ring);
  }
  for (uint32_t i = 0; i < RL_OWNED_DESCRIPTORS / 32; i++)
    for (uint32_t *bits = &owned->descriptors[i]; *bits != 0; *bits &= *bits - 1)
      close((int)(i * 32 + (uint32_t)__builtin_ctz(*bits)));
  discard_mappings();
  free_blocks();
  munmap(owned, sizeof(*owned));
}

static void make_owned_key(void) { owned_key_failed = pthread_key_create(&owned_key, close_owned); }

/*
 * Returns the address of the calling thread's struct owned, or -errno. It has the handles of rings,
 * or 0; the batch of each ring that belongs to a reactor, or 0; and a bit for each descriptor.
 *
 * When the thread ends before the process, its rings and descriptors are closed, the pages of its
 * mappings are returned to the system, and its blocks and the struct are freed.
 */
EXPORT double rl_owned(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_owned_key);
  if (owned_key_failed)
    return -owned_key_failed;
  void *owned = pthread_getspecific(owned_key);
  if (owned != NULL)
    return (double)(uintptr_t)owned;
  double address = rl_map(sizeof(struct owned));
  int failed = address < 0 ? 0 : pthread_setspecific(owned_key, (void *)(uintptr_t)address);
  if (failed)
    rl_unmap(address, sizeof(struct owned));
  return failed ? -failed : address;
}

/* Returns the CPU time of the calling thread alone, in nanoseconds. */
EXPORT double rl_thread_cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}
