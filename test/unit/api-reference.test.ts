import { expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { declarations, digestFile, digestOfDeclarations } from "../../ffi/api-declarations.ts";

const root = join(import.meta.dir, "../..");
const changedMs = (path: string): number => statSync(path).mtimeMs;

// `npm run test:packages` writes the pages again, and compares them with the stored ones.
test("docs/api/ is of the declarations as they are; npm run docs:api writes it anew", () => {
  const sources = [...new Bun.Glob("src/**/*.ts").scanSync(root)].map((path) => join(root, path));
  if (Math.max(...sources.map(changedMs)) > Math.min(...declarations.map(changedMs)))
    throw new Error("dist/ is older than src/; npm run setup builds it anew");
  expect(readFileSync(digestFile, "utf8").trim()).toBe(digestOfDeclarations());
});
