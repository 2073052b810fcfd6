/** Small compressed messages and their windows, compared with zlib and with a simple window. */
import { describe, expect, test } from "bun:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { agree, readDeflate, SocketDeflate } from "../../src/websocket/deflate.ts";
import { inflated, inflateSmall, SMALL_BYTES_MAX, UNUSUAL } from "../../src/websocket/inflate.ts";
import { SentWindow, Window, WINDOW_BYTES_MAX } from "../../src/websocket/window.ts";
import { growth, linear } from "../behaviour/growth.ts";
import { SeededRandom } from "./seeded-random.ts";

const finishFlush = constants.Z_SYNC_FLUSH;
const TAIL = Buffer.of(0, 0, 0xff, 0xff);
const strategies = [
  constants.Z_DEFAULT_STRATEGY,
  constants.Z_FIXED,
  constants.Z_HUFFMAN_ONLY,
  constants.Z_RLE,
  constants.Z_FILTERED,
];
const words = [
  "tick",
  '{"id":',
  "a text that repeats ",
  "é€😀",
  "0",
  "x".repeat(300),
  "\0\x01",
  ",",
  "some other words ",
];

function randomText(random: SeededRandom, length: number): Buffer {
  if (random.below(8) === 0) return Buffer.from(Array.from({ length }, () => random.below(256)));
  let text = "";
  while (text.length < length)
    text += random.below(3) ? words[random.below(words.length)]! : String(random.below(1000));
  return Buffer.from(text).subarray(0, length);
}

/** Decompresses with zlib. Returns undefined for an error. */
function inflateByZlib(bytes: Uint8Array, dictionary: Buffer): Buffer | undefined {
  try {
    return inflateRawSync(Buffer.concat([bytes, TAIL]), { finishFlush, ...(dictionary.length > 0 && { dictionary }) });
  } catch {
    return undefined;
  }
}

describe("a small message", () => {
  test("is inflated as zlib does it, with each kind of block and any window, or left to it", () => {
    const random = new SeededRandom(1);
    let small = 0;
    for (let round = 0; round < 3000; round++) {
      const before = randomText(random, random.below(3) ? random.below(3000) : random.below(40_000));
      const window = new Window(15);
      for (let at = 0; at < before.length;) {
        const part = 1 + random.below(9000);
        window.append(before.subarray(at, at + part));
        at += part;
      }
      const dictionary = before.subarray(-WINDOW_BYTES_MAX);
      const message = randomText(random, random.below(400));
      // A part of the message repeats earlier bytes, at any distance.
      const from = random.below(before.length + 1);
      const plain = Buffer.concat([message, before.subarray(from, from + random.below(300)), message]);
      const compressed = deflateRawSync(plain, {
        finishFlush,
        level: random.below(10),
        strategy: strategies[random.below(strategies.length)]!,
        ...(dictionary.length > 0 && { dictionary }),
      }).subarray(0, -4);
      if (compressed.length > SMALL_BYTES_MAX) continue;
      const length = inflateSmall(compressed, window, 1 << 20);
      if (length === UNUSUAL) continue;
      small++;
      expect(inflated.subarray(0, length).equals(plain)).toBe(true);
      // A limit of one byte less than the message is not enough.
      if (plain.length > 0) expect(inflateSmall(compressed, window, plain.length - 1)).toBe(UNUSUAL);
    }
    expect(small).toBeGreaterThan(1000);
  });

  test("that is cut, changed or made up is what zlib makes of it, or left to it", () => {
    const random = new SeededRandom(2);
    const outcomes = { same: 0, left: 0 };
    for (let round = 0; round < 30_000; round++) {
      const dictionary = randomText(random, random.below(500));
      const window = new Window(15);
      window.append(dictionary);
      let bytes: Buffer;
      if (random.below(4) === 0) bytes = Buffer.from(Array.from({ length: random.below(60) }, () => random.below(256)));
      else {
        const strategy = strategies[random.below(strategies.length)]!;
        const level = random.below(10);
        bytes = deflateRawSync(randomText(random, random.below(200)), { finishFlush, level, strategy }).subarray(0, -4);
        for (let count = random.below(4); count > 0 && bytes.length > 0; count--)
          bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
        if (random.below(4) === 0) bytes = bytes.subarray(0, random.below(bytes.length + 1));
      }
      if (bytes.length > SMALL_BYTES_MAX) continue;
      const length = inflateSmall(bytes, window, 1 << 20);
      if (length === UNUSUAL) outcomes.left++;
      else {
        outcomes.same++;
        expect([bytes.toString("hex"), inflateByZlib(bytes, dictionary)?.toString("hex")]).toEqual([
          bytes.toString("hex"),
          inflated.toString("hex", 0, length),
        ]);
      }
    }
    expect(outcomes.same).toBeGreaterThan(5000);
    expect(outcomes.left).toBeGreaterThan(2000);
  });

  test("is inflated without zlib in its usual forms", () => {
    const window = new Window(15);
    window.append(Buffer.from("a text that was there before"));
    const dictionary = window.latest(100);
    for (const strategy of [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY]) {
      for (const text of ["", "tick", "a text that was there", '{"id":1,"name":"somebody","values":[1,2,3,4,5,6]}']) {
        const bytes = deflateRawSync(text, { finishFlush, strategy, dictionary }).subarray(0, -4);
        expect([text, inflateSmall(bytes, window, 1000)]).toEqual([text, text.length]);
      }
    }
  });
});

for (const kind of ["a window", "a window of what is sent"]) {
  test(`${kind} has the last bytes of what was added, whatever the pieces`, () => {
    const random = new SeededRandom(3);
    for (const bits of [9, 12, 15]) {
      const [window, sent] = [new Window(bits), new SentWindow(bits)];
      let model = Buffer.alloc(0);
      for (let round = 0; round < 3000; round++) {
        const piece = randomText(random, random.below(random.below(10) ? 100 : 40_000)).subarray(-WINDOW_BYTES_MAX);
        model = Buffer.concat([model, piece]).subarray(-(1 << bits));
        if (kind === "a window") window.append(piece);
        else if (random.below(3)) sent.share(Buffer.from(piece));
        else sent.append(piece);
        if (random.below(4)) continue;
        const count = random.below(3) ? random.below(40_000) : 1 << bits;
        const latest = (kind === "a window" ? window : sent).latest(count);
        expect(latest.equals(model.subarray(model.length - Math.min(count, model.length)))).toBe(true);
        expect(window.memory.length).toBeLessThanOrEqual(1 << bits);
      }
    }
  });
}

test("what one side of a connection compresses the other inflates, over many messages, shared ones among them", () => {
  const random = new SeededRandom(4);
  for (const compress of ["dedicated", "4KB", "shared"] as const) {
    const options = readDeflate({ compress, decompress: "dedicated" })!;
    const server = new SocketDeflate(agree(options, "permessage-deflate; client_max_window_bits")!);
    const client = new SocketDeflate({
      ...agree(options, "permessage-deflate")!,
      keepsReceived: compress !== "shared",
    });
    for (let round = 0; round < 1500; round++) {
      const plain = randomText(random, random.below(random.below(10) ? 100 : 40_000));
      if (random.below(3) === 0) {
        const tail = Buffer.from(plain.subarray(-WINDOW_BYTES_MAX));
        server.noteShared(() => tail);
        const whole = deflateRawSync(plain, { finishFlush, windowBits: server.sentBits });
        expect(client.decompress(whole.subarray(0, -4), 1 << 20).equals(plain)).toBe(true);
      } else expect(client.decompress(server.compress(plain), 1 << 20).equals(plain)).toBe(true);
    }
  }
});

test("a small message costs what its bytes cost, and not what its window does", async () => {
  const message = Buffer.from("tick");
  for (const step of [
    (side: SocketDeflate) => side.decompress(compressedTick, 1000),
    (side: SocketDeflate) => side.noteShared(() => message),
  ]) {
    // A context of a hundredth of the window, and one of the whole window.
    const sides = [300, WINDOW_BYTES_MAX].map((bytes) => {
      const side = new SocketDeflate(
        agree(readDeflate({ compress: "dedicated", decompress: "dedicated" })!, "permessage-deflate")!,
      );
      const text = randomText(new SeededRandom(5), bytes);
      side.decompress(deflateRawSync(text, { finishFlush }).subarray(0, -4), 1 << 20);
      side.noteShared(() => text);
      return side;
    });
    const run = (count: number): void => {
      const side = count === 20_000 ? sides[0]! : sides[1]!;
      for (let i = 0; i < count; i++) step(side);
    };
    expect(await growth(20_000, run)).toBeLessThan(linear);
  }
});

const compressedTick = deflateRawSync("tick", { finishFlush }).subarray(0, -4);
