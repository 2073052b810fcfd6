/**
 * The fields of a request as node:http shows them: `rawHeaders`, and `headers` with Node's rules for fields that come more
 * than once (the documentation of message.headers).
 */

/** What becomes of a second field of the same name. */
const enum Rule {
  /** Joined by ", ". */
  List,
  /** Joined by "; ". */
  Cookie,
  /** The first counts. */
  First,
  /** An array. */
  SetCookie,
}

const firstCounts = (
  "age authorization content-length content-type etag expires from host if-modified-since if-unmodified-since " +
  "last-modified location max-forwards proxy-authorization referer retry-after server user-agent"
).split(" ");
const rules = new Map<string, Rule>([
  ...firstCounts.map((name): [string, Rule] => [name, Rule.First]),
  ["cookie", Rule.Cookie],
  ["set-cookie", Rule.SetCookie],
]);

/** A name as it was written: in lower case, and its rule. */
interface Name {
  lower: string;
  rule: Rule;
}
const names = new Map<string, Name>();
/** Names that are remembered. Clients can make up more. */
const NAMES_MAX = 512;

function nameOf(written: string): Name {
  const known = names.get(written);
  if (known !== undefined) return known;
  const lower = written.toLowerCase();
  const name = { lower, rule: rules.get(lower) ?? Rule.List };
  if (names.size < NAMES_MAX && written.length <= 64) names.set(written, name);
  return name;
}

/** Calls `take` with each line of a head or of trailers, from `start` to `end`, the empty line not among them. */
function eachField(text: string, start: number, end: number, take: (name: string, value: string) => void): void {
  for (let at = start; at < end;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd <= at || lineEnd >= end) return;
    const colon = text.indexOf(":", at);
    let value = colon + 1;
    while (value < lineEnd && isBlank(text.charCodeAt(value))) value++;
    let valueEnd = lineEnd;
    while (valueEnd > value && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
    take(text.slice(at, colon), text.slice(value, valueEnd));
    at = lineEnd + 2;
  }
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

/** [name, value, name, value, ...] */
export function rawFields(text: string, start: number, end: number): string[] {
  const raw: string[] = [];
  eachField(text, start, end, (name, value) => raw.push(name, value));
  return raw;
}

/** As Node's `headers`, names in lower case. */
export function fieldsObject(text: string, start: number, end: number): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  eachField(text, start, end, (written, value) => {
    const { lower, rule } = nameOf(written);
    const before = fields[lower];
    switch (rule) {
      case Rule.First:
        if (before === undefined) fields[lower] = value;
        return;
      case Rule.SetCookie:
        if (before === undefined) fields[lower] = [value];
        else (before as string[]).push(value);
        return;
      default: // What is no string is of Object.prototype: "constructor".
        fields[lower] = typeof before === "string" ? `${before}${rule === Rule.Cookie ? "; " : ", "}${value}` : value;
    }
  });
  return fields;
}
