/**
 * The promise layer: every operation of `EventOperations` as a method that runs it, and chains of them.
 *
 * `reactor.read(fd, into, 0)` is a promise; `reactor.op.read(fd, into, 0)` only describes the operation, for `reactor.chain`. Both are one
 * definition (operation-*.ts). Every method rejects with SystemError, with TypeError or RangeError for a wrong argument, with the
 * reason of `options.signal`, or with ETIMEDOUT after `options.timeoutMs`.
 */
import { Arena } from "../ring/arena.ts";
import { IOSQE_IO_LINK } from "../sys/abi.ts";
import { FreeList } from "./free-list.ts";
import { lazily } from "../sys/lazily.ts";
import type { EventOperations } from "./operation-events.ts";
import type { Holder, Operation } from "./operation.ts";
import type { Multishot, MultishotOptions } from "./multishot.ts";
import type { Reactor } from "./reactor.ts";

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

class OperationRunner {
  private described: EventOperations | undefined;
  private started: EventOperations | undefined;
  private aligned: Arena | undefined;

  /** Describes operations for `chain`. Nothing is submitted, and no memory taken, until then. */
  get op(): EventOperations {
    return (this.described ??= new (definitions().EventOperations)(this as unknown as Reactor, null));
  }

  /** @internal Describes operations that are started at once and held by nobody. */
  get pooled(): EventOperations {
    return (this.started ??= new (definitions().EventOperations)(
      this as unknown as Reactor,
      new FreeList<Operation>(POOLED_OPERATIONS_MAX),
    ));
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
    const reactor = this as unknown as Reactor;
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
      reactor.lane.reserve(operations.reduce((sum, { entries }) => sum + entries, 0));
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
    return multishots().accept(this.asReactor, fd, options);
  }

  /** poll(2) again and again for POLLIN and so on: which there are, also those that have come since the last value was taken. Linux 5.13. */
  pollMultishot(fd: number, events: number, options?: MultishotOptions): Multishot<number> {
    return multishots().poll(this.asReactor, fd, events, options);
  }

  /** recv(2) again and again until the peer has ended: copies of what has come. Up to 256 KiB wait to be taken. Linux 6.0. */
  recvMultishot(fd: number, options?: MultishotOptions): Multishot<Buffer> {
    return multishots().recv(this.asReactor, fd, options);
  }

  /** read(2) of a pipe, a terminal or the like again and again until its end, in the same way; EBADFD for a regular file. Linux 6.7. */
  readMultishot(fd: number, options?: MultishotOptions): Multishot<Buffer> {
    return multishots().read(this.asReactor, fd, options);
  }

  /**
   * Every `ms` milliseconds, `times` times or (0) until it is left: how often that was since the last value was taken. One that is not left and fires
   * more often than every 10 ms keeps the loop awake, and the process. Linux 6.4.
   */
  timeoutMultishot(ms: number, times = 0, options?: MultishotOptions): Multishot<number> {
    return multishots().timeout(this.asReactor, ms, times, options);
  }

  /** getsockopt(2) of up to `bytes` bytes: the option's. `level`: SOL_SOCKET, IPPROTO_TCP and so on. */
  async getsockopt(fd: number, level: number, name: number, bytes = 4): Promise<Buffer> {
    return socketOptions().getsockopt(fd, level, name, bytes);
  }

  /** setsockopt(2): a number of 32 bits, or the option's bytes. */
  async setsockopt(fd: number, level: number, name: number, value: number | Uint8Array): Promise<void> {
    socketOptions().setsockopt(fd, level, name, value);
  }

  private get asReactor(): Reactor {
    return this as unknown as Reactor;
  }

  /** For idle moments. */
  protected trimOperations(): void {
    this.aligned?.trim();
  }

  protected closeOperations(): void {
    this.aligned?.close();
  }
}

/** Every one, or this does not compile. */
const names: Record<keyof Runs, true> = {
  read: true,
  write: true,
  readv: true,
  writev: true,
  fsync: true,
  fdatasync: true,
  syncFileRange: true,
  fallocate: true,
  ftruncate: true,
  fadvise: true,
  splice: true,
  tee: true,
  closeFd: true,
  openat: true,
  openat2: true,
  statx: true,
  renameat: true,
  unlinkat: true,
  mkdirat: true,
  symlinkat: true,
  linkat: true,
  getxattr: true,
  setxattr: true,
  socket: true,
  bind: true,
  listen: true,
  accept: true,
  acceptFrom: true,
  connect: true,
  recv: true,
  send: true,
  sendZc: true,
  shutdown: true,
  sendto: true,
  sendmsg: true,
  recvmsg: true,
  nop: true,
  entry: true,
  poll: true,
  timeout: true,
  waitid: true,
  futexWait: true,
  futexWake: true,
  msgRing: true,
  pipe: true,
};

for (const name of Object.keys(names) as (keyof Runs)[])
  Object.defineProperty(OperationRunner.prototype, name, {
    configurable: true,
    writable: true,
    value(this: OperationRunner, ...args: unknown[]): Promise<unknown> {
      try {
        return (this.pooled[name] as (...args: unknown[]) => Operation)(...args).start();
      } catch (error) {
        return Promise.reject(error);
      }
    },
  });

export const Operations = OperationRunner as new () => OperationRunner & Runs;
