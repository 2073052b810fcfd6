/**
 * `bun run bench:quick`: what ringloop promises, measured in under 90 seconds against Bun's own server on this machine.
 *
 * Every server runs in a process of its own. Rates: three rounds, subjects interleaved, medians; answers are checked by the load
 * programs. CPU is that of the whole server process with the kernel threads of its rings, from /proc. Prints tables with ratios to Bun's
 * own, and writes bench/results/quick.json (with `--only`
 * partial.json, or what `--out` names). `--only http,echo,enters,idle,loop,churn` picks parts; app is about
 * routes, bodies and files, slow and heap about memory, burst and memory about sockets.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { echoLoad, type LoadResult, wrk, type WrkRequest } from "./runner/load.ts";
import {
  measureChurn,
  measureHeap,
  measureIdle,
  measureLoop,
  measureMemory,
  measureSlow,
  measureSparse,
} from "./runner/life.ts";
import { median, printTable, ratio, thousands } from "./runner/report.ts";
import { ServerProcess } from "./runner/server.ts";
import { countEnters } from "./runner/strace.ts";
import type { Subject } from "./servers/subject.ts";

const parts = ["http", "app", "echo", "enters", "idle", "loop", "churn", "burst", "memory", "slow", "heap"] as const;
/** The others are for `--only`: see bench:http and bench:sockets in package.json. */
const quickParts = ["http", "echo", "enters", "idle", "loop", "churn"];
const { values } = parseArgs({
  options: {
    only: { type: "string", default: quickParts.join(",") },
    rounds: { type: "string", default: "3" },
    out: { type: "string" },
  },
});
const chosen = values.only.split(",");
const wrong = chosen.find((part) => !parts.includes(part as (typeof parts)[number]));
if (wrong !== undefined) throw new TypeError(`--only takes ${parts.join(", ")}, not ${wrong}`);
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new TypeError(`--rounds must be a positive integer, not ${values.rounds}`);

const subjects: readonly Subject[] = ["bun", "defer", "sqpoll"];

interface Workload {
  name: string;
  server: string;
  run(port: number): Promise<LoadResult>;
}

const http = (connections: number, depth: number): Workload => ({
  name: `HTTP hello, ${connections} connections${depth > 1 ? `, pipeline ${depth}` : ""}`,
  server: "http-hello.ts",
  run: (port) => wrk(port, connections, 1, { depth }),
});
const app = (what: string, connections: number, request: WrkRequest): Workload => ({
  name: `HTTP ${what}, ${connections} connections`,
  server: "http-app.ts",
  run: (port) => wrk(port, connections, 1, request),
});
const echo = (connections: number): Workload => ({
  name: `TCP echo 64 B, ${connections} connections`,
  server: "echo.ts",
  run: (port) => echoLoad(port, connections, 64, 0.6),
});
const burst = (connections: number): Workload => ({
  name: `1,024 B sent back in 16 writes, ${connections} connections`,
  server: "burst.ts",
  run: (port) => echoLoad(port, connections, 1024, 1),
});

/** One run, with what it cost the server. */
interface Sample extends LoadResult {
  cpuUs: number;
  jsUs: number;
}

type Medians = Omit<Sample, "count">;

async function measure(workload: Workload): Promise<Record<Subject, Medians>> {
  const servers = new Map<Subject, ServerProcess>();
  for (const subject of subjects) servers.set(subject, await ServerProcess.start(workload.server, subject));
  const samples: Record<Subject, Sample[]> = { bun: [], defer: [], sqpoll: [] };
  await Promise.all([...servers.values()].map(({ port }) => workload.run(port))); // Warm-up.
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) {
      const server = servers.get(subject)!;
      const before = server.usage();
      const load = await workload.run(server.port);
      const after = server.usage();
      samples[subject].push({
        ...load,
        cpuUs: (after.cpuNs - before.cpuNs) / 1000 / load.count,
        jsUs: (after.jsNs - before.jsNs) / 1000 / load.count,
      });
    }
  }
  for (const server of servers.values()) await server.stop();
  const of = (subject: Subject, field: keyof Medians): number =>
    median(samples[subject].map((sample) => sample[field]));
  const medians = (subject: Subject): Medians => ({
    rate: of(subject, "rate"),
    p50Us: of(subject, "p50Us"),
    p99Us: of(subject, "p99Us"),
    cpuUs: of(subject, "cpuUs"),
    jsUs: of(subject, "jsUs"),
  });
  return { bun: medians("bun"), defer: medians("defer"), sqpoll: medians("sqpoll") };
}

function printRates(results: Record<string, Record<Subject, Medians>>): void {
  const rows = Object.entries(results).flatMap(([name, bySubject]) =>
    subjects.map((subject) => {
      const { rate, cpuUs, jsUs, p50Us, p99Us } = bySubject[subject];
      const { bun } = bySubject;
      return [
        subject === "bun" ? name : "",
        subject,
        thousands(rate),
        ratio(rate / bun.rate),
        cpuUs.toFixed(2),
        ratio(cpuUs / bun.cpuUs),
        jsUs.toFixed(2),
        ratio(jsUs / bun.jsUs),
        thousands(p50Us),
        thousands(p99Us),
      ];
    }),
  );
  const columns = ["workload", "subject", "per second", "", "CPU us", "", "JS CPU us", "", "p50 us", "p99 us"];
  printTable("Rates and cost of one request or message (ratios to Bun's own)", columns, rows);
}

const startMs = performance.now();
const report: Record<string, unknown> = {
  machine: { cpu: cpus()[0]!.model, cores: cpus().length, kernel: release(), bun: Bun.version },
  date: new Date().toISOString(),
  rounds,
};

const workloads = [
  ...(chosen.includes("http") ? [http(50, 16), http(50, 1), http(256, 1)] : []),
  ...(chosen.includes("app")
    ? [
        http(1000, 1),
        app("static route", 50, { path: "/static" }),
        app("JSON route with a parameter", 50, { path: "/user/7" }),
        app("JSON route, pipeline 16", 50, { path: "/user/7", depth: 16 }),
        app("POST of 1 KiB, echoed", 50, { path: "/echo", postBytes: 1024 }),
        app("64 KiB from memory", 50, { path: "/64KiB" }),
        app("1 MiB from memory", 50, { path: "/1MiB" }),
        app("1 MiB from a file", 50, { path: "/file" }),
        app("1 MiB from a file's route", 50, { path: "/file-route" }),
      ]
    : []),
  ...(chosen.includes("echo") ? [echo(50), echo(500)] : []),
  ...(chosen.includes("burst") ? [burst(50), burst(500)] : []),
];
if (workloads.length > 0) {
  const rates: Record<string, Record<Subject, Medians>> = {};
  for (const workload of workloads) rates[workload.name] = await measure(workload);
  report.rates = rates;
  printRates(rates);
}

if (chosen.includes("enters")) {
  const rows: string[][] = [];
  const enters: Record<string, unknown> = {};
  for (const depth of [1, 16]) {
    for (const subject of ["defer", "sqpoll"] as const) {
      const result = await countEnters(subject, 50, depth);
      enters[`${subject}, pipeline ${depth}`] = result;
      const { perRequest, tracedPerRequest, otherCalls } = result;
      rows.push([subject, String(depth), perRequest.toFixed(4), tracedPerRequest.toFixed(4), otherCalls]);
    }
  }
  report.enters = enters;
  const columns = [
    "subject",
    "pipeline",
    "enters/request",
    "under strace -c",
    "other system calls/request under strace",
  ];
  printTable("io_uring_enter calls, HTTP hello, 50 connections", columns, rows);
}

if (chosen.includes("idle")) {
  const idle = await measureIdle(subjects, 5);
  const sparse = await measureSparse(subjects);
  report.idle = idle;
  report.sparse = sparse;
  const rows = subjects.map((subject) => {
    const { p50Us, p99Us } = sparse[subject];
    return [subject, String(idle[subject]), thousands(p50Us), ratio(p50Us / sparse.bun.p50Us), thousands(p99Us)];
  });
  printTable("Idle", ["subject", "ticks in 5 s", "p50 us, a request every 5 ms", "", "p99 us"], rows);
}

if (chosen.includes("loop")) {
  const loop = await measureLoop();
  report.loop = loop;
  const rows = Object.entries(loop.loaded.defer!).map(([name]) => [
    name,
    ...[loop.idleBun, loop.loaded.bun!, loop.loaded.defer!, loop.loaded.sqpoll!].flatMap((result) => {
      const { medianMs, maxMs } = result[name]!;
      return [`${medianMs.toFixed(2)} / ${maxMs.toFixed(2)}`];
    }),
  ]);
  const columns = [
    "milliseconds late, median / worst of 20",
    "Bun, no load",
    "Bun, loaded",
    "defer, loaded",
    "sqpoll, loaded",
  ];
  printTable("Bun's own loop while the server is under full load", columns, rows);
}

if (chosen.includes("churn")) {
  const churn = await measureChurn(subjects, 10_000);
  report.churn = churn;
  const rows = subjects.map((subject) => {
    const { before, open, after } = churn[subject];
    const cells = [before, open, after].flatMap((state) => [thousands(state.residentKiB), String(state.sockets)]);
    return [subject, ...cells];
  });
  const columns = ["subject", "before KiB", "sockets", "10,000 open KiB", "sockets", "after KiB", "sockets"];
  printTable("10,000 connections opened, used and closed", columns, rows);
}

if (chosen.includes("memory")) {
  const memory = await measureMemory(subjects, 10_000);
  report.memory = memory;
  const rows = subjects.map((subject) => [subject, (memory[subject] * 1024).toFixed(0)]);
  printTable("10,000 idle TCP connections", ["subject", "resident bytes each"], rows);
}

if (chosen.includes("slow")) {
  const slow = await measureSlow(subjects, 10_000);
  report.slow = slow;
  const rows = subjects.map((subject) => [subject, (slow[subject] * 1024).toFixed(0)]);
  printTable("10,000 clients with half a head", ["subject", "resident bytes each"], rows);
}

if (chosen.includes("heap")) {
  const heap = await measureHeap("defer", 20_000_000);
  report.heap = heap;
  const rows = heap.map(({ requests, heapBytes, objects, residentKiB }) =>
    [requests, heapBytes / 1024, objects, residentKiB].map(thousands),
  );
  printTable("Memory after requests, defer", ["requests", "heap KiB", "objects", "resident KiB"], rows);
}

report.seconds = (performance.now() - startMs) / 1000;
const directory = join(import.meta.dir, "results");
mkdirSync(directory, { recursive: true });
const name = `${values.out ?? (values.only === quickParts.join(",") ? "quick" : "partial")}.json`;
const file = join(directory, name);
writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
console.log(`\n${Math.round(report.seconds as number)} s; bench/results/${name}`);
process.exit(0);
