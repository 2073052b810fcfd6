/**
 * Functions of node:fs/promises for which io_uring has no operation, or no operation on a path.
 * They are Bun's own and use its threads. docs/files.md has the table.
 */
import * as node from "node:fs/promises";

/** Permissions: a number, or octal digits. */
export type Mode = string | number;
/** A time in seconds since 1970, as a number or as digits; or a Date. */
export type Time = string | number | Date;

/** Functions of Bun that Node does not have, and that the types leave out. */
interface OfDescriptors {
  fchmod(fd: number, mode: Mode): Promise<void>;
  fchown(fd: number, uid: number, gid: number): Promise<void>;
  futimes(fd: number, atime: Time, mtime: Time): Promise<void>;
  exists(path: node.FileHandle | string | URL | Uint8Array): Promise<boolean>;
}

export const { fchmod, fchown, futimes, exists } = node as unknown as OfDescriptors;
export const {
  access,
  chmod,
  chown,
  constants,
  cp,
  glob,
  lchmod,
  lchown,
  lutimes,
  mkdtemp,
  mkdtempDisposable,
  opendir,
  readdir,
  readlink,
  realpath,
  rm,
  statfs,
  truncate,
  utimes,
  watch,
} = node;
