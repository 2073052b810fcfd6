/**
 * Fills freed memory with a canary, a byte that no data of the tests contain. A canary in a result
 * means that a byte of foreign memory was read.
 *
 * - Chunks for sending are filled when they are freed, and also when they are allocated, because
 *   new ones, and those whose pages were returned, contain zeroes.
 * - Receive buffers are filled when they are recycled.
 * - The garbage-collected heap is kept full of garbage with canaries.
 */
import { Arena } from "../../src/ring/arena.ts";
import { BufferRing } from "../../src/ring/buffer-ring.ts";

export const CANARY = 0xc5;
/** Lengths of the garbage: from the pool of Buffer.from to memory with a mapping of its own. */
const GARBAGE_BYTES = [8, 100, 1000, 4096, 20_000, 100_000, 1_048_576];
const GARBAGE_EVERY_MS = 50;

const { allocate, free } = Arena.prototype;
const { recycle } = BufferRing.prototype;

/**
 * Starts to fill memory, and to make garbage at intervals. Its timer does not keep the process
 * alive.
 */
export function plantCanaries(): void {
  Arena.prototype.allocate = function (this: Arena, bytes) {
    const chunk = allocate.call(this, bytes);
    chunk.buffer.fill(CANARY);
    return chunk;
  };
  Arena.prototype.free = function (this: Arena, chunk) {
    // A chunk over the program's own bytes is not filled: the program may still use them.
    if (!chunk.free && chunk.slab !== null) chunk.buffer.fill(CANARY);
    free.call(this, chunk);
  };
  BufferRing.prototype.recycle = function (this: BufferRing, bid) {
    const at = this.offsetOf(bid);
    if (bid < this.count) this.memory.fill(CANARY, at, at + this.bytes);
    recycle.call(this, bid);
  };
  makeGarbage();
  setInterval(makeGarbage, GARBAGE_EVERY_MS).unref();
}

function makeGarbage(): void {
  for (const bytes of GARBAGE_BYTES) {
    for (let i = 0; i < 8; i++) Buffer.allocUnsafe(bytes).fill(CANARY);
    new Uint8Array(bytes).fill(CANARY);
  }
  Bun.gc(false);
}
