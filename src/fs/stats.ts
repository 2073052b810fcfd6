/** What a file is: the fields and methods of node:fs' Stats, without its newest (`atimeInstant` and so on). */
import { constants, type Stats as NodeStats } from "node:fs";
import type { Statx } from "../ring/structs.ts";

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK } = constants;

type Instants = "atimeInstant" | "mtimeInstant" | "ctimeInstant" | "birthtimeInstant";

export class Stats implements Omit<NodeStats, Instants> {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;

  constructor(statx: Statx) {
    this.dev = deviceNumber(statx.devMajor, statx.devMinor);
    this.ino = statx.ino;
    this.mode = statx.mode;
    this.nlink = statx.nlink;
    this.uid = statx.uid;
    this.gid = statx.gid;
    this.rdev = deviceNumber(statx.rdevMajor, statx.rdevMinor);
    this.size = statx.size;
    this.blksize = statx.blockBytes;
    this.blocks = statx.blocks;
    this.atimeMs = statx.atimeMs;
    this.mtimeMs = statx.mtimeMs;
    this.ctimeMs = statx.ctimeMs;
    this.birthtimeMs = statx.birthtimeMs;
  }

  get atime(): Date {
    return new Date(this.atimeMs);
  }

  get mtime(): Date {
    return new Date(this.mtimeMs);
  }

  get ctime(): Date {
    return new Date(this.ctimeMs);
  }

  get birthtime(): Date {
    return new Date(this.birthtimeMs);
  }

  isFile(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }

  isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }

  isSymbolicLink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }

  isBlockDevice(): boolean {
    return (this.mode & S_IFMT) === S_IFBLK;
  }

  isCharacterDevice(): boolean {
    return (this.mode & S_IFMT) === S_IFCHR;
  }

  isFIFO(): boolean {
    return (this.mode & S_IFMT) === S_IFIFO;
  }

  isSocket(): boolean {
    return (this.mode & S_IFMT) === S_IFSOCK;
  }
}

/** makedev(3), of glibc. */
function deviceNumber(major: number, minor: number): number {
  const low = ((major & 0xfff) << 8) | (minor & 0xff);
  return low + (minor & 0xfff00) * 4096 + (major & 0xfffff000) * 4294967296;
}
