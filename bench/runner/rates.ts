/**
 * Rates, latency and cost. Rounds are interleaved and shuffled, a warm-up does not count, and
 * results are medians with their spread.
 */
import { h2load, load, type LoadResult, wrk } from "./load.ts";
import { commandOf, type Peer } from "./peers.ts";
import { median, printTable, ratio, thousands } from "./report.ts";
import { ServerProcess } from "./server.ts";
import type { Workload } from "./workloads.ts";

export interface RateOptions {
  peers: readonly Peer[];
  rounds: number;
  /** Length of each run in seconds. */
  seconds: number;
  /**
   * Whether to pin servers to processor 0 and limit/load.c to processor 1. Workloads at a fixed
   * rate always do.
   */
  pin: boolean;
  /** Called before each run. */
  progress(workload: string, peer: Peer): void;
}

const SERVER_CPU = 0;
const LOAD_CPU = 1;

/** Medians of the rounds. */
export interface Result {
  /** Requests or messages per second. */
  rate: number;
  /** (highest - lowest) / median of the rates. */
  spread: number;
  /**
   * CPU time in microseconds for one request or message: the server's process with the kernel
   * threads of its rings.
   */
  cpuUs: number;
  /** CPU time of the server's JavaScript (or only) thread alone. */
  jsUs: number;
  p50Us: number;
  p99Us: number;
  p999Us?: number;
  /** Largest resident memory of the server. */
  peakKiB: number;
  /** See LoadResult. */
  loadBusy: number;
  loadCpuUs: number;
}
export type Results = Record<string, Partial<Record<Peer, Result>>>;

export async function measureRates(workloads: readonly Workload[], options: RateOptions): Promise<Results> {
  const results: Results = {};
  for (const workload of workloads) results[workload.title] = await measure(workload, options);
  return results;
}

async function measure(workload: Workload, options: RateOptions): Promise<Results[string]> {
  const { service, title } = workload;
  const { rounds, seconds, progress } = options;
  // At a fixed rate, the load program waits by spinning. If a server woke on the same processor, it
  // would wait for the end of that time slice. Then the figures would show only the scheduler's
  // choice, some milliseconds.
  const pinned = options.pin || (workload.load.by === "load" && workload.load.ofBunsRate !== undefined);
  const servers = new Map<Peer, ServerProcess>();
  const samples = new Map<Peer, (LoadResult & { cpuUs: number; jsUs: number })[]>();
  for (const peer of workload.peers ?? options.peers) {
    if (!(await commandOf(peer, service))) continue;
    // A server with an SQ thread is not pinned. The SQ thread needs its own processor, but inherits
    // the affinity of the thread that sets it up.
    const isPinned = pinned && !peer.endsWith("sqpoll");
    servers.set(peer, await ServerProcess.start(service, peer, isPinned ? SERVER_CPU : undefined));
    samples.set(peer, []);
  }
  const rate = await openLoopRate(workload, servers);
  // Servers that are not measured are stopped, because a spinning one would take a processor from
  // the others.
  for (const server of servers.values()) server.pause();
  for (const [peer, server] of servers) {
    try {
      server.resume();
      const { warmUp } = workload;
      if (warmUp) await wrk(server.port, warmUp.connections, 1, warmUp);
      await run(workload, server.port, Math.min(seconds, 1), rate, pinned); // Warm-up.
      server.pause();
    } catch (error) {
      // A model that fails at so many connections is a result. A failure of another peer is an
      // error.
      if (!workload.peers) throw error;
      await server.stop();
      servers.delete(peer);
      samples.delete(peer);
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const [peer, server] of shuffled([...servers])) {
      progress(title, peer);
      server.resume();
      const start = server.usage();
      const result = await run(workload, server.port, secondsOf(workload, seconds), rate, pinned);
      const end = server.usage();
      server.pause();
      const of = (ns: number): number => ns / 1000 / result.count;
      samples.get(peer)!.push({ ...result, cpuUs: of(end.cpuNs - start.cpuNs), jsUs: of(end.jsNs - start.jsNs) });
    }
  }
  const medians: Partial<Record<Peer, Result>> = {};
  for (const [peer, runs] of samples) {
    const of = (field: "rate" | "cpuUs" | "jsUs" | "p50Us" | "p99Us" | "loadBusy" | "loadCpuUs"): number =>
      median(runs.map((each) => each[field]));
    const rates = runs.map((each) => each.rate);
    const p999 = runs.map((each) => each.p999Us).filter((us) => us !== undefined);
    medians[peer] = {
      rate: of("rate"),
      spread: (Math.max(...rates) - Math.min(...rates)) / of("rate"),
      cpuUs: of("cpuUs"),
      jsUs: of("jsUs"),
      p50Us: of("p50Us"),
      p99Us: of("p99Us"),
      ...(p999.length > 0 && { p999Us: median(p999) }),
      peakKiB: servers.get(peer)!.peakKiB(),
      loadBusy: of("loadBusy"),
      loadCpuUs: of("loadCpuUs"),
    };
  }
  for (const server of servers.values()) await server.stop();
  return medians;
}

function secondsOf({ secondsMin = 0 }: Workload, seconds: number): number {
  return Math.max(seconds, secondsMin);
}

function run(
  { load: spec, connections }: Workload,
  port: number,
  seconds: number,
  rate: number,
  pinned: boolean,
): Promise<LoadResult> {
  switch (spec.by) {
    case "wrk":
      return wrk(port, connections, seconds, spec);
    case "h2load":
      return h2load(port, connections, seconds);
    case "load":
      return load(port, connections, seconds, { ...spec, rate, ...(pinned && { cpu: LOAD_CPU }) });
  }
}

/**
 * Returns the messages per second of an open loop; 0 for a closed one. Bun's capacity is the median
 * of three runs just before, after a warm-up.
 */
async function openLoopRate(
  { load: spec, connections, title }: Workload,
  servers: Map<Peer, ServerProcess>,
): Promise<number> {
  if (spec.by !== "load" || spec.ofBunsRate === undefined) return 0;
  const bun = servers.get("bun");
  if (!bun) throw new TypeError(`"${title}" needs the peer bun`);
  const runs: number[] = [];
  for (let i = 0; i < 4; i++) runs.push((await load(bun.port, connections, 1, { ...spec, cpu: LOAD_CPU })).rate);
  return median(runs.slice(1)) * spec.ofBunsRate;
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const other = Math.floor(Math.random() * (i + 1));
    [items[i], items[other]] = [items[other]!, items[i]!];
  }
  return items;
}

export function printRates(results: Results): void {
  const rows = Object.entries(results).flatMap(([title, byPeer]) =>
    (Object.entries(byPeer) as [Peer, Result][]).map(([peer, result], i) => {
      const { rate, spread, cpuUs, jsUs, p50Us, p99Us, p999Us, peakKiB, loadBusy, loadCpuUs } = result;
      const bun = byPeer.bun ?? result;
      return [
        i === 0 ? title : "",
        peer,
        thousands(rate),
        `${(spread * 100).toFixed(0)}%`,
        ratio(rate / bun.rate),
        cpuUs.toFixed(2),
        ratio(cpuUs / bun.cpuUs),
        jsUs.toFixed(2),
        ratio(jsUs / bun.jsUs),
        ...[p50Us, p99Us, p999Us ?? Number.NaN, peakKiB / 1024].map(thousands),
        `${(loadBusy * 100).toFixed(0)}%`,
        loadCpuUs.toFixed(1),
      ];
    }),
  );
  const columns = [
    "workload",
    "peer",
    "per second",
    "+-",
    "",
    "CPU us",
    "",
    "JS CPU us",
    "",
    "p50 us",
    "p99 us",
    "p99.9",
    "peak MiB",
    "load busy",
    "load CPU us",
  ];
  printTable(
    "Rates and cost of one request or message (ratios to Bun's own; CPU with the ring's kernel threads)",
    columns,
    rows,
  );
}
