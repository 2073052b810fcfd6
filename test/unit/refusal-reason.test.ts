/** Why the parser refuses a head, as ringloop/metrics counts it. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { INCOMPLETE, RequestParser } from "../../src/http/parser.ts";
import { reasonOfHead } from "../../src/http/refusal-reason.ts";
import { refusalReasons } from "../../src/reactor/traffic.ts";
import { holds } from "./property.ts";

const limits = { headerBytesMax: 8192 };

/** Returns the status and the reason of a refused head, or undefined for another one. */
function refusalOf(text: string): [status: number, reason: string] | undefined {
  // What stands before and behind the head must not count.
  const memory = Buffer.from(`Host: b\r\n${text}\r\nHost: c\r\n\r\n`, "latin1");
  const start = "Host: b\r\n".length;
  const end = start + text.length;
  const status = -new RequestParser(limits).parse(memory, start, end);
  if (status <= 0 || status === -INCOMPLETE) return undefined;
  return [status, reasonOfHead(status, limits, memory, start, end)];
}

const get = (...lines: string[]): string => ["GET / HTTP/1.1", "Host: a", ...lines, "", ""].join("\r\n");

describe("a head is refused", () => {
  for (const [status, reason, text] of [
    [400, "request_line", "\x16\x03\x01\x02\x00"], // A client that speaks TLS.
    [400, "request_line", "GET  / HTTP/1.1\r\n\r\n"],
    [400, "request_line", "\r\n\r\nGET / HTTP/1.1\n"],
    [400, "request_line", "\r\n".repeat(9)],
    [400, "field", get("A : b")],
    [400, "field", get("A: b\0")],
    [400, "field", get(" folded")],
    [400, "field", get("Hosts: a", "Content-Length : 1")],
    [400, "field", get("\r")],
    [400, "host", "GET / HTTP/1.1\r\nA: b\r\n\r\n"],
    [400, "host", get("hOST: b")],
    [400, "host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"],
    [400, "content_length", get("Content-Length: 1", "content-length: 1")],
    [400, "content_length", get("Content-Length: -1")],
    [400, "transfer_encoding", get("Transfer-Encoding: gzip")],
    [400, "transfer_encoding", get("Transfer-Encoding: chunked", "Content-Length: 1")],
    [400, "transfer_encoding", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
    [413, "content_length", get(`Content-Length: ${"9".repeat(20)}`)],
    [414, "target", `GET /${"a".repeat(8192)}`],
    [417, "expect", get("Expect: all")],
    [431, "head", get(`A: ${"a".repeat(8192)}`)],
    [431, "fields", get(...Array.from({ length: 200 }, () => "A: a"))],
    [501, "method", "BREW / HTTP/1.1\r\n\r\n"],
    [501, "method", "A".repeat(33)],
    [501, "transfer_encoding", get("Transfer-Encoding: gzip, chunked")],
    [505, "version", "GET / HTTP/2.0\r\n\r\n"],
  ] as const)
    test(`with ${status} for its ${reason}: ${JSON.stringify(text.slice(0, 60))}`, () => {
      expect(refusalOf(text)).toEqual([status, reason]);
    });
});

test("every refused head has a reason that belongs to its status", () => {
  const line = fc.oneof(
    fc.constantFrom("Host: a", "Host:", "Content-Length: 3", "Content-Length: x", "Transfer-Encoding: chunked"),
    fc.constantFrom("Transfer-Encoding: a, chunked", "Expect: 100-continue", "Expect: x", "A: b", "A", ""),
    fc.string({ maxLength: 8, unit: fc.constantFrom("a", ":", " ", "\0", "\n", "\r", "\xff") }),
  );
  const first = fc.constantFrom("GET / HTTP/1.1", "GET / HTTP/1.0", "", "GET", "A / HTTP/1.1", "GET / HTTP/3.0");
  const seen = new Set<string>();
  holds(5000, [first, fc.array(line, { maxLength: 6 })], (begin, lines) => {
    const refused = refusalOf([begin, ...lines].join("\r\n"));
    if (refused === undefined) return;
    const [status, reason] = refused;
    expect(refusalReasons[status as 400]).toContain(reason as "host");
    seen.add(refused.join(" "));
  });
  expect(seen.size).toBeGreaterThanOrEqual(9);
});
