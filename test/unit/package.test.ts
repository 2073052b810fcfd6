/**
 * The packed package, installed in an empty directory: the short form of `npm run test:packages`,
 * with the shared object of this machine.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { packLibrary, packMain } from "../../ffi/pack.ts";
import { targets } from "../../ffi/targets.ts";
import { packageFile } from "../../src/sys/library-places.ts";
import { ownBun } from "../packages/bare-root.ts";
import { Consumer, settings } from "../packages/consumer.ts";
import { testDockerfile } from "../packages/dockerfile.ts";
import { glibcVersion } from "../packages/glibc-version.ts";
import { testInstalled } from "../packages/installed.ts";

const ownBuild = packageFile(`ffi/build/libringloop-linux-${process.arch}.so`);
const packages = mkdtempSync(join(tmpdir(), "ringloop-package-"));
let consumer: Consumer;

beforeAll(() => {
  const own = targets.find(({ cpu, libc }) => cpu === process.arch && libc === "glibc")!;
  packLibrary(own, ownBuild, undefined, packages);
  packMain(packages);
  consumer = new Consumer(packages);
});

afterAll(() => {
  consumer[Symbol.dispose]();
  rmSync(packages, { recursive: true });
});

testInstalled("Bun", ownBun, () => packages, true);
testDockerfile(ownBun, () => packages);

test("the shared object asks for no version of glibc after 2.17, as Bun does", () => {
  expect(glibcVersion(ownBuild)).toBe("2.17");
});

describe("the package", () => {
  const markdown = (): string[] => [...new Bun.Glob("**/*.md").scanSync({ cwd: consumer.package, absolute: true })];

  test("has its licence, its changes, its documents, and no test", () => {
    for (const file of [
      "LICENSE",
      "CHANGELOG.md",
      "SECURITY.md",
      "README.md",
      "docs/compatibility.md",
      "docs/deploy/seccomp.json",
    ])
      expect(existsSync(join(consumer.package, file))).toBe(true);
    expect(existsSync(join(consumer.package, "test"))).toBe(false);
  });

  test("has links to its own files alone, beside those to the web", () => {
    const links = markdown().flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/\]\((?![a-z]+:|#)([^()\s#]+)/g)].map(([, path]) => ({
        file,
        path: path!,
      })),
    );
    expect(links.length).toBeGreaterThan(50);
    expect(links.filter(({ file, path }) => !existsSync(join(dirname(file), path)))).toEqual([]);
  });

  test("asks for the shared object of each system in its own version", () => {
    const { version, optionalDependencies } = JSON.parse(readFileSync(join(consumer.package, "package.json"), "utf8"));
    expect(optionalDependencies).toEqual(Object.fromEntries(targets.map(({ name }) => [`@ringloop/${name}`, version])));
  });

  test("names no directory of the machine that built it", () => {
    const root = join(import.meta.dir, "../..");
    const files = [...new Bun.Glob("dist/**/*").scanSync({ cwd: consumer.package, absolute: true })];
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((file) => readFileSync(file).includes(`${root}/`))).toEqual([]);
  });

  test("has one table of the environment variables, with each that its sources read", () => {
    const table = readFileSync(join(consumer.package, "docs/install.md"), "utf8");
    const sources = ["src/**/*.ts", "ffi/*.ts"].flatMap((pattern) => [
      ...new Bun.Glob(pattern).scanSync({ cwd: consumer.package, absolute: true }),
    ]);
    const read = sources.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/\benv\.(\w+)|\breadVariable\("(\w+)"\)/g)].map(([, a, b]) => a ?? b!),
    );
    expect(read).toContain("RINGLOOP_LIBRARY");
    const rows = table.split("\n").filter((line) => line.startsWith("| `"));
    expect([...new Set(read)].filter((name) => !rows.some((row) => row.includes(`\`${name}\``)))).toEqual([]);
  });

  for (const [how, program] of Object.entries({
    "imported by name": 'import { serve, listen } from "ringloop"; console.log(serve, listen);',
    "imported whole": 'import * as ring from "ringloop/ring"; console.log(ring);',
    required: 'import { createRequire } from "node:module"; createRequire(`${process.cwd()}/`)("ringloop/register");',
  }))
    test(`says in Node in one sentence that it needs Bun, when it is ${how}`, () => {
      const command = ["node", "--input-type=module", "--eval", program];
      const { stderr, success } = Bun.spawnSync(command, { cwd: consumer.directory });
      expect(success).toBe(false);
      expect(stderr.toString()).toContain("Error: ringloop runs on Bun (https://bun.com), not on Node\n");
    });

  const tsc = [join(import.meta.dir, "../../node_modules/.bin/tsc")];
  for (const name of ["bun init's settings", "nodenext and skipLibCheck off"])
    test(`has types that compile with ${name}`, async () => {
      expect(await consumer.compile(tsc, settings[name]!)).toBe("");
    });
});
