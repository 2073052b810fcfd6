/**
 * The operations beneath a FileHandle and the functions of `ringloop/fs`. They run on the ring or,
 * without a ring, on node:fs. The callers have checked the arguments. Errors have Node's `code`,
 * `errno`, `syscall` and `path`.
 */
import { reactorFor } from "../operations/fallback.ts";
import type { OperationOptions } from "../operations/operation.ts";
import type { Path } from "./arguments.ts";
import { NodeBackend } from "./node-backend.ts";
import type { OpenFile } from "./open-file.ts";
import { RingBackend } from "./ring-backend.ts";
import type { BigIntStats, Stats } from "./stats.ts";

export interface ReadResult<View> {
  bytesRead: number;
  buffer: View;
}

export interface Backend {
  open(path: Path, flags: number, mode: number, options?: OperationOptions): Promise<number>;
  /**
   * Reads a whole file in as few operations as possible. Returns undefined if separate operations
   * are needed: open, read, close.
   */
  readWhole?(path: Path, flags: number): Promise<Buffer> | undefined;
  /**
   * Writes the first `length` bytes of a view as a whole file, like `readWhole`. With O_TRUNC in
   * `flags`, it cuts the file to this length after the write.
   */
  writeWhole?(
    path: Path,
    flags: number,
    mode: number,
    view: NodeJS.ArrayBufferView,
    length: number,
  ): Promise<void> | undefined;
  /**
   * Closes a descriptor. Only OpenFile calls it, because it knows when no operation uses the
   * descriptor any more.
   */
  close(fd: number): Promise<void>;
  /** Reads into a view. `position` -1 means the file's own position. */
  read<View extends NodeJS.ArrayBufferView>(
    file: OpenFile,
    view: View,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<ReadResult<View>>;
  /**
   * Reads into memory that nobody else has until the promise is fulfilled. After that, only its
   * receiver has it.
   */
  readFresh(file: OpenFile, bytes: Buffer, position: number, options?: OperationOptions): Promise<ReadResult<Buffer>>;
  /**
   * Writes `length` bytes from `offset` on. Returns the number of written bytes, which may be
   * smaller. Throws a RangeError if the view loses bytes meanwhile.
   */
  write(
    file: OpenFile,
    view: NodeJS.ArrayBufferView,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<number>;
  readv(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number>;
  writev(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number>;
  sync(file: OpenFile): Promise<void>;
  datasync(file: OpenFile): Promise<void>;
  truncate(file: OpenFile, bytes: number): Promise<void>;
  allocate(file: OpenFile, mode: number, position: number, bytes: number): Promise<void>;
  fstat(file: OpenFile, isBig: boolean): Promise<Stats | BigIntStats>;
  stat(path: Path, followsLinks: boolean, isBig: boolean, options?: OperationOptions): Promise<Stats | BigIntStats>;
  rename(path: Path, newPath: Path, options?: OperationOptions): Promise<void>;
  /** Gives a file a name that nothing has yet. Rejects with EEXIST otherwise. */
  renameNew(path: Path, newPath: Path): Promise<void>;
  unlink(path: Path, options?: OperationOptions): Promise<void>;
  rmdir(path: Path, options?: OperationOptions): Promise<void>;
  mkdir(path: Path, mode: number, options?: OperationOptions): Promise<void>;
  symlink(target: Path, path: Path, options?: OperationOptions): Promise<void>;
  link(path: Path, newPath: Path, options?: OperationOptions): Promise<void>;
}

let chosen: Backend | undefined;

/** Returns the thread's backend: on the ring or, after one warning with the reason, on node:fs. */
export function backend(): Backend {
  if (chosen !== undefined) return chosen;
  const reactor = reactorFor("ringloop/fs", {});
  return (chosen = reactor ? new RingBackend(reactor) : new NodeBackend());
}
