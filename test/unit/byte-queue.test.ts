/** A queue for bytes that arrive in any pieces and are read later. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { ByteQueue } from "../../src/transport/byte-queue.ts";
import { growth, linear } from "../behaviour/growth.ts";
import { holds } from "./property.ts";

test("what is read is what was appended, and memory stays in proportion to what is kept", () => {
  const source = Buffer.from(Array.from({ length: 8192 }, (_, i) => (i * 7919) >>> 5));
  const step = fc.record({
    start: fc.nat({ max: 4096 }),
    appended: fc.oneof(fc.nat({ max: 10 }), fc.nat({ max: 4000 })),
    read: fc.nat({ max: 1000 }),
  });
  holds(300, [fc.array(step, { maxLength: 100, size: "max" })], (steps) => {
    const queue = new ByteQueue();
    let model = Buffer.alloc(0);
    let most = 0;
    for (const { start, appended, read: wanted } of steps) {
      queue.append(source, start, start + appended);
      model = Buffer.concat([model, source.subarray(start, start + appended)]);
      most = Math.max(most, model.length);
      const read = Math.min(model.length, wanted);
      expect(queue.memory.subarray(queue.start, queue.start + read).equals(model.subarray(0, read))).toBe(true);
      queue.start += read;
      model = model.subarray(read);
      expect(queue.length).toBe(model.length);
      expect(queue.memory.length).toBeLessThanOrEqual(Math.max(256, 4 * most));
    }
  });
});

test("bytes one by one cost what they cost, whether they are read meanwhile or not", async () => {
  const byte = Buffer.of(1);
  for (const behind of [Infinity, 1, 100_000]) {
    const fill = (count: number): void => {
      const queue = new ByteQueue();
      for (let i = 0; i < count; i++) {
        queue.append(byte, 0, 1);
        if (queue.length > behind) queue.start++;
      }
    };
    expect(await growth(150_000, fill)).toBeLessThan(linear);
  }
});

/** Adds bytes to a queue whose writer knows how many will come. */
function add(queue: ByteQueue, bytes: number, expected: number, max = expected): number {
  queue.reserve(bytes, expected, max);
  queue.memory.fill(7, queue.end, (queue.end += bytes));
  return queue.memory.length;
}

test("memory is no larger than what will come, where that is known", () => {
  const queue = new ByteQueue();
  expect([add(queue, 700, 1000), add(queue, 300, 1000)]).toEqual([1000, 1000]);
  expect(queue.memory.every((byte) => byte === 7)).toBe(true);
});

test("memory for all that is expected is there once an eighth of it has come, and not before", () => {
  const queue = new ByteQueue();
  expect(Array.from({ length: 4 }, () => add(queue, 400, 8000))).toEqual([800, 800, 8000, 8000]);
  // More than was expected.
  expect([add(queue, 6400, 8000), add(queue, 1, 8001, 10_000)]).toEqual([8000, 10_000]);
});
