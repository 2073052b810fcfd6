/**
 * Files without a ring: node:fs on descriptors. A signal that is aborted before the call prevents
 * the operation. A later abort, or a time limit, rejects the promise, and the operation ends by
 * itself.
 */
import * as fs from "node:fs";
import { EOPNOTSUPP, ETIMEDOUT, SystemError } from "../sys/errno.ts";
import { type OperationOptions, requireLimits } from "../operations/operation-options.ts";
import type { Path } from "./arguments.ts";
import type { Backend, ReadResult } from "./backend.ts";
import type { OpenFile } from "./open-file.ts";
import type { BigIntStats, Stats } from "./stats.ts";

type Callback<T> = (error: Error | null, value?: T) => void;

/** Returns a promise of the result that a function of node:fs calls back with. */
function call<T>(
  syscall: string,
  options: OperationOptions | undefined,
  start: (done: Callback<T>) => void,
): Promise<T> {
  const { signal, timeoutMs } = options ?? {};
  return new Promise<T>((resolve, reject) => {
    if (options !== undefined) requireLimits(options);
    signal?.throwIfAborted();
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => reject(new SystemError(ETIMEDOUT, syscall)), timeoutMs);
    const abort = (): void => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    start((error, value) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      if (error) reject(error);
      else resolve(value as T);
    });
  });
}

/**
 * Calls a function on an open file. The file stays open until node:fs calls back, even if the
 * promise is settled before.
 */
function onFile<T>(
  syscall: string,
  file: OpenFile,
  options: OperationOptions | undefined,
  start: (fd: number, done: Callback<T>) => void,
): Promise<T> {
  return call<T>(syscall, options, (done) => {
    file.retain();
    try {
      start(file.fd, (error, value) => {
        file.release();
        done(error, value);
      });
    } catch (error) {
      file.release();
      throw error;
    }
  });
}

const positionOf = (position: number): number | null => (position < 0 ? null : position);

export class NodeBackend implements Backend {
  async open(path: Path, flags: number, mode: number, options?: OperationOptions): Promise<number> {
    let isWanted = true;
    try {
      return await call("open", options, (done: Callback<number>) =>
        fs.open(path, flags, mode, (error, fd) => {
          // The file was opened after the promise was rejected.
          if (!error && !isWanted) fs.closeSync(fd);
          done(error, fd);
        }),
      );
    } finally {
      isWanted = false;
    }
  }

  close(fd: number): Promise<void> {
    return call("close", undefined, (done) => fs.close(fd, done));
  }

  read<View extends NodeJS.ArrayBufferView>(
    file: OpenFile,
    view: View,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<ReadResult<View>> {
    return onFile("read", file, options, (fd, done) =>
      fs.read(fd, view, offset, length, positionOf(position), (error, bytesRead) =>
        done(error, { bytesRead, buffer: view }),
      ),
    );
  }

  readFresh(file: OpenFile, bytes: Buffer, position: number, options?: OperationOptions): Promise<ReadResult<Buffer>> {
    return this.read(file, bytes, 0, bytes.length, position, options);
  }

  write(
    file: OpenFile,
    view: NodeJS.ArrayBufferView,
    offset: number,
    length: number,
    position: number,
    options?: OperationOptions,
  ): Promise<number> {
    return onFile("write", file, options, (fd, done) => fs.write(fd, view, offset, length, positionOf(position), done));
  }

  readv(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number> {
    return onFile("readv", file, undefined, (fd, done) => fs.readv(fd, views, positionOf(position) as number, done));
  }

  writev(file: OpenFile, views: NodeJS.ArrayBufferView[], position: number): Promise<number> {
    return onFile("writev", file, undefined, (fd, done) => fs.writev(fd, views, positionOf(position) as number, done));
  }

  sync(file: OpenFile): Promise<void> {
    return onFile("fsync", file, undefined, fs.fsync);
  }

  datasync(file: OpenFile): Promise<void> {
    return onFile("fdatasync", file, undefined, fs.fdatasync);
  }

  truncate(file: OpenFile, bytes: number): Promise<void> {
    return onFile("ftruncate", file, undefined, (fd, done) => fs.ftruncate(fd, bytes, done));
  }

  /** Rejects: Node has no such function. */
  allocate(): Promise<void> {
    return Promise.reject(new SystemError(EOPNOTSUPP, "fallocate"));
  }

  fstat(file: OpenFile, isBig: boolean): Promise<Stats | BigIntStats> {
    return onFile("fstat", file, undefined, (fd, done) => fs.fstat(fd, { bigint: isBig } as object, done as never));
  }

  stat(path: Path, followsLinks: boolean, isBig: boolean, options?: OperationOptions): Promise<Stats | BigIntStats> {
    const name = followsLinks ? "stat" : "lstat";
    return call(name, options, (done) => fs[name](path, { bigint: isBig } as object, done as never));
  }

  rename(path: Path, newPath: Path, options?: OperationOptions): Promise<void> {
    return call("rename", options, (done) => fs.rename(path, newPath, done));
  }

  async renameNew(path: Path, newPath: Path): Promise<void> {
    await this.link(path, newPath);
    await this.unlink(path);
  }

  unlink(path: Path, options?: OperationOptions): Promise<void> {
    return call("unlink", options, (done) => fs.unlink(path, done));
  }

  rmdir(path: Path, options?: OperationOptions): Promise<void> {
    return call("rmdir", options, (done) => fs.rmdir(path, done));
  }

  mkdir(path: Path, mode: number, options?: OperationOptions): Promise<void> {
    return call("mkdir", options, (done) => fs.mkdir(path, mode, done));
  }

  symlink(target: Path, path: Path, options?: OperationOptions): Promise<void> {
    return call("symlink", options, (done) => fs.symlink(target, path, done));
  }

  link(path: Path, newPath: Path, options?: OperationOptions): Promise<void> {
    return call("link", options, (done) => fs.link(path, newPath, done));
  }
}
