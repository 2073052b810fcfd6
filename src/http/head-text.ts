/** The heads of one delivery as text: one string for all of them, or, of a larger delivery, one for each. */
import type { RequestParser } from "./parser.ts";

/** Bytes that are decoded to one string for all requests in them. */
const SHARED_BYTES_MAX = 4096;

export class HeadText {
  text = "";
  /** The position of its first byte in the delivery's memory. */
  base = 0;

  /** Sees to it that the head from `start` to `headEnd` is in the text. */
  cover(memory: Buffer, start: number, headEnd: number, end: number): void {
    if (start >= this.base && headEnd <= this.base + this.text.length) return;
    this.text = memory.latin1Slice(start, end - start <= SHARED_BYTES_MAX ? end : headEnd);
    this.base = start;
  }

  /** Whether the host that the target's absolute-form names, if it is one, can be a URL's. `start` is the head's first byte. */
  hasPossibleHost({ hostStart, hostEnd, headersStart }: RequestParser, start: number): boolean {
    if (hostStart >= headersStart || hostEnd <= hostStart) return true;
    const base = start - this.base;
    return URL.canParse(`http://${this.text.slice(base + hostStart, base + hostEnd)}`);
  }

  clear(): void {
    this.text = "";
    this.base = 0;
  }
}
