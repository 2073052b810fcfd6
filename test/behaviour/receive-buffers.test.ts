/** The receive buffers of a thread, which all its connections share. */
import { describe, expect, test } from "bun:test";
import { fixture, run } from "./process.ts";
import { subject } from "./subject.ts";

async function fastSenders(clients: number, ring: object): Promise<{ least: number; before: number; after: number }> {
  const program = [process.execPath, fixture("fast-senders.ts"), String(clients)];
  const { stdout } = await run(program, "", { RINGLOOP_TEST_RING: JSON.stringify(ring) });
  return JSON.parse(stdout);
}

/** 64 KiB each. The SQ thread fills some while the program reads others. */
const LARGE_BUFFERS = 64;

describe("clients that send as fast as they can", () => {
  test("all get on, even if there are fewer buffers than clients", async () => {
    expect((await fastSenders(6, { receiveBuffersMax: 2 })).least).toBeGreaterThanOrEqual(8_000_000);
  });

  test.skipIf(subject !== "sqpoll")(
    "take a few large buffers of an SQ thread, and no more if they are few",
    async () => {
      const { before, after } = await fastSenders(1, {});
      expect(after - before).toBe(LARGE_BUFFERS);
    },
  );

  test.skipIf(subject !== "sqpoll")("take more buffers of an SQ thread, if they are many", async () => {
    const { before, after } = await fastSenders(12, {});
    expect(after - before).toBeGreaterThan(LARGE_BUFFERS);
  });

  test.skipIf(subject !== "defer")("take few buffers without an SQ thread", async () => {
    const { before, after } = await fastSenders(12, {});
    expect(after).toBeLessThanOrEqual(before * 4);
  });
});
