/**
 * Checks UTF-8 that arrives in pieces, so that invalid text is refused at the first piece that
 * shows it (RFC 6455 section 8.1).
 */
import { isUtf8 } from "node:buffer";

/**
 * Checks the bytes from `start` to `end`. Returns the end of the last whole, valid character. A
 * character after it has begun and may still become valid: the next call checks it. Returns -1 if
 * the text can no longer become valid.
 */
export function checkUtf8(bytes: Buffer, start: number, end: number): number {
  const whole = beginOfOpenCharacter(bytes, start, end);
  if (!isUtf8(bytes.subarray(start, whole))) return -1;
  return whole === end || mayBecomeValid(bytes, whole, end) ? whole : -1;
}

/** Returns the start of the last character if bytes of it are missing, else `end`. */
function beginOfOpenCharacter(bytes: Buffer, start: number, end: number): number {
  for (let at = end - 1; at >= start && at >= end - 3; at--) {
    const byte = bytes[at]!;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length > end - at ? at : end;
  }
  return end;
}

/**
 * Whether one to three bytes begin a valid character (RFC 3629 section 4): no overlong form, no
 * surrogate, nothing beyond U+10FFFF.
 */
function mayBecomeValid(bytes: Buffer, start: number, end: number): boolean {
  const lead = bytes[start]!;
  if (lead < 0xc2 || lead > 0xf4) return false;
  for (let at = start + 1; at < end; at++) {
    const byte = bytes[at]!;
    let min = 0x80;
    let max = 0xbf;
    if (at === start + 1) {
      if (lead === 0xe0) min = 0xa0;
      else if (lead === 0xed) max = 0x9f;
      else if (lead === 0xf0) min = 0x90;
      else if (lead === 0xf4) max = 0x8f;
    }
    if (byte < min || byte > max) return false;
  }
  return true;
}
