/**
 * `ringloop/fs`: files through the ring, in the shapes of node:fs/promises.
 *
 * @module ringloop/fs
 */
export { FileHandle, type ReadOptions, type WriteResult } from "./file-handle.ts";
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
export type { PathArgument } from "./arguments.ts";
export type { FileChunk, FileData } from "./file-data.ts";
export { BigIntStats, Stats } from "./stats.ts";
export type { ReadableOptions, WritableOptions } from "./streams.ts";
export { walk, type WalkEntry, type WalkOptions } from "./walk.ts";
export {
  appendFile,
  copyFile,
  type FileTarget,
  readFile,
  type ReadFileOptions,
  writeFile,
  type WriteFileOptions,
} from "./whole-files.ts";
export type { OperationOptions } from "../reactor/operation.ts";
