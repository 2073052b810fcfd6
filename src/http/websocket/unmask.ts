/** The masking of what clients send (RFC 6455 section 5.3). */

/** The words of the memory that was looked at last: receive buffers are one mapping. */
let lastBuffer: ArrayBufferLike | undefined;
let lastWords: Int32Array = new Int32Array(0);

/** Below this, bytes are as quick as words. */
const WORDS_BYTES_MIN = 32;

/**
 * Unmasks the bytes from `start` to `end` where they are. `key` is the masking key as four bytes, and `phase` which of them is the first
 * byte's. Returns whether all of them are ASCII.
 */
export function unmask(memory: Buffer, start: number, end: number, key: Uint8Array, phase: number): boolean {
  let at = start;
  let seen = 0;
  if (end - start >= WORDS_BYTES_MIN) {
    const { buffer, byteOffset } = memory;
    if (buffer !== lastBuffer) {
      lastBuffer = buffer;
      lastWords = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
    }
    for (; ((byteOffset + at) & 3) !== 0; at++) seen |= memory[at] = memory[at]! ^ key[(phase + at - start) & 3]!;
    const turn = phase + at - start;
    // Little-endian, as is every machine that Bun runs on.
    const mask =
      key[turn & 3]! | (key[(turn + 1) & 3]! << 8) | (key[(turn + 2) & 3]! << 16) | (key[(turn + 3) & 3]! << 24);
    const words = lastWords;
    const first = (byteOffset + at) >>> 2;
    const last = (byteOffset + end) >>> 2;
    let wide = 0;
    for (let i = first; i < last; i++) wide |= words[i] = words[i]! ^ mask;
    if ((wide & 0x80808080) !== 0) seen |= 0x80;
    at += (last - first) << 2;
  }
  for (; at < end; at++) seen |= memory[at] = memory[at]! ^ key[(phase + at - start) & 3]!;
  return (seen & 0x80) === 0;
}
