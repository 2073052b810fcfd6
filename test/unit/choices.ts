/**
 * Random choices whose failures shrink. fast-check makes numbers, and a test decides by them, as by
 * those of SeededRandom. When the test fails, fast-check makes the numbers smaller. So the choice 0
 * should be the simplest.
 */
import * as fc from "fast-check";
import { SeededRandom } from "./seeded-random.ts";

/** Where choices come from. */
export interface Random {
  /** Returns an integer from 0 to `limit` - 1. */
  below(limit: number): number;
  bytes(count: number): Uint8Array;
}

/** Choices by these numbers. When there are no more, each further choice is 0. */
export class Choices implements Random {
  private readonly numbers: readonly number[];
  private used = 0;

  constructor(numbers: readonly number[]) {
    this.numbers = numbers;
  }

  below(limit: number): number {
    return (this.numbers[this.used++] ?? 0) % limit;
  }

  bytes(count: number): Uint8Array {
    const seed = this.below(2 ** 31);
    return seed === 0 ? new Uint8Array(count) : new SeededRandom(seed).bytes(count);
  }
}

/** Numbers for this many choices. */
export const choices = (count: number): fc.Arbitrary<number[]> =>
  fc.array(fc.nat(), { minLength: count, maxLength: count });
