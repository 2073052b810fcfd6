/* Setting up, entering and closing rings. A part of ringloop.c. */

/*
 * Reports the addresses of a ring's parts, and its parameters: see RingMap in src/ring/ring-map.ts.
 */
static void report_ring(struct io_uring *ring, const struct io_uring_params *params, const uint64_t memory[2], int fd, double *out) {
  int mapped = ring->sq.ring_ptr != NULL;
  uintptr_t sq = mapped ? (uintptr_t)ring->sq.ring_ptr : memory[0];
  uintptr_t cq = mapped ? (uintptr_t)ring->cq.ring_ptr : memory[0];
  const uintptr_t addresses[] = {
      (uintptr_t)ring,
      sq + params->sq_off.head,
      sq + params->sq_off.tail,
      sq + params->sq_off.flags,
      sq + params->sq_off.dropped,
      mapped ? (uintptr_t)ring->sq.sqes : memory[1],
      cq + params->cq_off.head,
      cq + params->cq_off.tail,
      cq + params->cq_off.overflow,
      cq + params->cq_off.cqes,
      cq + params->cq_off.flags,
      sq + params->sq_off.array,
      fd,
      params->sq_entries,
      params->cq_entries,
      params->features,
      params->flags,
  };
  for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
    out[i] = (double)addresses[i];
}

/*
 * Sets up a ring and maps it. in: see RingInput, out: see RingMap, both in src/ring/ring-map.ts.
 * With IORING_SETUP_NO_MMAP, the ring lies in memory that the caller gives and owns.
 */
EXPORT int rl_ring_open(const double *in, double *out) {
  struct io_uring_params params = {
      .flags = (uint32_t)in[1],
      .cq_entries = (uint32_t)in[2],
      .sq_thread_idle = (uint32_t)in[3],
      .sq_thread_cpu = (uint32_t)in[4],
      .wq_fd = (uint32_t)in[5],
  };
  /* The last field of each struct is user_addr. Headers from before Linux 6.5 call it resv2. */
  const uint64_t memory[] = {(uint64_t)in[6], (uint64_t)in[7]};
  memcpy((char *)(&params.cq_off + 1) - sizeof(memory[0]), &memory[0], sizeof(memory[0]));
  memcpy((char *)(&params.sq_off + 1) - sizeof(memory[1]), &memory[1], sizeof(memory[1]));
  struct io_uring *ring = calloc(1, sizeof(*ring));
  if (ring == NULL)
    return -ENOMEM;
  int fd = io_uring_setup((unsigned)in[0], &params);
  int failed = fd;
  if (fd >= 0 && params.flags & IORING_SETUP_NO_MMAP) {
    ring->ring_fd = ring->enter_ring_fd = fd;
    ring->flags = params.flags;
  } else if (fd >= 0) {
    failed = io_uring_queue_mmap(fd, &params, ring);
    if (failed < 0)
      close(fd);
  }
  if (failed < 0) {
    free(ring);
    return failed;
  }
  report_ring(ring, &params, memory, fd, out);
  return 0;
}

/*
 * Changes the sizes of a ring (Linux 6.13, DEFER_TASKRUN). The kernel moves the content of the
 * queues to new queues, which replace the old ones in the mapping. The old queues must not be used
 * any more. After -errno, the ring is as it was. But if the new queues cannot be mapped, out[0] is
 * 0, and the caller can only close the ring.
 */
EXPORT int rl_ring_resize(struct io_uring *ring, uint32_t sq_entries, uint32_t cq_entries, uint32_t flags, double *out) {
  struct io_uring_params params = {.sq_entries = sq_entries, .cq_entries = cq_entries, .flags = flags};
  struct io_uring before = *ring;
  if (before.sq.ring_ptr == NULL)
    return -EINVAL;
  int failed = io_uring_register(before.ring_fd, IORING_REGISTER_RESIZE_RINGS, &params, 1);
  if (failed < 0)
    return failed;
  munmap(before.sq.sqes, before.sq.ring_entries * sizeof(struct io_uring_sqe) << !!(before.flags & IORING_SETUP_SQE128));
  munmap(before.sq.ring_ptr, before.sq.ring_sz);
  if (before.cq.ring_ptr != before.sq.ring_ptr)
    munmap(before.cq.ring_ptr, before.cq.ring_sz);
  params.features = IORING_FEAT_SINGLE_MMAP; /* Every kernel with this call has the feature. */
  failed = io_uring_queue_mmap(before.ring_fd, &params, ring);
  if (failed < 0)
    ring->sq.ring_ptr = NULL; /* Tells rl_ring_close that nothing is mapped. */
  else
    report_ring(ring, &params, NULL, before.ring_fd, out);
  out[0] = failed < 0 ? 0 : out[0];
  ring->ring_fd = before.ring_fd;
  ring->enter_ring_fd = before.enter_ring_fd;
  ring->int_flags = before.int_flags;
  ring->flags = before.flags;
  ring->features = before.features;
  return failed;
}

/*
 * Registers the ring's own descriptor with the calling thread. Returns the index to enter with
 * (IORING_ENTER_REGISTERED_RING).
 */
EXPORT int rl_ring_register_fd(struct io_uring *ring) {
  int registered = io_uring_register_ring_fd(ring);
  return registered == 1 ? ring->enter_ring_fd : (registered < 0 ? registered : -EINVAL);
}

/*
 * Unregisters the ring's descriptor, on the thread that registered it. Only for a ring with a
 * registered descriptor.
 */
EXPORT int rl_ring_unregister_fd(struct io_uring *ring) { return io_uring_unregister_ring_fd(ring); }

EXPORT void rl_ring_close(struct io_uring *ring) {
  struct io_uring_rsrc_update only = {.offset = ring->ring_fd};
  if (ring->sq.ring_ptr != NULL)
    io_uring_queue_exit(ring);
  else if (ring->flags & IORING_SETUP_REGISTERED_FD_ONLY)
    io_uring_register(ring->ring_fd, IORING_UNREGISTER_RING_FDS | IORING_REGISTER_USE_REGISTERED_RING, &only, 1);
  else
    close(ring->ring_fd);
  free(ring);
}

/*
 * A negative timeout_us means no limit. Returns the number of submitted entries, or -errno (-ETIME
 * at the end of the time).
 */
EXPORT int rl_enter(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, int timeout_us) {
  if (timeout_us < 0 || !(flags & IORING_ENTER_GETEVENTS))
    return io_uring_enter2(fd, to_submit, min_complete, flags, NULL, 0);
  struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000, .tv_nsec = (timeout_us % 1000000) * 1000LL};
  struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&limit};
  return io_uring_enter2(fd, to_submit, min_complete, flags | IORING_ENTER_EXT_ARG, (void *)&arg, sizeof(arg));
}

/* struct io_uring_getevents_arg. Headers from before Linux 6.12 call the third field pad. */
struct wait_argument {
  uint64_t signals;
  uint32_t signal_bytes;
  uint32_t least_us;
  uint64_t limit;
};

/*
 * Waits for min_complete completions for least_us, and then for one completion. The whole wait
 * takes at most timeout_us; a negative value means no limit.
 */
EXPORT int rl_enter_min(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, int timeout_us, uint32_t least_us) {
  struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000, .tv_nsec = (timeout_us % 1000000) * 1000LL};
  struct wait_argument argument = {.least_us = least_us, .limit = timeout_us < 0 ? 0 : (uintptr_t)&limit};
  return io_uring_enter2(fd, to_submit, min_complete, flags | IORING_ENTER_EXT_ARG, (void *)&argument, sizeof(argument));
}

/* Waits with the registered argument `index` (struct io_uring_reg_wait, 64 bytes each). */
EXPORT int rl_enter_registered(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, uint32_t index) {
  size_t bytes = 64;
  return io_uring_enter2(fd, to_submit, min_complete, flags | IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG, (void *)(index * bytes), bytes);
}

EXPORT int rl_register(int fd, uint32_t opcode, void *arg, uint32_t count) {
  return io_uring_register(fd, opcode, arg, count);
}
