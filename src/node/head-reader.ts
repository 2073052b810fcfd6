/**
 * A head of which a part has come. Most heads never become one: they come whole.
 *
 * Guarantees: each line is read once when it is whole, so that a head costs what its bytes and its pieces cost.
 */
import { INCOMPLETE } from "../http/parser.ts";
import { type NodeParserLimits, NodeRequestParser } from "./request-parser.ts";

const CR = 13;
const LF = 10;

export class HeadReader {
  readonly parser: NodeRequestParser;
  /** So many bytes of it were looked at; by another parser at first. */
  private bytes: number;
  private hasBegun = false;

  constructor(limits: NodeParserLimits, bytes: number) {
    this.parser = new NodeRequestParser(limits);
    this.bytes = bytes;
  }

  /** Reads on in the head that begins at `start`. Returns what the parser does. */
  read(memory: Buffer, start: number, end: number): number {
    if (end - start === this.bytes) return INCOMPLETE; // Nothing new.
    this.bytes = end - start;
    if (this.hasBegun) return this.parser.resume(memory, start, end);
    this.hasBegun = true;
    return this.parser.parse(memory, start, end);
  }
}

/** Empty lines before a head mean nothing (RFC 9112 section 2.2). Returns the position behind them. */
export function skipEmptyLines(memory: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && (memory[at] === CR || memory[at] === LF)) at++;
  return at;
}
