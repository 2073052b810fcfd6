/**
 * Conditional requests and range requests (RFC 9110 sections 13 and 14). The decision depends on
 * the fields of the request and on the validators of the resource.
 */

/** The values that tell whether a client's copy is current. */
export interface Validators {
  /** An entity tag with its quotes. A weak tag starts with `W/`. */
  etag?: string | undefined;
  /** Time of the last change, in milliseconds since 1970. Comparisons use whole seconds. */
  lastModifiedMs?: number | undefined;
}

/** The result of the conditions of a GET or HEAD (RFC 9110 section 13.2.2). */
export type Verdict = "proceed" | "not modified" | "failed";

export function judgeConditions(headers: Headers, { etag, lastModifiedMs }: Validators): Verdict {
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null) {
    if (!listsTag(ifMatch, etag, true)) return "failed";
  } else if (lastModifiedMs !== undefined) {
    const limit = dateOf(headers.get("if-unmodified-since"));
    if (limit !== undefined && wholeSeconds(lastModifiedMs) > limit) return "failed";
  }
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null) return listsTag(ifNoneMatch, etag, false) ? "not modified" : "proceed";
  const since = dateOf(headers.get("if-modified-since"));
  if (since === undefined || lastModifiedMs === undefined) return "proceed";
  return wholeSeconds(lastModifiedMs) <= since ? "not modified" : "proceed";
}

/** A range of bytes: the first position, and the position after the last. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * Returns the one range that the client asks for, of a representation of `bytes` bytes. Returns
 * "none" if the range lies outside of the representation.
 *
 * Returns undefined if the whole representation is to be sent. That is so without a Range field,
 * for a Range that is not understood, for several ranges (RFC 9110 section 14.2 allows to ignore
 * them), and if If-Range does not match.
 */
export function requestedRange(
  headers: Headers,
  bytes: number,
  validators: Validators,
): ByteRange | "none" | undefined {
  // As in Bun, white space may stand between any two parts.
  const pattern = /^bytes[ \t]*=[ \t]*(?:(\d+)[ \t]*)?-[ \t]*(?:(\d+)[ \t]*)?$/i;
  const [, first = "", last = ""] = pattern.exec(headers.get("range") ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const ifRange = headers.get("if-range");
  if (ifRange !== null && !holds(ifRange, validators)) return undefined;
  if (first === "") {
    const suffix = Math.min(Number(last), bytes);
    return suffix === 0 ? "none" : { start: bytes - suffix, end: bytes };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= bytes) return "none";
  return { start, end: last === "" ? bytes : Math.min(Number(last) + 1, bytes) };
}

/**
 * Whether If-Range matches (RFC 9110 section 13.1.5): with the same strong tag, or with exactly the
 * same date.
 */
function holds(ifRange: string, { etag, lastModifiedMs }: Validators): boolean {
  if (ifRange.startsWith('"')) return ifRange === etag;
  return lastModifiedMs !== undefined && dateOf(ifRange) === wholeSeconds(lastModifiedMs);
}

/**
 * Whether a list of entity tags, or `*`, contains the tag of the resource. The strong comparison
 * accepts no weak tag (RFC 9110 section 8.8.3.2).
 */
function listsTag(list: string, etag: string | undefined, strong: boolean): boolean {
  if (list.trim() === "*") return true;
  if (etag === undefined || (strong && etag.startsWith("W/"))) return false;
  const opaque = (tag: string): string => (strong ? tag : tag.replace(/^W\//, ""));
  return (list.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => opaque(tag) === opaque(etag));
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/**
 * Returns an HTTP date in milliseconds since 1970. Returns undefined for a text that is not a date;
 * such a field is ignored.
 */
function dateOf(text: string | null): number | undefined {
  const ms = text === null ? NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
