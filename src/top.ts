/**
 * `ringloop top`: shows the metrics of a running process, with rates per second between two looks.
 * The process must allow it: by the variable RINGLOOP_METRICS, or by a call of `exposeMetrics`.
 */
import { lstatSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import type { Report } from "./metrics/endpoint.ts";
import { rateOf, type Rates, screenOf } from "./top-screen.ts";

export interface TopOptions {
  /** Path of the process's Unix socket. */
  unix: string;
  intervalMs: number;
  once: boolean;
  json: boolean;
}

interface Shown {
  pid: number;
  program: string;
  /** Seconds between the two looks. */
  seconds: number;
  metrics: Record<string, number>;
  /** Growth per second of each counter. */
  rates: Rates;
}

/** Milliseconds that a process may take to answer. Longer means that its event loop is blocked. */
const ANSWER_MS_MAX = 5000;
/** Milliseconds that a process without its socket may take to end, and between two looks at it. */
const END_MS_MAX = 1000;
const END_LOOK_MS = 10;
const ENTER_SCREEN = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN = "\x1b[?25h\x1b[?1049l";

/**
 * Runs until the process ends, until SIGINT or SIGTERM, or until nobody reads stdout. Returns the exit code: 0, or 1 if there
 * is no process to show, or if it does not answer any more though it runs.
 */
export async function top(options: TopOptions): Promise<number> {
  const { unix, intervalMs, once, json } = options;
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  process.stdout.once("error", end); // EPIPE: nobody reads any more, as in `ringloop top | head`.
  let last: { report: Report; atMs: number };
  try {
    last = await look(unix, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return 0;
    console.error(`ringloop: ${(error as Error).message}`);
    return 1;
  }
  const isScreen = process.stdout.isTTY && !json && !once;
  if (isScreen) await write(ENTER_SCREEN);
  let failure: unknown;
  try {
    while (!stop.signal.aborted) {
      await setTimeout(intervalMs, undefined, { signal: stop.signal });
      const next = await look(unix, stop.signal);
      const isSame = next.report.startedMs === last.report.startedMs && next.report.pid === last.report.pid;
      // After a restart at the same path, the counters begin anew.
      if (isSame) {
        await write(textOf(shownOf(last, next), json, isScreen, once));
        if (once) break;
      }
      last = next;
    }
  } catch (error) {
    failure = error; // If the signal is aborted, it is an AbortError.
  } finally {
    if (isScreen) await write(LEAVE_SCREEN);
  }
  if (failure === undefined || stop.signal.aborted) return 0;
  const { pid } = last.report;
  const isRunning = !(await ends(pid));
  console.error(`ringloop: ${isRunning ? (failure as Error).message : `process ${pid} has ended`}`);
  return isRunning || once ? 1 : 0;
}

/** Returns whether a process has ended, or ends soon: its socket goes a little before it. */
async function ends(pid: number): Promise<boolean> {
  for (const end = performance.now() + END_MS_MAX; runs(pid); await Bun.sleep(END_LOOK_MS))
    if (performance.now() >= end) return false;
  return true;
}

/** Returns whether a process runs. One that waits for its parent (state Z of proc(5)) does not. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

async function look(unix: string, signal: AbortSignal): Promise<{ report: Report; atMs: number }> {
  requireSocket(unix);
  let response: Response;
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
    response = await fetch("http://localhost/json", { unix, keepalive: false, signal: limited });
  } catch (error) {
    throw new Error(reasonOf(unix, error as NodeJS.ErrnoException), { cause: error });
  }
  const report = response.ok ? ((await response.json().catch(() => undefined)) as Report | undefined) : undefined;
  if (typeof report?.metrics !== "object")
    throw new Error(`what listens at ${unix} is not the metrics of a process with ringloop`);
  return { report, atMs: performance.now() };
}

function requireSocket(unix: string): void {
  try {
    if (lstatSync(unix).isSocket()) return;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      code === "ENOENT" ? `no process shows its metrics at ${unix}. ${howToAllow(unix)}` : (error as Error).message,
      { cause: error },
    );
  }
  throw new Error(`${unix} is not a socket. ${howToAllow(unix)}`);
}

function reasonOf(unix: string, { name, code }: NodeJS.ErrnoException): string {
  if (name === "TimeoutError")
    return `the process at ${unix} did not answer for ${ANSWER_MS_MAX / 1000} s: it is blocked`;
  if (code === "EACCES" || code === "EPERM") return `${unix} belongs to another user`;
  return `the process that has made ${unix} has ended. ${howToAllow(unix)}`;
}

function howToAllow(unix: string): string {
  return (
    `A process allows it if it starts with RINGLOOP_METRICS=${unix}, ` +
    `or if it calls exposeMetrics({ unix: ${JSON.stringify(unix)} }) of ringloop/metrics`
  );
}

function shownOf(last: { report: Report; atMs: number }, next: { report: Report; atMs: number }): Shown {
  const seconds = (next.atMs - last.atMs) / 1000;
  const { pid, program, metrics } = next.report;
  return { pid, program, seconds, metrics, rates: rateOf(last.report.metrics, metrics, seconds) };
}

/** Resolves when the text has left. The command exits at once afterwards. */
function write(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}

function textOf(shown: Shown, json: boolean, isScreen: boolean, once: boolean): string {
  if (json) return `${JSON.stringify(shown, null, once ? 2 : 0)}\n`;
  const title = `ringloop top: process ${shown.pid}, ${shown.program}`;
  const lines = [title, "", ...screenOf(shown.metrics, shown.rates)];
  if (!isScreen) return `${lines.join("\n")}\n${once ? "" : "\n"}`;
  const { rows, columns } = process.stdout; // 0 for a terminal that does not tell its size.
  const visible = lines.slice(0, rows || Infinity).map((line) => line.slice(0, columns || Infinity));
  // Each line is cleared to its end, and the screen below the last one, so nothing flickers.
  return `\x1b[H${visible.map((line) => `${line}\x1b[K`).join("\n")}\x1b[J`;
}
