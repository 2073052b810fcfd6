import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  getProbe,
  IORING_ASYNC_CANCEL_ALL,
  IORING_MEM_REGION_TYPE_USER,
  IORING_OP_EPOLL_WAIT,
  IORING_OP_NOP,
  IORING_OP_PIPE,
  IORING_OP_POLL_ADD,
  IORING_OP_READ,
  IORING_OP_RECV,
  IORING_OP_RECV_ZC,
  IORING_RECV_MULTISHOT,
  IORING_REGISTER_DST_REPLACE,
  IORING_REGISTER_FILES_SKIP,
  IORING_REGISTER_IOWQ_MAX_WORKERS,
  IORING_REGISTER_ZCRX_IFQ,
  IORING_RESTRICTION_REGISTER_OP,
  IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
  IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
  IORING_RESTRICTION_SQE_OP,
  IORING_SETUP_CQE32,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_R_DISABLED,
  IORING_SETUP_SINGLE_ISSUER,
  IOSQE_ASYNC,
  IOSQE_IO_LINK,
  POLLIN,
  Ring,
  RingMemory,
} from "../../src/ring/index.ts";
import { native } from "../../src/sys/library.ts";
import {
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

/** Returns the code of the SystemError that a registration throws. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  throw new Error("nothing was thrown");
}

describe.each(ringKinds)("with a %s ring", (_, flags) => {
  let ring: Ring;
  let memory: RingMemory;
  let directory: string;
  let fds: number[];

  beforeEach(() => {
    ring = openRing(8, flags);
    memory = new RingMemory();
    directory = mkdtempSync(join(tmpdir(), "ringloop-registration-"));
    for (const name of ["a", "b", "c"]) writeFileSync(join(directory, name), name);
    fds = ["a", "b", "c"].map((name) => openSync(join(directory, name), "r"));
  });

  afterEach(() => {
    ring.close();
    memory.release();
    for (const fd of fds) closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  /** Reads from a slot of the registered files. Returns a letter, or the code of the error. */
  function slot(index: number): string {
    const byte = memory.allocate(1);
    const { res } = complete(ring, (sqe) => sqe.prepRead(index, byte.address, 1, 0).fixedFile());
    return res === 1 ? byte.buffer.toString() : "empty";
  }

  describe("files", () => {
    test("are read by index, replaced, skipped, emptied, and unregistered", () => {
      ring.registerFiles([fds[0]!, -1, fds[1]!]);
      expect([slot(0), slot(1), slot(2)]).toEqual(["a", "empty", "b"]);
      expect(ring.registerFilesUpdate(0, [fds[2]!, fds[0]!])).toBe(2);
      expect([slot(0), slot(1), slot(2)]).toEqual(["c", "a", "b"]);
      expect(ring.registerFilesUpdate(1, [IORING_REGISTER_FILES_SKIP, -1])).toBe(2);
      expect([slot(0), slot(1), slot(2)]).toEqual(["c", "a", "empty"]);
      expect(refusal(() => ring.registerFiles(fds))).toBe("EBUSY");
      ring.unregisterFiles();
      expect(slot(0)).toBe("empty");
      expect(refusal(() => ring.unregisterFiles())).toBe("ENXIO");
    });

    test("have tags that come back when a file is no longer in use", () => {
      ring.registerFilesTags([fds[0]!, fds[1]!], [0n, 0xfedc_ba98_7654_3210n]);
      expect(slot(1)).toBe("b");
      expect(ring.registerFilesUpdateTag(1, [fds[2]!], [77n])).toBe(1);
      expect(nextCompletion(ring).data).toBe(0xfedc_ba98_7654_3210n);
      expect(slot(1)).toBe("c");
      ring.unregisterFiles();
      expect(nextCompletion(ring).data).toBe(77n);
    });

    test("start as empty slots, of which a range is for the kernel to pick from", () => {
      ring.registerFilesSparse(4);
      expect(slot(3)).toBe("empty");
      ring.registerFilesUpdate(3, [fds[0]!]);
      expect(slot(3)).toBe("a");
      ring.registerFileAllocRange(1, 2);
      expect(refusal(() => ring.registerFileAllocRange(3, 2))).toBe("EINVAL");
    });
  });

  describe("buffers", () => {
    test("are used by index, and unregistered", () => {
      const buffer = memory.allocate(64);
      ring.registerBuffers([buffer]);
      expect(succeed(ring, (sqe) => sqe.prepReadFixed(fds[0]!, buffer.address, 64, 0, 0))).toBe(1);
      expect(fail(ring, (sqe) => sqe.prepReadFixed(fds[0]!, buffer.address, 64, 0, 1))).toBe("EFAULT");
      ring.unregisterBuffers();
      expect(fail(ring, (sqe) => sqe.prepReadFixed(fds[0]!, buffer.address, 64, 0, 0))).toBe("EFAULT");
      expect(refusal(() => ring.unregisterBuffers())).toBe("ENXIO");
    });

    test("have tags, and start as empty slots", () => {
      const [one, two] = [memory.allocate(64), memory.allocate(64)];
      ring.registerBuffersSparse(2);
      expect(fail(ring, (sqe) => sqe.prepReadFixed(fds[0]!, one.address, 1, 0, 1))).toBe("EFAULT");
      expect(ring.registerBuffersUpdateTag(1, [one], [5n])).toBe(1);
      expect(succeed(ring, (sqe) => sqe.prepReadFixed(fds[0]!, one.address, 1, 0, 1))).toBe(1);
      expect(ring.registerBuffersUpdateTag(1, [two], [6n])).toBe(1);
      expect(nextCompletion(ring).data).toBe(5n);
      ring.unregisterBuffers();
      expect(nextCompletion(ring).data).toBe(6n);
      ring.registerBuffersTags([one, two], [7n, 0n]);
      expect(succeed(ring, (sqe) => sqe.prepReadFixed(fds[1]!, two.address, 1, 0, 1))).toBe(1);
      expect(two.buffer[0]).toBe("b".charCodeAt(0));
      ring.unregisterBuffers();
      expect(nextCompletion(ring).data).toBe(7n);
    });
  });

  test("an eventfd for completions of worker threads alone, until it is unregistered", () => {
    const eventfd = native().rl_eventfd();
    const signals = (): number => {
      const counter = new BigUint64Array(1);
      try {
        readSync(eventfd, counter);
      } catch {
        return 0; // EAGAIN
      }
      return Number(counter[0]);
    };
    ring.registerEventfdAsync(eventfd);
    expect(ring.cqEventfdEnabled).toBe(true);
    ring.cqEventfdToggle(false);
    expect(ring.cqEventfdEnabled).toBe(false);
    ring.cqEventfdToggle(true);
    if (!ring.sqpoll) {
      succeed(ring, (sqe) => sqe.prepNop());
      expect(signals()).toBe(0);
    }
    succeed(ring, (sqe) => sqe.prepNop().setFlags(IOSQE_ASYNC));
    using other = Ring.queueInit(2);
    // The notification may come after the completion.
    expect(succeed(other, (sqe) => sqe.prepPollAdd(eventfd, POLLIN))).toBe(POLLIN);
    expect(signals()).toBe(1);
    ring.unregisterEventfd();
    succeed(ring, (sqe) => sqe.prepNop().setFlags(IOSQE_ASYNC));
    expect(signals()).toBe(0);
    expect(refusal(() => ring.unregisterEventfd())).toBe("ENXIO");
    closeSync(eventfd);
  });

  test("a personality is used by its id until it is unregistered", () => {
    const id = ring.registerPersonality();
    expect(id).toBeGreaterThan(0);
    expect(succeed(ring, (sqe) => sqe.prepNop().setPersonality(id))).toBe(0);
    ring.unregisterPersonality(id);
    expect(fail(ring, (sqe) => sqe.prepNop().setPersonality(id))).toBe("EINVAL");
    expect(refusal(() => ring.unregisterPersonality(id))).toBe("EINVAL");
  });

  test("the probe knows what there is", () => {
    const probe = ring.getProbe();
    expect([IORING_OP_NOP, IORING_OP_READ].every((opcode) => probe.opcodeSupported(opcode))).toBe(true);
    expect(probe.lastOp).toBeGreaterThanOrEqual(IORING_OP_READ);
    expect(probe.opcodeSupported(255)).toBe(false);
    expect(getProbe().lastOp).toBe(probe.lastOp);
    expect(() => probe.opcodeSupported(256)).toThrow(RangeError);
  });

  test("the ring's own descriptor, and back", () => {
    expect(ring.registerRingFd()).toBe(true);
    expect(succeed(ring, (sqe) => sqe.prepNop())).toBe(0);
    ring.unregisterRingFd();
    expect(succeed(ring, (sqe) => sqe.prepNop())).toBe(0);
    expect(refusal(() => ring.unregisterRingFd())).toBe("EINVAL");
  });

  // The last of these features came with Linux 6.13, EPOLL_WAIT came with 6.15.
  testWith(IORING_OP_EPOLL_WAIT)("buffers of another ring, all or some of them", () => {
    const [first, second] = [memory.copy("first"), memory.copy("second")];
    ring.registerBuffers([first, second]);
    using other = openRing(4, flags);
    other.cloneBuffers(ring);
    expect(succeed(other, (sqe) => sqe.prepReadFixed(fds[0]!, second.address, 1, 0, 1))).toBe(1);
    expect(second.buffer.toString()).toBe("aecond");
    expect(refusal(() => other.cloneBuffers(ring))).toBe("EBUSY");
    using third = openRing(4, flags);
    third.cloneBuffersOffset(ring, 0, 1, 1);
    expect(succeed(third, (sqe) => sqe.prepReadFixed(fds[1]!, second.address, 1, 0, 0))).toBe(1);
    expect(fail(third, (sqe) => sqe.prepReadFixed(fds[1]!, first.address, 1, 0, 1))).toBe("EFAULT");
    third.cloneBuffersOffset(ring, 0, 0, 1, IORING_REGISTER_DST_REPLACE);
    expect(succeed(third, (sqe) => sqe.prepReadFixed(fds[1]!, first.address, 1, 0, 0))).toBe(1);
    expect(() => third.cloneBuffers({} as never)).toThrow(TypeError);
  });

  testWith(IORING_OP_EPOLL_WAIT)("busy polling is set, and says what was set before", () => {
    expect(ring.registerNapi({ busyPollUs: 50, preferBusyPoll: true })).toEqual({
      busyPollUs: 0,
      preferBusyPoll: false,
    });
    expect(ring.registerNapi({ busyPollUs: 70 })).toEqual({ busyPollUs: 50, preferBusyPoll: true });
    expect(ring.unregisterNapi()).toEqual({ busyPollUs: 70, preferBusyPoll: false });
  });

  testWith(IORING_OP_EPOLL_WAIT)("the waits' clock is one that counts up", () => {
    for (const clock of [CLOCK_BOOTTIME, CLOCK_MONOTONIC]) ring.registerClock(clock);
    expect(refusal(() => ring.registerClock(CLOCK_REALTIME))).toBe("EINVAL");
  });

  testWith(IORING_OP_EPOLL_WAIT)("a network device without queues for it gives no zero-copy receives", () => {
    using zc = openRing(4, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQE32);
    const area = [memory.allocate(4096, 4096), memory.allocate(64)] as const;
    area[1].writeU64(0, area[0].address);
    area[1].writeU64(8, 4096);
    const queue = [memory.allocate(8192, 4096), memory.allocate(64)] as const;
    queue[1].writeU64(0, queue[0].address);
    queue[1].writeU64(8, 8192);
    queue[1].writeU64(16, IORING_MEM_REGION_TYPE_USER);
    const argument = new BigUint64Array(12); // struct io_uring_zcrx_ifq_reg: the loopback device, 64 entries.
    argument.set([1n, 64n, BigInt(area[1].address), BigInt(queue[1].address)]);
    expect(refusal(() => zc.register(IORING_REGISTER_ZCRX_IFQ, argument, 1))).toMatch(/^(EOPNOTSUPP|EPERM|EINVAL)$/);
    expect(fail(zc, (sqe) => sqe.prep(IORING_OP_RECV_ZC, 0, 0, 0, 0, 0, IORING_RECV_MULTISHOT).setFileIndex(0))).toBe(
      "EINVAL",
    );
  });

  testWith(IORING_OP_EPOLL_WAIT)("a synchronous cancellation of one kind of operation", () => {
    using pair = new SocketPair();
    nextSqe(ring).prepPollAdd(pair.near, POLLIN).setData(1);
    nextSqe(ring).prepRecv(pair.far, memory.allocate(1).address, 1).setData(2);
    ring.submit();
    const flags = IORING_ASYNC_CANCEL_ALL;
    // The SQ thread may not have submitted the receive yet.
    while (ring.registerSyncCancel({ opcode: IORING_OP_RECV, flags }) === 0);
    expect(nextCompletion(ring).data).toBe(2n);
    expect(ring.registerSyncCancel({ fd: pair.near, opcode: IORING_OP_POLL_ADD, flags })).toBe(1);
  });

  test("limits of the worker threads, and the CPUs that they run on", () => {
    const [bounded, unbounded] = ring.registerIowqMaxWorkers(0, 0);
    expect(bounded).toBeGreaterThan(0);
    expect(ring.registerIowqMaxWorkers(3, 5)).toEqual([bounded, unbounded]);
    expect(ring.registerIowqMaxWorkers(0, 0)).toEqual([3, 5]);
    ring.registerIowqMaxWorkers(bounded, unbounded);
    ring.registerIowqAff([0]);
    expect(succeed(ring, (sqe) => sqe.prepNop().setFlags(IOSQE_ASYNC))).toBe(0);
    ring.unregisterIowqAff();
  });

  test("a synchronous cancellation by user data, by descriptor, and of nothing", () => {
    using pair = new SocketPair();
    nextSqe(ring).prepPollAdd(pair.near, POLLIN).setUserData(1, 2);
    nextSqe(ring).prepNop().setData(3);
    ring.submit();
    expect(nextCompletion(ring).data).toBe(3n); // After this, the poll is armed.
    expect(ring.registerSyncCancel({ low: 1, high: 2 })).toBe(0);
    expect(nextCompletion(ring)).toMatchObject({ data: (2n << 32n) | 1n, res: -125 });
    for (let i = 0; i < 2; i++) nextSqe(ring).prepPollAdd(pair.near, POLLIN).setData(5);
    nextSqe(ring).prepNop().setData(3);
    ring.submit();
    nextCompletion(ring);
    expect(ring.registerSyncCancel({ fd: pair.near, flags: IORING_ASYNC_CANCEL_ALL, timeoutMs: 1000 })).toBe(2);
    expect(nextCompletions(ring, 2).map(({ data }) => data)).toEqual([5n, 5n]);
    expect(refusal(() => ring.registerSyncCancel({ low: 1 }))).toBe("ENOENT");
  });

  test("a ring of provided buffers says how far it is used", () => {
    using pair = new SocketPair();
    using buffers = ring.setupBufRing(4, 3);
    const pool = memory.allocate(4 * 8);
    for (let bid = 0; bid < 3; bid++) buffers.add(pool.address + bid * 8, 8, bid, bid);
    buffers.advance(3);
    expect([buffers.mask, buffers.available, ring.bufRingHead(3)]).toEqual([3, 3, 0]);
    for (const [bid, text] of [...["one", "two"].entries()]) {
      nextSqe(ring).prepRecv(pair.near, 0, 8).setBufferGroup(3).setData(1);
      nextSqe(ring).prepSend(pair.far, memory.copy(text).address, 3).skipSuccess();
      ring.submit();
      expect(ring.waitCqe(5_000_000)!.bufferId).toBe(bid);
      // The buffer goes back to the group together with its completion.
      buffers.add(pool.address + bid * 8, 8, bid).cqAdvance(1);
      expect([buffers.available, ring.bufRingHead(3), ring.cqReady]).toEqual([3, bid + 1, 0]);
    }
    expect(refusal(() => ring.setupBufRing(4, 3))).toBe("EEXIST");
    expect(refusal(() => ring.setupBufRing(3, 4))).toBe("EINVAL");
    expect(refusal(() => ring.bufRingHead(99))).toBe("ENOENT");
  });

  describe("restrictions", () => {
    let restricted: Ring;

    beforeEach(() => {
      restricted = openRing(4, flags | IORING_SETUP_R_DISABLED);
    });

    afterEach(() => restricted.close());

    test("a disabled ring submits nothing until it is enabled", () => {
      nextSqe(restricted).prepNop().setData(1);
      if (!restricted.sqpoll) expect(refusal(() => restricted.submit())).toBe("EBADFD");
      restricted.enableRings();
      restricted.submit();
      expect(nextCompletion(restricted).data).toBe(1n);
      expect(refusal(() => restricted.enableRings())).toBe("EBADFD");
    });

    test("allow some operations, flags and registrations, and nothing else", () => {
      restricted.registerRestrictions([
        { type: IORING_RESTRICTION_SQE_OP, value: IORING_OP_NOP },
        { type: IORING_RESTRICTION_SQE_FLAGS_ALLOWED, value: IOSQE_ASYNC },
        { type: IORING_RESTRICTION_REGISTER_OP, value: IORING_REGISTER_IOWQ_MAX_WORKERS },
      ]);
      restricted.enableRings();
      expect(succeed(restricted, (sqe) => sqe.prepNop().setFlags(IOSQE_ASYNC))).toBe(0);
      expect(fail(restricted, (sqe) => sqe.prepRead(fds[0]!, 0, 1, 0))).toBe("EACCES");
      expect(fail(restricted, (sqe) => sqe.prepNop().setFlags(IOSQE_IO_LINK))).toBe("EACCES");
      expect(restricted.registerIowqMaxWorkers(0, 0)).toHaveLength(2);
      expect(refusal(() => restricted.registerFiles(fds))).toBe("EACCES");
    });

    test("require flags", () => {
      restricted.registerRestrictions([
        { type: IORING_RESTRICTION_SQE_OP, value: IORING_OP_NOP },
        { type: IORING_RESTRICTION_SQE_FLAGS_REQUIRED, value: IOSQE_ASYNC },
      ]);
      restricted.enableRings();
      expect(fail(restricted, (sqe) => sqe.prepNop())).toBe("EACCES");
      expect(succeed(restricted, (sqe) => sqe.prepNop().setFlags(IOSQE_ASYNC))).toBe(0);
    });

    test("are for a disabled ring", () => {
      expect(refusal(() => ring.registerRestrictions([{ type: IORING_RESTRICTION_SQE_OP, value: 0 }]))).toBe("EBADFD");
    });
  });
});

test.if(process.getuid?.() === 0)("an operation runs with its personality's rights, not with the thread's", () => {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-personality-"));
  const secret = join(directory, "secret");
  writeFileSync(secret, "", { mode: 0o600 });
  const program = `
    import { AT_FDCWD, Ring, RingMemory } from "./src/ring/index.ts";
    const ring = Ring.queueInit(2);
    const memory = new RingMemory();
    const path = memory.cString(${JSON.stringify(secret)}).address;
    const id = ring.registerPersonality();
    process.seteuid(65534);
    for (const personality of [0, id]) {
      ring.getSqe().prepOpenat(AT_FDCWD, path, 0, 0).setPersonality(personality);
      ring.submitAndWait(1);
      console.log(Math.sign(ring.peekCqe().res));
      ring.cqeSeen();
    }
  `;
  // Every user must be able to reach the file.
  Bun.spawnSync(["chmod", "755", directory]);
  const child = Bun.spawnSync([process.execPath, "-e", program], { cwd: join(import.meta.dir, "../..") });
  rmSync(directory, { recursive: true });
  expect(child.stdout.toString() + child.stderr.toString()).toBe("-1\n1\n");
});

describe("an argument that has no meaning is refused by name:", () => {
  let ring: Ring;

  beforeEach(() => {
    ring = Ring.queueInit(2);
  });

  afterEach(() => ring.close());

  test.each<[message: string, call: (ring: Ring) => unknown]>([
    ["fds[0] must be from -2 to 2147483647, not -3", (it) => it.registerFiles([-3])],
    ["count must be from 1 to 4294967295, not 0", (it) => it.registerFilesSparse(0)],
    ["offset must be from 0 to 4294967295, not -1", (it) => it.registerFilesUpdate(-1, [1])],
    ["tags must be 2, one for each, not 1", (it) => it.registerFilesTags([1, 2], [1n])],
    ["count must be from 0 to 4294967295, not 4294967296", (it) => it.registerFileAllocRange(0, 2 ** 32)],
    [
      "buffers[0].bytes must be from 0 to 9007199254740991, not -1",
      (it) => it.registerBuffers([{ address: 0, bytes: -1 }]),
    ],
    ["count must be from 1 to 16384, not 16385", (it) => it.registerBuffersSparse(16385)],
    ["id must be from 1 to 65535, not 0", (it) => it.unregisterPersonality(0)],
    [
      "restrictions[0].value must be from 0 to 255, not 256",
      (it) => it.registerRestrictions([{ type: 0, value: 256 }]),
    ],
    ["cpus must be from 0 to 8191, not -1", (it) => it.registerIowqAff([-1])],
    ["bounded must be from 0 to 4294967295, not -1", (it) => it.registerIowqMaxWorkers(-1, 0)],
    ["entries must be from 1 to 32768, not 0", (it) => it.setupBufRing(0, 0)],
    ["bgid must be from 0 to 65535, not 65536", (it) => it.setupBufRing(2, 65536)],
    ["ms must be from 0 to 9007199254740991, not -1", (it) => it.registerSyncCancel({ timeoutMs: -1 })],
  ])("%s", (message, call) => {
    expect(() => call(ring)).toThrow(new RangeError(message));
  });

  test("what is no integer, and no list at all", () => {
    expect(() => ring.registerBuffers([{ address: 0.5, bytes: 1 }])).toThrow(
      new TypeError("buffers[0].address must be an integer from 0 to 9007199254740991, not 0.5"),
    );
    expect(() => ring.registerIowqAff([])).toThrow(new TypeError("cpus must be a list of at least one CPU, not []"));
    expect(refusal(() => ring.registerFiles([]))).toBe("EINVAL");
    expect(refusal(() => ring.registerBuffers([]))).toBe("EINVAL");
  });

  test("a closed ring registers nothing", () => {
    ring.close();
    expect(refusal(() => ring.registerFiles([0]))).toBe("EBADF");
    expect(refusal(() => ring.unregisterRingFd())).toBe("EBADF");
    expect(refusal(() => ring.getProbe())).toBe("EBADF");
  });
});

test("registering and unregistering leaves no descriptor and no mapping behind", () => {
  const mappings = (): number => readFileSync("/proc/self/maps", "latin1").split("\n").length;
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const once = (): void => {
    using ring = Ring.queueInit(2);
    using memory = new RingMemory();
    ring.registerRingFd();
    ring.registerFilesSparse(2);
    ring.registerFilesUpdate(0, [1]);
    ring.registerBuffersTags([memory.allocate(16)], [1n]);
    ring.setupBufRing(2, 1).free();
  };
  once();
  const before = [mappings(), descriptors()];
  for (let i = 0; i < 200; i++) once();
  expect(descriptors()).toBeLessThanOrEqual(before[1]!);
  expect(Math.abs(mappings() - before[0]!)).toBeLessThan(20);
  expect(getProbe().opcodeSupported(IORING_OP_PIPE)).toBeBoolean();
});
