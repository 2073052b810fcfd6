/**
 * `npm run bench:small-files`: many files of 1 KiB, 64 at a time, are created, overwritten and
 * read, and one large file is copied. The subjects are ringloop/fs in both modes, and
 * node:fs/promises on Bun and Node.
 *
 * Every subject has its own process. The subjects take turns: one pass of one subject, then one of
 * the next, some milliseconds each, so that other load of the machine affects all of them. A ratio
 * is the median of the ratios to Bun's pass of the same round. The first rounds do not count,
 * because the compiler still translates code then. Contents are checked. CPU is the time of the
 * whole process.
 *
 * Options: `--files` in a pass (2000), their `--bytes` (1024), `--at-once` (64), `--rounds` (9),
 * `--copy-mib` (256), `--directory` (the system's directory for temporary files). Writes
 * bench/results/small-files.json.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine, median, printTable, ratio, thousands } from "./runner/report.ts";

const WARM_ROUNDS = 3;
const MIB = 1048576;
/** Pause between passes, so that the threads of one subject sleep before the next begins. */
const QUIET_MS = 50;

const { values } = parseArgs({
  options: {
    files: { type: "string", default: "2000" },
    bytes: { type: "string", default: "1024" },
    "at-once": { type: "string", default: "64" },
    rounds: { type: "string", default: "9" },
    "copy-mib": { type: "string", default: "256" },
    directory: { type: "string", default: tmpdir() },
  },
});
const positive = (name: "files" | "bytes" | "at-once" | "rounds" | "copy-mib"): number => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value > 0) return value;
  throw new TypeError(`--${name} must be a positive integer, not ${values[name]}`);
};
const files = positive("files");
const fileBytes = positive("bytes");
const atOnce = positive("at-once");
const rounds = positive("rounds");
const copyMib = positive("copy-mib");

interface Pass {
  ms: number;
  cpuUs: number;
}

/** A subject's process. It answers each line with one line. */
class Subject {
  readonly name: string;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly answers: AsyncIterator<string>;

  constructor(name: string, runtime: string, module: string, env: Record<string, string> = {}) {
    this.name = name;
    this.child = Bun.spawn([runtime, join(import.meta.dir, "servers/whole-files.mjs"), module], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, ...env },
    });
    this.answers = this.lines();
  }

  private async *lines(): AsyncGenerator<string> {
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.child.stdout) {
      text += decoder.decode(bytes, { stream: true });
      const lines = text.split("\n");
      text = lines.pop()!;
      yield* lines;
    }
  }

  async run(operation: string, directory: string): Promise<Pass> {
    this.child.stdin.write(`${JSON.stringify({ operation, directory, files, bytes: fileBytes, atOnce })}\n`);
    await this.child.stdin.flush();
    const { value, done } = await this.answers.next();
    if (done) throw new Error(`${this.name} has ended`);
    return JSON.parse(value) as Pass;
  }

  end(): void {
    this.child.kill();
  }
}

const directory = mkdtempSync(join(values.directory, "ringloop-small-files-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

const ringloop = join(import.meta.dir, "../src/fs/index.ts");
const subjects = [
  new Subject("fs.promises, Bun", process.execPath, "node:fs/promises"),
  new Subject("fs.promises, Node", "node", "node:fs/promises"),
  new Subject("ringloop/fs, defer", process.execPath, ringloop, { RINGLOOP_MODE: "defer" }),
  new Subject("ringloop/fs, sqpoll", process.execPath, ringloop, { RINGLOOP_MODE: "sqpoll" }),
];

/** Operations of a pass, and their amount: files, or MiB. */
const operations = {
  "written anew": { operation: "write", amount: files, unit: "files a second", isAnew: true },
  "written over": { operation: "write", amount: files, unit: "files a second", isAnew: false },
  read: { operation: "read", amount: files, unit: "files a second", isAnew: false },
  copied: { operation: "copy", amount: copyMib, unit: "MiB a second", isAnew: false },
};

const passes = Object.fromEntries(
  Object.keys(operations).map((name) => [name, subjects.map((): Pass[] => [])]),
) as Record<keyof typeof operations, Pass[][]>;
const startMs = performance.now();
const homes = subjects.map((_, i) => join(directory, String(i)));
const block = Buffer.alloc(copyMib * MIB, "a large file ");
for (const home of homes) {
  mkdirSync(home);
  writeFileSync(join(home, "from"), block);
}
for (let round = -WARM_ROUNDS; round < rounds; round++)
  for (const [name, { operation, isAnew }] of Object.entries(operations))
    for (let turn = 0; turn < subjects.length; turn++) {
      const i = (turn + round + WARM_ROUNDS) % subjects.length; // The order changes with the round.
      const subject = subjects[i]!;
      await Bun.sleep(QUIET_MS);
      const home = isAnew ? join(homes[i]!, `round ${round}`) : homes[i]!;
      if (isAnew) mkdirSync(home);
      const pass = await subject.run(operation, home);
      if (round >= 0) passes[name as keyof typeof operations][i]!.push(pass);
    }
for (const subject of subjects) subject.end();

const results = Object.fromEntries(
  Object.entries(operations).map(([name, { amount, unit }]) => {
    const all = passes[name as keyof typeof operations];
    const bun = all[0]!;
    const of = (list: Pass[]) => ({
      rate: (amount * 1000) / median(list.map(({ ms }) => ms)),
      cpuUs: median(list.map(({ cpuUs }) => cpuUs)) / amount,
      timeOfBuns: median(list.map(({ ms }, i) => ms / bun[i]!.ms)),
      cpuOfBuns: median(list.map(({ cpuUs }, i) => cpuUs / bun[i]!.cpuUs)),
    });
    const bySubject = Object.fromEntries(subjects.map((subject, i) => [subject.name, of(all[i]!)]));
    const what =
      name === "copied"
        ? `A file of ${copyMib} MiB copied`
        : `Files of ${thousands(fileBytes)} bytes ${name}, ${atOnce} at a time`;
    printTable(
      what,
      ["subject", unit, "time, of Bun's", name === "copied" ? "CPU us a MiB" : "CPU us a file", "of Bun's"],
      Object.entries(bySubject).map(([subject, { rate, cpuUs, timeOfBuns, cpuOfBuns }]) => [
        subject,
        thousands(rate),
        ratio(timeOfBuns),
        cpuUs.toFixed(1),
        ratio(cpuOfBuns),
      ]),
    );
    return [name, bySubject];
  }),
);

const report = {
  machine: { ...machine(), bun: Bun.version },
  date: new Date().toISOString(),
  rounds,
  files,
  fileBytes,
  atOnce,
  copyMib,
  results,
  seconds: (performance.now() - startMs) / 1000,
};
mkdirSync(join(import.meta.dir, "results"), { recursive: true });
writeFileSync(join(import.meta.dir, "results/small-files.json"), `${JSON.stringify(report, null, 2)}\n`);
console.log(`\n${Math.round(report.seconds)} s; bench/results/small-files.json`);
process.exit(0);
