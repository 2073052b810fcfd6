/**
 * `bun descriptors.ts SEED OPERATIONS`, in the mode of RINGLOOP_TEST_SUBJECT: files and sockets
 * that end during their operations. See ../fuzz-descriptors.ts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Campaign, type Refusal } from "./campaign.ts";
import { fileLives } from "./descriptor-files.ts";
import { socketLives } from "./descriptor-sockets.ts";
import { code, says } from "./refusals.ts";

/** The allowed errors. */
const refusals: Refusal[] = [
  { name: "AbortError", matches: (error) => error.name === "AbortError" },
  says(
    "a stream socket that is closed",
    "Error",
    /^the socket (is closed for writing|was closed before everything was sent)$/,
  ),
  ...["EBADF", "ETIMEDOUT", "ECANCELED", "ECONNRESET", "EPIPE", "ENOTCONN"].map(code),
];

const campaign = new Campaign(refusals);
const directory = mkdtempSync(join(tmpdir(), "ringloop-fuzz-descriptors-"));
const sockets = await socketLives(directory);
const lives = Object.entries({ ...fileLives(directory), ...sockets.lives });

await campaign.run({
  warmUp() {},
  async attempt(step) {
    const [name, life] = step.pick(lives);
    step.count("lives", name);
    step.what = name;
    await life(step);
  },
  async close() {
    await sockets.close();
    rmSync(directory, { recursive: true });
  },
});
