/**
 * `bun bench/start.ts [--rounds 30]`: the costs of the preload at the start of a process.
 *
 * It measures the time from the spawn of a program without a server to its first line, and from the
 * spawn of a server to its first answer. It also measures the memory of the process at that time.
 * The subjects are plain Bun, and the built package's preload in each mode. They take turns;
 * results are medians. Writes bench/results/start.json.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine, median, printTable } from "./runner/report.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "30" } } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000)
  throw new TypeError(`--rounds must be an integer from 1 to 1000, not ${JSON.stringify(values.rounds)}`);

const preload = ["--preload", join(import.meta.dir, "../dist/register.js")];
const subjects: Record<string, { args: string[]; env?: Record<string, string> }> = {
  "plain Bun": { args: [] },
  "preload, defer": { args: preload, env: { RINGLOOP_MODE: "defer" } },
  "preload, sqpoll": { args: preload, env: { RINGLOOP_MODE: "sqpoll" } },
};
const programs = {
  "no server: first line": `console.log("ready"); setTimeout(() => {}, 1e9);`,
  "server: first answer": `const { port } = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("Hello") }); console.log(port);`,
};
type Program = keyof typeof programs;

interface Sample {
  ms: number;
  /** CPU time of all threads of the process, until then and to its end. */
  cpuMs: number;
  /** VmRSS, and its part that is not shared with other processes (RssAnon), in MiB. */
  residentMiB: number;
  privateMiB: number;
}

async function firstAnswer(port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (opened) => void opened.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      data: (_socket, bytes) =>
        bytes.includes("Hello") ? resolve() : reject(new Error(`the server answered ${bytes.toString()}`)),
      close: () => reject(new Error("the server closed the connection")),
    },
  });
  await promise;
  socket.terminate();
}

async function measure(program: Program, subject: string): Promise<Sample> {
  const { args, env } = subjects[subject]!;
  const { BUN_OPTIONS: _, ...own } = process.env;
  const start = Bun.nanoseconds();
  const child = Bun.spawn([process.execPath, ...args, "-e", programs[program]], {
    env: { ...own, ...env },
    stdout: "pipe",
    stderr: "inherit",
  });
  const { value } = await child.stdout.getReader().read();
  const port = Number(Buffer.from(value!).toString());
  if (port > 0) await firstAnswer(port);
  const ms = (Bun.nanoseconds() - start) / 1e6;
  const status = readFileSync(`/proc/${child.pid}/status`, "latin1");
  const mib = (field: string): number => Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, "m").exec(status)![1]) / 1024;
  const [residentMiB, privateMiB] = [mib("VmRSS"), mib("RssAnon")];
  child.kill("SIGKILL");
  await child.exited;
  return { ms, cpuMs: Number(child.resourceUsage()!.cpuTime.total) / 1000, residentMiB, privateMiB };
}

const samples = new Map<string, Sample[]>();
for (let round = 0; round < rounds; round++)
  for (const program of Object.keys(programs) as Program[])
    for (const subject of Object.keys(subjects)) {
      const key = `${program}/${subject}`;
      samples.set(key, [...(samples.get(key) ?? []), await measure(program, subject)]);
    }

const fields = ["ms", "cpuMs", "residentMiB", "privateMiB"] as const;
const results: Record<string, Record<string, Sample>> = {};
for (const program of Object.keys(programs)) {
  const medians: Record<string, Sample> = (results[program] = {});
  for (const subject of Object.keys(subjects)) {
    const runs = samples.get(`${program}/${subject}`)!;
    const of = (field: keyof Sample): number => median(runs.map((run) => run[field]));
    medians[subject] = {
      ms: of("ms"),
      cpuMs: of("cpuMs"),
      residentMiB: of("residentMiB"),
      privateMiB: of("privateMiB"),
    };
  }
  const plain = medians["plain Bun"]!;
  const shown = (sample: Sample, field: keyof Sample): string[] => [
    sample[field].toFixed(1),
    sample === plain ? "" : `+${(sample[field] - plain[field]).toFixed(1)}`,
  ];
  printTable(
    `${program}, median of ${rounds}`,
    ["subject", "ms", "", "CPU ms", "", "resident MiB", "", "private MiB", ""],
    Object.entries(medians).map(([subject, sample]) => [subject, ...fields.flatMap((field) => shown(sample, field))]),
  );
}
mkdirSync(join(import.meta.dir, "results"), { recursive: true });
const report = { machine: { ...machine(), bun: Bun.version }, date: new Date().toISOString(), rounds, results };
writeFileSync(join(import.meta.dir, "results/start.json"), `${JSON.stringify(report, null, 2)}\n`);
