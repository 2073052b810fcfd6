import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Arena, type Chunk } from "../../src/ring/index.ts";
import { ADOPTED_BYTES_MIN } from "../../src/ring/arena.ts";
import { pointerTo } from "../../src/sys/library.ts";
import { SeededRandom } from "./seeded-random.ts";

let arena: Arena;

beforeEach(() => {
  arena = new Arena();
});

afterEach(() => arena.close());

describe("allocate", () => {
  test.each([
    [0, 4096],
    [1, 4096],
    [4096, 4096],
    [4097, 16384],
    [16385, 65536],
    [65537, 262144],
    [262145, 1048576],
    [1048576, 1048576],
    [1048577, 1048576],
    [2 ** 40, 1048576],
  ])("for %d bytes gives a chunk of %d", (bytes, capacity) => {
    const chunk = arena.allocate(bytes);
    expect([chunk.capacity, chunk.buffer.length, chunk.room]).toEqual([capacity, capacity, capacity]);
    expect(arena.bytesInUse).toBe(capacity);
  });

  test("gives the address of the chunk's memory", () => {
    for (const bytes of [1, 1, 16384, 16384]) {
      const chunk = arena.allocate(bytes);
      expect(chunk.address).toBe(pointerTo(chunk.buffer));
    }
  });

  test("of an aligned arena begins at a multiple of 4096", () => {
    const aligned = new Arena(true);
    for (const bytes of [4096, 16384, 65536, 262144, 1048576])
      for (let i = 0; i < 3; i++) {
        const chunk = aligned.allocate(bytes);
        expect([chunk.address % 4096, chunk.capacity]).toEqual([0, bytes]);
        chunk.buffer.fill(1); // The whole chunk is mapped.
      }
    aligned.close();
  });

  test("gives out the most recently freed chunk first, as if it were new", () => {
    const [first, second] = [arena.allocate(1), arena.allocate(1)];
    Object.assign(first, { length: 10, sent: 5, next: second });
    arena.free(second);
    arena.free(first);
    const again = arena.allocate(1);
    expect(again).toBe(first);
    expect([again.length, again.sent, again.next]).toEqual([0, 0, null]);
    expect(arena.allocate(1)).toBe(second);
  });

  test("maps no more memory while freed chunks are left", () => {
    const chunks = Array.from({ length: 300 }, () => arena.allocate(4096));
    const mapped = arena.bytesMapped;
    for (let round = 0; round < 10; round++) {
      for (const chunk of chunks) arena.free(chunk);
      for (let i = 0; i < chunks.length; i++) chunks[i] = arena.allocate(4096);
    }
    expect(arena.bytesMapped).toBe(mapped);
    expect(mapped).toBeGreaterThanOrEqual(arena.bytesInUse);
  });
});

describe("free", () => {
  test("brings bytesInUse back to 0", () => {
    const chunks = [1, 5000, 1e6, 2e6].map((bytes) => arena.allocate(bytes));
    expect(arena.bytesInUse).toBe(4096 + 16384 + 1048576 + 1048576);
    for (const chunk of chunks) arena.free(chunk);
    expect(arena.bytesInUse).toBe(0);
  });

  test("throws for a chunk that is free, and changes nothing", () => {
    const [kept, freed] = [arena.allocate(1), arena.allocate(1)];
    arena.free(freed);
    expect(() => arena.free(freed)).toThrow("freed twice");
    expect(arena.bytesInUse).toBe(kept.capacity);
    expect(arena.allocate(1)).toBe(freed);
    expect(arena.allocate(1)).not.toBe(freed);
  });
});

describe("trim", () => {
  test("drops the pages of unused slabs and keeps their addresses", () => {
    const chunk = arena.allocate(4096);
    const { address, buffer } = chunk;
    buffer.fill(0xaa);
    arena.free(chunk);
    const mapped = arena.bytesMapped;
    arena.trim();
    expect(arena.bytesMapped).toBe(mapped);
    expect(buffer.every((byte) => byte === 0)).toBe(true);
    const again = arena.allocate(4096);
    expect([again.address, again.buffer.fill(0xbb)[4095]]).toEqual([address, 0xbb]);
  });

  test("leaves a slab alone in which a chunk is used", () => {
    const [used, freed] = [arena.allocate(4096), arena.allocate(4096)];
    used.buffer.fill(0xaa);
    arena.free(freed);
    arena.trim();
    expect(used.buffer.every((byte) => byte === 0xaa)).toBe(true);
  });
});

test("close leaves every chunk's buffer empty", () => {
  const chunks = [1, 5000, 1e6].map((bytes) => arena.allocate(bytes));
  arena.close();
  expect(chunks.map(({ buffer }) => buffer.length)).toEqual([0, 0, 0]);
});

test("a closed arena has no memory to give", () => {
  const [first, second] = [arena.allocate(1), arena.allocate(1)];
  arena.free(second);
  arena.close();
  expect(() => arena.allocate(1)).toThrow();
  arena.free(first);
  expect(() => arena.allocate(1)).toThrow();
});

test("chunks in use never overlap, whatever is allocated and freed in between", () => {
  const random = new SeededRandom(7);
  const live = new Map<Chunk, number>(); // The value at both ends of each chunk.
  const overlapping: Chunk[] = [];
  const damaged: Chunk[] = [];
  let bytesInUse = 0;
  for (let step = 1; step <= 20_000; step++) {
    if (live.size < 20 || (live.size < 100 && random.next() < 0.5)) {
      const chunk = arena.allocate(Math.floor(2 ** (random.next() * 21)));
      for (const other of live.keys())
        if (chunk.address < other.address + other.capacity && other.address < chunk.address + chunk.capacity)
          overlapping.push(chunk);
      chunk.buffer.writeUInt32LE(step, 0);
      chunk.buffer.writeUInt32LE(step, chunk.capacity - 4);
      live.set(chunk, step);
      bytesInUse += chunk.capacity;
    } else {
      const [chunk, mark] = [...live][random.below(live.size)]!;
      if (chunk.buffer.readUInt32LE(0) !== mark || chunk.buffer.readUInt32LE(chunk.capacity - 4) !== mark)
        damaged.push(chunk);
      live.delete(chunk);
      arena.free(chunk);
      bytesInUse -= chunk.capacity;
    }
    if (step % 1000 === 0) arena.trim();
    if (arena.bytesInUse !== bytesInUse)
      throw new Error(`step ${step}: ${arena.bytesInUse} bytes in use, not ${bytesInUse}`);
  }
  expect({ overlapping, damaged }).toEqual({ overlapping: [], damaged: [] });
  for (const chunk of live.keys()) arena.free(chunk);
  expect(arena.bytesInUse).toBe(0);
});

describe("adopt", () => {
  const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7);

  test("gives a full chunk of the very bytes", () => {
    const own = bytes(ADOPTED_BYTES_MIN);
    const chunk = arena.adopt(own, false);
    expect([chunk.length, chunk.room, chunk.sent]).toEqual([own.length, 0, 0]);
    expect(chunk.address).toBe(pointerTo(own));
    expect(arena.bytesInUse).toBe(own.length);
    arena.free(chunk);
    expect(arena.bytesInUse).toBe(0);
    expect(own[0]).toBe(7);
    expect(() => arena.free(chunk)).toThrow("twice");
  });

  test("reads the length once, because another thread may make shared memory grow", () => {
    let length = ADOPTED_BYTES_MIN;
    const growing = bytes(10 * ADOPTED_BYTES_MIN);
    Object.defineProperty(growing, "length", { get: () => length++ });
    const chunk = arena.adopt(growing, false);
    expect([chunk.length, chunk.capacity, chunk.unsent]).toEqual([chunk.length, chunk.length, chunk.length]);
    arena.free(chunk);
    expect(arena.bytesInUse).toBe(0);
  });

  test("lets go of the memory when the chunk is freed, if that was asked for, and not before", () => {
    const own = bytes(100_000);
    const chunk = arena.adopt(own, true);
    expect(own.length).toBe(100_000);
    arena.free(chunk);
    expect(own.length).toBe(0);
  });

  test("refuses what may lie in the garbage-collected heap", () => {
    expect(() => arena.adopt(bytes(ADOPTED_BYTES_MIN - 1), false)).toThrow(RangeError);
  });
});
