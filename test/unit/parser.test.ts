import { describe, expect, test } from "bun:test";
import { INCOMPLETE, RequestParser } from "../../src/http/parser.ts";
import { SeededRandom } from "./seeded-random.ts";

const HEADER_BYTES_MAX = 16384;
const refusals = new Set([400, 413, 414, 417, 431, 501, 505]);

/** The content of a head, or the status of a refused one, or undefined while it is incomplete. */
type Answer = ReturnType<typeof describeHead> | number | undefined;

function describeHead(parser: RequestParser, head: string, headBytes: number) {
  return {
    headBytes,
    method: parser.method,
    target: head.slice(parser.targetStart, parser.targetEnd),
    minorVersion: parser.minorVersion,
    headersStart: parser.headersStart,
    host: head.slice(parser.hostStart, parser.hostEnd),
    contentLength: parser.contentLength,
    chunked: parser.chunked,
    keepAlive: parser.keepAlive,
    expectsContinue: parser.expectsContinue,
  };
}

/**
 * The memory after the bytes that have arrived. It has the rest of the text, as a reused buffer
 * might, or line ends, which would end a head.
 */
type Behind = "the rest" | "ends of lines";

/**
 * Parses after each piece with two parsers. One starts again. The other goes on where it stopped,
 * even if the head lies elsewhere now.
 */
function parse(
  text: string,
  arrivals: readonly number[] = [text.length],
  headerBytesMax = HEADER_BYTES_MAX,
  behind: Behind = "the rest",
): Answer {
  const parser = new RequestParser({ headerBytesMax });
  const resuming = new RequestParser({ headerBytesMax });
  for (const [i, arrived] of arrivals.entries()) {
    const start = 3 * (i % 4);
    const memory = Buffer.from("#".repeat(start) + text + "\r\n\r\n", "latin1");
    if (behind === "ends of lines") memory.fill("\r\n", start + arrived);
    const result = parser.parse(memory, start, start + arrived);
    const resumed =
      i === 0 ? resuming.parse(memory, start, start + arrived) : resuming.resume(memory, start, start + arrived);
    if (resumed !== result) throw new Error(`parsed anew: ${result}, resumed: ${resumed}`);
    if (result > 0) expect(describeHead(resuming, text, result)).toEqual(describeHead(parser, text, result));
    if (result === INCOMPLETE) continue;
    if (result - start > arrived) throw new Error(`a head of ${result - start} bytes in ${arrived}`);
    return result < 0 ? -result : describeHead(parser, text, result - start);
  }
  return undefined;
}

/** Returns every way to split `text` in two, and the split into single bytes. */
function arrivalsOf(text: string): number[][] {
  const positions = Array.from({ length: text.length }, (_, i) => i + 1);
  return [...positions.map((position) => [position, text.length]), positions];
}

/** Returns the answer, which must be the same for all ways to split the text. */
function parseSplit(text: string, headerBytesMax = HEADER_BYTES_MAX): Answer {
  const whole = parse(text, [text.length], headerBytesMax);
  for (const arrivals of arrivalsOf(text)) {
    for (const behind of ["the rest", "ends of lines"] as const) {
      const answer = parse(text, arrivals, headerBytesMax, behind);
      if (Bun.deepEquals(answer, whole)) continue;
      throw new Error(
        `arriving up to ${arrivals.slice(0, 2).join(", ")} bytes: ${Bun.inspect(answer)}, whole: ${Bun.inspect(whole)}`,
      );
    }
  }
  return whole;
}

const get = (...fields: string[]): string => ["GET / HTTP/1.1", "Host: a", ...fields, "", ""].join("\r\n");
const line = (requestLine: string): string => `${requestLine}\r\nHost: a\r\n\r\n`;
const minimal = get();

describe("a request that is served", () => {
  test("says where everything is", () => {
    expect(parseSplit("POST /a?b HTTP/1.1\r\nHost: example.com:80\r\nContent-Length: 3\r\n\r\nabc")).toEqual({
      headBytes: 63,
      method: "POST",
      target: "/a?b",
      minorVersion: 1,
      headersStart: 20,
      host: "example.com:80",
      contentLength: 3,
      chunked: false,
      keepAlive: true,
      expectsContinue: false,
    });
  });

  test("ends where the next one begins", () => {
    expect(parseSplit(minimal + minimal)).toMatchObject({ headBytes: minimal.length });
  });

  test.each([
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "QUERY",
    "PROPFIND",
    "SEARCH",
    "UNSUBSCRIBE",
  ])("may have the method %s", (method) => {
    expect(parseSplit(line(`${method} / HTTP/1.1`))).toMatchObject({ method, target: "/" });
  });

  test.each([
    "/",
    "/a/b?c=d&e",
    "/%00%zz",
    "//a//b",
    '/"<>\\^`{|}',
    "/?http://a/",
    "http://example.com/a?b",
    "https://example.com",
    "HTTP://EXAMPLE.com:80/",
    "http://[::1]:80?a@b\\c",
    "http://a/b@c",
  ])("may have the target %s", (target) => {
    expect(parseSplit(line(`GET ${target} HTTP/1.1`))).toMatchObject({ target });
  });

  test.each([
    ["http://b:80/c", "b:80", "/c"],
    ["HTTPS://B", "B", ""],
    ["http://[::1]:80?q", "[::1]:80", "?q"],
    ["http://a%41.b/http://c/", "a%41.b", "/http://c/"],
    ["/http://b/c", "a", "/http://b/c"],
    ["//b/c", "a", "//b/c"],
  ])("with the target %s is for %s and the path %p", (target, host, path) => {
    const text = line(`GET ${target} HTTP/1.1`);
    expect(parseSplit(text)).toMatchObject({ host });
    const parser = new RequestParser({ headerBytesMax: 1000 });
    parser.parse(Buffer.from(`##${text}`), 2, 2 + text.length);
    expect(text.slice(parser.pathStart, parser.targetEnd)).toBe(path);
  });

  test("may ask for the server's options", () => {
    expect(parseSplit(line("OPTIONS * HTTP/1.1"))).toMatchObject({ method: "OPTIONS", target: "*" });
  });

  test.each([1, 2, 3, 4])("may come after %d empty lines", (lines) => {
    const empty = "\r\n".repeat(lines);
    expect(parseSplit(empty + minimal)).toMatchObject({
      headBytes: empty.length + minimal.length,
      target: "/",
      host: "a",
    });
  });

  test.each([0, 1, 2, 9])("may be of version 1.%d", (minorVersion) => {
    expect(parseSplit(line(`GET / HTTP/1.${minorVersion}`))).toMatchObject({ minorVersion });
  });

  test("needs no Host in version 1.0", () => {
    expect(parseSplit("GET / HTTP/1.0\r\n\r\n")).toMatchObject({ host: "", minorVersion: 0 });
  });

  test.each([
    ["Host: a", "a"],
    ["host:a", "a"],
    ["HOST: \t example.com:8080 \t", "example.com:8080"],
    ["Host: [::1]:3000", "[::1]:3000"],
    ["Host: a-b.c_d~e%20", "a-b.c_d~e%20"],
    ["Host:", ""],
    ["Host:  ", ""],
  ])("with %p is for host %p", (field, host) => {
    expect(parseSplit(`GET / HTTP/1.1\r\n${field}\r\n\r\n`)).toMatchObject({ host });
  });

  test.each([
    ["Content-Length: 0", 0],
    ["content-length:12", 12],
    ["CONTENT-LENGTH:\t007 ", 7],
    [`Content-Length: ${Number.MAX_SAFE_INTEGER}`, Number.MAX_SAFE_INTEGER],
    ["X-Content-Length: 5", -1],
    ["Content-Lengths: 5", -1],
    ["Content-Lengt_: 5", -1],
  ])("with %p has a body of %d bytes", (field, contentLength) => {
    expect(parseSplit(get(field))).toMatchObject({ contentLength, chunked: false });
  });

  test.each(["Transfer-Encoding: chunked", "transfer-encoding:CHUNKED", "Transfer-Encoding: \tChunked "])(
    "with %p has a chunked body",
    (field) => {
      expect(parseSplit(get(field))).toMatchObject({ chunked: true, contentLength: -1 });
    },
  );

  test.each([
    [1, [], true],
    [1, ["Connection: close"], false],
    [1, ["CONNECTION:\tClose "], false],
    [1, ["Connection: upgrade,\t close ,x"], false],
    [1, ["Connection: x", "Connection: close"], false],
    [1, ["Connection: close, keep-alive"], false],
    [1, ["Connection: closed"], true],
    [1, ["Connection: ,,"], true],
    [0, [], false],
    [0, ["Connection: keep-alive"], true],
    [0, ["Connection: x , Keep-Alive"], true],
    [0, ["Connection: keep-alive, close"], false],
  ] as const)("of version 1.%d with %j leaves the connection open: %p", (minorVersion, fields, keepAlive) => {
    expect(parseSplit([`GET / HTTP/1.${minorVersion}`, "Host: a", ...fields, "", ""].join("\r\n"))).toMatchObject({
      keepAlive,
    });
  });

  test("may expect 100-continue, which version 1.0 cannot", () => {
    expect(parseSplit(get("Expect: 100-Continue"))).toMatchObject({ expectsContinue: true });
    expect(parseSplit("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")).toMatchObject({ expectsContinue: false });
  });

  test.each([
    "X:",
    "X: ",
    "X: \x80\xff",
    "X: a\tb",
    "!#$%&'*+-.^_`|~09AZaz: x",
    "From: not a@host",
    "Expects: x",
    "Upgrade: chunked",
  ])("may have the field %j", (field) => {
    const request = get(field);
    expect(parseSplit(request)).toMatchObject({
      headBytes: request.length,
      contentLength: -1,
      chunked: false,
      host: "a",
    });
  });
});

describe("a request is refused", () => {
  const requestLines: [reason: string, status: number, requestLine: string][] = [
    ["no method", 400, " / HTTP/1.1"],
    ["a method with a delimiter", 400, "GE(T / HTTP/1.1"],
    ["a method with a colon", 400, "GET: / HTTP/1.1"],
    ["NUL in the method", 400, "G\0T / HTTP/1.1"],
    ["obs-text in the method", 400, "G\xc9T / HTTP/1.1"],
    ["a tab after the method", 400, "GET\t/ HTTP/1.1"],
    ["a lower-case method", 501, "get / HTTP/1.1"],
    ["an unknown method", 501, "BREW / HTTP/1.1"],
    ["a method that begins like another", 501, "GETS / HTTP/1.1"],
    ["CONNECT", 501, "CONNECT example.com:80 HTTP/1.1"],
    ["a long method", 501, `${"A".repeat(33)} / HTTP/1.1`],
    ["no target", 400, "GET HTTP/1.1"],
    ["an empty target", 400, "GET  HTTP/1.1"],
    ["two spaces before the target", 400, "GET  / HTTP/1.1"],
    ["a space in the target", 400, "GET /a b HTTP/1.1"],
    ["a tab in the target", 400, "GET /a\tb HTTP/1.1"],
    ["NUL in the target", 400, "GET /a\0b HTTP/1.1"],
    ["DEL in the target", 400, "GET /a\x7fb HTTP/1.1"],
    ["a fragment in the target", 400, "GET /a#b HTTP/1.1"],
    ["a bare CR in the target", 400, "GET /a\rb HTTP/1.1"],
    ["a bare LF in the target", 400, "GET /a\nb HTTP/1.1"],
    ["a target without a slash", 400, "GET a HTTP/1.1"],
    ["a target that begins with a query", 400, "GET ?a HTTP/1.1"],
    ["an authority as target", 400, "GET example.com:80 HTTP/1.1"],
    ["an asterisk with GET", 400, "GET * HTTP/1.1"],
    ["more than an asterisk", 400, "OPTIONS *a HTTP/1.1"],
    ["another scheme", 400, "GET ftp://example.com/ HTTP/1.1"],
    ["a scheme without an authority", 400, "GET http:/a HTTP/1.1"],
    ["no version", 400, "GET /"],
    ["no version after the space", 400, "GET / "],
    ["two spaces before the version", 400, "GET /  HTTP/1.1"],
    ["a space after the version", 400, "GET / HTTP/1.1 "],
    ["something after the version", 400, "GET / HTTP/1.1 x"],
    ["a lower-case protocol", 400, "GET / http/1.1"],
    ["another protocol", 400, "GET / HTTQ/1.1"],
    ["a minor version of two digits", 400, "GET / HTTP/1.10"],
    ["a version without a point", 400, "GET / HTTP/11"],
    ["a version with a comma", 400, "GET / HTTP/1,1"],
    ["a version that is no number", 400, "GET / HTTP/a.1"],
    ["a version with a sign", 400, "GET / HTTP/+.1"],
    ["version 0.9", 505, "GET / HTTP/0.9"],
    ["version 2.0", 505, "GET / HTTP/2.0"],
    ["version 3.0", 505, "GET / HTTP/3.0"],
    ["an unknown method in an unknown version", 505, "BREW / HTTP/2.0"],
  ];
  test.each(requestLines)("for %s: %d", (_, status, requestLine) => {
    expect(parseSplit(line(requestLine))).toBe(status);
  });

  // RFC 9110 section 4.2.1: a recipient must reject such a target.
  test.each(["http://", "http:///a", "https://?a", "http://:80/"])("for a target without a host, %s: 400", (target) => {
    expect(parseSplit(line(`GET ${target} HTTP/1.1`))).toBe(400);
  });

  // RFC 9110 section 4.2.4, and text that is a host for one parser, and a path or a user for
  // another.
  test.each([
    "http://a@b/",
    "http://a:b@c",
    "http://a\\b/",
    "http://a\\@b/",
    "http://a<b>/",
    "https://a{b}?c",
    "http://@",
  ])("for a target with more than a host in its authority, %s: 400", (target) => {
    expect(parseSplit(line(`GET ${target} HTTP/1.1`))).toBe(400);
  });

  test("for the preface of HTTP/2: 505", () => {
    expect(parseSplit("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).toBe(505);
  });

  test("for a TLS handshake: 400", () => {
    expect(parseSplit("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")).toBe(400);
  });

  const lineEnds: [reason: string, head: string][] = [
    ["a bare LF before the request line", `\n${minimal}`],
    ["a bare CR before the request line", `\r${minimal}`],
    ["a space before the request line", ` ${minimal}`],
    ["five empty lines before the request line", `${"\r\n".repeat(5)}${minimal}`],
    ["a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"],
    ["a bare CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n"],
    ["a bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"],
    ["a bare LF after a field, and nothing more", "GET / HTTP/1.1\r\nHost: a\n"],
    ["a bare CR after a field", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"],
    ["CR CR LF after a field", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"],
    ["a bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"],
    ["a bare CR at the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX"],
    ["CR CR LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"],
    ["bare LFs throughout", "GET / HTTP/1.1\nHost: a\n\n"],
  ];
  test.each(lineEnds)("for %s: 400", (_, head) => {
    expect(parseSplit(head)).toBe(400);
  });

  const fields: [reason: string, status: number, ...fields: string[]][] = [
    ["a bare CR in a value", 400, "X: a\rb"],
    ["a bare LF in a value", 400, "X: a\nb"],
    ["NUL in a value", 400, "X: a\0b"],
    ["a control character in a value", 400, "X: a\x01b"],
    ["DEL in a value", 400, "X: a\x7fb"],
    ["a value folded with a space", 400, "X: a", " b"],
    ["a value folded with a tab", 400, "X: a", "\tb"],
    ["a folded empty value", 400, "X:", " b"],
    ["a space before the colon", 400, "X : a"],
    ["a tab before the colon", 400, "X\t: a"],
    ["a space before the colon of Content-Length", 400, "Content-Length : 5"],
    ["a space in a name", 400, "X Y: a"],
    ["NUL in a name", 400, "X\0: a"],
    ["obs-text in a name", 400, "X\xe9: a"],
    ["a delimiter in a name", 400, "X(Y): a"],
    ["an empty name", 400, ": a"],
    ["a field without a colon", 400, "X"],
    ["two Hosts that differ", 400, "Host: b"],
    ["two Hosts that agree", 400, "Host: a"],
    ["two Hosts, one of them empty", 400, "Host:"],
    ["Content-Length and Transfer-Encoding", 400, "Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding and Content-Length", 400, "Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Transfer-Encoding and a length of 0", 400, "Transfer-Encoding: chunked", "Content-Length: 0"],
    ["Content-Lengths that differ", 400, "Content-Length: 5", "Content-Length: 6"],
    ["Content-Lengths that agree", 400, "Content-Length: 5", "Content-Length: 5"],
    ["two zero Content-Lengths", 400, "Content-Length: 0", "Content-Length: 0"],
    ["a list as Content-Length", 400, "Content-Length: 5, 5"],
    ["an empty Content-Length", 400, "Content-Length:"],
    ["a Content-Length with a plus", 400, "Content-Length: +5"],
    ["a Content-Length with a minus", 400, "Content-Length: -5"],
    ["a hexadecimal Content-Length", 400, "Content-Length: 0x5"],
    ["a Content-Length with a fraction", 400, "Content-Length: 5.0"],
    ["a Content-Length with an exponent", 400, "Content-Length: 1e3"],
    ["a Content-Length with a space in it", 400, "Content-Length: 5 5"],
    ["a Content-Length with obs-text", 400, "Content-Length: \xb2"],
    ["a Content-Length of 2^53", 413, "Content-Length: 9007199254740992"],
    ["a Content-Length beyond 2^64", 413, "Content-Length: 18446744073709551621"],
    ["a Content-Length beyond any number", 413, `Content-Length: ${"9".repeat(400)}`],
    ["a coding without chunked", 400, "Transfer-Encoding: gzip"],
    ["identity", 400, "Transfer-Encoding: identity"],
    ["chunked before another coding", 400, "Transfer-Encoding: chunked, gzip"],
    ["a coding that ends like chunked", 400, "Transfer-Encoding: xchunked"],
    ["chunked with a parameter", 400, "Transfer-Encoding: chunked;a=b"],
    ["chunked in quotes", 400, 'Transfer-Encoding: "chunked"'],
    ["chunked with a vertical tab before it", 400, "Transfer-Encoding: \vchunked"],
    ["an empty Transfer-Encoding", 400, "Transfer-Encoding:"],
    ["chunked twice", 400, "Transfer-Encoding: chunked, chunked"],
    ["chunked twice with a coding between", 400, "Transfer-Encoding: Chunked ,gzip,\tchunked"],
    ["chunked after a coding without a comma", 400, "Transfer-Encoding: gzip chunked"],
    ["chunked before an empty coding", 400, "Transfer-Encoding: chunked,"],
    ["two Transfer-Encodings", 400, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ["two Transfer-Encodings, one of them unknown", 400, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    ["a coding before chunked", 501, "Transfer-Encoding: gzip, chunked"],
    ["a coding before chunked that ends like it", 501, "Transfer-Encoding: xchunked,chunked"],
    ["another expectation", 417, "Expect: 200-ok"],
    ["more than one expectation", 417, "Expect: 100-continue, x"],
    ["an empty expectation", 417, "Expect:"],
  ];
  test.each(fields)("for %s: %d", (_, status, ...lines) => {
    expect(parseSplit(get(...lines))).toBe(status);
  });

  test.each([
    ...["a b", "a/b", "a@b", "a?b", "a#b", "a\\b", 'a"b', "a<b", "\xe9", "a\tb"],
    ...[
      "::1",
      "a:b",
      "a:8x",
      "a:80:80",
      ":80",
      "[",
      "[]",
      "[::1",
      "[::1]a",
      "[a%b]",
      "a]",
      "%",
      "a%4",
      "a%4g",
      "a[::1]",
    ],
  ])("for the Host %j: 400", (host) => {
    expect(parseSplit(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toBe(400);
    if (!/[/?]/.test(host)) expect(parseSplit(line(`GET http://${host}/ HTTP/1.1`))).toBe(400);
  });

  test("without a Host: 400", () => {
    expect(parseSplit("GET / HTTP/1.1\r\n\r\n")).toBe(400);
    expect(parseSplit("GET / HTTP/1.1\r\nHosts: a\r\nX-Host: a\r\n\r\n")).toBe(400);
  });

  test("for a first field that is folded: 400", () => {
    expect(parseSplit("GET / HTTP/1.1\r\n Host: a\r\n\r\n")).toBe(400);
  });

  test("for Transfer-Encoding in version 1.0: 400", () => {
    expect(parseSplit("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")).toBe(400);
  });

  test("for a method without an end, before its end: 501", () => {
    expect(parseSplit("A".repeat(40))).toBe(501);
  });

  test("for a long method, whatever follows it: 501", () => {
    expect(parseSplit(`${"A".repeat(40)}\0 / HTTP/1.1\r\n\r\n`)).toBe(501);
    expect(parseSplit(line(`${"A".repeat(40)} / HTTP/2.0`))).toBe(501);
  });
});

describe("a head", () => {
  const LIMIT = 100;
  const filled = (bytes: number): string => `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(bytes - 32)}\r\n\r\n`;

  test("of the most bytes that are allowed is served", () => {
    expect(filled(LIMIT)).toHaveLength(LIMIT);
    expect(parseSplit(filled(LIMIT), LIMIT)).toMatchObject({ headBytes: LIMIT });
    expect(parseSplit(filled(LIMIT) + minimal, LIMIT)).toMatchObject({ headBytes: LIMIT });
  });

  test("of one byte more is refused: 431", () => {
    expect(parseSplit(filled(LIMIT + 1), LIMIT)).toBe(431);
  });

  test.each([
    ["in a name", `GET / HTTP/1.1\r\nHost: a\r\n${"x".repeat(LIMIT)}`],
    ["in a value", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(LIMIT)}`],
    ["between fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(20)}`],
  ])("without an end is refused once it is too long, %s: 431", (_, head) => {
    expect(parseSplit(head, LIMIT)).toBe(431);
  });

  test("of 198 fields is served, and of one more refused as soon as that has ended: 431", () => {
    const head = `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(197)}`;
    expect(parse(`${head}\r\n`)).toMatchObject({ method: "GET" });
    expect(parseSplit(`${head}X: y`)).toBeUndefined();
    expect(parseSplit(`${head}X: y\r\n`)).toBe(431);
  });

  test("without an end is refused as soon as no more can come", () => {
    expect(parse(filled(LIMIT + 1).slice(0, LIMIT), undefined, LIMIT)).toBe(431);
    expect(parse(filled(LIMIT + 1).slice(0, LIMIT - 1), undefined, LIMIT)).toBeUndefined();
    expect(parse(`GET /${"a".repeat(LIMIT - 5)}`, undefined, LIMIT)).toBe(414);
    expect(parse(`GET /${"a".repeat(LIMIT - 6)}`, undefined, LIMIT)).toBeUndefined();
  });

  test("with a target that is too long is refused: 414", () => {
    expect(parseSplit(`GET /${"a".repeat(LIMIT)}`, LIMIT)).toBe(414);
    expect(parseSplit(line(`GET /${"a".repeat(LIMIT)} HTTP/1.1`), LIMIT)).toBe(414);
  });

  test("that is cut short anywhere is incomplete", () => {
    for (let bytes = 0; bytes < minimal.length; bytes++) expect(parse(minimal.slice(0, bytes))).toBeUndefined();
  });
});

test("a parser that was reset remembers nothing of the former head", () => {
  const requests = [
    minimal,
    "GET /b HTTP/1.0\r\n\r\n",
    "\r\nGET / HTTP/1.0\r\nHost: b\r\nConnection: keep-alive\r\n\r\n",
    get("Content-Length: 5", "Expect: 100-continue", "Connection: close"),
    get("Transfer-Encoding: chunked"),
  ];
  const parser = new RequestParser({ headerBytesMax: HEADER_BYTES_MAX });
  for (const former of requests) {
    for (const text of requests) {
      parser.parse(Buffer.from(former), 0, former.length);
      const end = parser.parse(Buffer.from(text), 0, text.length);
      expect(describeHead(parser, text, end)).toEqual(parse(text) as ReturnType<typeof describeHead>);
    }
  }
});

describe("garbage", () => {
  const seeds = [
    get("Content-Length: 5", "Connection: keep-alive, x"),
    "\r\nPOST http://b/c HTTP/1.0\r\nHost: b\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
  ];
  /** Bytes with a meaning in a head. The random texts have many of them. */
  const telling = "\r\n\r\n\0 \t:;,/#*HTPGE1.0\x7f\x80\xff";

  function expectSaneAnswer(answer: Answer, text: string): void {
    if (
      typeof answer === "number"
        ? !refusals.has(answer)
        : answer && !(answer.headBytes > 0 && answer.headBytes <= text.length)
    )
      throw new Error(`${JSON.stringify(text)}: ${Bun.inspect(answer)}`);
  }

  test("of any bytes is refused, incomplete, or a head within it, and never an exception", () => {
    const random = new SeededRandom(5);
    for (let round = 0; round < 20_000; round++) {
      const text = Buffer.from(random.bytes(random.below(40))).toString("latin1");
      expectSaneAnswer(parse(text), text);
    }
  });

  test("that almost is a request gets the same answer whole and in pieces", () => {
    const random = new SeededRandom(6);
    const outcomes = new Map<unknown, number>();
    for (let round = 0; round < 20_000; round++) {
      let text = seeds[random.below(seeds.length)]!;
      for (let edits = random.below(3); edits >= 0; edits--) {
        const at = random.below(text.length);
        const inserted =
          random.next() < 0.6
            ? telling[random.below(telling.length)]!
            : random.next() < 0.5
              ? ""
              : text.slice(at, at + random.below(12));
        text = text.slice(0, at) + inserted + text.slice(at + random.below(3));
      }
      const whole = parse(text);
      expectSaneAnswer(whole, text);
      const split = parse(
        text,
        [random.below(text.length), random.below(text.length), text.length].toSorted((a, b) => a - b),
      );
      if (!Bun.deepEquals(split, whole))
        throw new Error(`${JSON.stringify(text)}: ${Bun.inspect(split)}, whole: ${Bun.inspect(whole)}`);
      const outcome = typeof whole === "object" ? "served" : whole;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // The edits must reach all kinds of outcome, otherwise the test would show nothing.
    for (const outcome of ["served", undefined, 400, 417, 501, 505]) expect(outcomes.get(outcome)).toBeGreaterThan(0);
  });
});
