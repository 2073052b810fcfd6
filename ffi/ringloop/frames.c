/* Frames of WebSockets. A part of ringloop.c. */

/* Two words, at any address. */
typedef uint64_t Words __attribute__((vector_size(16), aligned(1), may_alias));

/*
 * Copies bytes of a WebSocket frame from `from` to `to` and unmasks them (RFC 6455 section 5.3).
 * The two are the same memory or do not overlap. `key` is the mask of the first four bytes as a
 * little-endian word. Returns whether all unmasked bytes are ASCII.
 */
EXPORT int rl_unmask(const uint8_t *from, uint8_t *to, uint32_t length, uint32_t key) {
  uint64_t wide = (uint64_t)key << 32 | key;
  Words mask = {wide, wide}, seen = {0, 0};
  uint8_t rest = 0;
  uint32_t at = 0;
  for (; length - at >= sizeof mask; at += sizeof mask) {
    Words words = *(const Words *)(from + at) ^ mask;
    seen |= words;
    *(Words *)(to + at) = words;
  }
  for (; at < length; at++)
    rest |= to[at] = from[at] ^ (uint8_t)(key >> (at & 3) * 8);
  return ((seen[0] | seen[1] | rest) & 0x8080808080808080ULL) == 0;
}
