/**
 * Decompresses small messages (RFC 1951), for which a call of zlib would cost more than the work.
 *
 * Guarantees: the result is the same as that of zlib. It reads only the message and its window, and
 * writes only into `inflated`.
 *
 * Leaves to others: unusual data go to zlib, which alone decides whether they are an error.
 */
import type { Window } from "./window.ts";

/** Largest compressed length in bytes. For longer messages zlib is faster. */
export const SMALL_BYTES_MAX = 192;
/** The output. The next call writes over it. */
export const inflated = Buffer.allocUnsafeSlow(4096);

/** Result for data that zlib must decompress. */
export const UNUSUAL = -1;

const END_OF_BLOCK = 256;
const CODE_BITS_MAX = 15;
const LENGTHS_MAX = 286;
const DISTANCES_MAX = 30;

// Section 3.2.5: base values and extra bits.
const lengthBase = new Uint16Array(29);
const lengthBits = new Uint8Array(29);
const distanceBase = new Uint16Array(30);
const distanceBits = new Uint8Array(30);
for (let code = 0, base = 3; code < 28; code++) {
  lengthBits[code] = code < 8 ? 0 : (code >> 2) - 1;
  lengthBase[code] = base;
  base += 1 << lengthBits[code]!;
}
lengthBase[28] = 258;
for (let code = 0, base = 1; code < 30; code++) {
  distanceBits[code] = code < 4 ? 0 : (code >> 1) - 1;
  distanceBase[code] = base;
  base += 1 << distanceBits[code]!;
}

/** A canonical Huffman code (section 3.2.2). */
class Code {
  /** Number of codes of each length in bits. */
  readonly counts = new Uint16Array(CODE_BITS_MAX + 1);
  /** The symbols, in the order of their codes. */
  readonly symbols: Uint16Array;
  private readonly offsets = new Uint16Array(CODE_BITS_MAX + 1);

  constructor(symbols: number) {
    this.symbols = new Uint16Array(symbols);
  }

  /**
   * Builds the code from the lengths. Returns whether every sequence of bits begins with exactly
   * one code. Any other code is unusual, or an error.
   */
  build(lengths: Uint8Array, from: number, count: number): boolean {
    const { counts, offsets, symbols } = this;
    counts.fill(0);
    for (let i = 0; i < count; i++) counts[lengths[from + i]!]!++;
    let left = 1;
    for (let bits = 1; bits <= CODE_BITS_MAX; bits++) {
      left = left * 2 - counts[bits]!;
      if (left < 0) return false;
      offsets[bits] = bits === 1 ? 0 : offsets[bits - 1]! + counts[bits - 1]!;
    }
    if (left !== 0) return false;
    for (let i = 0; i < count; i++) {
      const bits = lengths[from + i]!;
      if (bits !== 0) symbols[offsets[bits]!++] = i;
    }
    return true;
  }
}

const lengthOrder = Uint8Array.of(16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15); // section 3.2.7
const lengths = new Uint8Array(LENGTHS_MAX + DISTANCES_MAX);
const metaCode = new Code(19);
const dynamicLiterals = new Code(LENGTHS_MAX);
const dynamicDistances = new Code(DISTANCES_MAX);

// The fixed codes (section 3.2.6). The index is the next nine bits, the value symbol << 4 | bits.
const fixedLiterals = new Uint16Array(512);
const reversed = (value: number, bits: number): number => {
  let result = 0;
  for (let i = 0; i < bits; i++) result = (result << 1) | ((value >> i) & 1);
  return result;
};
for (let symbol = 0; symbol < 288; symbol++) {
  const [bits, code] =
    symbol < 144
      ? [8, 0x30 + symbol]
      : symbol < 256
        ? [9, 0x190 + symbol - 144]
        : symbol < 280
          ? [7, symbol - 256]
          : [8, 0xc0 + symbol - 280];
  for (let at = reversed(code, bits); at < 512; at += 1 << bits) fixedLiterals[at] = (symbol << 4) | bits;
}
const fixedDistances = Uint8Array.from({ length: 32 }, (_, code) => reversed(code, 5));

const TAIL = Uint8Array.of(0, 0, 0xff, 0xff);
const input = new Uint8Array(SMALL_BYTES_MAX + TAIL.length);
// The state of the reader, which reads one message at a time. `hold` has `bits` bits of the input.
let at = 0;
let end = 0;
let hold = 0;
let bits = 0;
let done = 0;

/**
 * Returns the next `count` bits of the input, at most 16, with the first bit lowest. Returns
 * UNUSUAL if the input has fewer.
 */
function take(count: number): number {
  while (bits < count) {
    if (at === end) return UNUSUAL;
    hold |= input[at++]! << bits;
    bits += 8;
  }
  const value = hold & ((1 << count) - 1);
  hold >>>= count;
  bits -= count;
  return value;
}

/** Returns the next symbol of the code, or UNUSUAL. */
function takeSymbol({ counts, symbols }: Code): number {
  let code = 0;
  let first = 0;
  let index = 0;
  for (let length = 1; length <= CODE_BITS_MAX; length++) {
    const bit = take(1);
    if (bit < 0) return UNUSUAL;
    code |= bit;
    const count = counts[length]!;
    if (code - count < first) return symbols[index + code - first]!;
    index += count;
    first = (first + count) << 1;
    code <<= 1;
  }
  return UNUSUAL;
}

/**
 * Decompresses `bytes` into `inflated`, after it has added the four bytes that end every message.
 * `bytes` has at most SMALL_BYTES_MAX bytes. Returns the number of bytes in `inflated`, at most
 * `bytesMax`, or UNUSUAL. Does not change the window.
 */
export function inflateSmall(bytes: Uint8Array, window: Window | null, bytesMax: number): number {
  input.set(bytes);
  input.set(TAIL, bytes.length);
  end = bytes.length + TAIL.length;
  at = hold = bits = done = 0;
  const limit = Math.min(bytesMax, inflated.length);
  for (;;) {
    if (at === end && bits === 0) return done;
    // A block with BFINAL set is rare in WebSocket messages, so zlib handles it.
    if (take(1) !== 0) return UNUSUAL;
    let good: boolean;
    switch (take(2)) {
      case 0:
        good = copyStored(limit);
        break;
      case 1:
        good = inflateBlock(null, null, window, limit);
        break;
      case 2:
        good = readCodes() && inflateBlock(dynamicLiterals, dynamicDistances, window, limit);
        break;
      default:
        return UNUSUAL;
    }
    if (!good) return UNUSUAL;
  }
}

/** Copies an uncompressed block (section 3.2.4). */
function copyStored(limit: number): boolean {
  // The reader may have read bytes ahead. It goes back to the first of them.
  at -= bits >> 3;
  hold = bits = 0;
  if (at + 4 > end) return false;
  const length = input[at]! | (input[at + 1]! << 8);
  if ((length ^ (input[at + 2]! | (input[at + 3]! << 8))) !== 0xffff) return false;
  at += 4;
  if (at + length > end || done + length > limit) return false;
  for (let i = 0; i < length; i++) inflated[done++] = input[at++]!;
  return true;
}

/** Reads the codes of a block with dynamic codes (section 3.2.7). */
function readCodes(): boolean {
  const literalCount = take(5) + 257;
  const distanceCount = take(5) + 1;
  const metaCount = take(4) + 4;
  if (literalCount > LENGTHS_MAX || distanceCount > DISTANCES_MAX || metaCount < 4) return false;
  lengths.fill(0, 0, 19);
  for (let i = 0; i < metaCount; i++) {
    const length = take(3);
    if (length < 0) return false;
    lengths[lengthOrder[i]!] = length;
  }
  if (!metaCode.build(lengths, 0, 19)) return false;
  const total = literalCount + distanceCount;
  for (let i = 0; i < total;) {
    const symbol = takeSymbol(metaCode);
    if (symbol < 0 || (symbol === 16 && i === 0)) return false;
    if (symbol < 16) {
      lengths[i++] = symbol;
      continue;
    }
    const more = symbol === 16 ? take(2) : symbol === 17 ? take(3) : take(7);
    if (more < 0) return false;
    const stop = i + more + (symbol === 18 ? 11 : 3);
    if (stop > total) return false;
    const length = symbol === 16 ? lengths[i - 1]! : 0;
    while (i < stop) lengths[i++] = length;
  }
  return (
    lengths[END_OF_BLOCK] !== 0 &&
    dynamicLiterals.build(lengths, 0, literalCount) &&
    dynamicDistances.build(lengths, literalCount, distanceCount)
  );
}

/**
 * Decompresses a block up to its end (section 3.2.3). The codes are null for a block with fixed
 * codes. The function is long and flat, because most of the time is spent here.
 */
function inflateBlock(literals: Code | null, distances: Code | null, window: Window | null, limit: number): boolean {
  for (;;) {
    let symbol: number;
    if (literals === null) {
      while (bits < 9 && at < end) {
        hold |= input[at++]! << bits;
        bits += 8;
      }
      const entry = fixedLiterals[hold & 511]!;
      const length = entry & 15;
      if (length > bits) return false;
      hold >>>= length;
      bits -= length;
      symbol = entry >> 4;
    } else symbol = takeSymbol(literals);
    if (symbol < END_OF_BLOCK) {
      if (symbol < 0 || done === limit) return false;
      inflated[done++] = symbol;
      continue;
    }
    if (symbol === END_OF_BLOCK) return true;
    const lengthCode = symbol - 257;
    if (lengthCode >= lengthBase.length) return false;
    const moreLength = take(lengthBits[lengthCode]!);
    const fixed = distances === null ? take(5) : 0;
    if (moreLength < 0 || fixed < 0) return false;
    const distanceCode = distances === null ? fixedDistances[fixed]! : takeSymbol(distances);
    if (distanceCode < 0 || distanceCode >= DISTANCES_MAX) return false;
    const moreDistance = take(distanceBits[distanceCode]!);
    if (moreDistance < 0) return false;
    const length = lengthBase[lengthCode]! + moreLength;
    const distance = distanceBase[distanceCode]! + moreDistance;
    if (done + length > limit) return false;
    let copied = 0;
    let before = distance - done;
    if (before > 0) {
      // The bytes begin in the window, and may go on in the output of this message.
      if (window === null || before > window.length) return false;
      const { memory } = window;
      const mask = memory.length - 1;
      const from = window.at;
      for (; before > 0 && copied < length; before--, copied++) inflated[done++] = memory[(from - before) & mask]!;
    }
    for (; copied < length; copied++) {
      inflated[done] = inflated[done - distance]!;
      done++;
    }
  }
}
