/**
 * node:http on a Bun whose internals differ from the contract that the ring knows. Bun's own server
 * serves then, with a notice, and no client gets a wrong answer.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { fixture, run } from "./process.ts";
import { isBun } from "./subject.ts";

const preload = join(import.meta.dir, "../../src/register.ts");

async function serveWith(change: string): Promise<{ answers: unknown[]; stderr: string }> {
  const { stdout, stderr } = await run([process.execPath, "--preload", preload, fixture("node-contract.ts"), change]);
  const answers = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  return { answers, stderr };
}

const bunsOwn = { ring: false, text: "GET /path" };
const ring = { ring: true, text: "GET /path" };

describe.skipIf(isBun)("where another version of Bun has changed", () => {
  const changes = [
    "the order of arguments",
    "the number of arguments",
    "the bits",
    "a method of the response's handle",
    "a method of the request's handle",
    "what a socket knows",
    "the version",
  ];
  for (const change of changes)
    test.concurrent(`${change}, node:http runs on Bun's own, with one notice`, async () => {
      const { answers, stderr } = await serveWith(change);
      expect(answers).toEqual([bunsOwn, bunsOwn]);
      expect(stderr).toMatch(/^ringloop: node:http runs on Bun's own, because [^\n]*\n$/);
    });

  test.concurrent("nothing, the ring serves it without a word", async () => {
    const { answers, stderr } = await serveWith("nothing");
    expect({ answers, stderr }).toEqual({ answers: [ring, ring], stderr: "" });
  });
});
