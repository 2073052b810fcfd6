/**
 * Random reads of 4 KiB, `depth` at once, each awaited: `bun|node random-reads.mjs <subject> <file>
 * <seconds> <depth> <direct|cached>`.
 *
 * Subjects: `promises` is node:fs/promises of the runtime, `defer` and `sqpoll` are ringloop/fs in
 * that mode. The file is plain JavaScript, because Node runs it, too. Every block of the file
 * begins with its number, and each read checks it. Latency is measured for each sixteenth read, so
 * the clock costs nothing. Prints one line of JSON.
 */
import { constants, readdirSync, readFileSync } from "node:fs";

const BLOCK_BYTES = 4096;
const WARM_UP_MS = 300;
const READS_PER_CLOCK = 16;

const [subject, path, seconds, depth, access] = process.argv.slice(2);
const direct = access === "direct";
if (subject !== "promises") process.env.RINGLOOP_MODE = subject;
const { open } = await import(subject === "promises" ? "node:fs/promises" : "../../src/fs/index.ts");

const file =
  subject === "promises"
    ? await open(path, constants.O_RDONLY | (direct ? constants.O_DIRECT : 0))
    : await open(path, "r", { direct });
const blocks = (await file.stat()).size / BLOCK_BYTES;

/**
 * Returns a buffer, and the place in it for a block. With O_DIRECT, node:fs needs aligned memory;
 * the aligned place is found by trying.
 */
async function aligned() {
  const buffer = Buffer.alloc(1 << 20);
  for (let offset = 0; offset < BLOCK_BYTES; offset += 16) {
    try {
      await file.read(buffer, offset, BLOCK_BYTES, 0);
      return { buffer, offset };
    } catch (error) {
      if (error.code !== "EINVAL") throw error;
    }
  }
  throw new Error("no place in a buffer is aligned");
}

/**
 * Returns the CPU time of all threads in nanoseconds, with kernel threads that work for this
 * process.
 */
function cpuNs() {
  let sum = 0;
  for (const thread of readdirSync("/proc/self/task")) {
    try {
      sum += Number(readFileSync(`/proc/self/task/${thread}/schedstat`, "latin1").split(" ")[0]);
    } catch {
      // The thread has just ended.
    }
  }
  return sum;
}

/** Latencies of reads in milliseconds. */
const latencies = [];

async function readUntil(endMs, { buffer, offset }) {
  let count = 0;
  let startMs;
  while ((startMs = performance.now()) < endMs) {
    for (let i = 0; i < READS_PER_CLOCK; i++) {
      const block = (Math.random() * blocks) | 0;
      const { bytesRead } = await file.read(buffer, offset, BLOCK_BYTES, block * BLOCK_BYTES);
      if (bytesRead !== BLOCK_BYTES || buffer.readUInt32LE(offset) !== block)
        throw new Error(`block ${block} was read wrongly`);
      if (i === 0) latencies.push(performance.now() - startMs);
    }
    count += READS_PER_CLOCK;
  }
  return count;
}

const places = [];
for (let i = 0; i < Number(depth); i++) places.push(await aligned());
const run = async (ms) => {
  const end = performance.now() + ms;
  const counts = await Promise.all(places.map((place) => readUntil(end, place)));
  return counts.reduce((sum, count) => sum + count, 0);
};

await run(WARM_UP_MS);
latencies.length = 0;
const startNs = cpuNs();
const startMs = performance.now();
const count = await run(Number(seconds) * 1000);
const elapsedMs = performance.now() - startMs;
const spentNs = cpuNs() - startNs;
latencies.sort((a, b) => a - b);
const percentileUs = (p) => latencies[Math.floor(latencies.length * p)] * 1000;
console.log(
  JSON.stringify({
    rate: (count / elapsedMs) * 1000,
    cpuUs: spentNs / 1000 / count,
    p50Us: percentileUs(0.5),
    p99Us: percentileUs(0.99),
  }),
);
await file.close();
