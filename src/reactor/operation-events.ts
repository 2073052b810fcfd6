/** Operations that wait: for a descriptor, for a time, for a child process. */
import { requireInteger } from "../ring/require-integer.ts";
import { Sqe } from "../ring/sqe.ts";
import { Siginfo, Timespec } from "../ring/structs.ts";
import { IOSQE_ASYNC, IOSQE_BUFFER_SELECT, IOSQE_FIXED_FILE, SOCK_CLOEXEC } from "../sys/abi.ts";
import { ETIME } from "../sys/errno.ts";
import { native } from "../sys/library.ts";
import { P_PID, WEXITED } from "../sys/linux.ts";
import { noResult, theResult } from "./operation-data.ts";
import type { Kind, Operation, OperationOptions } from "./operation.ts";
import { SocketOperations } from "./operation-sockets.ts";
import { invalidType, outOfRange } from "../sys/argument-errors.ts";

/** Of an entry that a program prepares. */
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
const waitid: Kind<{ code: number; status: number }> = {
  syscall: "waitid",
  place(operation) {
    operation.address = operation.room(Siginfo.bytes).address;
  },
  prepare: (sqe, { position, address, flags }) => void sqe.prepWaitid(P_PID, position, address, flags),
  finish(operation) {
    const { code, status } = new Siginfo({ address: 0, buffer: operation.chunk!.buffer });
    return { code, status };
  },
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

/** What a program prepares itself. It may complete more than once (a multishot operation): its value is the first completion's. */
const entry: Kind<number> = {
  syscall: "io_uring_enter",
  notifies: true,
  // On an entry of no ring: the program's function may submit others meanwhile.
  place(operation) {
    const prepared = new Sqe(new Uint32Array(16), 0);
    (operation.data as (sqe: Sqe) => unknown)(prepared);
    // A copy: the program may have kept what it was given.
    const own = new Sqe(new Uint32Array(16), 0).copyFrom(prepared);
    operation.data = own;
    if ((own.flags & ALLOWED_ENTRY_FLAGS) === own.flags) return;
    throw new TypeError(
      "prepare must set no flags but IOSQE_FIXED_FILE, IOSQE_ASYNC and IOSQE_BUFFER_SELECT: others concern the entries of other owners",
    );
  },
  prepare: (sqe, { data }) => void sqe.copyFrom(data as Sqe),
  finish: theResult,
};

export class EventOperations extends SocketOperations {
  /** Does nothing, in the kernel. */
  nop(options?: OperationOptions): Operation<void> {
    return this.describe(nop, options);
  }

  /**
   * An entry of one's own: `prepare` is called once, when the operation is started, with an entry to prepare; its user data is the reactor's. The
   * value is `res`; a negative one rejects. Memory that the entry points at must stay where it is until then (`RingMemory`), and until the last
   * completion of a multishot operation, of which the promise has the first. What the ring is restricted from is EACCES (ReactorOptions.restrict).
   */
  entry(prepare: (sqe: Sqe) => unknown, options?: OperationOptions): Operation<number> {
    if (typeof prepare !== "function") throw invalidType("prepare", "a function", prepare);
    const operation = this.describe(entry, options);
    operation.data = prepare;
    return operation;
  }

  /** poll(2) for one of `events`, POLLIN and so on. Which there are. */
  poll(fd: number, events: number, options?: OperationOptions): Operation<number> {
    requireInteger("events", events, 0, 0xffff);
    const operation = this.onFile(poll, fd, options);
    operation.flags = events;
    return operation;
  }

  /** Is over after `ms` milliseconds, fractions included. */
  timeout(ms: number, options?: OperationOptions): Operation<void> {
    if (!(typeof ms === "number" && ms >= 0 && ms <= 2 ** 31)) throw outOfRange("ms", `from 0 to ${2 ** 31}`, ms);
    const operation = this.describe(timeout, options);
    operation.position = ms;
    operation.flags = 0;
    return operation;
  }

  /** waitid(2) for a child that nobody else waits for. `options`: WEXITED and so on. CLD_*, and the exit code or signal. Linux 6.7. */
  waitid(pid: number, flags = WEXITED, options?: OperationOptions): Operation<{ code: number; status: number }> {
    requireInteger("pid", pid, 1, 0x7fffffff);
    const operation = this.describe(waitid, options);
    operation.position = pid;
    operation.flags = flags;
    return operation;
  }

  /** pipe2(2), close-on-exec. `flags`: O_NONBLOCK and so on. Linux 6.16; EINVAL before. */
  pipe(flags = 0, options?: OperationOptions): Operation<[readFd: number, writeFd: number]> {
    requireInteger("flags", flags, 0, 0x7fffffff);
    const operation = this.describe(pipe, options);
    operation.flags = flags | SOCK_CLOEXEC; // The same bit as O_CLOEXEC.
    return operation;
  }
}
