/**
 * Load from separate programs: wrk and h2load, which are independent of ringloop, and limit/load.c.
 * Each run has a time limit and checks the answers.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";

export interface LoadResult {
  /** Requests or messages per second. */
  rate: number;
  /**
   * Number of all answers of the server in the run, with the warm-up. The server's CPU is divided
   * by it.
   */
  count: number;
  p50Us: number;
  p99Us: number;
  /** p99.9 in microseconds, from limit/load.c only. */
  p999Us?: number;
  /**
   * Share of its time for which the load program, which has one thread, was on a processor. Near 1,
   * the load program may be the limit instead of the server.
   */
  loadBusy: number;
  /** CPU time of the load program for one answer, in microseconds. */
  loadCpuUs: number;
}

const build = join(import.meta.dir, "../build");

async function output(command: string[]): Promise<{ text: string; busy: number; busyUs: number }> {
  const startMs = performance.now();
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [text, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} exited with ${code}: ${errors || text}`);
  const busyUs = Number(child.resourceUsage()!.cpuTime.total);
  return { text, busy: busyUs / 1000 / (performance.now() - startMs), busyUs };
}

/** Returns the microseconds of a time that wrk writes like "1.84ms". */
function microseconds(text: string): number {
  const [, value, unit] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? [];
  if (unit === undefined) return Number.NaN; // With pipelining, wrk does not know the latency.
  return Number(value) * { us: 1, ms: 1000, s: 1e6 }[unit as "us" | "ms" | "s"];
}

/** A request of wrk. */
export interface WrkRequest {
  path?: string;
  /** Number of requests in one write. */
  depth?: number;
  /** Bytes of a body to POST. */
  postBytes?: number;
  /** Makes a connection for each request, of this version of HTTP. */
  once?: "1.0" | "1.1";
}

/**
 * Runs wrk with one thread, for whole seconds. Throws when an answer was not 2xx or a connection
 * failed.
 */
export async function wrk(
  port: number,
  connections: number,
  seconds: number,
  { path = "/", depth = 1, postBytes = 0, once }: WrkRequest = {},
): Promise<LoadResult> {
  const script = once ? "close.lua" : postBytes > 0 ? "post.lua" : depth > 1 ? "pipeline.lua" : undefined;
  const wholeSeconds = Math.ceil(seconds);
  // An answer of 1 GiB takes longer than the two seconds after which wrk sees an error.
  const timeout = `${2 * wholeSeconds}s`;
  const command = ["wrk", "-t1", `-c${connections}`, `-d${wholeSeconds}s`, "--timeout", timeout, "--latency"];
  if (script !== undefined) command.push("-s", join(import.meta.dir, script));
  command.push(`http://127.0.0.1:${port}${path}`);
  if (script !== undefined) command.push("--", once ?? String(postBytes || depth));
  const { text, busy, busyUs } = await output(command);
  // A server that ends a connection without saying so in its answer causes an error of reading.
  const errors = once ? /Non-2xx|Socket errors: (?!connect 0, read \d+, write 0, timeout 0)/ : /Non-2xx|Socket errors/;
  if (errors.test(text)) throw new Error(`wrk saw errors:\n${text}`);
  const [, count, time] = /(\d+) requests in ([\d.]+)s/.exec(text)!;
  const percentile = (p: number): number => microseconds(new RegExp(`${p}%\\s+(\\S+)`).exec(text)![1]!);
  return {
    rate: Number(count) / Number(time),
    count: Number(count),
    p50Us: percentile(50),
    p99Us: percentile(99),
    loadBusy: busy,
    loadCpuUs: busyUs / Number(count),
  };
}

/**
 * Runs h2load over HTTP/1.1 with one thread, for whole seconds. It gives no percentiles. Throws
 * when an answer was not 2xx.
 */
export async function h2load(port: number, connections: number, seconds: number): Promise<LoadResult> {
  const url = `http://127.0.0.1:${port}/`;
  const command = ["h2load", "--h1", "-t1", `-c${connections}`, `-D${Math.ceil(seconds)}`, url];
  const { text, busy, busyUs } = await output(command);
  const number = (pattern: RegExp): number => Number(pattern.exec(text)![1]);
  const count = number(/status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx/);
  if (number(/(\d+) failed/) + number(/(\d+) errored/) > 0) throw new Error(`h2load saw errors:\n${text}`);
  const none = Number.NaN;
  return {
    rate: number(/, ([\d.]+) req\/s/),
    count,
    p50Us: none,
    p99Us: none,
    loadBusy: busy,
    loadCpuUs: busyUs / count,
  };
}

/** A request of limit/load.c. */
export interface LoadRequest {
  service: "echo" | "udp" | "http" | "ws" | "fan";
  bytes: number;
  path?: string;
  /** For fan: number of messages to each WebSocket for one sent message. */
  count?: number;
}

/**
 * Runs limit/load.c, on one processor if one is named. The loop is closed, or open with `rate`
 * messages a second. Throws when a byte was wrong or lost.
 */
export async function load(
  port: number,
  connections: number,
  seconds: number,
  { service, bytes, rate = 0, count: fanOut = 0, path = "/", cpu }: LoadRequest & { rate?: number; cpu?: number },
): Promise<LoadResult> {
  const numbers = [port, connections, seconds, bytes, fanOut || Math.round(rate)].map(String);
  const pinned = cpu === undefined ? [] : ["taskset", "-c", String(cpu)];
  const { text, busy, busyUs } = await output([...pinned, await compile("load"), service, ...numbers, path]);
  const result = JSON.parse(text) as Record<
    "messages" | "warm_up_messages" | "seconds" | "p50_us" | "p99_us" | "p999_us",
    number
  >;
  const count = result.messages + result.warm_up_messages;
  return {
    rate: result.messages / result.seconds,
    count,
    p50Us: result.p50_us,
    p99Us: result.p99_us,
    p999Us: result.p999_us,
    loadBusy: busy,
    loadCpuUs: busyUs / count,
  };
}

/** Compiles a program of bench/limit unless it is up to date. Returns its path. */
export async function compile(name: string): Promise<string> {
  const source = join(import.meta.dir, "../limit", `${name}.c`);
  const program = join(build, name);
  const changed = Math.max(...[source, join(source, "../server.h")].map((file) => statSync(file).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > changed) return program;
  mkdirSync(build, { recursive: true });
  await output(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-luring", "-lpthread", "-lrt"]);
  return program;
}
