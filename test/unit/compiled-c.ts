/** What a C program prints: compiled by the system's compiler, run, and gone. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function outputOfC(source: string): string {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-c-"));
  try {
    const program = join(directory, "program");
    const compiler = process.env.CC ?? "cc";
    const compiled = Bun.spawnSync([compiler, "-std=gnu11", "-Wall", "-Wextra", "-o", program, source]);
    if (!compiled.success) throw new Error(`${source} does not compile:\n${compiled.stderr}`);
    const run = Bun.spawnSync([program]);
    if (!run.success) throw new Error(`${source} failed:\n${run.stderr}`);
    return run.stdout.toString();
  } finally {
    rmSync(directory, { recursive: true });
  }
}
