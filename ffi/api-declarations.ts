/**
 * What docs/api/ is made of: the declarations of the package's entries, and of what they re-export, extend and use as values.
 *
 * Guarantees: the digest changes whenever a declaration or comment of those changes, and with typedoc's version and options. So a test can tell in
 * milliseconds whether docs/api/ is fresh, where making it anew takes seconds.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { entries } from "./entries.ts";

const root = join(import.meta.dir, "..");

/** What writes docs/api/, by exact version. TypeScript is the last with an interface that typedoc uses. */
export const generators: Record<string, string> = {
  typedoc: "0.28.20",
  "typedoc-plugin-markdown": "4.14.1",
  typescript: "5.9.3",
};

export const digestFile = join(root, "docs/api/declarations.sha256");

/** They are there when dist/ is built. */
export const declarations = entries.map((entry) => join(root, entry.declarations));

/** Imports of types alone are left out: what they name is shown by its name only. */
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
