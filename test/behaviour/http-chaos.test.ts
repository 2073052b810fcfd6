/**
 * Many connections that do everything at once: each answer must be that of its own request, and afterwards nothing is left. The seed is in the
 * test's name; another: RINGLOOP_TEST_SEED.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { live, startChaosServer } from "./chaos.ts";
import { fixture, Program } from "./process.ts";
import { quietly } from "./quietly.ts";
import { isBun, reactorStats, settled, subject } from "./subject.ts";

const SEED = Number(process.env.RINGLOOP_TEST_SEED ?? 20260101);
const CONNECTIONS = 1500;
const AT_ONCE = 60;

test(`answers go to who asked, whatever the others do (seed ${SEED})`, async () => {
  const before = isBun ? undefined : reactorStats();
  const directory = mkdtempSync(join(tmpdir(), "ringloop-chaos-"));
  try {
    await quietly(async () => {
      const server = startChaosServer(directory);
      let next = 0;
      let seen = 0;
      const worker = async (): Promise<void> => {
        while (next < CONNECTIONS) {
          const name = next++;
          const answers = await live(server.port, SEED + name, name);
          seen += answers;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      expect(seen).toBeGreaterThan(CONNECTIONS);
      await server.stop(true);
      expect(server.pendingRequests).toBe(0);
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  if (!before) return;
  await settled(before.slotsInUse);
  const after = reactorStats();
  expect([after.sendBytesInUse, after.staleCompletions]).toEqual([before.sendBytesInUse, before.staleCompletions]);
}, 60_000);

/** What fixtures/simulation.ts says. */
interface Simulation {
  faults: Record<string, number>;
  answers: number;
  echoed: number;
  broken: number;
  wrong: string[];
  overflows: number;
  left: { slots: number; operations: number; sendBytes: number; receiveBuffersMissing: number; descriptors: number };
}

/** `rate` is of RINGLOOP_FAULTS; `ring` are options of the reactor. */
async function simulate(seed: number, rate: string, ring: object = {}): Promise<Simulation> {
  const variables = {
    RINGLOOP_FAULTS: `seed=${seed},rate=${rate}`,
    RINGLOOP_TEST_SUBJECT: subject,
    RINGLOOP_TEST_RING: JSON.stringify(ring),
  };
  await using program = new Program([process.execPath, fixture("simulation.ts"), "600"], variables);
  const result = (await program.line()) as Simulation;
  expect(await program.exited).toBe(0);
  expect(result.wrong).toEqual([]);
  expect(result.answers).toBeGreaterThan(500);
  expect(result.echoed).toBeGreaterThan(2_000_000);
  expect(result.left).toEqual({ slots: 0, operations: 0, sendBytes: 0, receiveBuffersMissing: 0, descriptors: 0 });
  return result;
}

// What breaks on purpose is in src/reactor/faults.ts. `bun test/behaviour/fixtures/simulation.ts` under the same variables runs one alone.
describe.skipIf(isBun)("nothing is lost, mixed up or leaked", () => {
  test("while operations fail, fall short, end early and come late", async () => {
    const { broken, faults } = await simulate(SEED, "0.3");
    expect(broken).toBe(0);
    expect(Object.values(faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(1500);
  }, 30_000);

  test("while connections break, too", async () => {
    const { broken, faults } = await simulate(SEED, "0.1,fatal");
    expect(broken).toBeGreaterThan(0);
    expect(faults).toMatchObject({ ECONNRESET: expect.any(Number), short: expect.any(Number) });
  }, 30_000);

  test("while the queues are far too small", async () => {
    const { broken, overflows } = await simulate(SEED, "0", { sqEntries: 2, cqEntries: 4 });
    expect(broken).toBe(0);
    expect(overflows).toBeGreaterThan(0);
  }, 30_000);
});
