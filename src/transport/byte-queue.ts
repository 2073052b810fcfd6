/**
 * A queue of bytes. Bytes are added in pieces and are read from the front: the beginning of a head,
 * waiting requests, the fragments of a message.
 *
 * Guarantees: n bytes in k pieces cost O(n + k), for any sizes of pieces. The memory doubles when
 * it is full. The unread bytes are moved to the front only after at least as many bytes have been
 * read since the last move. The memory is at most four times the highest number of queued bytes.
 */

const MEMORY_BYTES_MIN = 64;
const NO_MEMORY: Buffer = Buffer.alloc(0);

export class ByteQueue {
  /** The memory. The queued bytes are between `start` and `end`. The reader moves `start`. */
  memory = NO_MEMORY;
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }

  /**
   * Copies bytes to the end. `bytesMax` is the highest number of bytes that the queue will contain,
   * if that is known: the memory does not grow beyond it.
   */
  append(bytes: Buffer, start: number, end: number, bytesMax = Infinity): void {
    const added = end - start;
    if (this.end + added > this.memory.length) this.makeRoom(added, bytesMax);
    bytes.copy(this.memory, this.end, start, end);
    this.end += added;
  }

  /** Drops the bytes and the memory. */
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
