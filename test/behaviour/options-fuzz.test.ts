/**
 * Every value of an option works, or is refused with an error that names the option, and nothing is
 * left open: fixtures/options-fuzz.ts. `npm run fuzz:options` runs the same for longer.
 */
import { expect, test } from "bun:test";
import { fixture, Program } from "./process.ts";
import { isBun } from "./subject.ts";

const SEED = Number(process.env.RINGLOOP_TEST_SEED ?? 20260101);
const CALLS = 5000;

test.skipIf(isBun)(`odd options work, or are refused by name, and leave nothing behind (seed ${SEED})`, async () => {
  await using program = new Program([process.execPath, fixture("options-fuzz.ts"), `${SEED}`, `${CALLS}`]);
  const { tried, wrong, left } = await program.line();
  expect(wrong).toEqual([]);
  expect(left).toEqual({ slots: 0, sendBytes: 0, receiveBuffersMissing: 0, descriptors: 0 });
  expect(await program.exited).toBe(0);
  for (const name of ["serve", "listen", "connect", "udpSocket", "Reactor", "Ring", "read", "open"])
    expect(tried[name]).toEqual({ worked: expect.any(Number), refused: expect.any(Number) });
});
