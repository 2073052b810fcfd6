/** Runs of fixtures/simulation.ts, each with a seed of its own, and what must hold in each. */
import { fixture, Program } from "./process.ts";

/** `rate` of RINGLOOP_FAULTS, with what stands behind it; `ring`: options of the reactor. */
export interface Conditions {
  mode: string;
  seed: number;
  rate: string;
  ring?: object;
  connections: number;
  /** The simulation reports by then, wherever it is. Default: at its end. */
  limitMs?: number;
}

/** What the fixture says. */
export interface Simulation {
  faults: Record<string, number>;
  answers: number;
  echoed: number;
  /** Connections that broke. */
  broken: number;
  wrong: string[];
  overflows: number;
  staleCompletions: number;
  /** At its end. */
  left?: { slots: number; operations: number; sendBytes: number; receiveBuffersMissing: number; descriptors: number };
  /** What was before its end. */
  ended?: { name: string; syscall?: string; message?: string; readAfter?: number; stack?: string };
}

/** How long one may take, on a machine that does other things as well. */
const HANG_MS = 60_000;

/** Throws an Error when it crashes or hangs. */
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

/** A wild kernel's errors may also be those of a listener that nobody can accept from, or of a descriptor that is gone. */
function isClear({ name, syscall, message = "" }: NonNullable<Simulation["ended"]>, isWild: boolean): boolean {
  if (name === "RingIntegrityError") return true;
  return isWild && (name === "limit" || syscall !== undefined || message.startsWith("ringloop: "));
}

/** What must not be so: wrong bytes or answers, a leak, another end than that of the conditions. */
export function violations({ rate }: Conditions, simulation: Simulation): string[] {
  const { wrong, ended, left, broken, staleCompletions, faults } = simulation;
  const found: string[] = [];
  const isWild = rate.includes("wild");
  const isLying = isWild || rate.includes("lies");
  if (ended !== undefined && !(isLying && isClear(ended, isWild)))
    found.push(`it ended with ${ended.stack ?? ended.name}`);
  if (ended?.readAfter) found.push(`${ended.readAfter} completions were dispatched after the fatal error`);
  // Some of what a wild kernel says could be true.
  if (isWild) return found;
  found.push(...wrong);
  if (ended !== undefined) return found;
  for (const [what, count] of Object.entries(left!)) if (count !== 0) found.push(`${count} ${what} left`);
  if (!rate.includes("fatal") && broken > 0) found.push(`${broken} connections broke`);
  if (!isLying && staleCompletions !== (faults.stale ?? 0))
    found.push(`${staleCompletions} stale completions were counted of ${faults.stale ?? 0}`);
  return found;
}
