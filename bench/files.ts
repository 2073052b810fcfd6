/**
 * `npm run bench:files`: random reads of 4 KiB at depth 64 from a large file, with O_DIRECT and
 * from the page cache.
 *
 * The subjects are ringloop/fs in both modes, each read awaited; node:fs/promises on Bun and on
 * Node; and the classic I/O models in C (limit/file-models.c). fio's io_uring engine shows the
 * limit of the machine.
 *
 * Every run has its own process. In each round, the subjects take turns; the results are medians.
 * The reads of Bun, Node and ringloop are checked. CPU is that of the whole process with the kernel
 * threads of its ring, from /proc; fio and the models report their own.
 *
 * Options: `--seconds` of each run (2), `--rounds` (3), `--file-size-mib` (1024), `--depth` (64),
 * `--directory` for the file (the system's for temporary files; in a directory in memory, O_DIRECT
 * has no meaning). Writes bench/results/files.json.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compile } from "./runner/load.ts";
import { machine, median, printTable, ratio, thousands } from "./runner/report.ts";

const BLOCK_BYTES = 4096;
const MIB = 1048576;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    depth: { type: "string", default: "64" },
    "file-size-mib": { type: "string", default: "1024" },
    directory: { type: "string", default: tmpdir() },
  },
});
const positive = (name: "seconds" | "rounds" | "depth" | "file-size-mib", integer = true): number => {
  const value = Number(values[name]);
  if (value > 0 && (!integer || Number.isInteger(value))) return value;
  throw new TypeError(`--${name} must be a positive ${integer ? "integer" : "number"}, not ${values[name]}`);
};
const seconds = positive("seconds", false);
const rounds = positive("rounds");
const depth = positive("depth");
const fileMib = positive("file-size-mib");

interface Sample {
  /** Reads per second. */
  rate: number;
  /** CPU time of one read. */
  cpuUs: number;
  p50Us: number;
  p99Us: number;
}
const measures = ["rate", "cpuUs", "p50Us", "p99Us"] as const;

const accesses = ["direct", "cached"] as const;
type Access = (typeof accesses)[number];
const program = join(import.meta.dir, "servers/random-reads.mjs");

async function output(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`${command[0]} ended with ${child.exitCode}`);
  return text;
}

const reads =
  (runtime: string, subject: string) =>
  async (path: string, access: Access): Promise<Sample> =>
    JSON.parse(await output([runtime, program, subject, path, String(seconds), String(depth), access])) as Sample;

async function fio(path: string, access: Access): Promise<Sample> {
  const text = await output([
    "fio",
    "--name=random-reads",
    `--filename=${path}`,
    "--rw=randread",
    "--norandommap",
    "--bs=4k",
    "--ioengine=io_uring",
    `--iodepth=${depth}`,
    `--direct=${access === "direct" ? 1 : 0}`,
    "--invalidate=0",
    "--time_based",
    `--runtime=${seconds}`,
    "--lat_percentiles=1",
    "--output-format=json",
  ]);
  const { jobs } = JSON.parse(text) as {
    jobs: {
      read: { iops: number; total_ios: number; runtime: number; lat_ns: { percentile: Record<string, number> } };
      usr_cpu: number;
      sys_cpu: number;
    }[];
  };
  const { read, usr_cpu, sys_cpu } = jobs[0]!;
  const { "50.000000": p50, "99.000000": p99 } = read.lat_ns.percentile;
  return {
    rate: read.iops,
    cpuUs: (((usr_cpu + sys_cpu) / 100) * read.runtime * 1000) / read.total_ios,
    p50Us: p50! / 1000,
    p99Us: p99! / 1000,
  };
}

const modelProgram = await compile("file-models");
const model =
  (name: string) =>
  async (path: string, access: Access): Promise<Sample> => {
    const text = await output([modelProgram, name, path, String(seconds), String(depth), access]);
    const result = JSON.parse(text) as Record<"reads" | "seconds" | "cpu_seconds" | "p50_us" | "p99_us", number>;
    return {
      rate: result.reads / result.seconds,
      cpuUs: (result.cpu_seconds * 1e6) / result.reads,
      p50Us: result.p50_us,
      p99Us: result.p99_us,
    };
  };

const BUN = "fs.promises, Bun";
const LIMIT = "fio, io_uring";
const subjects: Record<string, (path: string, access: Access) => Promise<Sample>> = {
  [BUN]: reads(process.execPath, "promises"),
  "fs.promises, Node": reads("node", "promises"),
  "ringloop/fs, defer": reads(process.execPath, "defer"),
  "ringloop/fs, sqpoll": reads(process.execPath, "sqpoll"),
  "C, one pread after another": model("pread"),
  "C, a thread for each read": model("threads"),
  "C, POSIX aio": model("posix-aio"),
  "C, Linux aio": model("libaio"),
  "C, io_uring": model("uring"),
  "C, io_uring sqpoll": model("sqpoll"),
  [LIMIT]: fio,
};

/** Writes blocks that begin with their number. */
function writeBlocks(path: string): void {
  const fd = openSync(path, "w");
  const piece = crypto.getRandomValues(Buffer.alloc(65536));
  const perMib = MIB / BLOCK_BYTES;
  const mib = Buffer.alloc(MIB, piece);
  for (let i = 0; i < fileMib; i++) {
    for (let block = 0; block < perMib; block++) mib.writeUInt32LE(i * perMib + block, block * BLOCK_BYTES);
    writeSync(fd, mib);
  }
  closeSync(fd);
}

const directory = join(values.directory, `ringloop-bench-files-${process.pid}`);
mkdirSync(directory);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

const startMs = performance.now();
const path = join(directory, "blocks");
writeBlocks(path);
await output(["sync", path]);

const results: Record<Access, Record<string, Sample>> = { direct: {}, cached: {} };
for (const access of accesses) {
  readFileSync(path); // Puts the file into the page cache. O_DIRECT does not use it.
  const samples = Object.fromEntries(Object.keys(subjects).map((name): [string, Sample[]] => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, run] of Object.entries(subjects)) samples[name]!.push(await run(path, access));
  for (const [name, list] of Object.entries(samples))
    results[access][name] = Object.fromEntries(
      measures.map((measure) => [measure, median(list.map((sample) => sample[measure]))]),
    ) as unknown as Sample;
  const { [BUN]: bun, [LIMIT]: limit } = results[access];
  const rows = Object.entries(results[access]).map(([name, { rate, cpuUs, p50Us, p99Us }]) => [
    name,
    thousands(rate),
    ratio(rate / bun!.rate),
    ratio(rate / limit!.rate),
    cpuUs.toFixed(2),
    ratio(cpuUs / bun!.cpuUs),
    thousands(p50Us),
    thousands(p99Us),
  ]);
  const title = `Random reads of 4 KiB, depth ${depth}, ${fileMib} MiB, ${access === "direct" ? "O_DIRECT" : "page cache"}`;
  printTable(title, ["subject", "per second", "of Bun's", "of fio's", "CPU us", "of Bun's", "p50 us", "p99 us"], rows);
}

const report = {
  machine: { ...machine(), bun: Bun.version },
  date: new Date().toISOString(),
  rounds,
  secondsEach: seconds,
  depth,
  fileMib,
  results,
  seconds: (performance.now() - startMs) / 1000,
};
writeFileSync(join(import.meta.dir, "results/files.json"), `${JSON.stringify(report, null, 2)}\n`);
console.log(`\n${Math.round(report.seconds)} s; bench/results/files.json`);
process.exit(0);
