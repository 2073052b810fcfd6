import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { digestFile, digestOfDeclarations } from "../../ffi/api-declarations.ts";

// `npm run test:packages` writes it anew, and compares the pages themselves.
test("docs/api/ is of the declarations as they are; npm run docs:api writes it anew", () => {
  expect(readFileSync(digestFile, "utf8").trim()).toBe(digestOfDeclarations());
});
