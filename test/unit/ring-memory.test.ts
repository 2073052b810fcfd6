import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RecvmsgOut, RingMemory } from "../../src/ring/index.ts";
import { SeededRandom } from "./seeded-random.ts";

let memory: RingMemory;

beforeEach(() => {
  memory = new RingMemory(8192);
});

afterEach(() => memory.release());

describe("allocating", () => {
  test("gives zeroes at aligned addresses that do not overlap", () => {
    const random = new SeededRandom(60);
    const pieces: { address: number; bytes: number }[] = [];
    for (let i = 0; i < 60; i++) {
      const alignment = 2 ** random.below(8);
      const region = memory.allocate(random.below(60), alignment);
      expect(region.address % alignment).toBe(0);
      expect(region.buffer.every((byte) => byte === 0)).toBe(true);
      region.buffer.fill(i + 1);
      for (const { address, bytes } of pieces)
        expect(region.address >= address + bytes || region.address + region.bytes <= address).toBe(true);
      pieces.push(region);
    }
  });

  test("ends where the memory does, and says so", () => {
    memory.allocate(8000);
    expect(memory.bytesLeft).toBe(192);
    expect(() => memory.allocate(193)).toThrow(
      new RangeError("bytes must be at most 192, what is left of 8192, not 193"),
    );
    expect(memory.allocate(192).bytes).toBe(192);
    expect(memory.bytesLeft).toBe(0);
  });

  test("starts over after a reset, with zeroes again", () => {
    const first = memory.allocate(100);
    first.buffer.fill(1);
    memory.reset();
    const again = memory.allocate(100);
    expect(again.address).toBe(first.address);
    expect(again.buffer.every((byte) => byte === 0)).toBe(true);
  });

  test("is over after release, and views are empty", () => {
    const region = memory.copy("gone");
    const words = memory.int32(1);
    memory.release();
    memory.release();
    expect([region.buffer.length, region.bytes, words.words.length]).toEqual([0, 0, 0]);
    expect(() => memory.allocate(1)).toThrow(RangeError);
  });

  test("`using` releases", () => {
    let region;
    {
      using scoped = new RingMemory(1);
      region = scoped.allocate(1);
      expect(scoped.bytes).toBe(4096);
    }
    expect(region.bytes).toBe(0);
  });

  test.each<[message: string, call: () => unknown]>([
    ["bytes must be from 1 to 1099511627776, not 0", () => new RingMemory(0)],
    ["bytes must be an integer from 0 to 1099511627776, not 1.5", () => memory.allocate(1.5)],
    ["alignment must be a power of two from 1 to 4096, not 3", () => memory.allocate(1, 3)],
    ["alignment must be a power of two from 1 to 4096, not 8192", () => memory.allocate(1, 8192)],
    ['text must be a string or bytes without NUL, not "a\\u0000b"', () => memory.cString("a\0b")],
    ["ms must be from 0 to 9007199254740991, not -1", () => memory.timespec(-1)],
    ["ms must be from 0 to 9007199254740991, not NaN", () => memory.timespec(NaN)],
    ["count must be from 1 to 4294967295, not 0", () => memory.epollEvents(0)],
    ["port must be from 0 to 65535, not 65536", () => memory.sockaddr({ hostname: "::1", port: 65536 })],
    [
      'hostname must be a numeric IPv4 or IPv6 address, not "localhost"',
      () => memory.sockaddr({ hostname: "localhost", port: 1 }),
    ],
    ["unix must be a path or a name of 1 to 107 bytes without NUL", () => memory.sockaddr({ unix: "" })],
  ])("%s", (message, call) => {
    expect(call).toThrow(message);
  });
});

describe("structures", () => {
  test("strings are UTF-8, with and without a NUL", () => {
    expect([...memory.cString("ä").buffer]).toEqual([0xc3, 0xa4, 0]);
    expect([...memory.copy("ä").buffer]).toEqual([0xc3, 0xa4]);
    expect([...memory.copy(Uint8Array.of(1, 2, 3)).buffer]).toEqual([1, 2, 3]);
  });

  test("iovecs have addresses and lengths in order", () => {
    const [one, two] = [memory.allocate(3), memory.allocate(5)];
    const iovec = memory.iovec([one, two]);
    expect([iovec.count, ...[0, 8, 16, 24].map((offset) => iovec.readU64(offset))]).toEqual([
      2,
      one.address,
      3,
      two.address,
      5,
    ]);
    expect(memory.iovec([]).count).toBe(0);
  });

  test.each([
    [0, 0, 0],
    [1, 0, 1_000_000],
    [1500.25, 1, 500_250_000],
    [999.9999999, 0, 999_999_999],
    [1234567890123.5, 1234567890, 123_500_000],
  ])("a timespec of %d ms has %d seconds and %d nanoseconds", (ms, seconds, nanoseconds) => {
    const timespec = memory.timespec(ms);
    expect([timespec.readU64(0), timespec.readU64(8)]).toEqual([seconds, nanoseconds]);
  });

  test("64-bit numbers are exact up to 2^53", () => {
    const region = memory.allocate(8);
    for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      region.writeU64(0, value);
      expect([region.readU64(0), region.buffer.readBigUInt64LE(0)]).toEqual([value, BigInt(value)]);
    }
  });

  test("socket addresses of both families, and of Unix", () => {
    expect([...memory.sockaddr({ hostname: "127.0.0.1", port: 258 }).buffer.subarray(0, 8)]).toEqual([
      2, 0, 1, 2, 127, 0, 0, 1,
    ]);
    const six = memory.sockaddr({ hostname: "::1", port: 258 });
    expect([six.bytes, six.buffer[0], six.buffer[23]]).toEqual([28, 10, 1]);
    expect(memory.sockaddr({ unix: "/run/x" }).buffer.toString("latin1", 2)).toBe("/run/x\0");
    expect(memory.sockaddr({ unix: "\0abstract" }).buffer.toString("latin1", 2)).toBe("\0abstract");
  });

  test("room for an address reads one that was written there, and none", () => {
    const room = memory.roomForSockaddr();
    const six = memory.sockaddr({ hostname: "::1", port: 80 });
    six.buffer.copy(room.buffer);
    expect(room.value(six.bytes)).toEqual({ address: "::1", port: 80, family: "IPv6" });
    expect(room.value(0)).toBeUndefined();
    memory.sockaddr({ unix: "/run/x" }).buffer.copy(room.buffer);
    expect(room.value(9)).toBeUndefined();
  });

  test("a multishot message's parts are cut to the room that they had", () => {
    const message = memory.msghdr({ name: memory.allocate(8), iovec: memory.iovec([]), control: memory.allocate(4) });
    const buffer = new Uint8Array(16 + 8 + 4 + 3);
    // Name and control data are longer than their room. The kernel gives their full lengths.
    new Uint32Array(buffer.buffer, 0, 4).set([28, 40, 3, 0x20]);
    buffer.set([1, 2, 3], 28);
    const out = new RecvmsgOut(buffer, message);
    expect([out.name.length, out.control.length, [...out.payload], out.flags]).toEqual([8, 4, [1, 2, 3], 0x20]);
    expect(() => new RecvmsgOut(buffer.subarray(0, 27), message)).toThrow(
      new RangeError("buffer must be at least 28 bytes long, for the message's headers, not 27"),
    );
  });
});
