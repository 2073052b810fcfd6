import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { digestFile, digestOfDeclarations } from "../../ffi/api-declarations.ts";

// `npm run test:packages` writes the pages again, and compares them with the stored ones.
test("docs/api/ is of the declarations as they are; npm run docs:api writes it anew", () => {
  expect(readFileSync(digestFile, "utf8").trim()).toBe(digestOfDeclarations());
});
