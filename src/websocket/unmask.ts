/** The masking of what clients send (RFC 6455 section 5.3). */
import { native, pointerTo } from "../sys/library.ts";
import { asPointer } from "../sys/memory.ts";

/** Below this, a call costs more than it saves. */
const CALL_BYTES_MIN = 64;

/**
 * Unmasks the bytes from `start` to `end` where they are. `key` is the masking key as four bytes, and `phase` which of them is the first
 * byte's. Returns whether all of them are ASCII.
 */
export function unmask(memory: Buffer, start: number, end: number, key: Uint8Array, phase: number): boolean {
  if (end - start >= CALL_BYTES_MIN) {
    const word =
      key[phase & 3]! | (key[(phase + 1) & 3]! << 8) | (key[(phase + 2) & 3]! << 16) | (key[(phase + 3) & 3]! << 24);
    const address = asPointer(pointerTo(memory) + start);
    return native().rl_unmask(address, end - start, word >>> 0) === 1;
  }
  let seen = 0;
  for (let at = start; at < end; at++) seen |= memory[at] = memory[at]! ^ key[(phase + at - start) & 3]!;
  return (seen & 0x80) === 0;
}
