/**
 * The command line of the checks with random operations:
 * `--operations N --seed S --mode defer|sqpoll|both`. Each mode runs in its own process, because a
 * thread has one reactor.
 */
import { parseArgs } from "node:util";

const OPERATIONS_DEFAULT = "1000000";
const OPERATIONS_MAX = 1e9;
const SEED_MAX = 2 ** 31 - 1;
const modesOf: Record<string, string[]> = { defer: ["defer"], sqpoll: ["sqpoll"], both: ["defer", "sqpoll"] };

/**
 * Runs `program SEED OPERATIONS` in each mode, and ends this process: with 1 after a violation,
 * with 2 for a wrong option.
 */
export async function runInModes(script: string, program: string): Promise<never> {
  const fail = (message: string): never => {
    console.error(
      `${message}\nusage: npm run ${script} -- [--operations ${OPERATIONS_DEFAULT}] [--seed 1] [--mode defer|sqpoll|both]`,
    );
    process.exit(2);
  };
  const integer = (name: string, text: string, least: number, most: number): number => {
    const value = Number(text);
    if (text === "" || !Number.isInteger(value) || value < least || value > most)
      fail(`--${name} must be an integer from ${least} to ${most}, not ${text}`);
    return value;
  };
  const { values } = parseArgs({
    options: {
      operations: { type: "string", default: OPERATIONS_DEFAULT },
      seed: { type: "string", default: String(Date.now() % SEED_MAX) },
      mode: { type: "string", default: "both" },
    },
  });
  const operations = integer("operations", values.operations, 1, OPERATIONS_MAX);
  const seed = integer("seed", values.seed, 0, SEED_MAX);
  const modes = modesOf[values.mode] ?? fail(`--mode must be defer, sqpoll or both, not ${values.mode}`);
  let failed = false;
  for (const mode of modes) {
    console.log(`${script}: ${operations} operations in ${mode} from seed ${seed}`);
    const env = { ...process.env, RINGLOOP_TEST_SUBJECT: mode };
    // The child ends together with this process, for example when a test ends this process.
    const child = Bun.spawn(["setpriv", "--pdeathsig", "KILL", process.execPath, program, `${seed}`, `${operations}`], {
      env,
      stdio: ["ignore", "inherit", "inherit"],
    });
    const exitCode = await child.exited;
    if (exitCode === 0) continue;
    failed = true;
    console.log(`repeat it: npm run ${script} -- --operations ${operations} --seed ${seed} --mode ${mode}`);
  }
  process.exit(failed ? 1 : 0);
}
