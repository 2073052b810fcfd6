/**
 * Operations that wait for something, or wake a waiter: descriptors, times, child processes,
 * futexes, other rings.
 */
import {
  I32_MIN,
  invalidType,
  requireFunction,
  requireInteger,
  requireNumber,
  U32_MAX,
  wideOf,
  withCode,
} from "../sys/check.ts";
import { Sqe } from "../ring/sqe.ts";
import { Siginfo, Timespec } from "../ring/structs.ts";
import { IOSQE_ASYNC, IOSQE_BUFFER_SELECT, IOSQE_FIXED_FILE } from "../sys/abi.ts";
import { SOCK_CLOEXEC } from "../sys/socket-abi.ts";
import { ETIME } from "../sys/errno.ts";
import { native } from "../sys/library.ts";
import {
  FUTEX2_PRIVATE,
  FUTEX2_SIZE_U32,
  FUTEX_BITSET_MATCH_ANY,
  P_ALL,
  P_PGID,
  P_PID,
  P_PIDFD,
  WEXITED,
} from "../sys/linux.ts";
import { noResult, theResult } from "./operation-data.ts";
import type { Kind, Operation, OperationOptions } from "./operation.ts";
import { MessageOperations } from "./operation-messages.ts";

/** The child that `waitid` waits for: its process id, or one of these. */
export type WaitTarget = number | { pid: number } | { pgid: number } | { pidfd: number } | "any";

/** The new state of a child. */
export interface ChildState {
  /** CLD_EXITED, CLD_KILLED and so on. */
  code: number;
  /** The exit code, or the signal's number. */
  status: number;
  pid: number;
  /** The user id of the child. */
  uid: number;
}

const FUTEX_FLAGS = FUTEX2_SIZE_U32 | FUTEX2_PRIVATE;

const waitTargets = [
  ["pid", P_PID, 1],
  ["pgid", P_PGID, 0],
  ["pidfd", P_PIDFD, 0],
] as const;

function readWaitTarget(target: WaitTarget): [idType: number, id: number] {
  if (target === "any") return [P_ALL, 0];
  const given = (typeof target === "number" ? { pid: target } : target) as Record<string, number>;
  const found = waitTargets.find(([name]) => typeof given === "object" && given !== null && name in given);
  if (found === undefined) throw invalidType("target", 'a number, { pid }, { pgid }, { pidfd } or "any"', target);
  const [name, idType, least] = found;
  requireInteger(name, given[name]!, least, 0x7fffffff);
  return [idType, given[name]!];
}

/** Flags that the program may set in its own entry. */
const ALLOWED_ENTRY_FLAGS = IOSQE_FIXED_FILE | IOSQE_ASYNC | IOSQE_BUFFER_SELECT;

const nop: Kind<void> = { syscall: "nop", prepare: (sqe) => void sqe.prepNop(), finish: noResult };
const poll: Kind<number> = {
  syscall: "poll",
  prepare: (sqe, { fd, flags }) => void sqe.prepPollAdd(fd, flags),
  finish: theResult,
};
const timeout: Kind<void> = {
  syscall: "timeout",
  place(operation) {
    operation.address = new Timespec(operation.room(Timespec.bytes), operation.position).address;
  },
  prepare: (sqe, { address, flags }) => void sqe.prepTimeout(address, 0, flags),
  finish: noResult,
  expected: -ETIME,
};
const waitid: Kind<ChildState> = {
  syscall: "waitid",
  place(operation) {
    const chunk = operation.room(Siginfo.bytes);
    chunk.buffer.fill(0, 0, Siginfo.bytes);
    operation.address = chunk.address;
  },
  prepare: (sqe, { mode, position, address, flags }) => void sqe.prepWaitid(mode, position, address, flags),
  finish(operation) {
    const { code, status, pid, uid } = new Siginfo({ address: 0, buffer: operation.chunk!.buffer });
    return { code, status, pid, uid };
  },
};
const futexWait: Kind<void> = {
  syscall: "futex",
  prepare: (sqe, { position, length, flags }) =>
    void sqe.prepFutexWait(position, length, FUTEX_BITSET_MATCH_ANY, flags),
  finish: noResult,
};
const futexWake: Kind<number> = {
  syscall: "futex",
  prepare: (sqe, { position, length, flags }) =>
    void sqe.prepFutexWake(position, length, FUTEX_BITSET_MATCH_ANY, flags),
  finish: theResult,
};
const msgRing: Kind<void> = {
  syscall: "io_uring_enter",
  prepare: (sqe, { fd, length, data }) => void sqe.prepMsgRing(fd, length, data as bigint, 0),
  finish: noResult,
};
const pipe: Kind<[readFd: number, writeFd: number]> = {
  syscall: "pipe",
  place(operation) {
    operation.address = operation.room(8).address;
  },
  prepare: (sqe, { address, flags }) => void sqe.prepPipe(address, flags),
  finish: ({ chunk }) => [chunk!.buffer.readInt32LE(0), chunk!.buffer.readInt32LE(4)],
  discard({ chunk }) {
    for (const at of [0, 4]) native().rl_close(chunk!.buffer.readInt32LE(at));
  },
};

/**
 * An entry that the program prepares. It may complete more than once (a multishot operation): its
 * value is that of the first completion.
 */
const entry: Kind<number> = {
  syscall: "io_uring_enter",
  notifies: true,
  // The program prepares an entry of no ring: its function may submit other operations meanwhile.
  place(operation) {
    const prepared = new Sqe(new Uint32Array(16), 0);
    const given = (operation.data as (sqe: Sqe) => unknown)(prepared);
    // What comes after an `await` would change an entry that is already copied.
    if (given instanceof Promise) {
      given.catch(() => {});
      throw withCode(
        "ERR_INVALID_RETURN_VALUE",
        new TypeError("prepare must not return a promise: it has the entry only while it is called"),
      );
    }
    // A copy, since the program may have kept the entry that it was given.
    const own = new Sqe(new Uint32Array(16), 0).copyFrom(prepared);
    operation.data = own;
    if ((own.flags & ALLOWED_ENTRY_FLAGS) === own.flags) return;
    throw withCode(
      "ERR_INVALID_ARG_VALUE",
      new TypeError(
        "prepare must set no flags but IOSQE_FIXED_FILE, IOSQE_ASYNC and IOSQE_BUFFER_SELECT: others concern the entries of other owners",
      ),
    );
  },
  prepare: (sqe, { data }) => void sqe.copyFrom(data as Sqe),
  finish: theResult,
};

export class EventOperations extends MessageOperations {
  /** Runs an operation that does nothing in the kernel. */
  nop(options?: OperationOptions): Operation<void> {
    return this.describe(nop, options);
  }

  /**
   * Runs an entry that the program prepares. `prepare` is called once, when the operation starts,
   * with the entry; the reactor sets its user data. The value is `res`; a negative `res` rejects.
   *
   * Memory that the entry points at must stay in place until the operation is over (`RingMemory`).
   * A multishot operation is over with its last completion, although the promise has the first. An
   * operation that the ring is restricted from gives EACCES (ReactorOptions.restrict).
   */
  entry(prepare: (sqe: Sqe) => unknown, options?: OperationOptions): Operation<number> {
    requireFunction("prepare", prepare);
    const operation = this.describe(entry, options);
    operation.data = prepare;
    return operation;
  }

  /**
   * Runs poll(2) until one of `events`, POLLIN and so on. The value is the set of events that came.
   */
  poll(fd: number, events: number, options?: OperationOptions): Operation<number> {
    requireInteger("events", events, 0, 0xffff);
    const operation = this.onFile(poll, fd, options);
    operation.flags = events;
    return operation;
  }

  /** Waits `ms` milliseconds, fractions included. */
  timeout(ms: number, options?: OperationOptions): Operation<void> {
    requireNumber("ms", ms, 0, 2 ** 31);
    const operation = this.describe(timeout, options);
    operation.position = ms;
    operation.flags = 0;
    return operation;
  }

  /**
   * Runs waitid(2), for a child that nobody else waits for. `target` is one child, a child of a
   * process group (0: this process's own), the child of a pidfd, or any child. `flags`: WEXITED,
   * WSTOPPED, WCONTINUED, and WNOWAIT to leave the child as it is. With WNOHANG, `pid` is 0 if no
   * child has changed its state yet. Linux 6.7.
   */
  waitid(target: WaitTarget, flags = WEXITED, options?: OperationOptions): Operation<ChildState> {
    const [idType, id] = readWaitTarget(target);
    requireInteger("flags", flags, 0, 0x7fffffff);
    const operation = this.describe(waitid, options);
    operation.mode = idType;
    operation.position = id;
    operation.flags = flags;
    return operation;
  }

  /**
   * Runs futex(2): waits while the 32 bits at `address` are `value`, until a waker comes. EAGAIN if
   * they are not `value`. The memory, that of `RingMemory.int32`, must stay in place until then.
   * `flags`: FUTEX2_*. Linux 6.7.
   */
  futexWait(address: number, value: number, flags = FUTEX_FLAGS, options?: OperationOptions): Operation<void> {
    requireInteger("value", value, I32_MIN, U32_MAX);
    return this.onFutex(futexWait, address, value >>> 0, flags, options);
  }

  /**
   * Runs futex(2): wakes up to `count` waiters, of a ring or not. The value is the number of woken
   * waiters. Linux 6.7.
   */
  futexWake(address: number, count = 1, flags = FUTEX_FLAGS, options?: OperationOptions): Operation<number> {
    requireInteger("count", count, 1, 0x7fffffff);
    return this.onFutex(futexWake, address, count, flags, options);
  }

  /**
   * Puts a completion into another ring of this process, or of a process that has passed its
   * descriptor on. The completion has `result` as `res` and `data` as its user data. EBADFD if
   * `ringFd` is no ring, or a disabled one; EOVERFLOW if the ring is full. Linux 5.18.
   */
  msgRing(ringFd: number, result: number, data: number | bigint = 0, options?: OperationOptions): Operation<void> {
    requireInteger("result", result, I32_MIN, U32_MAX);
    const wide = wideOf("data", data);
    const operation = this.onFile(msgRing, ringFd, options);
    operation.length = result >>> 0;
    operation.data = wide;
    return operation;
  }

  private onFutex<T>(
    kind: Kind<T>,
    address: number,
    value: number,
    flags: number,
    options?: OperationOptions,
  ): Operation<T> {
    requireInteger("address", address, 1, Number.MAX_SAFE_INTEGER);
    requireInteger("flags", flags, 0, 0xff);
    const operation = this.describe(kind, options);
    operation.position = address;
    operation.length = value;
    operation.flags = flags;
    return operation;
  }

  /** Runs pipe2(2), close-on-exec. `flags`: O_NONBLOCK and so on. Linux 6.16; EINVAL before. */
  pipe(flags = 0, options?: OperationOptions): Operation<[readFd: number, writeFd: number]> {
    requireInteger("flags", flags, 0, 0x7fffffff);
    const operation = this.describe(pipe, options);
    operation.flags = flags | SOCK_CLOEXEC; // The same bit as O_CLOEXEC.
    return operation;
  }
}
