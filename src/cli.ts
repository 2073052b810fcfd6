#!/usr/bin/env bun
/**
 * The command `ringloop`.
 *
 * `ringloop doctor [--json]` shows what this machine has for ringloop, and what it lacks. It exits
 * with 0 if ringloop runs on the ring here, and with 1 if it would run on Bun's functions. It exits
 * with 2 for a wrong command or a wrong value of an environment variable.
 */
import { parseArgs } from "node:util";
import type { Check, Diagnosis } from "./doctor.ts";
import { parts } from "./loading.ts";
import { checkVariables } from "./sys/environment.ts";

const USAGE = "usage: ringloop doctor [--json]";
const HELP = `${USAGE}
       ringloop --help | --version

Says what this machine has for ringloop, what it lacks, and what to change.

  --json     as JSON
  --help     this text
  --version  the version of ringloop

Exits with 0 when ringloop runs here on the ring, with 1 when it would run on Bun's own functions, and with 2 for a wrong command or a wrong
value of RINGLOOP, RINGLOOP_MODE or RINGLOOP_LOG.`;

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

async function main(args: string[]): Promise<number> {
  const flag = { type: "boolean", default: false } as const;
  let values: { json: boolean; help: boolean; version: boolean };
  let command: string[];
  try {
    const options = { json: flag, help: { ...flag, short: "h" }, version: { ...flag, short: "v" } };
    ({ values, positionals: command } = parseArgs({ args, allowPositionals: true, options }));
  } catch (error) {
    console.error(`ringloop: ${(error as Error).message}\n${USAGE}`);
    return 2;
  }
  if (values.help || values.version) {
    console.log(values.help ? HELP : parts().doctor().packageVersion());
    return 0;
  }
  if (command.length !== 1 || command[0] !== "doctor") {
    console.error(USAGE);
    return 2;
  }
  try {
    checkVariables();
  } catch (error) {
    console.error(`ringloop: ${(error as Error).message}`);
    return 2;
  }
  const diagnosis = await parts().doctor().diagnose();
  if (values.json) console.log(JSON.stringify(diagnosis, null, 2));
  else print(diagnosis);
  return diagnosis.runs ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
