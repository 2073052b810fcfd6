/**
 * Memory outside the garbage-collected heap, which is the only memory that the kernel may see.
 *
 * Guarantees: a view of a mapping that was released has length 0 (it is detached before the pages go), so late use reads
 * `undefined` or throws and never touches pages that belong to someone else.
 */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { outOfRange } from "./check.ts";
import { SystemError } from "./errno.ts";
import { native } from "./library.ts";

export const PAGE_BYTES = 4096;

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** An address as bun:ffi's functions want it. */
export function asPointer(address: number): Pointer {
  return address as Pointer;
}

/** An ArrayBuffer over memory that somebody else owns. Detach it before that memory goes. */
export function viewMemory(address: number, bytes: number): ArrayBuffer {
  return toArrayBuffer(asPointer(address), 0, bytes);
}

/** Makes every view of `buffer` empty. The memory itself is not touched. */
export function detach(buffer: ArrayBuffer): void {
  structuredClone(buffer, { transfer: [buffer] });
}

/** Zeroed, page-aligned private memory. */
export class Mapping {
  readonly address: number;
  readonly bytes: number;
  private readonly views: ArrayBuffer[];
  private released = false;

  /**
   * Rounds `bytes` up to whole pages. `viewedBytes`: how much of it `buffer` shows at first; all, by default. Throws SystemError (ENOMEM) when
   * the system has none.
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
   * Makes `buffer` one that shows so many bytes; the former ones go on showing theirs. The garbage collector counts what is shown as memory
   * that is used, and collects the more often: large mappings are shown as far as they are used.
   */
  show(bytes: number): void {
    this.views.push(viewMemory(this.address, Math.min(wholePages(bytes), this.bytes)));
  }

  /** Gives the whole pages from an offset on back to the system and keeps the addresses; the memory reads as zeroes afterwards. */
  discard(from = 0): void {
    const start = Math.ceil(from / PAGE_BYTES) * PAGE_BYTES;
    if (start < this.bytes) native().rl_discard(this.address + start, this.bytes - start);
  }

  /** Detaches all views and unmaps. May be called again. */
  release(): void {
    if (this.released) return;
    this.released = true;
    for (const view of this.views) detach(view);
    native().rl_unmap(this.address, this.bytes);
  }
}
