/**
 * The generated constants and layouts are those of the headers, on both machines. The library
 * itself is compared with them each time it is opened.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compiler } from "./compiled-c.ts";
import { assertions, generate, measure } from "../../ffi/generate-abi.ts";

const root = join(import.meta.dir, "../..");
const values = measure();

const machine = process.arch as "x64" | "arm64";
const other = machine === "x64" ? "arm64" : "x64";
const otherName = other === "x64" ? "x86_64" : "aarch64";
const hasCompiler =
  Bun.which(`${otherName}-linux-gnu-gcc`) !== null && existsSync(`/usr/${otherName}-linux-gnu/include/stdio.h`);

/** Returns the errors of the compiler, without the code. */
function errorsOf(source: string, compiler: string, ...flags: string[]): string[] {
  const { stderr } = Bun.spawnSync([compiler, ...flags, "-fsyntax-only", "-x", "c", "-"], {
    stdin: Buffer.from(source),
    stderr: "pipe",
  });
  return stderr
    .toString()
    .split("\n")
    .filter((line) => line.includes("error:"));
}

test.each(Object.entries(generate(values)))("%s is what `npm run abi` writes", (file, text) => {
  expect(readFileSync(join(root, file), "utf8")).toBe(text);
});

test("a constant that headers may lack has the value of the headers that have it", () => {
  expect(() => measure([{ expression: "IORING_OP_NOT_YET", given: 99 }])).not.toThrow();
  expect(() => measure([{ expression: "IORING_OP_SEND", given: 99 }])).toThrow(
    "IORING_OP_SEND is 26 in the headers, and 99 in ffi/abi-table.ts",
  );
});

test("a compiler for a machine refuses a value that does not hold there", () => {
  const wrong = new Map(values).set("sizeof(struct statx)", 257).set("IORING_OP_SEND", 99);
  const errors = errorsOf(assertions(machine, wrong), compiler);
  expect(errors.join("\n")).toMatch(/statx\) is not 257[^]*IORING_OP_SEND is not 99/);
  expect(errors).toHaveLength(2);
});

test.skipIf(!hasCompiler)(`the values hold on the other machine (${other})`, () => {
  // liburing's headers are the same for both machines. Those of the C library and the kernel are
  // not, and lie beside liburing's.
  const headers = mkdtempSync(join(tmpdir(), "ringloop-headers-"));
  try {
    for (const name of ["liburing.h", "liburing"]) symlinkSync(join("/usr/include", name), join(headers, name));
    expect(errorsOf(assertions(other, values), `${otherName}-linux-gnu-gcc`, "-isystem", headers)).toEqual([]);
  } finally {
    rmSync(headers, { recursive: true });
  }
});
