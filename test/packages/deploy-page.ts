/** The blocks of docs/deploy.md, for the tests that run them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Returns the block of the language that contains `part`. Throws unless there is exactly one. */
export function blockOf(part: string, language: string): string {
  const page = readFileSync(join(import.meta.dir, "../../docs/deploy.md"), "utf8");
  const blocks = [...page.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].filter(([, name]) => name === language);
  const found = blocks.map(([, , text]) => text!).filter((text) => text.includes(part));
  if (found.length !== 1) throw new Error(`docs/deploy.md has ${found.length} blocks of ${language} with ${part}`);
  return found[0]!;
}
