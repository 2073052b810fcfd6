/**
 * Arguments of wrong kinds, given to every function and method of `ringloop/ring`: the error is one
 * of the argument or of the kernel, with a `code`, and never one of JavaScript itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import * as api from "../../src/ring/index.ts";
import { strayError, withWrongKinds } from "./wrong-kinds.ts";

const { Ring, RingMemory, Sqe, Mapping } = api;
const exported: Record<string, unknown> = { ...api };
type Call = (...args: any[]) => unknown;

let fd = -1;
let memory: api.RingMemory;
beforeAll(() => {
  fd = openSync("/dev/null", "r+");
  memory = new RingMemory(1 << 20);
});
afterAll(() => {
  closeSync(fd);
  memory.release();
});

/** Expects no stray error from `call` with each argument replaced by each wrong value. */
function drive(name: string, args: readonly unknown[], call: Call): void {
  for (const [at, value, given] of withWrongKinds(args)) {
    memory.reset();
    try {
      const result = call(...given);
      if (result instanceof Ring) result.close();
      if (typeof result === "number" && result > fd && /fd|Create|Init|Open/.test(name)) closeSync(result);
    } catch (error) {
      expect([name, at, Bun.inspect(value), strayError(error)]).toEqual([name, at, Bun.inspect(value), undefined]);
    }
  }
}

/** The same for the properties of an object. */
function driveObject(name: string, object: Record<string, unknown>, call: Call): void {
  const names = Object.keys(object);
  drive(name, Object.values(object), (...values) => call(Object.fromEntries(names.map((key, i) => [key, values[i]]))));
}

const nothing = new Uint8Array(0);
const functions: Partial<Record<keyof typeof api, unknown[]>> = {
  controlSpace: [4],
  credentialsOf: [[]],
  decodeControl: [nothing],
  encodeControl: [[]],
  errnoName: [5],
  eventfd: [0, 0],
  featureNames: [{}],
  groBytesOf: [[]],
  hardwareTimestampOf: [[]],
  inotifyAddWatch: [0x7fffffff, "/", 1],
  inotifyEvents: [nothing],
  inotifyInit: [0],
  memfdCreate: ["x", 0],
  pidfdOpen: [0x7fffffff, 0],
  pipe2: [2 ** 31],
  registerSyncMsg: [(sqe: api.Sqe) => sqe.prepNop()],
  rightsOf: [[]],
  scmCredentials: [{ pid: 1, uid: 1, gid: 1 }],
  scmRights: [[1]],
  socketpair: [99, 1, 0],
  timerfdCreate: [1, 0],
  timerfdGettime: [0x7fffffff],
  timerfdSettime: [0x7fffffff, { valueMs: 1 }, 0],
  timestampOf: [[]],
  udpSegment: [5],
};

test.each(Object.keys(functions))("%s", (name) => {
  drive(name, functions[name as keyof typeof api]!, exported[name] as Call);
});

test("every function with arguments is driven", () => {
  const isFunction = (value: unknown): boolean => typeof value === "function" && !String(value).startsWith("class");
  const withoutArguments = ["epollCreate", "getProbe", "probeFeatures", "queryOpcodes", "queryScq", "queryZcrx"];
  const names = Object.entries(exported).flatMap(([name, value]) => (isFunction(value) ? [name] : []));
  expect(names.filter((name) => !withoutArguments.includes(name)).toSorted()).toEqual(
    Object.keys(functions).toSorted(),
  );
});

const piece = { address: 0, bytes: 1 };
const message = { level: 1, type: 1, data: new Uint8Array(16) };
const objects: Record<string, [object: Record<string, unknown>, call: (given: any) => unknown]> = {
  iovec: [piece, (given) => memory.iovec([given])],
  openHow: [{ flags: 0, mode: 0, resolve: 0 }, (given) => memory.openHow(given)],
  msghdr: [{ name: undefined, iovec: {}, control: undefined }, (given) => memory.msghdr(given)],
  control: [message, (given) => memory.control([given])],
  futexWaitv: [{ address: 1, value: 1, flags: 2 }, (given) => memory.futexWaitv([given])],
  sockaddr: [{ hostname: "::1", port: 1 }, (given) => memory.sockaddr(given)],
  "sockaddr of a path": [{ unix: "x" }, (given) => memory.sockaddr(given)],
  timerfdSettime: [{ valueMs: 1, intervalMs: 1 }, (given) => api.timerfdSettime(0x7fffffff, given)],
  rightsOf: [{ ...message, type: api.SCM_RIGHTS }, (given) => api.rightsOf([given])],
  credentialsOf: [{ ...message, type: api.SCM_CREDENTIALS }, (given) => api.credentialsOf([given])],
  scmCredentials: [{ pid: 1, uid: 1, gid: 1 }, (given) => api.scmCredentials(given)],
  "WaitArguments.set": [{ timeoutMs: 1, minWaitUs: 1 }, (given) => memory.waitArguments(1).set(0, given)],
};

test.each(Object.keys(objects))("the properties of an object: %s", (name) => {
  const [object, call] = objects[name]!;
  driveObject(name, object, call);
});

test("RingMemory, and what it makes", () => {
  const methods: Record<string, unknown[]> = {
    ...{ allocate: [8, 16], copy: ["x"], cString: ["x"], iovec: [[]], timespec: [1], waitArguments: [1] },
    ...{ openHow: [{}], msghdr: [{}], control: [[]], sockaddr: [{ unix: "x" }], epollEvent: [1, 0, 0] },
    ...{ epollEvents: [1], int32: [1], futexWaitv: [[]] },
  };
  for (const [name, args] of Object.entries(methods))
    drive(name, args, (...given) => (memory as any)[name](...given) as unknown);
  drive("Timespec.set", [1], (ms) => memory.timespec(1).set(ms));
  drive("Region.writeU64", [0, 1], (_, value) => memory.allocate(8).writeU64(0, value));
  drive("WaitArguments.set", [0, {}], (at, times) => memory.waitArguments(1).set(at, times));
  drive("EpollEvents.set", [0, 1, 1, 1], (...given: [any, any, any, any]) => memory.epollEvents(2).set(...given));
  for (const name of ["events", "low", "high"] as const) drive(name, [0], (at) => memory.epollEvents(2)[name](at));
  drive("sockaddr", [2], (bytes) => memory.roomForSockaddr().sockaddr(bytes));
  for (const name of ["nameBytes", "controlBytes"] as const)
    drive(name, [1], (bytes) => {
      memory.msghdr({ iovec: memory.iovec([]) })[name] = bytes;
    });
  drive("new Mapping", [1, 1], (bytes, viewed) => new Mapping(bytes, viewed).release());
  drive("new RingMemory", [1], (bytes) => new RingMemory(bytes).release());
});

describe("a ring", () => {
  const ringMethods: Record<string, unknown[]> = {
    ...{ peekBatchCqe: [0], forEachCqe: [() => {}], cqAdvance: [0], reap: [new Int32Array(4)], enter: [0, 0, 0, -1] },
    ...{ submitAndWait: [0], submitAndWaitTimeout: [0, 0], submitAndWaitMinTimeout: [0, 0, 0], waitCqe: [0] },
    ...{ waitCqesMinTimeout: [0, 0, 0], submitAndWaitReg: [0, 0], waitCqeTimeout: [0], waitCqes: [0, 0] },
    ...{ resizeRings: [4, 8], register: [99_999, null, 0], setupBufRing: [2, 1, 0], registerBuffers: [[]] },
    ...{ registerBuffersTags: [[], []], registerBuffersSparse: [1], registerBuffersUpdateTag: [0, [], []] },
    ...{ cloneBuffers: [{}], cloneBuffersOffset: [{}, 0, 0, 0, 0], registerFiles: [[]], registerFilesTags: [[], []] },
    ...{ registerFilesSparse: [1], registerFilesUpdate: [0, []], registerFilesUpdateTag: [0, [], []] },
    ...{ registerFileAllocRange: [0, 0], registerEventfd: [-1], registerEventfdAsync: [-1], bufRingHead: [1] },
    ...{
      unregisterPersonality: [1],
      registerRestrictions: [[]],
      registerIowqAff: [[]],
      registerIowqMaxWorkers: [0, 0],
    },
    ...{ registerBufRing: [{}], unregisterBufRing: [1], registerSyncCancel: [{ low: 1 }], registerClock: [1] },
    ...{ registerNapi: [{}], registerRegion: [piece, 0] },
  };

  test.each(Object.keys(ringMethods))("%s", (name) => {
    const flags = api.IORING_SETUP_NO_SQARRAY | api.IORING_SETUP_DEFER_TASKRUN | api.IORING_SETUP_SINGLE_ISSUER;
    using ring = Ring.queueInit(4, flags);
    drive(name, ringMethods[name]!, (...given) => (ring as any)[name](...given) as unknown);
  });

  test("its parameters, and those of what it registers", () => {
    using ring = Ring.queueInit(2);
    drive("queueInit", [4, 0], Ring.queueInit);
    const params = { flags: 0, cqEntries: 8, sqThreadIdleMs: 1, sqThreadCpu: 0, attachFd: 0 };
    driveObject("queueInit", params, (given) => Ring.queueInit(2, given));
    driveObject("registerBufRing", { address: 1, entries: 2, bgid: 1, flags: 0 }, (given) =>
      ring.registerBufRing(given),
    );
    const cancel = { low: 0, high: 0, fd: 1, opcode: 1, flags: 0, timeoutMs: 1 };
    driveObject("registerSyncCancel", cancel, (given) => ring.registerSyncCancel(given));
    driveObject("registerNapi", { busyPollUs: 0, preferBusyPoll: false }, (given) => ring.registerNapi(given));
    driveObject("registerRegion", piece, (given) => ring.registerRegion(given));
    driveObject("registerRestrictions", { type: 1, value: 1 }, (given) => ring.registerRestrictions([given]));
    driveObject("registerBuffers", piece, (given) => ring.registerBuffers([given]));
    drive("new BufferRing", [{}], (options) => new api.BufferRing(ring, options));
  });

  test("what it cannot do has a code, too", () => {
    using ring = Ring.queueInit(2);
    const thrown = (run: () => unknown): unknown => {
      try {
        return run();
      } catch (error) {
        return error;
      }
    };
    expect(thrown(() => ring.resizeRings(4))).toMatchObject({ name: "TypeError", code: "ERR_INVALID_STATE" });
    expect(thrown(() => Ring.queueInit(2, api.IORING_SETUP_CQE_MIXED))).toMatchObject({
      name: "TypeError",
      code: "ERR_INVALID_ARG_VALUE",
    });
    ring.getSqe()!.prepNop();
    ring.submitAndWait(1);
    expect(thrown(() => ring.peekCqe()!.bigCqe)).toMatchObject({ name: "TypeError", code: "ERR_INVALID_STATE" });
  });
});

test("an entry", () => {
  const sqe = new Sqe(new Uint32Array(16), 0) as any;
  let driven = 0;
  for (let owner: object = Sqe.prototype; owner !== Object.prototype; owner = Object.getPrototypeOf(owner))
    for (const [name, { value, set }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (set !== undefined) drive(name, [1], (given) => void (sqe[name] = given));
      // `setHalves` is private.
      if (typeof value !== "function" || !/^(prep|set(?!Halves))/.test(name)) continue;
      drive(name, Array(value.length + 1).fill(1), (...given) => sqe[name](...given) as unknown);
      driven++;
    }
  expect(driven).toBeGreaterThan(100);
});
