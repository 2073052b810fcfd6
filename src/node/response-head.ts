/**
 * The head of a response of node:http: the program's fields, the fields that node:http leaves to
 * the server, and the framing of the body (RFC 9112 section 6).
 */
import { withCode } from "../sys/check.ts";
import { STATUS_CODES } from "node:http";
import { AutoField, FRAMED_AS_NONE, FRAMED_BY_CLOSE, FRAMING_FIELD } from "./contract.ts";

/** The ways to delimit the body of a response. */
export const Framing = {
  /** By Content-Length, or not at all. The program's bytes are sent as they are. */
  Plain: 0,
  Chunked: 1,
  /** By the end of the connection. */
  Close: 2,
  /** There is no body. */
  None: 3,
} as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

/**
 * A head without its empty line. If `isFramed` is false, Content-Length or Transfer-Encoding must
 * still be added.
 */
export interface Head {
  text: string;
  framing: Framing;
  isFramed: boolean;
}

/** Matches a character that a reason phrase must not have. Node checks the same characters. */
const invalidReason = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Renders a head. `fields` is [name, value, ...]. `auto` has bits of AutoField. `timeoutSecs` is
 * the timeout that Keep-Alive states, in seconds. Throws a TypeError with the code ERR_INVALID_CHAR
 * for a reason that cannot be sent.
 */
export function renderHead(
  status: number,
  reason: string | undefined,
  fields: readonly string[],
  auto: number,
  timeoutSecs: number,
  dates: AutoFields,
): Head {
  let text: string;
  if (status === 200 && (reason === undefined || reason === "OK")) text = "HTTP/1.1 200 OK\r\n";
  else {
    const phrase = reason === undefined || reason === "" ? (STATUS_CODES[status] ?? "unknown") : reason;
    if (invalidReason.test(phrase))
      throw withCode("ERR_INVALID_CHAR", new TypeError("Invalid character in statusMessage"));
    text = `HTTP/1.1 ${status} ${phrase}\r\n`;
  }
  let framing: Framing = Framing.Plain;
  let isFramed = false;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i]!;
    const value = fields[i + 1]!;
    if (name === FRAMING_FIELD) {
      if (value === FRAMED_AS_NONE) framing = Framing.None;
      else if (value === FRAMED_BY_CLOSE && framing === Framing.Plain) framing = Framing.Close;
      continue;
    }
    text += `${name}: ${value}\r\n`;
    if (name.length === 14 && name.toLowerCase() === "content-length") isFramed = true;
    else if (name.length === 17 && name.toLowerCase() === "transfer-encoding") {
      isFramed = true;
      if (framing === Framing.Plain && /\bchunked\b/i.test(value)) framing = Framing.Chunked;
    }
  }
  text += dates.render(auto & ~AutoField.Chunked, timeoutSecs);
  if ((auto & AutoField.Chunked) !== 0 && !isFramed) {
    isFramed = true;
    text += "Transfer-Encoding: chunked\r\n";
    if (framing === Framing.Plain) framing = Framing.Chunked;
  }
  return { text, framing, isFramed: isFramed || framing !== Framing.Plain };
}

/** Renders the lines of AutoField, and reuses them while they stay the same: for one second. */
export class AutoFields {
  private readonly date: () => string;
  private lastDate = "";
  private lastAuto = -1;
  private lastSecs = -1;
  private lines = "";

  /** `date` returns the current value of the Date field: the same string for one second. */
  constructor(date: () => string) {
    this.date = date;
  }

  render(auto: number, timeoutSecs: number): string {
    const date = this.date();
    if (date !== this.lastDate || auto !== this.lastAuto || timeoutSecs !== this.lastSecs) {
      this.lastDate = date;
      this.lastAuto = auto;
      this.lastSecs = timeoutSecs;
      this.lines =
        ((auto & AutoField.Date) !== 0 ? `Date: ${date}\r\n` : "") +
        ((auto & AutoField.KeepAlive) !== 0 ? "Connection: keep-alive\r\n" : "") +
        ((auto & AutoField.Close) !== 0 ? "Connection: close\r\n" : "") +
        ((auto & AutoField.KeepAliveTimeout) !== 0 ? `Keep-Alive: timeout=${timeoutSecs}\r\n` : "");
    }
    return this.lines;
  }
}
