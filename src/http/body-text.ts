/** The text of a body. */
import { BLOCK_BYTES_MIN } from "../sys/block.ts";
import { freeNow } from "../sys/memory.ts";

/** Decodes a body that nobody needs afterwards: the memory of a long one is freed. */
export function takeText(bytes: Buffer): string {
  const text = textOf(bytes);
  if (bytes.length >= BLOCK_BYTES_MIN) freeNow(bytes.buffer);
  return text;
}

/**
 * Decodes UTF-8 without its byte order mark. Invalid bytes become U+FFFD (the Encoding standard's
 * "UTF-8 decode").
 */
function textOf(bytes: Buffer): string {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.utf8Slice(hasMark ? 3 : 0, bytes.length);
}
