/**
 * Compares ringloop's parser of WebSocket frames with a simple one, on random and mutated streams.
 */
import { expect, test } from "bun:test";
import { FrameParser } from "../../src/websocket/frame-parser.ts";
import { WebSocketFuzzer } from "./websocket-fuzzer.ts";
import { frame } from "./websocket-frame.ts";
import { readAtOnce, readInPieces } from "./websocket-reading.ts";

const FUZZ_MS = 2000;
/** Also on a busy machine. A seed makes 50 streams. */
const SEEDS_MIN = 200;

test("random and mutated streams are read alike, whole and in pieces", () => {
  const fuzzer = new WebSocketFuzzer();
  const before = process.memoryUsage.rss();
  const end = performance.now() + FUZZ_MS;
  for (let seed = 1; seed <= SEEDS_MIN || performance.now() < end; seed++) expect(fuzzer.try(seed)).toBeUndefined();
  expect(fuzzer.frames).toBeGreaterThan(10_000);
  // Many streams get far, and many are refused.
  expect(fuzzer.violations).toBeGreaterThan(1000);
  expect(fuzzer.messages - fuzzer.violations).toBeGreaterThan(5000);
  expect(process.memoryUsage.rss() - before).toBeLessThan(256 << 20);
});

test("a difference is reported with the smallest stream that shows it", () => {
  const fuzzer = new WebSocketFuzzer((stream, ends, limits) =>
    readInPieces(stream, ends, limits).filter((event) => !event.startsWith("control 10")),
  );
  let report: string | undefined;
  for (let seed = 1; report === undefined; seed++) report = fuzzer.try(seed);
  // An empty pong: FIN and the opcode, the mask bit and no bytes, the key.
  expect(report).toMatch(/^seed \d+: 8a8000000000 cut at \[\], /);
});

test("a message comes out the same, wherever it is cut and wherever it lies in memory", () => {
  const limits = { messageBytesMax: 1000, inflates: false };
  for (const length of [0, 1, 3, 31, 32, 33, 64, 127]) {
    const stream = Buffer.concat([frame(2, Buffer.alloc(length, "mask")), frame(1, "é".repeat(length))]);
    const expected = readAtOnce(stream, limits);
    expect(expected).toHaveLength(2);
    for (let cut = 0; cut <= stream.length; cut++) expect(readInPieces(stream, [cut], limits)).toEqual(expected);
    for (let offset = 0; offset < 8; offset++) {
      const memory = Buffer.alloc(offset + stream.length);
      stream.copy(memory, offset);
      const seen: string[] = [];
      new FrameParser().feed(memory, offset, memory.length, {
        isOpen: true,
        ...limits,
        onMessage: ({ isText }, bytes, start, end) =>
          void seen.push(`${isText ? "text" : "bytes"} ${bytes.toString("hex", start, end)}`),
        onControl: () => {},
        onViolation: () => {},
      });
      expect(seen).toEqual(expected);
    }
  }
});

test("a promise of sixteen megabytes costs nothing until they come", () => {
  const head = Buffer.of(0x82, 0xff, 0, 0, 0, 0, 0, 0xff, 0, 0, 1, 2, 3, 4, 5);
  const parser = new FrameParser();
  const sink = {
    isOpen: true,
    messageBytesMax: 16 << 20,
    inflates: false,
    onMessage() {},
    onControl() {},
    onViolation() {},
  };
  parser.feed(head, 0, head.length, sink);
  expect(parser.isIdle).toBe(false);
  expect((parser as unknown as { message: Buffer }).message.length).toBeLessThan(4096);
});
