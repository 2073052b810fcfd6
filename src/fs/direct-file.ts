/**
 * A file in a slot of the ring's registered files, which the first of several linked entries opens.
 * Reading and writing whole files share this class.
 *
 * Guarantees: memory and slot are in use until the last completion. A pending promise keeps the
 * process alive.
 */
import { giveBack, copyIn } from "../operations/operation-data.ts";
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Kind, Operation } from "../operations/operation.ts";
import type { OperatingReactor } from "../operations/operating-reactor.ts";
import { ADOPTED_BYTES_MIN, type Chunk, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { EINTR, SystemError } from "../sys/errno.ts";
import type { Sqe } from "../ring/sqe.ts";
import { byteLengthOf, copyAll } from "../sys/views.ts";
import type { Path } from "./arguments.ts";
import type { DirectFiles } from "./direct-files.ts";

/** The kernel refuses longer paths (ENAMETOOLONG), so an open without a slot handles them. */
export const PATH_LENGTH_MAX = 4095;

/** Returns the largest size of a path in bytes, with its NUL. */
export const pathBytesMax = (path: Path): number => (typeof path === "string" ? path.length * 3 : path.length) + 1;

/** Kinds of entries, for their completions. */
export const OPEN = 0;
export const MOVE = 1;
export const AFTER = 2;
export const CLOSE = 3;
/** Result of an entry that reports only a failure, and has not failed. */
export const SUCCESS = Infinity;

/** The kernel refuses this flag for a file without a descriptor. */
const O_CLOEXEC = 0o2000000;

/** Whether an operation did nothing and must be repeated. */
export const isInterrupted = (result: number): boolean => result === -EINTR;

/** Reads into `data`, which nobody else has yet. */
const readKind: Kind<number> = {
  syscall: "read",
  place(operation) {
    const { length } = operation;
    const isAdopted = length >= ADOPTED_BYTES_MIN;
    operation.address = (isAdopted ? operation.adopt(operation.data as Buffer) : operation.room(length)).address;
    operation.lent = length;
  },
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepRead(fd, address, lent, position).fixedFile(),
  moves: true,
  finish(operation, result) {
    const { chunk, data, length } = operation;
    if (length < ADOPTED_BYTES_MIN) giveBack(chunk!, result, data as Buffer, 0);
    return result;
  },
};

const writeKind: Kind<number> = {
  syscall: "write",
  place(operation) {
    const { data, offset, length } = operation;
    const chunk = operation.room(length);
    operation.lent = copyIn(chunk, data as NodeJS.ArrayBufferView, offset, length);
    operation.address = chunk.address;
  },
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepWrite(fd, address, lent, position).fixedFile(),
  moves: true,
  finish: (_operation, result) => result,
};

const truncateKind: Kind<void> = {
  syscall: "ftruncate",
  prepare: (sqe, { fd, length }) => void sqe.prepFtruncate(fd, length).fixedFile(),
  finish() {},
};

export abstract class DirectFile<T> implements OperationOwner {
  readonly promise: Promise<T>;

  protected readonly reactor: OperatingReactor;
  protected readonly path: Path;
  protected readonly flags: number;
  /** Slot of the registered files. */
  protected readonly index: number;
  /** Slot in the reactor's table of operations. */
  protected readonly slot: number;
  /** Results of the entries, by kind. */
  protected readonly results: number[] = [0, 0, 0, 0];
  protected chunk: Chunk | null = null;
  protected resolve!: (value: T | Promise<T>) => void;
  protected reject!: (reason: unknown) => void;

  private readonly files: DirectFiles;
  /** Bits of the kinds whose completions may still come. */
  private outstanding = 0;
  /** Bits of those kinds that report only a failure. */
  private silent = 0;
  private isClosing = false;
  private closed: (() => void) | undefined;

  /** Owns the slot `index` from now on. `flags`: O_*. */
  constructor(reactor: OperatingReactor, files: DirectFiles, index: number, path: Path, flags: number) {
    this.reactor = reactor;
    this.files = files;
    this.index = index;
    this.path = path;
    this.flags = flags & ~O_CLOEXEC;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.slot = reactor.lane.operations.acquire(this);
  }

  /**
   * Copies the data into the memory that the kernel sees, and submits. Throws the errors of the
   * memory; nothing is left then.
   */
  start(): Promise<T> {
    try {
      this.chunk = this.place();
    } catch (error) {
      this.free();
      throw error;
    }
    this.reactor.ref();
    this.submit();
    return this.promise;
  }

  protected abstract place(): Chunk;
  /**
   * Submits linked entries, the first of which opens the file. Each is given to `expect` or
   * `expectFailure`.
   */
  protected abstract submit(): void;
  /** Called when all entries are over. */
  protected abstract arrived(): void;

  /** Prepares an entry for submission that always has a completion. */
  protected expect(sqe: Sqe, kind: number): void {
    this.outstanding |= 1 << kind;
    this.reactor.lane.tag(sqe, this.slot, kind);
  }

  /**
   * Prepares an entry of the chain for submission that has a completion only if it fails. Then the
   * entries after it have no completions (IOSQE_CQE_SKIP_SUCCESS). So the thread does not wake
   * before the last completion.
   */
  protected expectFailure(sqe: Sqe, kind: number): void {
    this.silent |= 1 << kind;
    this.expect(sqe.skipSuccess(), kind);
  }

  complete(kind: number, result: number): void {
    this.results[kind] = result;
    this.outstanding &= ~(1 << kind);
    const isChainOver = (this.silent & (1 << kind)) !== 0;
    if (!isChainOver && (this.outstanding & ~this.silent) !== 0) return;
    this.endSilent();
    if (this.isClosing) {
      this.free();
      this.closed?.();
      return;
    }
    const open = this.results[OPEN]!;
    if (open >= 0) return this.arrived();
    if (isInterrupted(open)) return this.submit();
    this.fail(new SystemError(-open, "open", { path: this.path.toString() }));
    this.free();
  }

  /**
   * Ends the entries that report only a failure, when no more completions come. They have
   * succeeded, or follow a failed entry.
   */
  private endSilent(): void {
    for (let kind = 0; this.outstanding !== 0; kind++) {
      const bit = 1 << kind;
      if ((this.outstanding & bit) === 0) continue;
      this.outstanding &= ~bit;
      this.reactor.lane.operations.end(this.slot, kind);
      this.results[kind] = SUCCESS;
    }
    this.silent = 0;
  }

  /** Fulfils the promise. The file may still be open. */
  protected succeed(value: T): void {
    this.leave();
    this.resolve(value);
  }

  protected fail(error: unknown): void {
    this.leave();
    this.reject(error);
  }

  private leave(): void {
    this.reactor.arena.free(this.chunk!);
    this.chunk = null;
    this.reactor.unref();
  }

  /** Closes the file. Calls `then` after the close. */
  protected close(then?: () => void): void {
    this.isClosing = true;
    this.closed = then;
    this.expect(this.reactor.lane.nextSqe().prepCloseDirect(this.index), CLOSE);
  }

  /** Frees the slots. The file is closed, or was never open. */
  protected free(): void {
    this.files.give(this.index);
    this.reactor.lane.operations.release(this.slot);
  }

  /**
   * Reads up to `into.length` bytes. `position` -1 means the file's own position. That position
   * does not move if an error follows a part of the bytes.
   */
  protected read(into: Buffer, position: number): Promise<number> {
    const operation = this.operation(readKind, position);
    operation.data = into;
    operation.length = into.length;
    return operation.start();
  }

  /** Writes up to `length` bytes, and at most 1 MiB. */
  protected write(from: NodeJS.ArrayBufferView, offset: number, length: number, position: number): Promise<number> {
    const operation = this.operation(writeKind, position);
    operation.data = from;
    operation.offset = offset;
    operation.length = Math.min(length, CHUNK_BYTES_MAX);
    return operation.start();
  }

  protected truncate(bytes: number): Promise<void> {
    const operation = this.operation(truncateKind, 0);
    operation.length = bytes;
    return operation.start();
  }

  private operation<R>(kind: Kind<R>, position: number): Operation<R> {
    const operation = this.reactor.pooled.describe(kind);
    operation.fd = this.index;
    operation.position = position;
    return operation;
  }
}

/** Writes a path with its NUL into a chunk, at `offset`. */
export function placePath(path: Path, chunk: Chunk, offset: number): void {
  const { buffer } = chunk;
  let end = offset;
  if (typeof path === "string") end += buffer.utf8Write(path, offset);
  else {
    const bytes = byteLengthOf(path);
    copyAll(path, 0, bytes, buffer, offset);
    end += bytes;
  }
  buffer[end] = 0;
}
