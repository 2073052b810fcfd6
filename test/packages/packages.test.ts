/**
 * The packages to publish, as `npm run build:packages` leaves them in build/packages/.
 * `npm run test:packages` makes them again and runs this test. Its short form is
 * test/unit/package.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layout } from "../../src/sys/layout.ts";
import { libraryPath } from "../../src/sys/library.ts";
import { targets } from "../../ffi/targets.ts";
import { ownBun } from "./bare-root.ts";
import { Consumer, settings } from "./consumer.ts";
import { testDockerfile } from "./dockerfile.ts";
import { glibcVersion } from "./glibc-version.ts";
import { testInstalled } from "./installed.ts";
import { muslBun } from "./musl-root.ts";

const root = join(import.meta.dir, "../..");
const packages = join(root, "build/packages");
const directory = mkdtempSync(join(tmpdir(), "ringloop-packages-"));

afterAll(() => rmSync(directory, { recursive: true }));

testInstalled("Bun and glibc", ownBun, () => packages);
testInstalled(
  "Bun and musl",
  () => muslBun(directory),
  () => packages,
);

function output(...command: string[]): string {
  const { success, stdout, stderr } = Bun.spawnSync(command, { cwd: root });
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

testDockerfile(ownBun, () => packages);

test("a second build gives the same bytes, though everything is compiled anew", () => {
  const hashes = (): string[] =>
    [...new Bun.Glob("*.tgz").scanSync({ cwd: packages, absolute: true })]
      .toSorted()
      .map((file) => output("sha256sum", file));
  const before = hashes();
  output(process.execPath, "ffi/bundle.ts", "--force");
  output(process.execPath, "ffi/packages.ts");
  expect(hashes()).toEqual(before);
});

test("docs/api/ is what the declarations and their comments give", () => {
  const before = join(directory, "api");
  output("cp", "-r", join(root, "docs/api"), before);
  output(process.execPath, "ffi/api-reference.ts");
  expect(output("diff", "--recursive", before, join(root, "docs/api"))).toBe("");
});

describe("the types", () => {
  let consumer: Consumer;
  let compilers: Record<string, string[]>;
  beforeAll(async () => {
    consumer = new Consumer(packages);
    output(process.execPath, "add", "--cwd", directory, "--silent", "typescript@5.9.3");
    compilers = {
      "TypeScript 7": [join(root, "node_modules/.bin/tsc")],
      "TypeScript 5.9": [process.execPath, join(directory, "node_modules/typescript/lib/tsc.js")],
    };
  });
  afterAll(() => consumer[Symbol.dispose]());

  for (const compiler of ["TypeScript 7", "TypeScript 5.9"])
    for (const [name, options] of Object.entries(settings))
      test(`compile with ${name} in ${compiler}`, async () => {
        expect(await consumer.compile([...compilers[compiler]!], options)).toBe("");
      });
});

describe.each(targets)("the shared object for $name", ({ name, machine, cpu, libc }) => {
  let library: string;
  beforeAll(() => {
    const unpacked = join(directory, name);
    const [tarball] = readdirSync(packages).filter((file) => file.startsWith(`ringloop-${name}-`));
    output("mkdir", unpacked);
    output("tar", "-xzf", join(packages, tarball!), "-C", unpacked);
    library = join(unpacked, "package/libringloop.so");
  });
  const symbols = (file: string, kind: RegExp): string[] =>
    output("readelf", "--dyn-syms", "--wide", file)
      .split("\n")
      .filter((line) => kind.test(line))
      .map((line) => line.trim().split(/\s+/)[7]!.replace(/@.*/, ""))
      .toSorted();

  test("is for that machine and that C library, and needs nothing else", () => {
    expect(output("readelf", "--file-header", library)).toContain(machine === "x86_64" ? "X86-64" : "AArch64");
    const needed = [...output("readelf", "--dynamic", library).matchAll(/NEEDED.*\[(.*)\]/g)].map(([, file]) => file!);
    const loader = machine === "x86_64" ? "ld-linux-x86-64.so.2" : "ld-linux-aarch64.so.1";
    expect(needed).toEqual(libc === "glibc" ? ["libc.so.6", loader] : [`libc.musl-${machine}.so.1`]);
  });

  test("exports the functions that this machine's build exports", () => {
    const exported = /GLOBAL\s+DEFAULT\s+[0-9]+\s+rl_/;
    expect(symbols(library, exported)).toEqual(symbols(libraryPath(), exported));
    expect(symbols(library, exported).length).toBeGreaterThan(30);
  });

  test("has the layouts and constants of src/sys/abi.ts", async () => {
    // struct epoll_event is packed only on x86-64.
    const epoll: Record<string, number> = {
      EPOLL_EVENT_BYTES: cpu === "x64" ? 12 : 16,
      "offsetof(struct epoll_event, data)": cpu === "x64" ? 4 : 8,
    };
    const table = Buffer.from(Uint32Array.from(layout, ([line, value]) => epoll[line] ?? value).buffer);
    expect(Buffer.from(await Bun.file(library).bytes()).includes(table)).toBe(true);
  });

  test("asks for no version of glibc after 2.17, as Bun does", () => {
    expect(glibcVersion(library)).toBe(libc === "glibc" ? "2.17" : undefined);
  });

  test("names no directory of the machine that built it", async () => {
    expect(Buffer.from(await Bun.file(library).bytes()).includes(root)).toBe(false);
  });
});
