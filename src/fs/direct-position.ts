/**
 * The position of a file that is open with O_DIRECT: the kernel does not move its own when such an operation of a ring completes later.
 *
 * Guarantees: operations that are under way at once get places one after the other, in the order they were started in.
 */
export class DirectPosition {
  private next = 0;

  /** Runs an operation at the position, and moves it behind what was done. */
  async advance<T>(length: number, run: (position: number) => Promise<T>, bytes: (result: T) => number): Promise<T> {
    const start = this.next;
    this.next += length;
    let done = 0;
    try {
      const result = await run(start);
      done = bytes(result);
      return result;
    } finally {
      if (this.next === start + length) this.next = start + done; // Unless another one has its place behind.
    }
  }
}
