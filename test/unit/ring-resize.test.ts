/** A ring changes its sizes while it is in use. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  IORING_OP_EPOLL_WAIT,
  IORING_SETUP_CQE32,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQE128,
  Ring,
  RingMemory,
} from "../../src/ring/index.ts";
import { nextCompletions, succeed, testWith } from "./ring-kinds.ts";
import { Pipe } from "./pipe.ts";

const RESIZABLE = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_SQARRAY;
const layouts: [name: string, flags: number][] = [
  ["usual", 0],
  ["large submission", IORING_SETUP_SQE128],
  ["large completion", IORING_SETUP_CQE32],
];

describe.each(layouts)("with %s entries", (_, flags) => {
  testWith(IORING_OP_EPOLL_WAIT)("what waits in both queues is still there, in order", () => {
    using ring = Ring.queueInit(4, RESIZABLE | flags);
    for (let i = 0; i < 3; i++) ring.getSqe()!.prepNop().setData(i);
    ring.submit();
    for (let i = 3; i < 6; i++) ring.getSqe()!.prepNop().setData(i);
    ring.resizeRings(64, 256);
    expect([ring.sqEntries, ring.cqEntries, ring.cqReady, ring.sqReady, ring.sqSpaceLeft]).toEqual([64, 256, 3, 3, 61]);
    ring.submit();
    expect(nextCompletions(ring, 6).map(({ data }) => data)).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
  });

  testWith(IORING_OP_EPOLL_WAIT)("all of the new queue is used, and it wraps around", () => {
    using ring = Ring.queueInit(4, RESIZABLE | flags);
    ring.resizeRings(16);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 16; i++)
        ring
          .getSqe()!
          .prepNop()
          .setData(round * 16 + i);
      expect(ring.getSqe()).toBeNull();
      expect(ring.submit()).toBe(16);
      expect(nextCompletions(ring, 16).map(({ data }) => Number(data) - round * 16)).toEqual([...Array(16).keys()]);
    }
  });
});

testWith(IORING_OP_EPOLL_WAIT)("an operation in flight completes in the new queue", () => {
  using ring = Ring.queueInit(2, RESIZABLE);
  using memory = new RingMemory();
  using pipe = new Pipe();
  const into = memory.allocate(5);
  ring.getSqe()!.prepRead(pipe.readEnd, into.address, 5).setData(7);
  ring.submit();
  ring.resizeRings(8);
  ring.getSqe()!.prepWrite(pipe.writeEnd, memory.copy("hello").address, 5).skipSuccess();
  ring.submit();
  expect(nextCompletions(ring, 1)).toEqual([{ data: 7n, res: 5, flags: 0 }]);
  expect(into.buffer.toString()).toBe("hello");
});

testWith(IORING_OP_EPOLL_WAIT)("a ring that is entered by its registered descriptor still is", () => {
  using ring = Ring.queueInit(2, RESIZABLE);
  expect(ring.registerRingFd()).toBe(true);
  ring.resizeRings(8);
  expect(succeed(ring, (sqe) => sqe.prepNop())).toBe(0);
  ring.unregisterRingFd();
  expect(succeed(ring, (sqe) => sqe.prepNop())).toBe(0);
});

testWith(IORING_OP_EPOLL_WAIT)("completions that would not fit are an error, and the ring stays as it is", () => {
  using ring = Ring.queueInit(16, RESIZABLE);
  for (let i = 0; i < 12; i++) ring.getSqe()!.prepNop().setData(i);
  ring.submit();
  expect(() => ring.resizeRings(2, 4)).toThrow(expect.objectContaining({ code: "EOVERFLOW" }));
  expect([ring.sqEntries, ring.cqEntries]).toEqual([16, 32]);
  expect(nextCompletions(ring, 12)).toHaveLength(12);
});

testWith(IORING_OP_EPOLL_WAIT)("an entry and a completion from before reach nobody's memory", () => {
  using ring = Ring.queueInit(2, RESIZABLE);
  const sqe = ring.getSqe()!;
  sqe.prepNop();
  ring.submit();
  const cqe = ring.peekCqe()!;
  ring.resizeRings(4);
  sqe.prepTimeout(1).setData(5);
  expect(sqe.opcode).toBe(0);
  expect(cqe.res).toBeUndefined();
});

test("rings of other kinds are refused", () => {
  using plain = Ring.queueInit(2);
  expect(() => plain.resizeRings(4)).toThrow("IORING_SETUP_NO_SQARRAY");
  using shared = Ring.queueInit(2, IORING_SETUP_NO_SQARRAY);
  expect(() => shared.resizeRings(4)).toThrow(expect.objectContaining({ code: "EINVAL" }));
  expect(() => shared.resizeRings(0)).toThrow(new RangeError("entries must be from 1 to 32768, not 0"));
  expect(() => shared.resizeRings(4, 2.5)).toThrow("cqEntries must be an integer from 1 to 65536, not 2.5");
});

testWith(IORING_OP_EPOLL_WAIT)("resizing leaves no mapping behind", () => {
  const mappings = (): number => readFileSync("/proc/self/maps", "latin1").split("\n").length;
  const once = (): void => {
    using ring = Ring.queueInit(2, RESIZABLE);
    for (let i = 0; i < 4; i++) ring.resizeRings(4 << i);
  };
  once();
  const before = mappings();
  for (let i = 0; i < 50; i++) once();
  expect(Math.abs(mappings() - before)).toBeLessThan(20);
});
