/** Compares the HTTP parser and the chunked decoder with llhttp, an independent parser. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../unit/seeded-random.ts";
import { compare } from "./compare.ts";
import { corpus, randomEnds } from "./corpus.ts";
import { keptAliveByOne, refusedByLlhttp, refusedByRingloop, withoutBody } from "./differences.ts";
import { allHalves, differsInPieces, Fuzzer } from "./fuzzer.ts";
import { readWithLlhttp } from "./llhttp.ts";
import { minimize } from "./minimize.ts";
import { quote, type Reader } from "./reading.ts";
import { readWithRingloop } from "./ringloop.ts";

/** Number of inputs that the fuzzer tries at least, also on a busy machine. */
const INPUTS_MIN = 20_000;

const list = [...refusedByRingloop, ...refusedByLlhttp, ...keptAliveByOne, withoutBody];
const names = [...new Set(list.map(({ name }) => name))];

describe("llhttp", () => {
  test("reads what is known", () => {
    const stream =
      "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nX:\r\nY: b \t\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nZ: c\r\n\r\n";
    const headers = [
      ["Host", "a"],
      ["X", ""],
      ["Y", "b"],
      ["Transfer-Encoding", "chunked"],
    ] as [string, string][];
    const message = { method: "POST", target: "/a", version: "1.1", headers, body: "hello!", keepAlive: true };
    const messages = [
      { ...message, end: stream.length },
      { ...message, end: 2 * stream.length },
    ];
    expect(readWithLlhttp(stream + stream)).toEqual({ messages, verdict: "accepted" });
    expect(readWithLlhttp(`${stream}GET`)).toEqual({ messages: messages.slice(0, 1), verdict: "incomplete" });
    const reason = "Invalid method encountered";
    expect(readWithLlhttp(`${stream}?`)).toEqual({ messages: messages.slice(0, 1), verdict: "refused", reason });
  });

  test("goes on after an Upgrade that nobody takes", () => {
    const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc";
    const { messages, verdict } = readWithLlhttp(upgrade + upgrade);
    expect(verdict).toBe("accepted");
    expect(messages.map(({ body, end }) => [body, end])).toEqual([
      ["abc", upgrade.length],
      ["abc", 2 * upgrade.length],
    ]);
  });
});

describe("the corpus", () => {
  test("is read as llhttp reads it, but for the listed differences", () => {
    for (const stream of corpus) {
      const { unlisted } = compare(stream);
      if (unlisted !== undefined) throw new Error(`${quote(stream)}: ${unlisted}`);
    }
  });

  test("shows every listed difference", () => {
    const met = new Set(corpus.map((stream) => compare(stream).listed));
    expect(names.filter((name) => !met.has(name))).toEqual([]);
  });

  test("is accepted, refused with each status, and incomplete", () => {
    const outcomes = new Set(
      corpus.map((stream) => readWithRingloop(stream)).map((read) => read.reason ?? read.verdict),
    );
    expect([...outcomes].toSorted()).toEqual([
      "400",
      "413",
      "414",
      "417",
      "431",
      "501",
      "505",
      "accepted",
      "incomplete",
    ]);
  });

  test("is read the same in two pieces, split at every byte", () => {
    for (const stream of corpus) {
      for (const read of [readWithRingloop, readWithLlhttp]) {
        const problem = differsInPieces(stream, allHalves(stream), read(stream), read);
        if (problem !== undefined) throw new Error(`${quote(stream)} ${problem}`);
      }
    }
  });

  test("is read as llhttp reads it in random pieces", () => {
    const random = new SeededRandom(1);
    for (const stream of corpus) {
      for (let round = 0; round < 5; round++) {
        const ends = randomEnds(random, stream);
        const { ours, unlisted } = compare(stream, ends);
        const problem = unlisted ?? differsInPieces(stream, [ends], readWithRingloop(stream), () => ours);
        if (problem !== undefined) throw new Error(`${quote(stream)} in pieces that end at ${ends}: ${problem}`);
      }
    }
  });
});

test("random requests are read as llhttp reads them, for 8 seconds", () => {
  const fuzzer = new Fuzzer();
  const endMs = performance.now() + 8000;
  for (let seed = 1; performance.now() < endMs || fuzzer.inputs <= INPUTS_MIN; seed++) {
    const report = fuzzer.try(seed);
    if (report !== undefined) throw new Error(report);
  }
  // Few kinds of outcomes would mean that the test does nothing.
  expect(fuzzer.differences.size).toBeGreaterThan(names.length / 2);
  for (const count of Object.values(fuzzer.verdicts)) expect(count).toBeGreaterThan(fuzzer.inputs / 1000);
});

describe("a parser is caught that", () => {
  const edited =
    (pattern: RegExp, replacement: string | ((match: string) => string)): Reader =>
    (stream, ends) =>
      readWithRingloop(stream.replace(pattern, replacement as string), ends);
  const spaces = (match: string): string => " ".repeat(match.length);

  const wrong: [what: string, read: Reader, stream: string][] = [
    ["accepts a bare LF", edited(/(?<!\r)\n/g, "\r\n"), "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"],
    ["accepts a folded line", edited(/\r\n[ \t]+/g, spaces), "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"],
    ["accepts NUL in a value", edited(/\0/g, "x"), "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"],
    [
      "ignores a second Content-Length",
      edited(/(?<=Content-Length: .*\r\n)Content-Length(?=: 6)/g, "X-ntent-Length"),
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ],
    [
      "lets Transfer-Encoding overrule Content-Length",
      edited(/Content-Length(?=[^]*Transfer-Encoding)/g, "X-ntent-Length"),
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "skips what it cannot read of a chunk's extensions",
      edited(/;[^\r\n]*(?=\r\n)/g, (match) => `;${"a".repeat(match.length - 1)}`),
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;(\r\nhello\r\n0\r\n\r\n",
    ],
    ["refuses what is right", edited(/^PATCH/g, "PA(CH"), "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["changes a target", edited(/%41/g, "%61"), "GET /%41 HTTP/1.1\r\nHost: a\r\n\r\n"],
    [
      "takes a byte of the body for the next request",
      edited(/(?<=Content-Length: )5/g, "4"),
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    ],
    [
      "keeps a connection that was to be closed",
      edited(/close/g, "clone"),
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ],
  ];
  test.each(wrong)("%s", (_, read, stream) => {
    expect(compare(stream).unlisted).toBeUndefined();
    expect(compare(stream, undefined, read).unlisted).toBeString();
  });

  test("forgets a piece", () => {
    const forgets: Reader = (stream, ends = [stream.length]) =>
      readWithRingloop(ends[0] === 7 ? stream.slice(7) : stream);
    const stream = corpus[0]!;
    expect(differsInPieces(stream, allHalves(stream), forgets(stream), forgets)).toStartWith(
      "in pieces that end at 7,",
    );
  });

  test("accepts a bare LF, by random requests too, with the smallest that shows it", () => {
    const fuzzer = new Fuzzer(wrong[0]![1]);
    let report: string | undefined;
    for (let seed = 1; seed < 20_000 && report === undefined; seed++) report = fuzzer.try(seed);
    expect(report).toMatch(/^seed \d+: /);
    expect(report).toMatch(/\n {2}minimised: ".*\\n.*"\n/);
    expect(report).toMatch(/\n {2}again with: npm run fuzz -- --seed \d+ --inputs 1$/);
  });
});

test("a failing input is made smaller while it fails", () => {
  expect(minimize("abcdefghijklmnop", (text) => text.includes("c") && text.includes("n"))).toBe("cn");
  expect(minimize("xaaab", (text) => /^xa*b$/.test(text) && text.length % 2 === 1)).toBe("xab");
});

test("docs/compatibility.md lists the differences, with their sections, and no others", () => {
  const docs = readFileSync(join(import.meta.dir, "../../docs/compatibility.md"), "utf8");
  const table = docs.split("\n## The HTTP parser against llhttp\n")[1]!.split("\n## ")[0]!;
  const rows = [...table.matchAll(/^\| (.+?) +\|.*\| .*?(RFC \d+ (?:section|appendix) [A-Z\d.]+).*\|$/gm)];
  const section = (text: string): string =>
    `${text.startsWith("RFC") ? text.slice(0, 8) : "RFC 9112"} ${/^[A-Z]\./.test(text) ? "appendix" : "section"} ${text.replace(/^RFC \d+ /, "")}`;
  const expected = new Map(list.map((entry) => [entry.name, section(entry.section)]));
  expect(Object.fromEntries(rows.map(([, name, text]) => [name, text]))).toEqual(Object.fromEntries(expected));
});
