/**
 * Builds dist/, the JavaScript of the package: `bun ffi/bundle.ts`.
 *
 * ringloop.js has every module, translated and compiled to Bun's bytecode (ringloop.js.jsc): a server answers its first request in half the
 * time that its TypeScript takes. Another version of Bun than the one that built it ignores the bytecode. The preload is a file of its own,
 * because every Bun process of a program loads it. The other files only name what ringloop.js exports.
 *
 * Does nothing when dist/ is newer than its sources and Bun, unless --force is given.
 */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as parts from "../src/parts.ts";

const root = join(import.meta.dir, "..");
const temporary = join(root, `dist.${process.pid}`);
const output = join(root, "dist");

function isFresh(): boolean {
  if (!existsSync(output)) return false;
  const sources = [...new Bun.Glob("src/**/*.ts").scanSync({ cwd: root, absolute: true })];
  const built = statSync(output).mtimeMs;
  return [...sources, import.meta.path, process.execPath].every((file) => statSync(file).mtimeMs <= built);
}

if (isFresh() && !process.argv.includes("--force")) process.exit(0);

/** Names are kept: errors and `Bun.inspect` show them. */
const minify = { whitespace: true, syntax: true, identifiers: false };

async function bundle(entry: string, options: Partial<Bun.BuildConfig>): Promise<void> {
  await Bun.build({ entrypoints: [join(root, "src", entry)], outdir: temporary, target: "bun", minify, ...options });
}

/** An ES module with the exports of one of the parts. */
async function facade(part: string, exports: object, file: string): Promise<void> {
  const names = Object.keys(exports);
  const text = `import { ${part} } from "./ringloop.js";\nexport const { ${names.join(", ")} } = ${part}();\n`;
  await Bun.write(join(temporary, file), text);
}

mkdirSync(temporary);
try {
  await bundle("parts.ts", { format: "cjs", bytecode: true, naming: "ringloop.[ext]" });
  await bundle("register.ts", {
    plugins: [
      {
        name: "parts",
        setup: (build) =>
          void build.onResolve({ filter: /^\.\/parts\.ts$/ }, () => ({ path: "./ringloop.js", external: true })),
      },
    ],
  });
  await facade("main", parts.main(), "index.js");
  await facade("fs", parts.fs(), "fs.js");
  await facade("ring", parts.ring(), "ring.js");
  await facade("node", parts.node(), "node.js");
  rmSync(output, { recursive: true, force: true });
  renameSync(temporary, output);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
