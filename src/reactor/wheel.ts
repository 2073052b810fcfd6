/**
 * Coarse timers in a hashed wheel, for idle and header timeouts: there are many of them, and they
 * almost never fire.
 *
 * Guarantees: an entry fires once, never before its time, and at most one tick (250 ms) and one
 * turn after it. To move a deadline to a later time costs one store: the entry stays in its bucket
 * and moves when that bucket comes up. Each entry fires outside of every async context.
 */
import { outside } from "../sys/async-context.ts";

export const WHEEL_TICK_MS = 250;
const BUCKETS = 512;
/**
 * Index of an additional bucket. It contains the entries of a tick that has come: they fire, or
 * move to a later bucket.
 */
const DUE = BUCKETS;

/**
 * A timer that a wheel contains at most once. Its owner extends this class, so that the timers of
 * many connections need no objects of their own.
 */
export abstract class WheelEntry {
  /** @internal Deadline in ticks since the wheel's start. 0: not armed. */ deadline = 0;
  /** @internal */ bucket = -1;
  /** @internal */ next: WheelEntry | null = null;
  /** @internal */ previous: WheelEntry | null = null;

  /** Called when the time is over. It may set and clear entries, this entry included. */
  abstract fire(): void;

  get armed(): boolean {
    return this.deadline !== 0;
  }
}

export class Wheel {
  private readonly buckets: (WheelEntry | null)[] = Array.from({ length: BUCKETS + 1 }, () => null);
  private startMs: number;
  private tick = 0;
  private count = 0;

  constructor(nowMs: number) {
    this.startMs = nowMs;
  }

  /** Number of entries in the wheel. */
  get size(): number {
    return this.count;
  }

  /** Time at which `advance` next has something to do. */
  get nextTickMs(): number {
    return this.buckets[DUE] === null ? this.startMs + (this.tick + 1) * WHEEL_TICK_MS : 0;
  }

  /** Sets an entry's deadline to `delayMs` after `nowMs`. */
  set(entry: WheelEntry, nowMs: number, delayMs: number): void {
    entry.deadline = Math.max(this.tick + 1, Math.ceil((nowMs - this.startMs + delayMs) / WHEEL_TICK_MS));
    if (entry.bucket < 0) this.insert(entry);
    else if (entry.deadline < this.dueOf(entry.bucket)) {
      this.remove(entry);
      this.insert(entry);
    }
  }

  /** Moves all deadlines `ms` milliseconds into the future. */
  postpone(ms: number): void {
    this.startMs += ms;
  }

  /** Disarms an entry. */
  clear(entry: WheelEntry): void {
    entry.deadline = 0;
    if (entry.bucket >= 0) this.remove(entry);
  }

  /**
   * Fires the entries that are due. An entry's `fire` may set and clear entries, this entry
   * included, and may advance the wheel. If `fire` throws, the next `advance` fires the remaining
   * entries.
   */
  advance(nowMs: number): void {
    const target = Math.floor((nowMs - this.startMs) / WHEEL_TICK_MS);
    for (;;) {
      this.fireDue();
      if (this.tick >= target) return;
      if (this.count === 0) {
        this.tick = target;
        return;
      }
      const bucket = ++this.tick % BUCKETS;
      for (let entry = this.buckets[bucket]; entry; entry = this.buckets[bucket]) {
        this.remove(entry);
        this.put(entry, DUE);
      }
    }
  }

  /**
   * Removes one entry at a time, since each may clear or move the others. An entry whose deadline
   * was moved goes to its bucket.
   */
  private fireDue(): void {
    for (let entry = this.buckets[DUE]; entry; entry = this.buckets[DUE]) {
      this.remove(entry);
      if (entry.deadline > this.tick) this.insert(entry);
      else {
        entry.deadline = 0;
        outside(fire, entry);
      }
    }
  }

  /**
   * Returns the milliseconds from `nowMs` until a bucket with entries comes up. Returns Infinity
   * without entries.
   */
  untilNextMs(nowMs: number): number {
    if (this.count === 0) return Infinity;
    if (this.buckets[DUE] !== null) return 0;
    let ahead = 1;
    while (this.buckets[(this.tick + ahead) % BUCKETS] === null) ahead++;
    return Math.max(0, this.startMs + (this.tick + ahead) * WHEEL_TICK_MS - nowMs);
  }

  /** Returns the tick at which a bucket comes up next. */
  private dueOf(bucket: number): number {
    if (bucket === DUE) return this.tick;
    return this.tick + 1 + ((bucket - ((this.tick + 1) % BUCKETS) + BUCKETS) % BUCKETS);
  }

  private insert(entry: WheelEntry): void {
    // A deadline beyond the horizon waits in the farthest bucket and is inserted again from there.
    const due = Math.min(entry.deadline, this.tick + BUCKETS - 1);
    this.put(entry, due % BUCKETS);
  }

  private put(entry: WheelEntry, bucket: number): void {
    const first = this.buckets[bucket]!;
    entry.bucket = bucket;
    entry.previous = null;
    entry.next = first;
    if (first) first.previous = entry;
    this.buckets[bucket] = entry;
    this.count++;
  }

  private remove(entry: WheelEntry): void {
    if (entry.previous) entry.previous.next = entry.next;
    else this.buckets[entry.bucket] = entry.next;
    if (entry.next) entry.next.previous = entry.previous;
    entry.next = entry.previous = null;
    entry.bucket = -1;
    this.count--;
  }
}

function fire(entry: WheelEntry): void {
  entry.fire();
}
