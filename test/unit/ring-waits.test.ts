/** All of liburing's ways to submit and to wait. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  IORING_MEM_REGION_REG_WAIT_ARG,
  IORING_OP_EPOLL_WAIT,
  IORING_SETUP_R_DISABLED,
  IOSQE_ASYNC,
  type Ring,
  RingMemory,
} from "../../src/ring/index.ts";
import { Program } from "../behaviour/process.ts";
import { nextCompletions, nextSqe, openRing, ringKinds, testWith } from "./ring-kinds.ts";
import { Pipe } from "./pipe.ts";
import { SeededRandom } from "./seeded-random.ts";

describe.each(ringKinds)("on a %s ring", (_, flags) => {
  let ring: Ring;
  let memory: RingMemory;

  beforeEach(() => {
    ring = openRing(8, flags);
    memory = new RingMemory();
  });

  afterEach(() => {
    ring.close();
    memory.release();
  });

  function nops(count: number): void {
    for (let i = 0; i < count; i++) nextSqe(ring).prepNop().setData(i).setFlags(IOSQE_ASYNC);
  }

  /** Submits a read for which no byte arrives. */
  function stall(pipe: Pipe): void {
    nextSqe(ring).prepRead(pipe.readEnd, memory.allocate(1).address, 1).setData(99);
  }

  test("waitCqeNr waits for so many, and shows the oldest", () => {
    nops(5);
    ring.submit();
    expect(ring.waitCqeNr(5)).not.toBeNull();
    expect(ring.cqReady).toBe(5);
    expect(ring.waitCqeNr(0)).not.toBeNull();
  });

  test("waitCqeNr(0) only looks", () => {
    expect(ring.waitCqeNr(0)).toBeNull();
  });

  test("waitCqes gives up after its time, and shows what there is", () => {
    using pipe = new Pipe();
    stall(pipe);
    nops(1);
    ring.submit();
    expect(ring.waitCqe(5_000_000)).not.toBeNull();
    const start = performance.now();
    expect(ring.waitCqes(2, 20_000)!.data).toBe(0);
    expect(performance.now() - start).toBeGreaterThanOrEqual(20);
    ring.cqeSeen();
    expect(ring.waitCqes(2, 1000)).toBeNull();
  });

  // Both kinds of waits came with Linux 6.12, EPOLL_WAIT came with 6.15.
  testWith(IORING_OP_EPOLL_WAIT)(
    "a wait for several goes on for all of them for the least time, and then takes one",
    () => {
      using pipe = new Pipe();
      stall(pipe);
      nops(1);
      const start = performance.now();
      expect(ring.submitAndWaitMinTimeout(2, 5_000_000, 20_000)!.data).toBe(0);
      const afterMs = performance.now() - start;
      expect(afterMs).toBeGreaterThanOrEqual(20);
      expect(afterMs).toBeLessThan(4000);
      expect(ring.waitCqesMinTimeout(2, -1, 1000)!.data).toBe(0);
      expect(ring.waitCqesMinTimeout(1, -1, 1000)!.data).toBe(0);
      ring.cqeSeen();
      expect(ring.waitCqesMinTimeout(1, 1000, 100)).toBeNull();
      nops(2);
      ring.submit();
      expect(ring.waitCqesMinTimeout(2, -1, 5_000_000)).not.toBeNull();
      expect(ring.cqReady).toBe(2);
      expect(() => ring.submitAndWaitMinTimeout(1, -1, -1)).toThrow("minWaitUs must be from 0 to 4294967295, not -1");
    },
  );

  testWith(IORING_OP_EPOLL_WAIT)("a wait goes by an argument that was registered", () => {
    using waiting = openRing(4, flags | IORING_SETUP_R_DISABLED);
    using own = new RingMemory();
    const times = own.waitArguments(3).set(0, { timeoutMs: 5 }).set(1, { timeoutMs: 5000, minWaitUs: 2000 });
    waiting.registerRegion(times, IORING_MEM_REGION_REG_WAIT_ARG);
    waiting.enableRings();
    const start = performance.now();
    expect(waiting.submitAndWaitReg(1, 0)).toBeNull();
    expect(performance.now() - start).toBeGreaterThanOrEqual(5);
    waiting.getSqe()!.prepNop().setData(7);
    expect(waiting.submitAndWaitReg(2, 1)!.data).toBe(7);
    waiting.cqeSeen();
    times.set(2, { timeoutMs: 1 }); // As a time of the clock, this is in the past.
    expect(waiting.submitAndWaitReg(1, 2, true)).toBeNull();
    expect(() => waiting.submitAndWaitReg(1, times.count)).toThrow(expect.objectContaining({ code: "EFAULT" }));
    expect(() => times.set(times.count, {})).toThrow(RangeError);
    using enabled = openRing(2, flags);
    expect(() => enabled.registerRegion(times, IORING_MEM_REGION_REG_WAIT_ARG)).toThrow(
      expect.objectContaining({ code: "EINVAL" }),
    );
  });

  testWith(IORING_OP_EPOLL_WAIT)("a wait that counts as none for I/O waits all the same", () => {
    ring.setIowait(false);
    nops(1);
    expect(ring.submitAndWait(1)).toBe(1);
    ring.registerRingFd();
    ring.setIowait(true);
    nops(1);
    ring.submit();
    expect(ring.waitCqeNr(2)).not.toBeNull();
  });

  test("waitCqeTimeout gives up after its time", () => {
    const start = performance.now();
    expect(ring.waitCqeTimeout(2000)).toBeNull();
    expect(performance.now() - start).toBeGreaterThanOrEqual(2);
    nops(1);
    ring.submit();
    expect(ring.waitCqeTimeout(5_000_000)!.data).toBe(0);
  });

  test("submitAndWaitTimeout submits, waits for so many, and gives up after its time", () => {
    using pipe = new Pipe();
    nops(3);
    expect(ring.submitAndWaitTimeout(3, 5_000_000)).not.toBeNull();
    expect(ring.cqReady).toBe(3);
    ring.cqAdvance(3);
    stall(pipe);
    const start = performance.now();
    expect(ring.submitAndWaitTimeout(1, 3000)).toBeNull();
    expect(performance.now() - start).toBeGreaterThanOrEqual(3);
    if (!ring.sqpoll) expect(ring.sqReady).toBe(0);
  });

  test("submitAndGetEvents submits, and runs what is due", () => {
    nextSqe(ring).prepNop().setData(7);
    expect(ring.submitAndGetEvents()).toBe(1);
    expect(ring.waitCqe(5_000_000)!.data).toBe(7);
    expect(ring.submitAndGetEvents()).toBe(0);
    ring.getEvents();
  });

  test("peekBatchCqe shows as many as are asked for, oldest first, and keeps them", () => {
    expect(ring.peekBatchCqe(8)).toEqual([]);
    for (let i = 0; i < 4; i++) nextSqe(ring).prepNop().setData(i);
    ring.submitAndWait(4);
    const datas = (count: number): number[] => ring.peekBatchCqe(count).map(({ data }) => data);
    expect(datas(3)).toEqual([0, 1, 2]);
    expect(datas(8)).toEqual([0, 1, 2, 3]);
    ring.cqAdvance(3);
    expect(datas(8)).toEqual([3]);
    expect(datas(0)).toEqual([]);
  });

  test("sqSpaceLeft counts free entries; sqringWait returns when there are any", () => {
    expect(ring.sqSpaceLeft).toBe(8);
    for (let i = 0; i < 8; i++) ring.getSqe()!.prepNop();
    expect(ring.sqSpaceLeft).toBe(0);
    ring.submit();
    ring.sqringWait();
    expect(ring.sqSpaceLeft).toBeGreaterThan(0);
    ring.sqringWait();
    nextCompletions(ring, 8);
  });

  test("sqringWait waits on through a hail of signals", async () => {
    if (!ring.sqpoll) return;
    const ignore = (): void => {};
    process.on("SIGUSR2", ignore);
    const hail = `import os, signal\nprint("on", flush=True)\nwhile True: os.kill(${process.pid}, signal.SIGUSR2)`;
    const signaller = new Program(["python3", "-c", hail]);
    try {
      await signaller.text("on");
      for (let round = 0; round < 2000; round++) {
        while (ring.sqSpaceLeft > 0) ring.getSqe()!.prepNop();
        ring.submit();
        ring.sqringWait();
        expect(ring.sqSpaceLeft).toBeGreaterThan(0);
        ring.cqAdvance(ring.cqReady);
      }
    } finally {
      await signaller.stop("SIGKILL");
      process.off("SIGUSR2", ignore);
    }
  });

  test("queueExit ends the ring", () => {
    ring.queueExit();
    expect(() => ring.sqringWait()).toThrow("EBADF");
    expect(() => ring.waitCqes(1)).toThrow();
  });

  // A failure needs a completion that arrives exactly between two looks at the queue.
  test("no wait is ever empty-handed, in whatever order workers and waits meet", () => {
    const random = new SeededRandom(6);
    for (let round = 0; round < 400; round++) {
      const count = 1 + random.below(4);
      nops(count);
      ring.submit();
      const cqe = random.below(2) === 0 ? ring.waitCqeNr(count) : ring.waitCqe(5_000_000);
      expect(cqe).not.toBeNull();
      nextCompletions(ring, count);
    }
  });

  test.each<[message: string, call: (ring: Ring) => unknown]>([
    ["count must be from 0 to 16, not 17", (it) => it.waitCqes(17)],
    ["count must be from 0 to 16, not -1", (it) => it.waitCqeNr(-1)],
    ["count must be from 0 to 16, not 17", (it) => it.peekBatchCqe(17)],
    ["minComplete must be from 0 to 16, not 17", (it) => it.submitAndWait(17)],
    ["timeoutUs must be from 0 to 2147483647, not -1", (it) => it.waitCqeTimeout(-1)],
    ["timeoutUs must be from 0 to 2147483647, not 2147483648", (it) => it.submitAndWaitTimeout(1, 2 ** 31)],
    ["timeoutUs must be from -1 to 2147483647, not -2", (it) => it.waitCqe(-2)],
    ["timeoutUs must be an integer from -1 to 2147483647, not 0.5", (it) => it.waitCqe(0.5)],
  ])("%s", (message, call) => {
    expect(() => call(ring)).toThrow(message);
  });
});

test("examples/hello-writev.ts writes what it says", () => {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-hello-"));
  const path = join(directory, "hello.txt");
  const example = join(import.meta.dir, "../../examples/hello-writev.ts");
  const run = Bun.spawnSync([process.execPath, example, path]);
  expect(run.stdout.toString() + run.stderr.toString()).toMatch(/^12 bytes written to .*hello\.txt, after \d+ turns/);
  expect(readFileSync(path, "latin1")).toBe("Hello world\n");
  rmSync(directory, { recursive: true });
});
