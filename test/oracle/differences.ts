/**
 * The list of allowed differences between ringloop's parser and llhttp. compare.ts allows no
 * others.
 *
 * An entry describes the bytes that decide. The comparison finds the shortest beginning of the
 * message that the parser refuses, and the entry describes the end of that beginning. So an entry
 * explains only one mistake.
 */
import { HEADER_FIELDS_MAX } from "../../src/http/parser.ts";
import type { Message } from "./reading.ts";
import { HEADER_BYTES_MAX } from "./ringloop.ts";

interface Difference {
  /** The name in the table of docs/compatibility.md. */
  name: string;
  /**
   * The section that asks for ringloop's behaviour or allows it. Of RFC 9112 if it names no other.
   */
  section: string;
}

export interface Refusal extends Difference {
  /** The status of ringloop, or the beginning of llhttp's reason. */
  reason: string;
  /**
   * Whether the entry is the reason why the message is refused. `refused` is the beginning of the
   * message, with the byte at which it is refused.
   */
  explains(refused: string): boolean;
}

export interface Interpretation extends Difference {
  /**
   * Whether the entry is the reason why only one of the two parsers keeps the connection open after
   * the message. `raw` is the message as it was sent.
   */
  explains(raw: string, ours: Message): boolean;
}

// ---- predicates for the entries -----------------------------------------------------------------

type Predicate = (refused: string) => boolean;

/** uri-host [ ":" port ] of RFC 3986, with a host that is not empty. */
const REG_NAME = "(?:[A-Za-z0-9\\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+";
const AUTHORITY = `(?:\\[[A-Za-z0-9\\-._~!$&'()*+,;=:]+\\]|${REG_NAME})(?::[0-9]*)?`;

const TARGET = '[!-"$-~\x80-\xff]+';

/**
 * The message is refused in its request line. `pattern` matches the part of the line after the
 * method and a space.
 */
function inRequestLine(pattern: string): Predicate {
  const whole = new RegExp(`^(?:\r\n)*[A-Z-]+ (?:${pattern})$`);
  return (refused) => whole.test(refused);
}

/** The message is refused for its target, when the request line is complete. */
function forTarget(pattern: string): Predicate {
  return inRequestLine(`(?:${pattern}) HTTP/1\\.[0-9]\r\n`);
}

interface Head {
  line: string;
  fields: [name: string, value: string][];
  /** The text after the complete lines: the end of the head, and the body so far. */
  rest: string;
}

function parseHead(text: string): Head {
  const [, line, fields, rest] = /^(?:\r\n)*([^\r\n]+)\r\n((?:[^\r\n]+\r\n)*)([^]*)$/.exec(text) ?? ["", "", "", ""];
  return { line: line!, fields: fields!.split("\r\n").slice(0, -1).map(splitField), rest: rest! };
}

function splitField(line: string): [name: string, value: string] {
  const [, name, value] = /^([^:]*):[ \t]*(.*?)[ \t]*$/.exec(line) ?? ["", line, ""];
  return [name!.toLowerCase(), value!];
}

function valuesOf(head: Head, name: string): string[] {
  return head.fields.filter((field) => field[0] === name).map((field) => field[1]);
}

/**
 * The message is refused for the last field so far, which has this name. `former` has the earlier
 * values of the field.
 */
function forField(name: string, explains: (value: string, former: string[]) => boolean): Predicate {
  return (refused) => {
    const head = parseHead(refused);
    if (head.rest !== "" || head.fields.at(-1)?.[0] !== name) return false;
    const values = valuesOf(head, name);
    return explains(values.at(-1)!, values.slice(0, -1));
  };
}

/** The message is refused when its head is complete. */
function atEndOfHead(explains: (head: Head) => boolean): Predicate {
  return (refused) => {
    const head = parseHead(refused);
    return head.rest === "\r\n" && explains(head);
  };
}

/** The message is refused in its chunked body. `pattern` matches the last lines so far. */
function inChunks(pattern: string): Predicate {
  const end = new RegExp(`\r\n(?:${pattern})$`, "i");
  return (refused) => {
    const head = parseHead(refused);
    return valuesOf(head, "transfer-encoding").length > 0 && head.rest.startsWith("\r\n") && end.test(head.rest);
  };
}

const LAST_CHUNK = "0+(?:;[^\r\n]*)?\r\n";
const FIELD_LINES = "(?:[^\r\n]+\r\n)*";

function hasOption(head: Head, option: string): boolean {
  return valuesOf(head, "connection").some((value) =>
    value
      .toLowerCase()
      .split(/[ \t]*,[ \t]*/)
      .includes(option),
  );
}

/** Returns the head as it was sent, without the empty line at its end. */
function rawHead(raw: string): string {
  const text = raw.replace(/^(?:\r\n)+/, "");
  return text.slice(0, text.indexOf("\r\n\r\n") + 2);
}

function hasTabAfterChunked(raw: string): boolean {
  return /\r\ntransfer-encoding:[ \t]*chunked *\t[ \t]*\r\n/i.test(rawHead(raw));
}

const isEndOfHead = (refused: string): boolean => parseHead(refused).rest === "\r\n";

// ---- the list -----------------------------------------------------------------------------------

/** Messages that only ringloop refuses. */
export const refusedByRingloop: readonly Refusal[] = [
  {
    name: "a bare CR or LF before a request",
    section: "2.2",
    reason: "400",
    explains: (refused) => /^(?:\r\n)*(?:\n|\r[^\n])$/.test(refused),
  },
  {
    name: "more than four empty lines before a request",
    section: "2.2",
    reason: "400",
    explains: (refused) => refused === "\r\n".repeat(5),
  },
  {
    name: "methods that are not served",
    section: "RFC 9110 9.1",
    reason: "501",
    explains: (refused) => /^(?:\r\n)*(?:CONNECT|PRI) [^ ]+ HTTP\/1\.\d\r\n$/.test(refused),
  },
  { name: "RTSP and ICE", section: "2.3", reason: "400", explains: inRequestLine(`${TARGET} [RI]`) },
  { name: "a request line without a version", section: "3", reason: "400", explains: inRequestLine(`${TARGET}[\r\n]`) },
  {
    name: "versions 0.9 and 2.0",
    section: "RFC 9110 15.6.6",
    reason: "505",
    explains: inRequestLine(`${TARGET} HTTP/(?:0\\.9|2\\.0)\r\n`),
  },
  {
    name: "several spaces in the request line",
    section: "3",
    reason: "400",
    explains: inRequestLine(` |${TARGET} {2}`),
  },
  { name: "a fragment in the target", section: "3.2", reason: "400", explains: inRequestLine(`(?:${TARGET})?#`) },
  { name: "an asterisk without OPTIONS", section: "3.2.4", reason: "400", explains: forTarget("\\*[^ ]*") },
  {
    name: "a target of another scheme",
    section: "RFC 9110 7.4",
    reason: "400",
    explains: forTarget("(?![hH][tT][tT][pP][sS]?:)[a-zA-Z]+://[^ ]*"),
  },
  {
    name: "a target without a host",
    section: "RFC 9110 4.2.1",
    reason: "400",
    explains: forTarget("[hH][tT][tT][pP][sS]?://(?:[:/?][^ ]*)?"),
  },
  {
    name: "a user in the target",
    section: "RFC 9110 4.2.4",
    reason: "400",
    explains: forTarget("[hH][tT][tT][pP][sS]?://[^ /?]*@[^ ]*"),
  },
  {
    name: "a target with what no host has",
    section: "RFC 9110 4.2.1",
    reason: "400",
    explains: forTarget(`[hH][tT][tT][pP][sS]?://(?!${AUTHORITY}[/? ])[^ /?@]+(?:[/?][^ ]*)?`),
  },
  {
    name: "no Host",
    section: "3.2",
    reason: "400",
    explains: atEndOfHead((head) => valuesOf(head, "host").length === 0),
  },
  {
    name: "several Hosts",
    section: "3.2",
    reason: "400",
    explains: forField("host", (_, former) => former.length > 0),
  },
  {
    name: "a Host with what no host has",
    section: "3.2",
    reason: "400",
    explains: forField("host", (value) => value !== "" && !new RegExp(`^${AUTHORITY}$`).test(value)),
  },
  {
    name: "another expectation",
    section: "RFC 9110 10.1.1",
    reason: "417",
    explains: forField("expect", (value) => value.toLowerCase() !== "100-continue"),
  },
  {
    name: "a coding before chunked",
    section: "6.1",
    reason: "501",
    explains: forField("transfer-encoding", (value) => /,[ \t]*chunked$/i.test(value)),
  },
  {
    name: "a coding without chunked after it",
    section: "6.3",
    reason: "400",
    explains: forField("transfer-encoding", (value) => !/(?:^|,)[ \t]*chunked$/i.test(value)),
  },
  {
    name: "several Transfer-Encodings",
    section: "6.1",
    reason: "400",
    explains: forField("transfer-encoding", (_, former) => former.length > 0),
  },
  {
    name: "Transfer-Encoding in version 1.0",
    section: "6.1",
    reason: "400",
    explains: atEndOfHead((head) => head.line.endsWith(" HTTP/1.0") && valuesOf(head, "transfer-encoding").length > 0),
  },
  {
    name: "a Content-Length of 2^53 or more",
    section: "RFC 9110 8.6",
    reason: "413",
    explains: forField("content-length", (value) => BigInt(value) > Number.MAX_SAFE_INTEGER),
  },
  {
    name: "a long head",
    section: "RFC 9110 5.4",
    reason: "431",
    explains: (refused) => refused.length === HEADER_BYTES_MAX && !isEndOfHead(refused),
  },
  {
    name: "a long request line",
    section: "3",
    reason: "414",
    explains: (refused) => refused.length === HEADER_BYTES_MAX && /^(?:\r\n)*[^\r\n]+\r?$/.test(refused),
  },
  {
    name: "more than 198 fields",
    section: "RFC 9110 5.4",
    reason: "431",
    explains: (refused) => refused.endsWith("\r\n") && parseHead(refused).fields.length === HEADER_FIELDS_MAX + 1,
  },
  { name: "a chunk size of more than 13 digits", section: "7.1", reason: "400", explains: inChunks("[0-9a-f]{14}") },
  {
    name: "a chunk extension without a name or a value",
    section: "7.1.1",
    reason: "400",
    explains: inChunks('[0-9a-f]+;(?:[^\r\n]*;)?(?:=|;|[^;="\r\n]+=[;\r])'),
  },
  {
    name: "a quote within the value of a chunk extension",
    section: "7.1.1",
    reason: "400",
    explains: inChunks('[0-9a-f]+;[^\r\n]*=[^;="\r\n]+"'),
  },
  {
    name: "DEL in a quoted chunk extension",
    section: "7.1.1",
    reason: "400",
    explains: inChunks('[0-9a-f]+;[^\r\n]*="[^\r\n]*\x7f'),
  },
  {
    name: "long chunk extensions",
    section: "7.1.1",
    reason: "400",
    explains: inChunks("[0-9a-f]+;[^\r\n]{16384,}"),
  },
  {
    name: "long trailers",
    section: "RFC 9110 5.4",
    reason: "431",
    explains: inChunks(`${LAST_CHUNK}(?=[^]{${HEADER_BYTES_MAX}})${FIELD_LINES}[^\r\n]+`),
  },
  {
    name: "more than 198 trailers",
    section: "RFC 9110 5.4",
    reason: "431",
    explains: inChunks(`${LAST_CHUNK}(?:[^\r\n]+\r\n){${HEADER_FIELDS_MAX}}[^\r\n]`),
  },
];

/** Messages that only llhttp refuses. */
export const refusedByLlhttp: readonly Refusal[] = [
  {
    name: "versions 1.2 to 1.9",
    section: "RFC 9110 2.5",
    reason: "Invalid HTTP version",
    explains: inRequestLine(`${TARGET} HTTP/1\\.[2-9].?`),
  },
  {
    name: "bytes beyond ASCII in the target",
    section: "RFC 9110 4.1",
    reason: "Invalid char in url",
    explains: inRequestLine(`(?:${TARGET})?[\x80-\xff]`),
  },
  {
    name: "a tab after a Content-Length",
    section: "RFC 9110 5.6.3",
    reason: "Invalid character in Content-Length",
    explains: (refused) => /\r\ncontent-length:[ \t]*[0-9]+ *\t$/i.test(refused),
  },
  {
    name: "a tab after chunked",
    section: "RFC 9110 5.6.3",
    reason: "Request has invalid `Transfer-Encoding`",
    explains: (refused) => isEndOfHead(refused) && hasTabAfterChunked(refused),
  },
  {
    name: "white space in chunk extensions",
    section: "7.1.1",
    reason: "Invalid character in chunk extensions",
    explains: inChunks("[0-9a-f]+;[^\r\n]*[ \t]"),
  },
  {
    name: "framing fields in trailers",
    section: "7.1.2",
    reason: "Content-Length can't be present with Transfer-Encoding",
    explains: inChunks(`${LAST_CHUNK}${FIELD_LINES}content-length:?`),
  },
  {
    name: "framing fields in trailers",
    section: "7.1.2",
    reason: "Invalid `Transfer-Encoding` header value",
    explains: inChunks(`${LAST_CHUNK}${FIELD_LINES}transfer-encoding:[^\r\n]*(?:\r\n)?[^]?`),
  },
];

/** Messages after which only one of the two parsers keeps the connection open. */
export const keptAliveByOne: readonly Interpretation[] = [
  {
    name: "a tab after a connection option",
    section: "RFC 9110 5.6.3",
    explains: (raw) =>
      /\r\n(?:proxy-)?connection:(?:[^\r\n]*,)?[ \t]*(?:close|keep-alive) *\t[ \t]*(?:,|\r\n)/i.test(rawHead(raw)),
  },
  {
    name: "close and keep-alive in version 1.0",
    section: "9.3",
    explains(raw, ours) {
      const head = parseHead(raw);
      return ours.version === "1.0" && !ours.keepAlive && hasOption(head, "close") && hasOption(head, "keep-alive");
    },
  },
  {
    name: "Proxy-Connection",
    section: "C.2.2",
    explains: (raw) =>
      /\r\nproxy-connection:(?:[^\r\n]*,)?[ \t]*(?:close|keep-alive)[ \t]*(?:,|\r\n)/i.test(rawHead(raw)),
  },
  {
    name: "Connection in trailers",
    section: "7.1.2",
    explains: inChunks(
      `${LAST_CHUNK}${FIELD_LINES}(?:proxy-)?connection:(?:[^\r\n]*,)?[ \t]*(?:close|keep-alive)[ \t]*(?:,[^\r\n]*)?\r\n${FIELD_LINES}\r\n`,
    ),
  },
];

/**
 * Messages that llhttp ends with their head. The tab keeps it from seeing a chunked body, and
 * Upgrade keeps it from refusing the message.
 */
export const withoutBody: Difference & { explains(raw: string): boolean } = {
  name: "a tab after chunked",
  section: "RFC 9110 5.6.3",
  explains(raw) {
    const head = parseHead(raw);
    return (
      head.rest === "\r\n" &&
      hasTabAfterChunked(raw) &&
      hasOption(head, "upgrade") &&
      valuesOf(head, "upgrade").length > 0
    );
  },
};
