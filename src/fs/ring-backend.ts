/**
 * Files on the ring.
 *
 * The data is copied between the caller's memory and the arena's, in pieces of at most 1 MiB.
 * Memory that nobody else has yet (`readFresh`) is the exception: from ADOPTED_BYTES_MIN on, the
 * kernel reads into it directly.
 */
import { ftruncate } from "node:fs";
import { promisify } from "node:util";
import { ADOPTED_BYTES_MIN, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { SystemError } from "../sys/errno.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  RENAME_NOREPLACE,
  STATX_BASIC_STATS,
  STATX_BTIME,
} from "../sys/linux.ts";
import { native } from "../sys/library.ts";
import { owned } from "../sys/owned.ts";
import { byteLengthOf } from "../sys/views.ts";
import { giveBack, placeRoom, readvKind, writeKind, writevKind } from "../operations/operation-data.ts";
import { VECTOR_PIECES_MAX } from "../operations/operation-files.ts";
import { openKind, statKind } from "../operations/operation-paths.ts";
import type { Kind, Operation, OperationOptions } from "../operations/operation.ts";
import type { OperatingReactor } from "../operations/operating-reactor.ts";
import { EARLY_SUBMIT_BYTES } from "../reactor/turn.ts";
import type { Path } from "./arguments.ts";
import type { Backend, ReadResult } from "./backend.ts";
import { PATH_LENGTH_MAX } from "./direct-file.ts";
import { DirectFiles } from "./direct-files.ts";
import type { OpenFile } from "./open-file.ts";
import { BigIntStats, Stats } from "./stats.ts";
import { WholeRead } from "./whole-read.ts";
import { WholeWrite } from "./whole-write.ts";

/** lseek(2). */
const SEEK_SET = 0;
const SEEK_CUR = 1;

/** Largest number of bytes of one read or write in the kernel: MAX_RW_COUNT. */
const BYTES_MAX = 0x7ffff000;

/**
 * A disk is idle until it gets a read. So the reactor submits after 12 direct reads, even if more
 * completions wait to be handled.
 */
const DIRECT_READ_WEIGHT_BYTES = EARLY_SUBMIT_BYTES / 12;

/** Opens a file. The thread owns the descriptor until it is closed. */
const ownedOpen: Kind<number> = {
  ...openKind,
  finish(_operation, fd) {
    owned().add(fd);
    return fd;
  },
};

/** A read with the value of Node's FileHandle.read. */
const handleRead: Kind<ReadResult<NodeJS.ArrayBufferView>> = {
  syscall: "read",
  place: placeRoom,
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepRead(fd, address, lent, position),
  moves: true,
  finish(operation, bytesRead) {
    const view = operation.data as NodeJS.ArrayBufferView;
    giveBack(operation.chunk!, bytesRead, view, operation.offset);
    return { bytesRead, buffer: view };
  },
};

const adoptedRead: Kind<ReadResult<Buffer>> = {
  syscall: "read",
  place(operation) {
    operation.address = operation.adopt(operation.data as Buffer).address;
    operation.lent = operation.length;
  },
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepRead(fd, address, lent, position),
  moves: true,
  finish: (operation, bytesRead) => ({ bytesRead, buffer: operation.data as Buffer }),
};

/** Kinds by system call, and by numbers or BigInts. */
const statKinds = { stat: statKindsOf("stat"), lstat: statKindsOf("lstat"), fstat: statKindsOf("fstat") };

function statKindsOf(syscall: string): { numbers: Kind<Stats>; bigints: Kind<BigIntStats> } {
  return {
    numbers: statKind(syscall, (statx) => new Stats(statx)),
    bigints: statKind(syscall, (statx) => new BigIntStats(statx)),
  };
}

/** Throws the error of a piece as an error of the whole operation. */
function throwAs(syscall: string, error: unknown): never {
  if (!(error instanceof SystemError)) throw error;
  throw new SystemError(-error.errno, syscall);
}

const identity = (bytes: number): number => bytes;

export class RingBackend implements Backend {
  private readonly reactor: OperatingReactor;
  private readonly directFiles: DirectFiles;

  constructor(reactor: OperatingReactor) {
    this.reactor = reactor;
    this.directFiles = new DirectFiles(reactor);
  }

  /** Returns an operation that keeps the file open until its last completion. */
  private on<T>(file: OpenFile, kind: Kind<T>, position: number, options?: OperationOptions): Operation<T> {
    const operation = this.reactor.pooled.describe(kind, options).heldBy(file);
    operation.fd = file.fd;
    operation.position = position;
    operation.aligned = file.direct !== null;
    return operation;
  }

  open(path: Path, flags: number, mode: number, options?: OperationOptions): Promise<number> {
    const operation = this.reactor.pooled.describe(ownedOpen, options);
    operation.fd = AT_FDCWD;
    operation.path = path;
    operation.flags = flags;
    operation.mode = mode;
    return operation.start();
  }

  readWhole(path: Path, flags: number): Promise<Buffer> | undefined {
    const index = path.length <= PATH_LENGTH_MAX ? this.directFiles.take() : -1;
    return index < 0 ? undefined : new WholeRead(this.reactor, this.directFiles, index, path, flags).start();
  }

  writeWhole(
    path: Path,
    flags: number,
    mode: number,
    view: NodeJS.ArrayBufferView,
    length: number,
  ): Promise<void> | undefined {
    const index = path.length <= PATH_LENGTH_MAX ? this.directFiles.take() : -1;
    if (index < 0) return undefined;
    return new WholeWrite(this.reactor, this.directFiles, index, path, flags, mode, view, length).start();
  }

  close(fd: number): Promise<void> {
    owned().delete(fd);
    return this.reactor.closeFd(fd);
  }

  read<View extends NodeJS.ArrayBufferView>(
    file: OpenFile,
    view: View,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<ReadResult<View>> {
    const { direct } = file;
    if (direct !== null && position < 0) {
      const readAt = (at: number) => this.read(file, view, offset, length, at, options);
      return direct.advance(length, readAt, ({ bytesRead }) => bytesRead);
    }
    if (length > CHUNK_BYTES_MAX)
      return file.during(() => this.readPieces(file, view, offset, length, position, options));
    const operation = this.on(file, handleRead, position, options);
    operation.data = view;
    operation.offset = offset;
    operation.length = length;
    if (direct !== null) this.reactor.unsubmittedBytes += DIRECT_READ_WEIGHT_BYTES;
    return operation.start() as unknown as Promise<ReadResult<View>>;
  }

  private async readPieces<View extends NodeJS.ArrayBufferView>(
    file: OpenFile,
    view: View,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<ReadResult<View>> {
    let total = 0;
    for (;;) {
      const bytes = Math.min(length - total, CHUNK_BYTES_MAX);
      const at = position < 0 ? -1 : position + total;
      const { bytesRead } = await this.read(file, view, offset + total, bytes, at, options);
      total += bytesRead;
      if (bytesRead < bytes || total === length) return { bytesRead: total, buffer: view };
    }
  }

  readFresh(file: OpenFile, bytes: Buffer, position: number, options?: OperationOptions): Promise<ReadResult<Buffer>> {
    const { length } = bytes;
    if (length < ADOPTED_BYTES_MIN || file.direct !== null) return this.read(file, bytes, 0, length, position, options);
    const operation = this.on(file, adoptedRead, position, options);
    operation.data = bytes;
    operation.length = Math.min(length, BYTES_MAX);
    return operation.start();
  }

  async write(
    file: OpenFile,
    view: NodeJS.ArrayBufferView,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<number> {
    const { direct, fd } = file;
    if (direct !== null && position < 0)
      return direct.advance(length, (at) => this.write(file, view, offset, length, at, options), identity);
    // If an error follows a written part, for example on a full disk, the kernel does not move the
    // file's position for that part. So the position is moved before the write, and corrected if
    // less was written. A file without seeking, such as a pipe, has no position.
    let from = position;
    if (position < 0) {
      const end = native().rl_seek(fd, length, SEEK_CUR);
      if (end >= 0) from = end - length;
    }
    let total = 0;
    file.retain();
    try {
      for (;;) {
        const operation = this.on(file, writeKind, from < 0 ? -1 : from + total, options);
        operation.data = view;
        operation.offset = offset + total;
        const bytes = (operation.length = Math.min(length - total, CHUNK_BYTES_MAX));
        const written = await operation.start();
        total += written;
        if (written < bytes || total === length) return total;
      }
    } finally {
      if (position < 0 && from >= 0 && total < length) native().rl_seek(fd, from + total, SEEK_SET);
      file.release();
    }
  }

  readv(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number> {
    return this.vector(file, readvKind, views, position, async (view, bytes, at) => {
      const { bytesRead } = await this.read(file, view, 0, bytes, at);
      return bytesRead;
    });
  }

  writev(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number> {
    return this.vector(file, writevKind, views, position, (view, bytes, at) => this.write(file, view, 0, bytes, at));
  }

  /**
   * Runs one operation. If a piece is larger than a chunk, or there are too many pieces, `each`
   * moves the pieces one after the other.
   */
  private vector(
    file: OpenFile,
    kind: Kind<number>,
    views: NodeJS.ArrayBufferView[],
    position: number,
    each: (view: NodeJS.ArrayBufferView, bytes: number, position: number) => Promise<number>,
  ): Promise<number> {
    const { direct } = file;
    const lengths = views.map(byteLengthOf);
    if (direct !== null && position < 0) {
      const length = lengths.reduce((sum, bytes) => sum + bytes, 0);
      return direct.advance(length, (at) => this.vector(file, kind, views, at, each), identity);
    }
    if (views.length <= VECTOR_PIECES_MAX && lengths.every((bytes) => bytes <= CHUNK_BYTES_MAX)) {
      const operation = this.on(file, kind, position);
      operation.data = views;
      return operation.start();
    }
    return file.during(async () => {
      let total = 0;
      for (const [i, view] of views.entries()) {
        const bytes = lengths[i]!;
        const at = position < 0 ? -1 : position + total;
        const moved = bytes === 0 ? 0 : await each(view, bytes, at).catch((error) => throwAs(kind.syscall, error));
        total += moved;
        if (moved < bytes) break;
      }
      return total;
    });
  }

  sync(file: OpenFile): Promise<void> {
    return this.reactor.pooled.fsync(file.fd).heldBy(file).start();
  }

  datasync(file: OpenFile): Promise<void> {
    return this.reactor.pooled.fdatasync(file.fd).heldBy(file).start();
  }

  truncate(file: OpenFile, bytes: number): Promise<void> {
    return file.during(async () => {
      try {
        await this.reactor.ftruncate(file.fd, bytes);
      } catch (error) {
        // Linux before 6.9 has no such operation.
        if (!(error instanceof SystemError && error.code === "EINVAL")) throw error;
        await promisify(ftruncate)(file.fd, bytes);
      }
    });
  }

  allocate(file: OpenFile, mode: number, position: number, bytes: number): Promise<void> {
    return this.reactor.pooled.fallocate(file.fd, mode, position, bytes).heldBy(file).start();
  }

  fstat(file: OpenFile, isBig: boolean): Promise<Stats | BigIntStats> {
    return this.statx("fstat", isBig, file.fd, undefined, AT_EMPTY_PATH, undefined, file);
  }

  stat(path: Path, followsLinks: boolean, isBig: boolean, options?: OperationOptions): Promise<Stats | BigIntStats> {
    const flags = followsLinks ? 0 : AT_SYMLINK_NOFOLLOW;
    return this.statx(followsLinks ? "stat" : "lstat", isBig, AT_FDCWD, path, flags, options);
  }

  private statx(
    name: keyof typeof statKinds,
    isBig: boolean,
    directory: number,
    path: Path | undefined,
    flags: number,
    options?: OperationOptions,
    holder?: OpenFile,
  ): Promise<Stats | BigIntStats> {
    const { numbers, bigints } = statKinds[name];
    const operation = this.reactor.pooled.describe<Stats | BigIntStats>(isBig ? bigints : numbers, options);
    if (holder !== undefined) operation.heldBy(holder);
    operation.fd = directory;
    operation.path = path;
    operation.flags = flags;
    operation.mode = STATX_BASIC_STATS | STATX_BTIME;
    return operation.start();
  }

  rename(path: Path, newPath: Path, options?: OperationOptions): Promise<void> {
    return this.reactor.renameat(AT_FDCWD, path, AT_FDCWD, newPath, 0, options);
  }

  async renameNew(path: Path, newPath: Path): Promise<void> {
    try {
      await this.reactor.renameat(AT_FDCWD, path, AT_FDCWD, newPath, RENAME_NOREPLACE);
    } catch (error) {
      // Some file systems, such as NFS, cannot do it in one step.
      if (!(error instanceof SystemError && error.code === "EINVAL")) throw error;
      await this.link(path, newPath);
      await this.unlink(path);
    }
  }

  unlink(path: Path, options?: OperationOptions): Promise<void> {
    return this.reactor.unlinkat(AT_FDCWD, path, 0, options);
  }

  rmdir(path: Path, options?: OperationOptions): Promise<void> {
    return this.reactor.unlinkat(AT_FDCWD, path, AT_REMOVEDIR, options);
  }

  mkdir(path: Path, mode: number, options?: OperationOptions): Promise<void> {
    return this.reactor.mkdirat(AT_FDCWD, path, mode, options);
  }

  symlink(target: Path, path: Path, options?: OperationOptions): Promise<void> {
    return this.reactor.symlinkat(target, AT_FDCWD, path, options);
  }

  link(path: Path, newPath: Path, options?: OperationOptions): Promise<void> {
    return this.reactor.linkat(AT_FDCWD, path, AT_FDCWD, newPath, 0, options);
  }
}
