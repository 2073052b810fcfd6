/** The memory of a request's body that an attacker sends in tiny pieces. */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { RequestBody } from "../../src/http/body.ts";

class Source {
  paused = false;

  hold(): void {
    this.paused = true;
  }

  release(): void {
    this.paused = false;
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
  for (; !source.paused && pushed < COUNT; pushed++) body.push(memory, pushed % 100, (pushed % 100) + 1);
  expect(pushed).toBeLessThan(2000);
  body.finish();
  expect(Buffer.from(await new Response(stream).bytes()).equals(expected.subarray(0, pushed))).toBe(true);
});
