/**
 * Properties of a file: the fields and methods of node:fs' Stats, without its newest
 * (`atimeInstant` and so on).
 */
import { type BigIntStats as NodeBigIntStats, constants, type Stats as NodeStats } from "node:fs";
import type { Statx } from "../ring/structs.ts";

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK } = constants;

/** The common members of both classes: dates, and methods for the file type. */
abstract class CommonStats<T extends number | bigint> {
  abstract readonly mode: T;
  abstract readonly atimeMs: T;
  abstract readonly mtimeMs: T;
  abstract readonly ctimeMs: T;
  abstract readonly birthtimeMs: T;
  declare atime: Date;
  declare mtime: Date;
  declare ctime: Date;
  declare birthtime: Date;

  /** The class's name, as in Bun's own. */
  get [Symbol.toStringTag](): string {
    return this.constructor.name;
  }

  private get type(): number {
    return Number(this.mode) & S_IFMT;
  }

  isFile(): boolean {
    return this.type === S_IFREG;
  }

  isDirectory(): boolean {
    return this.type === S_IFDIR;
  }

  isSymbolicLink(): boolean {
    return this.type === S_IFLNK;
  }

  isBlockDevice(): boolean {
    return this.type === S_IFBLK;
  }

  isCharacterDevice(): boolean {
    return this.type === S_IFCHR;
  }

  isFIFO(): boolean {
    return this.type === S_IFIFO;
  }

  isSocket(): boolean {
    return this.type === S_IFSOCK;
  }
}

/** As in Node, a date is made at the first read, and is the object's own property afterwards. */
for (const name of ["atime", "mtime", "ctime", "birthtime"] as const) {
  const own = (stats: object, value: unknown): void =>
    void Object.defineProperty(stats, name, { value, enumerable: true, writable: true, configurable: true });
  Object.defineProperty(CommonStats.prototype, name, {
    configurable: true,
    enumerable: true,
    get(this: CommonStats<number | bigint>): Date {
      const date = new Date(Number(this[`${name}Ms`]));
      own(this, date);
      return date;
    },
    set(this: object, value: unknown) {
      own(this, value);
    },
  });
}

const NS_PER_MS = 1_000_000n;

type Instants = "atimeInstant" | "mtimeInstant" | "ctimeInstant" | "birthtimeInstant";

export class Stats extends CommonStats<number> implements Omit<NodeStats, Instants> {
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
    super();
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
}

/**
 * The same fields as BigInts, and times in nanoseconds: the result of
 * `stat(path, { bigint: true })`.
 */
export class BigIntStats extends CommonStats<bigint> implements Omit<NodeBigIntStats, Instants> {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly blksize: bigint;
  readonly blocks: bigint;
  readonly atimeMs: bigint;
  readonly mtimeMs: bigint;
  readonly ctimeMs: bigint;
  readonly birthtimeMs: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;

  constructor(statx: Statx) {
    super();
    const { ino, size, blocks, atimeNs, mtimeNs, ctimeNs, birthtimeNs } = statx.exact;
    this.dev = BigInt(deviceNumber(statx.devMajor, statx.devMinor));
    this.ino = ino;
    this.mode = BigInt(statx.mode);
    this.nlink = BigInt(statx.nlink);
    this.uid = BigInt(statx.uid);
    this.gid = BigInt(statx.gid);
    this.rdev = BigInt(deviceNumber(statx.rdevMajor, statx.rdevMinor));
    this.size = size;
    this.blksize = BigInt(statx.blockBytes);
    this.blocks = blocks;
    this.atimeMs = atimeNs / NS_PER_MS;
    this.mtimeMs = mtimeNs / NS_PER_MS;
    this.ctimeMs = ctimeNs / NS_PER_MS;
    this.birthtimeMs = birthtimeNs / NS_PER_MS;
    this.atimeNs = atimeNs;
    this.mtimeNs = mtimeNs;
    this.ctimeNs = ctimeNs;
    this.birthtimeNs = birthtimeNs;
  }
}

/** makedev(3) of glibc. */
function deviceNumber(major: number, minor: number): number {
  const low = ((major & 0xfff) << 8) | (minor & 0xff);
  return low + (minor & 0xfff00) * 4096 + (major & 0xfffff000) * 4294967296;
}
