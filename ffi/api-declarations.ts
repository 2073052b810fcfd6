/**
 * The input of docs/api/: the declarations of the package's entries, and declarations that these
 * re-export, extend and use as values.
 *
 * Guarantees: the digest changes with every declaration and comment of this input, with typedoc's
 * version and with its options. So a test can tell in milliseconds whether docs/api/ is fresh.
 * Writing it again takes seconds.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { entries } from "./entries.ts";

const root = join(import.meta.dir, "..");

/**
 * The tools that write docs/api/, by exact version. This TypeScript is the last one with an
 * interface that typedoc uses.
 */
export const generators: Record<string, string> = {
  typedoc: "0.28.20",
  "typedoc-plugin-markdown": "4.14.1",
  typescript: "5.9.3",
};

export const digestFile = join(root, "docs/api/declarations.sha256");

/** The files exist after dist/ is built. */
export const declarations = entries.map((entry) => join(root, entry.declarations));

/** Type-only imports do not match, because the reference shows only the names of such types. */
const valueImport = /^(?:import|export) (?!type )[^;]*? from "(\.[^"]*)\.ts"/gm;

export function digestOfDeclarations(): string {
  const files = [...declarations];
  const hash = new Bun.CryptoHasher("sha256").update(JSON.stringify(generators));
  hash.update(readFileSync(join(root, "ffi/typedoc.json")));
  for (let i = 0; i < files.length; i++) {
    const text = readFileSync(files[i]!, "utf8");
    hash.update(text.replaceAll(/^ *(?:private|protected) .*\n/gm, ""));
    const isEntry = i < declarations.length;
    const imports = text.matchAll(isEntry ? /^[^*/].* from "(\.[^"]*)\.ts"/gm : valueImport);
    for (const [, path] of imports) {
      const file = join(dirname(files[i]!), `${path}.d.ts`);
      if (!files.includes(file)) files.push(file);
    }
  }
  return hash.digest("hex");
}
