/**
 * The versions of Bun that the tests of this ringloop ran on. Under other versions,
 * bun-internals.ts checks the behaviour that ringloop relies on.
 */
export const TESTED_BUN: readonly string[] = ["1.4.5"];

export function isTestedBun(): boolean {
  return TESTED_BUN.includes(process.versions.bun);
}
