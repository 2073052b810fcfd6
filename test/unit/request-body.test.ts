/** The memory of a request's body that an attacker sends in tiny pieces. */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { RequestBody } from "../../src/http/body.ts";

class Source {
  paused = false;
  /** Bodies that have work for the end of the turn. */
  readonly flushes: { flush(): void }[] = [];
  readonly reactor = { scheduleFlush: (target: { flush(): void }) => void this.flushes.push(target) };

  endTurn(): void {
    for (const body of this.flushes.splice(0)) body.flush();
  }

  hold(): void {
    this.paused = true;
  }

  release(): void {
    this.paused = false;
  }

  receiveDirectly(): void {}

  receiveInto(): number {
    throw new Error("no body here is long");
  }
}

const memory = Buffer.alloc(4096, "0123456789");
const COUNT = 100_000;
const expected = Buffer.from(Array.from({ length: COUNT }, (_, i) => memory[i % 100]!));

function objects(): number {
  Bun.gc(true);
  return heapStats().objectCount;
}

test("a body of many tiny pieces is few objects, and whole", async () => {
  const body = new RequestBody(new Source());
  const read = body.bytes() as Promise<Buffer>;
  const before = objects();
  for (let i = 0; i < COUNT; i++) body.push(memory, i % 100, (i % 100) + 1);
  expect(objects() - before).toBeLessThan(COUNT / 10);
  body.finish();
  expect((await read).equals(expected)).toBe(true);
});

test("tiny pieces between large ones stay in their order", async () => {
  const body = new RequestBody(new Source());
  const read = body.bytes() as Promise<Buffer>;
  const wanted: Buffer[] = [];
  for (let i = 0; i < 1000; i++) {
    const end = i % 77 === 0 ? 4096 : 1 + (i % 100);
    body.push(memory, i % 10, end > i % 10 ? end : (i % 10) + 1);
    wanted.push(memory.subarray(i % 10, end > i % 10 ? end : (i % 10) + 1));
  }
  body.finish();
  expect((await read).equals(Buffer.concat(wanted))).toBe(true);
});

test("a stream of tiny pieces that nobody reads pauses its connection early, and loses nothing", async () => {
  const source = new Source();
  const body = new RequestBody(source);
  const stream = body.stream();
  let pushed = 0;
  for (; !source.paused && pushed < COUNT; pushed++) {
    body.push(memory, pushed % 100, (pushed % 100) + 1);
    source.endTurn();
  }
  expect(pushed).toBeLessThan(5000);
  body.finish();
  expect(Buffer.from(await new Response(stream).bytes()).equals(expected.subarray(0, pushed))).toBe(true);
});

test("a stream gets the tiny pieces of one turn together, in memory that no other piece has", async () => {
  const source = new Source();
  const body = new RequestBody(source);
  const reader = body.stream().getReader();
  const wanted: Buffer[] = [];
  const received: Uint8Array[] = [];
  for (const pieces of [3, 60, 11]) {
    for (let i = 0; i < pieces; i++) {
      const end = i === 5 ? 4096 : i + 100;
      body.push(memory, i, end);
      wanted.push(Buffer.from(memory.subarray(i, end)));
    }
    source.endTurn();
  }
  body.push(memory, 0, 1000);
  wanted.push(Buffer.from(memory.subarray(0, 1000)));
  body.finish();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    expect(value.buffer.byteLength).toBe(value.length);
    received.push(value);
  }
  expect(Buffer.concat(received).equals(Buffer.concat(wanted))).toBe(true);
  expect(received.length).toBeLessThan(15); // There were 75 pieces.
});

test("a long body that is collected has one piece of memory, once a part of it has come", async () => {
  const length = 8 * 1048576;
  const body = new RequestBody(new Source(), length);
  const read = body.bytes() as Promise<Buffer>;
  for (let at = 0; at < length; at += 4096) body.push(memory, 0, 4096);
  body.finish();
  const bytes = await read;
  expect([bytes.length, bytes.buffer.byteLength]).toEqual([length, length]);
  expect(bytes.subarray(-4096).equals(memory)).toBe(true);
});
