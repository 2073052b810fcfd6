/**
 * Operations on names in the file system. A path is relative to a directory's descriptor, or to the
 * working directory (AT_FDCWD). Flags are those of the system calls. Errors contain the path.
 */
import { invalidType, requireInteger, requireObject, requirePath } from "../sys/check.ts";
import { OpenHow, Statx } from "../ring/structs.ts";
import { AT_FDCWD, STATX_BASIC_STATS, STATX_BTIME } from "../sys/linux.ts";
import { byteLengthOf } from "../sys/views.ts";
import { closeResult, copyIn, noResult, theResult } from "./operation-data.ts";
import { FileOperations } from "./operation-files.ts";
import type { Kind, Operation, OperationOptions } from "./operation.ts";

/** Text, or bytes: the name of a file may be no UTF-8. */
type Path = string | Uint8Array;

const NAME_BYTES_MAX = 65536;

/** Highest value of the kernel's int. */
const FLAGS_MAX = 0x7fffffff;
/**
 * Missing in the constants of node:fs. The value is asm-generic's, which x86-64 and arm64 share.
 */
const O_CLOEXEC = 0o2000000;
/** O_CREAT, and O_TMPFILE's own bit, for which the same holds. */
const MAKING_FLAGS = 0o100 | 0o20000000;

function placePath(operation: Operation<any>): void {
  operation.address = operation.placePath(operation.path!);
}

function placePaths(operation: Operation<any>): void {
  placePath(operation);
  operation.address2 = operation.placePath(operation.path2!);
}

export const openKind: Kind<number> = {
  syscall: "open",
  place: placePath,
  prepare: (sqe, { fd, address, flags, mode }) => void sqe.prepOpenat(fd, address, flags, mode),
  finish: theResult,
  discard: closeResult,
};

const openat2: Kind<number> = {
  syscall: "open",
  place(operation) {
    placePath(operation);
    const { address, buffer } = operation.room(OpenHow.bytes);
    operation.address2 = address;
    const { flags, mode, data } = operation;
    new OpenHow({ address, buffer }, { flags, mode, resolve: data as number });
  },
  prepare: (sqe, { fd, address, address2 }) => void sqe.prepOpenat2(fd, address, address2),
  finish: theResult,
  discard: closeResult,
};

/**
 * Returns a kind whose value `read` makes from a copy of the result. The copy lives as long as it
 * is used.
 */
export function statKind<T>(syscall: string, read: (statx: Statx) => T): Kind<T> {
  return {
    syscall,
    place(operation) {
      operation.address2 = operation.room(Statx.bytes).address;
      operation.address = operation.placePath(operation.path ?? "");
    },
    prepare: (sqe, { fd, address, address2, flags, mode }) => void sqe.prepStatx(fd, address, flags, mode, address2),
    finish: (operation) =>
      read(new Statx({ address: 0, buffer: Buffer.from(operation.chunk!.buffer.subarray(0, Statx.bytes)) })),
  };
}

const statx = statKind("statx", (result) => result);

const renameat: Kind<void> = {
  syscall: "rename",
  place: placePaths,
  prepare: (sqe, { fd, address, fd2, address2, flags }) => void sqe.prepRenameat(fd, address, fd2, address2, flags),
  finish: noResult,
};
const unlinkat: Kind<void> = {
  syscall: "unlink",
  place: placePath,
  prepare: (sqe, { fd, address, flags }) => void sqe.prepUnlinkat(fd, address, flags),
  finish: noResult,
};
const rmdir: Kind<void> = { ...unlinkat, syscall: "rmdir" };
const mkdirat: Kind<void> = {
  syscall: "mkdir",
  place: placePath,
  prepare: (sqe, { fd, address, mode }) => void sqe.prepMkdirat(fd, address, mode),
  finish: noResult,
};
const symlinkat: Kind<void> = {
  syscall: "symlink",
  place: placePaths,
  prepare: (sqe, { fd, address, address2 }) => void sqe.prepSymlinkat(address, fd, address2),
  finish: noResult,
};
const linkat: Kind<void> = {
  syscall: "link",
  place: placePaths,
  prepare: (sqe, { fd, address, fd2, address2, flags }) => void sqe.prepLinkat(fd, address, fd2, address2, flags),
  finish: noResult,
};

/** `data` is the attribute's name. The kernel writes the value to the memory at `address2`. */
const getxattr: Kind<Buffer> = {
  syscall: "getxattr",
  place(operation) {
    operation.address2 = operation.room(operation.length).address;
    operation.lent = operation.length;
    operation.address = operation.placePath(operation.data as string);
    if (operation.path !== undefined) operation.position = operation.placePath(operation.path);
  },
  prepare: (sqe, { fd, address, address2, position, path, length }) =>
    void (path === undefined
      ? sqe.prepFgetxattr(fd, address, address2, length)
      : sqe.prepGetxattr(address, address2, position, length)),
  moves: true,
  finish: (operation, result) => Buffer.from(operation.chunk!.buffer.subarray(0, result)),
};
const setxattr: Kind<void> = {
  syscall: "setxattr",
  place(operation) {
    const { name, value } = operation.data as { name: string; value: Uint8Array };
    const chunk = operation.room(operation.length);
    copyIn(chunk, value, 0, operation.length);
    operation.address2 = chunk.address;
    operation.address = operation.placePath(name);
    if (operation.path !== undefined) operation.position = operation.placePath(operation.path);
  },
  prepare: (sqe, { fd, address, address2, position, path, flags, length }) =>
    void (path === undefined
      ? sqe.prepFsetxattr(fd, address, address2, flags, length)
      : sqe.prepSetxattr(address, address2, position, flags, length)),
  finish: noResult,
};

export class PathOperations extends FileOperations {
  private onPath<T>(kind: Kind<T>, directory: number, path: Path, options?: OperationOptions): Operation<T> {
    if (directory !== AT_FDCWD) requireInteger("directory", directory, 0, 0x7fffffff);
    requirePath("path", path);
    const operation = this.describe(kind, options);
    operation.fd = directory;
    operation.path = path;
    return operation;
  }

  private onPaths(
    kind: Kind<void>,
    directory: number,
    path: Path,
    directory2: number,
    path2: Path,
    options?: OperationOptions,
  ): Operation<void> {
    if (directory2 !== AT_FDCWD) requireInteger("newDirectory", directory2, 0, 0x7fffffff);
    requirePath("newPath", path2);
    const operation = this.onPath(kind, directory, path, options);
    operation.fd2 = directory2;
    operation.path2 = path2;
    return operation;
  }

  /**
   * Runs openat(2), close-on-exec. `flags`: O_* (`constants` of node:fs). The value is the
   * descriptor.
   */
  openat(directory: number, path: Path, flags: number, mode = 0o666, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    requireInteger("mode", mode, 0, 0o7777);
    const operation = this.onPath(openKind, directory, path, options);
    operation.flags = flags | O_CLOEXEC;
    operation.mode = mode;
    return operation;
  }

  /**
   * Runs openat2(2), close-on-exec. `resolve`: RESOLVE_*. `mode`: permissions of a file that the
   * flags make, before the umask; default 0o666. The value is the descriptor.
   */
  openat2(
    directory: number,
    path: Path,
    how: { flags?: number; mode?: number; resolve?: number },
    options?: OperationOptions,
  ): Operation<number> {
    requireObject("how", how);
    for (const name of ["flags", "mode", "resolve"] as const)
      if (how[name] !== undefined) requireInteger(`how.${name}`, how[name], 0, FLAGS_MAX);
    const operation = this.onPath(openat2, directory, path, options);
    const flags = how.flags ?? 0;
    operation.flags = flags | O_CLOEXEC;
    // The kernel refuses a mode without such flags.
    operation.mode = how.mode ?? ((flags & MAKING_FLAGS) === 0 ? 0 : 0o666);
    operation.data = how.resolve ?? 0;
    return operation;
  }

  /**
   * Runs statx(2). With AT_EMPTY_PATH in `flags` and an empty path, it is about `directory` itself.
   * `mask`: STATX_*.
   */
  statx(
    directory: number,
    path: Path,
    flags = 0,
    mask = STATX_BASIC_STATS | STATX_BTIME,
    options?: OperationOptions,
  ): Operation<Statx> {
    const operation = this.onPath(statx, directory, path, options);
    operation.flags = flags;
    operation.mode = mask;
    return operation;
  }

  /** Runs renameat2(2). `flags`: RENAME_*. */
  renameat(
    directory: number,
    path: Path,
    newDirectory: number,
    newPath: Path,
    flags = 0,
    options?: OperationOptions,
  ): Operation<void> {
    const operation = this.onPaths(renameat, directory, path, newDirectory, newPath, options);
    operation.flags = flags;
    return operation;
  }

  /** Runs unlinkat(2). `flags`: AT_REMOVEDIR for a directory. */
  unlinkat(directory: number, path: Path, flags = 0, options?: OperationOptions): Operation<void> {
    const operation = this.onPath(flags === 0 ? unlinkat : rmdir, directory, path, options);
    operation.flags = flags;
    return operation;
  }

  /** Runs mkdirat(2). */
  mkdirat(directory: number, path: Path, mode = 0o777, options?: OperationOptions): Operation<void> {
    requireInteger("mode", mode, 0, 0o7777);
    const operation = this.onPath(mkdirat, directory, path, options);
    operation.mode = mode;
    return operation;
  }

  /** Runs symlinkat(2): `newPath` leads to `target`. */
  symlinkat(target: Path, directory: number, newPath: Path, options?: OperationOptions): Operation<void> {
    return this.onPaths(symlinkat, directory, target, AT_FDCWD, newPath, options);
  }

  /** Runs linkat(2). `flags`: AT_SYMLINK_FOLLOW, AT_EMPTY_PATH. */
  linkat(
    directory: number,
    path: Path,
    newDirectory: number,
    newPath: Path,
    flags = 0,
    options?: OperationOptions,
  ): Operation<void> {
    const operation = this.onPaths(linkat, directory, path, newDirectory, newPath, options);
    operation.flags = flags;
    return operation;
  }

  /**
   * Runs getxattr(2) for a path, or fgetxattr(2) for a descriptor. The value is that of the
   * attribute, at most 64 KiB.
   */
  getxattr(file: string | number, name: string, options?: OperationOptions): Operation<Buffer> {
    const operation = this.onPathOrFile(getxattr, file, name, options);
    operation.data = name;
    operation.length = NAME_BYTES_MAX;
    return operation;
  }

  /**
   * Runs setxattr(2) for a path, or fsetxattr(2) for a descriptor. `flags`: XATTR_CREATE,
   * XATTR_REPLACE.
   */
  setxattr(
    file: string | number,
    name: string,
    value: Uint8Array,
    flags = 0,
    options?: OperationOptions,
  ): Operation<void> {
    if (!(value instanceof Uint8Array) || byteLengthOf(value) > NAME_BYTES_MAX)
      throw invalidType("value", `a Uint8Array of at most ${NAME_BYTES_MAX} bytes`, value);
    const operation = this.onPathOrFile(setxattr, file, name, options);
    operation.data = { name, value };
    operation.length = byteLengthOf(value);
    operation.flags = flags;
    return operation;
  }

  private onPathOrFile<T>(
    kind: Kind<T>,
    file: string | number,
    name: string,
    options?: OperationOptions,
  ): Operation<T> {
    requirePath("name", name);
    return typeof file === "number" ? this.onFile(kind, file, options) : this.onPath(kind, AT_FDCWD, file, options);
  }
}
