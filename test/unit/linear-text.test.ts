/**
 * The time to read a client's text is linear. This file lists each regular expression in
 * src/transport, src/http, src/websocket and src/bun with the text that it gets. An expression that
 * gets a client's text is tried with texts that cause backtracking, and must stay linear. An
 * expression that is not listed fails the test.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { judgeConditions, requestedRange } from "../../src/bun/serve/conditions.ts";
import { RequestParser } from "../../src/http/parser.ts";
import { RingRequest } from "../../src/bun/serve/request.ts";
import { decodeParameter, Router } from "../../src/bun/serve/router.ts";
import { readOffers } from "../../src/websocket/extensions.ts";
import { cpuUs, growth, linear } from "../behaviour/growth.ts";

const root = join(import.meta.dir, "../..");

/**
 * For each expression, by file: why it is linear on a client's text, or which other text it gets.
 */
const listed: Record<string, Record<string, { client: string } | { other: string }>> = {
  "src/bun/serve/conditions.ts": {
    "/^bytes[ \\t]*=[ \\t]*(?:(\\d+)[ \\t]*)?-[ \\t]*(?:(\\d+)[ \\t]*)?$/i": {
      client: "anchored; neighbouring repetitions share no character",
    },
    "/^W\\//": { client: "anchored, and of fixed length" },
    '/(?:W\\/)?"[^"]*"/g': { client: "begins at a quote or before one, and goes to the next" },
  },
  "src/bun/serve/blob-place.ts": {
    '/^FileRef \\("([^\\p{Cc}\\ufffd]+)"\\)(?: \\{\\n {2}type: "[\\w+./;= -]*"\\n\\})?$/u': {
      other: "Bun's picture of a Blob",
    },
    "/^(?:FileRef|S3Ref) \\(/": { other: "Bun's picture of a Blob" },
    '/^FileRef \\("([^\\p{Cc}\\ufffd]+)"\\)(?: \\{)?$/u': { other: "Bun's picture of a Blob without its name" },
    '/^\\n(?: {2}name: "",?\\n)?(?: {2}offset: (\\d+)\\n,?\\n)?(?: {2}lastModified: \\d+\\n)?\\}$/': {
      other: "Bun's picture of a Blob without its name",
    },
  },
  "src/http/field-names.ts": {
    "/^[!-~]*[A-Z][!-~]*$/": { other: "the program's name of a field" },
  },
  "src/bun/serve/file-plan.ts": {
    "/^(?:(?:text|image|audio|video|font)\\/|application\\/(?:json|wasm)(?:;|$))/": {
      other: "the type of the program's file",
    },
    "/^[\\w .-]*$/": { other: "the name of the program's file" },
    "/[^\\P{Cc}\\t]/gu": { other: "the name of the program's file" },
    '/["\\\\]/g': { other: "the name of the program's file" },
  },
  "src/bun/serve/own-fields.ts": {
    "/(^|,)\\s*close\\s*(,|$)/i": {
      client: "the program's field, which may repeat a client's; a comma starts it once",
    },
    "/^\\d{1,15}$/": { other: "the program's Content-Length" },
  },
  "src/http/head.ts": {
    "/[^\\t\\x20-\\x7e\\x80-\\xff]/": { other: "the program's status text" },
  },
  "src/http/byte-classes.ts": {
    "/[!#$%&'*+\\-.^_`|~0-9A-Za-z]/": { other: "the characters of a table" },
    "/[A-Za-z0-9\\-._~!$&'()*+,;=]/": { other: "the characters of a table" },
  },
  "src/bun/serve/request.ts": {
    "/^http:\\/\\/(?:[a-z][a-z0-9.-]*|127\\.0\\.0\\.1)(?::[1-9]\\d{2,4})?$/": {
      client: "anchored; one repetition without a limit, and a colon behind it",
    },
    "/\\/\\.|%2e|[\"'<>\\\\^`{|}]|[^\\0-\\x7f]/i": { client: "of fixed length" },
    "/[\\x80-\\xff]/": { client: "one character" },
  },
  "src/bun/serve/response.ts": {
    "/^ {2}(?:Blob|FileRef|S3Ref) \\(/m": { other: "Bun's picture of a Response" },
  },
  "src/bun/serve/router.ts": {
    "/[^\\x20-\\x7e]/": { other: "the program's route" },
    "/[%\\x80-\\xff]/": { client: "one character" },
    "/%(?:([0-9a-f]{2})|.{0,2})/gi": { client: "of fixed length" },
  },
  "src/bun/serve/static-content.ts": {
    "/[\\x80-\\xff]/g": { client: "one character" },
    "/%(..)/g": { client: "of fixed length" },
    "/[A-Za-z0-9\\-._~!$&'()*+,;=:@/\\0]/": { client: "one character" },
  },
  "src/bun/websocket/handshake.ts": {
    "/^[A-Za-z0-9+/]{22}==$/": { client: "of fixed length" },
  },
  "src/bun/sockets/connect.ts": {
    "/^[\\d.]+$|:/": { client: "a host that the program connects to, perhaps a client's; one repetition, anchored" },
  },
  "src/transport/multicast.ts": {
    "/^[\\d.]+$|:/": { client: "an address of the program's, perhaps a client's; one repetition, anchored" },
  },
  "src/bun/sockets/udp.ts": {
    "/^(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})$/": {
      client: "an address of the program's; of limited length",
    },
    "/^[\\d.]+$|:/": { client: "an address of the program's, perhaps a client's; one repetition, anchored" },
  },
};

/** Returns the regular expressions in a source text. Skips comments, strings and templates. */
function expressionsIn(source: string): string[] {
  const token =
    /\/\*[^]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|(?<=(?:[(,=:[!&|?{};\n]|\breturn|=>)\s*)\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/g;
  return [...source.matchAll(token)].map(([text]) => text).filter((text) => /^\/[^/*]/.test(text));
}

const files = [...new Bun.Glob("src/{transport,http,websocket,bun}/**/*.ts").scanSync({ cwd: root })].toSorted();
const found = files.map((file) => [file, expressionsIn(readFileSync(join(root, file), "utf8"))] as const);

test("each regular expression is listed, and each that is listed is there", () => {
  const names = (pairs: (readonly [string, string[]])[]): string[] =>
    pairs.flatMap(([file, each]) => [...new Set(each)].map((text) => `${file} ${text}`)).toSorted();
  expect(names(found)).toEqual(names(Object.entries(listed).map(([file, each]) => [file, Object.keys(each)])));
});

test("none is put together from text", () => {
  const made = files.filter((file) => /\bRegExp\(/.test(readFileSync(join(root, file), "utf8")));
  expect(made).toEqual([]);
});

const LENGTH = 4096;
const REPEATS = 5;
/** A shorter time cannot be measured. */
const CPU_US_MIN = 4000;
const units = [
  " ",
  "\t",
  ",",
  '"',
  "a",
  "0",
  "1",
  "/",
  "%",
  "%2",
  "%2f",
  ":",
  ".",
  "-",
  "W/",
  '"a',
  'W/"',
  ", ",
  "\\",
  "?",
  "=",
  ";",
  "\xff",
];
const ends: [before: string, after: string][] = [
  ["", ""],
  ["", "\0"],
  ["bytes=", "x"],
  ["bytes=1", "-x"],
  ["http://", "\n"],
  ["a", "~"],
  ['"', ""],
  ["a=", '"x"y'],
  [",", "close"],
];

/** Fails if the function takes more than linear time for any of the texts. */
async function expectLinear(look: (text: string) => unknown): Promise<void> {
  for (const unit of units) {
    for (const [before, after] of ends) {
      const run = (length: number): void => {
        const text = before + unit.repeat(length / unit.length) + after;
        for (let i = 0; i < REPEATS; i++) look(text);
      };
      const whole = (): void => run(LENGTH);
      // A function that is not linear takes long each time. The compiler takes long only in the
      // first run.
      if ((await cpuUs(whole)) < CPU_US_MIN || (await cpuUs(whole)) < CPU_US_MIN) continue;
      expect([unit, before, after, (await growth(LENGTH / 4, run)) < linear]).toEqual([unit, before, after, true]);
    }
  }
}

test("what is driven finds an expression that is not linear", async () => {
  for (const expression of [/\s+$/, /^([\w-]+)(?:\s*=\s*"?([^"]*?)"?)?$/])
    await expect(expectLinear((text) => expression.test(text))).rejects.toThrow();
});

describe("linear for whatever a client sends:", () => {
  for (const [file, expressions] of Object.entries(listed)) {
    for (const [text, seen] of Object.entries(expressions)) {
      if ("other" in seen) continue;
      const [, pattern, flags] = /^\/(.*)\/([a-z]*)$/.exec(text)!;
      const expression = new RegExp(pattern!, flags);
      test(`${file} ${text}`, () => expectLinear((input) => input.replace(expression, "")));
    }
  }

  const functions: Record<string, (text: string) => unknown> = {
    readOffers: (text) => readOffers(`a; b=${text}`),
    "readOffers, of parameters": (text) => readOffers(text),
    decodeParameter,
    requestedRange: (text) => requestedRange(new Headers({ range: printable(text) }), 1000, {}),
    "judgeConditions, of tags": (text) =>
      judgeConditions(new Headers({ "if-match": printable(text), "if-none-match": printable(text) }), { etag: '"e"' }),
    "judgeConditions, of dates": (text) =>
      judgeConditions(new Headers({ "if-modified-since": printable(text), "if-unmodified-since": printable(text) }), {
        lastModifiedMs: 1000,
      }),
    "Router.match": (text) => router.match("GET", `/${text}`),
    "a request's url and headers": (text) => {
      const head = `GET /${targetOf(text)} HTTP/1.1\r\nHost: ${hostOf(text)}\r\nX: ${printable(text)}\r\n\r\n`;
      const bytes = Buffer.from(head, "latin1");
      const end = parser.parse(bytes, 0, bytes.length);
      if (end < 0) return;
      const request = new RingRequest({ defaultOrigin: "http://a" }, "GET", head, 0, parser, end, null);
      return [request.url, request.headers.get("x")];
    },
    cookies: (text) => new Bun.CookieMap(text),
  };
  for (const [name, look] of Object.entries(functions)) test(name, () => expectLinear(look));
});

const parser = new RequestParser({ headerBytesMax: 1 << 20 });
const router = new Router<number>();
for (const [i, path] of ["/a/:x/b", "/:x/:y/*", "/a/:x/:y/c", "/*", "/:x"].entries()) router.add(path, undefined, i);

const printable = (text: string): string => text.replaceAll(/[^\t\x20-\x7e]/g, "~");
const targetOf = (text: string): string => text.replaceAll(/[^\x21-\x7e]|#/g, ".");
const hostOf = (text: string): string => text.replaceAll(/[^A-Za-z0-9\-._~:%]/g, "");
