/**
 * A kernel that lies about completions can stop a program. It cannot make the program read or write
 * wrong memory (an Iago attack). If a completion contradicts the process's own knowledge, it is
 * counted and dropped, or it ends the process with a RingIntegrityError. Before that, no handler
 * gets a byte.
 *
 * `npm run fuzz:completions` does the same for hours. A lie that could be true is not recognised;
 * see src/reactor/faults/lies.ts.
 */
import { describe, expect, test } from "bun:test";
import { fixture, Program } from "./process.ts";
import { simulate, violations } from "./simulated.ts";
import { isBun, subject } from "./subject.ts";

const SEED = Number(process.env.RINGLOOP_TEST_SEED ?? 20260101);

describe.skipIf(isBun)("a completion", () => {
  test("of what is not in flight is counted, dropped, and harms nobody", async () => {
    const conditions = { mode: subject, seed: SEED, rate: "0.4,stale", connections: 150 };
    const simulation = await simulate(conditions);
    expect(violations(conditions, simulation)).toEqual([]);
    expect(simulation.staleCompletions).toBeGreaterThan(200);
  });

  test(`that contradicts what is known ends the process before a wrong byte is read (seeds from ${SEED})`, async () => {
    const ends: string[] = [];
    for (let seed = SEED; seed < SEED + 6; seed++) {
      const conditions = { mode: subject, seed, rate: "0.3,lies", connections: 100 };
      const simulation = await simulate(conditions);
      expect([seed, violations(conditions, simulation)]).toEqual([seed, []]);
      if (simulation.ended) ends.push(simulation.ended.name);
    }
    expect(ends.length).toBeGreaterThan(2);
  });

  test(`of any kind at all crashes nothing (seeds from ${SEED})`, async () => {
    for (let seed = SEED; seed < SEED + 8; seed++) {
      const conditions = { mode: subject, seed, rate: "0.03,wild", connections: 100, limitMs: 500 };
      expect([seed, violations(conditions, await simulate(conditions))]).toEqual([seed, []]);
    }
  });
});

// These lies are about operations of the reactor. The tests above cover operations of connections.
describe.skipIf(isBun)("is fatal, and settles nothing:", () => {
  test.each([
    ["a read of more", "completion of read moves 11 of 10 bytes"],
    ["a vector of more", "completion of readv moves 11 of 10 bytes"],
    ["a write of more", "completion of write moves 8 of 7 bytes"],
    ["an attribute of more", "completion of getxattr moves 65537 of 65536 bytes"],
    ["a notification", "completion notifies of memory that was not lent"],
    ["more to come", "completion promises more of an operation that completes once"],
    ["a datagram without a buffer", "completion receives 144 bytes without a buffer"],
    [
      "a datagram in a buffer that is not there",
      expect.stringMatching(/^completion names buffer 1\d\d of group 1, which was not the kernel's to fill$/),
    ],
    ["a datagram beyond its buffer", expect.stringContaining("completion fills 2147483647 of 65580 bytes")],
  ])("%s", async (name, message) => {
    await using program = new Program([process.execPath, fixture("contradiction.ts"), name]);
    const said = await program.line();
    expect(said.afterwards).toBe(said.message);
    expect(said).toMatchObject({ name: "RingIntegrityError", message, outcome: "nothing", serves: false });
    expect(await program.exited).toBe(0);
  });
});
