/**
 * A list of used objects that keeps them for their next use. The list has a maximum length. A new
 * object is made only if the list is empty.
 */
export class FreeList<T> {
  private readonly items: T[] = [];
  private readonly countMax: number;

  /**
   * Sets the maximum. Objects beyond `countMax` are left to the garbage collector, so a short peak
   * does not fill the memory for ever.
   */
  constructor(countMax: number) {
    this.countMax = countMax;
  }

  get count(): number {
    return this.items.length;
  }

  take(): T | undefined {
    return this.items.pop();
  }

  give(item: T): void {
    if (this.items.length < this.countMax) this.items.push(item);
  }
}
