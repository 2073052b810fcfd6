/**
 * Memory outside the garbage-collected heap. The kernel may see only this memory.
 *
 * Guarantees: a view of a released mapping has length 0, because it is detached before the pages
 * go. Later use reads `undefined` or throws, and never touches pages of another owner.
 */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { outOfRange } from "./check.ts";
import { SystemError } from "./errno.ts";
import { native } from "./library.ts";

export const PAGE_BYTES = 4096;

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** Returns an address in the type that bun:ffi's functions want. */
export function asPointer(address: number): Pointer {
  return address as Pointer;
}

/**
 * Returns an ArrayBuffer over memory of another owner. The caller detaches it before the memory is
 * unmapped.
 */
export function viewMemory(address: number, bytes: number): ArrayBuffer {
  return toArrayBuffer(asPointer(address), 0, bytes);
}

/** Makes every view of `buffer` empty. Leaves the memory itself as it is. */
export function detach(buffer: ArrayBuffer): void {
  structuredClone(buffer, { transfer: [buffer] });
}

/** Frees the memory of an ArrayBuffer now. Every view of it becomes empty. */
export function freeNow(buffer: ArrayBufferLike): void {
  // TypeScript's library does not have `transfer` yet.
  (buffer as ArrayBuffer & { transfer(bytes: number): unknown }).transfer(0);
}

/** Private memory, zeroed and page-aligned. */
export class Mapping {
  readonly address: number;
  readonly bytes: number;
  private readonly views: ArrayBuffer[];
  private released = false;

  /**
   * Maps `bytes`, rounded up to whole pages. `viewedBytes` is the size of `buffer` at first; its
   * default is `bytes`. Throws SystemError (ENOMEM) when the system has no memory.
   */
  constructor(bytes: number, viewedBytes = bytes) {
    for (const [name, value] of Object.entries({ bytes, viewedBytes }))
      if (!(Number.isSafeInteger(value) && value >= 0)) throw outOfRange(name, "an integer from 0 to 2^53", value);
    this.bytes = wholePages(bytes);
    const address = native().rl_map(this.bytes);
    if (address < 0) throw new SystemError(-address, "mmap");
    this.address = address;
    this.views = [viewMemory(address, wholePages(viewedBytes))];
  }

  get buffer(): ArrayBuffer {
    return this.views.at(-1)!;
  }

  /**
   * Replaces `buffer` by a view of the first `bytes` bytes. Earlier views keep their length.
   *
   * The garbage collector counts the bytes of a view as used memory, and collects more often. So a
   * large mapping shows only the part that is in use.
   */
  show(bytes: number): void {
    this.views.push(viewMemory(this.address, Math.min(wholePages(bytes), this.bytes)));
  }

  /**
   * Returns the whole pages from offset `from` on to the system, and keeps the addresses. The
   * memory reads as zeroes afterwards.
   */
  discard(from = 0): void {
    const start = Math.ceil(from / PAGE_BYTES) * PAGE_BYTES;
    if (start < this.bytes) native().rl_discard(this.address + start, this.bytes - start);
  }

  /** Detaches all views and unmaps the memory. Further calls do nothing. */
  release(): void {
    if (this.released) return;
    this.released = true;
    for (const view of this.views) detach(view);
    native().rl_unmap(this.address, this.bytes);
  }
}
