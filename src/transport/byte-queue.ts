/**
 * A queue of bytes. Bytes are added in pieces and are read from the front: the beginning of a head,
 * waiting requests, the fragments of a message.
 *
 * Guarantees: n bytes in k pieces cost O(n + k), for any sizes of pieces. The memory doubles when
 * it is full. The unread bytes are moved to the front only after at least as many bytes have been
 * read since the last move. The memory is at most four times the highest number of queued bytes, or
 * eight times if the writer knows how many bytes will come.
 */

const MEMORY_BYTES_MIN = 64;
/**
 * Bytes whose number is known get memory for all of them once this part of them has arrived. A peer
 * that only promises a long message, or a long body, takes no memory for it.
 */
export const ARRIVED_PART = 1 / 8;
const NO_MEMORY: Buffer = Buffer.alloc(0);

export class ByteQueue {
  /** The memory. The queued bytes are between `start` and `end`. The reader moves `start`. */
  memory = NO_MEMORY;
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }

  /** Copies bytes to the end. */
  append(bytes: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    bytes.copy(this.memory, this.end, start, end);
    this.end += end - start;
  }

  /**
   * Makes room for `bytes` bytes behind the end. The caller writes them there and moves `end`.
   * `expected` is the number of bytes that the queue is expected to contain; 0 if it is not known.
   * `bytesMax` is the highest number of them, if that is known: the memory does not grow beyond it.
   */
  reserve(bytes: number, expected = 0, bytesMax = Infinity): void {
    if (this.end + bytes > this.memory.length) this.makeRoom(bytes, expected, bytesMax);
  }

  /** Drops the bytes and the memory. */
  clear(): void {
    this.memory = NO_MEMORY;
    this.start = this.end = 0;
  }

  private makeRoom(added: number, expected: number, bytesMax: number): void {
    const { memory, start, end } = this;
    const needed = end - start + added;
    if (needed * 2 <= memory.length) memory.copyWithin(0, start, end);
    else {
      const doubled = Math.min(Math.max(needed * 2, MEMORY_BYTES_MIN), bytesMax);
      const larger = needed >= expected * ARRIVED_PART ? Math.max(expected, doubled) : doubled;
      this.memory = Buffer.allocUnsafeSlow(Math.max(needed, larger));
      memory.copy(this.memory, 0, start, end);
    }
    this.end -= start;
    this.start = 0;
  }
}
