/** How CPU time grows with what a client sends: what costs four times as much for four times as much is linear, whatever the machine. */

const ROUNDS_MAX = 12;
const TIMES = 4;
/** Linear is 4, and quadratic 16. */
const LINEAR_MAX = 8;

/**
 * How many times the CPU time of this process, client included, `other` takes. The least of several rounds counts for each, since others on
 * the machine only ever add to it; no more rounds than it takes to show that it is less than `enough`.
 */
export async function ratio(control: () => unknown, other: () => unknown, enough: number): Promise<number> {
  await control(); // What is compiled and allocated at first is not measured.
  const least = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    for (const [i, run] of [control, other].entries()) {
      const before = process.cpuUsage();
      await run();
      const { user, system } = process.cpuUsage(before);
      least[i] = Math.min(least[i]!, user + system);
    }
    if (round > 0 && least[1]! < least[0]! * enough) break;
  }
  return least[1]! / least[0]!;
}

/** How many times the CPU time `run` takes for four times the count. */
export function growth(count: number, run: (count: number) => unknown): Promise<number> {
  return ratio(
    () => run(count),
    () => run(TIMES * count),
    LINEAR_MAX,
  );
}

/** Less than this is linear. */
export const linear = LINEAR_MAX;
