/**
 * Files on the ring.
 *
 * Data is copied between the caller's memory and the arena's, in pieces of at most 1 MiB. Only memory that nobody else has yet
 * (`readFresh`) is read into where it lies, from ADOPTED_BYTES_MIN on.
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
  STATX_BASIC_STATS,
  STATX_BTIME,
} from "../sys/linux.ts";
import { native } from "../sys/library.ts";
import { owned } from "../sys/owned.ts";
import { readKind, readvKind, theLength, writeKind, writevKind } from "../reactor/operation-data.ts";
import { openKind, statKind } from "../reactor/operation-paths.ts";
import type { Kind, Operation, OperationOptions } from "../reactor/operation.ts";
import { EARLY_SUBMIT_BYTES, type Reactor } from "../reactor/reactor.ts";
import type { Backend, ReadResult } from "./backend.ts";
import type { DirectPosition } from "./direct-position.ts";
import { Stats } from "./stats.ts";

/** lseek(2). */
const SEEK_SET = 0;
const SEEK_CUR = 1;

/** Of one read or write, so the kernel: MAX_RW_COUNT. */
const BYTES_MAX = 0x7ffff000;

/** A disk is idle until it is told: after 12 reads of its own they are submitted, though more completions wait to be seen. */
const DIRECT_READ_WEIGHT_BYTES = EARLY_SUBMIT_BYTES / 12;

/** The descriptor is the thread's until it is closed. */
const ownedOpen: Kind<number> = {
  ...openKind,
  finish(_operation, fd) {
    owned().add(fd);
    return fd;
  },
};

/** A read whose value is that of Node's FileHandle.read. */
const handleRead: Kind<ReadResult<NodeJS.ArrayBufferView>> = {
  syscall: "read",
  place: readKind.place as unknown as (operation: Operation<ReadResult<NodeJS.ArrayBufferView>>) => void,
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepRead(fd, address, length, position),
  bytesMax: theLength,
  finish(operation, bytesRead) {
    const view = operation.data as NodeJS.ArrayBufferView;
    operation.chunk!.buffer.copy(bytesOf(view), operation.offset, 0, bytesRead);
    return { bytesRead, buffer: view };
  },
};

const adoptedRead: Kind<ReadResult<Buffer>> = {
  syscall: "read",
  place(operation) {
    operation.address = operation.adopt(operation.data as Buffer).address;
  },
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepRead(fd, address, length, position),
  bytesMax: theLength,
  finish: (operation, bytesRead) => ({ bytesRead, buffer: operation.data as Buffer }),
};

const toStats = { stat: statKind("stat", newStats), lstat: statKind("lstat", newStats) };
const toStatsOfFd = statKind("fstat", newStats);

function newStats(statx: ConstructorParameters<typeof Stats>[0]): Stats {
  return new Stats(statx);
}

const identity = (bytes: number): number => bytes;

export function bytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  return view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

export class RingBackend implements Backend {
  private readonly reactor: Reactor;

  constructor(reactor: Reactor) {
    this.reactor = reactor;
  }

  open(path: string, flags: number, mode: number, options?: OperationOptions): Promise<number> {
    const operation = this.reactor.pooled.describe(ownedOpen, options);
    operation.fd = AT_FDCWD;
    operation.path = path;
    operation.flags = flags;
    operation.mode = mode;
    return operation.start();
  }

  close(fd: number): Promise<void> {
    owned().delete(fd);
    return this.reactor.closeFd(fd);
  }

  read<View extends NodeJS.ArrayBufferView>(
    fd: number,
    view: View,
    offset: number,
    length: number,
    position: number,
    direct: DirectPosition | null,
    options?: OperationOptions,
  ): Promise<ReadResult<View>> {
    if (direct !== null && position < 0) {
      const readAt = (at: number) => this.read(fd, view, offset, length, at, direct, options);
      return direct.advance(length, readAt, ({ bytesRead }) => bytesRead);
    }
    if (length > CHUNK_BYTES_MAX) return this.readPieces(fd, view, offset, length, position, direct, options);
    const operation = this.reactor.pooled.describe(handleRead, options);
    operation.fd = fd;
    operation.data = view;
    operation.offset = offset;
    operation.length = length;
    operation.position = position;
    if (direct !== null) {
      operation.aligned = true;
      this.reactor.unsubmittedBytes += DIRECT_READ_WEIGHT_BYTES;
    }
    return operation.start() as unknown as Promise<ReadResult<View>>;
  }

  private async readPieces<View extends NodeJS.ArrayBufferView>(
    fd: number,
    view: View,
    offset: number,
    length: number,
    position: number,
    direct: DirectPosition | null,
    options?: OperationOptions,
  ): Promise<ReadResult<View>> {
    let total = 0;
    for (;;) {
      const bytes = Math.min(length - total, CHUNK_BYTES_MAX);
      const at = position < 0 ? -1 : position + total;
      const { bytesRead } = await this.read(fd, view, offset + total, bytes, at, direct, options);
      total += bytesRead;
      if (bytesRead < bytes || total === length) return { bytesRead: total, buffer: view };
    }
  }

  readFresh(
    fd: number,
    bytes: Buffer,
    position: number,
    direct: DirectPosition | null,
    options?: OperationOptions,
  ): Promise<ReadResult<Buffer>> {
    const { length } = bytes;
    if (length < ADOPTED_BYTES_MIN || direct !== null)
      return this.read(fd, bytes, 0, length, position, direct, options);
    const operation = this.reactor.pooled.describe(adoptedRead, options);
    operation.fd = fd;
    operation.data = bytes;
    operation.length = Math.min(length, BYTES_MAX);
    operation.position = position;
    return operation.start();
  }

  async write(
    fd: number,
    bytes: Uint8Array,
    position: number,
    direct: DirectPosition | null,
    options?: OperationOptions,
  ): Promise<number> {
    if (direct !== null && position < 0)
      return direct.advance(bytes.length, (at) => this.write(fd, bytes, at, direct, options), identity);
    // The kernel does not move the file's position for a part that was written before an error, such as of a full disk. So the position is
    // moved before, and set right when less was written. What cannot be sought in, a pipe, has none.
    let from = position;
    if (position < 0) {
      const end = native().rl_seek(fd, bytes.length, SEEK_CUR);
      if (end >= 0) from = end - bytes.length;
    }
    let total = 0;
    try {
      for (;;) {
        const operation = this.reactor.pooled.describe(writeKind, options);
        operation.fd = fd;
        operation.data = bytes;
        operation.offset = total;
        const length = (operation.length = Math.min(bytes.length - total, CHUNK_BYTES_MAX));
        operation.position = from < 0 ? -1 : from + total;
        operation.aligned = direct !== null;
        const written = await operation.start();
        total += written;
        if (written < length || total === bytes.length) return total;
      }
    } finally {
      if (position < 0 && from >= 0 && total < bytes.length) native().rl_seek(fd, from + total, SEEK_SET);
    }
  }

  readv(fd: number, views: Uint8Array[], position: number, direct: DirectPosition | null): Promise<number> {
    return this.vector(readvKind, fd, views, position, direct);
  }

  writev(fd: number, views: Uint8Array[], position: number, direct: DirectPosition | null): Promise<number> {
    return this.vector(writevKind, fd, views, position, direct);
  }

  /** A piece that is larger than a chunk ends the vector: the count says how far it got. */
  private vector(
    kind: Kind<number>,
    fd: number,
    views: Uint8Array[],
    position: number,
    direct: DirectPosition | null,
  ): Promise<number> {
    if (direct !== null && position < 0) {
      const length = views.reduce((sum, view) => sum + view.length, 0);
      return direct.advance(length, (at) => this.vector(kind, fd, views, at, direct), identity);
    }
    const large = views.findIndex((view) => view.length > CHUNK_BYTES_MAX);
    const operation = this.reactor.pooled.describe(kind);
    operation.fd = fd;
    operation.data =
      large < 0 ? views : [...views.slice(0, large), (views[large] as Uint8Array).subarray(0, CHUNK_BYTES_MAX)];
    operation.position = position;
    operation.aligned = direct !== null;
    return operation.start();
  }

  sync(fd: number): Promise<void> {
    return this.reactor.fsync(fd);
  }

  datasync(fd: number): Promise<void> {
    return this.reactor.fdatasync(fd);
  }

  async truncate(fd: number, bytes: number): Promise<void> {
    try {
      await this.reactor.ftruncate(fd, bytes);
    } catch (error) {
      // Before Linux 6.9 there is no such operation.
      if (!(error instanceof SystemError && error.code === "EINVAL")) throw error;
      await promisify(ftruncate)(fd, bytes);
    }
  }

  allocate(fd: number, mode: number, position: number, bytes: number): Promise<void> {
    return this.reactor.fallocate(fd, mode, position, bytes);
  }

  fstat(fd: number): Promise<Stats> {
    return this.statx(toStatsOfFd, fd, undefined, AT_EMPTY_PATH);
  }

  stat(path: string, followsLinks: boolean, options?: OperationOptions): Promise<Stats> {
    const kind = followsLinks ? toStats.stat : toStats.lstat;
    return this.statx(kind, AT_FDCWD, path, followsLinks ? 0 : AT_SYMLINK_NOFOLLOW, options);
  }

  private statx(
    kind: Kind<Stats>,
    directory: number,
    path: string | undefined,
    flags: number,
    options?: OperationOptions,
  ): Promise<Stats> {
    const operation = this.reactor.pooled.describe(kind, options);
    operation.fd = directory;
    operation.path = path;
    operation.flags = flags;
    operation.mode = STATX_BASIC_STATS | STATX_BTIME;
    return operation.start();
  }

  rename(path: string, newPath: string, options?: OperationOptions): Promise<void> {
    return this.reactor.renameat(AT_FDCWD, path, AT_FDCWD, newPath, 0, options);
  }

  unlink(path: string, options?: OperationOptions): Promise<void> {
    return this.reactor.unlinkat(AT_FDCWD, path, 0, options);
  }

  rmdir(path: string, options?: OperationOptions): Promise<void> {
    return this.reactor.unlinkat(AT_FDCWD, path, AT_REMOVEDIR, options);
  }

  mkdir(path: string, mode: number, options?: OperationOptions): Promise<void> {
    return this.reactor.mkdirat(AT_FDCWD, path, mode, options);
  }

  symlink(target: string, path: string, options?: OperationOptions): Promise<void> {
    return this.reactor.symlinkat(target, AT_FDCWD, path, options);
  }

  link(path: string, newPath: string, options?: OperationOptions): Promise<void> {
    return this.reactor.linkat(AT_FDCWD, path, AT_FDCWD, newPath, 0, options);
  }
}
