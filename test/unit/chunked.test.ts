import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ChunkedDecoder } from "../../src/http/chunked.ts";
import { cuts, endsWithin, holds } from "./property.ts";

const TRAILER_BYTES_MAX = 1000;

/**
 * `status`: of a refused message. `used`: the number of bytes in the message, with its last byte.
 */
type Result = { body: string; used: number; done: boolean } | { status: number; body: string };

/** Decodes the text in pieces that end at `ends`. Each piece has its own memory. */
function decode(text: string, ends: readonly number[] = [text.length], trailerBytesMax = TRAILER_BYTES_MAX): Result {
  const decoder = new ChunkedDecoder(trailerBytesMax);
  let body = "";
  const sink = {
    onBody(bytes: Buffer, start: number, end: number) {
      if (end <= start) throw new Error("an empty part of a body");
      body += bytes.toString("latin1", start, end);
    },
  };
  let used = 0;
  for (const end of ends) {
    if (decoder.done) break;
    const start = 3;
    const memory = Buffer.alloc(start + end - used + 8, "\r\n\r\n");
    memory.write(text.slice(used, end), start, "latin1");
    const result = decoder.feed(memory, start, start + end - used, sink);
    if (result < 0) return { status: -result, body };
    used += result - start;
    if (!decoder.done && used !== end) throw new Error(`stopped at ${used} of ${end} bytes without being done`);
  }
  return { body, used, done: decoder.done };
}

/** Returns the result, which must be the same for all ways to split the text. */
function decodeSplit(text: string, trailerBytesMax = TRAILER_BYTES_MAX): Result {
  const whole = decode(text, [text.length], trailerBytesMax);
  const positions = Array.from({ length: text.length }, (_, i) => i + 1);
  for (const ends of [...positions.map((position) => [position, text.length]), positions]) {
    const split = decode(text, ends, trailerBytesMax);
    if (!Bun.deepEquals(split, whole))
      throw new Error(
        `in pieces to ${ends.slice(0, 2).join(", ")}: ${Bun.inspect(split)}, whole: ${Bun.inspect(whole)}`,
      );
  }
  return whole;
}

const END = "0\r\n\r\n";

describe("a message", () => {
  const messages: [what: string, text: string, body: string][] = [
    ["without chunks", END, ""],
    ["of one chunk", `5\r\nhello\r\n${END}`, "hello"],
    ["of several chunks", `5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n${END}`, "hello, world"],
    ["with a hexadecimal size", `1A\r\n${"x".repeat(26)}\r\n${END}`, "x".repeat(26)],
    ["with a size in lower case", `1b\r\n${"x".repeat(27)}\r\n${END}`, "x".repeat(27)],
    ["with leading zeros", `0000000000005\r\nhello\r\n00\r\n\r\n`, "hello"],
    ["with framing in its data", `9\r\n\r\n0\r\n\r\n\r\n\r\n${END}`, "\r\n0\r\n\r\n\r\n"],
    ["of any bytes", `3\r\n\0\xff\n\r\n${END}`, "\0\xff\n"],
    ["with an extension", `5;a=b\r\nhello\r\n0;c\r\n\r\n`, "hello"],
    ["with a quoted extension", `5;a="b;c\t\xff"\r\nhello\r\n${END}`, "hello"],
    ["with a quoted pair in an extension", `5;a="\\"\\\\";b\r\nhello\r\n${END}`, "hello"],
    ["with several extensions", `5;a;b=c;d="";e\r\nhello\r\n${END}`, "hello"],
    ["with white space in its extensions", `5; a\t= "b" ;\tc = d\t ; e\r\nhello\r\n${END}`, "hello"],
    ["with a trailer", `5\r\nhello\r\n0\r\nX: y\r\n\r\n`, "hello"],
    ["with several trailers", `0\r\nX: y\r\nZ:\r\nContent-Length: 5\r\n\r\n`, ""],
  ];
  test.each(messages)("%s is decoded", (_, text, body) => {
    expect(decodeSplit(text)).toEqual({ body, used: text.length, done: true });
  });

  test.each(messages)("%s ends where the next request begins", (_, text, body) => {
    expect(decodeSplit(`${text}GET / HTTP/1.1\r\n`)).toEqual({ body, used: text.length, done: true });
  });

  test.each(messages)("%s is not done before its last byte", (_, text) => {
    for (let bytes = 0; bytes < text.length; bytes++)
      expect(decode(text, [bytes])).toMatchObject({ done: false, used: bytes });
  });

  test("of random chunks in random pieces is decoded", () => {
    const data = fc.uint8Array({ minLength: 1, maxLength: 300, size: "max" });
    const chunk = fc.tuple(
      data.map((bytes) => Buffer.from(bytes).toString("latin1")),
      fc.constantFrom("", ";x"),
    );
    const end = fc.constantFrom(END, "0\r\nX: y\r\n\r\n");
    holds(500, [fc.array(chunk, { maxLength: 5 }), end, cuts(5)], (chunks, last, at) => {
      const body = chunks.map(([each]) => each).join("");
      const framed = chunks.map(([each, extension]) => `${each.length.toString(16)}${extension}\r\n${each}\r\n`);
      const text = framed.join("") + last;
      const ends = [...endsWithin(text.length, at), text.length];
      expect(decode(text, ends)).toEqual({ body, used: text.length, done: true });
    });
  });
});

describe("a message is refused", () => {
  const sizes: [reason: string, text: string][] = [
    ["without a size", "\r\nhello"],
    ["with an extension alone", ";a\r\n"],
    ["with a size that is no number", "g\r\n"],
    ["with a space before the size", " 5\r\n"],
    ["with a negative size", "-1\r\n"],
    ["with a plus before the size", "+5\r\n"],
    ["with 0x before the size", "0x5\r\nhello\r\n"],
    ["with a space after the size", "5 \r\nhello\r\n"],
    ["with a size beyond what a number holds exactly", "FFFFFFFFFFFFFF\r\n"],
    ["with a size that overflows 64 bits to 5", "10000000000000005\r\nhello\r\n"],
    ["with more zeros than a size needs", "00000000000005\r\nhello\r\n"],
  ];
  const lineEnds: [reason: string, text: string][] = [
    ["with a bare LF after the size", "5\nhello\r\n"],
    ["with a bare CR after the size", "5\rhello\r\n"],
    ["with CR CR LF after the size", "5\r\r\nhello\r\n"],
    ["with a bare LF in an extension", "5;a\nhello\r\n"],
    ["with a bare CR in an extension", "5;a\rb\r\n"],
    ["with NUL in an extension", "5;\0\r\n"],
    ["with DEL in an extension", "5;\x7f\r\n"],
    ["with more data than the size says", "4\r\nhello\r\n"],
    ["with less data than the size says", `6\r\nhello\r\n${END}`],
    ["with a bare LF after the data", "5\r\nhello\n0\r\n"],
    ["with a bare CR after the data", "5\r\nhello\r0\r\n"],
    ["with nothing after the data", `5\r\nhello${END}`],
    ["with another byte for the CR after the data", `5\r\nhello \n${END}`],
    ["with a bare LF at the end", "0\r\n\n"],
    ["with a bare CR at the end", "0\r\n\rX"],
  ];
  const extensions: [reason: string, text: string][] = [
    ["with an empty extension", ";"],
    ["with an empty extension before another", ";;a"],
    ["with an extension without a name", ";=a"],
    ["with an extension without a value", ";a="],
    ["with an empty value before another extension", ";a=;b"],
    ["with two values", ";a=b=c"],
    ["with a delimiter in an extension's name", ";a(b"],
    ["with a delimiter in an extension's value", ";a=b(c"],
    ["with obs-text in an extension's name", ";\xe9"],
    ["with a space within an extension's name", ";a b"],
    ["with a space within an extension's value", ";a=b c"],
    ["with a space after an extension's name", ";a "],
    ["with a space after an extension's value", ";a=b "],
    ["with a quote within an extension's value", ';a=b"c"'],
    ["with something after a quoted value", ';a="b"c'],
    ["with a quoted name", ';"a"'],
    ["with quotes that do not end", ';a="b'],
    ["with quotes that end in a backslash", ';a="b\\'],
  ].map(([reason, extension]) => [reason!, `5${extension}\r\nhello\r\n${END}`]);
  const trailers: [reason: string, text: string][] = [
    ["with a trailer without a colon", "0\r\nX\r\n\r\n"],
    ["with a second trailer without a colon", "0\r\nX: y\r\nZ\r\n\r\n"],
    ["with a trailer without a name", "0\r\n: y\r\n\r\n"],
    ["with a folded trailer", "0\r\nX: y\r\n z\r\n\r\n"],
    ["with a space before a trailer's colon", "0\r\nX : y\r\n\r\n"],
    ["with a tab in a trailer's name", "0\r\nX\ty: z\r\n\r\n"],
    ["with a delimiter in a trailer's name", "0\r\nX(y): z\r\n\r\n"],
    ["with a delimiter before a trailer's name", "0\r\n(X): z\r\n\r\n"],
    ["with obs-text in a trailer's name", "0\r\nX\xe9: z\r\n\r\n"],
    ["with NUL in a trailer", "0\r\nX: \0\r\n\r\n"],
    ["with a bare LF after a trailer", "0\r\nX: y\n\r\n"],
    ["with a bare CR in a trailer", "0\r\nX: y\rz\r\n\r\n"],
  ];
  test.each([...sizes, ...lineEnds, ...extensions, ...trailers])("%s: 400", (_, text) => {
    expect(decodeSplit(text)).toMatchObject({ status: 400 });
  });

  test("but what came before the mistake was delivered", () => {
    expect(decodeSplit("5\r\nhello\r\nx")).toEqual({ status: 400, body: "hello" });
  });

  test("with longer trailers than are allowed: 431", () => {
    const trailer = (bytes: number): string => `0\r\nX:${"y".repeat(bytes - 2)}\r\n\r\n`;
    expect(decodeSplit(trailer(50), 50)).toMatchObject({ done: true });
    expect(decodeSplit(trailer(51), 50)).toMatchObject({ status: 431 });
    expect(decodeSplit(`0\r\n${"X:y\r\n".repeat(17)}\r\n`, 50)).toMatchObject({ status: 431 });
    expect(decode(`0\r\nX:${"y".repeat(100)}`, undefined, 50)).toMatchObject({ status: 431 });
  });

  test("with extensions without end: 400", () => {
    expect(decode(`5;${"a".repeat(16384)}`)).toMatchObject({ done: false });
    expect(decode(`5;${"a".repeat(16384)}\r\nhello`)).toMatchObject({ body: "hello" });
    expect(decode(`5;${"a".repeat(16385)}`)).toEqual({ status: 400, body: "" });
    const spread = `1;${"a".repeat(1000)}\r\nx\r\n`;
    expect(decode(spread.repeat(17))).toEqual({ status: 400, body: "x".repeat(16) });
  });
});

test("a size of 13 digits is exact", () => {
  expect(decode("FFFFFFFFFFFFF\r\nabc")).toEqual({ body: "abc", used: 18, done: false });
});

test("garbage is refused, incomplete or a message within it, and the same in pieces", () => {
  const telling = fc.constantFrom(..."0015aF;:\r\nX \t\0\x7f\xff", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n");
  const outcomes = new Set<unknown>();
  holds(10_000, [fc.array(telling, { minLength: 1, maxLength: 16, size: "max" }), cuts(1)], (parts, at) => {
    const text = parts.join("");
    const whole = decode(text);
    expect(decode(text, [...endsWithin(text.length, at), text.length])).toEqual(whole);
    outcomes.add("status" in whole ? whole.status : whole.done);
  });
  expect([...outcomes].toSorted()).toEqual([400, false, true]);
});

test("small chunks that arrive together are handed on together, between large ones in their place", () => {
  const small = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(97 + (i % 26)));
  const large = "L".repeat(5000);
  const chunk = (data: string): string => `${data.length.toString(16)}\r\n${data}\r\n`;
  const text = small.map(chunk).join("") + chunk(large) + small.map(chunk).join("") + chunk("m".repeat(1000)) + END;
  const memory = Buffer.from(text);
  const parts: string[] = [];
  const sink = {
    onBody: (bytes: Buffer, start: number, end: number) => void parts.push(bytes.latin1Slice(start, end)),
  };
  expect(new ChunkedDecoder(TRAILER_BYTES_MAX).feed(memory, 0, memory.length, sink)).toBe(memory.length);
  expect(parts.join("") === small.join("") + large + small.join("") + "m".repeat(1000)).toBe(true);
  expect(parts.length).toBeLessThan(8);
  expect(parts).toContain(large);
});
