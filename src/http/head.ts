/**
 * The heads of responses: status line and fields (RFC 9112 sections 4 and 5, RFC 9110 section
 * 6.6.1).
 *
 * Guarantees: exactly one of Content-Length, chunked coding or the connection's end delimits the
 * body. Names and values come from a native Headers, which refuses CR, LF and NUL, so a response
 * cannot be split.
 */
import { writtenName, type WrittenNames } from "./field-names.ts";

export const TEXT_TYPE = "text/plain;charset=utf-8";
export const BYTES_TYPE = "application/octet-stream";
export const JSON_TYPE = "application/json;charset=utf-8";
/** Content-Type of a body in memory, unless the program sets another. */
export type PlainType = typeof TEXT_TYPE | typeof BYTES_TYPE | typeof JSON_TYPE;

/**
 * Header fields by name in lower case. Set-Cookie is an array, because its values must not be
 * joined.
 */
export type Fields = Record<string, string | string[]>;

/** The parts of a head that describe the response itself. */
export interface HeadParts {
  status: number;
  statusText: string;
  fields: Fields;
  /** The program's spelling of names that are not well known. */
  names?: WrittenNames | undefined;
  /** Content-Type if the fields have none; empty for none. */
  defaultType: string;
  /** Further whole lines, each with its CRLF. */
  moreLines: string;
}

/** The parts of a head that say where the body ends, and whether the connection stays open. */
export interface Framing {
  contentLength: number | undefined;
  chunked: boolean;
  keepAlive: boolean;
  http10: boolean;
}

/**
 * Fields that the program does not set: they concern this connection. And Set-Cookie, which is sent
 * before the others.
 */
const ownFields = new Set(["connection", "content-length", "keep-alive", "transfer-encoding", "set-cookie"]);

/** Returns a whole head. Throws a TypeError for a status that cannot be sent. */
export function buildHead(parts: HeadParts, framing: Framing, date: string): string {
  return headFields(parts, date) + framingLines(framing);
}

/**
 * Returns a head without the lines that frame the message: Set-Cookie first, then the fields in
 * their order, as in Bun. Throws a TypeError for a status that cannot be sent.
 */
export function headFields(parts: HeadParts, date: string): string {
  const { status, fields, names, defaultType } = parts;
  if (status < 100)
    throw new TypeError(
      "Cannot send a Response with status 0. HTTP status codes must be between 100 and 999 (Response.error() returns status 0).",
    );
  let head = `HTTP/1.1 ${status} ${reasonOf(parts)}\r\n`;
  let hasType = false;
  let hasDate = false;
  const cookies = fields["set-cookie"];
  if (cookies !== undefined) for (const each of [cookies].flat()) head += `set-cookie: ${each}\r\n`;
  for (const name in fields) {
    if (ownFields.has(name)) continue;
    head += `${writtenName(name, names)}: ${fields[name] as string}\r\n`;
    if (name === "content-type") hasType = true;
    else if (name === "date") hasDate = true;
  }
  head += parts.moreLines;
  if (!hasType && defaultType !== "") head += `Content-Type: ${defaultType}\r\n`;
  return hasDate ? head : `${head}Date: ${date}\r\n`;
}

/**
 * Returns the reason phrase. As in Bun, a text that cannot be sent (RFC 9112 section 4) is
 * replaced.
 */
function reasonOf({ status, statusText }: HeadParts): string {
  const isUsable = statusText !== "" && !/[^\t\x20-\x7e\x80-\xff]/.test(statusText);
  return isUsable ? statusText : (reasons[status] ?? "");
}

/** Returns the fields that frame the message, and the empty line. */
export function framingLines({ contentLength, chunked, keepAlive, http10 }: Framing): string {
  let lines = "";
  if (chunked) lines = "Transfer-Encoding: chunked\r\n";
  else if (contentLength !== undefined) lines = `Content-Length: ${contentLength}\r\n`;
  if (!keepAlive) lines += "Connection: close\r\n";
  else if (http10) lines += "Connection: keep-alive\r\n";
  return `${lines}\r\n`;
}

/** Returns whether responses with this status have no body (RFC 9110 section 6.4.1). */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304 || (status >= 100 && status < 200);
}

/**
 * Returns the Content-Length of a response without a body. A 205 has one, of 0 (RFC 9110 section
 * 15.3.6).
 */
export function bodilessLength(status: number): 0 | undefined {
  return status === 205 ? 0 : undefined;
}

/**
 * The current Date field, and whole heads that differ only in Date, Content-Type and
 * Content-Length.
 */
export class HeadCache {
  /** Value of performance.now() from which `text` is out of date. */
  private validUntilMs = -Infinity;
  private text = "";
  /** Heads by Content-Type, then by Content-Length. */
  private plain: Record<string, string[]> = {};
  /**
   * The last short text that was sent. `lastMessage`: head and text, once the text was sent twice.
   */
  private lastText: string | undefined;
  private lastType: PlainType | undefined;
  private lastMessage: string | undefined;

  /** Returns the date as an IMF-fixdate (RFC 9110 section 5.6.7). `nowMs` is performance.now(). */
  date(nowMs: number): string {
    if (nowMs >= this.validUntilMs) {
      // The clocks are compared again each second, so that a change of the wall clock shows.
      const wallMs = nowMs + Date.now() - performance.now();
      this.validUntilMs = nowMs + 1000 - (wallMs % 1000);
      this.text = new Date(wallMs).toUTCString();
      this.lastText = undefined;
      this.plain = { [TEXT_TYPE]: [], [JSON_TYPE]: [], [BYTES_TYPE]: [] };
    }
    return this.text;
  }

  /**
   * Returns the head of a 200 with a body of `bytes` bytes and no fields of its own. The connection
   * stays open.
   */
  of(nowMs: number, type: PlainType, bytes: number): string {
    const date = this.date(nowMs);
    const heads = this.plain[type]!;
    const cached = bytes < CACHED_LENGTHS ? heads[bytes] : undefined;
    if (cached !== undefined) return cached;
    const head = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nDate: ${date}\r\nContent-Length: ${bytes}\r\n\r\n`;
    if (bytes < CACHED_LENGTHS) heads[bytes] = head;
    return head;
  }

  /**
   * Returns head and text in one string if the same short text is sent again: many handlers have a
   * few constant answers. Returns undefined for another text than the last one, and for a text
   * beyond ASCII.
   */
  repeatedMessage(nowMs: number, type: PlainType, text: string): string | undefined {
    if (text.length > REPEATED_LENGTH_MAX) return undefined;
    this.date(nowMs); // Drops the message if it is out of date.
    if (text === this.lastText && type === this.lastType) {
      if (this.lastMessage === undefined && Buffer.byteLength(text) === text.length)
        this.lastMessage = this.of(nowMs, type, text.length) + text;
      return this.lastMessage;
    }
    this.lastText = text;
    this.lastType = type;
    this.lastMessage = undefined;
    return undefined;
  }
}

const REPEATED_LENGTH_MAX = 1024;
/**
 * Body lengths below this have their heads kept for a second, one head for each length and type.
 */
const CACHED_LENGTHS = 4096;

/** Reason phrases: RFC 9110 section 15 and the registry. */
export const reasons: Record<number, string> = {
  100: "Continue",
  101: "Switching Protocols",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  208: "Already Reported",
  226: "IM Used",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  305: "Use Proxy",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  418: "I'm a Teapot",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  506: "Variant Also Negotiates",
  507: "Insufficient Storage",
  508: "Loop Detected",
  510: "Not Extended",
  511: "Network Authentication Required",
};
