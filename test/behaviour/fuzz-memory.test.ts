/**
 * Random operations on memory that changes and on descriptors that are closed: the short forms of
 * `npm run fuzz:memory` and `npm run fuzz:descriptors`. They do not run for Bun, because canaries
 * and counters are in ringloop's own memory.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { attempt } from "./process.ts";
import { isBun, subject } from "./subject.ts";

const SEED = process.env.RINGLOOP_TEST_SEED ?? "20261127";
const OPERATIONS = 4000;

test.skipIf(isBun).each(["fuzz-memory", "fuzz-descriptors"])(`%s finds no violation (seed ${SEED})`, async (name) => {
  const program = join(import.meta.dir, "..", `${name}.ts`);
  const options = ["--operations", `${OPERATIONS}`, "--seed", SEED, "--mode", subject];
  const { stdout, stderr, exitCode } = await attempt([process.execPath, program, ...options]);
  expect(stdout + stderr).toContain(`${OPERATIONS} operations, 0 violations`);
  expect(exitCode).toBe(0);
});
