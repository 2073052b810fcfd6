/**
 * Writes docs/api/, the reference of all exports of the package's entries, from their declarations
 * and comments: `bun ffi/api-reference.ts`.
 *
 * typedoc needs another TypeScript than this repository. So it is installed separately, below
 * build/.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { declarations, digestFile, digestOfDeclarations, generators } from "./api-declarations.ts";

const root = join(import.meta.dir, "..");
const tools = join(root, "build/typedoc");

function run(command: string[], cwd: string): void {
  if (!Bun.spawnSync(command, { cwd, stdio: ["ignore", "inherit", "inherit"] }).success)
    throw new Error(`${command.join(" ")} failed`);
}

const manifest = JSON.stringify({ private: true, dependencies: generators });
if (!existsSync(join(tools, "package.json")) || (await Bun.file(join(tools, "package.json")).text()) !== manifest) {
  rmSync(tools, { recursive: true, force: true });
  mkdirSync(tools, { recursive: true });
  writeFileSync(join(tools, "package.json"), manifest);
  run([process.execPath, "install", "--silent"], tools);
}
rmSync(join(root, "docs/api"), { recursive: true, force: true });
const config = { extends: "../../tsconfig.json", include: [], files: declarations };
writeFileSync(join(tools, "tsconfig.json"), JSON.stringify(config));
const options = ["--plugin", "typedoc-plugin-markdown", "--options", join(root, "ffi/typedoc.json")];
const input = ["--tsconfig", "tsconfig.json", ...declarations.flatMap((file) => ["--entryPoints", file])];
run([process.execPath, "node_modules/typedoc/bin/typedoc", ...options, ...input], tools);
run([process.execPath, "fmt", "docs/api"], root);
writeFileSync(digestFile, `${digestOfDeclarations()}\n`);
