/** The kinds of operations that `Multishot` runs. They give connections, events, bytes or times. */
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { outOfRange, requireInteger, U32_MAX } from "../sys/check.ts";
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_BUFFER } from "../sys/abi.ts";
import { SOCK_CLOEXEC } from "../sys/socket-abi.ts";
import { native } from "../sys/library.ts";
import { Multishot, type MultishotKind, type MultishotOptions } from "./multishot.ts";
import { DESCRIPTOR_KIND, MULTISHOT_KIND } from "../reactor/op-table.ts";
import type { OperatingReactor } from "./operating-reactor.ts";

/**
 * Bytes that a piece costs besides its content, so that many tiny pieces count as what they cost.
 */
const PIECE_BYTES = 256;

const accepts: MultishotKind<number> = {
  syscall: "accept",
  tag: DESCRIPTOR_KIND,
  prepare: (sqe, { fd }) => void sqe.prepMultishotAccept(fd, SOCK_CLOEXEC),
  take({ reactor }, fd) {
    reactor.lane.own(fd);
    return fd;
  },
  handOver: ({ reactor }, fd) => reactor.lane.owned.delete(fd),
  discard({ reactor }, fd) {
    reactor.lane.owned.delete(fd);
    native().rl_close(fd);
  },
};

const polls: MultishotKind<number> = {
  syscall: "poll",
  tag: MULTISHOT_KIND,
  prepare: (sqe, { fd, events }) => void sqe.prepPollMultishot(fd, events),
  take: (_multishot, events) => events,
  merge: (first, second) => first | second,
};

const timeouts: MultishotKind<number> = {
  syscall: "timeout",
  tag: MULTISHOT_KIND,
  prepare: (sqe, { chunk, left }) => void sqe.prepTimeoutMultishot(chunk!.address, Number.isFinite(left) ? left : 0),
  take(multishot) {
    multishot.left--;
    return 1;
  },
  isOver: ({ left }) => left === 0,
  merge: (first, second) => first + second,
};

/** Returns the kind of a receive or a read into the reactor's buffers. Each value is a copy. */
function pieces(syscall: string, prepare: MultishotKind<Buffer>["prepare"]): MultishotKind<Buffer> {
  return {
    syscall,
    tag: MULTISHOT_KIND,
    prepare,
    take(
      {
        reactor: {
          lane: { receiveBuffers },
        },
      },
      result,
      flags,
    ) {
      if ((flags & IORING_CQE_F_BUFFER) === 0) {
        if (result > 0) throw new RingIntegrityError(`completion of ${syscall} has ${result} bytes without a buffer`);
        return undefined;
      }
      const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
      const bytes = Math.max(0, result);
      const start = receiveBuffers.take(bid, bytes);
      const piece = Buffer.allocUnsafeSlow(bytes);
      receiveBuffers.memory.copy(piece, 0, start, start + bytes);
      receiveBuffers.recycle(bid);
      return bytes === 0 ? undefined : piece;
    },
    bytesOf: (piece) => piece.length + PIECE_BYTES,
  };
}

const receives = pieces(
  "recv",
  (sqe, { fd, reactor }) => void sqe.prepRecvMultishot(fd, reactor.lane.receiveBuffers.bgid),
);
const reads = pieces(
  "read",
  (sqe, { fd, reactor }) => void sqe.prepReadMultishot(fd, 0, -1, reactor.lane.receiveBuffers.bgid),
);

const requireFd = (fd: number): void => requireInteger("fd", fd, -0x80000000, 0x7fffffff);

/**
 * Makes multishot operations: see `OperatingReactor.acceptMultishot` and the other methods of that
 * name.
 */
export const multishots = {
  accept(reactor: OperatingReactor, fd: number, options?: MultishotOptions): Multishot<number> {
    requireFd(fd);
    return new Multishot(reactor, accepts, { fd }, options);
  },
  poll(reactor: OperatingReactor, fd: number, events: number, options?: MultishotOptions): Multishot<number> {
    requireFd(fd);
    requireInteger("events", events, 1, 0xffff);
    return new Multishot(reactor, polls, { fd, events }, options);
  },
  recv(reactor: OperatingReactor, fd: number, options?: MultishotOptions): Multishot<Buffer> {
    requireFd(fd);
    return new Multishot(reactor, receives, { fd }, options);
  },
  read(reactor: OperatingReactor, fd: number, options?: MultishotOptions): Multishot<Buffer> {
    requireFd(fd);
    return new Multishot(reactor, reads, { fd }, options);
  },
  timeout(reactor: OperatingReactor, ms: number, times: number, options?: MultishotOptions): Multishot<number> {
    if (!(typeof ms === "number" && ms > 0 && ms <= 2 ** 31)) throw outOfRange("ms", `above 0 to ${2 ** 31}`, ms);
    requireInteger("times", times, 0, U32_MAX);
    return new Multishot(reactor, timeouts, { left: times === 0 ? Infinity : times, intervalMs: ms }, options);
  },
};
