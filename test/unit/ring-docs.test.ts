/**
 * docs/ring.md: its table has every function of liburing, its names exist, and its programs run.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ringIndex from "../../src/ring/index.ts";
import { BufRing, BufferRing, Cqe, Probe, RecvmsgOut, Ring, RingMemory, Sqe } from "../../src/ring/index.ts";
import { run } from "../behaviour/process.ts";
import { compiler } from "./compiled-c.ts";

const text = readFileSync(join(import.meta.dir, "../../docs/ring.md"), "utf8");

interface Row {
  functions: string[];
  linux: string;
  here: string;
}

const codeIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

/** The rows of the tables under "liburing's functions". */
const rows: Row[] = text
  .slice(text.indexOf("### liburing's functions"))
  .split("\n")
  .flatMap((line) => {
    const [, functions, linux, here] = /^\| (`.+?) +\| (.*?) +\| (.+?) +\|$/.exec(line) ?? [];
    return functions === undefined ? [] : [{ functions: codeIn(functions), linux: linux!, here: here! }];
  });

/** Returns the members of an object and of its prototypes. */
function membersOf(object: object): string[] {
  const names: string[] = [];
  for (let level = object; level !== Object.prototype && level !== null; level = Object.getPrototypeOf(level) as object)
    names.push(...Object.getOwnPropertyNames(level));
  return names;
}

const published = new Set([
  ...Object.keys(ringIndex),
  ...[Ring, Sqe, Cqe, BufRing, BufferRing, Probe, RingMemory].flatMap((each) => membersOf(each.prototype)),
  ...membersOf(RecvmsgOut.prototype),
  ...Object.getOwnPropertyNames(Ring),
  ...["name", "payload", "control", "flags"], // Fields of RecvmsgOut.
]);

/**
 * Returns the functions of liburing's header, without internal ones (__io_uring_...) and barriers.
 */
function functionsOfHeader(): string[] {
  const made = Bun.spawnSync([compiler, "-M", "-x", "c", "-"], { stdin: Buffer.from("#include <liburing.h>\n") });
  const path = /\S+\/liburing\.h/.exec(made.stdout.toString())![0];
  const header = readFileSync(path, "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");
  const names = new Set([...header.matchAll(/\bio_uring_([a-z0-9_]+)\s*\(/g)].map(([, name]) => name!));
  return [...names].filter((name) => !name.startsWith("smp_"));
}

describe("the table of liburing's functions", () => {
  test("is there", () => expect(rows.length).toBeGreaterThan(100));

  test("has every function of the header", () => {
    const listed = new Set(rows.flatMap(({ functions }) => functions));
    const functions = functionsOfHeader();
    expect(functions.length).toBeGreaterThan(150);
    expect(functions.filter((name) => !listed.has(name))).toEqual([]);
  });

  test("says for each since when it is there and what it is called here, or why it is not", () => {
    for (const { functions, linux, here } of rows) {
      expect(linux).toMatch(/^(\d\.\d+)?$/);
      if (/^no\b/.test(here)) continue;
      const missing = codeIn(here)
        .map((code) => /^(?:Ring\.)?(\w+)/.exec(code)![1]!)
        .filter((name) => name !== "using" && !published.has(name));
      expect([functions, missing]).toEqual([functions, []]);
      expect(codeIn(here).length).toBeGreaterThan(0);
    }
  });

  test("has every prep function that there is", () => {
    const named = new Set(rows.flatMap(({ here }) => codeIn(here)).map((code) => /^\w+/.exec(code)?.[0]));
    const preps = membersOf(Sqe.prototype).filter((name) => /^prep[A-Z]/.test(name));
    expect(preps.filter((name) => !named.has(name))).toEqual([]);
  });
});

describe("the programs in it run:", () => {
  const outputs: [name: string, output: RegExp][] = [
    ["hello.txt", /^12 bytes written, after \d+ turns of other work\n$/],
    ["IORING_SETUP_DEFER_TASKRUN", /^completion 7\n$/],
    ["registerSyncMsg", /^42 from worker 1\n$/],
    ["scmRights", /^another descriptor of the same file: true\n$/],
  ];
  const programs = [...text.matchAll(/```ts\n([\s\S]*?)```/g)]
    .map(([, code]) => code!)
    .filter((code) => code.startsWith("import"));
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "ringloop-docs-"));
    return () => rmSync(directory, { recursive: true });
  });

  test("all of them", () => expect(programs).toHaveLength(outputs.length));

  test.each(outputs)("that with %s", async (name, output) => {
    const program = join(directory, `${name}.ts`);
    const index = join(import.meta.dir, "../../src/ring/index.ts");
    const code = programs.find((each) => each.includes(name))!;
    writeFileSync(
      program,
      code.replaceAll('"ringloop/ring"', JSON.stringify(index)).replace('"hello.txt"', '"/dev/null"'),
    );
    expect((await run([process.execPath, program])).stdout).toMatch(output);
  });
});
