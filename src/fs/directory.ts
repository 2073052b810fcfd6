/** A directory, and files opened below it. No path leads out of it. */
import { closeSync, constants, openSync } from "node:fs";
import { SystemError } from "../sys/errno.ts";
import { native, withPointer } from "../sys/library.ts";
import { owned } from "../sys/owned.ts";

export class Directory {
  /** The directory's descriptor; -1 after `close()`, for which the kernel answers EBADF. */
  private fd: number;
  private readonly path: string;

  /** Opens the directory. Throws an Error with `code`: ENOENT, ENOTDIR and so on. */
  constructor(path: string) {
    this.path = path;
    this.fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    owned().add(this.fd);
  }

  /**
   * Opens `path` below the directory for reading, and returns the descriptor. "..", absolute paths
   * and symbolic links are resolved as if the directory were the root (openat2(2),
   * RESOLVE_IN_ROOT). Throws SystemError.
   */
  open(path: string): number {
    const fd = withPointer(Buffer.from(`${path}\0`), (name) => native().rl_open_within(this.fd, name));
    if (fd < 0) throw new SystemError(-fd, "open", { path: `${this.path}/${path}` });
    return fd;
  }

  /**
   * Closes the directory. Further calls do nothing, because the number may belong to another file
   * by then.
   */
  close(): void {
    const { fd } = this;
    if (fd < 0) return;
    this.fd = -1;
    owned().delete(fd);
    closeSync(fd);
  }
}
