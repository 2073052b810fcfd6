/* Memory outside of the heap of JavaScript. A part of ringloop.c. */

/* A mapping of the thread. */
struct mapping {
  void *address;
  size_t bytes;
  struct mapping *next;
};
static _Thread_local struct mapping *mappings;

/* Maps `bytes` of zeroed, page-aligned, private memory. Returns its address, or -errno. */
EXPORT double rl_map(double bytes) {
  struct mapping *mapping = malloc(sizeof(*mapping));
  if (mapping == NULL)
    return -ENOMEM;
  void *address = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    int error = errno;
    free(mapping);
    return -error;
  }
  *mapping = (struct mapping){.address = address, .bytes = (size_t)bytes, .next = mappings};
  mappings = mapping;
  return (double)(uintptr_t)address;
}

/* Unmaps the memory, on the thread that has mapped it. */
EXPORT int rl_unmap(double address, double bytes) {
  struct mapping **at = &mappings;
  while (*at != NULL && (*at)->address != (void *)(uintptr_t)address)
    at = &(*at)->next;
  if (*at != NULL) {
    struct mapping *mapping = *at;
    *at = mapping->next;
    free(mapping);
  }
  return result(munmap((void *)(uintptr_t)address, (size_t)bytes));
}

/* Returns the pages to the system. The mapping stays, and reads as zeroes. */
EXPORT int rl_discard(double address, double bytes) {
  return result(madvise((void *)(uintptr_t)address, (size_t)bytes, MADV_DONTNEED));
}

/*
 * A block: memory for bytes that are still arriving. The garbage collector does not see it. An
 * ArrayBuffer gets it when it is full, and frees it.
 */
struct block {
  struct block *previous, *next;
  /* The list that the block is in: that of the thread that has allocated it, or NULL. */
  struct block **list;
  uint64_t unused; /* The memory behind it is aligned like that of malloc(3). */
};
/* Blocks of the thread that are not given to an ArrayBuffer. */
static _Thread_local struct block *blocks;

static void unlink_block(struct block *block) {
  if (block->previous != NULL)
    block->previous->next = block->next;
  else
    blocks = block->next;
  if (block->next != NULL)
    block->next->previous = block->previous;
  block->list = NULL;
}

/* Allocates a block. Returns the address of its memory, which is not cleared, or -errno. */
EXPORT double rl_block_allocate(double bytes) {
  struct block *block = malloc(sizeof(*block) + (size_t)bytes);
  if (block == NULL)
    return -ENOMEM;
  *block = (struct block){.next = blocks, .list = &blocks};
  if (blocks != NULL)
    blocks->previous = block;
  blocks = block;
  return (double)(uintptr_t)(block + 1);
}

/* Frees the block whose memory is at `address`, on the thread that has allocated it. */
EXPORT void rl_block_free(double address) {
  struct block *block = (struct block *)(uintptr_t)address - 1;
  unlink_block(block);
  free(block);
}

/* An ArrayBuffer has got the block, on the thread that has allocated it. It calls rl_block_dispose. */
EXPORT void rl_block_give(double address) { unlink_block((struct block *)(uintptr_t)address - 1); }

/*
 * Frees the block of an ArrayBuffer, on any thread: a JSTypedArrayBytesDeallocator. If `calls` is
 * not NULL, it counts the call there.
 *
 * A Worker may be terminated before rl_block_give. Its ArrayBuffers are freed on its thread, before
 * the thread ends.
 */
EXPORT void rl_block_dispose(void *address, uint32_t *calls) {
  struct block *block = (struct block *)address - 1;
  if (block->list == &blocks)
    unlink_block(block);
  if (block->list == NULL)
    free(block);
  if (calls != NULL)
    ++*calls;
}

EXPORT void rl_copy(double to, const void *from, uint32_t length) { memcpy((void *)(uintptr_t)to, from, length); }

static void free_blocks(void) {
  while (blocks != NULL) {
    struct block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
}
