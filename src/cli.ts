#!/usr/bin/env bun
/**
 * The command `ringloop`.
 *
 * `ringloop doctor [--json]` shows what this machine has for ringloop, and what it lacks. It exits
 * with 0 if ringloop runs on the ring here, and with 1 if it would run on Bun's functions. It exits
 * with 2 for a wrong command or a wrong value of an environment variable.
 *
 * `ringloop top [SOCKET]` shows the metrics of a running process (top.ts).
 */
import { parseArgs } from "node:util";
import type { Check, Diagnosis } from "./doctor.ts";
import { parts } from "./loading.ts";
import { checkVariables } from "./sys/environment.ts";

const USAGE = `usage: ringloop doctor [--json]
       ringloop top [SOCKET] [--once] [--json] [--interval SECONDS]`;
const HELP = `${USAGE}
       ringloop --help | --version

doctor says what this machine has for ringloop, what it lacks, and what to change. It exits with 0 when ringloop runs here on the ring, and with 1
when it would run on Bun's own functions.

top shows the metrics of a running process, with rates per second, until the process ends or ctrl-c. The process must allow it: it starts with
RINGLOOP_METRICS=SOCKET, or it calls exposeMetrics({ unix: "SOCKET" }) of ringloop/metrics. Without SOCKET, top takes RINGLOOP_METRICS. It exits
with 0, or with 1 when no process shows its metrics there.

  --json      as JSON; top prints one line for each look
  --once      top looks twice, one interval apart, and prints once
  --interval  seconds between two looks of top, from 0.05 to 3600; 1 by default
  --help      this text
  --version   the version of ringloop

Both exit with 2 for a wrong command, or a wrong value of RINGLOOP, RINGLOOP_MODE or RINGLOOP_LOG.`;

const signs: Record<Check["state"], string> = { good: "ok", less: "less", lacking: "LACKING", unknown: "?" };

function printTable(checks: readonly Check[]): void {
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const signWidth = Math.max(...Object.values(signs).map((sign) => sign.length));
  for (const { name, value, state, advice } of checks) {
    console.log(`${signs[state].padEnd(signWidth)}  ${name.padEnd(nameWidth)}  ${value}`);
    if (advice !== undefined) console.log(`${" ".repeat(signWidth + nameWidth + 4)}-> ${advice}`);
  }
}

function print({ runs, mode, reason, checks }: Diagnosis): void {
  printTable(checks);
  console.log(
    runs
      ? `\nringloop runs here, in mode ${mode}.`
      : `\nringloop does not run here (${reason}): programs run on Bun's own functions, with one warning.`,
  );
}

interface Values {
  json: boolean;
  help: boolean;
  version: boolean;
  once: boolean;
  interval?: string | undefined;
}

function wrong(what: string): number {
  console.error(`ringloop: ${what}\n${USAGE}`);
  return 2;
}

async function top(given: string[], { json, once, interval = "1" }: Values): Promise<number> {
  const seconds = Number(interval);
  if (!(seconds >= 0.05 && seconds <= 3600))
    return wrong(`--interval must be from 0.05 to 3600 seconds, not ${interval}`);
  if (given.length > 1) return wrong(`top takes one socket, not ${given.length}`);
  const unix = given[0] ?? process.env.RINGLOOP_METRICS;
  if (!unix) return wrong("top needs the path of a process's socket, or RINGLOOP_METRICS");
  if (unix.includes("%p")) return wrong(`top needs the path with the number of a process in place of %p, not ${unix}`);
  return await parts()
    .top()
    .top({ unix, intervalMs: seconds * 1000, once, json });
}

async function main(args: string[]): Promise<number> {
  const flag = { type: "boolean", default: false } as const;
  let values: Values;
  let command: string[];
  try {
    const options = {
      json: flag,
      help: { ...flag, short: "h" },
      version: { ...flag, short: "v" },
      once: flag,
      interval: { type: "string" },
    } as const;
    ({ values, positionals: command } = parseArgs({ args, allowPositionals: true, options }));
  } catch (error) {
    return wrong((error as Error).message);
  }
  if (values.help || values.version) {
    console.log(values.help ? HELP : parts().doctor().packageVersion());
    return 0;
  }
  const isTop = command[0] === "top";
  const isForTop = values.once || values.interval !== undefined;
  if (!isTop && (command.length !== 1 || command[0] !== "doctor" || isForTop)) {
    console.error(USAGE);
    return 2;
  }
  try {
    checkVariables();
  } catch (error) {
    console.error(`ringloop: ${(error as Error).message}`);
    return 2;
  }
  if (isTop) return await top(command.slice(1), values);
  const diagnosis = await parts().doctor().diagnose();
  if (values.json) console.log(JSON.stringify(diagnosis, null, 2));
  else print(diagnosis);
  return diagnosis.runs ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
