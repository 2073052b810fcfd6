/** Every operation that waits, cancels or notifies. The tests run them in the kernel. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import {
  CLD_EXITED,
  CLD_KILLED,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLLIN,
  errnoName,
  FUTEX2_PRIVATE,
  FUTEX2_SIZE_U32,
  FUTEX_BITSET_MATCH_ANY,
  IORING_CQE_F_MORE,
  IORING_FILE_INDEX_ALLOC,
  IORING_LINK_TIMEOUT_UPDATE,
  IORING_MSG_RING_CQE_SKIP,
  IORING_OP_EPOLL_WAIT,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAITV,
  IORING_OP_MSG_RING,
  IORING_OP_PIPE,
  IORING_OP_WAITID,
  IORING_POLL_UPDATE_EVENTS,
  IORING_POLL_UPDATE_USER_DATA,
  IORING_TIMEOUT_ABS,
  IORING_TIMEOUT_BOOTTIME,
  IORING_TIMEOUT_ETIME_SUCCESS,
  IORING_TIMEOUT_REALTIME,
  P_PID,
  POLLIN,
  POLLOUT,
  type Ring,
  RingMemory,
  SOCK_CLOEXEC,
  WEXITED,
  WNOWAIT,
} from "../../src/ring/index.ts";
import { Epoll } from "./epoll.ts";
import { Pipe } from "./pipe.ts";
import {
  type Completion,
  complete,
  fail,
  nextCompletion,
  nextCompletions,
  nextSqe,
  openRing,
  ringKinds,
  succeed,
  testWith,
} from "./ring-kinds.ts";
import { SocketPair } from "./socket-pair.ts";

const FUTEX_FLAGS = FUTEX2_SIZE_U32 | FUTEX2_PRIVATE;
const ANY = FUTEX_BITSET_MATCH_ANY;

/** Returns the result of each completion by its user data. An error is given by its name. */
function results(completions: Completion[]): Map<bigint, number | string> {
  return new Map(completions.map(({ data, res }) => [data, res < 0 ? errnoName(-res) : res]));
}

let epoll: Epoll;

beforeAll(() => {
  epoll = new Epoll();
});

afterAll(() => epoll[Symbol.dispose]());

describe.each(ringKinds)("on a %s ring", (_, flags) => {
  let ring: Ring;
  let memory: RingMemory;

  beforeEach(() => {
    ring = openRing(16, flags);
    memory = new RingMemory();
  });

  afterEach(() => {
    ring.close();
    memory.release();
  });

  test("nop completes", () => {
    expect(complete(ring, (sqe) => sqe.prepNop().setData(2 ** 53 - 1))).toEqual({
      data: 2n ** 53n - 1n,
      res: 0,
      flags: 0,
    });
  });

  describe("polls", () => {
    test("a multishot poll completes each time; an update changes what it waits for, and its user data", () => {
      using pair = new SocketPair();
      nextSqe(ring).prepPollMultishot(pair.near, POLLIN).setUserData(1, 9);
      // The kernel may report a byte twice if it arrives while the poll is being armed. So the byte
      // comes only after the entry behind the poll has completed.
      succeed(ring, (sqe) => sqe.prepNop());
      writeSync(pair.far, "x");
      expect(nextCompletion(ring)).toMatchObject({ res: POLLIN, flags: IORING_CQE_F_MORE });
      readSync(pair.near, Buffer.alloc(1));

      const both = IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA;
      nextSqe(ring).prepPollUpdate(1, 9, 2, 8, POLLOUT, both).setData(3);
      ring.submit();
      expect(results(nextCompletions(ring, 2))).toEqual(
        new Map([
          [3n, 0],
          [(8n << 32n) | 2n, POLLOUT],
        ]),
      );
      expect(fail(ring, (sqe) => sqe.prepPollUpdate(404, 404, 0, 0, POLLIN, IORING_POLL_UPDATE_EVENTS))).toBe("ENOENT");
    });
  });

  describe("timeouts", () => {
    const elapsedMs = (action: () => void): number => {
      const start = performance.now();
      action();
      return performance.now() - start;
    };

    test("from now, with a success where that is asked for", () => {
      const { address } = memory.timespec(2.5);
      const ms = elapsedMs(() => expect(fail(ring, (sqe) => sqe.prepTimeout(address))).toBe("ETIME"));
      expect(ms).toBeGreaterThanOrEqual(2.5);
      // The result stays ETIME, but the linked entry is not cancelled.
      nextSqe(ring).prepTimeout(address, 0, IORING_TIMEOUT_ETIME_SUCCESS).link().setData(1);
      nextSqe(ring).prepNop().setData(2);
      ring.submit();
      expect(results(nextCompletions(ring, 2))).toEqual(
        new Map<bigint, number | string>([
          [1n, "ETIME"],
          [2n, 0],
        ]),
      );
    });

    test("at a time of a clock", () => {
      const at = memory.timespec(Date.now() + 5);
      const abs = IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME;
      expect(fail(ring, (sqe) => sqe.prepTimeout(at.address, 0, abs))).toBe("ETIME");
      expect(Date.now()).toBeGreaterThanOrEqual(Math.floor(at.readU64(0) * 1000 + at.readU64(8) / 1e6));
      const long = memory.timespec(1);
      expect(fail(ring, (sqe) => sqe.prepTimeout(long.address, 0, IORING_TIMEOUT_BOOTTIME))).toBe("ETIME");
      const both = IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME;
      expect(fail(ring, (sqe) => sqe.prepTimeout(long.address, 0, both))).toBe("EINVAL");
    });

    test("again and again, as often as is asked for", () => {
      const { address } = memory.timespec(1);
      const ms = elapsedMs(() => {
        nextSqe(ring).prepTimeoutMultishot(address, 3).setData(1);
        ring.submit();
        const seen = nextCompletions(ring, 3).map(({ res, flags: cqe }) => [errnoName(-res), cqe & IORING_CQE_F_MORE]);
        expect(seen).toEqual([
          ["ETIME", IORING_CQE_F_MORE],
          ["ETIME", IORING_CQE_F_MORE],
          ["ETIME", 0],
        ]);
      });
      expect(ms).toBeGreaterThanOrEqual(3);
    });

    test("updated, removed, and not there", () => {
      const [long, short] = [memory.timespec(60_000), memory.timespec(1)];
      nextSqe(ring).prepTimeout(long.address).setUserData(1, 2);
      nextSqe(ring).prepTimeoutUpdate(short.address, 1, 2).setData(3);
      ring.submit();
      expect(results(nextCompletions(ring, 2))).toEqual(
        new Map<bigint, number | string>([
          [3n, 0],
          [(2n << 32n) | 1n, "ETIME"],
        ]),
      );
      nextSqe(ring).prepTimeout(long.address).setData(1);
      nextSqe(ring).prepTimeoutRemove(1, 0).setData(2);
      ring.submit();
      expect(results(nextCompletions(ring, 2))).toEqual(
        new Map<bigint, number | string>([
          [1n, "ECANCELED"],
          [2n, 0],
        ]),
      );
      expect(fail(ring, (sqe) => sqe.prepTimeoutRemove(1, 0))).toBe("ENOENT");
    });

    test("a link timeout ends the operation before it, and can be updated", () => {
      using pair = new SocketPair();
      const [long, short] = [memory.timespec(60_000), memory.timespec(1)];
      nextSqe(ring).prepRecv(pair.near, memory.allocate(1).address, 1).link().setData(1);
      nextSqe(ring).prepLinkTimeout(long.address).setData(2);
      ring.submit();
      nextSqe(ring).prepTimeoutUpdate(short.address, 2, 0, IORING_LINK_TIMEOUT_UPDATE).setData(3);
      ring.submit();
      expect(results(nextCompletions(ring, 3))).toEqual(
        new Map<bigint, number | string>([
          [3n, 0],
          [1n, "ECANCELED"],
          [2n, "ETIME"],
        ]),
      );
    });
  });

  describe("cancellation", () => {
    test("by 64 bits of user data", () => {
      using pair = new SocketPair();
      const data = 0xfedc_ba98_7654_3210n;
      nextSqe(ring).prepPollAdd(pair.near, POLLIN).setData64(data);
      nextSqe(ring).prepCancel64(data).setData(1);
      ring.submit();
      expect(results(nextCompletions(ring, 2))).toEqual(
        new Map<bigint, number | string>([
          [data, "ECANCELED"],
          [1n, 0],
        ]),
      );
      expect(fail(ring, (sqe) => sqe.prepCancel64(data))).toBe("ENOENT");
    });

    test("of everything in flight", () => {
      using pair = new SocketPair();
      for (let i = 1; i <= 3; i++) nextSqe(ring).prepPollAdd(pair.near, POLLIN).setData(i);
      ring.submit();
      nextSqe(ring).prepCancelAny().setData(4);
      ring.submit();
      expect(results(nextCompletions(ring, 4))).toEqual(
        new Map<bigint, number | string>([
          [1n, "ECANCELED"],
          [2n, "ECANCELED"],
          [3n, "ECANCELED"],
          [4n, 3],
        ]),
      );
    });
  });

  describe("epoll", () => {
    test("a descriptor is added and removed", () => {
      using pair = new SocketPair();
      const event = memory.epollEvent(EPOLLIN, 12, 34);
      expect(succeed(ring, (sqe) => sqe.prepEpollCtl(epoll.fd, pair.near, EPOLL_CTL_ADD, event.address))).toBe(0);
      expect(fail(ring, (sqe) => sqe.prepEpollCtl(epoll.fd, pair.near, EPOLL_CTL_ADD, event.address))).toBe("EEXIST");
      expect(epoll.watched()).toContain(pair.near);
      expect(succeed(ring, (sqe) => sqe.prepEpollCtl(epoll.fd, pair.near, EPOLL_CTL_DEL))).toBe(0);
      expect(epoll.watched()).not.toContain(pair.near);
    });

    testWith(IORING_OP_EPOLL_WAIT)("its events are waited for", () => {
      using pair = new SocketPair();
      const event = memory.epollEvent(EPOLLIN, 12, 34);
      succeed(ring, (sqe) => sqe.prepEpollCtl(epoll.fd, pair.near, EPOLL_CTL_ADD, event.address));
      const events = memory.epollEvents(4);
      nextSqe(ring).prepEpollWait(epoll.fd, events.address, 4);
      ring.submit();
      expect(ring.waitCqe(1000)).toBeNull();
      writeSync(pair.far, "x");
      expect(nextCompletion(ring).res).toBe(1);
      expect([events.events(0), events.low(0), events.high(0)]).toEqual([EPOLLIN, 12, 34]);
      expect(() => events.low(4)).toThrow(RangeError);
    });
  });

  describe("other rings", () => {
    let target: Ring;

    beforeEach(() => {
      target = openRing(4, flags);
    });

    afterEach(() => target.close());

    test("msgRing makes a completion there", () => {
      const probed = complete(ring, (sqe) => sqe.prepMsgRing(target.fd, 42, 7, 0xfedcba98));
      expect(probed.res).toBe(0);
      expect(nextCompletion(target)).toEqual({ data: 0xfedc_ba98_0000_0007n, res: 42, flags: 0 });
      expect(ring.getProbe().opcodeSupported(IORING_OP_MSG_RING)).toBe(true);
      expect(fail(ring, (sqe) => sqe.prepMsgRing(0, 1, 1, 0))).toBe("EBADFD");
    });

    test("msgRingCqeFlags gives it flags", () => {
      expect(succeed(ring, (sqe) => sqe.prepMsgRingCqeFlags(target.fd, 1, 2, 0, 0, 0x10000))).toBe(0);
      expect(nextCompletion(target)).toEqual({ data: 2n, res: 1, flags: 0x10000 });
    });

    test("msgRingFd gives it a registered file", () => {
      const fd = openSync("/dev/zero", "r");
      ring.registerFiles([fd]);
      closeSync(fd);
      target.registerFilesSparse(3);
      expect(succeed(ring, (sqe) => sqe.prepMsgRingFd(target.fd, 0, 2, 5, 0))).toBe(0);
      expect(nextCompletion(target)).toMatchObject({ data: 5n });
      expect(succeed(ring, (sqe) => sqe.prepMsgRingFdAlloc(target.fd, 0, 6, 0))).toBe(0);
      expect(nextCompletion(target)).toMatchObject({ data: 6n, res: 0 });
      expect(succeed(ring, (sqe) => sqe.prepMsgRingFd(target.fd, 0, 1, 7, 0, IORING_MSG_RING_CQE_SKIP))).toBe(0);
      const byte = memory.copy("x");
      for (let slot = 0; slot < 3; slot++)
        expect(succeed(target, (sqe) => sqe.prepRead(slot, byte.address, 1, 0).fixedFile())).toBe(1);
      expect(byte.buffer[0]).toBe(0);
    });
  });

  describe("futexes", () => {
    testWith(IORING_OP_FUTEX_WAIT)("a wake ends a wait, and says how many it woke", () => {
      const futex = memory.int32(7);
      nextSqe(ring).prepFutexWait(futex.address, 7, ANY, FUTEX_FLAGS).setData(1);
      ring.submit();
      expect(ring.waitCqe(1000)).toBeNull();
      nextSqe(ring).prepFutexWake(futex.address, 5, ANY, FUTEX_FLAGS).setData(2);
      ring.submit();
      expect(results(nextCompletions(ring, 2))).toEqual(
        new Map([
          [1n, 0],
          [2n, 1],
        ]),
      );
      futex.words[0] = 8;
      expect(fail(ring, (sqe) => sqe.prepFutexWait(futex.address, 7, ANY, FUTEX_FLAGS))).toBe("EAGAIN");
      expect(succeed(ring, (sqe) => sqe.prepFutexWake(futex.address, 1, ANY, FUTEX_FLAGS))).toBe(0);
    });

    testWith(IORING_OP_FUTEX_WAITV)("one of several ends a wait, and is named", () => {
      const futexes = memory.int32(1, 2);
      const waiters = memory.futexWaitv([
        { address: futexes.address, value: 1, flags: FUTEX_FLAGS },
        { address: futexes.address + 4, value: 2, flags: FUTEX_FLAGS },
      ]);
      nextSqe(ring).prepFutexWaitv(waiters.address, 2).setData(1);
      ring.submit();
      nextSqe(ring)
        .prepFutexWake(futexes.address + 4, 1, ANY, FUTEX_FLAGS)
        .setData(2);
      ring.submit();
      expect(results(nextCompletions(ring, 2))).toEqual(
        new Map([
          [1n, 1],
          [2n, 1],
        ]),
      );
    });
  });

  describe("child processes", () => {
    // With WNOWAIT the children remain for Bun, which waits for them as well.
    testWith(IORING_OP_WAITID)("waitid tells how a child ended", async () => {
      const ends = [
        { command: "read x; exit 7", code: CLD_EXITED, status: 7 },
        { command: "read x; kill -9 $$", code: CLD_KILLED, status: 9 },
      ];
      for (const { command, code, status } of ends) {
        const child = Bun.spawn(["sh", "-c", command], { stdin: "pipe" });
        const info = memory.siginfo();
        nextSqe(ring).prepWaitid(P_PID, child.pid, info.address, WEXITED | WNOWAIT);
        ring.submit();
        expect(ring.waitCqe(1000)).toBeNull();
        child.stdin.write("\n");
        child.stdin.end();
        expect(nextCompletion(ring).res).toBe(0);
        expect(info).toMatchObject({ pid: child.pid, code, status });
        await child.exited;
      }
      expect(fail(ring, (sqe) => sqe.prepWaitid(P_PID, process.pid, 0, WEXITED))).toBe("ECHILD");
    });
  });

  describe("descriptors", () => {
    testWith(IORING_OP_PIPE)("pipe makes two descriptors, close-on-exec when told to", () => {
      const fds = memory.int32(-1, -1);
      expect(succeed(ring, (sqe) => sqe.prepPipe(fds.address, SOCK_CLOEXEC))).toBe(0);
      const [readEnd, writeEnd] = fds.words;
      writeSync(writeEnd!, "piped");
      const bytes = Buffer.alloc(10);
      expect(bytes.toString("latin1", 0, readSync(readEnd!, bytes))).toBe("piped");
      for (const fd of fds.words) closeSync(fd);
    });

    testWith(IORING_OP_PIPE)("pipeDirect makes two registered files", () => {
      const fds = memory.int32(-1, -1);
      ring.registerFilesSparse(4);
      expect(succeed(ring, (sqe) => sqe.prepPipeDirect(fds.address, 0, 2))).toBe(0);
      expect(succeed(ring, (sqe) => sqe.prepPipeDirect(fds.address, 0, IORING_FILE_INDEX_ALLOC))).toBe(0);
      expect([...fds.words].toSorted()).toEqual([0, 1]);
      const text = memory.copy("direct");
      for (const [readEnd, writeEnd] of [[2, 3], [...fds.words]]) {
        expect(succeed(ring, (sqe) => sqe.prepWrite(writeEnd!, text.address, 6).fixedFile())).toBe(6);
        expect(succeed(ring, (sqe) => sqe.prepRead(readEnd!, text.address, 6).fixedFile())).toBe(6);
      }
    });

    test("filesUpdate puts descriptors into the registered files", () => {
      using pipe = new Pipe();
      ring.registerFilesSparse(4);
      const fds = memory.int32(pipe.readEnd, pipe.writeEnd);
      expect(succeed(ring, (sqe) => sqe.prepFilesUpdate(fds.address, 2, 1))).toBe(2);
      const text = memory.copy("by index");
      expect(succeed(ring, (sqe) => sqe.prepWrite(2, text.address, 8).fixedFile())).toBe(8);
      expect(succeed(ring, (sqe) => sqe.prepRead(1, text.address, 8).fixedFile())).toBe(8);
      expect(fstatSync(pipe.readEnd).isFIFO()).toBe(true);
    });

    test("buffers are provided, used and removed the old way", () => {
      using pipe = new Pipe();
      const pool = memory.allocate(3 * 16);
      expect(succeed(ring, (sqe) => sqe.prepProvideBuffers(pool.address, 16, 3, 9, 4))).toBeGreaterThanOrEqual(0);
      writeSync(pipe.writeEnd, "provided");
      const { res, flags: cqe } = complete(ring, (sqe) => sqe.prepRead(pipe.readEnd, 0, 16).setBufferGroup(9));
      expect(res).toBe(8);
      const bid = cqe >>> 16;
      expect([4, 5, 6]).toContain(bid);
      expect(pool.buffer.toString("latin1", (bid - 4) * 16, (bid - 4) * 16 + 8)).toBe("provided");
      expect(succeed(ring, (sqe) => sqe.prepRemoveBuffers(10, 9))).toBe(2);
      expect(fail(ring, (sqe) => sqe.prepRead(pipe.readEnd, 0, 16).setBufferGroup(9))).toBe("ENOBUFS");
      expect(fail(ring, (sqe) => sqe.prepRemoveBuffers(1, 77))).toBe("ENOENT");
    });
  });
});
