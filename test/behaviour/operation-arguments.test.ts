/**
 * Arguments of wrong kinds, given to every method of the reactor that runs an operation, and to
 * every one that describes it: the error is one of the argument or of the kernel, with a `code`.
 * It is never one of JavaScript itself, and nothing is left of the operation.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { EventOperations } from "../../src/operations/operation-events.ts";
import { pipe2, RingMemory, type Sqe } from "../../src/ring/index.ts";
import { strayError, withWrongKinds, wrongKinds } from "../unit/wrong-kinds.ts";
import { isBun, reactor, reactorStats, settled } from "./subject.ts";

const bytes = (): Uint8Array => Buffer.alloc(4);
const none = "/nonexistent/directory/name";
const cwd = -100;
const address = { hostname: "127.0.0.1", port: 0 };
/** A number that is no descriptor of this process. */
const CLOSED = 0x7ffffff0;

/** What does not fit has no effect: descriptors are closed, and paths lead nowhere. */
const methods: Record<string, unknown[]> = {
  ...{ read: [CLOSED, bytes(), 0], write: [CLOSED, bytes(), 0], readv: [CLOSED, [bytes()], 0] },
  ...{ writev: [CLOSED, [bytes()], 0], fsync: [CLOSED], fdatasync: [CLOSED], syncFileRange: [CLOSED, 0, 0, 0] },
  ...{ fallocate: [CLOSED, 0, 0, 1], ftruncate: [CLOSED, 8], fadvise: [CLOSED, 0, 0, 0], closeFd: [CLOSED] },
  ...{ splice: [CLOSED, -1, CLOSED, -1, 1, 0], tee: [CLOSED, CLOSED, 1, 0], openat: [cwd, none, 0, 0] },
  ...{ openat2: [cwd, none, {}], statx: [cwd, none, 0, 1], renameat: [cwd, none, cwd, none, 0] },
  ...{
    unlinkat: [cwd, none, 0],
    mkdirat: [cwd, none, 0],
    symlinkat: [none, cwd, none],
    linkat: [cwd, none, cwd, none, 0],
  },
  ...{
    getxattr: [CLOSED, "user.x"],
    setxattr: [CLOSED, "user.x", bytes(), 0],
    socket: [99, 1, 0],
    bind: [CLOSED, address],
  },
  ...{
    listen: [CLOSED, 1],
    accept: [CLOSED],
    acceptFrom: [CLOSED],
    connect: [CLOSED, address],
    recv: [CLOSED, bytes(), 0],
  },
  ...{ send: [CLOSED, bytes(), 0], sendZc: [CLOSED, bytes(), 0], shutdown: [CLOSED, 0] },
  ...{
    sendto: [CLOSED, bytes(), address, 0],
    sendmsg: [CLOSED, { data: bytes() }, 0],
    recvmsg: [CLOSED, { into: bytes() }, 0],
  },
  ...{ nop: [], entry: [(sqe: Sqe) => sqe.prepNop()], poll: [CLOSED, 1], timeout: [0], waitid: [{ pidfd: CLOSED }, 4] },
  ...{ futexWait: [1, 1, 0x82], futexWake: [1, 1, 0x82], msgRing: [CLOSED, 0, 0], pipe: [0x7ffffff] },
};
const others: Record<string, unknown[]> = {
  getsockopt: [CLOSED, 1, 3, 4],
  setsockopt: [CLOSED, 1, 2, 1],
  acceptMultishot: [CLOSED, {}],
  pollMultishot: [CLOSED, 1, {}],
  recvMultishot: [CLOSED, {}],
  readMultishot: [CLOSED, {}],
  timeoutMultishot: [1, 1, {}],
};

describe.skipIf(isBun)("an argument of a wrong kind", () => {
  let used: any;
  let memory: RingMemory;
  let word = 0;
  let file = -1;
  beforeAll(() => {
    used = reactor()!;
    memory = new RingMemory();
    word = memory.int32(0).address;
    file = openSync("/dev/null", "r+");
  });
  afterAll(() => {
    memory.release();
    closeSync(file);
  });

  /** An operation ends at once, whatever it waits for. */
  const limits = { timeoutMs: 0 };

  async function drive(name: string, args: readonly unknown[], run: (...given: unknown[]) => unknown): Promise<void> {
    const runs: Promise<void>[] = [];
    for (const [at, value, given] of withWrongKinds(args)) {
      const about = [name, at, Bun.inspect(value)];
      const check = (error: unknown): void => expect([...about, strayError(error)]).toEqual([...about, undefined]);
      runs.push((async () => void (await run(...given)))().catch(check));
    }
    await Promise.all(runs);
  }

  test("is given to every method", () => {
    const names = new Set<string>();
    for (let owner = EventOperations.prototype; owner !== Object.prototype; owner = Object.getPrototypeOf(owner))
      for (const name of Object.getOwnPropertyNames(owner)) if (typeof used[name] === "function") names.add(name);
    names.delete("constructor");
    expect([...names].toSorted()).toEqual(Object.keys(methods).toSorted());
  });

  test.each(Object.keys(methods))("%s", async (name) => {
    const args = name.startsWith("futex") ? [word, ...methods[name]!.slice(1)] : methods[name]!;
    const { slotsInUse, sendBytesInUse } = reactorStats();
    await drive(name, args, (...given) => used[name](...given, limits));
    await drive(`op.${name}`, args, (...given) => used.op[name](...given, limits) && undefined);
    await settled(slotsInUse);
    expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
  });

  test.each(Object.keys(others))("%s", async (name) => {
    // An iterator does nothing before its first value is asked for.
    await drive(name, others[name]!, (...given) => used[name](...given));
  });

  test("in an object", async () => {
    const { slotsInUse } = reactorStats();
    const control = { level: 1, type: 1, data: bytes() };
    const objects: Record<string, [object: Record<string, unknown>, run: (given: any) => unknown]> = {
      sendmsg: [{ data: bytes(), to: address, control: [] }, (given) => used.sendmsg(CLOSED, given)],
      "sendmsg's control": [control, (given) => used.sendmsg(CLOSED, { data: bytes(), control: [given] })],
      "sendmsg's to": [address, (given) => used.sendmsg(CLOSED, { data: bytes(), to: given })],
      recvmsg: [{ into: bytes(), controlBytes: 64 }, (given) => used.recvmsg(CLOSED, given)],
      openat2: [{ flags: 0, mode: 0, resolve: 0 }, (given) => used.openat2(cwd, none, given)],
      bind: [address, (given) => used.bind(CLOSED, given)],
      connect: [{ unix: "x" }, (given) => used.connect(CLOSED, given)],
      "a limit": [{ timeoutMs: 0, signal: null }, (given) => used.nop(given)],
      "an iterator's": [{ signal: null }, (given) => used.pollMultishot(CLOSED, 1, given)],
    };
    for (const [name, [object, run]] of Object.entries(objects)) {
      const names = Object.keys(object);
      const call = (...values: unknown[]): unknown => run(Object.fromEntries(names.map((key, i) => [key, values[i]])));
      await drive(name, Object.values(object), call);
    }
    await settled(slotsInUse);
  });

  test("is named, also where it is a descriptor and a BigInt", async () => {
    const failure = async (promise: Promise<unknown>): Promise<unknown> => {
      const { name, code, message } = await promise.then(undefined, (error) => error);
      return [name, code, message];
    };
    const says = ["TypeError", "ERR_INVALID_ARG_TYPE", "fd must be an integer from 0 to 2147483647, not 5n"];
    for (const name of ["closeFd", "fsync", "accept", "listen", "recv", "read", "sendmsg"])
      expect([name, await failure(used[name](5n, ...methods[name]!.slice(1)))]).toEqual([name, says]);
    expect(await failure(used.sendmsg(file, { data: bytes(), control: 5 }))).toEqual([
      "TypeError",
      "ERR_INVALID_ARG_TYPE",
      "message.control must be an array of objects, not 5",
    ]);
  });

  test("is no operation of a chain", async () => {
    const { op } = used;
    const { slotsInUse } = reactorStats();
    for (const value of [undefined, ...wrongKinds])
      for (const chain of [[value], [op.nop(), value], [value, op.nop()]]) {
        const at = chain.findIndex((each) => Object.is(each, value));
        expect(await used.chain(...chain).then(undefined, (error: unknown) => error)).toMatchObject({
          code: "ERR_INVALID_ARG_TYPE",
          message: expect.stringContaining(`operations[${at}] must be made by reactor.op, not`),
        });
      }
    const many = Array.from({ length: used.info.limits.sqEntries + 1 }, () => op.nop());
    const error = await used.chain(...many).then(undefined, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    const once = op.nop();
    await used.chain(once);
    expect(await used.chain(once).then(undefined, (reason: unknown) => reason)).toMatchObject({
      code: "ERR_INVALID_STATE",
    });
    const [readFd, writeFd] = pipe2();
    const linked = used.entry((sqe: Sqe) => sqe.prepClose(readFd).link());
    expect(await linked.then(undefined, (reason: unknown) => reason)).toMatchObject({ code: "ERR_INVALID_ARG_VALUE" });
    closeSync(readFd); // It is open still.
    closeSync(writeFd);
    await settled(slotsInUse);
  });
});
