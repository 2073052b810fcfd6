/** Descriptors for the operations of a ring: how they are made and used. */
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AF_UNIX,
  CLOCK_REALTIME,
  EFD_SEMAPHORE,
  EPOLL_CTL_ADD,
  epollCreate,
  eventfd,
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_IGNORED,
  IN_NONBLOCK,
  inotifyAddWatch,
  inotifyEvents,
  inotifyInit,
  IORING_OP_WAITID,
  memfdCreate,
  P_PIDFD,
  pidfdOpen,
  pipe2,
  POLLIN,
  Ring,
  RingMemory,
  SOCK_SEQPACKET,
  socketpair,
  timerfdCreate,
  timerfdGettime,
  timerfdSettime,
  WEXITED,
} from "../../src/ring/index.ts";
import { succeed, testWith } from "./ring-kinds.ts";

/** Whether exec(3) closes all the descriptors. Then closes them. */
function isCloseOnExec(...fds: number[]): boolean {
  const flags = fds.map((fd) =>
    Number.parseInt(/^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))![1]!, 8),
  );
  for (const fd of fds) closeSync(fd);
  return flags.every((each) => (each & 0o2000000) !== 0);
}

/** Returns the number in the eight bytes that a read gives. */
function readCount(fd: number): bigint {
  using ring = Ring.queueInit(2);
  using memory = new RingMemory();
  const into = memory.allocate(8);
  expect(succeed(ring, (sqe) => sqe.prepRead(fd, into.address, 8))).toBe(8);
  return into.buffer.readBigUInt64LE();
}

test("an eventfd counts, at once or one by one", () => {
  const counter = eventfd(5);
  writeSync(counter, new Uint8Array(BigUint64Array.of(2n).buffer));
  expect(readCount(counter)).toBe(7n);
  const semaphore = eventfd(2, EFD_SEMAPHORE);
  expect([readCount(semaphore), readCount(semaphore)]).toEqual([1n, 1n]);
  expect(isCloseOnExec(counter, semaphore)).toBe(true);
});

test("an epoll instance watches what it is given through the ring", () => {
  using ring = Ring.queueInit(2);
  using memory = new RingMemory();
  const [epoll, counter] = [epollCreate(), eventfd(1)];
  succeed(ring, (sqe) => sqe.prepEpollCtl(epoll, counter, EPOLL_CTL_ADD, memory.epollEvent(POLLIN).address));
  expect(succeed(ring, (sqe) => sqe.prepPollAdd(epoll, POLLIN))).toBe(POLLIN);
  expect(isCloseOnExec(epoll, counter)).toBe(true);
});

test("a timer fires when it is set to, once or again and again", () => {
  const timer = timerfdCreate();
  timerfdSettime(timer, { valueMs: 1.5 });
  expect(readCount(timer)).toBe(1n);
  timerfdSettime(timer, { valueMs: 60_000, intervalMs: 1234.5 });
  const { valueMs, intervalMs } = timerfdGettime(timer);
  expect(intervalMs).toBe(1234.5);
  expect(valueMs > 0 && valueMs <= 60_000).toBe(true);
  timerfdSettime(timer, { valueMs: 0 });
  expect(timerfdGettime(timer).valueMs).toBe(0);
  const wall = timerfdCreate(CLOCK_REALTIME);
  timerfdSettime(wall, { valueMs: Date.now() - 1000, isAbsolute: true });
  expect(readCount(wall)).toBe(1n);
  expect(isCloseOnExec(timer, wall)).toBe(true);
});

test("a process is readable once it has ended", () => {
  using ring = Ring.queueInit(2);
  const child = Bun.spawn(["cat"], { stdin: "pipe" });
  const fd = pidfdOpen(child.pid);
  void child.stdin.end();
  expect(succeed(ring, (sqe) => sqe.prepPollAdd(fd, POLLIN))).toBe(POLLIN);
  expect(isCloseOnExec(fd)).toBe(true);
});

testWith(IORING_OP_WAITID)("a process that is nobody's child cannot be waited for", () => {
  using ring = Ring.queueInit(2);
  const fd = pidfdOpen(process.pid);
  ring.getSqe()!.prepWaitid(P_PIDFD, fd, 0, WEXITED);
  ring.submitAndWait(1);
  expect(ring.peekCqe()!.res).toBe(-10); // ECHILD
  closeSync(fd);
});

test("a file in memory has a name and no path", () => {
  const fd = memfdCreate("ringloop");
  writeSync(fd, "in memory");
  expect(fstatSync(fd).size).toBe(9);
  expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe("/memfd:ringloop (deleted)");
  expect(isCloseOnExec(fd)).toBe(true);
});

test("a pipe and a socket pair carry bytes, and block", () => {
  const pairs: [number, number][] = [pipe2(), socketpair(), socketpair(AF_UNIX, SOCK_SEQPACKET)];
  for (const [i, [first, second]] of pairs.entries()) {
    const [from, to] = i === 0 ? [first, second] : [second, first];
    writeSync(to, "bytes");
    const into = Buffer.alloc(5);
    readSync(from, into);
    expect(into.toString()).toBe("bytes");
    expect(readFileSync(`/proc/self/fdinfo/${from}`, "latin1")).not.toMatch(/^flags:\s+\d*[4-7]\d{3}$/m); // O_NONBLOCK
    expect(isCloseOnExec(from, to)).toBe(true);
  }
});

test("inotify tells what happens in a directory", () => {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-inotify-"));
  const fd = inotifyInit(IN_NONBLOCK);
  const watch = inotifyAddWatch(fd, directory, IN_CREATE | IN_CLOSE_WRITE);
  writeFileSync(join(directory, "new"), "");
  writeFileSync(join(directory, "another file"), "");
  rmSync(directory, { recursive: true });
  const bytes = Buffer.alloc(4096);
  const events = inotifyEvents(bytes.subarray(0, readSync(fd, bytes)));
  expect(events).toEqual([
    { watch, mask: IN_CREATE, cookie: 0, name: "new" },
    { watch, mask: IN_CLOSE_WRITE, cookie: 0, name: "new" },
    { watch, mask: IN_CREATE, cookie: 0, name: "another file" },
    { watch, mask: IN_CLOSE_WRITE, cookie: 0, name: "another file" },
    { watch, mask: IN_IGNORED, cookie: 0, name: "" },
  ]);
  expect(() => inotifyEvents(bytes.subarray(0, 17))).toThrow("bytes must be whole events");
  expect(isCloseOnExec(fd)).toBe(true);
});

describe("what cannot be made is an error:", () => {
  test.each<[code: string, syscall: string, call: () => unknown]>([
    ["EINVAL", "eventfd", () => eventfd(0, 0x40000000)],
    ["EINVAL", "timerfd_create", () => timerfdCreate(99)],
    ["EBADF", "timerfd_settime", () => timerfdSettime(0x7fffffff, { valueMs: 1 })],
    ["EBADF", "timerfd_gettime", () => timerfdGettime(0x7fffffff)],
    ["ESRCH", "pidfd_open", () => pidfdOpen(0x7fffffff)],
    ["EINVAL", "memfd_create", () => memfdCreate("x".repeat(250))],
    ["EINVAL", "pipe2", () => pipe2(1)],
    ["EAFNOSUPPORT", "socketpair", () => socketpair(99)],
    ["EINVAL", "inotify_init1", () => inotifyInit(1)],
    ["EBADF", "inotify_add_watch", () => inotifyAddWatch(0x7fffffff, "/", IN_CREATE)],
  ])("%s of %s", (code, syscall, call) => {
    expect(call).toThrow(expect.objectContaining({ code, syscall }));
  });

  test.each<[message: string, call: () => unknown]>([
    ["initial must be from 0 to 4294967295, not -1", () => eventfd(-1)],
    ["flags must be an integer from 0 to 4294967295, not 0.5", () => pipe2(0.5)],
    ["valueMs must be from 0 to 9007199254740991, not -1", () => timerfdSettime(1, { valueMs: -1 })],
    [
      "intervalMs must be from 0 to 9007199254740991, not NaN",
      () => timerfdSettime(1, { valueMs: 1, intervalMs: NaN }),
    ],
    ["pid must be from 1 to 2147483647, not 0", () => pidfdOpen(0)],
    ['name must be a string without NUL, not "a\\u0000b"', () => memfdCreate("a\0b")],
    ["name must be a string without NUL, not 5", () => memfdCreate(5 as never)],
    ["domain must be from 0 to 2147483647, not -1", () => socketpair(-1)],
  ])("%s", (message, call) => {
    expect(call).toThrow(message);
  });
});
