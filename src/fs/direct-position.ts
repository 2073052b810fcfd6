/**
 * The position of a file with O_DIRECT. The kernel does not move its own position when an operation
 * of a ring completes later.
 *
 * Guarantees: simultaneous operations get consecutive positions, in the order in which they were
 * started.
 */
export class DirectPosition {
  private next = 0;

  /** Runs an operation at the position, and moves the position past the bytes done. */
  async advance<T>(length: number, run: (position: number) => Promise<T>, bytes: (result: T) => number): Promise<T> {
    const start = this.next;
    this.next += length;
    let done = 0;
    try {
      const result = await run(start);
      done = bytes(result);
      return result;
    } finally {
      // If another operation has the next position, the position stays.
      if (this.next === start + length) this.next = start + done;
    }
  }

  /** Moves the position. Operations under way keep theirs. */
  moveTo(position: number): void {
    this.next = position;
  }
}
