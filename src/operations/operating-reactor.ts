/**
 * The promise layer: every operation of `EventOperations` as a method that runs it, and chains of them.
 *
 * `reactor.read(fd, into, 0)` is a promise; `reactor.op.read(fd, into, 0)` only describes the operation, for `reactor.chain`. Both are one
 * definition (operation-*.ts). Every method rejects with SystemError, with TypeError or RangeError for a wrong argument, with the
 * reason of `options.signal`, or with ETIMEDOUT after `options.timeoutMs`.
 */
import { Arena } from "../ring/arena.ts";
import { IOSQE_IO_LINK } from "../sys/abi.ts";
import { FreeList } from "../reactor/free-list.ts";
import { lazily } from "../sys/lazily.ts";
import type { EventOperations } from "./operation-events.ts";
import type { Holder, Operation } from "./operation.ts";
import type { Multishot, MultishotOptions } from "./multishot.ts";
import { Reactor } from "../reactor/reactor.ts";

/** The operations themselves, of which most servers use none. */
const definitions = lazily(() => require("./operation-events.ts") as typeof import("./operation-events.ts"));
const single = lazily(() => require("./operation.ts") as typeof import("./operation.ts"));
const multishots = lazily(() => (require("./multishot-kinds.ts") as typeof import("./multishot-kinds.ts")).multishots);
const socketOptions = lazily(() => require("./socket-options.ts") as typeof import("./socket-options.ts"));
/** Operations that are kept for the next ones. More are under way at once in few programs, and cost an object each there. */
const POOLED_OPERATIONS_MAX = 1024;

/** The methods that run an operation: those that describe one, with a promise in place of the description. */
export type Runs = {
  [Name in keyof EventOperations as Exclude<Name, "describe">]: EventOperations[Name] extends (
    ...args: infer Args
  ) => Operation<infer T>
    ? (...args: Args) => Promise<T>
    : never;
};

/** Values of a chain, in order. */
type Values<Chain extends readonly Operation<any>[]> = {
  [Index in keyof Chain]: Chain[Index] extends Operation<infer T> ? T : never;
};

/** The end of a chain: no operation of it is in flight. */
class LastCompletion implements Holder {
  readonly reached: Promise<void>;
  private readonly reach: () => void;
  private running = 0;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.reached = promise;
    this.reach = resolve;
  }

  retain(): void {
    this.running++;
  }

  release(): void {
    if (--this.running === 0) this.reach();
  }
}

/** The reactor as programs know it: the event loop, and every operation of the ring as a method that returns a promise. */
export class OperatingReactor extends Reactor implements Runs {
  read = this.runs("read");
  write = this.runs("write");
  readv = this.runs("readv");
  writev = this.runs("writev");
  fsync = this.runs("fsync");
  fdatasync = this.runs("fdatasync");
  syncFileRange = this.runs("syncFileRange");
  fallocate = this.runs("fallocate");
  ftruncate = this.runs("ftruncate");
  fadvise = this.runs("fadvise");
  splice = this.runs("splice");
  tee = this.runs("tee");
  closeFd = this.runs("closeFd");
  openat = this.runs("openat");
  openat2 = this.runs("openat2");
  statx = this.runs("statx");
  renameat = this.runs("renameat");
  unlinkat = this.runs("unlinkat");
  mkdirat = this.runs("mkdirat");
  symlinkat = this.runs("symlinkat");
  linkat = this.runs("linkat");
  getxattr = this.runs("getxattr");
  setxattr = this.runs("setxattr");
  socket = this.runs("socket");
  bind = this.runs("bind");
  listen = this.runs("listen");
  accept = this.runs("accept");
  acceptFrom = this.runs("acceptFrom");
  connect = this.runs("connect");
  recv = this.runs("recv");
  send = this.runs("send");
  sendZc = this.runs("sendZc");
  shutdown = this.runs("shutdown");
  sendto = this.runs("sendto");
  sendmsg = this.runs("sendmsg");
  recvmsg = this.runs("recvmsg");
  nop = this.runs("nop");
  entry = this.runs("entry");
  poll = this.runs("poll");
  timeout = this.runs("timeout");
  waitid = this.runs("waitid");
  futexWait = this.runs("futexWait");
  futexWake = this.runs("futexWake");
  msgRing = this.runs("msgRing");
  pipe = this.runs("pipe");

  private described: EventOperations | undefined;
  private started: EventOperations | undefined;
  private aligned: Arena | undefined;

  /** Describes operations for `chain`. Nothing is submitted, and no memory taken, until then. */
  get op(): EventOperations {
    return (this.described ??= new (definitions().EventOperations)(this, null));
  }

  /** @internal Describes operations that are started at once and held by nobody. */
  get pooled(): EventOperations {
    return (this.started ??= new (definitions().EventOperations)(this, new FreeList<Operation>(POOLED_OPERATIONS_MAX)));
  }

  /** Memory for O_DIRECT. */
  get alignedArena(): Arena {
    return (this.aligned ??= new Arena(true));
  }

  /**
   * Runs operations one after the other without coming back between them (IOSQE_IO_LINK): each starts when the one before has succeeded,
   * completely (a short read or write ends the chain). The values in order, once all is over; or the error of the first that failed, once those
   * after it have been cancelled and nothing of the chain uses a descriptor any more, also where a signal or a time limit has abandoned it: the
   * kernel looks a linked operation's descriptor up when its turn comes, not before. `reactor.chain(reactor.op.write(fd, data, 0), reactor.op.fsync(fd), reactor.op.closeFd(fd))`.
   */
  async chain<Chain extends readonly Operation<any>[]>(...operations: Chain): Promise<Values<Chain>> {
    const { Operation: Single } = single();
    const wrong = operations.find((each) => !(each instanceof Single));
    if (wrong !== undefined) throw new TypeError(`a chain takes operations of reactor.op, not ${Bun.inspect(wrong)}`);
    let placed = 0;
    const end = new LastCompletion();
    try {
      for (const operation of operations) {
        operation.place();
        operation.heldBy(end);
        placed++;
        operation.rehearse();
      }
      this.lane.reserve(operations.reduce((sum, { entries }) => sum + entries, 0));
      // An entry that is left out would link somebody else's to the one before it.
      for (const operation of operations) operation.throwIfAborted();
    } catch (error) {
      for (const operation of operations.slice(0, placed)) operation.drop();
      throw error;
    }
    const last = operations.length - 1;
    const promises = operations.map((operation, i) => operation.submit(i === last ? 0 : IOSQE_IO_LINK));
    const outcomes = await Promise.allSettled(promises);
    const failures = outcomes.filter((outcome) => outcome.status === "rejected").map(({ reason }) => reason as unknown);
    const isOwn = (reason: unknown): boolean => (reason as { code?: unknown }).code !== "ECANCELED";
    if (failures.length > 0) {
      await end.reached;
      throw failures.find(isOwn) ?? failures[0];
    }
    return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<unknown>).value) as Values<Chain>;
  }

  /**
   * accept(2) again and again: the descriptors of connections, close-on-exec, which are the caller's. Up to 64 wait to be taken, more in the kernel's queue.
   * `for await (const fd of reactor.acceptMultishot(listener))`. Linux 5.19.
   */
  acceptMultishot(fd: number, options?: MultishotOptions): Multishot<number> {
    return multishots().accept(this, fd, options);
  }

  /** poll(2) again and again for POLLIN and so on: which there are, also those that have come since the last value was taken. Linux 5.13. */
  pollMultishot(fd: number, events: number, options?: MultishotOptions): Multishot<number> {
    return multishots().poll(this, fd, events, options);
  }

  /** recv(2) again and again until the peer has ended: copies of what has come. Up to 256 KiB wait to be taken. Linux 6.0. */
  recvMultishot(fd: number, options?: MultishotOptions): Multishot<Buffer> {
    return multishots().recv(this, fd, options);
  }

  /** read(2) of a pipe, a terminal or the like again and again until its end, in the same way; EBADFD for a regular file. Linux 6.7. */
  readMultishot(fd: number, options?: MultishotOptions): Multishot<Buffer> {
    return multishots().read(this, fd, options);
  }

  /**
   * Every `ms` milliseconds, `times` times or (0) until it is left: how often that was since the last value was taken. One that is not left and fires
   * more often than every 10 ms keeps the loop awake, and the process. Linux 6.4.
   */
  timeoutMultishot(ms: number, times = 0, options?: MultishotOptions): Multishot<number> {
    return multishots().timeout(this, ms, times, options);
  }

  /** getsockopt(2) of up to `bytes` bytes: the option's. `level`: SOL_SOCKET, IPPROTO_TCP and so on. */
  async getsockopt(fd: number, level: number, name: number, bytes = 4): Promise<Buffer> {
    return socketOptions().getsockopt(fd, level, name, bytes);
  }

  /** setsockopt(2): a number of 32 bits, or the option's bytes. */
  async setsockopt(fd: number, level: number, name: number, value: number | Uint8Array): Promise<void> {
    socketOptions().setsockopt(fd, level, name, value);
  }

  /** For idle moments. */
  override trim(): void {
    super.trim();
    this.aligned?.trim();
  }

  override close(): void {
    super.close();
    this.aligned?.close();
    this.aligned = undefined;
  }

  /** The method that runs an operation. What is wrong with its arguments rejects the promise. */
  private runs<Name extends keyof Runs>(name: Name): Runs[Name] {
    const run = (...args: unknown[]): Promise<unknown> => {
      try {
        return (this.pooled[name] as (...args: unknown[]) => Operation)(...args).start();
      } catch (error) {
        return Promise.reject(error);
      }
    };
    return run as Runs[Name];
  }
}
