/** Random and mutated streams of frames, one for each seed. */
import { SeededRandom } from "../unit/seeded-random.ts";
import { frame } from "./websocket-frame.ts";
import { type Limits, readAtOnce, readInPieces } from "./websocket-reading.ts";

const FRAMES_MAX = 12;
const texts = [
  "",
  "a",
  "plain text",
  "κόσμε",
  "\u{10ffff}\u0800",
  "é".repeat(70),
  "x".repeat(126),
  "long ".repeat(300),
];
const opcodes = [0, 0, 0, 1, 1, 1, 2, 2, 8, 9, 9, 10, 3, 11];

export class WebSocketFuzzer {
  frames = 0;
  messages = 0;
  violations = 0;

  /** Tries the stream of this seed. Returns a report if something is wrong. */
  try(seed: number): string | undefined {
    const random = new SeededRandom(seed);
    const limits: Limits = {
      messageBytesMax: [0, 125, 1000, 100_000][random.below(4)]!,
      inflates: random.below(2) === 0,
    };
    const stream = this.randomStream(random);
    const ends = Array.from({ length: random.below(8) }, () => random.below(stream.length + 1)).toSorted(
      (a, b) => a - b,
    );
    const expected = readAtOnce(stream, limits);
    this.messages += expected.length;
    if (expected.at(-1)?.startsWith("violation")) this.violations++;
    const everyByte = stream.length < 300 ? [Array.from({ length: stream.length }, (_, i) => i)] : [];
    for (const pieces of [[], ends, ...everyByte]) {
      const got = readInPieces(stream, pieces, limits);
      if (got.join("\n") !== expected.join("\n"))
        return `seed ${seed}: ${stream.toString("hex")} cut at ${pieces.join()}\nexpected\n${expected.join("\n")}\nbut got\n${got.join("\n")}`;
    }
    return undefined;
  }

  private randomStream(random: SeededRandom): Buffer {
    const { stream, frames } = randomFrames(random);
    this.frames += frames;
    return stream;
  }
}

/** Returns frames in a mostly valid order. Half of the streams have a few changed bytes. */
export function randomFrames(random: SeededRandom): { stream: Buffer; frames: number } {
  const parts: Buffer[] = [];
  let isOpen = false;
  const frames = 1 + random.below(FRAMES_MAX);
  for (let left = frames; left > 0; left--) {
    let opcode = opcodes[random.below(opcodes.length)]!;
    // Most opcodes are allowed here, so that the parser gets far in a stream.
    if (opcode < 3 && random.below(10) > 0) opcode = isOpen ? 0 : 1 + random.below(2);
    let fin = opcode > 7 || random.below(3) > 0;
    if (random.below(60) === 0) fin = !fin;
    if (opcode < 3) isOpen = !fin;
    const rsv = random.below(12) === 0 ? random.below(8) : 0;
    const mask = random.below(80) > 0;
    let payload = Buffer.from(texts[random.below(opcode > 7 ? 6 : texts.length)]!);
    if (random.below(4) === 0) payload = payload.subarray(0, random.below(payload.length + 1));
    if (random.below(30) === 0) payload = Buffer.from(random.bytes(random.below(200)));
    parts.push(frame(opcode, payload, { fin, rsv, mask, key: [...random.bytes(4)] }));
  }
  const stream = Buffer.concat(parts);
  if (random.below(2) === 0)
    for (let changes = 1 + random.below(4); changes > 0; changes--)
      stream[random.below(stream.length)] = random.below(3) === 0 ? 0xff : random.below(256);
  return { stream: random.below(4) === 0 ? stream.subarray(0, random.below(stream.length + 1)) : stream, frames };
}
