/**
 * The heads of one connection's requests, in whatever pieces they come.
 *
 * Guarantees: each line is read once when it is whole, so that a head costs what its bytes and its pieces cost; a head that
 * comes whole needs nothing of its own.
 */
import { INCOMPLETE } from "../http/parser.ts";
import { type NodeParserLimits, NodeRequestParser } from "./request-parser.ts";

const CR = 13;
const LF = 10;

export class HeadReader {
  /** What the last head said, until the next one is read. */
  parser: NodeRequestParser;
  private readonly shared: NodeRequestParser;
  private readonly limits: NodeParserLimits;
  /** So many bytes were looked at of a head that is not whole; 0 for none. */
  private begunBytes = 0;

  /** `shared` reads the heads that come whole, of all connections. */
  constructor(shared: NodeRequestParser, limits: NodeParserLimits) {
    this.parser = this.shared = shared;
    this.limits = limits;
  }

  /** A part of a head has come. */
  get isBegun(): boolean {
    return this.begunBytes > 0;
  }

  /** Empty lines before a head mean nothing (RFC 9112 section 2.2). Returns the position behind them. */
  skipEmptyLines(memory: Buffer, start: number, end: number): number {
    let at = start;
    if (!this.isBegun) while (at < end && (memory[at] === CR || memory[at] === LF)) at++;
    return at;
  }

  /** Reads a head that begins at `start`. Returns the position behind it, INCOMPLETE, or another negative number for a fault of the client. */
  read(memory: Buffer, start: number, end: number): number {
    if (this.begunBytes === 0) {
      this.parser = this.shared;
      return this.noted(this.parser.parse(memory, start, end), start, end);
    }
    if (end - start === this.begunBytes) return INCOMPLETE; // Nothing new.
    if (this.parser !== this.shared) return this.noted(this.parser.resume(memory, start, end), start, end);
    this.parser = new NodeRequestParser(this.limits);
    return this.noted(this.parser.parse(memory, start, end), start, end);
  }

  private noted(result: number, start: number, end: number): number {
    this.begunBytes = result === INCOMPLETE ? end - start : 0;
    return result;
  }
}
