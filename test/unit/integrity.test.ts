/**
 * docs/memory.md lists each cause of a RingIntegrityError, with the reason why only the kernel can
 * reach it.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");

test("every cause of a fatal error is listed with its reason, and no other", async () => {
  const listed = (await Bun.file(join(root, "docs/memory.md")).text())
    .split("## RingIntegrityError")[1]!
    .split("\n")
    .flatMap((line) => /^\| `([^`]+)`/.exec(line)?.[1] ?? []);
  const causes: string[] = [];
  for (const path of new Bun.Glob("**/*.ts").scanSync({ cwd: join(root, "src") })) {
    const source = await Bun.file(join(root, "src", path)).text();
    for (const [, message] of source.matchAll(/new RingIntegrityError\(\s*["`]([^"`$]+)/g))
      causes.push(message!.trim());
  }
  expect(causes.length).toBeGreaterThan(8);
  expect([...new Set(causes)].toSorted()).toEqual(listed.toSorted());
});
