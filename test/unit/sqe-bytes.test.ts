/** An entry of ringloop has exactly the same bytes as the entry of liburing (sqe-bytes.c). */
import { beforeAll, describe, expect, test } from "bun:test";
import { constants } from "node:fs";
import { join } from "node:path";
import * as ring from "../../src/ring/index.ts";
import { Sqe } from "../../src/ring/index.ts";
import { outputOfC } from "./compiled-c.ts";

const A = 0x123456789abc;
const B = 0x0fedcba98765;
const C = 0x7ffff0001238;
const OFFSET = 0x1234567890ab;
const OFFSET2 = 0x0edcba987654;
/** The two halves of DATA in C. DATA2 is the same for DATA2. */
const DATA = [0x76543210, 0xfedcba98] as const;
const DATA2 = [0x89abcdef, 0x01234567] as const;
const BYTES = 0x89abcdef;
const FLAGS = 0x70;
const { O_RDWR, O_CREAT, O_EXCL } = constants;
const O_CLOEXEC = 0o2000000;

const entries: Record<string, (sqe: Sqe) => Sqe> = {
  nop: (sqe) => sqe.prepNop(),
  "nop with flags and data": (sqe) =>
    sqe.prepNop().link().setFlags(ring.IOSQE_ASYNC).skipSuccess().setData64(0xfedcba9876543210n),
  "nop with a pointer": (sqe) => sqe.prepNop().setData(A),
  "nop with a personality": (sqe) => sqe.prepNop().setPersonality(0xfedc).hardLink().drain(),

  read: (sqe) => sqe.prepRead(7, A, BYTES, OFFSET),
  "read at the position": (sqe) => sqe.prepRead(7, A, BYTES),
  "read of a fixed file": (sqe) => sqe.prepRead(7, A, BYTES, 0).fixedFile(),
  "read from a group": (sqe) => sqe.prepRead(7, 0, BYTES, 0).setBufferGroup(0xabcd),
  write: (sqe) => sqe.prepWrite(7, A, BYTES, OFFSET),
  readv: (sqe) => sqe.prepReadv(7, A, 3, OFFSET, FLAGS),
  writev: (sqe) => sqe.prepWritev(7, A, 3, OFFSET, FLAGS),
  readFixed: (sqe) => sqe.prepReadFixed(7, A, BYTES, OFFSET, 0xabcd),
  writeFixed: (sqe) => sqe.prepWriteFixed(7, A, BYTES, OFFSET, 0xabcd),
  "kernel:readvFixed": (sqe) => sqe.prepReadvFixed(7, A, 3, OFFSET, FLAGS, 0xabcd),
  "kernel:writevFixed": (sqe) => sqe.prepWritevFixed(7, A, 3, OFFSET, FLAGS, 0xabcd),
  "kernel:readMultishot": (sqe) => sqe.prepReadMultishot(7, BYTES, OFFSET, 9),
  fsync: (sqe) => sqe.prepFsync(7),
  fdatasync: (sqe) => sqe.prepFdatasync(7),
  syncFileRange: (sqe) => sqe.prepSyncFileRange(7, BYTES, OFFSET, 5),
  fallocate: (sqe) => sqe.prepFallocate(7, 3, OFFSET, OFFSET2),
  "kernel:ftruncate": (sqe) => sqe.prepFtruncate(7, OFFSET),
  fadvise: (sqe) => sqe.prepFadvise(7, OFFSET, BYTES, 4),
  madvise: (sqe) => sqe.prepMadvise(A, BYTES, 4),
  "kernel:fadvise64": (sqe) => sqe.prepFadvise64(7, OFFSET, OFFSET2, 4),
  "kernel:madvise64": (sqe) => sqe.prepMadvise64(A, OFFSET2, 4),
  "kernel:uringCmd": (sqe) => sqe.prepUringCmd(BYTES, 7),
  "kernel:cmdDiscard": (sqe) => sqe.prepCmdDiscard(7, OFFSET, OFFSET2),
  splice: (sqe) => sqe.prepSplice(8, OFFSET, 9, OFFSET2, BYTES, ring.SPLICE_F_FD_IN_FIXED | ring.SPLICE_F_MOVE),
  "splice between pipes": (sqe) => sqe.prepSplice(8, -1, 9, -1, BYTES),
  tee: (sqe) => sqe.prepTee(8, 9, BYTES, ring.SPLICE_F_NONBLOCK),
  close: (sqe) => sqe.prepClose(7),
  closeDirect: (sqe) => sqe.prepCloseDirect(6),
  "kernel:fixedFdInstall": (sqe) => sqe.prepFixedFdInstall(6, ring.IORING_FIXED_FD_NO_CLOEXEC),

  openat: (sqe) => sqe.prepOpenat(ring.AT_FDCWD, A, O_RDWR | O_CREAT | O_EXCL, 0o640),
  openatDirect: (sqe) => sqe.prepOpenatDirect(ring.AT_FDCWD, A, O_RDWR, 0o640, 5),
  "kernel:openatDirect into a free slot": (sqe) =>
    sqe.prepOpenatDirect(ring.AT_FDCWD, A, O_RDWR, 0o640, ring.IORING_FILE_INDEX_ALLOC),
  "kernel:open": (sqe) => sqe.prepOpen(A, O_RDWR | O_CREAT, 0o640),
  "kernel:openDirect": (sqe) => sqe.prepOpenDirect(A, O_RDWR, 0o640, 5),
  openat2: (sqe) => sqe.prepOpenat2(7, A, B),
  openat2Direct: (sqe) => sqe.prepOpenat2Direct(7, A, B, 5),
  statx: (sqe) => sqe.prepStatx(ring.AT_FDCWD, A, ring.AT_SYMLINK_NOFOLLOW, ring.STATX_BASIC_STATS, B),
  renameat: (sqe) => sqe.prepRenameat(7, A, 8, B, ring.RENAME_EXCHANGE),
  rename: (sqe) => sqe.prepRename(A, B),
  unlinkat: (sqe) => sqe.prepUnlinkat(7, A, ring.AT_REMOVEDIR),
  unlink: (sqe) => sqe.prepUnlink(A),
  mkdirat: (sqe) => sqe.prepMkdirat(7, A, 0o750),
  mkdir: (sqe) => sqe.prepMkdir(A, 0o750),
  symlinkat: (sqe) => sqe.prepSymlinkat(A, 7, B),
  symlink: (sqe) => sqe.prepSymlink(A, B),
  linkat: (sqe) => sqe.prepLinkat(7, A, 8, B, ring.AT_SYMLINK_FOLLOW),
  link: (sqe) => sqe.prepLink(A, B),
  getxattr: (sqe) => sqe.prepGetxattr(A, B, C, BYTES),
  setxattr: (sqe) => sqe.prepSetxattr(A, B, C, ring.XATTR_CREATE, BYTES),
  fgetxattr: (sqe) => sqe.prepFgetxattr(7, A, B, BYTES),
  fsetxattr: (sqe) => sqe.prepFsetxattr(7, A, B, ring.XATTR_REPLACE, BYTES),

  socket: (sqe) => sqe.prepSocket(ring.AF_INET6, ring.SOCK_STREAM | ring.SOCK_CLOEXEC, ring.IPPROTO_TCP),
  socketDirect: (sqe) => sqe.prepSocketDirect(ring.AF_INET6, ring.SOCK_STREAM, ring.IPPROTO_TCP, 5),
  socketDirectAlloc: (sqe) => sqe.prepSocketDirectAlloc(ring.AF_INET6, ring.SOCK_STREAM, ring.IPPROTO_TCP),
  "kernel:bind": (sqe) => sqe.prepBind(7, A, 28),
  "kernel:listen": (sqe) => sqe.prepListen(7, 128),
  accept: (sqe) => sqe.prepAccept(7, ring.SOCK_CLOEXEC, A, B),
  "accept without an address": (sqe) => sqe.prepAccept(7),
  acceptDirect: (sqe) => sqe.prepAcceptDirect(7, 0, 5, A, B),
  multishotAccept: (sqe) => sqe.prepMultishotAccept(7, ring.SOCK_CLOEXEC),
  multishotAcceptDirect: (sqe) => sqe.prepMultishotAcceptDirect(7),
  connect: (sqe) => sqe.prepConnect(7, A, 28),
  recv: (sqe) => sqe.prepRecv(7, A, BYTES, ring.MSG_WAITALL),
  recvMultishot: (sqe) => sqe.prepRecvMultishot(7, 3, ring.MSG_DONTWAIT),
  "kernel:recvBundle": (sqe) => sqe.prepRecvBundle(7, BYTES, 0xabcd, ring.MSG_DONTWAIT),
  "kernel:recvMultishotBundle": (sqe) => sqe.prepRecvMultishotBundle(7, 0xabcd, ring.MSG_DONTWAIT),
  "kernel:sendBundle": (sqe) => sqe.prepSendBundle(7, BYTES, 0xabcd, ring.MSG_NOSIGNAL),
  "kernel:sendmsgZcFixed": (sqe) => sqe.prepSendmsgZcFixed(7, A, ring.MSG_NOSIGNAL, 0xabcd),
  sendmsg: (sqe) => sqe.prepSendmsg(7, A, ring.MSG_NOSIGNAL),
  sendmsgZc: (sqe) => sqe.prepSendmsgZc(7, A, ring.MSG_NOSIGNAL),
  recvmsg: (sqe) => sqe.prepRecvmsg(7, A, ring.MSG_TRUNC),
  recvmsgMultishot: (sqe) => sqe.prepRecvmsgMultishot(7, A, 3),
  send: (sqe) => sqe.prepSend(7, A, BYTES, ring.MSG_NOSIGNAL),
  sendto: (sqe) => sqe.prepSendto(7, A, BYTES, 0, B, 28),
  sendZc: (sqe) => sqe.prepSendZc(7, A, BYTES, ring.MSG_WAITALL, ring.IORING_RECVSEND_POLL_FIRST),
  "sendZc to an address": (sqe) => sqe.prepSendZc(7, A, BYTES).setSendAddress(B, 16),
  sendZcFixed: (sqe) => sqe.prepSendZcFixed(7, A, BYTES, ring.MSG_WAITALL, ring.IORING_RECVSEND_POLL_FIRST, 0xabcd),
  shutdown: (sqe) => sqe.prepShutdown(7, ring.SHUT_RDWR),
  "kernel:cmdSock": (sqe) =>
    sqe.prepCmdSock(ring.SOCKET_URING_OP_SETSOCKOPT, 7, ring.SOL_SOCKET, ring.SO_KEEPALIVE, A, 4),

  "every word by itself": (sqe) => {
    const set = sqe
      .prepNop()
      .setOpcode(0x5a)
      .setFlags(0x70)
      .setFd(7)
      .setOff(OFFSET)
      .setAddr(A)
      .setOpFlags(FLAGS)
      .setUserData(...DATA)
      .setBufIndex(0xabcd)
      .setPersonality(0xfedc)
      .setFileIndex(0x89abcdef)
      .setAddr3(B)
      .setAttrTypeMask(C);
    set.ioprio = 0x1234;
    set.length = BYTES;
    return set;
  },

  pollAdd: (sqe) => sqe.prepPollAdd(7, ring.POLLIN | ring.POLLRDHUP | ring.EPOLLEXCLUSIVE),
  pollMultishot: (sqe) => sqe.prepPollMultishot(7, ring.POLLOUT),
  pollUpdate: (sqe) =>
    sqe.prepPollUpdate(
      ...DATA,
      ...DATA2,
      ring.POLLOUT,
      ring.IORING_POLL_UPDATE_EVENTS | ring.IORING_POLL_UPDATE_USER_DATA,
    ),
  pollRemove: (sqe) => sqe.prepPollRemove(...DATA),
  timeout: (sqe) => sqe.prepTimeout(A, 5, ring.IORING_TIMEOUT_ABS | ring.IORING_TIMEOUT_REALTIME),
  "kernel:timeoutMultishot": (sqe) => sqe.prepTimeoutMultishot(A, 5),
  timeoutUpdate: (sqe) => sqe.prepTimeoutUpdate(A, ...DATA, ring.IORING_LINK_TIMEOUT_UPDATE),
  timeoutRemove: (sqe) => sqe.prepTimeoutRemove(...DATA),
  linkTimeout: (sqe) => sqe.prepLinkTimeout(A, ring.IORING_TIMEOUT_BOOTTIME),
  cancel: (sqe) => sqe.prepCancel(0x56789abc, 0x1234, ring.IORING_ASYNC_CANCEL_ALL),
  cancel64: (sqe) => sqe.prepCancel64(0xfedcba9876543210n, ring.IORING_ASYNC_CANCEL_ALL),
  cancelFd: (sqe) => sqe.prepCancelFd(7, ring.IORING_ASYNC_CANCEL_ALL),
  cancelAny: (sqe) => sqe.prepCancelAny(ring.IORING_ASYNC_CANCEL_ALL),
  epollCtl: (sqe) => sqe.prepEpollCtl(7, 8, ring.EPOLL_CTL_MOD, A),
  "kernel:epollWait": (sqe) => sqe.prepEpollWait(7, A, 12),
  msgRing: (sqe) => sqe.prepMsgRing(7, BYTES, ...DATA),
  "kernel:msgRingCqeFlags": (sqe) => sqe.prepMsgRingCqeFlags(7, BYTES, ...DATA, 0, 0x12340001),
  "kernel:msgRingFd": (sqe) => sqe.prepMsgRingFd(7, 4, 5, ...DATA, ring.IORING_MSG_RING_CQE_SKIP),
  "kernel:msgRingFdAlloc": (sqe) => sqe.prepMsgRingFdAlloc(7, 4, ...DATA),
  "kernel:futexWait": (sqe) =>
    sqe.prepFutexWait(A, BYTES, ring.FUTEX_BITSET_MATCH_ANY, ring.FUTEX2_SIZE_U32 | ring.FUTEX2_PRIVATE),
  "kernel:futexWake": (sqe) =>
    sqe.prepFutexWake(A, 3, ring.FUTEX_BITSET_MATCH_ANY, ring.FUTEX2_SIZE_U32 | ring.FUTEX2_PRIVATE),
  "kernel:futexWaitv": (sqe) => sqe.prepFutexWaitv(A, 2),
  "kernel:waitid": (sqe) => sqe.prepWaitid(ring.P_PID, 4321, A, ring.WEXITED | ring.WNOWAIT),
  "kernel:pipe": (sqe) => sqe.prepPipe(A, O_CLOEXEC),
  "kernel:pipeDirect": (sqe) => sqe.prepPipeDirect(A, 0, 4),
  filesUpdate: (sqe) => sqe.prepFilesUpdate(A, 3, 4),
  provideBuffers: (sqe) => sqe.prepProvideBuffers(A, 4096, 8, 0xabcd, 5),
  removeBuffers: (sqe) => sqe.prepRemoveBuffers(8, 0xabcd),
};

let expected: Map<string, string>;

beforeAll(() => {
  const lines = outputOfC(join(import.meta.dir, "sqe-bytes.c"))
    .trimEnd()
    .split("\n");
  expected = new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]),
  );
});

test.each(Object.keys(entries))("%s", (name) => {
  // Old bytes of an entry must not remain.
  const words = new Uint32Array(32).fill(0xffffffff);
  entries[name]!(new Sqe(words, 1));
  expect(Buffer.from(words.buffer, 64).toString("hex")).toBe(expected.get(name)!);
  expect(words.subarray(0, 16).every((word) => word === 0xffffffff)).toBe(true);
});

test("every entry in C has its like here", () => {
  expect(Object.keys(entries).toSorted()).toEqual([...expected.keys()].toSorted());
});

/** Returns the names of all prep functions of an entry. */
function prepFunctions(): string[] {
  const names = new Set<string>();
  for (let level: object = Sqe.prototype; level !== Object.prototype; level = Object.getPrototypeOf(level) as object)
    for (const name of Object.getOwnPropertyNames(level)) if (/^prep[A-Z]/.test(name)) names.add(name);
  return [...names].toSorted();
}

test("every prep function is compared", () => {
  const compared = Object.values(entries).flatMap((prepare) => /\.(prep\w+)\(/.exec(String(prepare))?.[1] ?? []);
  expect(prepFunctions().filter((name) => !compared.includes(name))).toEqual([]);
});

test("every prep function is run in the kernel by a test of its operation", async () => {
  const files = [...new Bun.Glob("{operations-*,ring}.test.ts").scanSync({ cwd: import.meta.dir })];
  const texts = await Promise.all(files.map((file) => Bun.file(join(import.meta.dir, file)).text()));
  const run = new Set(texts.flatMap((text) => [...text.matchAll(/\.(prep\w+)\(/g)].map((match) => match[1]!)));
  expect(prepFunctions().filter((name) => !run.has(name))).toEqual([]);
});

describe("a number that would spill into the field beside its own is refused:", () => {
  const sqe = (): Sqe => new Sqe(new Uint32Array(16), 0).prepNop();

  test.each<[name: string, prepare: () => unknown, message: string]>([
    ["a buffer group", () => sqe().setBufferGroup(65536), "bgid must be from 0 to 65535, not 65536"],
    ["a negative buffer group", () => sqe().prepRecvMultishot(0, -1), "bgid must be from 0 to 65535, not -1"],
    ["a personality", () => sqe().setPersonality(-1), "id must be from 0 to 65535, not -1"],
    ["a buffer index", () => sqe().prepReadFixed(0, 0, 0, 0, 1e6), "bufferIndex must be from 0 to 65535, not 1000000"],
    [
      "a group to provide",
      () => sqe().prepProvideBuffers(0, 1, 1, 70000, 0),
      "bgid must be from 0 to 65535, not 70000",
    ],
    ["a file index", () => sqe().prepCloseDirect(-1), "fileIndex must be from 0 to 4294967295, not -1"],
    ["an address's length", () => sqe().setSendAddress(0, 65536), "bytes must be from 0 to 65535, not 65536"],
    [
      "advice about 4 GiB",
      () => sqe().prepFadvise(0, 0, 2 ** 32, 0),
      "bytes must be from 0 to 4294967295, not 4294967296",
    ],
  ])("%s", (_, prepare, message) => {
    expect(prepare).toThrow(new RangeError(message));
  });

  test("what is no integer", () => {
    expect(() => sqe().setBufferGroup(1.5)).toThrow(new TypeError("bgid must be an integer from 0 to 65535, not 1.5"));
  });
});

/** Returns the words by which an entry does nothing and makes no completion. */
const disarmed = (words: Uint32Array): unknown[] => [words[0], words[7], words[8], words[9], words[10]];
const DISARMED = [ring.IOSQE_CQE_SKIP_SUCCESS << 8, 0, 0, 0, 0];

/** Returns the names of the parameters of a prep function. */
function parametersOf(name: string): string[] {
  const source = String(Sqe.prototype[name as "prepNop"]);
  const list = source.slice(source.indexOf("(") + 1, source.indexOf(") {"));
  return list.split(",").flatMap((each) => /\w+/.exec(each)?.[0] ?? []);
}

/** Returns right arguments for a function: those in an entry above, and 0 for the missing ones. */
function argumentsOf(name: string): unknown[] {
  const prepares = [...Object.values(entries), (sqe: Sqe) => sqe.prep(1, 7, A, BYTES, OFFSET, 5, 6)];
  const prepare = prepares.find((each) => new RegExp(`\\.${name}\\(`).test(String(each)))!;
  let recorded: unknown[] = [];
  const sqe = new Sqe(new Uint32Array(16), 0);
  const recorder = new Proxy(sqe, {
    get(target, property) {
      const value = Reflect.get(target, property, target) as unknown;
      if (property !== name) return value;
      return (...args: unknown[]) => {
        recorded = args;
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  prepare(recorder);
  return parametersOf(name).map((_, i) => (i < recorded.length ? recorded[i] : 0));
}

type AnyPrep = (...args: unknown[]) => unknown;

/**
 * Parameters that have 64 bits in C and accept BigInts. A BigInt has the same effect there as the
 * same number.
 */
const wide =
  /^(address|offset|offsetIn|offsetOut|path|how|statx|oldPath|newPath|target|linkPath|name|value|message|to|addressLength|event|info|waiters|fds|mask|data|low|oldLow|newLow)$/;
const isWide = (name: string, parameter: string): boolean => {
  if (name === "prepUringCmd") return false;
  if (/^prep(CmdDiscard|Fadvise64|Fallocate|Ftruncate|Madvise64)$/.test(name) && parameter === "bytes") return true;
  if (name === "prepFilesUpdate" && parameter === "offset") return false; // Here the offset is a slot.
  if (name === "prepEpollWait" && parameter === "events") return true;
  if (/^prep(CmdSock name|Shutdown how|Statx mask)$/.test(`${name} ${parameter}`)) return false;
  return wide.test(parameter);
};

describe("a wrong argument leaves an entry that does nothing, and is named:", () => {
  const functions = [...prepFunctions(), "prep"];

  test.each(functions)("%s", (name) => {
    const parameters = parametersOf(name);
    const right = argumentsOf(name);
    for (const [i, parameter] of parameters.entries()) {
      if (parameter === "multishot") continue; // A boolean, which every value can be.
      const values: unknown[] = [
        NaN,
        1.5,
        -Infinity,
        2 ** 70,
        -(2 ** 40),
        {},
        "7",
        null,
        [],
        Symbol("7"),
        { valueOf: () => 7 },
      ];
      values.push(isWide(name, parameter) ? 2n ** 64n : 7n);
      if (typeof right[i] === "bigint") values.push(7);
      for (const wrong of values) {
        const words = new Uint32Array(16).fill(0xffffffff);
        const sqe = new Sqe(words, 0);
        sqe.disarm(); // As getSqe() does.
        const error = thrownBy(() => (sqe[name as "prepNop"] as AnyPrep)(...right.with(i, wrong)));
        expect([name, parameter, wrong, error]).toEqual([
          name,
          parameter,
          wrong,
          expect.stringMatching(new RegExp(`^${parameter} must be `)),
        ]);
        expect(disarmed(words)).toEqual(DISARMED);
      }
    }
  });

  test.each(functions)("%s, on an entry that was prepared", (name) => {
    const right = argumentsOf(name);
    for (const [i, parameter] of parametersOf(name).entries()) {
      if (parameter === "multishot") continue;
      const words = new Uint32Array(16);
      const sqe = new Sqe(words, 0).prepWrite(7, A, BYTES, OFFSET).setUserData(...DATA);
      expect(thrownBy(() => (sqe[name as "prepNop"] as AnyPrep)(...right.with(i, NaN)))).toMatch(parameter);
      expect(disarmed(words)).toEqual(DISARMED);
    }
  });

  const prepared = (): [Uint32Array, Sqe] => {
    const words = new Uint32Array(16);
    return [words, new Sqe(words, 0).prepWrite(7, A, BYTES, OFFSET).setUserData(...DATA)];
  };

  test.each<[string, (sqe: Sqe) => unknown]>([
    ["setBufferGroup", (sqe) => sqe.setBufferGroup(-1)],
    ["setPersonality", (sqe) => sqe.setPersonality(65536)],
    ["setSendAddress", (sqe) => sqe.setSendAddress(A, -1)],
    ["setSendAddress of no address", (sqe) => sqe.setSendAddress(NaN, 16)],
    ["setData", (sqe) => sqe.setData(-1)],
    ["setFlags", (sqe) => sqe.setFlags(256)],
    ["setUserData", (sqe) => sqe.setUserData(NaN, 0)],
    ["setUserData of too much", (sqe) => sqe.setUserData(0, 2 ** 32)],
    ["setData64 of a number", (sqe) => sqe.setData64(5 as never)],
    ["setData64 of too much", (sqe) => sqe.setData64(2n ** 64n)],
    ["setData of a BigInt of too much", (sqe) => sqe.setData(2n ** 64n)],
    ["setOpcode", (sqe) => sqe.setOpcode(256)],
    ["setFd", (sqe) => sqe.setFd(2 ** 32)],
    ["setOff", (sqe) => sqe.setOff(-2)],
    ["setAddr", (sqe) => sqe.setAddr(-1)],
    ["setOpFlags", (sqe) => sqe.setOpFlags(0.5)],
    ["setBufIndex", (sqe) => sqe.setBufIndex(65536)],
    ["setFileIndex", (sqe) => sqe.setFileIndex(-1)],
    ["setAddr3", (sqe) => sqe.setAddr3(NaN)],
    ["setAttrTypeMask", (sqe) => sqe.setAttrTypeMask(2n ** 64n)],
    ["length", (sqe) => (sqe.length = 2 ** 32)],
    ["ioprio", (sqe) => (sqe.ioprio = -1)],
  ])("%s", (_, set) => {
    const [words, sqe] = prepared();
    expect(() => set(sqe)).toThrow();
    expect(disarmed(words)).toEqual(DISARMED);
  });
});

/** Returns the message of the TypeError or RangeError for a wrong argument, or undefined. */
function thrownBy(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return /^ERR_(INVALID_ARG_TYPE|OUT_OF_RANGE)$/.test(code) ? message : String(error);
  }
}

describe("a BigInt where C has 64 bits is what the number is:", () => {
  test.each(prepFunctions())("%s", (name) => {
    const right = argumentsOf(name);
    const bytesOf = (args: unknown[]): string => {
      const words = new Uint32Array(16);
      (new Sqe(words, 0)[name as "prepNop"] as AnyPrep)(...args);
      return Buffer.from(words.buffer).toString("hex");
    };
    for (const [i, parameter] of parametersOf(name).entries()) {
      const value = right[i];
      if (!isWide(name, parameter) || typeof value !== "number") continue;
      // A BigInt instead of a low half has both halves.
      const isHalf = /^(low|oldLow|newLow)$/.test(parameter);
      const given = isHalf ? right.with(i + 1, 0) : right;
      const whole = isHalf ? (BigInt(right[i + 1] as number) << 32n) | BigInt(value) : BigInt(value);
      expect([parameter, bytesOf(given.with(i, whole))]).toEqual([parameter, bytesOf(right)]);
      const all = (2n ** 64n - 2n).toString(16);
      expect(bytesOf(given.with(i, 2n ** 64n - 2n))).toContain(Buffer.from(all, "hex").toReversed().toHex());
    }
  });

  test("an offset of -1n is the file's own position", () => {
    const words = [new Uint32Array(16), new Uint32Array(16)];
    new Sqe(words[0]!, 0).prepRead(7, A, 5, -1n);
    new Sqe(words[1]!, 0).prepRead(7, A, 5, -1);
    expect(words[0]).toEqual(words[1]!);
  });
});
