import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeSync } from "node:fs";
import {
  BufferRing,
  type BufferRingOptions,
  errnoName,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  Ring,
  RingIntegrityError,
} from "../../src/ring/index.ts";
import { PAGE_BYTES } from "../../src/sys/memory.ts";
import { type Completion, nextCompletion, openRing, ringKinds } from "./ring-kinds.ts";
import { SeededRandom } from "./seeded-random.ts";
import { SocketPair } from "./socket-pair.ts";

function bidOf({ flags }: Completion): number {
  expect(flags & IORING_CQE_F_BUFFER).not.toBe(0);
  return flags >>> IORING_CQE_BUFFER_SHIFT;
}

describe.each(ringKinds)("provided buffers on a %s ring", (_, flags) => {
  let ring: Ring;
  let pair: SocketPair;
  let buffers: BufferRing;

  beforeEach(() => {
    ring = openRing(8, flags);
    pair = new SocketPair();
  });

  afterEach(() => {
    pair[Symbol.dispose]();
    buffers.close();
    ring.close();
  });

  function provide(options: Partial<BufferRingOptions>): void {
    buffers = new BufferRing(ring, { bgid: 3, count: 4, bytes: 64, ...options });
  }

  /** Receives all bytes that have arrived, into one provided buffer. */
  function receive(): Completion {
    ring.getSqe()!.prepRecv(pair.near, 0, 0).setBufferGroup(buffers.bgid);
    ring.submit();
    return nextCompletion(ring);
  }

  function receiveText(text: string): { text: string; bid: number } {
    writeSync(pair.far, text);
    const completion = receive();
    const bid = bidOf(completion);
    const start = buffers.take(bid, completion.res);
    return { text: buffers.memory.toString("latin1", start, start + completion.res), bid };
  }

  test("buffers whose pages went back to the system are filled like others", () => {
    provide({ count: 8, bytes: 8192, initial: 1 });
    buffers.grow();
    buffers.grow();
    for (const round of ["first", "second"]) {
      const received = Array.from({ length: 4 }, (_, i) => receiveText(`${round} ${i} ${"x".repeat(8000)}`));
      expect(received.map(({ text }) => text.slice(0, 8).trim())).toEqual([0, 1, 2, 3].map((i) => `${round} ${i}`));
      buffers.trim(); // Does nothing while the kernel does not have all buffers.
      for (const { bid } of received) {
        const start = buffers.offsetOf(bid);
        expect(buffers.memory.latin1Slice(start, start + round.length)).toBe(round);
        buffers.recycle(bid);
      }
      buffers.publish();
      buffers.trim();
      const beyond = Math.ceil(buffers.offsetOf(1) / PAGE_BYTES) * PAGE_BYTES;
      expect(buffers.memory.subarray(beyond).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("the completion names the buffer that holds the data", () => {
    provide({});
    expect(receiveText("first")).toEqual({ text: "first", bid: 0 });
    expect(receiveText("second")).toEqual({ text: "second", bid: 1 });
    expect(buffers.memory.toString("latin1", buffers.offsetOf(0), buffers.offsetOf(0) + 5)).toBe("first");
  });

  test("available counts the buffers that the kernel could still fill", () => {
    provide({});
    expect(buffers.available).toBe(4);
    const { bid } = receiveText("x");
    expect(buffers.available).toBe(3);
    buffers.recycle(bid);
    expect(buffers.available).toBe(4);
  });

  test("without buffers a receive fails with ENOBUFS, and succeeds once one is back", () => {
    provide({ count: 2 });
    const first = receiveText("a");
    receiveText("b");
    writeSync(pair.far, "c");
    expect(errnoName(-receive().res)).toBe("ENOBUFS");

    buffers.recycle(first.bid);
    expect(buffers.publish()).toBe(true);
    expect(buffers.publish()).toBe(false);
    expect(bidOf(receive())).toBe(first.bid);
  });

  test("a recycled buffer is not the kernel's before publish", () => {
    provide({});
    const bids = ["a", "b", "c"].map((text) => receiveText(text).bid);
    buffers.recycle(bids[0]!);
    expect(receiveText("d").bid).toBe(3);
    writeSync(pair.far, "e");
    expect(errnoName(-receive().res)).toBe("ENOBUFS");
  });

  test("buffers go round in the order in which they came back", () => {
    provide({});
    const bids = ["a", "b", "c", "d"].map((text) => receiveText(text).bid);
    for (const bid of [2, 0, 3, 1]) buffers.recycle(bid);
    buffers.publish();
    expect(bids).toEqual([0, 1, 2, 3]);
    expect(["e", "f", "g", "h"].map((text) => receiveText(text).bid)).toEqual([2, 0, 3, 1]);
  });

  test("grow doubles the buffers that circulate, up to all of them", () => {
    provide({ count: 8, initial: 2 });
    const growths: [boolean, number][] = [];
    for (let i = 0; i < 3; i++) growths.push([buffers.grow(), buffers.available]);
    expect(growths).toEqual([
      [true, 4],
      [true, 8],
      [false, 8],
    ]);
    const bids = [..."abcdefgh"].map((text) => receiveText(text).bid);
    expect(bids).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("buffers beyond the initial ones are not the kernel's before grow", () => {
    provide({ count: 8, initial: 2 });
    receiveText("a");
    receiveText("b");
    writeSync(pair.far, "c");
    expect(errnoName(-receive().res)).toBe("ENOBUFS");
    buffers.grow();
    expect(bidOf(receive())).toBe(2);
  });

  test("ten times the pool's size passes through it unchanged", () => {
    provide({ count: 8, bytes: 512 });
    const random = new SeededRandom(1);
    for (let passed = 0; passed < 10 * 8 * 512;) {
      const sent = Buffer.from(random.bytes(1 + random.below(512)));
      writeSync(pair.far, sent);
      for (let received = 0; received < sent.length;) {
        const completion = receive();
        const bid = bidOf(completion);
        const start = buffers.take(bid, completion.res);
        expect(
          buffers.memory
            .subarray(start, start + completion.res)
            .equals(sent.subarray(received, received + completion.res)),
        ).toBe(true);
        received += completion.res;
        buffers.recycle(bid);
        buffers.publish();
      }
      passed += sent.length;
    }
    expect(buffers.available).toBe(8);
  });

  test("one multishot receive fills buffers until there are none, and then ends", () => {
    provide({ count: 4, bytes: 1 });
    ring.getSqe()!.prepRecvMultishot(pair.near, buffers.bgid);
    ring.submit();
    writeSync(pair.far, "abcdef");
    let text = "";
    for (let i = 0; i < 4; i++) {
      const completion = nextCompletion(ring);
      text += String.fromCharCode(buffers.memory[buffers.take(bidOf(completion), completion.res)]!);
      expect(completion.flags & IORING_CQE_F_MORE).not.toBe(0);
    }
    expect(text).toBe("abcd");
    const last = nextCompletion(ring);
    expect([errnoName(-last.res), last.flags & IORING_CQE_F_MORE]).toEqual(["ENOBUFS", 0]);
  });

  test("the 16-bit tail wraps without a buffer lost or repeated", () => {
    // One byte in each buffer, so that 110,000 bytes move the tail past 32,768 and 65,536.
    provide({ count: 1024, bytes: 1 });
    const random = new SeededRandom(2);
    let armed = false;
    /** Returns the buffer of the next received byte, or undefined if there are no more buffers. */
    const nextBuffer = (): number | undefined => {
      if (!armed) {
        ring.getSqe()!.prepRecvMultishot(pair.near, buffers.bgid);
        ring.submit();
      }
      const completion = nextCompletion(ring);
      armed = (completion.flags & IORING_CQE_F_MORE) !== 0;
      if (errnoName(-completion.res) === "ENOBUFS") return undefined;
      expect(completion.res).toBe(1);
      return completion.flags >>> IORING_CQE_BUFFER_SHIFT;
    };
    let wrong = 0;
    for (let total = 0; total < 110_000; total += 1000) {
      const sent = random.bytes(1000);
      writeSync(pair.far, sent);
      for (const byte of sent) {
        const bid = nextBuffer()!;
        if (buffers.memory[buffers.take(bid, 1)] !== byte) wrong++;
        buffers.recycle(bid);
      }
      buffers.publish();
    }
    expect(wrong).toBe(0);
    expect(buffers.available).toBe(1024);

    writeSync(pair.far, random.bytes(1025));
    for (let i = 0; i < 1024; i++) buffers.take(nextBuffer()!, 1);
    expect(nextBuffer()).toBeUndefined();
  });
});

describe("what the kernel says is checked", () => {
  let ring: Ring;
  let buffers: BufferRing;

  beforeEach(() => {
    ring = Ring.queueInit(2);
    buffers = new BufferRing(ring, { bgid: 1, count: 4, bytes: 64, initial: 2 });
  });

  afterEach(() => {
    buffers.close();
    ring.close();
  });

  test.each([
    ["beyond the ring", 4],
    ["far beyond the ring", 65535],
    ["that does not circulate", 2],
  ])("a completion with a buffer %s is a RingIntegrityError", (_, bid) => {
    expect(() => buffers.take(bid, 1)).toThrow(RingIntegrityError);
    expect(buffers.available).toBe(2);
  });

  test("a buffer that the process still has is not the kernel's", () => {
    buffers.take(0, 1);
    expect(() => buffers.take(0, 1)).toThrow(RingIntegrityError);
    expect(buffers.available).toBe(1);
  });

  test("more bytes than a buffer has is a RingIntegrityError", () => {
    expect(buffers.take(0, 64)).toBe(buffers.offsetOf(0));
    expect(() => buffers.take(1, 65)).toThrow(RingIntegrityError);
  });

  test("the error has a code and names buffer and group", () => {
    expect(() => buffers.take(3, 1)).toThrow(
      expect.objectContaining({
        code: "ERR_RINGLOOP_INTEGRITY",
        name: "RingIntegrityError",
        message: expect.stringMatching(/buffer 3 of group 1/),
      }),
    );
  });

  test("a buffer is recycled once", () => {
    buffers.take(0, 1);
    buffers.recycle(0);
    expect(() => buffers.recycle(0)).toThrow(RingIntegrityError);
    expect(buffers.available).toBe(2);
  });

  test.each([1, 3, 4, -1])("buffer %d, which was not taken, is not recycled", (bid) => {
    expect(() => buffers.recycle(bid)).toThrow(RingIntegrityError);
    expect(buffers.available).toBe(2);
  });
});

describe("setting up provided buffers", () => {
  test.each([
    ["a group in use", { bgid: 1, count: 4, bytes: 64 }, "EEXIST"],
    ["a count that is no power of two", { bgid: 2, count: 3, bytes: 64 }, "EINVAL"],
    ["more buffers than a 16-bit tail can tell apart", { bgid: 2, count: 65536, bytes: 64 }, "EINVAL"],
  ])("%s is a SystemError of io_uring_register", (_, options, code) => {
    using ring = Ring.queueInit(2);
    const first = new BufferRing(ring, { bgid: 1, count: 2, bytes: 64 });
    expect(() => new BufferRing(ring, options)).toThrow(
      expect.objectContaining({ code, syscall: "io_uring_register" }),
    );
    first.close();
  });

  test("a closed group may be registered again, and its memory is gone", () => {
    using ring = Ring.queueInit(2);
    for (let i = 0; i < 3; i++) {
      const buffers = new BufferRing(ring, { bgid: 1, count: 2, bytes: 64 });
      const { memory } = buffers;
      buffers.close();
      expect(memory.length).toBe(0);
    }
  });

  test("shows the buffers that circulate and no others, and all that it has shown goes with it", () => {
    using ring = Ring.queueInit(2);
    const buffers = new BufferRing(ring, { bgid: 1, count: 16, bytes: 16384, initial: 2 });
    const first = buffers.memory;
    expect(first.length).toBeGreaterThanOrEqual(buffers.offsetOf(2));
    expect(first.length).toBeLessThan(buffers.offsetOf(3));
    buffers.grow();
    expect(buffers.memory.length).toBeGreaterThanOrEqual(buffers.offsetOf(4));
    buffers.memory[0] = 7;
    expect(first[0]).toBe(7); // Both views show the same memory.
    const second = buffers.memory;
    buffers.close();
    expect([first.length, second.length]).toEqual([0, 0]);
  });
});
