/** C programs of the tests: compiled by the system's compiler, used, and removed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const compiler = process.env.CC ?? "cc";

/** Calls `use` with the path of the program. `flags`: flags of the compiler, with the libraries. */
export function withCompiledC<T>(source: string, use: (program: string) => T, flags: readonly string[] = []): T {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-c-"));
  try {
    const program = join(directory, "program");
    const compiled = Bun.spawnSync([compiler, "-std=gnu11", "-Wall", "-Wextra", "-o", program, source, ...flags]);
    if (!compiled.success) throw new Error(`${source} does not compile:\n${compiled.stderr}`);
    return use(program);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Returns the output of the program. */
export function outputOfC(source: string): string {
  return withCompiledC(source, (program) => {
    const run = Bun.spawnSync([program]);
    if (!run.success) throw new Error(`${source} failed:\n${run.stderr}`);
    return run.stdout.toString();
  });
}
