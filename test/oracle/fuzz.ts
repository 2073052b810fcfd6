/**
 * `npm run fuzz`: compares the HTTP parser with llhttp on random inputs. Each input has its own
 * seed. Options: `--inputs` (their number), `--seed` (the first seed; without it every run is
 * different). Exits 1 at the first difference that is not listed.
 */
import { parseArgs } from "node:util";
import { Fuzzer } from "./fuzzer.ts";

const PROGRESS_INPUTS = 10_000;
const SEED_MAX = 2 ** 32 - 1;

function fail(message: string): never {
  console.error(`${message}\nusage: npm run fuzz -- [--inputs 1000000] [--seed 1]`);
  process.exit(2);
}

function parseOptions(): { inputs?: string; seed?: string } {
  try {
    return parseArgs({ options: { inputs: { type: "string" }, seed: { type: "string" } } }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    fail(`--${name} must be an integer from ${min} to ${max}, not ${text}`);
  return value;
}

const options = parseOptions();
const inputs = integer("inputs", options.inputs ?? "1000000", 1, SEED_MAX);
const firstSeed = integer("seed", options.seed ?? String(Date.now() % SEED_MAX), 0, SEED_MAX);
const fuzzer = new Fuzzer();
const startMs = performance.now();
const seconds = (): string => ((performance.now() - startMs) / 1000).toFixed(1);
const grouped = (count: number): string => count.toLocaleString("en-US");

console.log(`${grouped(inputs)} inputs from seed ${firstSeed}`);
let report: string | undefined;
while (fuzzer.inputs < inputs && report === undefined) {
  report = fuzzer.try((firstSeed + fuzzer.inputs) % (SEED_MAX + 1));
  if (process.stderr.isTTY && fuzzer.inputs % PROGRESS_INPUTS === 0)
    process.stderr.write(`\r${grouped(fuzzer.inputs)} of ${grouped(inputs)} inputs, ${seconds()} s`);
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");

const { accepted, refused, incomplete } = fuzzer.verdicts;
console.log(`${grouped(fuzzer.inputs)} inputs in ${seconds()} s`);
console.log(`${grouped(accepted)} accepted, ${grouped(refused)} refused, ${grouped(incomplete)} incomplete`);
const differences = [...fuzzer.differences].toSorted((a, b) => b[1] - a[1]);
const total = differences.reduce((sum, [, count]) => sum + count, 0);
console.log(`${grouped(total)} differ from llhttp in a listed way:`);
for (const [name, count] of differences) console.log(`${grouped(count).padStart(10)}  ${name}`);
if (report !== undefined) console.log(`\nA difference that is not listed.\n${report}`);
process.exit(report === undefined ? 0 : 1);
