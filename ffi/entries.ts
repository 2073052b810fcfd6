/**
 * The entries of the package that have exports, read from package.json. A new entry needs lines
 * there, and a line in src/parts.ts with the name in its dist/ file: `node` for
 * dist/ringloop-node.js.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");

export interface Entry {
  /** Name in src/parts.ts: `fs`. */
  part: string;
  /** Paths in this directory: src/fs/index.ts, dist/ringloop-fs.js and dist/types/fs/index.d.ts. */
  source: string;
  script: string;
  declarations: string;
}

interface Exports {
  exports: Record<string, string | { types: string; bun: string }>;
}

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Exports;

export const entries: readonly Entry[] = Object.values(exports).flatMap((entry) => {
  const part = typeof entry === "string" ? undefined : /^\.\/dist\/ringloop-(\w+)\.js$/.exec(entry.bun)?.[1];
  if (typeof entry === "string" || part === undefined) return [];
  const source = entry.types.replace(/^\.\/dist\/types\/(.*)\.d\.ts$/, "src/$1.ts");
  return { part, source, script: entry.bun.slice("./".length), declarations: entry.types.slice("./".length) };
});
