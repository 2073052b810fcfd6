/** Every flag and parameter of io_uring_setup(2), and its effect on the ring. */
import { describe, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  IORING_OP_NOP,
  IORING_OP_URING_CMD,
  IORING_SETUP_ATTACH_WQ,
  IORING_SETUP_CLAMP,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_CQE32,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_HYBRID_IOPOLL,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_NO_MMAP,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_REGISTERED_FD_ONLY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQ_AFF,
  IORING_SETUP_SQE128,
  IORING_SETUP_SQPOLL,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  Ring,
  RingMemory,
  type RingParams,
  SystemError,
} from "../../src/ring/index.ts";
import { fail, nextCompletions, nextSqe, openRing, ringKinds, succeed } from "./ring-kinds.ts";

/** Returns a ring, or undefined if the kernel does not have one of the flags. */
function tryRing(flags: number): Ring | undefined {
  try {
    return openRing(8, flags);
  } catch (error) {
    if (error instanceof SystemError && error.code === "EINVAL") return undefined;
    throw error;
  }
}

/** A test that is reported as skipped if the kernel does not have these flags. */
function testWithFlags(flags: number): ReturnType<typeof test.if> {
  const ring = tryRing(flags);
  ring?.close();
  return test.if(ring !== undefined);
}

/** Uses every entry of both queues more than once. */
function expectToWork(ring: Ring): void {
  using memory = new RingMemory();
  const text = memory.copy("0123456789");
  const into = memory.allocate(10);
  const directory = mkdtempSync(join(tmpdir(), "ringloop-setup-"));
  const fd = openSync(join(directory, "file"), "w+");
  for (let round = 0; round < 40; round++) {
    const batch = 1 + (round % ring.sqEntries);
    for (let i = 0; i < batch; i++) nextSqe(ring).prepNop().setUserData(round, i);
    ring.submitAndWait(batch);
    const seen = nextCompletions(ring, batch).map(({ data }) => data);
    expect(seen).toEqual(Array.from({ length: batch }, (_, i) => (BigInt(i) << 32n) | BigInt(round)));
  }
  expect(succeed(ring, (sqe) => sqe.prepWrite(fd, text.address, 10, 0))).toBe(10);
  expect(succeed(ring, (sqe) => sqe.prepRead(fd, into.address, 10, 0))).toBe(10);
  expect(into.buffer.toString()).toBe("0123456789");
  closeSync(fd);
  rmSync(directory, { recursive: true });
}

const layouts = [
  ["SQE128", IORING_SETUP_SQE128],
  ["CQE32", IORING_SETUP_CQE32],
  ["SQE128 and CQE32", IORING_SETUP_SQE128 | IORING_SETUP_CQE32],
  ["NO_SQARRAY", IORING_SETUP_NO_SQARRAY],
  ["NO_MMAP", IORING_SETUP_NO_MMAP],
  ["NO_MMAP with both sizes doubled", IORING_SETUP_NO_MMAP | IORING_SETUP_SQE128 | IORING_SETUP_CQE32],
] as const;

describe.each(ringKinds)("a %s ring", (_, kind) => {
  for (const [name, flags] of layouts)
    testWithFlags(kind | flags)(`works with ${name}`, () => {
      const ring = openRing(8, kind | flags);
      expectToWork(ring);
      expect(ring.flags & flags).toBe(flags);
      ring.close();
      expect(() => ring.cqReady).toThrow();
    });

  const registeredOnly = kind | IORING_SETUP_NO_MMAP | IORING_SETUP_REGISTERED_FD_ONLY;
  testWithFlags(registeredOnly)("works without a descriptor, by a registered one alone", () => {
    const ring = openRing(8, registeredOnly);
    expect([ring.fd, ring.registerRingFd()]).toEqual([-1, true]);
    expectToWork(ring);
    ring.registerFilesSparse(2);
    expect(() => ring.unregisterRingFd()).toThrow("EINVAL");
    ring.close();
  });

  test("reaps as many entries as there are with CQE32", () => {
    using ring = openRing(8, kind | IORING_SETUP_CQE32);
    for (let i = 0; i < 5; i++) nextSqe(ring).prepNop().setUserData(i, 9);
    ring.submitAndWait(5);
    const into = new Int32Array(5 * 4);
    expect(ring.reap(into)).toBe(5);
    expect([...into]).toEqual([0, 1, 2, 3, 4].flatMap((i) => [i, 9, 0, 0]));
  });
});

describe("entries of twice the size", () => {
  const IORING_NOP_CQE32 = 1 << 5; // Linux 6.18.

  test("a completion's second half is read", () => {
    using ring = openRing(4, IORING_SETUP_CQE32);
    nextSqe(ring).prep(IORING_OP_NOP, -1, 0xabcdef, 0, 0x123456789, IORING_NOP_CQE32);
    ring.submitAndWait(1);
    const cqe = ring.peekCqe()!;
    if (cqe.res !== -22) expect(cqe.bigCqe).toEqual([0x123456789n, 0xabcdefn]);
    ring.cqeSeen();
  });

  test("a ring without them has no second half", () => {
    using ring = openRing(4, 0);
    nextSqe(ring).prepNop();
    ring.submitAndWait(1);
    expect(() => ring.peekCqe()!.bigCqe).toThrow(TypeError);
  });

  test("a command has 80 bytes in one, and 16 without", () => {
    using big = openRing(4, IORING_SETUP_SQE128);
    using small = openRing(4, 0);
    const sqes = [big, small].map((ring) => ring.getSqe()!.prep(IORING_OP_URING_CMD, -1, 0, 0, 7));
    expect(sqes.map(({ command }) => command.length)).toEqual([80, 16]);
    sqes[0]!.command.fill(1);
    const next = big.getSqe()!.prepNop();
    expect(next.command.subarray(0, 16).every((byte) => byte === 0)).toBe(true);
    big.submitAndWait(2);
    expect(nextCompletions(big, 2).map(({ res }) => res)).toEqual([-9, 0]);
  });
});

describe("flags that change who does the work", () => {
  test.each([
    ["COOP_TASKRUN", IORING_SETUP_COOP_TASKRUN],
    ["COOP_TASKRUN and TASKRUN_FLAG", IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG],
    ["SINGLE_ISSUER", IORING_SETUP_SINGLE_ISSUER],
    ["SUBMIT_ALL", IORING_SETUP_SUBMIT_ALL],
    [
      "DEFER_TASKRUN and TASKRUN_FLAG",
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    ],
  ])("%s", (_, flags) => {
    using ring = openRing(8, flags);
    expectToWork(ring);
  });

  test("SQPOLL with its CPU and its idle time", () => {
    using ring = openRing(8, IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, { sqThreadCpu: 0, sqThreadIdleMs: 5 });
    expectToWork(ring);
    const info = readFileSync(`/proc/self/fdinfo/${ring.fd}`, "latin1");
    const thread = /^SqThread:\s+(\d+)/m.exec(info)![1]!;
    const status = readFileSync(`/proc/self/task/${thread}/status`, "latin1");
    expect(/^Cpus_allowed_list:\s+(.*)$/m.exec(status)![1]).toBe("0");
  });

  test("SQ_AFF to a CPU that is not there is EINVAL", () => {
    const flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF;
    expect(() => openRing(8, flags, { sqThreadCpu: 100_000 })).toThrow("EINVAL");
  });

  test("ATTACH_WQ shares another ring's SQ thread", () => {
    using first = openRing(8, IORING_SETUP_SQPOLL);
    using second = openRing(8, IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, { attachFd: first.fd });
    expectToWork(second);
    const threadOf = (ring: Ring): string =>
      /^SqThread:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${ring.fd}`, "latin1"))![1]!;
    expect(threadOf(second)).toBe(threadOf(first));
    expectToWork(first);
  });

  test("ATTACH_WQ to what is no ring is EINVAL", () => {
    expect(() => openRing(8, IORING_SETUP_ATTACH_WQ, { attachFd: 0 })).toThrow("EINVAL");
  });

  const polled = [
    ["IOPOLL", IORING_SETUP_IOPOLL],
    ["IOPOLL and HYBRID_IOPOLL", IORING_SETUP_IOPOLL | IORING_SETUP_HYBRID_IOPOLL],
  ] as const;

  const readPolled = (flags: number): void => {
    using ring = openRing(8, flags);
    using memory = new RingMemory();
    const directory = mkdtempSync(join(tmpdir(), "ringloop-iopoll-"));
    const path = join(directory, "file");
    writeFileSync(path, Buffer.alloc(4096, "p"));
    const page = memory.allocate(4096, 4096);
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
    nextSqe(ring).prepRead(fd, page.address, 4096, 0);
    ring.submit();
    const cqe = ring.waitCqe(5_000_000)!;
    // EOPNOTSUPP: this file system's device cannot be polled.
    if (cqe.res !== -95) expect([cqe.res, page.buffer[0]]).toEqual([4096, "p".charCodeAt(0)]);
    ring.cqeSeen();
    // The kernel cannot poll a timeout.
    expect(fail(ring, (sqe) => sqe.prepTimeout(memory.timespec(1).address))).toBe("EINVAL");
    closeSync(fd);
    rmSync(directory, { recursive: true });
  };

  for (const [name, flags] of polled)
    testWithFlags(flags)(`${name} reads what can be polled, and refuses the rest`, () => readPolled(flags));
});

describe("sizes", () => {
  test("CLAMP cuts what is too large; without it that is refused", () => {
    using ring = Ring.queueInit(100_000, IORING_SETUP_CLAMP);
    expect(ring.sqEntries).toBe(32768);
    expect(() => Ring.queueInit(100_000)).toThrow(
      new TypeError("entries must be an integer from 1 to 32768, not 100000"),
    );
  });

  test("a queue in memory of one's own may have any size", () => {
    for (const cqEntries of [1, 100, 4096]) {
      using ring = Ring.queueInit(64, { flags: IORING_SETUP_NO_MMAP, cqEntries: Math.max(64, cqEntries) });
      expect([ring.sqEntries, ring.cqEntries]).toEqual([64, Math.max(64, 2 ** Math.ceil(Math.log2(cqEntries)))]);
      expectToWork(ring);
    }
  });
});

test.each<[message: string, params: RingParams]>([
  ["flags must be from 0 to 4294967295, not -1", { flags: -1 }],
  ["flags must be an integer from 0 to 4294967295, not 0.5", { flags: 0.5 }],
  ["cqEntries must be from 0 to 4294967295, not -8", { cqEntries: -8 }],
  ["sqThreadIdleMs must be an integer from 0 to 4294967295, not NaN", { sqThreadIdleMs: NaN }],
  ["sqThreadCpu must be from 0 to 4294967295, not -1", { sqThreadCpu: -1 }],
  ["attachFd must be from 0 to 4294967295, not -1", { attachFd: -1 }],
])("%s", (message, params) => {
  expect(() => Ring.queueInit(4, params)).toThrow(message);
});

test("a thousand rings of all layouts leave no descriptor and no mapping behind", () => {
  const count = (): number[] => [
    readFileSync("/proc/self/maps", "latin1").split("\n").length,
    readdirSync("/proc/self/fd").length,
  ];
  const all = layouts.map(([, flags]) => flags);
  const once = (): void => {
    for (const flags of all) tryRing(flags)?.close();
    tryRing(IORING_SETUP_NO_MMAP | IORING_SETUP_REGISTERED_FD_ONLY)?.close();
  };
  once();
  const [mappings, descriptors] = count() as [number, number];
  for (let i = 0; i < 150; i++) once();
  const [mappingsAfter, descriptorsAfter] = count() as [number, number];
  expect(descriptorsAfter).toBeLessThanOrEqual(descriptors);
  expect(mappingsAfter).toBeLessThan(mappings + 30);
});
