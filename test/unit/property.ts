/** Properties: what holds for every value of a kind. fast-check makes the values, and finds the smallest that fails. */
import * as fc from "fast-check";

/** The same values in every run, so that a failure can be repeated; RINGLOOP_TEST_SEED has others. */
const seed = Number(process.env.RINGLOOP_TEST_SEED ?? 20260101);

/** Throws with the smallest values that were found for which `check` throws. */
export function holds<Values extends [unknown, ...unknown[]]>(
  runs: number,
  arbitraries: { [Each in keyof Values]: fc.Arbitrary<Values[Each]> },
  check: (...values: Values) => void,
): void {
  fc.assert(fc.property<Values>(...arbitraries, check), { seed, numRuns: runs });
}

/** Ends of up to `count` pieces of something, as parts of its length: see `endsWithin`. */
export const cuts = (count: number): fc.Arbitrary<number[]> =>
  fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: count });

/** The ends of the pieces into which `cuts` divide something of this length. */
export const endsWithin = (length: number, at: readonly number[]): number[] =>
  at.map((part) => Math.floor(part * length)).toSorted((a, b) => a - b);
