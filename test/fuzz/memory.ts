/**
 * `bun memory.ts SEED OPERATIONS`, in the mode of RINGLOOP_TEST_SUBJECT: operations on user memory
 * that changes meanwhile. See ../fuzz-memory.ts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Campaign, type Refusal, type Step } from "./campaign.ts";
import { plantCanaries } from "./canary.ts";
import { fileArea } from "./memory-files.ts";
import { httpArea } from "./memory-http.ts";
import type { MemoryOperation } from "./memory-operation.ts";
import { reactorArea } from "./memory-reactor.ts";
import { socketArea } from "./memory-sockets.ts";
import { webSocketArea } from "./memory-websockets.ts";
import { code, says } from "./refusals.ts";
import { Changing, endGrower, randomMemory, Refused } from "./user-memory.ts";
import { Wires } from "./wires.ts";

const WEIGHT_DEFAULT = 10;

/** The allowed errors. */
const refusals: Refusal[] = [
  { name: "a call that was refused", matches: (error) => error instanceof Refused },
  says("memory that does not keep its bytes", "RangeError", /must keep its \d+ bytes until the operation is over/),
  says("a part that is not there", "RangeError", /must be from 0 to \d+|must lie within the \d+ bytes/),
  says("no memory any more", "TypeError", /^buffer must be a view with room/),
  says("more than one piece", "RangeError", /must be at most 1048576 bytes|at most 1048576 bytes in one piece/),
  says("a long control frame", "RangeError", /must not be greater than 125 bytes\. Received \d+ bytes/),
  says("a long attribute", "TypeError", /^value must be a Uint8Array of at most 65536 bytes/),
  ...["EMSGSIZE", "ENODATA", "ENOSPC", "E2BIG", "EINVAL", "EAGAIN", "ETIMEDOUT", "ECANCELED"].map(code),
];

const campaign = new Campaign(refusals);
const directory = mkdtempSync(join(tmpdir(), "ringloop-fuzz-memory-"));
plantCanaries();
const wires = await Wires.open();
const areas = [
  fileArea(directory),
  reactorArea(directory, wires),
  await socketArea(wires),
  httpArea(),
  await webSocketArea(),
];
/** The list of operations. Each is in it as often as its weight. */
const operations = areas
  .flatMap((area) => area.operations)
  .flatMap((operation) => Array.from({ length: operation.weight ?? WEIGHT_DEFAULT }, () => operation));

async function attempt(step: Step): Promise<void> {
  const operation: MemoryOperation = step.pick(operations);
  step.count("operations", operation.name);
  step.what = operation.name;
  const memory = randomMemory(step, operation.takes, operation.bytesMax);
  const changing = new Changing(step, memory);
  try {
    await operation.run(step, memory, changing);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  await changing.end();
}

await campaign.run({
  warmUp() {},
  attempt,
  async close() {
    for (const area of areas) await area.close();
    await wires.close();
    endGrower();
    rmSync(directory, { recursive: true });
  },
});
