/**
 * The heads of one delivery as text: one string for all of them, or one string for each head of a
 * larger delivery.
 */
import type { RequestParser } from "./parser.ts";

/** Highest number of bytes that are decoded to one string for all requests in them. */
const SHARED_BYTES_MAX = 4096;

export class HeadText {
  text = "";
  /** Position of the text's first byte in the delivery's memory. */
  base = 0;

  /** Makes the text contain the head from `start` to `headEnd`. */
  cover(memory: Buffer, start: number, headEnd: number, end: number): void {
    if (start >= this.base && headEnd <= this.base + this.text.length) return;
    this.text = memory.latin1Slice(start, end - start <= SHARED_BYTES_MAX ? end : headEnd);
    this.base = start;
  }

  /**
   * Returns whether the host in an absolute-form target can be a URL's host. True for other
   * targets. `start` is the head's first byte.
   */
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
