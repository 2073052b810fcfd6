/**
 * The mutations name existing lines. Whoever removes or changes such a line must change its
 * mutation, too.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mutations } from "../mutations.ts";

const root = join(import.meta.dir, "../..");

test.each(mutations.map((mutation) => [mutation.what, mutation] as const))("%s", (_, { file, from, to, tests }) => {
  const text = readFileSync(join(root, "src", file), "utf8");
  expect(text.split(from).length).toBe(2); // The text occurs exactly once.
  expect(to).not.toBe(from);
  expect(tests.filter((name) => !existsSync(join(root, "test", name)))).toEqual([]);
});
