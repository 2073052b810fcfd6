/**
 * The address of a Unix socket, for a path of any length. unix(7) has room for 107 bytes. As in
 * Bun, a longer path is reached through its directory: the directory's descriptor stays open until
 * the kernel has seen the address.
 */
import { ENAMETOOLONG, SystemError } from "../sys/errno.ts";
import { encodeUnixAddress, UNIX_PATH_BYTES_MAX } from "./address.ts";

export class UnixAddress implements Disposable {
  readonly bytes: Uint8Array;
  private directory = -1;

  /**
   * `unix` is a path, or an abstract name with a leading NUL. Throws a TypeError for an empty
   * string, and for a NUL in another place. Throws SystemError of `syscall`: ENAMETOOLONG for an
   * abstract name of more than 107 bytes, or for a path whose last part is too long; ENOENT,
   * ENOTDIR or EACCES for a directory that cannot be opened.
   */
  constructor(unix: string, syscall: string) {
    const isLong = Buffer.byteLength(unix) > UNIX_PATH_BYTES_MAX;
    const path = isLong && !unix.startsWith("\0") ? this.shorten(unix, syscall) : unix;
    if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
      this[Symbol.dispose]();
      throw new SystemError(ENAMETOOLONG, syscall, { address: unix });
    }
    this.bytes = encodeUnixAddress(path);
  }

  private shorten(unix: string, syscall: string): string {
    const nameAt = unix.lastIndexOf("/") + 1;
    try {
      this.directory = files().openSync(nameAt > 0 ? unix.slice(0, nameAt) : ".", "r");
    } catch (error) {
      throw new SystemError(-(error as { errno: number }).errno, syscall, { address: unix });
    }
    // Not "self": the kernel thread of an SQPOLL ring may resolve the path.
    return `/proc/${process.pid}/fd/${this.directory}/${unix.slice(nameAt)}`;
  }

  [Symbol.dispose](): void {
    if (this.directory < 0) return;
    files().closeSync(this.directory);
    this.directory = -1;
  }
}

function files(): typeof import("node:fs") {
  return require("node:fs") as typeof import("node:fs");
}
