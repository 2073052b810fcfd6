/**
 * `bun bench/small-files.ts`: 10,000 files of 1 KiB written and then read, 64 at a time, by ringloop/fs in both modes and by
 * node:fs/promises on Bun and Node. Three rounds with subjects taking turns, medians, each file checked. Writes bench/results/small-files.json.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, printTable, ratio, thousands } from "./runner/report.ts";

const FILES = 10_000;
const ROUNDS = 3;
const program = (module: string): string => `
  const { readFile, writeFile } = await import(${JSON.stringify(module)});
  const directory = process.argv[process.argv.length - 1];
  const content = Buffer.alloc(1024, "a small file ");
  const each = async (work) => {
    let next = 0;
    const worker = async () => { while (next < ${FILES}) await work(directory + "/" + next++); };
    const start = performance.now();
    await Promise.all(Array.from({ length: 64 }, worker));
    return ${FILES} / ((performance.now() - start) / 1000);
  };
  await writeFile(directory + "/warm", content);
  const written = await each((path) => writeFile(path, content));
  const read = await each(async (path) => { if (!(await readFile(path)).equals(content)) throw new Error(path); });
  console.log(JSON.stringify({ written, read }));
  process.exit(0);`;
const ringloop = join(import.meta.dir, "../src/fs/index.ts");
const subjects: Record<string, { command: string[]; env?: Record<string, string> }> = {
  "fs.promises, Bun": { command: [process.execPath, "-e", program("node:fs/promises")] },
  "fs.promises, Node": { command: ["node", "--input-type=module", "-e", program("node:fs/promises")] },
  "ringloop/fs, defer": { command: [process.execPath, "-e", program(ringloop)], env: { RINGLOOP_MODE: "defer" } },
  "ringloop/fs, sqpoll": { command: [process.execPath, "-e", program(ringloop)], env: { RINGLOOP_MODE: "sqpoll" } },
};

const samples = new Map(Object.keys(subjects).map((name) => [name, [] as { written: number; read: number }[]]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, { command, env }] of Object.entries(subjects)) {
    const directory = mkdtempSync(join(tmpdir(), "ringloop-small-"));
    const child = Bun.spawn([...command, directory], { stdout: "pipe", env: { ...process.env, ...env } });
    samples.get(name)!.push(await child.stdout.json());
    rmSync(directory, { recursive: true });
  }
}
const results = Object.fromEntries(
  [...samples].map(([name, runs]) => [
    name,
    { written: median(runs.map((run) => run.written)), read: median(runs.map((run) => run.read)) },
  ]),
);
const bun = results["fs.promises, Bun"]!;
printTable(
  `${FILES.toLocaleString("en")} files of 1 KiB, 64 at a time`,
  ["subject", "written a second", "", "read a second", ""],
  Object.entries(results).map(([name, { written, read }]) => [
    name,
    thousands(written),
    ratio(written / bun.written),
    thousands(read),
    ratio(read / bun.read),
  ]),
);
mkdirSync(join(import.meta.dir, "results"), { recursive: true });
writeFileSync(join(import.meta.dir, "results/small-files.json"), `${JSON.stringify(results, null, 2)}\n`);
