/** Operations that wait: for a descriptor, for a time, for a child process. */
import { requireInteger } from "../ring/require-integer.ts";
import { Siginfo, Timespec } from "../ring/structs.ts";
import { ETIME } from "../sys/errno.ts";
import { native } from "../sys/library.ts";
import { P_PID, WEXITED } from "../sys/linux.ts";
import { noResult, theResult } from "./operation-data.ts";
import type { Kind, Operation, OperationOptions } from "./operation.ts";
import { SocketOperations } from "./operation-sockets.ts";

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

export class EventOperations extends SocketOperations {
  /** Does nothing, in the kernel. */
  nop(options?: OperationOptions): Operation<void> {
    return this.describe(nop, options);
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
    if (!(typeof ms === "number" && ms >= 0 && ms <= 2 ** 31))
      throw new RangeError(`ms must be from 0 to ${2 ** 31}, not ${Bun.inspect(ms)}`);
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

  /** pipe2(2). `flags`: O_CLOEXEC and so on. Linux 6.16; EINVAL before. */
  pipe(flags: number, options?: OperationOptions): Operation<[readFd: number, writeFd: number]> {
    requireInteger("flags", flags, 0, 0x7fffffff);
    const operation = this.describe(pipe, options);
    operation.flags = flags;
    return operation;
  }
}
