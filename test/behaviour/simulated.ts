/** Runs fixtures/simulation.ts, each time with another seed, and checks the results. */
import { fixture, Program } from "./process.ts";

/** `rate`: the rate in RINGLOOP_FAULTS and the words after it. `ring`: options of the reactor. */
export interface Conditions {
  mode: string;
  seed: number;
  rate: string;
  ring?: object;
  connections: number;
  /** Time after which the simulation reports, even if it has not ended. Default: no limit. */
  limitMs?: number;
}

/** The report of the fixture. */
export interface Simulation {
  faults: Record<string, number>;
  answers: number;
  echoed: number;
  /** Number of connections that broke. */
  broken: number;
  wrong: string[];
  overflows: number;
  staleCompletions: number;
  /** Resources that are left at the end. */
  left?: { slots: number; operations: number; sendBytes: number; receiveBuffersMissing: number; descriptors: number };
  /** The error that ended the simulation early. */
  ended?: { name: string; syscall?: string; message?: string; readAfter?: number; stack?: string };
}

/** Largest duration of a simulation, also on a busy machine. */
const HANG_MS = 110_000;

/** Runs one simulation. Throws an Error if it crashes or hangs. */
export async function simulate({
  mode,
  seed,
  rate,
  ring = {},
  connections,
  limitMs = 0,
}: Conditions): Promise<Simulation> {
  await using program = new Program([process.execPath, fixture("simulation.ts"), `${connections}`, `${limitMs}`], {
    RINGLOOP_FAULTS: `seed=${seed},rate=${rate}`,
    RINGLOOP_TEST_SUBJECT: mode,
    RINGLOOP_TEST_RING: JSON.stringify(ring),
  });
  let hangs = false;
  const timer = setTimeout(() => {
    hangs = true;
    void program.stop("SIGKILL");
  }, HANG_MS);
  try {
    const simulation = (await program.line()) as Simulation;
    const exitCode = await program.exited;
    if (exitCode !== 0) throw new Error(`the simulation reported, and then ended with ${exitCode}`);
    return simulation;
  } catch (error) {
    throw hangs ? new Error(`the simulation hung for ${HANG_MS / 1000} s`) : error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Whether the conditions allow the error that ended the simulation. With a wild kernel a listener
 * may also fail to accept, or a descriptor may be closed.
 */
function isClear({ name, syscall, message = "" }: NonNullable<Simulation["ended"]>, isWild: boolean): boolean {
  if (name === "RingIntegrityError") return true;
  return isWild && (name === "limit" || syscall !== undefined || message.startsWith("ringloop: "));
}

/**
 * Returns the violations: wrong bytes or answers, a leak, an end that the conditions do not allow.
 */
export function violations({ rate }: Conditions, simulation: Simulation): string[] {
  const { wrong, ended, left, broken, staleCompletions, faults } = simulation;
  const found: string[] = [];
  const isWild = rate.includes("wild");
  const isLying = isWild || rate.includes("lies");
  if (ended !== undefined && !(isLying && isClear(ended, isWild)))
    found.push(`it ended with ${ended.stack ?? ended.name}`);
  if (ended?.readAfter) found.push(`${ended.readAfter} completions were dispatched after the fatal error`);
  // A lie of a wild kernel can look like a true answer, so the other checks do not apply.
  if (isWild) return found;
  found.push(...wrong);
  if (ended !== undefined) return found;
  for (const [what, count] of Object.entries(left!)) if (count !== 0) found.push(`${count} ${what} left`);
  if (!rate.includes("fatal") && broken > 0) found.push(`${broken} connections broke`);
  if (!isLying && staleCompletions !== (faults.stale ?? 0))
    found.push(`${staleCompletions} stale completions were counted of ${faults.stale ?? 0}`);
  return found;
}
