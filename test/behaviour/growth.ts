/**
 * Measures how CPU time grows with the input. If four times the input costs four times the CPU
 * time, the growth is linear, on any machine.
 */

const ROUNDS_MAX = 12;
const TIMES = 4;
/** Linear growth gives 4, quadratic growth gives 16. */
const LINEAR_MAX = 8;

/** Returns the CPU time of `run` in this process, in microseconds. */
export async function cpuUs(run: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/**
 * Returns the ratio of the CPU times of `other` and `control` in this process, with the client. For
 * both, the smallest value of several rounds counts, because other load on the machine can only add
 * to it. The rounds end as soon as the ratio is less than `enough`.
 */
export async function ratio(control: () => unknown, other: () => unknown, enough: number): Promise<number> {
  await control(); // The first run compiles and allocates, so it does not count.
  const least = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    for (const [i, run] of [control, other].entries()) least[i] = Math.min(least[i]!, await cpuUs(run));
    if (round > 0 && least[1]! < least[0]! * enough) break;
  }
  return least[1]! / least[0]!;
}

/** Returns the ratio of the CPU times of `run` for four times the count and for the count. */
export function growth(count: number, run: (count: number) => unknown): Promise<number> {
  return ratio(
    () => run(count),
    () => run(TIMES * count),
    LINEAR_MAX,
  );
}

/** A smaller ratio means linear growth. */
export const linear = LINEAR_MAX;
