/**
 * The owner of a byte. Every file and connection has its own tag, which repeats in all its bytes.
 * So a byte in the wrong file or connection is found.
 *
 * Lengths and positions are multiples of the length of the tag. So the position of a byte tells
 * which byte of the tag it is.
 */
import type { Step } from "./campaign.ts";

export const TAG_BYTES = 8;
const LETTERS = 26;
const FIRST_LETTER = 0x61;

let owners = 0;

export class Owner {
  readonly tag: string;
  readonly step: Step;

  constructor(step: Step) {
    this.step = step;
    let tag = "";
    for (let left = ++owners, i = 0; i < TAG_BYTES; i++, left = Math.floor(left / LETTERS))
      tag += String.fromCharCode(FIRST_LETTER + (left % LETTERS));
    this.tag = tag;
  }

  /** Returns bytes of random length: mostly small, rarely more than one piece of the arena. */
  randomBytes(most = 2_400_000): Buffer {
    const { step } = this;
    const of = step.below(1000);
    const size = step.below(of < 750 ? 200 : of < 960 ? 3000 : of < 995 ? 20_000 : 300_000);
    return this.bytes(Math.min(TAG_BYTES * (1 + size), most));
  }

  bytes(count: number): Buffer {
    return Buffer.alloc(count, this.tag);
  }

  /**
   * Reports the first byte of `bytes` that does not belong to this owner. `from` is the position of
   * `bytes` in the whole. In a file with holes, zeroes belong to nobody.
   */
  check(what: string, bytes: Uint8Array, from = 0): void {
    const { length } = bytes;
    if (
      this.bytes(length + (from % TAG_BYTES))
        .subarray(from % TAG_BYTES)
        .equals(bytes)
    )
      return;
    for (let i = 0; i < length; i++) {
      if (bytes[i] === 0 || bytes[i] === this.tag.charCodeAt((from + i) % TAG_BYTES)) continue;
      const found = Buffer.from(bytes.subarray(Math.max(0, i - TAG_BYTES), i + 2 * TAG_BYTES)).toString("latin1");
      this.step.violation(`${what} of ${this.tag} has at ${from + i}: ${JSON.stringify(found)}`);
      return;
    }
  }
}

/**
 * The bytes that one end of a connection receives. All belong to one owner. If the owner is not
 * known, the first bytes name it.
 */
export class Received {
  bytes = 0;
  private readonly owner: Owner;
  private readonly what: string;

  constructor(owner: Owner, what: string) {
    this.owner = owner;
    this.what = what;
  }

  feed(bytes: Uint8Array): void {
    this.owner.check(this.what, bytes, this.bytes);
    this.bytes += bytes.length;
  }
}

/** Resolves after a random number of microtasks and immediates. */
export async function whenever(step: Step): Promise<void> {
  for (let i = step.below(4); i > 0; i--) await undefined;
  for (let i = step.pick([0, 0, 0, 1, 1, 2, 5]); i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
}
