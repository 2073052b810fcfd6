/**
 * Many connections do everything at once. Each answer must belong to its own request, and
 * afterwards no resource is left. The name of the test has the seed. RINGLOOP_TEST_SEED sets
 * another one.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { live, startChaosServer } from "./chaos.ts";
import { startNodeChaosServer } from "./node-chaos.ts";
import { quietly } from "./quietly.ts";
import { simulate, type Simulation, violations } from "./simulated.ts";
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
      const wrong: string[] = [];
      const node = await startNodeChaosServer(directory, (what) => wrong.push(what));
      let next = 0;
      let seen = 0;
      const worker = async (): Promise<void> => {
        while (next < CONNECTIONS) {
          const name = next++;
          const isNode = name % 2 === 1;
          const answers = await live((isNode ? node : server).port, SEED + name, name, isNode);
          seen += answers;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      expect(seen).toBeGreaterThan(CONNECTIONS);
      await server.stop(true);
      expect(server.pendingRequests).toBe(0);
      await node[Symbol.asyncDispose]();
      expect(wrong).toEqual([]);
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  if (!before) return;
  await settled(before.slotsInUse);
  const after = reactorStats();
  expect([after.sendBytesInUse, after.staleCompletions]).toEqual([before.sendBytesInUse, before.staleCompletions]);
});

/** Runs `simulate`, and expects enough events of every kind and no violation. */
async function simulated(seed: number, rate: string, ring: object = {}): Promise<Simulation> {
  const conditions = { mode: subject, seed, rate, ring, connections: 600 };
  const simulation = await simulate(conditions);
  expect(violations(conditions, simulation)).toEqual([]);
  expect(simulation.answers).toBeGreaterThan(500);
  expect(simulation.echoed).toBeGreaterThan(2_000_000);
  return simulation;
}

// src/reactor/faults/faults.ts makes the faults. With the same variables,
// `bun test/behaviour/fixtures/simulation.ts` runs a single simulation.
describe.skipIf(isBun)("nothing is lost, mixed up or leaked", () => {
  test("while operations fail, fall short, end early and come late", async () => {
    const { faults } = await simulated(SEED, "0.3");
    expect(Object.values(faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(500);
  });

  test("while connections break, too", async () => {
    const { broken, faults } = await simulated(SEED, "0.1,fatal");
    expect(broken).toBeGreaterThan(0);
    expect(faults).toMatchObject({ ECONNRESET: expect.any(Number), short: expect.any(Number) });
  });

  test("while the queues are far too small, too", async () => {
    const { overflows } = await simulated(SEED, "0.05", { sqEntries: 2, cqEntries: 4 });
    expect(overflows).toBeGreaterThan(0);
  });

  test("while a reactor that sleeps is woken late, and for nothing", async () => {
    const conditions = { mode: subject, seed: SEED, rate: "0.6", ring: { sqThreadIdleMs: 1 }, connections: 20 };
    const simulation = await simulate(conditions);
    expect(violations(conditions, simulation)).toEqual([]);
    expect(simulation.faults).toMatchObject({
      "late wakeup": expect.any(Number),
      "spurious wakeup": expect.any(Number),
    });
  });
});
