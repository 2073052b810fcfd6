/**
 * Makes the packages that are published: `bun ffi/packages.ts` leaves in build/packages/ the tarball of ringloop and one for each system with
 * its shared object, which are optional dependencies of the first.
 *
 * Guarantees: the same sources, Bun and compilers give the same bytes. Debian has the compilers (`ffi/setup.sh packages`).
 */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { linksWithin } from "./package-links.ts";
import { compile, debianRoots, type Target, targets } from "./targets.ts";

const root = join(import.meta.dir, "..");
const output = join(root, "build/packages");
const stage = join(root, "build/stage");

interface Manifest {
  name: string;
  version: string;
  license: string;
  files: string[];
  [field: string]: unknown;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const packageOf = (target: Target): string => `@ringloop/${target.name}`;

/** Packs a directory. Bun sets times and owners in a tarball to fixed ones; it takes modes from the files. */
function pack(directory: string): string {
  const command = [process.execPath, "pm", "pack", "--quiet", "--ignore-scripts", "--destination", output];
  const { success, stdout, stderr } = Bun.spawnSync(command, { cwd: directory });
  if (!success) throw new Error(`bun pm pack: ${stderr.toString()}`);
  return stdout.toString().trim();
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** The package with the shared object of one system. */
function packLibrary(target: Target): string {
  const { name, cpu, libc, debian } = target;
  const directory = join(stage, name);
  mkdirSync(directory, { recursive: true });
  const { version, license } = manifest;
  writeJson(join(directory, "package.json"), {
    name: packageOf(target),
    version,
    description: `The shared object of ringloop for Linux, ${cpu}, ${libc}`,
    license,
    type: "module",
    os: ["linux"],
    cpu: [cpu],
    libc: [libc],
    exports: { ".": "./index.js", "./package.json": "./package.json" },
    files: ["index.js", "libringloop.so", "LICENSE.liburing"],
  });
  writeFileSync(
    join(directory, "index.js"),
    '/** The path of the shared object. Bundlers take the file along. */\nexport { default as library } from "./libringloop.so" with { type: "file" };\n',
  );
  writeFileSync(
    join(directory, "README.md"),
    `# ${packageOf(target)}\n\nThe shared object of [ringloop](https://www.npmjs.com/package/ringloop) for Linux on ${cpu} with ${libc}. ringloop depends on it; nobody else needs to.\n\nIt has liburing ${"built in"}, whose licence is in LICENSE.liburing.\n`,
  );
  compile(target, join(directory, "libringloop.so"));
  chmodSync(join(directory, "libringloop.so"), 0o644);
  copyFileSync(join(root, "LICENSE"), join(directory, "LICENSE"));
  copyFileSync(
    join(debianRoots()[debian], "usr/share/doc/liburing-dev/copyright"),
    join(directory, "LICENSE.liburing"),
  );
  return pack(directory);
}

/** ringloop itself. Only here it has the optional dependencies: a checkout builds its own shared object. */
function packMain(): string {
  const directory = join(stage, "ringloop");
  const files = [...manifest.files, "README.md", "LICENSE"];
  for (const file of files) {
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
  return pack(directory);
}

rmSync(stage, { recursive: true, force: true });
rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
for (const file of [...targets.map(packLibrary), packMain()]) {
  const tarball = join(output, file.split("/").at(-1)!);
  const hash = new Bun.CryptoHasher("sha256").update(readFileSync(tarball)).digest("hex");
  console.log(`${hash}  ${tarball.slice(root.length + 1)}`);
}
