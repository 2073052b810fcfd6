/**
 * Properties: statements that hold for all values of a kind. fast-check makes the values. If one
 * fails, it finds the smallest one that fails.
 */
import * as fc from "fast-check";

/** The seed of the values. It is the same in every run, unless RINGLOOP_TEST_SEED is set. */
const seed = Number(process.env.RINGLOOP_TEST_SEED ?? 20260101);

/**
 * Calls `check` with `runs` values. If it throws, throws an error that shows the smallest values.
 */
export function holds<Values extends [unknown, ...unknown[]]>(
  runs: number,
  arbitraries: { [Each in keyof Values]: fc.Arbitrary<Values[Each]> },
  check: (...values: Values) => void,
): void {
  fc.assert(fc.property<Values>(...arbitraries, check), { seed, numRuns: runs });
}

/** Makes up to `count` places to cut something, as fractions of its length. */
export const cuts = (count: number): fc.Arbitrary<number[]> =>
  fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: count });

/** Returns the ends of the pieces into which `cuts` divide something of this length. */
export const endsWithin = (length: number, at: readonly number[]): number[] =>
  at.map((part) => Math.floor(part * length)).toSorted((a, b) => a - b);
