/**
 * What files are made of: the operations beneath a FileHandle and the functions of `ringloop/fs`, on the ring or, where there is none, on
 * node:fs. Arguments are checked by then; errors have Node's `code`, `errno`, `syscall` and `path`.
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
  /** A file's contents in as few operations as there can be. Undefined where they must be several: open, read, close. */
  readWhole?(path: Path, flags: number): Promise<Buffer> | undefined;
  /** The same: the first `length` bytes of a view. O_TRUNC among the flags cuts the file to them when they are written. */
  writeWhole?(
    path: Path,
    flags: number,
    mode: number,
    view: NodeJS.ArrayBufferView,
    length: number,
  ): Promise<void> | undefined;
  /** For OpenFile alone, which knows when nothing uses the descriptor any more. */
  close(fd: number): Promise<void>;
  /** `position` -1 is the file's own. */
  read<View extends NodeJS.ArrayBufferView>(
    file: OpenFile,
    view: View,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<ReadResult<View>>;
  /** Into memory that nobody else has until the promise is fulfilled, and whoever is given it then. */
  readFresh(file: OpenFile, bytes: Buffer, position: number, options?: OperationOptions): Promise<ReadResult<Buffer>>;
  /** The number of bytes of the `length` from `offset` on, which may be fewer. Throws a RangeError if the view loses them meanwhile. */
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
  unlink(path: Path, options?: OperationOptions): Promise<void>;
  rmdir(path: Path, options?: OperationOptions): Promise<void>;
  mkdir(path: Path, mode: number, options?: OperationOptions): Promise<void>;
  symlink(target: Path, path: Path, options?: OperationOptions): Promise<void>;
  link(path: Path, newPath: Path, options?: OperationOptions): Promise<void>;
}

let chosen: Backend | undefined;

/** The thread's: on the ring, or, after one warning that says why, on node:fs. */
export function backend(): Backend {
  if (chosen !== undefined) return chosen;
  const reactor = reactorFor("ringloop/fs", {});
  return (chosen = reactor ? new RingBackend(reactor) : new NodeBackend());
}
