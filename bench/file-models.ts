/**
 * Random reads of 4 KiB on the classic I/O models (limit/file-models.c), 64 in flight, past the page cache and out of it:
 * `bun bench/file-models.ts [--size-mib 1024] [--seconds 1] [--rounds 3] [--dir .]`. Writes bench/results/file-models.json.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compile } from "./runner/load.ts";
import { median, printTable, thousands } from "./runner/report.ts";

const { values } = parseArgs({
  options: {
    "size-mib": { type: "string", default: "1024" },
    seconds: { type: "string", default: "1" },
    rounds: { type: "string", default: "3" },
    // Not /tmp: it may be memory, where O_DIRECT means nothing.
    dir: { type: "string", default: join(import.meta.dir, "build") },
  },
});
const [sizeMib, seconds, rounds] = (["size-mib", "seconds", "rounds"] as const).map((option) => {
  const value = Number(values[option]);
  if (!(value > 0 && value <= 1e6)) throw new TypeError(`--${option} must be a positive number, not ${values[option]}`);
  return value;
}) as [number, number, number];

const models = ["pread", "threads", "posix-aio", "libaio", "uring", "sqpoll"];
const program = await compile("file-models");
mkdirSync(values.dir, { recursive: true });
const directory = mkdtempSync(join(values.dir, "file-models-"));
const report: Record<string, unknown> = { date: new Date().toISOString(), sizeMib, seconds, rounds };
try {
  const file = join(directory, "data");
  const fd = openSync(file, "w");
  const block = crypto.getRandomValues(new Uint8Array(65536));
  for (let at = 0; at < sizeMib * 16; at++) writeSync(fd, block);
  closeSync(fd);
  for (const cache of ["direct", "cached"]) {
    const runs = new Map(
      models.map((model) => [model, [] as { rate: number; cpuUs: number; p50: number; p99: number }[]]),
    );
    for (let round = 0; round < Math.max(1, rounds); round++) {
      for (const model of models) {
        const child = Bun.spawn([program, model, file, String(seconds), "64", cache], { stdout: "pipe" });
        const result = (await child.stdout.json()) as Record<string, number>;
        runs.get(model)!.push({
          rate: result["reads"]! / result["seconds"]!,
          cpuUs: (result["cpu_seconds"]! * 1e6) / result["reads"]!,
          p50: result["p50_us"]!,
          p99: result["p99_us"]!,
        });
      }
    }
    const results = models.map((model) => {
      const of = (field: "rate" | "cpuUs" | "p50" | "p99"): number => median(runs.get(model)!.map((run) => run[field]));
      return { model, rate: of("rate"), cpuUs: of("cpuUs"), p50Us: of("p50"), p99Us: of("p99") };
    });
    report[cache] = results;
    printTable(
      `Random reads of 4 KiB, 64 in flight, ${cache === "direct" ? "O_DIRECT" : "from the page cache"}`,
      ["model", "per second", "CPU us", "p50 us", "p99 us"],
      results.map(({ model, rate, cpuUs, p50Us, p99Us }) => [
        model,
        thousands(rate),
        cpuUs.toFixed(2),
        thousands(p50Us),
        thousands(p99Us),
      ]),
    );
  }
} finally {
  rmSync(directory, { recursive: true });
}
writeFileSync(join(import.meta.dir, "results/file-models.json"), `${JSON.stringify(report, null, 2)}\n`);
console.log("\nbench/results/file-models.json");
