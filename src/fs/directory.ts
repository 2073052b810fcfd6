/** A directory that files are opened in, and nowhere else. */
import { closeSync, constants, openSync } from "node:fs";
import { SystemError } from "../sys/errno.ts";
import { native, withPointer } from "../sys/library.ts";
import { owned } from "../sys/owned.ts";

export class Directory {
  /** -1 once it is closed, which the kernel knows as no directory (EBADF). */
  private fd: number;
  private readonly path: string;

  /** Throws an Error with `code`: ENOENT, ENOTDIR... */
  constructor(path: string) {
    this.path = path;
    this.fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    owned().add(this.fd);
  }

  /**
   * Opens `path` below the directory for reading, and returns the descriptor. "..", absolute paths and symbolic links are resolved as if the
   * directory were the root (openat2(2), RESOLVE_IN_ROOT). Throws SystemError.
   */
  open(path: string): number {
    const fd = withPointer(Buffer.from(`${path}\0`), (name) => native().rl_open_within(this.fd, name));
    if (fd < 0) throw new SystemError(-fd, "open", { path: `${this.path}/${path}` });
    return fd;
  }

  /** May be called again: the number is somebody else's by then. */
  close(): void {
    const { fd } = this;
    if (fd < 0) return;
    this.fd = -1;
    owned().delete(fd);
    closeSync(fd);
  }
}
