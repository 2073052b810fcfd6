/**
 * The head of a response of node:http: what the program has set, the fields that node:http leaves to whoever writes it, and
 * how the body is framed (RFC 9112 section 6).
 */
import { STATUS_CODES } from "node:http";
import { AutoField, FRAMED_AS_NONE, FRAMED_BY_CLOSE, FRAMING_FIELD } from "./contract.ts";

/** How a response's body is delimited. */
export const Framing = {
  /** By Content-Length, or by nobody: nothing is added to what the program writes. */
  Plain: 0,
  Chunked: 1,
  /** By the connection's end. */
  Close: 2,
  /** There is no body. */
  None: 3,
} as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

/** A head but for Content-Length or Transfer-Encoding, where `isFramed` is false, and the empty line. */
export interface Head {
  text: string;
  framing: Framing;
  isFramed: boolean;
}

/** What has no characters that end a line or mean nothing in one. As Node checks it. */
const invalidReason = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * `fields` is [name, value, ...], `auto` bits of AutoField, `timeoutSecs` for Keep-Alive. Throws a TypeError with the code
 * ERR_INVALID_CHAR for a reason that cannot be sent.
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
      throw Object.assign(new TypeError("Invalid character in statusMessage"), { code: "ERR_INVALID_CHAR" });
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

/** The lines of AutoField, which are the same for a second. */
export class AutoFields {
  private readonly date: () => string;
  private lastDate = "";
  private lastAuto = -1;
  private lastSecs = -1;
  private lines = "";

  /** `date` gives the current Date field's value, the same string for a second. */
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
