/**
 * Builds dist/, the JavaScript and the types of the package: `bun ffi/bundle.ts`.
 *
 * - ringloop.js has every module, translated and compiled to Bun's bytecode (ringloop.js.jsc). With
 *   it, a server answers its first request in half the time that its TypeScript takes. Bun ignores
 *   the bytecode if another version has built it.
 * - modules.js has the same modules for bundlers. loading.cjs chooses between the two.
 * - register.js, the preload, is a separate file, because every Bun process of a program loads it.
 *   The command, cli.js, is separate, too.
 * - ringloop-main.js, ringloop-fs.js and so on name the exports of the package's entries
 *   (entries.ts).
 * - needs-bun.cjs replaces each of them in Node.
 * - types/ has the declarations.
 *
 * The same sources give the same bytes in every directory. Does nothing when dist/ is newer than
 * its sources and Bun, unless --force is given.
 */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as parts from "../src/parts.ts";
import { entries } from "./entries.ts";

const root = join(import.meta.dir, "..");
const temporary = join(root, `dist.${process.pid}`);
const output = join(root, "dist");

const byName: Record<string, () => object> = { ...parts };
const exportsOf = (part: string): string[] => Object.keys(byName[part]!());

function isFresh(): boolean {
  if (!existsSync(output)) return false;
  const sources = [...new Bun.Glob("src/**/*.ts").scanSync({ cwd: root, absolute: true })];
  const built = statSync(output).mtimeMs;
  const settings = ["ffi/bundle.ts", "ffi/entries.ts", "ffi/loading.cjs", "package.json", "tsconfig.json"];
  const others = [...settings.map((file) => join(root, file)), process.execPath];
  return [...sources, ...others].every((file) => statSync(file).mtimeMs <= built);
}

if (isFresh() && !process.argv.includes("--force")) process.exit(0);

/** Names are kept, because errors and `Bun.inspect` show them. */
const minify = { whitespace: true, syntax: true, identifiers: false };

/**
 * Modules that are not built in: packages with the shared object, its build, and the modules that
 * loading.cjs finds.
 */
const outside: Bun.BunPlugin = {
  name: "outside",
  setup(build) {
    build.onResolve({ filter: /^@ringloop\// }, ({ path }) => ({ path, external: true }));
    build.onResolve({ filter: /\/ffi\/build\// }, ({ path }) => ({ path: path.slice("../".length), external: true }));
    build.onResolve({ filter: /\/loading\.ts$/ }, () => ({ path: "./loading.cjs", external: true }));
  },
};

async function bundle(entry: string, options: Partial<Bun.BuildConfig> = {}): Promise<void> {
  const entrypoints = [join(root, "src", entry)];
  await Bun.build({ entrypoints, outdir: temporary, target: "bun", minify, plugins: [outside], ...options });
}

const write = (file: string, text: string): Promise<number> => Bun.write(join(temporary, file), text);

/** Bun gives `require` of a module another name, and bundlers know only `require`. */
async function forBundlers(file: string): Promise<void> {
  const text = await Bun.file(join(temporary, file)).text();
  await write(file, text.replaceAll("__require(", "require("));
}

async function facade(part: string, script: string): Promise<void> {
  const exports = exportsOf(part);
  const names = exports.filter((name) => name !== "default").join(", ");
  let text = `import { parts } from "./loading.cjs";\nexport const { ${names} } = parts().${part}();\n`;
  if (exports.includes("default")) text += `export default parts().${part}().default;\n`;
  await write(script.slice("dist/".length), text);
}

/**
 * Writes the module for Node. It has all export names, because Node checks the names of an import
 * before it runs the file. So the error below is the first one.
 */
async function needsBun(): Promise<void> {
  const names = new Set(entries.flatMap(({ part }) => exportsOf(part)));
  names.delete("default"); // Every CommonJS module has a default export.
  const where = `typeof Bun === "undefined" ? "not on Node" : "and a bundler that is not Bun's has to leave it out"`;
  const error = `throw new Error(\`ringloop runs on Bun (https://bun.com), \${${where}}\`);`;
  await write("needs-bun.cjs", `${error}\n${[...names].map((name) => `exports.${name} = 0;\n`).join("")}`);
}

/** Writes the declarations. They load Bun's own types. The compiler does not check types here. */
async function declarations(): Promise<void> {
  const types = join(temporary, "types");
  const sources = [...entries.map(({ source }) => source), "src/register.ts", "src/sys/buffer.d.ts"];
  const emitted = { noEmit: false, declaration: true, emitDeclarationOnly: true, noCheck: true };
  const compilerOptions = { ...emitted, rootDir: join(root, "src"), outDir: types };
  const files = sources.map((source) => join(root, source));
  await write(
    "tsconfig.json",
    JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions, include: [], files }),
  );
  const command = [join(root, "node_modules/.bin/tsc"), "--project", join(temporary, "tsconfig.json")];
  const compiled = Bun.spawnSync(command, { cwd: root, stdout: "inherit", stderr: "inherit" });
  if (!compiled.success) throw new Error("tsc failed");
  rmSync(join(temporary, "tsconfig.json"));
  for (const file of new Bun.Glob("**/*.d.ts").scanSync({ cwd: types })) {
    const text = await Bun.file(join(types, file)).text();
    await write(`types/${file}`, `/// <reference types="bun" />\n${text}`);
  }
}

mkdirSync(temporary);
try {
  await bundle("parts.ts", {
    format: "cjs",
    bytecode: true,
    naming: "ringloop.[ext]",
    // The path of the bundled file replaces the path of the source.
    define: { "import.meta.path": "module.filename" },
  });
  await bundle("parts.ts", { naming: "modules.[ext]" });
  await forBundlers("modules.js");
  await bundle("register.ts");
  await bundle("cli.ts");
  chmodSync(join(temporary, "cli.js"), 0o755);
  await write("loading.cjs", await Bun.file(join(import.meta.dir, "loading.cjs")).text());
  for (const { part, script } of entries) await facade(part, script);
  await needsBun();
  await declarations();
  rmSync(output, { recursive: true, force: true });
  renameSync(temporary, output);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
