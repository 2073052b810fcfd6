/**
 * Bytes that come in pieces and are read from the front: a head that has begun, requests that wait, the fragments of a message.
 *
 * Guarantees: n bytes in k pieces cost O(n + k), in whatever pieces they come. Memory doubles when it is full, and what is left is moved to
 * the front only when at least as many bytes have been read since the last move. It is at most four times the most that was kept.
 */

const MEMORY_BYTES_MIN = 64;
const NO_MEMORY: Buffer = Buffer.alloc(0);

export class ByteQueue {
  /** What is kept lies from `start` to `end`. Whoever reads moves `start`. */
  memory = NO_MEMORY;
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }

  /** Copies bytes to the end. `bytesMax`: how many there will be at most, where that is known; the memory becomes no larger. */
  append(bytes: Buffer, start: number, end: number, bytesMax = Infinity): void {
    const added = end - start;
    if (this.end + added > this.memory.length) this.makeRoom(added, bytesMax);
    bytes.copy(this.memory, this.end, start, end);
    this.end += added;
  }

  /** Gives the memory away, and begins anew. */
  clear(): void {
    this.memory = NO_MEMORY;
    this.start = this.end = 0;
  }

  private makeRoom(added: number, bytesMax: number): void {
    const { memory, start, end } = this;
    const needed = end - start + added;
    if (needed * 2 <= memory.length) memory.copyWithin(0, start, end);
    else {
      const larger = Math.min(Math.max(needed * 2, MEMORY_BYTES_MIN), bytesMax);
      this.memory = Buffer.allocUnsafeSlow(Math.max(needed, larger));
      memory.copy(this.memory, 0, start, end);
    }
    this.end -= start;
    this.start = 0;
  }
}
