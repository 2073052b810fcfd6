/**
 * `npm run soak -- --minutes 30 --mode defer`: runs one server with every service for this time,
 * with clients of which some die, stall and reset. Beside them a process of clients is killed and
 * started again and again.
 *
 * Afterwards the server must have released all resources, its memory must be as before, and every
 * error must be one that a client caused on purpose. Exits 1 with a list of violations.
 *
 * Options: --mode defer|sqpoll, --minutes N or --seconds N, --seed N, --clients N, --out FILE.
 * Without --out, the result goes to test/results/soak.json, beside those of other modes, and
 * chart.ts draws docs/charts/soak.svg from it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "../../bench/runner/report.ts";
import { drawSoak } from "./chart.ts";
import type { Ports, Service } from "./content.ts";
import { services } from "./content.ts";
import type { Report, Seen } from "./load.ts";
import type { Holdings } from "./server.ts";

/** One sample: the server's resources, and the clients' measurements since the last sample. */
export interface Sample {
  second: number;
  residentKiB: number;
  heapKiB: number;
  descriptors: number;
  slots: number;
  operations: number;
  sendKiB: number;
  receiveBuffers: number;
  seen: Partial<Record<Service, Seen>>;
}

export interface SoakResult {
  date: string;
  seconds: number;
  seed: number;
  clients: number;
  answers: number;
  bytes: number;
  /** Number of deeds (deliberate misbehaviour of clients), by kind. */
  deeds: Record<string, number>;
  /** The violated conditions. */
  violations: string[];
  /** The heap after a garbage collection: after a third, after two thirds, and at the end. */
  collectedKiB: number[];
  services: Partial<Record<Service, Seen>>;
  samples: Sample[];
}

/** Start of the memory check. The growth of a process in its first seconds is not a leak. */
const JUDGED_FROM_SECONDS = 60;
/** Allowed growth between the medians of two thirds of a run. */
const GROWTH_MAX = 1.05;
const GROWTH_KIB_MAX = 4096;
/** Largest number of samples in a result. If there are more, neighbours are merged. */
const KEPT_SAMPLES_MAX = 60;
/** Lifetime of a process of clients, which is then killed in the middle of its work. */
const KILL_EVERY_SECONDS = 5;
const KILLED_CLIENTS = 8;
/** Time after the last client in which the server must release its resources. */
const SETTLE_MS_MAX = 10_000;

const { values: flags } = parseArgs({
  options: {
    mode: { type: "string", default: "defer" },
    minutes: { type: "string", default: "30" },
    seconds: { type: "string" },
    seed: { type: "string", default: "1" },
    clients: { type: "string", default: "24" },
    out: { type: "string" },
  },
});
const seconds = flags.seconds === undefined ? Number(flags.minutes) * 60 : Number(flags.seconds);
if (flags.mode !== "defer" && flags.mode !== "sqpoll")
  throw new TypeError(`--mode is defer or sqpoll, not ${JSON.stringify(flags.mode)}`);
if (!(seconds > 0)) throw new TypeError("--minutes and --seconds take a number above 0");

/** A child process that answers questions over IPC, one at a time. */
class Child {
  readonly exited: Promise<number>;
  private readonly child: Bun.Subprocess;
  private readonly answers: { resolve: (answer: any) => void; reject: (error: Error) => void }[] = [];
  private readonly early: unknown[] = [];

  constructor(file: string, args: string[] = [], env: Record<string, string> = {}) {
    this.child = Bun.spawn([process.execPath, join(import.meta.dir, file), ...args], {
      ipc: (message) => {
        const waiting = this.answers.shift();
        if (waiting) waiting.resolve(message);
        else this.early.push(message);
      },
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, NODE_ENV: "production", ...env },
    });
    this.exited = this.child.exited.then((code) => {
      for (const { reject } of this.answers) reject(new Error(`${file} ended with ${code}`));
      return code;
    });
  }

  next<T>(): Promise<T> {
    if (this.early.length > 0) return Promise.resolve(this.early.shift() as T);
    return new Promise((resolve, reject) => this.answers.push({ resolve, reject }));
  }

  tell(message: unknown): void {
    this.child.send(message);
  }

  ask<T>(question: string): Promise<T> {
    const answer = this.next<T>();
    this.tell(question);
    return answer;
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}

const violations: string[] = [];
const must = (holds: boolean, what: string): void => void (holds || violations.push(what));

/** Returns the resources that are left when nobody is connected any more. */
function left(before: Holdings, now: Holdings): string[] {
  const found = [
    ["descriptors", now.descriptors - before.descriptors],
    ["sockets", now.sockets],
    ["web sockets", now.webSockets],
    ["sockets of node:http", now.nodeSockets],
    ["pending requests", now.pendingRequests],
    ["slots", now.ring.slotsInUse - before.ring.slotsInUse],
    ["send bytes", now.ring.sendBytesInUse - before.ring.sendBytesInUse],
    // The reactor has operations of its own while it is awake. It was awake for both questions.
    ["operations", Math.max(0, now.ring.operationsInFlight - before.ring.operationsInFlight)],
    // The group may have more buffers than at the start, but never fewer.
    ["receive buffers missing", Math.max(0, before.ring.receiveBuffersAvailable - now.ring.receiveBuffersAvailable)],
    ["stale completions", now.ring.staleCompletions],
  ] as const;
  return found.filter(([, count]) => count !== 0).map(([name, count]) => `${name}: ${count}`);
}

/** Returns the server's resources while its ring sleeps. It watches an eventfd then. */
async function atRest(server: Child): Promise<Holdings> {
  for (let last = await server.ask<Holdings>("collect"); ;) {
    await Bun.sleep(50);
    const now = await server.ask<Holdings>("collect");
    if (now.ring.parks > 0 && now.ring.turns === last.ring.turns) return now;
    last = now;
  }
}

async function settled(server: Child, before: Holdings): Promise<string[]> {
  const end = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const found = left(before, await server.ask<Holdings>("collect"));
    if (found.length === 0 || performance.now() > end) return found;
    await Bun.sleep(50);
  }
}

function sampleOf(second: number, { ring, ...held }: Holdings, { seen }: Report): Sample {
  return {
    second,
    residentKiB: held.residentKiB,
    heapKiB: held.heapKiB,
    descriptors: held.descriptors,
    slots: ring.slotsInUse,
    operations: ring.operationsInFlight,
    sendKiB: Math.round(ring.sendBytesInUse / 1024),
    receiveBuffers: ring.receiveBuffersAvailable,
    seen,
  };
}

/** Merges several measurements of a service: the maximum of maxima, the medians of other values. */
function together(samples: readonly Sample[]): Partial<Record<Service, Seen>> {
  const joined: Partial<Record<Service, Seen>> = {};
  for (const service of services) {
    const all = samples.map(({ seen }) => seen[service]).filter((seen) => seen !== undefined);
    if (all.length === 0) continue;
    joined[service] = {
      count: all.reduce((sum, { count }) => sum + count, 0),
      p50Ms: rounded(median(all.map(({ p50Ms }) => p50Ms))),
      p99Ms: rounded(median(all.map(({ p99Ms }) => p99Ms))),
      maxMs: rounded(all.reduce((most, { maxMs }) => Math.max(most, maxMs), 0)),
    };
  }
  return joined;
}

const rounded = (ms: number): number => Number(ms.toFixed(3));

/** Returns at most KEPT_SAMPLES_MAX samples, each the median of its neighbours. */
function folded(samples: readonly Sample[]): Sample[] {
  const each = Math.max(1, Math.ceil(samples.length / KEPT_SAMPLES_MAX));
  const groups = Array.from({ length: Math.ceil(samples.length / each) }, (_, i) =>
    samples.slice(i * each, (i + 1) * each),
  );
  const fields = ["residentKiB", "heapKiB", "descriptors", "slots", "operations", "sendKiB", "receiveBuffers"] as const;
  return groups.map((group) => ({
    ...group[0]!,
    ...Object.fromEntries(fields.map((field) => [field, Math.round(median(group.map((sample) => sample[field])))])),
    seen: together(group),
  }));
}

/** Compares the last third of a run with the second. Growth there means growth without end. */
function judgeMemory(samples: readonly Sample[], collectedKiB: readonly number[]): void {
  const third = Math.floor(samples.length / 3);
  for (const field of ["residentKiB", "heapKiB", "descriptors", "slots"] as const) {
    const before = median(samples.slice(third, 2 * third).map((sample) => sample[field]));
    const after = median(samples.slice(2 * third).map((sample) => sample[field]));
    const slack = field.endsWith("KiB") ? GROWTH_KIB_MAX : 8;
    must(after <= before * GROWTH_MAX + slack, `${field} grew from ${before} to ${after} in the last third`);
  }
  const [, second, last] = collectedKiB;
  must(last! <= second! * GROWTH_MAX + GROWTH_KIB_MAX / 2, `the collected heap grew from ${second} to ${last} KiB`);
}

/** Kills one process of clients after another, until `stopped`. Returns their number. */
async function killClients(ports: Ports, everySeconds: number, stopped: AbortSignal): Promise<number> {
  let killed = 0;
  for (; !stopped.aborted; killed++) {
    const load = new Child("load.ts", [`${Number(flags.seed) + 1 + killed}`, `${KILLED_CLIENTS}`, "leaves"]);
    load.tell(ports);
    await Bun.sleep(everySeconds * 1000);
    load.kill();
    await load.exited;
  }
  return killed;
}

async function soak(server: Child, load: Child): Promise<SoakResult> {
  const ports = await server.next<Ports>();
  const before = await atRest(server);
  const samples: Sample[] = [];
  const collectedKiB: number[] = [];
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  load.tell(ports);
  const everySeconds = Math.min(1, seconds / 5);
  const stop = new AbortController();
  const killing = killClients(ports, Math.min(KILL_EVERY_SECONDS, seconds / 3), stop.signal);
  const isAsked = (service: Service): boolean => samples.some(({ seen }) => (seen[service]?.count ?? 0) > 0);
  // On a busy machine a short run may end before the clients have asked each service.
  for (let second = everySeconds; second < seconds || !services.every(isAsked); second += everySeconds) {
    await Bun.sleep(Math.max(0, (second - elapsed()) * 1000));
    const isThird = elapsed() >= ((collectedKiB.length + 1) * seconds) / 3;
    const [held, report] = [
      await server.ask<Holdings>(isThird ? "collect" : "holdings"),
      await load.ask<Report>("report"),
    ];
    if (isThird) collectedKiB.push(held.heapKiB);
    samples.push(sampleOf(Math.round(elapsed() * 10) / 10, held, report));
    if (samples.length % 60 === 0)
      console.log(`${Math.round(elapsed())} s: ${held.residentKiB} KiB, ${held.descriptors} descriptors`);
  }
  stop.abort();
  const killed = await killing;
  const last = await load.ask<Report>("stop");
  const found = await settled(server, before);
  must(found.length === 0, `left after the last client: ${found.join(", ")}`);
  const { faults, heapKiB } = await server.ask<Holdings>("collect");
  while (collectedKiB.length < 2) collectedKiB.push(heapKiB);
  collectedKiB.push(heapKiB);
  for (const [kind, count] of Object.entries(faults)) violations.push(`in the server, ${count} times: ${kind}`);
  for (const [kind, count] of Object.entries(last.faults)) violations.push(`at a client, ${count} times: ${kind}`);
  const seen = together(samples);
  if (seconds >= JUDGED_FROM_SECONDS) judgeMemory(samples, collectedKiB);
  return {
    date: new Date().toISOString().slice(0, 10),
    seconds,
    seed: Number(flags.seed),
    clients: Number(flags.clients),
    answers: Object.values(seen).reduce((sum, { count }) => sum + count, 0),
    bytes: last.bytes,
    deeds: { ...last.deeds, "a process of clients is killed": killed },
    violations,
    collectedKiB,
    services: seen,
    samples: folded(samples),
  };
}

const server = new Child("server.ts", [], { RINGLOOP_TEST_SUBJECT: flags.mode });
const load = new Child("load.ts", [flags.seed, flags.clients, "stays"]);
let result: SoakResult;
try {
  result = await soak(server, load);
  server.tell("end");
  const late = new Promise<string>((resolve) => setTimeout(resolve, SETTLE_MS_MAX, "not at all").unref());
  const ended = await Promise.race([server.exited, late]);
  must(ended === 0, `the server, with everything closed, ended by itself with 0: ${ended}`);
} finally {
  server.kill();
  load.kill();
  await Promise.all([server.exited, load.exited]);
}

const { samples: _, ...summary } = result;
console.log(JSON.stringify(summary, null, 2));
if (flags.out !== undefined) await Bun.write(flags.out, JSON.stringify(result));
else {
  const path = join(import.meta.dir, "../results/soak.json");
  const others = existsSync(path) ? ((await Bun.file(path).json()) as Record<string, SoakResult>) : {};
  const results = { ...others, [flags.mode]: result };
  await Bun.write(path, `${JSON.stringify(results, null, 2)}\n`);
  await drawSoak(results);
}
if (violations.length > 0) {
  console.error(`did not hold:\n${violations.map((each) => `  ${each}`).join("\n")}`);
  process.exit(1);
}
