/** All named exports of `ringloop/fs`. */
export { FileHandle } from "./file-handle.ts";
export type { ReadOptions, WriteResult } from "./read-options.ts";
export { open, type OpenOptions } from "./open.ts";
export {
  link,
  lstat,
  mkdir,
  type MkdirOptions,
  rename,
  rmdir,
  type RmdirOptions,
  stat,
  type StatOptions,
  symlink,
  unlink,
} from "./paths.ts";
export { AbortError } from "./abort.ts";
export {
  access,
  chmod,
  chown,
  constants,
  cp,
  exists,
  fchmod,
  fchown,
  futimes,
  glob,
  lchmod,
  lchown,
  lutimes,
  type Mode,
  mkdtemp,
  mkdtempDisposable,
  opendir,
  readdir,
  readlink,
  realpath,
  rm,
  statfs,
  type Time,
  truncate,
  utimes,
  watch,
} from "./bun-own.ts";
export { copyFile } from "./copy-file.ts";
export { close, fdatasync, fstat, fsync, ftruncate, read, readv, write, writev } from "./descriptors.ts";
export type { PathArgument } from "./arguments.ts";
export type { FileChunk, FileData } from "./file-data.ts";
export { FileWriter } from "./file-writer.ts";
export type { Batch, IterationOptions, PullOptions, Transform } from "./pull.ts";
export { BigIntStats, Stats } from "./stats.ts";
export type { ReadableOptions, WritableOptions } from "./streams.ts";
export { walk, type WalkEntry, type WalkOptions } from "./walk.ts";
export {
  appendFile,
  type FileTarget,
  readFile,
  type ReadFileOptions,
  writeFile,
  type WriteFileOptions,
} from "./whole-files.ts";
export type { OperationOptions } from "../operations/operation.ts";
