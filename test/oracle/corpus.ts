/**
 * Streams of requests for the comparison of parsers: a fixed corpus with each shape and each
 * mistake, and any number of random streams, which depend only on the random numbers.
 */
import type { SeededRandom } from "../unit/seeded-random.ts";
import { HEADER_BYTES_MAX } from "./ringloop.ts";

const methods = (
  "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE " +
  "NOTIFY PROPFIND PROPPATCH PURGE QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
).split(" ");
const oddMethods = "CONNECT M-SEARCH PRI DESCRIBE SETUP FLUSH get GE GETS BREW G(T"
  .split(" ")
  .concat("", "\xe9", "A".repeat(40));

const targets = [
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
  `/${"long".repeat(40)}`,
];
const oddTargets = [
  ...["*", "*a", "a", "a:80", "?a", "", "/a b", "/a\tb", "/a#b", "/#", "http://a/#b", "/\xe9", "/\x7f", "/\0"],
  ...["/a\rb", "/a\nb", "http://", "http:///a", "https://?a", "http://:80/", "http:/a", "http:a", "ftp://a/"],
  ...["h2://a/", "ws://a/", "http://a@b/", "http://a:b@c/", "http://a@b@c", "http://a@@b/", "http://a\\b/"],
  ...["http://a<b/", "http://a{", "http://a%b/"],
];

const versions = ["HTTP/1.1", "HTTP/1.0"];
const oddVersions = [
  ...["HTTP/1.2", "HTTP/1.9", "HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/0.0", "HTTP/9.1", "HTTP/1.10", "HTTP/11"],
  ...["HTTP/1,1", "HTTP/a.1", "HTTP/1.a", "HTTP/+.1", "http/1.1", "HTTQ/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1.1 x"],
  ...["HTTP/", "HTTP", "", "RTSP/1.0", "ICE/1.0", "HTTP/1.1\r", "HTTP/ 1.1", "HTTP /1.1", "HTTP/1 .1", "HTTP/01.1"],
];

const hosts = ["Host: a", "host:a", "HOST: \t example.com:8080 \t", "Host: [::1]:3000", "Host: a-b.c_d~e%20"];
const oddHosts = [
  "Host:",
  "Host: a b",
  "Host: a/b",
  ...["Host: ::1", "Host: a:b", "Host: a:80:80", "Host: :80", "Host: [::1", "Host: []", "Host: %4", "Host: [::1]a"],
  "Host: a@b",
  "Host: a,b",
  'Host: a"b',
  "Host: \xe9",
  "Host: a\tb",
  "Host : a",
];

const fields = [
  ...["X: y", "X:", "X: \t ", "X:y", "X: a\tb  c \t", "X: \x80\xff", "x-Y_z: a:b: c", "!#$%&'*+-.^_`|~09AZaz: x"],
  ...["Accept: */*", "From: not a@host", "Cookie: a=b; c=d", "Hosts: b", "X-Host: b", "Content-Lengths: 5"],
  ...["X-Content-Length: 5", "Connectio: close", "Transfer-Encodin: chunked", "TE: trailers", "Expects: x"],
  ...["Keep-Alive: timeout=5", "Proxy-Connection: close", "Trailer: X", "Connection: close", "CONNECTION:\tClose "],
  ...["Connection: keep-alive", "Connection: Keep-Alive, x", "Connection: x, keep-alive", "Connection: x ,\tclose"],
  ...["Connection: closed", "Connection: clo, se", "Connection: ,,", "Connection:", "Connection: close\t"],
  ...["Connection: keep-alive\t", "Connection: close, keep-alive", "Connection: keep-alive, close"],
  ...["Connection: keep-alive \t,x", "Upgrade: websocket", "Upgrade: h2c", "Connection: upgrade"],
  ...["Connection: Upgrade, close", "Connection: close x", "Expect: 100-continue", "Expect: 100-Continue"],
  ...[`X: ${"long".repeat(40)}`, 'X: "a\\"b', "X: (a, b)"],
];
const oddFields = [
  ...["X : y", "X\t: y", "X y: z", "X\0: y", "X\xe9: y", "X(Y): z", ": y", "X", "X: a\0b", "X: a\x01b", "X: a\x7fb"],
  ...[" X: y", "\tX: y", "X: a\r\n b", "X: a\r\n\tb", "X:\r\n b", "X:\r\n \r\n b", "X: a\r\n ", "X: a\rb", "X: a\nb"],
  ...["X: a\nY: b", "X: a\r", "X: a\r\r", "X: \n", "X:\rY", "X:\n", "X\n: y", "X\r\n: y", "\n", "\r", "\rX: y"],
  ...["Host: a\nX: y", "Connection: close\r\n , x", "Connection: clo\r\n se", "Content-Length: 5"],
  ...["Content-Length: 6", "Content-Length: 0", "Content-Length : 5", "Content-Length: 5, 5", "Content-Length:"],
  ...["Content-Length: +5", "Content-Length: -5", "Content-Length: 0x5", "Content-Length: 5.0"],
  ...["Content-Length: 1e3", "Content-Length: 5 5", "Content-Length: \xb2", "Content-Length: 5\t"],
  ...["Content-Length:\t5 ", "Content-Length: 007", "Content-Length:  5", "Content-Length: 5 ,"],
  ...["Content-Length: 5;", "Content-Length: 9007199254740991", "Content-Length: 9007199254740992"],
  ...["Content-Length: 18446744073709551615", "Content-Length: 18446744073709551616"],
  ...["Content-Length: 18446744073709551621", "Content-Length: 5\r\n ", "Content-Length: 5\r\n 5"],
  ...["Content-Length:\r\n 5", `Content-Length: ${"9".repeat(400)}`, `Content-Length: ${"0".repeat(400)}`],
  ...["content-length: 5\0", "Content-Length: :", "Transfer-Encoding: chunked", "transfer-encoding:CHUNKED"],
  ...["Transfer-Encoding: \tChunked ", "Transfer-Encoding: gzip", "Transfer-Encoding: identity"],
  ...["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip,chunked", "Transfer-Encoding: chunked, gzip"],
  ...["Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding: ,chunked"],
  ...["Transfer-Encoding: xchunked", "Transfer-Encoding: chunkedx", "Transfer-Encoding: chunked;a=b"],
  ...['Transfer-Encoding: "chunked"', "Transfer-Encoding: \vchunked", "Transfer-Encoding:"],
  ...["Transfer-Encoding: chunked\t", "Transfer-Encoding : chunked", "Transfer-Encoding: chunked\r\n "],
  ...["Transfer-Encoding: gzip chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chun\r\n ked"],
  ...["Transfer-Encoding: chunked\0", "Transfer-Encoding: x,\tchunked", "Transfer_Encoding: chunked"],
  ...["Expect: 200-ok", "Expect: 100-continue, x", "Expect:", "Expect: 100-continue\r\nExpect: 100-continue"],
  ...["Expect: \xe9"],
];

const extensions = [";a", ";a=b", ';a="b;c\t\xff"', ";a;b=c", ';a="\\"\\\\"', ';a=""', "; a = b ; c", ";a\t;b"];
const oddExtensions = [
  ...[";", ";;a", ";=", ";=b", ";a=", ";a=;b", ";a=b=c", ";a(b", ";a=b(c", ";\xe9", ";a b", ";a=b c", ";a ", ";a=b "],
  ...[" ;a", " ", "\t", ';a=b"c"', ';a="b"c', ';"a"', ';a="b', ';a="b\\', ";a\0", ";a\n", ";a\r", ";a\x7f"],
  ...[';a="\x7f"', ';a="\\\x7f"', "\r", ';a="b\rc"', ';a="b\nc"', ";a\nb"],
];
const trailers = ["X: y", "X:", "x:y", "Content-MD5: \xe9", "Host: b", "Upgrade: x"];
const oddTrailers = [
  ...["X", ": y", " X: y", "X : y", "X\ty: z", "X(y): z", "X\xe9: z", "X: \0", "X: y\r\n z", "X: y\nZ: a", "X: y\rz"],
  ...["(", "X: \x7f", "Content-Length: 5", "Content-Length: x", "Transfer-Encoding: chunked"],
  ...["Transfer-Encoding: gzip", "Connection: close", "Connection: upgrade"],
];
const oddSizes = [
  ...["", "g", " 5", "-1", "+5", "0x5", "5 ", "5\t", "05", "0000000000005", "00000000000005", "FFFFFFFFFFFFF"],
  ...["FFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFF", "10000000000000000", "10000000000000005", "5\n", "5\r", "5,", "5.0"],
  ...["\n5", "4", "6", "0", "5\0", "\xb5"],
];

const lines = (...parts: string[]): string => parts.map((part) => `${part}\r\n`).join("");
const get = (...fields: string[]): string => lines("GET / HTTP/1.1", "Host: a", ...fields, "");
const requestLine = (text: string): string => lines(text, "Host: a", "");
const chunked = (body: string): string => lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "") + body;
const next = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

const lineEnds = [
  ...[`\n${next}`, `\r${next}`, ` ${next}`, `\r\n${next}`, `\r\n\r\n\r\n\r\n${next}`, `\r\n\r\n\r\n\r\n\r\n${next}`],
  ...[`\r\r\n${next}`, `\r\n\n${next}`, "", "\r", "\r\n", "\r\n\r", "\n", `${next}\r\n`, `${next}\r`, `${next}\n`],
  ...[`${next}\r\n\r\n${next}`, `${next}\r\r`, `${next} `, "GET / HTTP/1.1\nHost: a\r\n\r\n"],
  ...["GET / HTTP/1.1\rHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"],
  ...["GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"],
  ...["GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n", "GET / HTTP/1.1\r\nHost: a\r\n\rX"],
  ...["GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\n\r\n"],
  ...["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET /\r\n\r\n", "GET /\n", "GET\r\n"],
  ...["GET / HTTP/1.0\n\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
];

const bodies = [
  ...["5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "000\r\n\r\n"],
  ...["5\r\nhello\r\n1\r\n,\r\nA\r\n  world\r\n\r\r\n0\r\n\r\n", "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"],
  ...["4\r\nhello\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n"],
  ...["5\r\nhello0\r\n\r\n", "5\r\nhello \n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\rhello\r\n0\r\n\r\n"],
  ...["5\r\r\nhello\r\n0\r\n\r\n", "0\r\n\n", "0\n\r\n", "0\r\n\rX", "0\r\r\n", "\r\n0\r\n\r\n", "0\r\n"],
];

const huge = [
  get(`X: ${"x".repeat(HEADER_BYTES_MAX - 32)}`), // One byte too many.
  get(`X: ${"x".repeat(HEADER_BYTES_MAX - 33)}`), // Exactly the limit.
  get(...Array.from({ length: 400 }, () => "X: y")),
  get(`${"x".repeat(HEADER_BYTES_MAX)}: y`),
  requestLine(`GET /${"a".repeat(HEADER_BYTES_MAX)} HTTP/1.1`),
  requestLine(`${"A".repeat(HEADER_BYTES_MAX)} / HTTP/1.1`),
  get(...Array<string>(197).fill("X: y")), // With Host, exactly the largest number of fields.
  get(...Array<string>(198).fill("X: y")),
  chunked(`0\r\nX: ${"y".repeat(HEADER_BYTES_MAX)}\r\n\r\n`),
  chunked(`0\r\n${"X: y\r\n".repeat(198)}\r\n`),
  chunked(`0\r\n${"X: y\r\n".repeat(199)}\r\n`),
  chunked(`1;${"a".repeat(16_385)}\r\nx\r\n0\r\n\r\n`),
];

/**
 * Each shape and each mistake once. Another request follows if a parser could read it as a part of
 * the first one.
 */
export const corpus: readonly string[] = [
  ...[...methods, ...oddMethods].map((method) => requestLine(`${method} / HTTP/1.1`) + next),
  ...[...targets, ...oddTargets].flatMap((target) =>
    ["GET", "OPTIONS"].map((method) => requestLine(`${method} ${target} HTTP/1.1`) + next),
  ),
  ...[...versions, ...oddVersions].map((version) => requestLine(`GET / ${version}`) + next),
  ...[
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    " GET / HTTP/1.1",
    "GET\t/ HTTP/1.1",
    "GET /\tHTTP/1.1",
    "GET",
    "GET /",
  ].map(requestLine),
  ...["RTSP", "ICE", "HTTP"].flatMap((protocol) =>
    ["OPTIONS", "SOURCE", "PLAY"].map((method) => requestLine(`${method} / ${protocol}/1.0`)),
  ),
  ...[...hosts, ...oddHosts].flatMap((host) => [
    lines("GET / HTTP/1.1", host, "") + next,
    get(host) + next,
    lines("GET / HTTP/1.0", host, ""),
  ]),
  ...[...fields, ...oddFields].flatMap((field) => [
    get(field) + next,
    lines("GET / HTTP/1.1", field, "Host: a", "") + next,
    lines("GET / HTTP/1.0", "Connection: keep-alive", field, "") + next,
    lines("POST / HTTP/1.1", "Host: a", "Content-Length: 5", field, "", `hello${next}`),
    lines("POST / HTTP/1.1", "Host: a", field, "Transfer-Encoding: chunked", "", "5", "hello", "0", "", next),
    ...["HTTP/1.0", "HTTP/1.1"].map((version) => lines(`POST / ${version}`, "Host: a", field, "", "0", "", next)),
  ]),
  ...lineEnds,
  ...bodies.map((body) => chunked(body) + next),
  ...[...extensions, ...oddExtensions].flatMap((extension) => [
    chunked(`5${extension}\r\nhello\r\n0\r\n\r\n`) + next,
    chunked(`5\r\nhello\r\n0${extension}\r\n\r\n`) + next,
  ]),
  ...[...trailers, ...oddTrailers].map((trailer) => chunked(`1\r\nx\r\n0\r\nA: b\r\n${trailer}\r\n\r\n`) + next),
  ...oddSizes.map((size) => chunked(`${size}\r\nhello\r\n0\r\n\r\n`) + next),
  ...huge,
];

const tokens = [
  ...["\r\n", "\r\n", "\r\n\r\n", "\n", "\r", "\0", " ", "\t", ":", ",", ";", "=", '"', "\\", "#", "@", "*", "/"],
  ...["0", "5", "F", "\x7f", "\x80", "GET ", "POST / HTTP/1.1\r\n", " HTTP/1.1", "HTTP/1.0", "0\r\n\r\n"],
  ...["5\r\nhello\r\n", "\r\n ", "\r\n\t", "chunked", "close", "keep-alive", "Host: a\r\n", "Content-Length: 5\r\n"],
  ...["Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "http://", "\r\n0\r\n", "100-continue"],
];

function pick<T>(random: SeededRandom, list: readonly T[]): T {
  return list[random.below(list.length)]!;
}

/** Returns a text of `odd` in one of `oneIn` cases, otherwise one of `usual`. */
function pickOdd(random: SeededRandom, usual: readonly string[], odd: readonly string[], oneIn: number): string {
  return pick(random, random.below(oneIn) === 0 ? odd : usual);
}

function randomData(random: SeededRandom): string {
  const bytes = random.below(24);
  // Some bodies look like framing, and would do harm if a parser read them as such.
  if (random.below(3) === 0) return pick(random, [next, "0\r\n\r\n", "\r\n\r\n", "\r\n", get("X: y")]);
  return Buffer.from(random.bytes(bytes)).toString("latin1");
}

function randomChunks(random: SeededRandom): string {
  let text = "";
  const extension = (): string => (random.below(4) === 0 ? pickOdd(random, extensions, oddExtensions, 8) : "");
  for (let chunks = random.below(4); chunks > 0; chunks--) {
    const data = randomData(random);
    if (data.length === 0) continue;
    const digits = random.below(40) === 0 ? pick(random, oddSizes) : data.length.toString(16);
    text += `${random.below(4) === 0 ? `0${digits.toUpperCase()}` : digits}${extension()}\r\n${data}\r\n`;
  }
  text += `0${extension()}\r\n`;
  while (random.below(4) === 0) text += `${pickOdd(random, trailers, oddTrailers, 6)}\r\n`;
  return `${text}\r\n`;
}

function randomRequest(random: SeededRandom): string {
  const method = pickOdd(random, random.below(2) ? ["GET", "POST"] : methods, oddMethods, 60);
  const target = pickOdd(random, random.below(2) ? ["/"] : targets, oddTargets, 50);
  const version = pickOdd(random, random.below(4) ? ["HTTP/1.1"] : versions, oddVersions, 50);
  const head = [pickOdd(random, hosts, oddHosts, 60)];
  const addField = (field: string): void => void head.splice(random.below(head.length + 1), 0, field);
  for (let count = random.below(4); count > 0; count--) addField(pickOdd(random, fields, oddFields, 20));
  const form = random.below(3);
  const body = form === 0 ? "" : form === 1 ? randomData(random) : randomChunks(random);
  if (form === 1) addField(`Content-Length: ${body.length}`);
  if (form === 2) addField(pick(random, ["Transfer-Encoding: chunked", "transfer-encoding:Chunked "]));
  if (random.below(60) === 0) head.splice(random.below(head.length), 1);
  const before = "\r\n".repeat(random.below(20) === 0 ? random.below(6) : 0);
  return `${before}${lines(`${method} ${target} ${version}`, ...head, "")}${body}`;
}

/**
 * Makes one edit that can break framing: of a byte, of a slice, or with a part of another stream.
 */
function mutate(random: SeededRandom, stream: string): string {
  const from = random.below(stream.length + 1);
  const bytes = random.below(4) === 0 ? random.below(60) : random.below(4);
  const before = stream.slice(0, from);
  const slice = stream.slice(from, from + bytes);
  const after = stream.slice(from + bytes);
  switch (random.below(8)) {
    case 0:
      return before + String.fromCharCode(random.below(256)) + stream.slice(from + 1);
    case 1:
      return before + String.fromCharCode(stream.charCodeAt(from) ^ (1 << random.below(8))) + stream.slice(from + 1);
    case 2:
      return before + after;
    case 3:
      return before + slice + slice + after;
    case 4:
      return before + pick(random, tokens) + after;
    case 5: {
      const to = random.below(after.length + 1);
      return before + after.slice(0, to) + slice + after.slice(to);
    }
    case 6: {
      const other = random.below(2) ? randomRequest(random) : pick(random, corpus);
      return before + other.slice(random.below(other.length));
    }
    default:
      return before + pick(random, tokens) + stream.slice(from);
  }
}

/**
 * Returns one to three requests. Most are made valid, and then most are changed in a few places.
 */
export function randomStream(random: SeededRandom): string {
  let stream = "";
  for (let count = 1 + random.below(3); count > 0; count--) stream += randomRequest(random);
  for (let edits = random.below(3); edits > 0; edits--) stream = mutate(random, stream);
  return stream;
}

/** Returns random ends of pieces, for a `Reader`. */
export function randomEnds(random: SeededRandom, stream: string): number[] {
  const ends = Array.from({ length: 1 + random.below(5) }, () => random.below(stream.length + 1));
  return [...ends.toSorted((a, b) => a - b), stream.length];
}
