/** Unmasks the payloads of clients (RFC 6455 section 5.3). */
import { native, pointerTo } from "../sys/library.ts";
import { asPointer } from "../sys/memory.ts";

/** Smallest number of bytes for which the call of the C function pays. */
const CALL_BYTES_MIN = 64;

/**
 * Unmasks the bytes from `start` to `end`, and puts them into `to` from `toStart` on: in place, or
 * into memory that does not overlap. `key` has the four bytes of the masking key. `phase` is the
 * offset of the first byte in the payload. Returns whether all unmasked bytes are ASCII.
 */
export function unmask(
  memory: Buffer,
  start: number,
  end: number,
  key: Uint8Array,
  phase: number,
  to: Buffer = memory,
  toStart: number = start,
): boolean {
  if (end - start >= CALL_BYTES_MIN) {
    const word =
      key[phase & 3]! | (key[(phase + 1) & 3]! << 8) | (key[(phase + 2) & 3]! << 16) | (key[(phase + 3) & 3]! << 24);
    const from = pointerTo(memory) + start;
    const target = to === memory ? from : pointerTo(to) + toStart;
    return native().rl_unmask(asPointer(from), asPointer(target), end - start, word >>> 0) === 1;
  }
  let seen = 0;
  for (let at = start; at < end; at++) seen |= to[toStart + at - start] = memory[at]! ^ key[(phase + at - start) & 3]!;
  return (seen & 0x80) === 0;
}
