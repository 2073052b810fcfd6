/** Random and mutated streams of frames. fast-check shows a failure with the smallest stream. */
import * as fc from "fast-check";
import { Choices, choices, type Random } from "../unit/choices.ts";
import { frame } from "./websocket-frame.ts";
import { type Limits, readAtOnce, readInPieces } from "./websocket-reading.ts";

const FRAMES_MAX = 12;
/** More than one frame needs, and more than the rest of a stream needs. */
const CHOICES = 20;
/** Number of streams that share a seed. */
const STREAMS = 50;
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
  private readonly read: typeof readInPieces;

  constructor(read = readInPieces) {
    this.read = read;
  }

  /** Tries a few streams of this seed. Returns a report if something is wrong. */
  try(seed: number): string | undefined {
    const frames = fc.array(choices(CHOICES), { minLength: 1, maxLength: FRAMES_MAX, size: "max" });
    const property = fc.property(frames, choices(CHOICES), (ofFrames, others) => {
      this.frames += ofFrames.length;
      const random = new Choices(others);
      const limits: Limits = {
        messageBytesMax: [100_000, 1000, 125, 0][random.below(4)]!,
        inflates: random.below(2) === 1,
      };
      const cuts = Array.from({ length: random.below(8) }, () => random.below(2 ** 31));
      const stream = streamOf(
        ofFrames.map((numbers) => new Choices(numbers)),
        random,
      );
      const problem = this.problemOf(stream, limits, cuts);
      if (problem !== undefined) throw new Error(problem);
    });
    const { failed, errorInstance } = fc.check(property, { seed, numRuns: STREAMS });
    return failed ? `seed ${seed}: ${(errorInstance as Error).message}` : undefined;
  }

  /** Compares the readings of a stream: whole, cut at these places, and in pieces of one byte. */
  private problemOf(stream: Buffer, limits: Limits, cuts: number[]): string | undefined {
    const expected = readAtOnce(stream, limits);
    this.messages += expected.length;
    if (expected.at(-1)?.startsWith("violation")) this.violations++;
    const someEnds = cuts.map((cut) => cut % (stream.length + 1)).toSorted((a, b) => a - b);
    const everyByte = stream.length < 300 ? [Array.from({ length: stream.length }, (_, i) => i)] : [];
    for (const ends of [[], someEnds, ...everyByte]) {
      const got = this.read(stream, ends, limits);
      if (got.join("\n") !== expected.join("\n"))
        return (
          `${stream.toString("hex")} cut at [${ends.join()}], ${JSON.stringify(limits)}\n` +
          `expected\n${expected.join("\n")}\nbut got\n${got.join("\n")}`
        );
    }
    return undefined;
  }
}

/** Returns frames in a mostly valid order. Half of the streams have a few changed bytes. */
export function randomFrames(random: Random): Buffer {
  return streamOf(Array<Random>(1 + random.below(FRAMES_MAX)).fill(random), random);
}

/** Makes a stream with one frame for each of `frames`, which decides about it. */
function streamOf(frames: readonly Random[], random: Random): Buffer {
  const parts: Buffer[] = [];
  let isOpen = false;
  for (const each of frames) {
    let opcode = opcodes[each.below(opcodes.length)]!;
    // Most opcodes are allowed here, so that the parser gets far in a stream.
    if (opcode < 3 && each.below(10) < 9) opcode = isOpen ? 0 : 1 + each.below(2);
    let fin = opcode > 7 || each.below(3) < 2;
    if (each.below(60) === 59) fin = !fin;
    if (opcode < 3) isOpen = !fin;
    const rsv = each.below(12) === 11 ? each.below(8) : 0;
    const mask = each.below(80) < 79;
    let payload = Buffer.from(texts[each.below(opcode > 7 ? 6 : texts.length)]!);
    if (each.below(4) === 3) payload = payload.subarray(0, each.below(payload.length + 1));
    if (each.below(30) === 29) payload = Buffer.from(each.bytes(each.below(200)));
    parts.push(frame(opcode, payload, { fin, rsv, mask, key: [...each.bytes(4)] }));
  }
  const stream = Buffer.concat(parts);
  if (random.below(2) === 1)
    for (let changes = 1 + random.below(4); changes > 0; changes--)
      stream[random.below(stream.length)] = random.below(3) === 0 ? 0xff : random.below(256);
  return random.below(4) === 3 ? stream.subarray(0, random.below(stream.length + 1)) : stream;
}
