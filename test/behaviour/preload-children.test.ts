/**
 * The preload in child processes of a program: all are redirected, and otherwise work as without
 * it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Environment, fixture, Program, run } from "./process.ts";
import { isBun } from "./subject.ts";

const source = join(import.meta.dir, "../../src");
const register = join(source, "register.ts");
/** The program for `bun -e`. */
const redirected = `console.log(Bun.serve.toString().includes("native code") ? "no" : "yes")`;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ringloop children-"));
  writeFileSync(join(directory, "package.json"), JSON.stringify({ name: "x", scripts: { hello: "echo script ran" } }));
  writeFileSync(join(directory, "a.test.ts"), `import { test } from "bun:test"; test("t", () => {});`);
  writeFileSync(join(directory, "who.ts"), redirected);
});
afterAll(() => rmSync(directory, { recursive: true }));

const bun = async (args: string[], env: Environment = {}): Promise<string> =>
  (await run([process.execPath, ...args], "", env)).stdout.trim();
const underPreload = (args: string[], env: Environment = {}): Promise<string> =>
  bun(["--preload", register, ...args], env);

describe.skipIf(isBun)("under the preload", () => {
  type Result = [way: string, args: string, code: number, said: string];

  test("children do what they do without it, and their scripts are redirected, whatever starts them", async () => {
    // The path has a space and a quotation mark.
    const copy = join(directory, 'the "package"/src');
    mkdirSync(join(copy, ".."));
    cpSync(source, copy, { recursive: true });
    const program = [fixture("starts-children.ts"), directory];
    const plain = JSON.parse(await bun(program)) as Result[];
    expect(plain.filter(([, , code]) => code !== 0)).toEqual([]);
    const expected = plain.map(([way, args, code, said]) => [way, args, code, said === "no" ? "yes" : said]);
    expect(JSON.parse(await bun(["--preload", join(copy, "register.ts"), ...program]))).toEqual(expected);
  });

  test("a child without env gets the environment that Bun gives it, and BUN_OPTIONS", async () => {
    const env = { TEST_GIVEN: "at first", TEST_DELETED: "at first", BUN_OPTIONS: undefined };
    const plain = JSON.parse(await bun([fixture("children-environment.ts")], env));
    expect(plain.spawn).toContain("TEST_GIVEN=at first");
    const added = `BUN_OPTIONS="--preload=${register}"`;
    const expected = Object.fromEntries(
      Object.entries(plain as Record<string, string[]>).map(([way, lines]) => [way, [...lines, added].toSorted()]),
    );
    expect(JSON.parse(await underPreload([fixture("children-environment.ts")], env))).toEqual(expected);
  });

  test("an env that the program gives is what the child gets", async () => {
    const text = `console.log(String(Bun.spawnSync(["env"], { env: { A: "b" } }).stdout).trim())`;
    expect(await underPreload(["-e", text])).toBe("A=b");
  });

  test("a child's child has it once, and what the user has put into BUN_OPTIONS stays", async () => {
    const say = `console.log(process.env.BUN_OPTIONS, JSON.stringify(process.execArgv))`;
    const start = (text: string): string =>
      `console.log(String(Bun.spawnSync([process.execPath, "-e", ${JSON.stringify(text)}]).stdout).trim())`;
    for (const depth of [say, start(say), start(start(say))]) {
      const said = await underPreload(["-e", depth], { BUN_OPTIONS: "--smol --title=x" });
      expect(said).toStartWith(`"--preload=${register}" --smol --title=x [`);
      expect(said).toContain('"--smol"');
    }
  });

  test("execArgv of children that fork() starts is that of the program, in each generation", async () => {
    const forking = join(directory, "forks.cjs");
    writeFileSync(
      forking,
      `const left = Number(process.argv[2] ?? 2);
      console.log(JSON.stringify(process.execArgv));
      if (left > 0) require("node:child_process").fork(__filename, [String(left - 1)]);`,
    );
    const [own, ...forked] = (await underPreload(["--smol", forking])).split("\n");
    expect(JSON.parse(own!)).toEqual(["--preload", register, "--smol"]);
    expect(forked).toEqual([own!, own!]);
  });

  test("the children of a Worker that has it are redirected, those of another are not", async () => {
    for (const [preload, answer] of [
      [register, "yes"],
      ["", "no"],
    ] as const) {
      await using program = Program.fixture("worker-starts-child.ts", {
        TEST_PRELOAD: preload,
        BUN_OPTIONS: undefined,
      });
      expect(await program.line()).toBe(answer);
    }
  });

  test("wrong arguments are Bun's errors", async () => {
    const text = `
      for (const args of [[], [undefined], [{}], [[]], ["x"], [["true"], 5]])
        try { Bun.spawnSync(...args); console.log("ran"); } catch (error) { console.log(error.name, error.message); }`;
    expect(await underPreload(["-e", text])).toBe(await bun(["-e", text]));
  });
});

describe.skipIf(isBun)("a program that has the preload built in", () => {
  /**
   * Starts itself as a child, up to a depth that endless recursion would exceed. Prints its depth.
   */
  const app = `
    import ${JSON.stringify(register)};
    const depth = Number(process.env.TEST_DEPTH ?? 0);
    console.log("depth", depth);
    if (depth < 3) {
      const env = { ...process.env, TEST_DEPTH: String(depth + 1) };
      const child = Bun.spawnSync([process.env.TEST_BUN, "-e", "console.log('a script')"], { env, stderr: "inherit" });
      console.log(String(child.stdout).trim());
    }`;

  test("as a bundle is redirected, and is no preload of its children", async () => {
    const entry = join(directory, "app.ts");
    writeFileSync(entry, `${app}\n${redirected}`);
    const out = join(directory, "bundle");
    await run([process.execPath, "build", "--target=bun", entry, "--outdir", out]);
    const { stdout } = await run([process.execPath, join(out, "app.js")], "", { TEST_BUN: process.execPath });
    expect(stdout).toBe("depth 0\na script\nyes\n");
  });

  test("as an executable is redirected and serves, and is no preload of its children", async () => {
    const entry = join(directory, "server.ts");
    const serves = `
      const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("served") });
      console.log(await (await fetch(server.url)).text(), server.constructor.name);
      await server.stop(true);`;
    writeFileSync(entry, `${app}\n${serves}`);
    const executable = join(directory, "executable");
    await run([process.execPath, "build", "--compile", entry, "--outfile", executable]);
    const library = (await import("../../src/sys/library.ts")).libraryPath();
    const { stdout } = await run([executable], "", { TEST_BUN: process.execPath, RINGLOOP_LIBRARY: library });
    expect(stdout).toBe("depth 0\na script\nserved RingServer\n");
  });
});
