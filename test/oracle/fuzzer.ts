/**
 * Random streams, one for each seed. ringloop reads each as a whole and in pieces, and llhttp reads
 * it too. The fuzzing test and the fuzzing command use this.
 */
import { SeededRandom } from "../unit/seeded-random.ts";
import { compare } from "./compare.ts";
import { randomEnds, randomStream } from "./corpus.ts";
import { minimize } from "./minimize.ts";
import { quote, type Reading, type Reader } from "./reading.ts";
import { readWithRingloop } from "./ringloop.ts";

export class Fuzzer {
  inputs = 0;
  readonly verdicts = { accepted: 0, refused: 0, incomplete: 0 };
  /** How often each listed difference was found. */
  readonly differences = new Map<string, number>();
  private readonly read: Reader;

  constructor(read: Reader = readWithRingloop) {
    this.read = read;
  }

  /** Tries the input of this seed. Returns a report if something is wrong. */
  try(seed: number): string | undefined {
    const random = new SeededRandom(seed);
    const stream = randomStream(random);
    const { ours, listed, unlisted } = compare(stream, undefined, this.read);
    this.inputs++;
    this.verdicts[ours.verdict]++;
    if (listed !== undefined) this.differences.set(listed, (this.differences.get(listed) ?? 0) + 1);
    const problem = unlisted ?? differsInPieces(stream, [randomEnds(random, stream)], ours, this.read);
    return problem === undefined ? undefined : this.report(seed, stream, problem);
  }

  private report(seed: number, stream: string, problem: string): string {
    const small = minimize(stream, (candidate) => this.problemOf(candidate) !== undefined);
    return [
      `seed ${seed}: ${problem}`,
      `  input: ${quote(stream)}`,
      `  minimised: ${quote(small)}`,
      `    ${this.problemOf(small) ?? "only in those pieces"}`,
      `  again with: npm run fuzz -- --seed ${seed} --inputs 1`,
    ].join("\n");
  }

  private problemOf(stream: string): string | undefined {
    const { ours, unlisted } = compare(stream, undefined, this.read);
    return unlisted ?? differsInPieces(stream, allHalves(stream), ours, this.read);
  }
}

/** Returns every way to split the stream in two. */
export function allHalves(stream: string): number[][] {
  return Array.from({ length: stream.length + 1 }, (_, end) => [end, stream.length]);
}

/** Returns a reading of the stream in pieces that differs from `whole`, if there is one. */
export function differsInPieces(
  stream: string,
  ways: readonly (readonly number[])[],
  whole: Reading,
  read: Reader,
): string | undefined {
  for (const ends of ways) {
    const reading = read(stream, ends);
    if (!Bun.deepEquals(reading, whole))
      return `in pieces that end at ${ends.join(", ")}: ${Bun.inspect(reading)}; whole: ${Bun.inspect(whole)}`;
  }
  return undefined;
}
