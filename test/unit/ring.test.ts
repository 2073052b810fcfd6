import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Arena,
  BufferRing,
  errnoName,
  featureNames,
  IORING_ASYNC_CANCEL_ALL,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_CQE_MIXED,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQE_MIXED,
  IORING_SETUP_SQPOLL,
  IOSQE_ASYNC,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
  Mapping,
  POLLIN,
  probeFeatures,
  Ring,
  RingMemory,
  type Sqe,
  SystemError,
} from "../../src/ring/index.ts";
import { IORING_REGISTER_RESIZE_RINGS, IORING_UNREGISTER_RING_FDS } from "../../src/sys/abi.ts";
import { EBADF, ENOENT } from "../../src/sys/errno.ts";
import { native } from "../../src/sys/library.ts";
import { nextCompletion, nextCompletions, nextSqe, openRing, ringKinds } from "./ring-kinds.ts";
import { SocketPair } from "./socket-pair.ts";

const O_RDWR_CREAT = "w+";

/** Returns the code of a failed operation, such as "ETIME". */
function codeOf({ res }: { res: number }): string {
  return errnoName(-res);
}

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe.each(ringKinds)("a %s ring", (_, flags) => {
  let ring: Ring;
  let memory: Mapping;
  let bytes: Buffer;

  beforeEach(() => {
    ring = openRing(8, flags);
    memory = new Mapping(8192);
    bytes = Buffer.from(memory.buffer);
  });

  afterEach(() => {
    ring.close();
    memory.release();
  });

  /** Writes a struct __kernel_timespec and returns its address. */
  function timespec(ms: number): number {
    new BigInt64Array(memory.buffer).set([BigInt(Math.floor(ms / 1000)), BigInt((ms % 1000) * 1e6)]);
    return memory.address;
  }

  describe("submission", () => {
    test("all 64 bits of the user data come back", () => {
      const values = [0n, 1n, 1n << 32n, 0x8000_0000_0000_0001n, 0xffff_ffff_ffff_ffffn];
      for (const value of values) ring.getSqe()!.prepNop().setData64(value);
      expect(ring.submit()).toBe(values.length);
      expect(nextCompletions(ring, values.length)).toEqual(values.map((data) => ({ data, res: 0, flags: 0 })));
    });

    test("user data are two unsigned halves", () => {
      ring.getSqe()!.prepNop().setUserData(0xdeadbeef, 0xfedcba98);
      ring.submit();
      const cqe = ring.waitCqe()!;
      expect([cqe.userDataLow, cqe.userDataHigh]).toEqual([0xdeadbeef, 0xfedcba98]);
    });

    test("submit without entries submits none", () => {
      expect(ring.submit()).toBe(0);
    });

    test("a full queue has no entry to give, and has them all again after a submit", () => {
      for (let i = 0; i < ring.sqEntries; i++) expect(ring.getSqe()?.prepNop()).toBeDefined();
      expect(ring.getSqe()).toBeNull();
      expect(ring.submit()).toBe(ring.sqEntries);
      nextCompletions(ring, ring.sqEntries);
      if (ring.sqpoll) ring.sqringWait();
      for (let i = 0; i < ring.sqEntries; i++) expect(ring.getSqe()?.prepNop()).toBeDefined();
      expect(ring.getSqe()).toBeNull();
    });

    test("unpublished counts what the kernel was not told of", () => {
      ring.getSqe()!.prepNop();
      ring.getSqe()!.prepNop();
      expect(ring.unpublished).toBe(2);
      ring.publish();
      expect(ring.unpublished).toBe(0);
    });

    test("an entry that nobody prepares, or whose preparation throws, does nothing and tells nothing", () => {
      const directory = mkdtempSync(join(tmpdir(), "ringloop-ring-"));
      const fd = openSync(join(directory, "written"), "a");
      const { size } = fstatSync(fd);
      // Before, every entry of the queue was a write.
      for (let i = 0; i < ring.sqEntries; i++) ring.getSqe()!.prepWrite(fd, memory.address, 1).setUserData(7, 7);
      ring.submit();
      nextCompletions(ring, ring.sqEntries);
      expect(fstatSync(fd).size).toBe(size + ring.sqEntries);
      if (ring.sqpoll) ring.sqringWait();
      ring.getSqe();
      expect(() => ring.getSqe()!.prepWrite(fd, memory.address, -1)).toThrow(RangeError);
      expect(() => ring.getSqe()!.prepWrite(fd, memory.address, 1, NaN)).toThrow(TypeError);
      expect(() => ring.getSqe()!.prepCloseDirect(-1)).toThrow(RangeError);
      expect(() => ring.getSqe()!.prepWrite(fd, memory.address, 1).setBufferGroup(-1)).toThrow(RangeError);
      ring.getSqe()!.prepNop().setUserData(8, 8);
      expect(ring.submit()).toBe(6);
      const { data } = nextCompletion(ring);
      expect(data).toBe((8n << 32n) | 8n);
      expect([ring.cqReady, fstatSync(fd).size]).toEqual([0, size + ring.sqEntries]);
      expect(fstatSync(0)).toBeDefined();
      closeSync(fd);
      rmSync(directory, { recursive: true });
    });

    test("an entry remembers nothing of its former use", () => {
      for (let i = 0; i < ring.sqEntries; i++)
        ring.getSqe()!.prepRecvMultishot(-1, 7).setFlags(IOSQE_IO_HARDLINK).setData64(0xffff_ffff_ffff_ffffn);
      ring.submit();
      nextCompletions(ring, ring.sqEntries);
      // A poll fails with EINVAL instead of EBADF if the field of the buffer group is not empty.
      for (let i = 0; i < ring.sqEntries; i++) {
        if (i % 2 === 0) ring.getSqe()!.prepNop();
        else ring.getSqe()!.prepPollAdd(-1, POLLIN);
      }
      ring.submit();
      for (const [i, completion] of nextCompletions(ring, ring.sqEntries).entries())
        expect(completion).toEqual({ data: 0n, res: i % 2 === 0 ? 0 : -EBADF, flags: 0 });
    });

    test("CQE_SKIP_SUCCESS leaves a success without a completion", () => {
      ring.getSqe()!.prepNop().setData64(1n).setFlags(IOSQE_CQE_SKIP_SUCCESS);
      ring.getSqe()!.prepNop().setData64(2n);
      ring.submit();
      expect(nextCompletion(ring).data).toBe(2n);
    });

    test("entries are entered by a registered ring descriptor just as well", () => {
      expect(ring.registerRingFd()).toBe(true);
      ring.getSqe()!.prepNop().setData64(5n);
      ring.submitAndWait(1);
      expect(nextCompletion(ring).data).toBe(5n);
    });
  });

  describe("order", () => {
    test("independent nops complete in the order of their entries", () => {
      for (let i = 0; i < 8; i++) ring.getSqe()!.prepNop().setData64(BigInt(i));
      ring.submit();
      expect(nextCompletions(ring, 8).map(({ data }) => data)).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]);
    });

    test("linked nops complete one after the other", () => {
      for (let i = 0; i < 4; i++)
        ring
          .getSqe()!
          .prepNop()
          .setData64(BigInt(i))
          .setFlags(i < 3 ? IOSQE_IO_LINK : 0);
      ring.submit();
      expect(nextCompletions(ring, 4)).toEqual([0n, 1n, 2n, 3n].map((data) => ({ data, res: 0, flags: 0 })));
    });

    test("a failure cancels what is linked to it and nothing else", () => {
      ring.getSqe()!.prepRead(-1, memory.address, 1).setFlags(IOSQE_IO_LINK).setData64(0n);
      ring.getSqe()!.prepNop().setData64(1n);
      ring.getSqe()!.prepNop().setData64(2n);
      ring.submit();
      const codes = new Map(nextCompletions(ring, 3).map(({ data, res }) => [data, res && errnoName(-res)]));
      expect(codes).toEqual(
        new Map<bigint, string | 0>([
          [0n, "EBADF"],
          [1n, "ECANCELED"],
          [2n, 0],
        ]),
      );
    });
  });

  describe("completion", () => {
    function submitNops(count: number): void {
      for (let i = 0; i < count; i++) ring.getSqe()!.prepNop().setData64(BigInt(i));
      ring.submitAndWait(count);
    }

    test("submitAndWait blocks until the completions are there", () => {
      for (let i = 0; i < 8; i++) ring.getSqe()!.prepNop().setFlags(IOSQE_ASYNC); // Runs on a worker thread.
      expect(ring.submitAndWait(8)).toBe(8);
      expect(ring.cqReady).toBe(8);
    });

    test("peekCqe is null when nothing has completed", () => {
      expect(ring.peekCqe()).toBeNull();
    });

    test("peekCqe shows the oldest completion until cqeSeen", () => {
      submitNops(2);
      expect(ring.peekCqe()!.data64).toBe(0n);
      expect(ring.peekCqe()!.data64).toBe(0n);
      ring.cqeSeen();
      expect(ring.peekCqe()!.data64).toBe(1n);
      ring.cqeSeen();
      expect(ring.peekCqe()).toBeNull();
    });

    test("waitCqe gives up after its time and not before", () => {
      const start = performance.now();
      expect(ring.waitCqe(2000)).toBeNull();
      expect(performance.now() - start).toBeGreaterThanOrEqual(2);
    });

    test("waitCqe without patience only looks", () => {
      expect(ring.waitCqe(0)).toBeNull();
      submitNops(1);
      expect(ring.waitCqe(0)!.data64).toBe(0n);
    });

    test("forEachCqe shows all that wait and keeps them; cqAdvance gives them back", () => {
      submitNops(3);
      for (let round = 0; round < 2; round++) {
        const seen: bigint[] = [];
        expect(ring.forEachCqe((cqe) => seen.push(cqe.data64))).toBe(3);
        expect(seen).toEqual([0n, 1n, 2n]);
      }
      ring.cqAdvance(2);
      expect(ring.cqReady).toBe(1);
      expect(ring.peekCqe()!.data64).toBe(2n);
    });

    test("reap copies as many as there is room for, oldest first", () => {
      submitNops(3);
      const into = new Int32Array(2 * 4);
      expect(ring.reap(into)).toBe(2);
      expect([...into]).toEqual([0, 0, 0, 0, 1, 0, 0, 0]);
      expect(ring.reap(into)).toBe(1);
      expect(into[0]).toBe(2);
      expect(ring.reap(into)).toBe(0);
    });

    test("completions that find the queue full are kept, in order", () => {
      using small = openRing(4, flags, { cqEntries: 4 });
      for (let i = 0; i < 16; i++) nextSqe(small).prepNop().setData64(BigInt(i));
      small.submit();
      expect(nextCompletions(small, 16).map(({ data }) => Number(data))).toEqual([...Array(16).keys()]);
      expect(small.cqHasOverflow).toBe(false);
    });

    test("both queues go round many times at every offset", () => {
      using small = openRing(4, flags);
      let submitted = 0;
      let seen = 0;
      for (let round = 0; round < 3000; round++) {
        const batch = 1 + (round % 4);
        for (let i = 0; i < batch; i++) nextSqe(small).prepNop().setData64(BigInt(submitted++));
        small.submitAndWait(batch);
        if (round % 2 === 0) for (const { data } of nextCompletions(small, batch)) if (data === BigInt(seen)) seen++;
        if (round % 2 === 1) small.cqAdvance(small.forEachCqe(({ data64 }) => data64 === BigInt(seen) && seen++));
      }
      expect(seen).toBe(submitted);
      expect(small.cqReady).toBe(0);
    });
  });

  describe("files", () => {
    let directory: string;
    let path: string;
    let fd: number;

    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), "ringloop-ring-"));
      path = join(directory, "file");
      fd = openSync(path, O_RDWR_CREAT);
    });

    afterEach(() => {
      closeSync(fd);
      rmSync(directory, { recursive: true });
    });

    test("what is written is read back", () => {
      bytes.write("through the ring");
      ring.getSqe()!.prepWrite(fd, memory.address, 16, 0).setFlags(IOSQE_IO_LINK);
      ring.getSqe()!.prepRead(fd, memory.address + 4096, 11, 5);
      ring.submit();
      expect(nextCompletions(ring, 2).map(({ res }) => res)).toEqual([16, 11]);
      expect(bytes.toString("latin1", 4096, 4107)).toBe("gh the ring");
      expect(readFileSync(path, "latin1")).toBe("through the ring");
    });

    test("without an offset the file's position is used and moved", () => {
      writeFileSync(path, "abcdef");
      for (const expected of ["abcd", "ef"]) {
        ring.getSqe()!.prepRead(fd, memory.address, 4);
        ring.submit();
        expect(bytes.toString("latin1", 0, nextCompletion(ring).res)).toBe(expected);
      }
    });

    test("an offset beyond 4 GiB is exact", () => {
      const offset = 5 * 2 ** 30 + 3;
      bytes.write("far");
      ring.getSqe()!.prepWrite(fd, memory.address, 3, offset);
      ring.submit();
      expect(nextCompletion(ring).res).toBe(3);
      expect(fstatSync(fd).size).toBe(offset + 3);
    });

    test("readv and writev take several buffers", () => {
      bytes.write("scatter", 1024);
      bytes.write("gather", 2048);
      const iovecs = new BigUint64Array(memory.buffer, 0, 4);
      iovecs.set([BigInt(memory.address + 1024), 7n, BigInt(memory.address + 2048), 6n]);
      ring.getSqe()!.prepWritev(fd, memory.address, 2, 0);
      ring.submit();
      expect(nextCompletion(ring).res).toBe(13);
      expect(readFileSync(path, "latin1")).toBe("scattergather");

      iovecs.set([BigInt(memory.address + 4096), 2n, BigInt(memory.address + 4200), 11n]);
      ring.getSqe()!.prepReadv(fd, memory.address, 2, 0);
      ring.submit();
      expect(nextCompletion(ring).res).toBe(13);
      expect([bytes.toString("latin1", 4096, 4098), bytes.toString("latin1", 4200, 4211)]).toEqual([
        "sc",
        "attergather",
      ]);
    });

    test("fsync and fdatasync succeed on a file and fail on a bad descriptor", () => {
      ring.getSqe()!.prepFsync(fd).setFlags(IOSQE_IO_LINK);
      ring.getSqe()!.prepFsync(fd, true).setFlags(IOSQE_IO_LINK);
      ring.getSqe()!.prepFsync(-1);
      ring.submit();
      expect(nextCompletions(ring, 3).map((completion) => completion.res && codeOf(completion))).toEqual([
        0,
        0,
        "EBADF",
      ]);
    });

    test("openat opens a descriptor and close closes it", () => {
      writeFileSync(path, "opened");
      bytes.write(`${path}\0`);
      ring.getSqe()!.prepOpenat(-100, memory.address, 0, 0); // AT_FDCWD, O_RDONLY
      ring.submit();
      const opened = nextCompletion(ring).res;
      expect(readFileSync(opened, "latin1")).toBe("opened");
      ring.getSqe()!.prepClose(opened);
      ring.submit();
      expect(nextCompletion(ring).res).toBe(0);
      expect(() => fstatSync(opened)).toThrow("EBADF");
    });

    test("opening a file that is not there completes with ENOENT", () => {
      bytes.write(`${directory}/nothing\0`);
      ring.getSqe()!.prepOpenat(-100, memory.address, 0, 0);
      ring.submit();
      expect(nextCompletion(ring).res).toBe(-ENOENT);
    });
  });

  describe("time", () => {
    test("a timeout completes with ETIME and not before its time", () => {
      const start = performance.now();
      ring.getSqe()!.prepTimeout(timespec(5)).setData64(3n);
      ring.submit();
      const completion = nextCompletion(ring);
      expect(performance.now() - start).toBeGreaterThanOrEqual(5);
      expect([completion.data, codeOf(completion)]).toEqual([3n, "ETIME"]);
    });

    test("a timeout with a count completes with 0 once so many others have", () => {
      ring.getSqe()!.prepTimeout(timespec(60_000), 1).setData64(1n);
      ring.getSqe()!.prepNop().setData64(2n);
      ring.submit();
      const completions = nextCompletions(ring, 2);
      expect(completions.find(({ data }) => data === 1n)!.res).toBe(0);
    });

    test("a removed timeout is cancelled", () => {
      ring.getSqe()!.prepTimeout(timespec(60_000)).setUserData(1, 2);
      ring.getSqe()!.prepTimeoutRemove(1, 2).setData64(9n);
      ring.submit();
      const completions = nextCompletions(ring, 2);
      expect(completions.find(({ data }) => data === 9n)!.res).toBe(0);
      expect(codeOf(completions.find(({ data }) => data !== 9n)!)).toBe("ECANCELED");
    });

    test("a linked timeout ends the operation before it", () => {
      using pair = new SocketPair();
      ring
        .getSqe()!
        .prepRecv(pair.near, memory.address + 4096, 1)
        .setFlags(IOSQE_IO_LINK)
        .setData64(1n);
      ring.getSqe()!.prepLinkTimeout(timespec(5)).setData64(2n);
      ring.submit();
      const codes = new Map(nextCompletions(ring, 2).map((completion) => [completion.data, codeOf(completion)]));
      expect(codes).toEqual(
        new Map([
          [1n, "ECANCELED"],
          [2n, "ETIME"],
        ]),
      );
    });
  });

  describe("sockets", () => {
    test("poll completes when the socket can be read", () => {
      using pair = new SocketPair();
      ring.getSqe()!.prepPollAdd(pair.near, POLLIN);
      ring.submit();
      expect(ring.waitCqe(1000)).toBeNull();
      writeSync(pair.far, "x");
      expect(nextCompletion(ring)).toEqual({ data: 0n, res: POLLIN, flags: 0 });
    });

    test("a multishot poll completes each time and says that more come", () => {
      using pair = new SocketPair();
      ring.getSqe()!.prepPollAdd(pair.near, POLLIN, true);
      ring.submit();
      for (let i = 0; i < 3; i++) {
        writeSync(pair.far, "x");
        const cqe = ring.waitCqe()!;
        expect([cqe.res, cqe.more]).toEqual([POLLIN, true]);
        ring.cqeSeen();
        readSync(pair.near, Buffer.alloc(1));
      }
    });

    test("a removed poll is cancelled; one that is not there is ENOENT", () => {
      using pair = new SocketPair();
      ring.getSqe()!.prepPollAdd(pair.near, POLLIN).setUserData(7, 8);
      ring.getSqe()!.prepPollRemove(7, 8).setData64(1n);
      ring.submit();
      const completions = nextCompletions(ring, 2);
      expect(completions.find(({ data }) => data === 1n)!.res).toBe(0);
      expect(codeOf(completions.find(({ data }) => data !== 1n)!)).toBe("ECANCELED");
      ring.getSqe()!.prepPollRemove(7, 8);
      ring.submit();
      expect(nextCompletion(ring).res).toBe(-ENOENT);
    });

    test("a receive waits for what a send sends, and sees the end after a shutdown", () => {
      using pair = new SocketPair();
      bytes.write("hello");
      ring
        .getSqe()!
        .prepRecv(pair.near, memory.address + 4096, 100)
        .setData64(1n);
      ring.getSqe()!.prepSend(pair.far, memory.address, 5).setData64(2n);
      ring.submit();
      for (const { res } of nextCompletions(ring, 2)) expect(res).toBe(5);
      expect(bytes.toString("latin1", 4096, 4101)).toBe("hello");
      ring.getSqe()!.prepShutdown(pair.far, 1).setFlags(IOSQE_IO_LINK);
      ring.getSqe()!.prepRecv(pair.near, memory.address + 4096, 100);
      ring.submit();
      expect(nextCompletions(ring, 2).map(({ res }) => res)).toEqual([0, 0]);
    });

    test("cancel by user data ends that operation alone", () => {
      using pair = new SocketPair();
      ring.getSqe()!.prepPollAdd(pair.near, POLLIN).setUserData(1, 0xffffffff);
      ring.getSqe()!.prepPollAdd(pair.near, POLLIN).setUserData(2, 0xffffffff);
      ring.getSqe()!.prepCancel(1, 0xffffffff).setData64(3n);
      ring.submit();
      const completions = nextCompletions(ring, 2);
      expect(completions.find(({ data }) => data === 3n)!.res).toBe(0);
      expect(codeOf(completions.find(({ data }) => data === 0xffff_ffff_0000_0001n)!)).toBe("ECANCELED");
      writeSync(pair.far, "x");
      expect(nextCompletion(ring)).toEqual({ data: 0xffff_ffff_0000_0002n, res: POLLIN, flags: 0 });
    });

    test("cancel by user data that nothing has is ENOENT", () => {
      ring.getSqe()!.prepCancel(404, 404);
      ring.submit();
      expect(nextCompletion(ring).res).toBe(-ENOENT);
    });

    test("cancel by descriptor ends everything in flight on it, and says how many", () => {
      using pair = new SocketPair();
      ring.getSqe()!.prepPollAdd(pair.far, POLLIN).setData64(1n);
      ring.getSqe()!.prepPollAdd(pair.near, POLLIN).setData64(2n);
      ring.getSqe()!.prepRecv(pair.near, memory.address, 1).setData64(3n);
      ring.getSqe()!.prepCancelFd(pair.near, IORING_ASYNC_CANCEL_ALL).setData64(4n);
      ring.submit();
      const results = new Map(nextCompletions(ring, 3).map(({ data, res }) => [data, res]));
      expect(results.get(4n)).toBe(2);
      expect([results.get(2n), results.get(3n)].map((res) => errnoName(-res!))).toEqual(["ECANCELED", "ECANCELED"]);
      expect(ring.peekCqe()).toBeNull();
    });
  });

  describe("after close", () => {
    test("close may be called again", () => {
      ring.close();
      ring.close();
    });

    test("operations in flight do not keep the ring from closing", () => {
      using pair = new SocketPair();
      ring.getSqe()!.prepPollAdd(pair.near, POLLIN);
      ring.getSqe()!.prepTimeout(timespec(60_000));
      ring.submit();
      ring.close();
      expect(() => ring.peekCqe()).toThrow();
    });

    /** Arguments that are right, where the kind of argument is asked for first. */
    const uses: Record<string, (closed: Ring) => unknown> = {
      getSqe: (closed) => closed.getSqe(),
      sqReady: (closed) => closed.sqReady,
      sqSpaceLeft: (closed) => closed.sqSpaceLeft,
      dropped: (closed) => closed.dropped,
      publish: (closed) => closed.publish(),
      needsWakeup: (closed) => closed.needsWakeup,
      kernelFlags: (closed) => closed.kernelFlags,
      submit: (closed) => closed.submit(),
      submitAndWait: (closed) => closed.submitAndWait(1),
      sqringWait: (closed) => closed.sqringWait(),
      cqReady: (closed) => closed.cqReady,
      overflow: (closed) => closed.overflow,
      cqHasOverflow: (closed) => closed.cqHasOverflow,
      peekCqe: (closed) => closed.peekCqe(),
      waitCqe: (closed) => closed.waitCqe(),
      forEachCqe: (closed) => closed.forEachCqe(() => {}),
      cqeSeen: (closed) => closed.cqeSeen(),
      cqAdvance: (closed) => closed.cqAdvance(0),
      reap: (closed) => closed.reap(new Int32Array(4)),
      getEvents: (closed) => closed.getEvents(),
      registerEventfd: (closed) => closed.registerEventfd(0),
      cqEventfdEnabled: (closed) => closed.cqEventfdEnabled,
      cqEventfdToggle: (closed) => closed.cqEventfdToggle(true),
      setIowait: (closed) => closed.setIowait(true),
    };
    const refusal = { code: "EBADF", errno: -EBADF, syscall: expect.stringMatching(/^io_uring_/) };

    test.each(Object.keys(uses))("%s throws EBADF", (name) => {
      ring.getSqe()!.prepNop();
      ring.submitAndWait(1);
      ring.close();
      expect(thrownBy(() => uses[name]!(ring))).toMatchObject(refusal);
    });

    test("every other member throws EBADF, but for what a closed ring keeps", () => {
      ring.close();
      const remaining: PropertyKey[] = [];
      for (let owner: object = Ring.prototype; owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
        for (const name of Reflect.ownKeys(owner)) {
          try {
            const member = (ring as unknown as Record<PropertyKey, unknown>)[name];
            if (typeof member === "function" && name !== "constructor") member.call(ring, 1, 0, 0);
            remaining.push(name);
          } catch (error) {
            expect([name, error]).toMatchObject([name, refusal]);
          }
        }
      }
      expect(new Set(remaining)).toEqual(
        new Set<PropertyKey>([
          ...["constructor", "close", "queueExit", Symbol.dispose],
          ...["sqEntries", "cqEntries", "unpublished", "enter"],
        ]),
      );
      expect(ring).toBeInstanceOf(Ring);
      expect(Bun.inspect(ring)).toContain("Ring");
      expect(`${ring}`).toBe("[object Object]");
      expect(ring.enter(1, 0, 0)).toBe(-EBADF);
    });

    test("entries that were handed out before are dead", () => {
      const sqe = ring.getSqe()!.prepNop();
      ring.submitAndWait(1);
      const cqe = ring.peekCqe()!;
      ring.close();
      sqe.prepNop().setData64(1n);
      expect(cqe.res).toBeUndefined();
    });
  });
});

test("peekCqe finds completions that the queue had no room for", () => {
  using ring = Ring.queueInit(4, { cqEntries: 4 });
  for (let i = 0; i < 16; i++) nextSqe(ring).prepNop().setData64(BigInt(i));
  ring.submit();
  expect([ring.cqHasOverflow, ring.cqReady]).toEqual([true, 4]);
  const seen: number[] = [];
  for (let cqe = ring.peekCqe(); cqe; cqe = ring.peekCqe()) {
    seen.push(cqe.userDataLow);
    ring.cqeSeen();
  }
  expect(seen).toEqual([...Array(16).keys()]);
});

test("sqReady counts what the kernel has not taken", () => {
  using ring = Ring.queueInit(4);
  ring.getSqe()!.prepNop();
  ring.getSqe()!.prepNop();
  expect(ring.sqReady).toBe(2);
  ring.submit();
  expect([ring.sqReady, ring.dropped]).toEqual([0, 0]);
});

describe("giving back completions", () => {
  test.each([-1, 2, 0.5, NaN])("cqAdvance(%d) with one completion waiting is a RangeError", (count) => {
    using ring = Ring.queueInit(2);
    ring.getSqe()!.prepNop();
    ring.submitAndWait(1);
    expect(thrownBy(() => ring.cqAdvance(count))).toBeInstanceOf(RangeError);
    expect(ring.cqReady).toBe(1);
  });

  test("cqeSeen without a completion is a RangeError", () => {
    using ring = Ring.queueInit(2);
    expect(() => ring.cqeSeen()).toThrow(RangeError);
  });
});

describe("a closed ring does not reach the ring that its descriptor now belongs to", () => {
  let closed: Ring;
  let heir: Ring;

  beforeEach(() => {
    closed = Ring.queueInit(2);
    closed.close();
    heir = Ring.queueInit(2);
    expect(heir.fd).toBe(closed.fd);
  });

  afterEach(() => heir.close());

  test("by cloneBuffers of it", () => {
    expect(thrownBy(() => heir.cloneBuffers(closed))).toMatchObject({ code: "EBADF" });
  });

  test("by registerRingFd", () => {
    expect(() => closed.registerRingFd()).toThrow();
  });

  test("by enter", () => {
    heir.getSqe()!.prepNop();
    heir.publish();
    closed.enter(1, 0, 0);
    expect(heir.sqReady).toBe(1);
  });

  test("by register", () => {
    const fd = native().rl_eventfd();
    expect(() => closed.registerEventfd(fd)).toThrow();
    closeSync(fd);
  });
});

describe("setting up a ring", () => {
  test("entries are rounded up to a power of two, with twice as many completions", () => {
    using ring = Ring.queueInit(5);
    expect([ring.sqEntries, ring.cqEntries]).toEqual([8, 16]);
  });

  test("the completion queue may be asked to be larger", () => {
    using ring = Ring.queueInit(4, { cqEntries: 100 });
    expect(ring.cqEntries).toBe(128);
  });

  test("the flags that the kernel took are reported", () => {
    const flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    using ring = Ring.queueInit(4, flags);
    expect(ring.flags & flags).toBe(flags);
    expect(ring.sqpoll).toBe(false);
    expect(featureNames(ring).setup.toSorted()).toEqual(["defer_taskrun", "single_issuer"]);
  });

  test.each([0, -1, 1.5, NaN, Infinity, 32769])("%d entries are a TypeError that names the value", (entries) => {
    const error = thrownBy(() => Ring.queueInit(entries));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain(`not ${entries}`);
  });

  test.each([
    ["a flag that no kernel knows", 2 ** 31],
    ["DEFER_TASKRUN without SINGLE_ISSUER", IORING_SETUP_DEFER_TASKRUN],
    ["COOP_TASKRUN with SQPOLL", IORING_SETUP_SQPOLL | IORING_SETUP_COOP_TASKRUN],
  ])("%s is a SystemError EINVAL of io_uring_setup", (_, flags) => {
    const error = thrownBy(() => Ring.queueInit(4, { flags })) as SystemError;
    expect(error).toBeInstanceOf(SystemError);
    expect(error).toMatchObject({ name: "Error", code: "EINVAL", errno: -22, syscall: "io_uring_setup" });
    expect(error.message).toBe("EINVAL: invalid argument, io_uring_setup");
  });

  // With these flags, a ring would read and write entries where the kernel has none.
  test.each([
    ["IORING_SETUP_CQE_MIXED", IORING_SETUP_CQE_MIXED],
    ["IORING_SETUP_SQE_MIXED", IORING_SETUP_SQE_MIXED],
  ])("%s, which mixes entries of two sizes, is refused by name", (name, flags) => {
    const error = thrownBy(() => Ring.queueInit(4, { flags }));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain(name);
  });

  test("a completion queue smaller than the submission queue is EINVAL", () => {
    expect(thrownBy(() => Ring.queueInit(8, { cqEntries: 4 }))).toMatchObject({
      code: "EINVAL",
      syscall: "io_uring_setup",
    });
  });

  test("`using` closes the ring", () => {
    let kept: Ring;
    {
      using ring = Ring.queueInit(2);
      kept = ring;
    }
    expect(() => kept.peekCqe()).toThrow();
  });
});

describe("a registered eventfd", () => {
  const signals = (fd: number): bigint => {
    const counter = new BigUint64Array(1);
    try {
      readSync(fd, counter);
    } catch (error) {
      if ((error as SystemError).code !== "EAGAIN") throw error;
    }
    return counter[0]!;
  };

  test("is signalled by completions, but not while it is off", () => {
    using ring = Ring.queueInit(4);
    const fd = native().rl_eventfd();
    ring.registerEventfd(fd);
    const complete = (): void => {
      ring.getSqe()!.prepNop();
      ring.submitAndWait(1);
      nextCompletion(ring);
    };
    complete();
    expect(signals(fd)).toBe(1n);
    ring.cqEventfdToggle(false);
    complete();
    expect(signals(fd)).toBe(0n);
    ring.cqEventfdToggle(true);
    complete();
    expect(signals(fd)).toBe(1n);
    closeSync(fd);
  });

  test("that is no eventfd is a SystemError of io_uring_register", () => {
    using ring = Ring.queueInit(4);
    expect(thrownBy(() => ring.registerEventfd(-1))).toMatchObject({ code: "EBADF", syscall: "io_uring_register" });
  });
});

test("probing for features leaves no descriptor behind", () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  probeFeatures();
  const before = descriptors();
  for (let i = 0; i < 3; i++) expect(probeFeatures().fastPoll).toBe(true);
  expect(descriptors()).toBe(before);
});

describe("a mapping", () => {
  test("is whole pages of zeroes", () => {
    const mapping = new Mapping(4097);
    expect(mapping.bytes).toBe(8192);
    expect(new Uint8Array(mapping.buffer).every((byte) => byte === 0)).toBe(true);
    mapping.release();
  });

  test("reads as zeroes at the same address after discard", () => {
    const mapping = new Mapping(4096);
    const view = new Uint8Array(mapping.buffer);
    view.fill(1);
    mapping.discard();
    expect(view.every((byte) => byte === 0)).toBe(true);
    view[0] = 2;
    expect(new Uint8Array(mapping.buffer)[0]).toBe(2);
    mapping.release();
  });

  test("leaves its views empty when it is released, once or twice", () => {
    const mapping = new Mapping(4096);
    const view = new Uint8Array(mapping.buffer);
    mapping.release();
    mapping.release();
    expect([view.length, view[0], mapping.buffer.byteLength]).toEqual([0, undefined, 0]);
    expect(() => Atomics.load(view, 0)).toThrow();
  });

  test("of more than there is throws ENOMEM of mmap", () => {
    expect(thrownBy(() => new Mapping(2 ** 50))).toMatchObject({ code: "ENOMEM", syscall: "mmap" });
  });
});

describe.each(ringKinds)("numbers and registrations, on a ring that is %s:", (_, flags) => {
  let ring: Ring;
  beforeEach(() => {
    ring = openRing(8, flags);
  });
  afterEach(() => ring.close());

  const answers = (): void => {
    nextSqe(ring).prepNop().setUserData(1, 2);
    ring.submitAndWait(1);
    const { res, userDataLow, userDataHigh } = ring.peekCqe()!;
    expect([res, userDataLow, userDataHigh]).toEqual([0, 1, 2]);
    ring.cqeSeen();
  };

  test("what would change the ring behind its own back is refused, and the ring goes on", () => {
    const params = new Uint32Array(30);
    params.set([16, 32]);
    expect(() => ring.register(IORING_REGISTER_RESIZE_RINGS, params, 1)).toThrow("IORING_REGISTER_RESIZE_RINGS");
    expect(() => ring.register(IORING_UNREGISTER_RING_FDS, params, 1)).toThrow("unregisterRingFd()");
    answers();
  });

  test.each<[string, () => unknown, string]>([
    ["an opcode", () => ring.register(1.5, null, 0), "opcode must be"],
    ["an opcode with the bit of a registered ring", () => ring.register(0x80000008, null, 0), "opcode must be"],
    ["a count", () => ring.register(2, null, NaN), "count must be"],
    ["an argument", () => ring.register(2, [1] as never, 1), "argument must be"],
    ["an empty argument", () => ring.register(2, new Int32Array(0), 0), "argument must be"],
    ["an eventfd", () => ring.registerEventfd(2 ** 32), "fd must be"],
    ["an eventfd of workers", () => ring.registerEventfdAsync(NaN), "fd must be"],
    ["tags", () => ring.registerFilesTags([-1], [-1n]), "tags[0] must be"],
    ["a user data to cancel", () => ring.registerSyncCancel({ low: NaN }), "low must be"],
    ["a user data of more than 64 bits", () => ring.registerSyncCancel({ low: 2n ** 64n }), "low must be"],
    ["flags of a cancellation", () => ring.registerSyncCancel({ low: 1, flags: 2 ** 32 }), "flags must be"],
    ["a descriptor to cancel on", () => ring.registerSyncCancel({ fd: 2 ** 32 }), "fd must be"],
    ["bytes of provided buffers", () => new BufferRing(ring, { bgid: 1, count: 8, bytes: -1 }), "bytes must be"],
    ["a count of provided buffers", () => new BufferRing(ring, { bgid: 1, count: NaN, bytes: 64 }), "count must be"],
    ["a group", () => new BufferRing(ring, { bgid: 65536, count: 8, bytes: 64 }), "bgid must be"],
    ["a buffer's address", () => ring.setupBufRing(8, 1).add(NaN, 1, 0), "address must be"],
    ["a size of a mapping", () => new Mapping(NaN), "bytes must be"],
    ["a size of a chunk", () => new Arena().allocate(-1), "bytes must be"],
    ["entries to submit", () => ring.enter(NaN, 0, 0), "toSubmit must be"],
    ["completions to wait for", () => ring.enter(0, 2 ** 32, 0), "minComplete must be"],
    ["a time to wait", () => ring.enter(0, 0, 0, 1.5), "timeoutUs must be"],
  ])("%s that is wrong is refused by name", (_name, call, message) => {
    expect(call).toThrow(message);
    answers();
  });

  test("an entry whose preparation threw, and one that nobody prepared, leave no completion, wherever they are in a chain", () => {
    for (const spoil of [() => {}, (sqe: Sqe) => expect(() => sqe.prepCloseDirect(-1)).toThrow("fileIndex must be")]) {
      const first = nextSqe(ring).prepNop().link().setUserData(1, 0);
      expect(first.flags & IOSQE_IO_LINK).not.toBe(0);
      spoil(nextSqe(ring));
      nextSqe(ring).prepNop().setUserData(2, 0);
      ring.submitAndWait(2);
      const seen: number[] = [];
      ring.cqAdvance(ring.forEachCqe(({ userDataLow, res }) => seen.push(userDataLow, res)));
      expect(seen).toEqual([1, 0, 2, 0]);
    }
  });
});

describe("a number that is wrong in memory that the kernel reads is refused by name:", () => {
  const memory = new RingMemory();
  afterAll(() => memory.release());
  test.each<[string, () => unknown, string]>([
    ["an iovec's address", () => memory.iovec([{ address: -1, bytes: 1 }]), "pieces[0].address must be"],
    ["an iovec's length", () => memory.iovec([{ address: 0, bytes: NaN }]), "pieces[0].bytes must be"],
    ["a BigInt of more than 64 bits", () => memory.iovec([{ address: 2n ** 64n, bytes: 1 }]), "pieces[0].address must"],
    ["open_how's flags", () => memory.openHow({ flags: -1 }), "flags must be"],
    ["open_how's resolve", () => memory.openHow({ resolve: 1.5 }), "resolve must be"],
    ["epoll events", () => memory.epollEvent(2 ** 32), "events must be"],
    ["epoll data", () => memory.epollEvent(1, NaN), "low must be"],
    ["words", () => memory.int32(1, 2 ** 32), "values[1] must be"],
    ["a futex's value", () => memory.futexWaitv([{ address: 0, value: -1, flags: 0 }]), "waiters[0].value must be"],
    ["a futex's flags", () => memory.futexWaitv([{ address: 0, value: 0, flags: NaN }]), "waiters[0].flags must be"],
    ["a time", () => memory.timespec(NaN), "ms must be"],
    ["a length of names", () => (memory.msghdr({ iovec: memory.iovec([]) }).nameBytes = 2 ** 32), "nameBytes must be"],
    ["a length of control", () => (memory.msghdr({ iovec: memory.iovec([]) }).controlBytes = -1), "controlBytes must"],
  ])("%s", (_name, call, message) => {
    expect(call).toThrow(message);
  });
});
