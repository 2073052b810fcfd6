/**
 * Compares two results of the lab: `bun bench/compare.ts before.json after.json`. A difference
 * within both spreads is marked as noise.
 */
import { resolve } from "node:path";
import type { Results } from "./runner/rates.ts";
import { printTable, ratio, thousands } from "./runner/report.ts";

const files = process.argv.slice(2);
if (files.length !== 2) throw new TypeError("two files are compared: bun bench/compare.ts before.json after.json");
const [before, after] = await Promise.all(
  files.map(async (file) => (await Bun.file(resolve(file)).json()) as { commit: string; rates: Results }),
);
const rows: string[][] = [];
for (const [title, peers] of Object.entries(after!.rates)) {
  for (const [peer, now] of Object.entries(peers)) {
    const then = before!.rates[title]?.[peer as keyof typeof peers];
    if (!then) continue;
    const change = now.rate / then.rate;
    const isNoise = Math.abs(change - 1) <= Math.max(now.spread, then.spread);
    const cpu = now.cpuUs / then.cpuUs;
    rows.push([
      title,
      peer,
      thousands(then.rate),
      thousands(now.rate),
      ratio(change),
      isNoise ? "noise" : "",
      ratio(cpu),
    ]);
  }
}
const columns = ["workload", "peer", `per second, ${before!.commit}`, after!.commit, "", "", "CPU"];
printTable("Change", columns, rows);
