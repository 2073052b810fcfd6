/**
 * Files on the ring.
 *
 * The data is copied between the caller's memory and the arena's, in pieces of at most 1 MiB.
 * Memory that nobody else has yet (`readFresh`) is the exception: from ADOPTED_BYTES_MIN on, the
 * kernel reads into it directly.
 */
import { constants, fstatSync, ftruncate } from "node:fs";
import { promisify } from "node:util";
import { ADOPTED_BYTES_MIN, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { POLLIN } from "../sys/socket-abi.ts";
import { ENXIO, SystemError } from "../sys/errno.ts";
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
import { readvKind, writeKind, writevKind } from "../operations/operation-data.ts";
import { VECTOR_PIECES_MAX } from "../operations/operation-files.ts";
import type { Kind, Operation, OperationOptions } from "../operations/operation.ts";
import type { OperatingReactor } from "../operations/operating-reactor.ts";
import { EARLY_SUBMIT_BYTES } from "../reactor/turn.ts";
import type { Path } from "./arguments.ts";
import type { Backend, ReadResult } from "./backend.ts";
import { PATH_LENGTH_MAX } from "./direct-file.ts";
import { DirectFiles } from "./direct-files.ts";
import { adoptedRead, handleRead, ownedOpen, statKinds } from "./file-kinds.ts";
import { type FifoOpener, isFifo, openForReader, writerOf } from "./fifo.ts";
import type { OpenFile } from "./open-file.ts";
import { type MovePiece, partBefore, pieces, sumOf, takesAll } from "./pieces.ts";
import type { BigIntStats, Stats } from "./stats.ts";
import { WholeRead } from "./whole-read.ts";
import { WholeWrite } from "./whole-write.ts";

/** lseek(2). */
const SEEK_SET = 0;
const SEEK_CUR = 1;
const SEEK_END = 2;

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_NONBLOCK } = constants;
/** Bytes of a piece for a descriptor that takes few bytes at a time: the usual size of a pipe. */
const PIPE_BYTES = 65536;

/** Largest number of bytes of one read or write in the kernel: MAX_RW_COUNT. */
const BYTES_MAX = 0x7ffff000;

/**
 * A disk is idle until it gets a read. So the reactor submits after 12 direct reads, even if more
 * completions wait to be handled.
 */
const DIRECT_READ_WEIGHT_BYTES = EARLY_SUBMIT_BYTES / 12;

const identity = (bytes: number): number => bytes;

/** `flags`: the descriptor's O_*, or -errno. A write at a position is none. */
const isAppend = (flags: number, position: number): boolean => position < 0 && flags >= 0 && (flags & O_APPEND) !== 0;

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

  /**
   * The ring opens a FIFO without O_CREAT and O_TRUNC like one with O_NONBLOCK: a reader does not
   * wait for a writer, and a writer without a reader gets ENXIO.
   */
  async open(path: Path, flags: number, mode: number, options?: OperationOptions): Promise<number> {
    const access = (flags & (O_CREAT | O_TRUNC | O_NONBLOCK)) === 0 ? flags & (O_WRONLY | O_RDWR) : -1;
    let fd: number;
    try {
      fd = await this.openOnce(path, flags, mode, options);
    } catch (error) {
      if (access !== O_WRONLY || !(error instanceof SystemError && error.errno === -ENXIO)) throw error;
      return await openForReader(this.fifoOpener, path, flags, error, options);
    }
    if (access === O_RDONLY && isFifo(fd)) await writerOf(this.fifoOpener, fd, path, flags, options);
    return fd;
  }

  private readonly fifoOpener: FifoOpener = {
    open: (path, flags, options) => this.openOnce(path, flags, 0, options),
    close: (fd) => this.close(fd),
    poll: (fd, options) => this.reactor.poll(fd, POLLIN, options),
  };

  private async openOnce(
    path: Path,
    flags: number,
    mode: number,
    options: OperationOptions | undefined,
  ): Promise<number> {
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
    file.requirePosition(position, "read");
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
    file.requirePosition(position, "read");
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
    file.requirePosition(position, "write");
    const flags = native().rl_status_flags(fd);
    const isOwn = position < 0;
    const appends = isAppend(flags, position);
    if (direct !== null && isOwn) {
      const advance = direct.advance(length, (at) => this.write(file, view, offset, length, at, options), identity);
      return appends ? await this.atEnd(file, advance) : advance;
    }
    // If an error follows a written part, for example on a full disk, the kernel does not move the
    // file's position for that part. So the position is moved before the write, and corrected if
    // less was written. A file without seeking, such as a pipe, has no position. An append needs
    // none, and moves it to the end.
    let from = position;
    if (isOwn && !appends) {
      const end = native().rl_seek(fd, length, SEEK_CUR);
      if (end >= 0) from = end - length;
    }
    let total = 0;
    let most = CHUNK_BYTES_MAX;
    file.retain();
    try {
      for (;;) {
        const operation = this.on(file, writeKind, from < 0 ? -1 : from + total, options);
        operation.data = view;
        operation.offset = offset + total;
        const bytes = (operation.length = Math.min(length - total, most));
        const written = await operation.start();
        total += written;
        if (total === length || written === 0) return total;
        if (written === bytes) continue;
        if (!takesAll(fd, flags)) return total;
        most = PIPE_BYTES;
      }
    } catch (error) {
      return partBefore(error, total, "write", options);
    } finally {
      if (appends && total > 0) native().rl_seek(fd, 0, SEEK_END);
      else if (isOwn && from >= 0 && total < length) native().rl_seek(fd, from + total, SEEK_SET);
      file.release();
    }
  }

  /** Moves a file's own position to the end after an append: the ring does it only at times. */
  private async atEnd(file: OpenFile, appending: Promise<number>): Promise<number> {
    return file.during(async () => {
      const bytes = await appending;
      if (bytes > 0 && file.direct !== null) file.direct.moveTo(fstatSync(file.fd).size);
      else if (bytes > 0) native().rl_seek(file.fd, 0, SEEK_END);
      return bytes;
    });
  }

  readv(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number> {
    return this.vector(file, readvKind, views, position, async (view, offset, bytes, at) => {
      const { bytesRead } = await this.read(file, view, offset, bytes, at);
      return bytesRead;
    });
  }

  async writev(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number> {
    const write = (view: NodeJS.ArrayBufferView, offset: number, bytes: number, at: number): Promise<number> =>
      this.write(file, view, offset, bytes, at);
    const flags = native().rl_status_flags(file.fd);
    const appends = isAppend(flags, position);
    const lengths = views.map(byteLengthOf);
    return file.during(async () => {
      const writing = this.vector(file, writevKind, views, position, write);
      const written = await (appends ? this.atEnd(file, writing) : writing);
      if (written === 0 || written >= sumOf(lengths) || !takesAll(file.fd, flags)) return written;
      return pieces("writev", views, lengths, written, position, write);
    });
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
    each: MovePiece,
  ): Promise<number> {
    const { direct } = file;
    const lengths = views.map(byteLengthOf);
    if (direct !== null && position < 0)
      return direct.advance(sumOf(lengths), (at) => this.vector(file, kind, views, at, each), identity);
    file.requirePosition(position, `p${kind.syscall}`); // preadv(2), as in Bun.
    if (views.length <= VECTOR_PIECES_MAX && lengths.every((bytes) => bytes <= CHUNK_BYTES_MAX)) {
      const operation = this.on(file, kind, position);
      operation.data = views;
      return operation.start();
    }
    return file.during(() => pieces(kind.syscall, views, lengths, 0, position, each));
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
