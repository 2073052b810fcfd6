/** Objects that are kept for their next use: what is done with is given back, up to a number, and taken before a new one is made. */
export class FreeList<T> {
  private readonly items: T[] = [];
  private readonly countMax: number;

  /** More than `countMax` are left to the garbage collector: many at once are no reason to keep many for ever. */
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
