/**
 * Finds out why the parser has refused a head, for the metrics. The parser itself gives only a
 * status, so that its hot path stays small. This parses the head once more, line by line. The cost
 * is that of the head's bytes, once for each connection that ends by it.
 */
import type { RefusalReason } from "../reactor/traffic.ts";
import { INCOMPLETE, matchesFolded, type ParserLimits, RequestParser } from "./parser.ts";

const CR = 13;
const LF = 10;

/** Fields whose values decide about a request, and why a wrong one is refused. */
const fields: readonly [prefix: string, reason: RefusalReason][] = [
  ["host:", "host"],
  ["content-length:", "content_length"],
  ["transfer-encoding:", "transfer_encoding"],
];

/** Reasons that the status alone tells. */
const byStatus: Record<number, RefusalReason> = { 414: "target", 417: "expect", 505: "version" };

/** `status` is the answer to the head that begins at `start`. */
export function reasonOfHead(
  status: number,
  limits: ParserLimits,
  bytes: Uint8Array,
  start: number,
  end: number,
): RefusalReason {
  const known = byStatus[status];
  if (known !== undefined) return known;
  const parser = new RequestParser(limits);
  let line = start;
  for (;;) {
    const lf = bytes.indexOf(LF, line);
    const stop = lf < 0 || lf >= end ? end : lf + 1;
    const result = line === start ? parser.parse(bytes, start, stop) : parser.resume(bytes, start, stop);
    if (result !== INCOMPLETE || stop === end) {
      if (status === 431) return stop - start < limits.headerBytesMax ? "fields" : "head";
      if (parser.headersStart === 0) return status === 501 ? "method" : "request_line";
      return reasonOfLine(parser, bytes, line, stop);
    }
    line = stop;
  }
}

/** Returns the reason for a line after the request line. */
function reasonOfLine(parser: RequestParser, bytes: Uint8Array, line: number, stop: number): RefusalReason {
  const { chunked, contentLength, minorVersion } = parser;
  // The empty line: the fields do not go together, or one is missing.
  if (bytes[line] === CR && bytes[line + 1] === LF)
    return chunked && (contentLength >= 0 || minorVersion === 0) ? "transfer_encoding" : "host";
  return fields.find(([prefix]) => matchesFolded(bytes, line, stop, prefix))?.[1] ?? "field";
}

/** Why a body is refused with this status. */
export function reasonOfBody(status: number): RefusalReason {
  return status === 431 ? "trailers" : "body";
}
