/**
 * The promise layer: every operation of `EventOperations` as a method that runs it, and chains of
 * operations.
 *
 * `reactor.read(fd, into, 0)` returns a promise. `reactor.op.read(fd, into, 0)` only describes the
 * operation, for `reactor.chain`. Both use one definition (operation-*.ts). Every method rejects
 * with SystemError, with TypeError or RangeError for a wrong argument, with the reason of
 * `options.signal`, or with ETIMEDOUT after `options.timeoutMs`.
 */
import { invalidType } from "../sys/check.ts";
import { Arena } from "../ring/arena.ts";
import { IOSQE_IO_LINK } from "../sys/abi.ts";
import { FreeList } from "../reactor/free-list.ts";
import { lazily } from "../sys/lazily.ts";
import type { EventOperations } from "./operation-events.ts";
import type { Holder, Operation } from "./operation.ts";
import type { Multishot, MultishotOptions } from "./multishot.ts";
import { Reactor } from "../reactor/reactor.ts";

/** The operations. They are loaded on first use: most servers use none. */
const definitions = lazily(() => require("./operation-events.ts") as typeof import("./operation-events.ts"));
const single = lazily(() => require("./operation.ts") as typeof import("./operation.ts"));
const multishots = lazily(() => (require("./multishot-kinds.ts") as typeof import("./multishot-kinds.ts")).multishots);
const socketOptions = lazily(() => require("./socket-options.ts") as typeof import("./socket-options.ts"));
/**
 * Highest number of used operation objects that are kept. Few programs have more in flight, and
 * there each further operation costs an object.
 */
const POOLED_OPERATIONS_MAX = 1024;

/**
 * The methods that run an operation: like the methods that describe one, but with a promise as the
 * result.
 */
export type Runs = {
  [Name in keyof EventOperations as Exclude<Name, "describe">]: EventOperations[Name] extends (
    ...args: infer Args
  ) => Operation<infer T>
    ? (...args: Args) => Promise<T>
    : never;
};

/** The values of a chain, in order. */
type Values<Chain extends readonly Operation<any>[]> = {
  [Index in keyof Chain]: Chain[Index] extends Operation<infer T> ? T : never;
};

/** Waits for the end of a chain: no operation of the chain is in flight. */
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

/**
 * The reactor for programs: the event loop, and every operation of the ring as a method that
 * returns a promise.
 */
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

  /**
   * Describes operations for `chain`. Until the chain starts, nothing is submitted and no memory is
   * allocated.
   */
  get op(): EventOperations {
    return (this.described ??= new (definitions().EventOperations)(this, null));
  }

  /** @internal Describes operations that start at once and that nobody keeps. */
  get pooled(): EventOperations {
    return (this.started ??= new (definitions().EventOperations)(this, new FreeList<Operation>(POOLED_OPERATIONS_MAX)));
  }

  /** Memory for O_DIRECT. */
  get alignedArena(): Arena {
    return (this.aligned ??= new Arena(true));
  }

  /**
   * Runs operations one after the other, without JavaScript between them (IOSQE_IO_LINK). Each
   * starts when the one before has succeeded; a short read or write ends the chain.
   * `reactor.chain(reactor.op.write(fd, data, 0), reactor.op.fsync(fd), reactor.op.closeFd(fd))`.
   *
   * Fulfilled with the values in order, once all operations are over. Rejects with the error of the
   * first operation that failed. It rejects only when the operations after that are cancelled and
   * nothing of the chain uses a descriptor any more. A signal or a time limit changes nothing in
   * that: the kernel looks up a linked operation's descriptor when that operation starts, not
   * before.
   */
  async chain<Chain extends readonly Operation<any>[]>(...operations: Chain): Promise<Values<Chain>> {
    const { Operation: Single } = single();
    const wrong = operations.findIndex((each) => !(each instanceof Single));
    if (wrong >= 0) throw invalidType(`operations[${wrong}]`, "made by reactor.op", operations[wrong]);
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
      // A missing entry would link an entry of another owner to the one before it.
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
   * Runs accept(2) repeatedly. The values are descriptors of connections, close-on-exec; the caller
   * must close them. Up to 64 wait to be taken; more wait in the kernel's queue. `for await (const
   * fd of reactor.acceptMultishot(listener))`. `break` and an aborted signal close the connections
   * that nobody has taken. Linux 5.19.
   */
  acceptMultishot(fd: number, options?: MultishotOptions): Multishot<number> {
    return multishots().accept(this, fd, options);
  }

  /**
   * Runs poll(2) repeatedly for `events`, POLLIN and so on. A value is the set of events since the
   * last value was taken. Linux 5.13.
   */
  pollMultishot(fd: number, events: number, options?: MultishotOptions): Multishot<number> {
    return multishots().poll(this, fd, events, options);
  }

  /**
   * Runs recv(2) repeatedly until the peer has ended. The values are copies of the received bytes.
   * Up to 256 KiB wait to be taken. `break` and an aborted signal drop the bytes that nobody has
   * taken. Linux 6.0.
   */
  recvMultishot(fd: number, options?: MultishotOptions): Multishot<Buffer> {
    return multishots().recv(this, fd, options);
  }

  /**
   * Runs read(2) repeatedly on a pipe, a terminal or the like, until its end. The values are copies
   * of the bytes. Up to 256 KiB wait to be taken. `break` and an aborted signal drop the bytes that
   * nobody has taken. EBADFD for a regular file. Linux 6.7.
   */
  readMultishot(fd: number, options?: MultishotOptions): Multishot<Buffer> {
    return multishots().read(this, fd, options);
  }

  /**
   * Fires every `ms` milliseconds, `times` times, or with 0 until the iteration is left. A value is
   * the number of times since the last value was taken. An iteration that fires more often than
   * every 10 ms keeps the loop awake, and the process, until it is left. Linux 6.4.
   */
  timeoutMultishot(ms: number, times = 0, options?: MultishotOptions): Multishot<number> {
    return multishots().timeout(this, ms, times, options);
  }

  /**
   * Runs getsockopt(2), and returns the option's value, of up to `bytes` bytes. `level`:
   * SOL_SOCKET, IPPROTO_TCP and so on.
   */
  async getsockopt(fd: number, level: number, name: number, bytes = 4): Promise<Buffer> {
    return socketOptions().getsockopt(fd, level, name, bytes);
  }

  /** Runs setsockopt(2). `value` is a number of 32 bits, or the option's bytes. */
  async setsockopt(fd: number, level: number, name: number, value: number | Uint8Array): Promise<void> {
    socketOptions().setsockopt(fd, level, name, value);
  }

  /** Gives back memory that is not needed while idle. */
  override trim(): void {
    super.trim();
    this.aligned?.trim();
  }

  override close(): void {
    super.close();
    this.aligned?.close();
    this.aligned = undefined;
  }

  /** Returns the method that runs an operation. A wrong argument rejects the promise. */
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
