/**
 * The throughput lab. `bun run bench` measures everything in about 40 minutes, `bench:quick`
 * measures the most important cases in four.
 *
 *   --only http,echo      groups of workloads (runner/workloads.ts) and parts (runner/parts.ts)
 *   --peers bun,node      default: all, and in quick the peers that run in Bun
 *   --conns 50,500        numbers of connections for the groups hello and echo
 *   --rounds 3 --seconds 1 --pin --out NAME
 *
 * Every server runs in its own process. Rounds are interleaved and shuffled. The load programs
 * check the answers. CPU is that of the whole server process with the kernel threads of its rings,
 * from /proc.
 *
 * Prints tables and writes bench/results/NAME.json: by default lab.json, quick.json, or
 * partial.json with options. bench/compare.ts compares two of them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startBackends } from "./runner/backends.ts";
import { parts } from "./runner/parts.ts";
import { bunPeers, type Peer, peers } from "./runner/peers.ts";
import { measureRates, printRates } from "./runner/rates.ts";
import { machine } from "./runner/report.ts";
import { groups, workloadsOf } from "./runner/workloads.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    peers: { type: "string" },
    conns: { type: "string" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string" },
    pin: { type: "boolean", default: false },
    out: { type: "string" },
  },
});

const all = [...groups, ...Object.keys(parts)];
// bench:models measures the models separately.
const everything = all.filter((each) => each !== "models");
const quickOnes = ["apps", "http", "echo", "calls", "idle", "loop", "churn", "node"];
const chosen = listOf("only", all, values.quick ? quickOnes : everything);
const chosenPeers = listOf("peers", peers, values.quick ? bunPeers : peers) as Peer[];
const sweep =
  values.conns?.split(",").map((each) => requireCount("conns", each, 20_000)) ??
  (values.quick ? [50, 500] : [1, 50, 500, 2000, 5000]);
const rounds = requireCount("rounds", values.rounds, 100);
const seconds = Number(values.seconds ?? (values.quick ? 0.6 : 1));
if (!(seconds > 0 && seconds <= 600))
  throw new TypeError(`--seconds must be more than 0 and at most 600, not ${values.seconds}`);

function listOf(option: "only" | "peers", allowed: readonly string[], byDefault: readonly string[]): readonly string[] {
  const given = values[option]?.split(",") ?? byDefault;
  const wrong = given.find((each) => !allowed.includes(each));
  if (wrong !== undefined) throw new TypeError(`--${option} takes ${allowed.join(", ")}, not ${JSON.stringify(wrong)}`);
  return given;
}

function requireCount(option: string, text: string, max: number): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= max) return count;
  throw new TypeError(`--${option} must be from 1 to ${max}, not ${JSON.stringify(text)}`);
}

async function firstLine(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore", cwd: import.meta.dir });
  return ((await child.stdout.text()).split("\n")[0] ?? "").trim();
}

const startMs = performance.now();
const workloads = workloadsOf(chosen, sweep, values.quick);
const backends = chosen.includes("apps") ? await startBackends() : undefined;
Object.assign(process.env, backends?.variables);
process.on("exit", () => backends?.kill());
const runs = workloads.reduce((sum, workload) => sum + (workload.peers ?? chosenPeers).length * rounds, 0);
let done = 0;
const progress = (workload: string, peer: Peer): void => {
  if (!process.stderr.isTTY) return;
  const spentMs = performance.now() - startMs;
  const left = done > 0 ? `about ${Math.ceil(((spentMs / done) * (runs - done)) / 1000)} s left` : "";
  process.stderr.write(`\r\x1b[K${done} of ${runs}: ${workload}, ${peer} ${left}`);
  done++;
};

const report: Record<string, unknown> = {
  machine: machine(),
  versions: {
    bun: Bun.version,
    node: await firstLine(["node", "--version"]),
    cc: await firstLine(["cc", "--version"]),
  },
  commit: await firstLine(["git", "describe", "--always", "--dirty"]),
  date: new Date().toISOString(),
  rounds,
  seconds,
};
if (workloads.length > 0) {
  const rates = await measureRates(workloads, { peers: chosenPeers, rounds, seconds, pin: values.pin, progress });
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  report.rates = rates;
  printRates(rates);
}
for (const [name, measure] of Object.entries(parts))
  if (chosen.includes(name)) Object.assign(report, await measure(chosenPeers));

report.took = (performance.now() - startMs) / 1000;
const isWhole =
  [values.only, values.peers, values.conns, values.seconds].every((option) => option === undefined) && !values.pin;
const name = values.out ?? (isWhole ? (values.quick ? "quick" : "lab") : "partial");
const directory = join(import.meta.dir, "results");
mkdirSync(directory, { recursive: true });
writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
console.log(`\n${Math.round(report.took as number)} s; bench/results/${name}.json`);
await backends?.stop();
process.exit(0);
