/**
 * `npm run test:mutation`: breaks one invariant after another in a copy of the sources, and expects
 * that a test fails for each. Prints the test that failed. Exits 1 if no test failed for one of
 * them. `npm run test:mutation -- ring` runs only mutations whose description contains "ring".
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mutations } from "./mutations.ts";
import { TIMEOUT } from "./timeout.ts";

const root = join(import.meta.dir, "..");
const directory = mkdtempSync(join(tmpdir(), "ringloop-mutation-"));
const chosen = mutations.filter(({ what }) => what.includes(process.argv[2] ?? ""));
let survived = 0;
try {
  for (const part of [
    "src",
    "test",
    "bench",
    "ffi",
    "examples",
    "docs",
    "package.json",
    "tsconfig.json",
    "bunfig.toml",
  ])
    cpSync(join(root, part), join(directory, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  for (const { what, file, from, to, tests, env } of chosen) {
    const path = join(directory, "src", file);
    const original = readFileSync(path, "utf8");
    if (original.split(from).length !== 2) throw new Error(`"${what}": its line is not there once in ${file}`);
    writeFileSync(path, original.replace(from, to));
    const child = Bun.spawn([process.execPath, "test", ...TIMEOUT, ...tests.map((test) => `./test/${test}`)], {
      cwd: directory,
      env: { ...process.env, RINGLOOP_TEST_SUBJECT: "defer", ...env },
      stdout: "pipe",
      stderr: "pipe",
      detached: true, // Makes a process group, so that processes of the tests end with them.
    });
    // A process that hangs also counts as a failed test.
    const limit = setTimeout(() => process.kill(-child.pid, "SIGKILL"), 90_000);
    const [, text, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    clearTimeout(limit);
    writeFileSync(path, original);
    const catcher = /^\(fail\) (.*?)(?: \[[\d.]+ms\])?$/m.exec(text)?.[1] ?? `the process ended with ${code}`;
    console.log(`${code === 0 ? "NOT NOTICED" : "caught"}: ${what}${code === 0 ? "" : `\n        by "${catcher}"`}`);
    if (code === 0) survived++;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(`\n${chosen.length - survived} of ${chosen.length} caught`);
process.exit(survived === 0 ? 0 : 1);
