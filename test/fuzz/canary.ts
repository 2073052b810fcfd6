/**
 * Memory that was given back is filled with a canary, which no program's data here has: whoever gets a byte of it has got what is not his.
 *
 * Chunks for sending are filled when they are freed, and when they are handed out (new ones, and those whose pages were given back, hold zeroes);
 * receive buffers when they are recycled; and the collected heap is kept full of garbage made of it.
 */
import { Arena } from "../../src/ring/arena.ts";
import { BufferRing } from "../../src/ring/buffer-ring.ts";

export const CANARY = 0xc5;
/** Of garbage: from the pool of Buffer.from to what is mapped on its own. */
const GARBAGE_BYTES = [8, 100, 1000, 4096, 20_000, 100_000, 1_048_576];
const GARBAGE_EVERY_MS = 50;

const { allocate, free } = Arena.prototype;
const { recycle } = BufferRing.prototype;

/** From now on, and every while for garbage. The timer does not hold the process. */
export function plantCanaries(): void {
  Arena.prototype.allocate = function (this: Arena, bytes) {
    const chunk = allocate.call(this, bytes);
    chunk.buffer.fill(CANARY);
    return chunk;
  };
  Arena.prototype.free = function (this: Arena, chunk) {
    // Bytes that are sent from where they are may be somebody's still.
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
