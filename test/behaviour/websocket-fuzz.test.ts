/** A server that receives random and mutated frames lives on, leaks nothing, and serves others. */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { deflateRawSync } from "node:zlib";
import { randomFrames } from "../oracle/websocket-fuzzer.ts";
import { SeededRandom } from "../unit/seeded-random.ts";
import { frame, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

/**
 * Returns the number of live bytes of the heap. Resident memory includes garbage, which is
 * collected late on a busy machine.
 */
function kept(): number {
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}

const FUZZ_MS = 4000;
const TOGETHER = 16;

test("random frames, compressed ones among them, do no harm", async () => {
  const count = { opened: 0, closed: 0 };
  let largest = 0;
  using server = serveWebSocket({
    maxPayloadLength: 2000,
    perMessageDeflate: { compress: "dedicated", decompress: "dedicated" },
    open: () => void count.opened++,
    message(socket, message) {
      largest = Math.max(largest, message.length);
      socket.send(message, true);
    },
    close: () => void count.closed++,
  });
  const attack = async (seed: number): Promise<void> => {
    const random = new SeededRandom(seed);
    using client = await WebSocketClient.open(server.port, ["Sec-WebSocket-Extensions: permessage-deflate"]);
    const stream = randomFrames(random);
    const bomb = deflateRawSync(Buffer.alloc(random.below(1_000_000)));
    if (random.below(3) === 0) bomb[random.below(bomb.length)] = random.below(256);
    const cut = random.below(stream.length + 1);
    client.send(stream.subarray(0, cut));
    if (random.below(2) === 0) client.send(frame(1 + random.below(2), bomb, { rsv: 4 }));
    client.send(stream.subarray(cut));
    client.raw.end();
    await client.raw.closed;
  };
  const before = kept();
  const end = performance.now() + FUZZ_MS;
  let seed = 0;
  while (performance.now() < end) await Promise.all(Array.from({ length: TOGETHER }, () => attack(seed++)));
  while (count.closed < count.opened || server.pendingWebSockets > 0)
    await new Promise((resolve) => setImmediate(resolve));
  expect(count.opened).toBe(seed);
  expect(seed).toBeGreaterThanOrEqual(TOGETHER);
  expect(largest).toBeLessThanOrEqual(2000);
  expect(kept() - before).toBeLessThan(32 << 20);
  using client = await WebSocketClient.open(server.port, [], frame(1, "alive"));
  expect(await client.next()).toEqual([1, "alive"]);
});
