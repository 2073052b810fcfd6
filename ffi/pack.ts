/**
 * Packs ringloop, and the packages with its shared object. Those are optional dependencies of the
 * packed ringloop only, because a checkout builds its own.
 *
 * Guarantees: the same files give the same bytes. Leaves to others: compiling the shared object
 * (targets.ts).
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { linksWithin } from "./package-links.ts";
import { type Target, targets } from "./targets.ts";

const root = join(import.meta.dir, "..");

interface Manifest {
  name: string;
  version: string;
  license: string;
  files: string[];
  [field: string]: unknown;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const packageOf = (target: Target): string => `@ringloop/${target.name}`;

/**
 * Packs a directory, and removes it. Returns the tarball's path. Bun writes fixed times and owners
 * into a tarball.
 */
function pack(directory: string, output: string): string {
  for (const file of new Bun.Glob("**/*").scanSync({ cwd: directory, absolute: true, dot: true }))
    // The modes do not depend on the umask of the checkout.
    chmodSync(file, statSync(file).mode & 0o100 ? 0o755 : 0o644);
  const command = [process.execPath, "pm", "pack", "--quiet", "--ignore-scripts", "--destination", output];
  const { success, stdout, stderr } = Bun.spawnSync(command, { cwd: directory });
  if (!success) throw new Error(`bun pm pack: ${stderr.toString()}`);
  rmSync(directory, { recursive: true });
  return join(output, stdout.toString().trim().split("/").at(-1)!);
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** Packs the shared object of a system. `notice` is the path of liburing's licence. */
export function packLibrary(target: Target, library: string, notice: string | undefined, output: string): string {
  const { name, cpu, libc } = target;
  const directory = join(output, name);
  mkdirSync(directory, { recursive: true });
  const { version, license } = manifest;
  writeJson(join(directory, "package.json"), {
    name: packageOf(target),
    version,
    description: `The shared object of ringloop for Linux on ${cpu} with ${libc}`,
    license,
    type: "module",
    os: ["linux"],
    cpu: [cpu],
    libc: [libc],
    exports: { ".": "./index.js", "./package.json": "./package.json" },
    files: ["index.js", "libringloop.so", "LICENSE.liburing"],
  });
  const index = [
    "/** The path of the shared object. Bundlers take the file along. */",
    'export { default as library } from "./libringloop.so" with { type: "file" };\n',
  ];
  writeFileSync(join(directory, "index.js"), index.join("\n"));
  writeFileSync(
    join(directory, "README.md"),
    `# ${packageOf(target)}

The shared object of ringloop for Linux on ${cpu} with ${libc}. ringloop depends on it; no program needs
to. liburing is built in: its licence is in LICENSE.liburing.
`,
  );
  copyFileSync(library, join(directory, "libringloop.so"));
  chmodSync(join(directory, "libringloop.so"), 0o644);
  copyFileSync(join(root, "LICENSE"), join(directory, "LICENSE"));
  if (notice !== undefined) copyFileSync(notice, join(directory, "LICENSE.liburing"));
  return pack(directory, output);
}

/** Packs ringloop itself. */
export function packMain(output: string): string {
  const directory = join(output, "ringloop");
  for (const file of [...manifest.files, "README.md", "LICENSE"]) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    cpSync(join(root, file), join(directory, file), { recursive: true });
  }
  const { scripts: _, devDependencies: __, ...published } = manifest;
  writeJson(join(directory, "package.json"), {
    ...published,
    optionalDependencies: Object.fromEntries(targets.map((target) => [packageOf(target), manifest.version])),
    peerDependencies: { "@types/bun": ">=1.3.0" },
    peerDependenciesMeta: { "@types/bun": { optional: true } },
  });
  for (const file of new Bun.Glob("**/*.md").scanSync({ cwd: directory, absolute: true })) {
    const text = readFileSync(file, "utf8");
    writeFileSync(
      file,
      linksWithin(text, (path) => existsSync(join(dirname(file), path))),
    );
  }
  return pack(directory, output);
}
