/**
 * Parses HTTP/1.1 request heads strictly: RFC 9112 sections 2 to 7 and RFC 9110 section 5.
 *
 * Guarantees: the parser never reads outside `start` to `end`, and allocates nothing. It refuses
 * everything ambiguous: requests are smuggled through heads that two parsers read differently.
 * Leaves to others: strings (positions are offsets from the head's first byte), bodies
 * (chunked.ts), and what a request means.
 */

import { byteClass, HOST, TARGET, TOKEN, VALUE } from "./byte-classes.ts";

/** Result of `parse` that asks for more bytes. Any other negative result is a negated status. */
export const INCOMPLETE = -1;

/**
 * Methods that are served: Bun's without CONNECT, whose client wants a tunnel (RFC 9110 section
 * 9.3.6). The others are answered 501.
 */
const methods = (
  "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE ACL BIND CHECKOUT COPY LINK LOCK M-SEARCH MERGE MKACTIVITY MKADDRESSBOOK MKCALENDAR " +
  "MKCOL MOVE NOTIFY PROPFIND PROPPATCH PURGE QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
).split(" ");

const METHOD_BYTES_MAX = 32;

/** Most fields, and most trailer lines, as in Bun: a Headers compares its names. Beyond: 431. */
export const HEADER_FIELDS_MAX = 198;

const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;
const COMMA = 44;
const PERCENT = 37;
const SLASH = 47;
const COLON = 58;
const QUESTION_MARK = 63;
const OPENING_BRACKET = 91;
const CLOSING_BRACKET = 93;

export interface ParserLimits {
  /** Bytes of the whole head. Beyond: 431, or 414 in the request line. */
  headerBytesMax: number;
  /** Returns the current limit, which may have grown. Called for a head that is too long. */
  readHeaderBytesMax?: (() => number) | undefined;
}

export class RequestParser {
  // Results, valid after `parse` returned a position. Offsets count from the head's first byte.
  method = "GET";
  targetStart = 0;
  targetEnd = 0;
  headersStart = 0;
  /** The x of HTTP/1.x. */
  minorVersion = 1;
  /** -1 without Content-Length. */
  contentLength = -1;
  chunked = false;
  keepAlive = true;
  expectsContinue = false;
  /** Whether there is a Range or If-* field: the request may be conditional or ask for a range. */
  conditional = false;
  /** Start of the target's path, after an authority. It may be empty, or only a query. */
  pathStart = 0;
  /** The host with its port: an absolute-form target's, else the Host field's. May be empty. */
  hostStart = 0;
  hostEnd = 0;

  protected readonly limits: ParserLimits;
  private fields = 0;
  protected hosts = 0;
  protected transferEncoded = false;
  protected connectionClose = false;
  protected connectionKeepAlive = false;
  /** Offset of the first line that was not whole. */
  private lineStart = 0;

  constructor(limits: ParserLimits) {
    this.limits = limits;
  }

  /**
   * Parses a head that begins at `start`. Returns the position after it, INCOMPLETE, or a negated
   * status (400, 413, 414, 417, 431, 501, 505). After INCOMPLETE the head may be parsed again, or
   * resumed if no other head was parsed.
   */
  parse(bytes: Uint8Array, start: number, end: number): number {
    this.lineStart = 0;
    return this.resume(bytes, start, end);
  }

  /** Continues an INCOMPLETE head at its first line that was not whole. It may have moved. */
  resume(bytes: Uint8Array, start: number, end: number): number {
    const stop = Math.min(end, start + this.limits.headerBytesMax);
    let at = start + this.lineStart;
    if (this.lineStart === 0) {
      at = this.parseFirstLine(bytes, start, end, stop);
      if (at < 0) return at;
    }
    while (at < stop) {
      if (bytes[at] === CR) {
        if (at + 1 >= stop) break;
        if (bytes[at + 1] !== LF) return -400;
        const refused = this.finish(bytes, start);
        return refused !== 0 ? refused : at + 2;
      }
      const next = this.parseHeader(bytes, start, at, stop);
      if (next === INCOMPLETE) break;
      if (next < 0) return next;
      if (++this.fields > HEADER_FIELDS_MAX) return -431;
      at = next;
    }
    this.lineStart = at - start;
    if (end - start < this.limits.headerBytesMax) return INCOMPLETE;
    return this.raiseLimit() ? this.resume(bytes, start, end) : -431;
  }

  /** Parses empty lines and the request line. Returns as `parse` does. */
  private parseFirstLine(bytes: Uint8Array, start: number, end: number, stop: number): number {
    let at = start;
    // A few empty lines before a request are ignored (RFC 9112 section 2.2).
    while (at < end && bytes[at] === CR) {
      if (at + 1 >= end) return INCOMPLETE;
      if (bytes[at + 1] !== LF) return -400;
      at += 2;
      if (at - start > 8) return -400;
    }
    const line = at;
    at = this.parseRequestLine(bytes, start, line, stop);
    if (at === INCOMPLETE && end - start >= this.limits.headerBytesMax) {
      if (!this.raiseLimit()) return -414;
      at = this.parseRequestLine(bytes, start, line, Math.min(end, start + this.limits.headerBytesMax));
      if (at === INCOMPLETE && end - start >= this.limits.headerBytesMax) return -414;
    }
    if (at < 0) return at;
    this.headersStart = at - start;
    this.beginHeaders();
    return at;
  }

  /** Returns whether the limit of a head has grown. */
  private raiseLimit(): boolean {
    const { limits } = this;
    const now = limits.readHeaderBytesMax?.() ?? 0;
    if (now <= limits.headerBytesMax) return false;
    limits.headerBytesMax = now;
    return true;
  }

  protected beginHeaders(): void {
    this.contentLength = -1;
    this.chunked = false;
    this.expectsContinue = false;
    this.conditional = false;
    this.hostStart = 0;
    this.hostEnd = 0;
    this.fields = 0;
    this.hosts = 0;
    this.transferEncoded = false;
    this.connectionClose = false;
    this.connectionKeepAlive = false;
  }

  /** method SP request-target SP HTTP-version CRLF (RFC 9112 section 3). */
  protected parseRequestLine(bytes: Uint8Array, start: number, from: number, end: number): number {
    let at = from;
    if (bytes[at] === 71 && bytes[at + 1] === 69 && bytes[at + 2] === 84 && bytes[at + 3] === SP && at + 4 < end) {
      this.method = "GET";
      at += 3;
    } else {
      while (at < end && (byteClass[bytes[at]!]! & TOKEN) !== 0) at++;
      if (at - from > METHOD_BYTES_MAX) return -501;
      if (at === end) return INCOMPLETE;
      if (bytes[at] !== SP || at === from) return -400;
      const method = methods.find((name) => matches(bytes, from, at, name));
      this.method = method ?? "";
    }
    const target = at + 1;
    at = target;
    while (at < end && (byteClass[bytes[at]!]! & TARGET) !== 0) at++;
    if (at === end) return INCOMPLETE;
    if (bytes[at] !== SP || at === target) return -400;
    this.targetStart = this.pathStart = target - start;
    this.targetEnd = at - start;
    const version = at + 1;
    const length = Math.min(10, end - version); // "HTTP/1.1" CR LF
    for (let i = 0; i < length; i++) {
      const byte = bytes[version + i]!;
      if (i === 5 || i === 7 ? byte < 48 || byte > 57 : byte !== "HTTP/?.?\r\n".charCodeAt(i)) return -400;
    }
    if (length < 10) return INCOMPLETE;
    if (bytes[version + 5] !== 49) return -505;
    this.minorVersion = bytes[version + 7]! - 48;
    if (this.method === "") return -501;
    if (bytes[target] !== SLASH && !this.readOtherForm(bytes, target, at)) return -400;
    return version + 10;
  }

  /**
   * Parses absolute-form, or asterisk-form with OPTIONS. Returns whether it is one of them.
   * Authority-form is for CONNECT, which is not served.
   */
  private readOtherForm(bytes: Uint8Array, start: number, end: number): boolean {
    if (bytes[start] === 42) return end - start === 1 && this.method === "OPTIONS"; // "*"
    const scheme = ["http://", "https://"].find((prefix) => matchesFolded(bytes, start, end, prefix));
    if (scheme === undefined) return false;
    const authority = start + scheme.length;
    const path = endOfAuthority(bytes, authority, end);
    // There must be a host (RFC 9110 section 4.2.1). No user may come before it (section 4.2.4).
    // And no byte may follow it that other parsers regard as its end, as URL parsers do with "\\".
    if (path === authority) return false;
    if (path < end && bytes[path] !== SLASH && bytes[path] !== QUESTION_MARK) return false;
    this.pathStart += path - start;
    return true;
  }

  /** field-name ":" OWS field-value OWS CRLF (RFC 9112 section 5). */
  protected parseHeader(bytes: Uint8Array, start: number, from: number, end: number): number {
    let at = from;
    while (at < end && (byteClass[bytes[at]!]! & TOKEN) !== 0) at++;
    if (at === end) return INCOMPLETE;
    // Space before the colon, a folded line and an empty name are refused here.
    if (bytes[at] !== COLON || at === from) return -400;
    const nameLength = at - from;
    at++;
    while (at < end && (bytes[at] === SP || bytes[at] === TAB)) at++;
    const value = at;
    while (at < end && (byteClass[bytes[at]!]! & VALUE) !== 0) at++;
    if (at + 1 >= end) return at < end && bytes[at] !== CR ? -400 : INCOMPLETE;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return -400;
    let valueEnd = at;
    while (valueEnd > value && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === TAB)) valueEnd--;
    const refused = this.interpret(bytes, start, from, nameLength, value, valueEnd);
    return refused !== 0 ? refused : at + 2;
  }

  /** Reads the fields about the message's end and the connection. Returns 0 or a negated status. */
  protected interpret(
    bytes: Uint8Array,
    start: number,
    name: number,
    length: number,
    value: number,
    end: number,
  ): number {
    switch (length) {
      case 4:
        if (!matchesFolded(bytes, name, name + 4, "host")) return 0;
        if (++this.hosts > 1) return -400;
        if (endOfAuthority(bytes, value, end) !== end) return -400;
        this.hostStart = value - start;
        this.hostEnd = end - start;
        return 0;
      case 6:
        if (!matchesFolded(bytes, name, name + 6, "expect")) return 0;
        if (end - value !== 12 || !matchesFolded(bytes, value, end, "100-continue")) return -417;
        this.expectsContinue = true;
        return 0;
      case 10:
        return matchesFolded(bytes, name, name + 10, "connection") ? this.interpretConnection(bytes, value, end) : 0;
      case 5:
        if (matchesFolded(bytes, name, name + 5, "range")) this.conditional = true;
        return 0;
      case 8: // If-Match, If-Range
      case 13: // If-None-Match
      case 19: // If-Unmodified-Since
        if (matchesFolded(bytes, name, name + 3, "if-")) this.conditional = true;
        return 0;
      case 14:
        return matchesFolded(bytes, name, name + 14, "content-length") ? this.interpretLength(bytes, value, end) : 0;
      case 17:
        if (matchesFolded(bytes, name, name + 17, "transfer-encoding"))
          return this.interpretEncoding(bytes, value, end);
        if (matchesFolded(bytes, name, name + 17, "if-modified-since")) this.conditional = true;
        return 0;
      default:
        return 0;
    }
  }

  private interpretConnection(bytes: Uint8Array, value: number, end: number): number {
    for (let at = value; at < end;) {
      let stop = at;
      while (stop < end && bytes[stop] !== COMMA) stop++;
      let last = stop;
      while (at < last && (bytes[at] === SP || bytes[at] === TAB)) at++;
      while (last > at && (bytes[last - 1] === SP || bytes[last - 1] === TAB)) last--;
      if (last - at === 5 && matchesFolded(bytes, at, last, "close")) this.connectionClose = true;
      if (last - at === 10 && matchesFolded(bytes, at, last, "keep-alive")) this.connectionKeepAlive = true;
      at = stop + 1;
    }
    return 0;
  }

  /**
   * One decimal number. Repeated fields are refused, though RFC 9112 section 6.3 allows equal ones.
   */
  private interpretLength(bytes: Uint8Array, value: number, end: number): number {
    if (this.contentLength >= 0 || value === end) return -400;
    let length = 0;
    for (let at = value; at < end; at++) {
      const digit = bytes[at]! - 48;
      if (digit < 0 || digit > 9) return -400;
      length = length * 10 + digit;
      if (length > Number.MAX_SAFE_INTEGER) return -413;
    }
    this.contentLength = length;
    return 0;
  }

  /**
   * Accepts chunked, once and alone. A coding before it is not implemented (501). Without chunked
   * at the end, the body's end is open; chunked twice is forbidden (400, RFC 9112 section 6.1).
   */
  private interpretEncoding(bytes: Uint8Array, value: number, end: number): number {
    if (this.transferEncoded) return -400;
    this.transferEncoded = true;
    if (end - value === 7 && matchesFolded(bytes, value, end, "chunked")) {
      this.chunked = true;
      return 0;
    }
    let timesChunked = 0;
    let isChunked = false;
    for (let at = value; at <= end;) {
      let stop = at;
      while (stop < end && bytes[stop] !== COMMA) stop++;
      let last = stop;
      while (at < last && (bytes[at] === SP || bytes[at] === TAB)) at++;
      while (last > at && (bytes[last - 1] === SP || bytes[last - 1] === TAB)) last--;
      isChunked = last - at === 7 && matchesFolded(bytes, at, last, "chunked");
      if (isChunked) timesChunked++;
      at = stop + 1;
    }
    return isChunked && timesChunked === 1 ? -501 : -400;
  }

  /** Checks what only the whole head shows. */
  protected finish(bytes: Uint8Array, start: number): number {
    if (this.chunked && (this.contentLength >= 0 || this.minorVersion === 0)) return -400;
    if (this.hosts === 0 && this.minorVersion > 0) return -400;
    if (this.pathStart > this.targetStart) {
      // The Host field is ignored (RFC 9112 section 3.2.2). The authority follows the scheme's two
      // slashes.
      this.hostStart = bytes.indexOf(SLASH, start + this.targetStart) + 2 - start;
      this.hostEnd = this.pathStart;
    }
    this.keepAlive = !this.connectionClose && (this.minorVersion > 0 || this.connectionKeepAlive);
    if (this.minorVersion === 0) this.expectsContinue = false; // RFC 9110 section 10.1.1
    return 0;
  }
}

/**
 * Returns the position after uri-host [ ":" port ] (RFC 3986 sections 3.2.2 and 3.2.3). The host
 * must not be empty. Stops before a lone "%", before a bracket that is not closed, and before a
 * port without a host.
 */
function endOfAuthority(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (at < end && bytes[at] === OPENING_BRACKET) {
    do at++;
    while (at < end && ((byteClass[bytes[at]!]! & HOST) !== 0 || bytes[at] === COLON));
    if (at === end || bytes[at] !== CLOSING_BRACKET || at === start + 1) return start;
    at++;
  } else {
    while (at < end) {
      if ((byteClass[bytes[at]!]! & HOST) !== 0) at++;
      else if (bytes[at] === PERCENT && at + 2 < end && isHexDigit(bytes[at + 1]!) && isHexDigit(bytes[at + 2]!))
        at += 3;
      else break;
    }
  }
  if (at === start || at === end || bytes[at] !== COLON) return at;
  do at++;
  while (at < end && bytes[at]! >= 48 && bytes[at]! <= 57);
  return at;
}

function isHexDigit(byte: number): boolean {
  return (byte >= 48 && byte <= 57) || ((byte | 32) >= 97 && (byte | 32) <= 102);
}

/** Returns whether the bytes are exactly `text`. */
export function matches(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Returns whether the bytes begin with `text`, in any case. `text` is in lower case. */
export function matchesFolded(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start < text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i]!;
    const folded = byte >= 65 && byte <= 90 ? byte | 32 : byte;
    if (folded !== text.charCodeAt(i)) return false;
  }
  return true;
}
