/**
 * WebSocket frames in any fragments and pieces. The frame writer makes the frames, and the test
 * masks them as a client does. Frames with wrong bytes are compared with a plain reading of RFC
 * 6455 (test/oracle/websocket-reading.ts).
 */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { encodeFrame } from "../../src/websocket/frame-writer.ts";
import { readAtOnce, readInPieces } from "../oracle/websocket-reading.ts";
import { cuts, endsWithin, holds } from "./property.ts";

const Opcode = { Continuation: 0, Text: 1, Binary: 2, Ping: 9, Pong: 10 } as const;

interface Control {
  opcode: number;
  payload: Uint8Array;
}

interface Message {
  isText: boolean;
  payload: Uint8Array;
  /** Places to cut it into fragments. */
  at: number[];
  /** Control frames before each fragment. */
  controls: Control[][];
  key: Uint8Array;
}

const control: fc.Arbitrary<Control> = fc.record({
  opcode: fc.constantFrom(Opcode.Ping, Opcode.Pong),
  payload: fc.uint8Array({ maxLength: 125 }),
});
/** Payloads with lengths near those at which a frame's head gets longer. */
const longPayload = fc
  .tuple(fc.constantFrom(124, 125, 126, 127, 65535, 65536), fc.integer({ min: 0, max: 127 }))
  .map(([length, byte]) => new Uint8Array(length).fill(byte));
const text = fc.string({ unit: "binary", maxLength: 40 }).map((each) => new TextEncoder().encode(each));
const message: fc.Arbitrary<Message> = fc
  .tuple(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ isText: fc.constant(true), payload: text }) },
      { weight: 5, arbitrary: fc.record({ isText: fc.constant(false), payload: fc.uint8Array({ maxLength: 300 }) }) },
      { weight: 1, arbitrary: fc.record({ isText: fc.boolean(), payload: longPayload }) },
    ),
    cuts(4),
    fc.array(fc.array(control, { maxLength: 2 }), { maxLength: 5 }),
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
  )
  .map(([whole, at, controls, key]) => ({ ...whole, at, controls, key }));
const messages = fc.array(message, { maxLength: 5 });

/** Returns a frame of the frame writer as a client sends it: masked, and perhaps a fragment. */
function fromClient(opcode: number, payload: Uint8Array, isFinal: boolean, key: Uint8Array): Buffer {
  const frame = encodeFrame(opcode, payload, false);
  const head = Buffer.from(frame.subarray(0, frame.length - payload.length));
  if (!isFinal) head[0]! &= 0x7f;
  head[1]! |= 0x80;
  const masked = payload.map((byte, i) => byte ^ key[i & 3]!);
  return Buffer.concat([head, key, masked]);
}

/** Returns the frames of a message, and the events that the parser must give for them. */
function sent({ isText, payload, at, controls, key }: Message): { frames: Buffer[]; events: string[] } {
  const frames: Buffer[] = [];
  const events: string[] = [];
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const ends = [...endsWithin(payload.length, at), payload.length];
  for (const [i, end] of ends.entries()) {
    for (const each of controls[i] ?? []) {
      frames.push(fromClient(each.opcode, each.payload, true, key));
      events.push(`control ${each.opcode} ${hex(each.payload)}`);
    }
    const opcode = i > 0 ? Opcode.Continuation : isText ? Opcode.Text : Opcode.Binary;
    frames.push(fromClient(opcode, payload.subarray(ends[i - 1] ?? 0, end), i === ends.length - 1, key));
  }
  events.push(`${isText ? "text" : "bytes"} ${hex(payload)}`);
  return { frames, events };
}

test("messages in any fragments, between any control frames, in any pieces, are those that were sent", () => {
  holds(1500, [messages, cuts(8)], (all, at) => {
    const each = all.map(sent);
    const stream = Buffer.concat(each.flatMap(({ frames }) => frames));
    const limits = { messageBytesMax: 65536, inflates: false };
    const events = each.flatMap((one) => one.events);
    expect(readInPieces(stream, endsWithin(stream.length, at), limits)).toEqual(events);
  });
});

test("frames of which some bytes are others are read as RFC 6455 says, in any pieces", () => {
  const part = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
  const change = fc.tuple(part, fc.integer({ min: 0, max: 255 }));
  const limits = fc.record({ messageBytesMax: fc.constantFrom(0, 125, 1000, 100_000), inflates: fc.boolean() });
  let violations = 0;
  holds(
    3000,
    [messages, fc.array(change, { minLength: 1, maxLength: 4 }), cuts(8), limits],
    (all, changes, at, most) => {
      const stream = Buffer.concat(all.flatMap((each) => sent(each).frames));
      for (const [where, byte] of changes) if (stream.length > 0) stream[Math.floor(where * stream.length)] = byte;
      const expected = readAtOnce(stream, most);
      if (expected.at(-1)?.startsWith("violation")) violations++;
      expect(readInPieces(stream, endsWithin(stream.length, at), most)).toEqual(expected);
    },
  );
  expect(violations).toBeGreaterThan(200); // Otherwise the changes would show nothing.
});
