/**
 * The parts of WebSocket that work on bytes: UTF-8 in pieces, masking, Close frames, heads of
 * frames, and offers of compression.
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { isUtf8 } from "node:buffer";
import { closePayload, mayBeReceived } from "../../src/websocket/close-frame.ts";
import { agree, readDeflate } from "../../src/websocket/deflate.ts";
import { encodeFrame } from "../../src/websocket/frame-writer.ts";
import { unmask } from "../../src/websocket/unmask.ts";
import { checkUtf8 } from "../../src/websocket/utf8.ts";
import { holds } from "./property.ts";

/** Whether the bytes can become valid UTF-8 if more bytes follow. */
function mayGoOn(bytes: Buffer): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

describe("UTF-8 in pieces", () => {
  test("every two bytes are judged as the decoder of the Encoding standard does", () => {
    const bytes = Buffer.alloc(2);
    for (let value = 0; value < 65536; value++) {
      bytes.writeUInt16BE(value);
      const checked = checkUtf8(bytes, 0, 2);
      if (checked >= 0 !== mayGoOn(bytes)) throw new Error(`${bytes.toString("hex")}: ${checked}`);
      if ((checked === 2) !== isUtf8(bytes)) throw new Error(`${bytes.toString("hex")}: ${checked}`);
    }
  });

  test("random bytes are judged alike, whole and byte by byte", () => {
    const interesting = [
      0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xf5,
    ];
    const some = fc.array(fc.constantFrom(...interesting), { minLength: 1, maxLength: 6, size: "max" });
    holds(20_000, [some], (values) => {
      const bytes = Buffer.from(values);
      let checked = 0;
      for (let end = 1; end <= bytes.length && checked >= 0; end++) checked = checkUtf8(bytes, checked, end);
      const isBegun = mayGoOn(bytes);
      expect([checked >= 0, checkUtf8(bytes, 0, bytes.length) >= 0]).toEqual([isBegun, isBegun]);
      if (isBegun) expect(checked === bytes.length).toBe(isUtf8(bytes));
    });
  });
});

test("masking is undone at every place, length and phase, and nothing around it is touched", () => {
  const key = Uint8Array.of(0x11, 0x82, 0xf3, 0x44);
  for (const length of [0, 1, 2, 3, 7, 31, 32, 33, 40, 100]) {
    for (let start = 0; start < 5; start++) {
      for (let phase = 0; phase < 5; phase++) {
        const plain = Buffer.alloc(length, "plain");
        const memory = Buffer.alloc(start + length + 5, 0xee);
        for (let i = 0; i < length; i++) memory[start + i] = plain[i]! ^ key[(phase + i) & 3]!;
        const copy = Buffer.alloc(length + 3, 0xee);
        expect(unmask(memory, start, start + length, key, phase, copy, 2)).toBe(true);
        expect(copy.equals(Buffer.concat([Buffer.of(0xee, 0xee), plain, Buffer.of(0xee)]))).toBe(true);
        expect(unmask(memory, start, start + length, key, phase)).toBe(true);
        expect(memory.subarray(start, start + length).equals(plain)).toBe(true);
        expect(memory.subarray(0, start).every((byte) => byte === 0xee)).toBe(true);
        expect(memory.subarray(start + length).every((byte) => byte === 0xee)).toBe(true);
        for (let at = 0; at < length; at++) {
          const bytes = Buffer.alloc(length, "a");
          bytes[at] = 0x80;
          expect(unmask(bytes, 0, length, new Uint8Array(4), 0)).toBe(false);
        }
      }
    }
  }
});

test("a frame's head is as short as can be", () => {
  const heads: [number, string][] = [
    [0, "8200"],
    [125, "827d"],
    [126, "827e007e"],
    [65535, "827effff"],
    [65536, "827f0000000000010000"],
  ];
  for (const [length, head] of heads) {
    const encoded = encodeFrame(2, Buffer.alloc(length), false);
    expect([encoded.toString("hex", 0, head.length / 2), encoded.length]).toEqual([head, head.length / 2 + length]);
  }
  expect(encodeFrame(1, Buffer.from("x"), true).toString("hex")).toBe("c10178");
});

test("a Close frame's reason is cut between characters, and its code is one that may be sent", () => {
  for (let length = 118; length < 130; length++) {
    for (const character of ["é", "€", "😀"]) {
      const payload = closePayload(1000, "x".repeat(length) + character.repeat(5));
      expect(payload.length).toBeLessThanOrEqual(125);
      expect(payload.length).toBeGreaterThan(121);
      expect(isUtf8(payload.subarray(2))).toBe(true);
    }
  }
  for (const code of [0, 1005, 1006, 1015]) expect(closePayload(code, "x")).toHaveLength(0);
  for (const code of [-1, 1, 999, 1004, 1016, 2999, 5000, 65536, 1000.5, NaN])
    expect(() => closePayload(code, "")).toThrow(RangeError);
  const receivable = Array.from({ length: 65536 }, (_, code) => code).filter(mayBeReceived);
  expect([receivable.length, receivable[0], receivable.at(-1)]).toEqual([12 + 2000, 1000, 4999]);
});

test("offers of compression are accepted in their order, or not at all", () => {
  const options = readDeflate({ compress: "dedicated", decompress: "dedicated" })!;
  const answer = (offers: string): string | undefined => agree(options, offers)?.answer;
  expect(answer("permessage-deflate")).toBe("permessage-deflate");
  expect(answer('permessage-deflate; client_max_window_bits="10"')).toBe(
    "permessage-deflate; client_max_window_bits=10",
  );
  expect(answer("x, permessage-deflate; y, Permessage-Deflate ; server_no_context_takeover")).toBe(
    "permessage-deflate; server_no_context_takeover",
  );
  expect(answer("permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9")).toBe(
    "permessage-deflate; server_max_window_bits=9",
  );
  // RFC 7692 section 7.1.2.1: if an offer names the server's window, the answer must name it.
  expect(answer("permessage-deflate; server_max_window_bits=15")).toBe("permessage-deflate; server_max_window_bits=15");
  expect(answer('permessage-deflate\t;client_max_window_bits = "1\\0"')).toBe(
    "permessage-deflate; client_max_window_bits=10",
  );
  // RFC 6455 section 9.1: characters in quotes are not separators. An offer that is not well-formed
  // does not affect the next one.
  for (const first of [
    'permessage-deflate; x="a, permessage-deflate; client_no_context_takeover, b"',
    'permessage-deflate; x="a\\", permessage-deflate; server_max_window_bits=9"',
    'permessage-deflate; client_max_window_bits=10"11"',
    "permessage-deflate; client_max_window_bits=",
    'permessage-deflate; client_max_window_bits=""',
    "permessage-deflate; =10",
    "permessage-deflate client_max_window_bits",
    '"permessage-deflate"',
    "=",
    ";",
    " \t, ,",
  ])
    expect([first, answer(`${first}, permessage-deflate`)]).toEqual([first, "permessage-deflate"]);
  for (const bad of [
    "",
    "deflate",
    'permessage-deflate; client_max_window_bits="10',
    'permessage-deflate; client_max_window_bits="10\\',
    'permessage-deflate; client_max_window_bits="10, permessage-deflate',
    "permessage-deflate; server_max_window_bits=1e1",
    "permessage-deflate;;",
    "permessage-deflate; client_max_window_bits=16",
  ])
    expect([bad, answer(bad)]).toEqual([bad, undefined]);
});
