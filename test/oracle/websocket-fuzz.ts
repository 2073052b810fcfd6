/**
 * `npm run fuzz:websocket`: reads random and mutated frames with ringloop's parser, as a whole and
 * in pieces, and with a simple parser of RFC 6455. Options: `--frames` (their number), `--seed`
 * (the first seed; without it every run is different). Exits 1 at the first difference.
 */
import { parseArgs } from "node:util";
import { WebSocketFuzzer } from "./websocket-fuzzer.ts";

const SEED_MAX = 2 ** 32 - 1;

function integer(name: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= max) return value;
  console.error(`--${name} must be an integer from 0 to ${max}, not ${text}`);
  process.exit(2);
}

const { values } = parseArgs({ options: { frames: { type: "string" }, seed: { type: "string" } } });
const frames = integer("frames", values.frames ?? "1000000", SEED_MAX);
const firstSeed = integer("seed", values.seed ?? String(Date.now() % SEED_MAX), SEED_MAX);
const fuzzer = new WebSocketFuzzer();
const grouped = (count: number): string => count.toLocaleString("en-US");

console.log(`${grouped(frames)} frames from seed ${firstSeed}`);
let report: string | undefined;
for (let seed = firstSeed; fuzzer.frames < frames && report === undefined; seed++) report = fuzzer.try(seed % SEED_MAX);
console.log(
  `${grouped(fuzzer.frames)} frames, ${grouped(fuzzer.messages)} events, ${grouped(fuzzer.violations)} violations, ` +
    `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB`,
);
if (report !== undefined) console.log(`\nA difference.\n${report}`);
process.exit(report === undefined ? 0 : 1);
