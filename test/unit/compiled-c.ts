/** C programs of the tests: compiled by the system's compiler, used, and gone. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Calls `use` with the program's path. */
export function withCompiledC<T>(source: string, use: (program: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-c-"));
  try {
    const program = join(directory, "program");
    const compiler = process.env.CC ?? "cc";
    const compiled = Bun.spawnSync([compiler, "-std=gnu11", "-Wall", "-Wextra", "-o", program, source]);
    if (!compiled.success) throw new Error(`${source} does not compile:\n${compiled.stderr}`);
    return use(program);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What it prints. */
export function outputOfC(source: string): string {
  return withCompiledC(source, (program) => {
    const run = Bun.spawnSync([program]);
    if (!run.success) throw new Error(`${source} failed:\n${run.stderr}`);
    return run.stdout.toString();
  });
}
