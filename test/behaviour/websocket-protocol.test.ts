/**
 * The reaction of a server to frames (RFC 6455), in the order of the Autobahn suite: framing,
 * pings, reserved bits, opcodes, fragmentation, UTF-8, close handling, limits. Every case is sent
 * in one piece with the handshake, and again cut in two at every byte.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isBun, type Server } from "./subject.ts";
import { closing, frame, serveEcho, WebSocketClient } from "./websocket-client.ts";

/**
 * The answers of the server: [opcode, text]. The last is [8, code]; then it ends the connection.
 */
type Answers = (string | number)[][];

const MESSAGE_BYTES_MAX = 300_000;
/** Number of cuts in longer inputs: around the heads of frames, and at regular distances. */
const CUTS_MAX = 80;
let server: Server;
beforeAll(() => void (server = serveEcho({ maxPayloadLength: MESSAGE_BYTES_MAX, idleTimeout: 60 })));
afterAll(() => server.stop(true));

const bye = frame(8, closing(1000));
const byeAnswer = [8, 1000];

function cutsOf(length: number): number[] {
  if (length <= CUTS_MAX) return Array.from({ length: length - 1 }, (_, i) => i + 1);
  const step = Math.floor(length / 10);
  return [1, 2, 3, 4, 5, 6, 9, 10, 13, 14, 15, ...Array.from({ length: 9 }, (_, i) => (i + 1) * step), length - 1];
}

async function exchange(bytes: Buffer, cut: number): Promise<Answers> {
  if (cut === 0) {
    using whole = await WebSocketClient.open(server.port, [], bytes);
    return await whole.rest();
  }
  using client = await WebSocketClient.open(server.port);
  client.send(bytes.subarray(0, cut));
  // The first part leaves before the rest is written. The kernel may still join them.
  await new Promise((resolve) => setImmediate(resolve));
  client.send(bytes.subarray(cut));
  return await client.rest();
}

function check(name: string, frames: Buffer[], answers: Answers): void {
  test(name, async () => {
    const bytes = Buffer.concat(frames);
    const cuts = [0, ...cutsOf(bytes.length)];
    const results = await Promise.all(cuts.map((cut) => exchange(bytes, cut)));
    for (const [i, result] of results.entries()) expect([cuts[i], result]).toEqual([cuts[i]!, answers]);
  });
}

/** Expects that the server fails the connection with this code. */
const fails = (name: string, frames: Buffer[], code: number, before: Answers = []): void =>
  check(name, frames, [...before, [8, code]]);

const part = (opcode: number, payload: string | Uint8Array = ""): Buffer => frame(opcode, payload, { fin: false });

describe("1 framing", () => {
  for (const length of [0, 1, 125, 126, 127, 128, 65535, 65536, 200_000]) {
    const text = "*".repeat(length);
    check(`a text of ${length} bytes`, [frame(1, text), bye], [[1, text], byeAnswer]);
    const bytes = Buffer.alloc(length, 0x61);
    check(`${length} bytes`, [frame(2, bytes), bye], [[2, bytes.toString()], byeAnswer]);
  }
  check("a mask of zeros", [frame(1, "hello", { key: [0, 0, 0, 0] }), bye], [[1, "hello"], byeAnswer]);
  check(
    "several messages at once",
    [frame(1, "a"), frame(2, "b"), frame(1, ""), frame(1, "c"), bye],
    [[1, "a"], [2, "b"], [1, ""], [1, "c"], byeAnswer],
  );
  fails("a frame without a mask", [frame(1, "hello", { mask: false })], 1002);
  fails("an empty frame without a mask", [frame(1, "", { mask: false })], 1002);
  if (!isBun) {
    fails("a length of two bytes that fits in seven bits", [Buffer.of(0x81, 0xfe, 0, 1, 1, 2, 3, 4, 0x60)], 1002);
    fails(
      "a length of eight bytes that fits in two",
      [Buffer.of(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 126, 1, 2, 3, 4)],
      1002,
    );
  }
});

describe("2 pings and pongs", () => {
  check("a ping without payload", [frame(9), bye], [[10, ""], byeAnswer]);
  check("a ping with a payload", [frame(9, "Hello, world!"), bye], [[10, "Hello, world!"], byeAnswer]);
  const largest = "p".repeat(125);
  check("a ping of 125 bytes", [frame(9, largest), bye], [[10, largest], byeAnswer]);
  fails("a ping of 126 bytes", [frame(9, "p".repeat(126))], 1002);
  check("pongs that nobody asked for", [frame(10), frame(10, "unasked"), frame(9, "x"), bye], [[10, "x"], byeAnswer]);
  const many = Array.from({ length: 10 }, (_, i) => `ping ${i}`);
  check("ten pings", [...many.map((text) => frame(9, text)), bye], [...many.map((text) => [10, text]), byeAnswer]);
});

describe("3 reserved bits", () => {
  for (const rsv of [1, 2, 3, 4, 5, 6, 7]) {
    for (const opcode of [1, 2, 9, 10, 8])
      fails(`RSV ${rsv} with opcode ${opcode}`, [frame(1, "before"), frame(opcode, "", { rsv })], 1002, [
        [1, "before"],
      ]);
  }
});

describe("4 opcodes", () => {
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    fails(`opcode ${opcode}`, [frame(1, "before"), frame(opcode)], 1002, [[1, "before"]]);
    fails(`opcode ${opcode} with a payload`, [frame(opcode, "payload"), frame(9)], 1002);
  }
});

describe("5 fragmentation", () => {
  fails("a ping in fragments", [part(9, "a"), frame(0, "b")], 1002);
  fails("a pong in fragments", [part(10, "a"), frame(0, "b")], 1002);
  fails("a Close in fragments", [part(8, closing(1000))], 1002);
  check("a text in two", [part(1, "frag"), frame(0, "ment"), bye], [[1, "fragment"], byeAnswer]);
  check("bytes in three", [part(2, "fr"), part(0, "agm"), frame(0, "ent"), bye], [[2, "fragment"], byeAnswer]);
  check(
    "a ping between fragments",
    [part(1, "frag"), frame(9, "ping"), frame(0, "ment"), bye],
    [[10, "ping"], [1, "fragment"], byeAnswer],
  );
  check(
    "pings between many fragments",
    [part(1, "1"), frame(9, "a"), part(0, "2"), frame(9, "b"), part(0, "3"), frame(10, "c"), frame(0, "4"), bye],
    [[10, "a"], [10, "b"], [1, "1234"], byeAnswer],
  );
  check("empty fragments", [part(1), part(0), frame(0), bye], [[1, ""], byeAnswer]);
  check("empty fragments around a full one", [part(1), part(0, "middle"), frame(0), bye], [[1, "middle"], byeAnswer]);
  check("a first fragment that is empty", [part(2), frame(0, "last"), bye], [[2, "last"], byeAnswer]);
  fails("a continuation of nothing", [frame(0, "x")], 1002);
  fails("a continuation of nothing that goes on", [part(0, "x"), frame(0, "y")], 1002);
  fails("a continuation after a whole message", [frame(1, "a"), frame(0, "b")], 1002, [[1, "a"]]);
  fails("a new text within a message", [part(1, "a"), frame(1, "b")], 1002);
  fails("new bytes within a message", [part(1, "a"), part(2, "b")], 1002);
  check(
    "a message of fifty fragments",
    [part(1, "x"), ...Array<Buffer>(48).fill(part(0, "x")), frame(0, "x"), bye],
    [[1, "x".repeat(50)], byeAnswer],
  );
  check("a Close between fragments", [part(1, "never"), bye], [byeAnswer]);
});

describe("6 UTF-8", () => {
  const valid = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u0000",
    "\u007f",
    "\u0080",
    "\u07ff",
    "\u0800",
    "\uffff",
    "\u{10000}",
    "\u{10ffff}",
    "\ud7ff\ue000\ufffd",
    "𝒳y".repeat(20),
  ];
  for (const text of valid) {
    const bytes = Buffer.from(text);
    check(`${JSON.stringify(text).slice(0, 40)} whole`, [frame(1, bytes), bye], [[1, text], byeAnswer]);
    const singles = Array.from(bytes, (_, i) =>
      (i === bytes.length - 1 ? frame : part)(i === 0 ? 1 : 0, bytes.subarray(i, i + 1)),
    );
    check(`${JSON.stringify(text).slice(0, 40)} byte by byte`, [...singles, bye], [[1, text], byeAnswer]);
  }
  const invalid: Record<string, number[]> = {
    "a lone continuation": [0x80],
    "two of them": [0x80, 0xbf],
    "a lead without its continuation": [0xc3],
    "three bytes without the last": [0xe2, 0x82],
    "four bytes without the last": [0xf0, 0x9f, 0x98],
    "a lead before ASCII": [0xc3, 0x20],
    "an overlong slash of two": [0xc0, 0xaf],
    "an overlong slash of three": [0xe0, 0x80, 0xaf],
    "an overlong slash of four": [0xf0, 0x80, 0x80, 0xaf],
    "a high surrogate": [0xed, 0xa0, 0x80],
    "a low surrogate": [0xed, 0xbf, 0xbf],
    "beyond U+10FFFF": [0xf4, 0x90, 0x80, 0x80],
    "five bytes": [0xf8, 0x88, 0x80, 0x80, 0x80],
    "0xfe": [0xfe],
    "0xff": [0xff],
  };
  for (const [name, bytes] of Object.entries(invalid)) {
    fails(`${name}, whole`, [frame(1, Buffer.from([0x61, ...bytes]))], 1007);
    fails(`${name}, after a valid fragment`, [part(1, "κό"), frame(0, Buffer.from(bytes))], 1007);
    const all = Buffer.from([0xce, 0xba, ...bytes]);
    const singles = Array.from(all, (_, i) =>
      (i === all.length - 1 ? frame : part)(i === 0 ? 1 : 0, all.subarray(i, i + 1)),
    );
    fails(`${name}, byte by byte`, singles, 1007);
    check(
      `${name} as bytes is nobody's business`,
      [frame(2, Buffer.from(bytes)), bye],
      [[2, Buffer.from(bytes).toString()], byeAnswer],
    );
  }
  // Bun checks only whole messages.
  if (!isBun) {
    const never = {
      "a byte that is none": [0xff],
      "an overlong form": [0xe0, 0x80],
      "a surrogate": [0xed, 0xa0],
      "too large": [0xf4, 0x90],
    };
    for (const [name, bytes] of Object.entries(never))
      fails(`${name} ends a message that is not complete`, [part(1, Buffer.from([0xce, 0xba, ...bytes]))], 1007);
  }
});

describe("7 closing", () => {
  check("without a code", [frame(8)], [[8]]);
  check("with a reason", [frame(8, closing(1000, "ok"))], [byeAnswer]);
  check("with the longest reason", [frame(8, closing(1000, "*".repeat(123)))], [byeAnswer]);
  fails("with more than 125 bytes", [frame(8, closing(1000, "*".repeat(124)))], 1002);
  fails("with one byte", [frame(8, "x")], 1002);
  fails("with a reason that is not UTF-8", [frame(8, closing(1000, Buffer.of(0xce, 0xba, 0xed, 0xa0, 0x80)))], 1007);
  check("nothing is answered after it", [bye, frame(9, "late"), frame(1, "late"), bye], [byeAnswer]);
  check(
    "after messages that are answered first",
    [frame(1, "a"), frame(9, "b"), bye],
    [[1, "a"], [10, "b"], byeAnswer],
  );
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
    check(`with ${code}`, [frame(8, closing(code))], [[8, code]]);
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
    fails(`with ${code}, which must not be sent`, [frame(8, closing(code))], 1002);
});

describe("9 limits", () => {
  const largest = Buffer.alloc(MESSAGE_BYTES_MAX, "limit ");
  check("a message of the limit", [frame(2, largest), bye], [[2, largest.toString()], byeAnswer]);
  check(
    "a message of the limit in fragments",
    [
      part(2, largest.subarray(0, 100_000)),
      part(0, largest.subarray(100_000, 250_000)),
      frame(0, largest.subarray(250_000)),
      bye,
    ],
    [[2, largest.toString()], byeAnswer],
  );
  const head = frame(2, Buffer.alloc(MESSAGE_BYTES_MAX + 1)).subarray(0, 14);
  fails("a message of one byte more, told by its head", [head], 1009);
  fails("a second fragment that goes beyond", [part(2, largest), frame(0, "x")], 1009);
  fails("a length of 63 bits", [Buffer.of(0x82, 0xff, 0x7f, ...Array<number>(7).fill(0xff), 1, 2, 3, 4)], 1009);
  fails("a length of 64 bits", [Buffer.of(0x82, 0xff, 0x80, ...Array<number>(7).fill(0), 1, 2, 3, 4)], 1009);
});
