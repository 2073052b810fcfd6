/**
 * Runs a million random operations, many at once. It chooses the next operation, counts operations
 * and violations, and finds operations that hang and resources that are left at the end.
 *
 * Guarantees: the random numbers of an operation depend only on the seed and its own number. Each
 * operation either ends or is named.
 *
 * Leaves to its users: the operations, and the checks of their results.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { onFatalError } from "../behaviour/fixtures/fatal-error.ts";
import { reactorStats } from "../behaviour/subject.ts";
import { SeededRandom } from "../unit/seeded-random.ts";

const AT_ONCE = 64;
const VIOLATIONS_MAX = 10;
const PROGRESS_MS = 5000;
/** An operation hangs if this number of later operations has ended before it. */
const OUTLIVED_MAX = 200_000;
/** An operation also hangs if no operation has ended for this time. */
const SILENCE_MS_MAX = 60_000;
/** Largest duration of the close at the end, during which nothing else runs. */
const SETTLE_MS_MAX = 20_000;

/** An allowed error, and the name under which it is counted. */
export interface Refusal {
  name: string;
  matches(error: { name?: unknown; message?: unknown; code?: unknown }): boolean;
}

/** One operation, as its function sees it. */
export class Step {
  readonly number: number;
  /** Its number among the operations that run at once. No other one has the same at that time. */
  readonly lane: number;
  readonly random: SeededRandom;
  /** Description of the operation, for the report of a violation. */
  what = "";
  /** Number of operations that had ended when it began. */
  readonly begunAt: number;
  private readonly campaign: Campaign;

  constructor(campaign: Campaign, number: number, lane: number, seed: number, begunAt: number) {
    this.campaign = campaign;
    this.number = number;
    this.lane = lane;
    this.random = new SeededRandom(seed);
    this.begunAt = begunAt;
  }

  below(limit: number): number {
    return this.random.below(limit);
  }

  /** Returns true in one of `count` cases. */
  oneIn(count: number): boolean {
    return this.random.below(count) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)]!;
  }

  violation(text: string): void {
    this.campaign.violation(`step ${this.number}, ${this.what}: ${text}`);
  }

  count(table: string, name: string, more = 1): void {
    this.campaign.count(table, name, more);
  }

  /** Returns the value of a promise, or undefined for an allowed error. Throws any other error. */
  async outcome<T>(promise: Promise<T> | T): Promise<T | undefined> {
    try {
      return await promise;
    } catch (error) {
      this.refused(error);
      return undefined;
    }
  }

  /** Returns the result of a call, or undefined for an allowed error. Throws any other error. */
  attempt<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.refused(error);
      return undefined;
    }
  }

  /** Counts an allowed error. Throws any other error. */
  refused(error: unknown): void {
    const refusal = this.campaign.refusals.find(({ matches }) => matches((error ?? {}) as Error));
    if (refusal === undefined) throw error;
    this.count("refused", refusal.name);
  }
}

export class Campaign {
  readonly refusals: readonly Refusal[];
  private readonly seed: number;
  private readonly operations: number;
  private readonly tables = new Map<string, Map<string, number>>();
  private readonly underWay = new Map<number, Step>();
  private violations = 0;
  private begun = 0;
  private done = 0;
  private lastEndMs = performance.now();
  private readonly startMs = performance.now();
  private fatal: (() => void) | undefined;

  /** The arguments of the process are SEED and OPERATIONS. */
  constructor(refusals: readonly Refusal[]) {
    this.refusals = refusals;
    this.seed = Number(process.argv[2]);
    this.operations = Number(process.argv[3]);
    onFatalError((error) => {
      this.violation(`uncaught: ${describe(error)}`);
      this.violations += VIOLATIONS_MAX; // After this, no further result is reliable.
      this.fatal?.();
    });
  }

  count(table: string, name: string, more = 1): void {
    let counts = this.tables.get(table);
    if (counts === undefined) this.tables.set(table, (counts = new Map()));
    counts.set(name, (counts.get(name) ?? 0) + more);
  }

  violation(text: string): void {
    if (++this.violations > VIOLATIONS_MAX) return;
    console.log(`VIOLATION (seed ${this.seed}): ${text}`);
  }

  /**
   * Runs all operations, some at once, and then `close`. Checks which resources are left, and ends
   * the process, with 0 if there was no violation. `warmUp` runs first, to make the objects that
   * are made only once.
   */
  async run(parts: {
    warmUp(): Promise<unknown> | unknown;
    attempt(step: Step): Promise<void>;
    close(): Promise<unknown> | unknown;
  }): Promise<never> {
    await parts.warmUp();
    const before = this.inUse();
    const progress = setInterval(() => this.tell(), PROGRESS_MS);
    const hanging = new Promise<void>((resolve) => {
      this.fatal = resolve;
      const watch = setInterval(() => {
        if (!this.findHanging()) return;
        clearInterval(watch);
        resolve();
      }, 1000);
      watch.unref();
    });
    const lanes = Array.from({ length: AT_ONCE }, (_, lane) => this.lane(lane, parts.attempt));
    await Promise.race([Promise.all(lanes), hanging]);
    clearInterval(progress);
    if (this.violations < VIOLATIONS_MAX) {
      await Promise.race([parts.close(), hanging]);
      await this.settle(before);
    }
    this.summarize();
    process.exit(this.violations === 0 ? 0 : 1);
  }

  private async lane(lane: number, attempt: (step: Step) => Promise<void>): Promise<void> {
    while (this.begun < this.operations && this.violations < VIOLATIONS_MAX) {
      const number = this.begun++;
      const step = new Step(this, number, lane, (this.seed + Math.imul(number, 0x9e3779b1)) | 0, this.done);
      this.underWay.set(number, step);
      try {
        await attempt(step);
      } catch (error) {
        step.violation(`an error that no list names: ${describe(error)}`);
      }
      this.underWay.delete(number);
      this.done++;
      this.lastEndMs = performance.now();
    }
  }

  /** Reports operations that hang. Returns whether there are any. */
  private findHanging(): boolean {
    const isSilent = performance.now() - this.lastEndMs > SILENCE_MS_MAX;
    let found = false;
    for (const step of this.underWay.values()) {
      const outlived = this.done - step.begunAt;
      if (!isSilent && outlived < OUTLIVED_MAX) continue;
      found = true;
      step.violation(`does not come to its end: ${outlived} others have since`);
    }
    if (found) this.violations += VIOLATIONS_MAX;
    return found;
  }

  private inUse(): Record<string, number> {
    const { slotsInUse, operationsInFlight, sendBytesInUse, receiveBuffersAvailable } = reactorStats();
    return {
      slots: slotsInUse,
      operations: operationsInFlight,
      sendBytes: sendBytesInUse,
      receiveBuffersMissing: -receiveBuffersAvailable,
      ...descriptors(),
    };
  }

  /** Waits until there are no more resources than before, and reports those that are left. */
  private async settle(before: Record<string, number>): Promise<void> {
    const endMs = performance.now() + SETTLE_MS_MAX;
    for (;;) {
      const left = Object.entries(this.inUse())
        .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
        .filter(([, count]) => count > 0);
      if (left.length === 0) return;
      if (performance.now() > endMs) {
        this.violation(`left at the end: ${left.map(([name, count]) => `${count} ${name}`).join(", ")}`);
        return;
      }
      Bun.gc(false);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  private tell(): void {
    const { slotsInUse, sendBytesInUse } = reactorStats();
    const perSecond = Math.round(this.done / ((performance.now() - this.startMs) / 1000));
    console.log(
      `${this.done} of ${this.operations} done, ${perSecond} a second; ${slotsInUse} slots, ${sendBytesInUse >> 10} KiB to send, ` +
        `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB resident`,
    );
  }

  private summarize(): void {
    for (const [table, counts] of this.tables) {
      const listed = [...counts].toSorted(([, a], [, b]) => b - a).map(([name, count]) => `${count} ${name}`);
      console.log(`${table}: ${listed.join(", ")}`);
    }
    console.log(`${this.done} operations, ${this.violations} violations`);
  }
}

/**
 * Returns the numbers of open files, sockets and rings. Bun's own descriptors are none of these.
 */
function descriptors(): Record<string, number> {
  const counts = { files: 0, sockets: 0, rings: 0 };
  for (const fd of readdirSync("/proc/self/fd")) {
    let target: string;
    try {
      target = readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      continue; // The descriptor of readdirSync itself.
    }
    if (target.startsWith("socket:")) counts.sockets++;
    else if (target.includes("io_uring")) counts.rings++;
    else if (target.startsWith("/") && !/^\/(dev|proc|sys)\//.test(target)) counts.files++;
  }
  return counts;
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.stack ?? error.message}` : Bun.inspect(error);
}

/** Resolves after `count` turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
