/**
 * `npm run simulate`, and `npm run fuzz:completions` for a kernel that lies: runs
 * behaviour/fixtures/simulation.ts with new seeds, one after another. Options: `--minutes`
 * (duration), `--mode` (default: both modes in turn), `--seed` (the first seed; without it every
 * run is different). Prints the results. Exits 1 at the first violation, with the command that
 * repeats it.
 */
import { parseArgs } from "node:util";
import { type Conditions, simulate, violations } from "./behaviour/simulated.ts";

const usage = "usage: npm run simulate -- [--minutes 60] [--mode defer|sqpoll] [--seed 1] [--connections 300]";
const smallQueues = { sqEntries: 2, cqEntries: 4 };
/** The conditions, used in turn, one for each seed. */
const disturbed: Partial<Conditions>[] = [
  { rate: "0.3" },
  { rate: "0.1,fatal" },
  { rate: "0.05", ring: smallQueues },
  { rate: "0.3,fatal", ring: smallQueues },
  { rate: "0.2,stale" },
  { rate: "0.2", ring: { receiveBuffersMax: 4 } },
  // The SQ thread sleeps as soon as possible.
  { rate: "0.1", ring: { sqThreadIdleMs: 1 } },
];
const lying: Partial<Conditions>[] = [
  { rate: "0.3,lies" },
  { rate: "0.02,wild", limitMs: 600 },
  { rate: "0.2,stale", ring: smallQueues },
  { rate: "0.1,fatal,lies" },
  { rate: "0.3,wild", limitMs: 600 },
];

function fail(message: string): never {
  console.error(`${message}\n${usage}`);
  process.exit(2);
}

function number(name: string, text: string, max: number): number {
  const value = Number(text);
  if (text === "" || !(value > 0 && value <= max)) fail(`--${name} must be a number up to ${max}, not ${text}`);
  return value;
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    mode: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    connections: { type: "string", default: "300" },
    lying: { type: "boolean", default: false },
  },
});
if (values.mode !== undefined && !["defer", "sqpoll"].includes(values.mode))
  fail(`--mode must be defer or sqpoll, not ${values.mode}`);
const modes = values.mode === undefined ? ["defer", "sqpoll"] : [values.mode];
const firstSeed = Math.floor(number("seed", values.seed, 2 ** 31));
const connections = number("connections", values.connections, 1e6);
const kinds = values.lying ? lying : disturbed;
const endMs = performance.now() + number("minutes", values.minutes, 1e5) * 60_000;

const total = { answers: 0, echoed: 0, broken: 0, staleCompletions: 0, overflows: 0 };
const faults: Record<string, number> = {};
const ends: Record<string, number> = {};
let runs = 0;
let violation: string | undefined;
const grouped = (count: number): string => count.toLocaleString("en-US");
const listed = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${grouped(count)} ${name}`)
    .join(", ");

console.log(`from seed ${firstSeed}, in ${modes.join(" and ")}`);
for (let seed = firstSeed; performance.now() < endMs && violation === undefined; seed++) {
  const mode = modes[runs % modes.length]!;
  const conditions = { rate: "0", ...kinds[seed % kinds.length], mode, seed, connections };
  try {
    const simulation = await simulate(conditions);
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += simulation[name];
    for (const [name, count] of Object.entries(simulation.faults)) faults[name] = (faults[name] ?? 0) + count;
    const end = simulation.ended?.message?.replace(/-?\d+/g, "N") ?? simulation.ended?.name ?? "end";
    ends[end] = (ends[end] ?? 0) + 1;
    violation = violations(conditions, simulation).join("\n") || undefined;
  } catch (error) {
    violation = (error as Error).message;
  }
  runs++;
  if (violation === undefined) continue;
  const { rate, ring = {}, limitMs = 0 } = conditions;
  console.log(
    `\n${violation}\nRINGLOOP_FAULTS=seed=${seed},rate=${rate} RINGLOOP_TEST_SUBJECT=${mode} RINGLOOP_TEST_RING='${JSON.stringify(ring)}' ` +
      `bun test/behaviour/fixtures/simulation.ts ${connections} ${limitMs}\n`,
  );
}
console.log(`${grouped(runs)} runs: ${listed(ends)}`);
console.log(
  `${grouped(total.answers)} answers, ${grouped(Math.round(total.echoed / 1e6))} MB echoed, ${grouped(total.broken)} connections broken, ` +
    `${grouped(total.staleCompletions)} stale completions dropped, ${grouped(total.overflows)} overflows`,
);
console.log(`faults: ${listed(faults)}`);
process.exit(violation === undefined ? 0 : 1);
