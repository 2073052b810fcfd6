/**
 * Coarse timers: a hashed wheel for idle and header timeouts, of which there are many and which almost never fire.
 *
 * Guarantees: an entry fires once, not before its time and at most one tick (250 ms) and one turn after it. Moving a deadline
 * later costs one store: the entry stays where it is and moves on when its bucket comes up. Each fires outside of every async context.
 */
import { outside } from "../sys/async-context.ts";

export const WHEEL_TICK_MS = 250;
const BUCKETS = 512;
/** One more bucket: those of a tick that has come, to fire, or to be put in a later one. */
const DUE = BUCKETS;

/** Something that a wheel may hold once. Its owner extends it, so that a timer for each of many connections costs no object. */
export abstract class WheelEntry {
  /** @internal In ticks since the wheel's start; 0 is not armed. */ deadline = 0;
  /** @internal */ bucket = -1;
  /** @internal */ next: WheelEntry | null = null;
  /** @internal */ previous: WheelEntry | null = null;

  /** The time is over. May set and clear entries, itself included. */
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

  /** Entries in the wheel. */
  get size(): number {
    return this.count;
  }

  /** When `advance` next has something to do. */
  get nextTickMs(): number {
    return this.buckets[DUE] === null ? this.startMs + (this.tick + 1) * WHEEL_TICK_MS : 0;
  }

  /** Arms or moves an entry, `delayMs` after `nowMs`. */
  set(entry: WheelEntry, nowMs: number, delayMs: number): void {
    entry.deadline = Math.max(this.tick + 1, Math.ceil((nowMs - this.startMs + delayMs) / WHEEL_TICK_MS));
    if (entry.bucket < 0) this.insert(entry);
    else if (entry.deadline < this.dueOf(entry.bucket)) {
      this.remove(entry);
      this.insert(entry);
    }
  }

  /** Moves all deadlines, which are `ms` later from now on. */
  postpone(ms: number): void {
    this.startMs += ms;
  }

  /** Disarms an entry. */
  clear(entry: WheelEntry): void {
    entry.deadline = 0;
    if (entry.bucket >= 0) this.remove(entry);
  }

  /**
   * Fires what is due. An entry's `fire` may set and clear entries, itself included, and may advance the wheel. What it keeps from firing
   * by an error fires with the next `advance`.
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

  /** Takes one by one, since each may clear or move the others; what was moved later goes to its bucket. */
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

  /** Milliseconds from `nowMs` until a bucket with entries comes up; Infinity without entries. */
  untilNextMs(nowMs: number): number {
    if (this.count === 0) return Infinity;
    if (this.buckets[DUE] !== null) return 0;
    let ahead = 1;
    while (this.buckets[(this.tick + ahead) % BUCKETS] === null) ahead++;
    return Math.max(0, this.startMs + (this.tick + ahead) * WHEEL_TICK_MS - nowMs);
  }

  /** The tick at which a bucket comes up next. */
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
