/**
 * Operations on names in the file system. A path is the address of a NUL-terminated string
 * (`RingMemory.cString`). A directory is a descriptor or AT_FDCWD. The `...at` functions are
 * relative to a directory, the other functions to the working directory.
 */
import {
  IORING_OP_FGETXATTR,
  IORING_OP_FSETXATTR,
  IORING_OP_GETXATTR,
  IORING_OP_LINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_OPENAT,
  IORING_OP_OPENAT2,
  IORING_OP_RENAMEAT,
  IORING_OP_SETXATTR,
  IORING_OP_STATX,
  IORING_OP_SYMLINKAT,
  IORING_OP_UNLINKAT,
} from "../sys/abi.ts";
import { AT_FDCWD } from "../sys/linux.ts";
import { FileSqe } from "./prep-files.ts";
import { require32, type Wide } from "./sqe-checks.ts";

/** sizeof(struct open_how). */
const OPEN_HOW_BYTES = 24;

export class PathSqe extends FileSqe {
  /** io_uring_prep_openat(3). `flags`: O_* (`constants` of node:fs). `res` is the descriptor. */
  prepOpenat(directoryFd: number, path: Wide, flags: number, mode: number): this {
    return this.fill(IORING_OP_OPENAT, directoryFd, path, mode, 0, flags);
  }

  /** io_uring_prep_open. `path` is relative to the working directory. */
  prepOpen(path: Wide, flags: number, mode: number): this {
    return this.prepOpenat(AT_FDCWD, path, flags, mode);
  }

  /** io_uring_prep_open_direct. */
  prepOpenDirect(path: Wide, flags: number, mode: number, fileIndex: number): this {
    return this.prepOpenatDirect(AT_FDCWD, path, flags, mode, fileIndex);
  }

  /** io_uring_prep_openat_direct(3). Opens a file into a slot of the registered files. */
  prepOpenatDirect(directoryFd: number, path: Wide, flags: number, mode: number, fileIndex: number): this {
    return this.prepOpenat(directoryFd, path, flags, mode).putTargetFile(fileIndex);
  }

  /** io_uring_prep_openat2(3). `how` points at a struct open_how (`RingMemory.openHow`). */
  prepOpenat2(directoryFd: number, path: Wide, how: Wide): this {
    return this.fill(IORING_OP_OPENAT2, directoryFd, path, OPEN_HOW_BYTES, how);
  }

  /** io_uring_prep_openat2_direct(3). */
  prepOpenat2Direct(directoryFd: number, path: Wide, how: Wide, fileIndex: number): this {
    return this.prepOpenat2(directoryFd, path, how).putTargetFile(fileIndex);
  }

  /**
   * io_uring_prep_statx(3). `flags`: AT_*. `mask`: STATX_*. `statx` points at 256 bytes
   * (`RingMemory.statx`).
   */
  prepStatx(directoryFd: number, path: Wide, flags: number, mask: number, statx: Wide): this {
    return this.fill(IORING_OP_STATX, directoryFd, path, mask, statx, flags);
  }

  /** io_uring_prep_renameat(3). `flags`: RENAME_*. */
  prepRenameat(oldDirectoryFd: number, oldPath: Wide, newDirectoryFd: number, newPath: Wide, flags = 0): this {
    const newFd = require32(this, "newDirectoryFd", newDirectoryFd);
    return this.fill(IORING_OP_RENAMEAT, oldDirectoryFd, oldPath, newFd, newPath, flags);
  }

  /** io_uring_prep_rename(3). */
  prepRename(oldPath: Wide, newPath: Wide): this {
    return this.prepRenameat(AT_FDCWD, oldPath, AT_FDCWD, newPath);
  }

  /** io_uring_prep_unlinkat(3). `flags`: AT_REMOVEDIR for a directory. */
  prepUnlinkat(directoryFd: number, path: Wide, flags = 0): this {
    return this.fill(IORING_OP_UNLINKAT, directoryFd, path, 0, 0, flags);
  }

  /** io_uring_prep_unlink(3). */
  prepUnlink(path: Wide, flags = 0): this {
    return this.prepUnlinkat(AT_FDCWD, path, flags);
  }

  /** io_uring_prep_mkdirat(3). */
  prepMkdirat(directoryFd: number, path: Wide, mode: number): this {
    return this.fill(IORING_OP_MKDIRAT, directoryFd, path, mode, 0);
  }

  /** io_uring_prep_mkdir(3). */
  prepMkdir(path: Wide, mode: number): this {
    return this.prepMkdirat(AT_FDCWD, path, mode);
  }

  /** io_uring_prep_symlinkat(3). */
  prepSymlinkat(target: Wide, directoryFd: number, linkPath: Wide): this {
    return this.fill(IORING_OP_SYMLINKAT, directoryFd, target, 0, linkPath);
  }

  /** io_uring_prep_symlink(3). */
  prepSymlink(target: Wide, linkPath: Wide): this {
    return this.prepSymlinkat(target, AT_FDCWD, linkPath);
  }

  /** io_uring_prep_linkat(3). `flags`: AT_SYMLINK_FOLLOW, AT_EMPTY_PATH. */
  prepLinkat(oldDirectoryFd: number, oldPath: Wide, newDirectoryFd: number, newPath: Wide, flags = 0): this {
    const newFd = require32(this, "newDirectoryFd", newDirectoryFd);
    return this.fill(IORING_OP_LINKAT, oldDirectoryFd, oldPath, newFd, newPath, flags);
  }

  /** io_uring_prep_link(3). */
  prepLink(oldPath: Wide, newPath: Wide, flags = 0): this {
    return this.prepLinkat(AT_FDCWD, oldPath, AT_FDCWD, newPath, flags);
  }

  /**
   * io_uring_prep_getxattr. `name` and `path` point at strings, `value` at room for `bytes` bytes.
   * `res` is the value's length. Linux 5.19.
   */
  prepGetxattr(name: Wide, value: Wide, path: Wide, bytes: number): this {
    return this.fill(IORING_OP_GETXATTR, 0, name, bytes, value).putAddress3("path", path);
  }

  /** io_uring_prep_setxattr. `flags`: XATTR_CREATE, XATTR_REPLACE. Linux 5.19. */
  prepSetxattr(name: Wide, value: Wide, path: Wide, flags: number, bytes: number): this {
    return this.fill(IORING_OP_SETXATTR, 0, name, bytes, value, flags).putAddress3("path", path);
  }

  /** io_uring_prep_fgetxattr. Linux 5.19. */
  prepFgetxattr(fd: number, name: Wide, value: Wide, bytes: number): this {
    return this.fill(IORING_OP_FGETXATTR, fd, name, bytes, value);
  }

  /** io_uring_prep_fsetxattr. Linux 5.19. */
  prepFsetxattr(fd: number, name: Wide, value: Wide, flags: number, bytes: number): this {
    return this.fill(IORING_OP_FSETXATTR, fd, name, bytes, value, flags);
  }
}
