/**
 * Reads a head that arrives in pieces. Most heads arrive whole and need no HeadReader.
 *
 * Guarantees: each line is parsed once, when it is whole. So the cost of a head grows only with its
 * number of bytes and its number of pieces.
 */
import { INCOMPLETE } from "../http/parser.ts";
import { type NodeParserLimits, NodeRequestParser } from "./request-parser.ts";

const CR = 13;
const LF = 10;

export class HeadReader {
  readonly parser: NodeRequestParser;
  /** Number of bytes of the head that were parsed so far, the first ones by another parser. */
  private bytes: number;
  private hasBegun = false;

  constructor(limits: NodeParserLimits, bytes: number) {
    this.parser = new NodeRequestParser(limits);
    this.bytes = bytes;
  }

  /** Parses the new bytes of the head that begins at `start`. Returns the parser's result. */
  read(memory: Buffer, start: number, end: number): number {
    if (end - start === this.bytes) return INCOMPLETE; // No new bytes.
    this.bytes = end - start;
    if (this.hasBegun) return this.parser.resume(memory, start, end);
    this.hasBegun = true;
    return this.parser.parse(memory, start, end);
  }
}

/**
 * Returns the position after the empty lines before a head. They mean nothing (RFC 9112 section
 * 2.2).
 */
export function skipEmptyLines(memory: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && (memory[at] === CR || memory[at] === LF)) at++;
  return at;
}
