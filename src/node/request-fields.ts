/**
 * The fields of a request as node:http shows them: `rawHeaders` and `headers`. `headers` follows
 * Node's rules for repeated fields (Node's documentation of message.headers).
 */

/** What happens to the values of fields of the same name. */
const enum Rule {
  /** The values are joined by ", ". */
  List,
  /** The values are joined by "; ". */
  Cookie,
  /** The first value counts. */
  First,
  /** The values are in an array. */
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

/** A field name in lower case, and its rule. */
interface Name {
  lower: string;
  rule: Rule;
}
/** Names by their written form. */
const names = new Map<string, Name>();
/** Largest number of names in `names`, because clients can invent any number of names. */
const NAMES_MAX = 512;

function nameOf(written: string): Name {
  const known = names.get(written);
  if (known !== undefined) return known;
  const lower = written.toLowerCase();
  const name = { lower, rule: rules.get(lower) ?? Rule.List };
  if (names.size < NAMES_MAX && written.length <= 64) names.set(written, name);
  return name;
}

/**
 * Calls `take` with the name and the value of each line from `start` to `end`. The text is a head
 * or trailers. Stops at the empty line.
 */
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

/** Returns the fields as [name, value, name, value, ...]. */
export function rawFields(text: string, start: number, end: number): string[] {
  const raw: string[] = [];
  eachField(text, start, end, (name, value) => raw.push(name, value));
  return raw;
}

/** Returns the fields as Node's `headers`, with the names in lower case. */
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
      default: // A value that is no string is inherited from Object.prototype: "constructor".
        fields[lower] = typeof before === "string" ? `${before}${rule === Rule.Cookie ? "; " : ", "}${value}` : value;
    }
  });
  return fields;
}
