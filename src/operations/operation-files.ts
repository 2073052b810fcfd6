/**
 * Operations on open files: read, write, sync, space, advice, moving data. The methods describe an
 * operation; operating-reactor.ts runs it.
 *
 * Data is copied from the caller when the operation starts, and to the caller when it is over. A
 * position is in bytes. The position -1 means the file's current position; pipes and sockets need
 * it.
 */
import { CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { invalidType, outOfRange, requireBytes, requireInteger, U32_MAX } from "../sys/check.ts";
import type { FreeList } from "../reactor/free-list.ts";
import { byteLengthOf } from "../sys/views.ts";
import { noResult, readKind, readvKind, theResult, writeKind, writevKind } from "./operation-data.ts";
import { Operation, type Kind, type OperationOptions } from "./operation.ts";
import type { OperatingReactor } from "./operating-reactor.ts";

const FD_MAX = 0x7fffffff;

/** A position in bytes, exact: a number, or a BigInt, up to 2^53. */
type Position = number | bigint;

/** Highest number of pieces of a vector, IOV_MAX. */
export const VECTOR_PIECES_MAX = 1024;

const fsync: Kind<void> = {
  syscall: "fsync",
  prepare: (sqe, { fd }) => void sqe.prepFsync(fd),
  finish: noResult,
};
const fdatasync: Kind<void> = {
  syscall: "fdatasync",
  prepare: (sqe, { fd }) => void sqe.prepFdatasync(fd),
  finish: noResult,
};
const syncFileRange: Kind<void> = {
  syscall: "sync_file_range",
  prepare: (sqe, { fd, length, position, flags }) => void sqe.prepSyncFileRange(fd, length, position, flags),
  finish: noResult,
};
const fallocate: Kind<void> = {
  syscall: "fallocate",
  prepare: (sqe, { fd, mode, position, length }) => void sqe.prepFallocate(fd, mode, position, length),
  finish: noResult,
};
const ftruncate: Kind<void> = {
  syscall: "ftruncate",
  prepare: (sqe, { fd, length }) => void sqe.prepFtruncate(fd, length),
  finish: noResult,
};
const fadvise: Kind<void> = {
  syscall: "fadvise",
  prepare: (sqe, { fd, position, length, mode }) => void sqe.prepFadvise(fd, position, length, mode),
  finish: noResult,
};
const splice: Kind<number> = {
  syscall: "splice",
  prepare: (sqe, { fd, position, fd2, position2, length, flags }) =>
    void sqe.prepSplice(fd, position, fd2, position2, length, flags),
  finish: theResult,
};
const tee: Kind<number> = {
  syscall: "tee",
  prepare: (sqe, { fd, fd2, length, flags }) => void sqe.prepTee(fd, fd2, length, flags),
  finish: theResult,
};
const close: Kind<void> = {
  syscall: "close",
  prepare: (sqe, { fd }) => void sqe.prepClose(fd),
  finish: noResult,
};

export class FileOperations {
  private readonly reactor: OperatingReactor;
  private readonly pool: FreeList<Operation> | null;

  /**
   * `pool`: list of operation objects to use and to give back. With null each operation is a new
   * object, for callers that keep them.
   */
  constructor(reactor: OperatingReactor, pool: FreeList<Operation> | null) {
    this.reactor = reactor;
    this.pool = pool;
  }

  /** Returns an operation of `kind` without arguments. */
  describe<T>(kind: Kind<T>, options?: OperationOptions): Operation<T> {
    const operation =
      (this.pool?.take() as Operation<T> | undefined)?.reuse(kind) ?? new Operation(this.reactor, kind, this.pool);
    return operation.limit(options);
  }

  protected onFile<T>(kind: Kind<T>, fd: number, options?: OperationOptions): Operation<T> {
    requireDescriptor("fd", fd);
    const operation = this.describe(kind, options);
    operation.fd = fd;
    return operation;
  }

  protected withBytes(
    kind: Kind<number>,
    name: string,
    fd: number,
    bytes: Uint8Array,
    options?: OperationOptions,
  ): Operation<number> {
    requireBytes(name, bytes);
    const length = byteLengthOf(bytes);
    if (length > CHUNK_BYTES_MAX) throw outOfRange(name, `at most ${CHUNK_BYTES_MAX} bytes long`, length);
    const operation = this.onFile(kind, fd, options);
    operation.data = bytes;
    operation.offset = 0;
    operation.length = length;
    return operation;
  }

  /**
   * Runs pread(2): reads up to `into.length` bytes, at most 1 MiB, and copies them to `into` when
   * they have come. The value is the number of bytes, 0 at the end.
   */
  read(fd: number, into: Uint8Array, position: Position = -1, options?: OperationOptions): Operation<number> {
    const at = positionOf("position", position);
    const operation = this.withBytes(readKind, "into", fd, into, options);
    operation.position = at;
    return operation;
  }

  /**
   * Runs pwrite(2): writes at most 1 MiB, copied when the operation starts. The value is the number
   * of written bytes, which may be fewer.
   */
  write(fd: number, data: Uint8Array, position: Position = -1, options?: OperationOptions): Operation<number> {
    const at = positionOf("position", position);
    const operation = this.withBytes(writeKind, "data", fd, data, options);
    operation.position = at;
    return operation;
  }

  private withVector(
    kind: Kind<number>,
    fd: number,
    views: readonly Uint8Array[],
    position: Position,
    options?: OperationOptions,
  ): Operation<number> {
    const at = positionOf("position", position);
    if (!Array.isArray(views) || views.length > VECTOR_PIECES_MAX || !views.every((view) => view instanceof Uint8Array))
      throw invalidType("views", `an array of at most ${VECTOR_PIECES_MAX} Uint8Array`, views);
    const operation = this.onFile(kind, fd, options);
    // A copy: the caller may change its array while the operation is in flight.
    operation.data = [...views];
    operation.position = at;
    return operation;
  }

  /** Runs preadv(2), with at most 1024 pieces of at most 1 MiB each. */
  readv(
    fd: number,
    views: readonly Uint8Array[],
    position: Position = -1,
    options?: OperationOptions,
  ): Operation<number> {
    return this.withVector(readvKind, fd, views, position, options);
  }

  /** Runs pwritev(2), with at most 1024 pieces of at most 1 MiB each. */
  writev(
    fd: number,
    views: readonly Uint8Array[],
    position: Position = -1,
    options?: OperationOptions,
  ): Operation<number> {
    return this.withVector(writevKind, fd, views, position, options);
  }

  /** Runs fsync(2). */
  fsync(fd: number, options?: OperationOptions): Operation<void> {
    return this.onFile(fsync, fd, options);
  }

  /** Runs fdatasync(2). */
  fdatasync(fd: number, options?: OperationOptions): Operation<void> {
    return this.onFile(fdatasync, fd, options);
  }

  /** Runs sync_file_range(2). `flags`: SYNC_FILE_RANGE_*; `bytes` 0 means up to the end. */
  syncFileRange(
    fd: number,
    position: Position,
    bytes: number,
    flags: number,
    options?: OperationOptions,
  ): Operation<void> {
    const at = positionOf("position", position, 0);
    requireInteger("bytes", bytes, 0, U32_MAX);
    const operation = this.onFile(syncFileRange, fd, options);
    operation.position = at;
    operation.length = bytes;
    operation.flags = flags;
    return operation;
  }

  /** Runs fallocate(2). `mode`: 0 or FALLOC_FL_*. */
  fallocate(
    fd: number,
    mode: number,
    position: Position,
    bytes: Position,
    options?: OperationOptions,
  ): Operation<void> {
    const at = positionOf("position", position, 0);
    const length = positionOf("bytes", bytes, 0);
    const operation = this.onFile(fallocate, fd, options);
    operation.mode = mode;
    operation.position = at;
    operation.length = length;
    return operation;
  }

  /** Runs ftruncate(2). Linux 6.9; EINVAL before. */
  ftruncate(fd: number, bytes: Position, options?: OperationOptions): Operation<void> {
    const length = positionOf("bytes", bytes, 0);
    const operation = this.onFile(ftruncate, fd, options);
    operation.length = length;
    return operation;
  }

  /** Runs posix_fadvise(2). `advice`: POSIX_FADV_*; `bytes` 0 means up to the end. */
  fadvise(fd: number, position: Position, bytes: number, advice: number, options?: OperationOptions): Operation<void> {
    const at = positionOf("position", position, 0);
    requireInteger("bytes", bytes, 0, U32_MAX);
    const operation = this.onFile(fadvise, fd, options);
    operation.position = at;
    operation.length = bytes;
    operation.mode = advice;
    return operation;
  }

  /**
   * Runs splice(2). A position is -1 for a pipe. `flags`: SPLICE_F_*. The value is the number of
   * bytes.
   */
  splice(
    fdIn: number,
    positionIn: Position,
    fdOut: number,
    positionOut: Position,
    bytes: number,
    flags = 0,
    options?: OperationOptions,
  ): Operation<number> {
    requireDescriptor("fdOut", fdOut);
    requireInteger("bytes", bytes, 0, U32_MAX);
    const from = positionOf("positionIn", positionIn);
    const to = positionOf("positionOut", positionOut);
    const operation = this.onFile(splice, fdIn, options);
    operation.position = from;
    operation.fd2 = fdOut;
    operation.position2 = to;
    operation.length = bytes;
    operation.flags = flags;
    return operation;
  }

  /** Runs tee(2). The value is the number of bytes. */
  tee(fdIn: number, fdOut: number, bytes: number, flags = 0, options?: OperationOptions): Operation<number> {
    requireDescriptor("fdOut", fdOut);
    requireInteger("bytes", bytes, 0, U32_MAX);
    const operation = this.onFile(tee, fdIn, options);
    operation.fd2 = fdOut;
    operation.length = bytes;
    operation.flags = flags;
    return operation;
  }

  /** Runs close(2). */
  closeFd(fd: number, options?: OperationOptions): Operation<void> {
    return this.onFile(close, fd, options);
  }
}

export function requireDescriptor(name: string, fd: number): void {
  // The type comes first: the operator throws for a BigInt, and runs the code of an object.
  if (typeof fd !== "number" || (fd | 0) !== fd || fd < 0) requireInteger(name, fd, 0, FD_MAX);
}

/**
 * Returns a position or a length as a number. It must be an integer from `least` to 2^53, or a
 * BigInt in that range.
 */
export function positionOf(name: string, position: number | bigint, least = -1): number {
  const value = typeof position === "bigint" ? Number(position) : position;
  if (!(Number.isSafeInteger(value) && value >= least)) requireInteger(name, value, least, Number.MAX_SAFE_INTEGER);
  return value;
}
