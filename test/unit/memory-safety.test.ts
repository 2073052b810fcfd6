/**
 * The C part reads and writes only its own bytes. memory-safety.c calls it under AddressSanitizer,
 * UndefinedBehaviorSanitizer and valgrind. The last test here runs a few other tests with the
 * sanitized library; `npm run test:sanitizers` runs more of them.
 *
 * No tool sees the writes of the kernel through a ring. So the driver itself checks the bytes
 * around them. valgrind 3.19 does not know openat2(2), so only AddressSanitizer checks
 * rl_open_within.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TIMEOUT } from "../timeout.ts";
import { withCompiledC } from "./compiled-c.ts";
import { liburing, sanitizers, sourcesOfLibrary, withSanitizedLibrary } from "./sanitized-library.ts";

const driver = join(import.meta.dir, "memory-safety.c");

/** Runs the driver with `command` before it. Returns the lines that the driver prints. */
function drive(command: string[], flags: readonly string[]): string[] {
  return withCompiledC(
    driver,
    (program) => {
      const { stdout, stderr, exitCode } = Bun.spawnSync([...command, program, `${program}-files`]);
      expect({ exitCode, stderr: exitCode === 0 ? "" : stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
      return stdout.toString().trimEnd().split("\n");
    },
    ["-g", ...flags, liburing],
  );
}

const exported = sourcesOfLibrary.flatMap((source) =>
  [...readFileSync(source, "utf8").matchAll(/^EXPORT .*?(rl_\w+)\(/gm)].map(([, name]) => name!),
);

test("every exported function is driven under AddressSanitizer and UndefinedBehaviorSanitizer", () => {
  expect(drive([], sanitizers).toSorted()).toEqual(exported.toSorted());
});

test("every exported function is driven under valgrind, and leaves no memory behind", () => {
  const valgrind = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full"];
  expect(drive(valgrind, []).toSorted()).toEqual(exported.toSorted());
});

test("rings, operations and sockets use a sanitized library without an error", () => {
  const files = ["ring", "registration", "operations-files", "operations-sockets"];
  const paths = files.map((name) => join(import.meta.dir, `${name}.test.ts`));
  withSanitizedLibrary((env) => {
    const run = Bun.spawnSync([process.execPath, "test", ...TIMEOUT, ...paths], { env: { ...process.env, ...env } });
    const text = run.stderr.toString();
    expect({ exitCode: run.exitCode, text: run.success ? "" : text }).toEqual({ exitCode: 0, text: "" });
    expect(Number(/^ *(\d+) pass$/m.exec(text)?.[1])).toBeGreaterThan(300);
  });
});
