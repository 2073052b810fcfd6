/** Conditional and range requests (RFC 9110 sections 13 and 14), decided from a request's fields and the resource's validators. */

/** What tells whether a client's copy is current. */
export interface Validators {
  /** An entity tag with its quotes, `W/` before it if it is weak. */
  etag?: string | undefined;
  /** Milliseconds since 1970; whole seconds count. */
  lastModifiedMs?: number | undefined;
}

/** Section 13.2.2, for GET and HEAD. */
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

/** The first byte and the one after the last. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * The one range that is asked for of a representation of `bytes` bytes. Undefined where all of it is to be sent: no Range, one that is not
 * understood, several (section 14.2 allows to ignore those), or an If-Range that does not hold.
 */
export function requestedRange(
  headers: Headers,
  bytes: number,
  validators: Validators,
): ByteRange | "none" | undefined {
  // As in Bun, with white space between any two of its parts.
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

/** If-Range (section 13.1.5): the strong tag, or exactly the date. */
function holds(ifRange: string, { etag, lastModifiedMs }: Validators): boolean {
  if (ifRange.startsWith('"')) return ifRange === etag;
  return lastModifiedMs !== undefined && dateOf(ifRange) === wholeSeconds(lastModifiedMs);
}

/** Whether a list of entity tags, or `*`, names the one that is there. The strong comparison takes no weak ones (section 8.8.3.2). */
function listsTag(list: string, etag: string | undefined, strong: boolean): boolean {
  if (list.trim() === "*") return true;
  if (etag === undefined || (strong && etag.startsWith("W/"))) return false;
  const opaque = (tag: string): string => (strong ? tag : tag.replace(/^W\//, ""));
  return (list.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => opaque(tag) === opaque(etag));
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** An HTTP date in milliseconds; undefined for what is none, which is to be ignored. */
function dateOf(text: string | null): number | undefined {
  const ms = text === null ? NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
