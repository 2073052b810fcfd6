import { expect, test } from "bun:test";
import { closeSync, readFileSync } from "node:fs";
import { inMemory } from "../../src/sys/embedded-library.ts";
import { libraryPath } from "../../src/sys/library.ts";

test("a shared object is copied into memory whole, and once for all threads", () => {
  const copy = inMemory(libraryPath());
  try {
    expect(readFileSync(copy).equals(readFileSync(libraryPath()))).toBe(true);
    expect(inMemory(libraryPath())).toBe(copy);
  } finally {
    closeSync(Number(copy.split("/").at(-1)));
  }
});
