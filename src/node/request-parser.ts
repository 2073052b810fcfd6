/**
 * The request parser with the profile of Node. It accepts the same requests as Bun's own parser for
 * node:http, and names its reasons for a refusal by Node's codes.
 *
 * It accepts these, which the strict parser (http/parser.ts) refuses:
 * - several Host fields, any value of Host, and no Host at all (node:http answers that);
 * - any Expect;
 * - CONNECT;
 * - a fragment in the target;
 * - Content-Length more than once, if all values are equal;
 * - codings before "chunked", and chunks in HTTP/1.0.
 *
 * As Bun's parser, it refuses a target of "*" and a target with a byte beyond ASCII.
 */
import { METHODS } from "node:http";
import { isTokenByte } from "../http/byte-classes.ts";
import { INCOMPLETE, matches, matchesFolded, type ParserLimits, RequestParser } from "../http/parser.ts";
import { Bit } from "./contract.ts";
import { Fault } from "./faults.ts";

const CR = 13;
const LF = 10;
const TAB = 9;
const SP = 32;
const COMMA = 44;
const COLON = 58;
const SLASH = 47;

const METHOD_BYTES_MAX = 32;
/** Names of methods, the most frequent ones first. */
const methods = ["POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", ...METHODS];

const UPGRADES = Bit.Upgrade | Bit.ConnectionUpgrade;

const Coding = { None: 0, Other: 1, Chunked: 2 } as const;
type Coding = (typeof Coding)[keyof typeof Coding];

export interface NodeParserLimits extends ParserLimits {
  /**
   * Whether values of fields may have control characters, except NUL, CR and LF. True if
   * `httpValidation` is "relaxed" or "insecure", or if `insecureHTTPParser` is true.
   */
  takesControls: boolean;
  /**
   * Whether "chunked" may have any place among the codings or be missing, and trailers may have any
   * name. True if `httpValidation` is "insecure" or `insecureHTTPParser` is true.
   */
  takesCodings: boolean;
  /**
   * Returns `maxHeadersCount`: the largest number of fields of a request. A request with more
   * fields is refused. 0 means that the program has set no limit.
   */
  readFieldsMax: () => number;
}

export class NodeRequestParser extends RequestParser {
  /** Facts about the head, as bits of Bit. Valid after `parse` has returned a position. */
  bits = 0;
  /** The reason if `parse` has refused the request. */
  fault: Fault = Fault.Constant;
  /** Whether the end of the body is unknown, because its last coding is not "chunked". */
  isEndless = false;

  declare protected readonly limits: NodeParserLimits;
  private codings: Coding = Coding.None;
  private lines = 0;

  /**
   * Whether the request must be refused because it is of HTTP/1.1 and has no Host (RFC 9112 section
   * 3.2). False for CONNECT, and for a request with Upgrade: as in Bun, node:http refuses the
   * latter.
   */
  get lacksHost(): boolean {
    return this.minorVersion > 0 && this.method !== "CONNECT" && (this.bits & (Bit.Host | Bit.Upgrade)) === 0;
  }

  /** Whether the bytes after the request may be of another protocol. */
  get asksForTunnel(): boolean {
    return this.method === "CONNECT" || (this.bits & UPGRADES) === UPGRADES;
  }

  override parse(bytes: Uint8Array, start: number, end: number): number {
    this.fault = Fault.Constant;
    return this.named(super.parse(bytes, start, end));
  }

  override resume(bytes: Uint8Array, start: number, end: number): number {
    return this.named(super.resume(bytes, start, end));
  }

  private named(result: number): number {
    if (result === -431 || result === -414) this.fault = Fault.Overflow;
    return result;
  }

  private refuse(fault: Fault): number {
    this.fault = fault;
    return -400;
  }

  protected override beginHeaders(): void {
    super.beginHeaders();
    this.bits = 0;
    this.codings = Coding.None;
    this.isEndless = false;
    this.lines = 0;
  }

  protected override parseRequestLine(bytes: Uint8Array, start: number, from: number, end: number): number {
    let at = from;
    if (bytes[at] === 71 && bytes[at + 1] === 69 && bytes[at + 2] === 84 && bytes[at + 3] === SP && at + 4 < end) {
      this.method = "GET";
      at += 3;
    } else {
      while (at < end && isMethodByte(bytes[at]!)) at++;
      if (at - from > METHOD_BYTES_MAX) return this.refuse(Fault.Method);
      if (at === end) return INCOMPLETE;
      const method = bytes[at] === SP ? methods.find((name) => matches(bytes, from, at, name)) : undefined;
      if (method === undefined) {
        const isHttp2 = matches(bytes, from, Math.min(end, from + 14), "PRI * HTTP/2.0");
        return this.refuse(isHttp2 ? Fault.Http2 : Fault.Method);
      }
      this.method = method;
    }
    const target = at + 1;
    at = target;
    while (at < end && bytes[at]! > SP && bytes[at]! < 0x7f) at++;
    if (at === end) return INCOMPLETE;
    if (!this.isTarget(bytes, target, at)) return this.refuse(Fault.Constant);
    if (bytes[at] !== SP) return this.refuse(bytes[at] === CR || bytes[at] === LF ? Fault.Version : Fault.Url);
    this.targetStart = this.pathStart = target - start;
    this.targetEnd = at - start;
    const version = at + 1;
    const length = Math.min(10, end - version);
    for (let i = 0; i < length; i++) {
      const byte = bytes[version + i]!;
      if (i === 7 ? byte !== 48 && byte !== 49 : byte !== "HTTP/1.?\r\n".charCodeAt(i))
        return this.refuse(Fault.Version);
    }
    if (length < 10) return INCOMPLETE;
    this.minorVersion = bytes[version + 7]! - 48;
    return version + 10;
  }

  /**
   * Whether a target begins correctly. The target of CONNECT may be any text. If a wrong byte ends
   * the target early, the caller refuses that byte.
   */
  private isTarget(bytes: Uint8Array, start: number, end: number): boolean {
    if (bytes[start] === SLASH || this.method === "CONNECT") return end > start;
    return ["http://", "https://"].some((prefix) => matchesFolded(bytes, start, end, prefix));
  }

  protected override parseHeader(bytes: Uint8Array, start: number, from: number, end: number): number {
    this.fault = Fault.HeaderToken;
    const next = super.parseHeader(bytes, start, from, end);
    if (next !== -400) {
      this.fault = Fault.Constant;
      const countMax = next < 0 ? 0 : this.limits.readFieldsMax();
      return countMax > 0 && ++this.lines > countMax ? -431 : next;
    }
    if (this.fault !== Fault.HeaderToken) return next;
    if (this.limits.takesControls) return this.parseWithControls(bytes, start, from, end);
    let at = bytes.indexOf(COLON, from);
    if (at < 0) return next;
    while (at < end && bytes[at] !== CR && (bytes[at]! >= SP || bytes[at] === TAB) && bytes[at] !== 0x7f) at++;
    if (bytes[at] === CR && at + 1 < end && bytes[at + 1] !== LF) this.fault = Fault.LineFeed;
    return next;
  }

  /** Parses a line that the strict rules refuse. Its name must still be a valid one. */
  private parseWithControls(bytes: Uint8Array, start: number, from: number, end: number): number {
    let at = from;
    while (at < end && isTokenByte(bytes[at]!)) at++;
    if (at === from || bytes[at] !== COLON) return this.refuse(Fault.HeaderToken);
    const nameEnd = at++;
    while (at < end && (bytes[at] === SP || bytes[at] === TAB)) at++;
    const value = at;
    while (at < end && bytes[at] !== 0 && bytes[at] !== CR && bytes[at] !== LF) at++;
    if (at + 1 >= end) return bytes[at] === 0 || bytes[at] === LF ? this.refuse(Fault.HeaderToken) : INCOMPLETE;
    if (bytes[at] !== CR) return this.refuse(Fault.HeaderToken);
    if (bytes[at + 1] !== LF) return this.refuse(Fault.LineFeed);
    const refused = this.interpret(bytes, start, from, nameEnd - from, value, at);
    return refused === 0 ? at + 2 : refused;
  }

  protected override interpret(
    bytes: Uint8Array,
    _start: number,
    name: number,
    length: number,
    value: number,
    end: number,
  ): number {
    switch (length) {
      case 4:
        if (matchesFolded(bytes, name, name + 4, "host")) this.bits |= Bit.Host;
        return 0;
      case 6:
        if (!matchesFolded(bytes, name, name + 6, "expect")) return 0;
        this.bits |= Bit.Expect;
        if (matchesFolded(bytes, value, end, "100-continue")) this.bits |= Bit.ExpectContinue;
        return 0;
      case 7:
        if (matchesFolded(bytes, name, name + 7, "upgrade")) this.bits |= Bit.Upgrade;
        return 0;
      case 10:
        if (!matchesFolded(bytes, name, name + 10, "connection")) return 0;
        this.eachToken(bytes, value, end, (at, stop) => {
          if (matchesAll(bytes, at, stop, "close")) this.bits |= Bit.ConnectionClose;
          else if (matchesAll(bytes, at, stop, "upgrade")) this.bits |= Bit.ConnectionUpgrade;
        });
        return 0;
      case 14:
        return matchesFolded(bytes, name, name + 14, "content-length") ? this.readLength(bytes, value, end) : 0;
      case 17:
        return matchesFolded(bytes, name, name + 17, "transfer-encoding") ? this.readCodings(bytes, value, end) : 0;
      default:
        return 0;
    }
  }

  private readLength(bytes: Uint8Array, value: number, end: number): number {
    let length = value < end ? 0 : NaN;
    for (let at = value; at < end; at++) {
      const digit = bytes[at]! - 48;
      length = digit >= 0 && digit <= 9 ? length * 10 + digit : NaN;
    }
    if (!(length <= Number.MAX_SAFE_INTEGER)) return this.refuse(Fault.ContentLength);
    if (this.contentLength >= 0 && this.contentLength !== length) return this.refuse(Fault.ContentLength);
    this.bits |= Bit.ContentLength;
    this.contentLength = length;
    return 0;
  }

  /** Reads codings. "chunked" must be the last one, and occur once (RFC 9112 section 6.1). */
  private readCodings(bytes: Uint8Array, value: number, end: number): number {
    this.bits |= Bit.TransferEncoding;
    let isRefused = false;
    this.eachToken(bytes, value, end, (at, stop) => {
      if (at === stop) return;
      if (this.codings === Coding.Chunked && !this.limits.takesCodings) isRefused = true;
      this.codings = matchesAll(bytes, at, stop, "chunked") ? Coding.Chunked : Coding.Other;
    });
    return isRefused ? this.refuse(Fault.TransferEncoding) : 0;
  }

  private eachToken(bytes: Uint8Array, start: number, end: number, take: (at: number, stop: number) => void): void {
    for (let at = start; at < end;) {
      let stop = at;
      while (stop < end && bytes[stop] !== COMMA) stop++;
      let last = stop;
      while (at < last && (bytes[at] === SP || bytes[at] === TAB)) at++;
      while (last > at && (bytes[last - 1] === SP || bytes[last - 1] === TAB)) last--;
      take(at, last);
      at = stop + 1;
    }
  }

  protected override finish(): number {
    this.chunked = this.codings === Coding.Chunked;
    this.isEndless = this.codings === Coding.Other;
    if (this.codings !== Coding.None && this.contentLength >= 0) return this.refuse(Fault.TransferEncoding);
    this.keepAlive = this.minorVersion > 0 && (this.bits & Bit.ConnectionClose) === 0;
    return 0;
  }
}

/** Whether a method that node:http knows may contain the byte. Any other byte is refused at once. */
function isMethodByte(byte: number): boolean {
  return (byte >= 65 && byte <= 90) || byte === 45; // A to Z, and "-" of M-SEARCH.
}

function matchesAll(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  return end - start === text.length && matchesFolded(bytes, start, end, text);
}
