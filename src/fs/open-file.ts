/**
 * An open file that several operations share: its descriptor, and the number of its users.
 *
 * Guarantees: the descriptor is closed after the last operation that uses it, and never during one.
 * So no part of an operation reaches another file or socket that has got the same number. After a
 * call of `close()`, no new user gets the descriptor. An abandoned operation (a signal, a time
 * limit) uses it until its last completion. A stream uses it from its creation to its end.
 */
import type { Holder, OperationOptions } from "../operations/operation.ts";
import { fstatSync } from "node:fs";
import { isatty } from "node:tty";
import { invalidState } from "./state-errors.ts";
import { EBADF, ESPIPE, SystemError } from "../sys/errno.ts";
import { native } from "../sys/library.ts";
import type { Path } from "./arguments.ts";
import type { Backend } from "./backend.ts";
import { DirectPosition } from "./direct-position.ts";

/** lseek(2). */
const SEEK_CUR = 1;

export class OpenFile implements Holder {
  readonly fd: number;
  /**
   * Position of a file with O_DIRECT; null for other files. The kernel wants aligned memory for
   * such a file, and does not move its own position.
   */
  readonly direct: DirectPosition | null;

  /** Whether the caller closes the descriptor. */
  isBorrowed = false;

  private readonly backend: Backend;
  private uses = 0;
  /** The part of `uses` that belongs to streams. */
  private holds = 0;
  private isLocked = false;
  /** Whether bytes have positions in the file; undefined until somebody asks. */
  private hasPositions: boolean | undefined;
  private closed: PromiseWithResolvers<void> | undefined;

  static async open(
    backend: Backend,
    path: Path,
    flags: number,
    mode: number,
    options?: OperationOptions,
  ): Promise<OpenFile> {
    return new OpenFile(backend, await backend.open(path, flags, mode, options));
  }

  /**
   * Returns a file for a descriptor of the caller. The caller closes it after the operations on it
   * are over.
   */
  static borrowed(backend: Backend, fd: number): OpenFile {
    const file = new OpenFile(backend, fd);
    file.isBorrowed = true;
    return file;
  }

  /** Owns `fd` from now on. */
  constructor(backend: Backend, fd: number, isDirect = false) {
    this.backend = backend;
    this.fd = fd;
    this.direct = isDirect ? new DirectPosition() : null;
  }

  get isClosed(): boolean {
    return this.closed !== undefined;
  }

  retain(): void {
    if (this.uses === 0 && this.closed !== undefined) throw new Error("a file is used after it was closed");
    this.uses++;
  }

  release(): void {
    if (this.uses <= 0) throw new Error("a file is released more often than it was retained");
    this.uses--;
    if (this.uses === 0 && this.closed !== undefined) this.end(this.closed);
  }

  /**
   * Keeps the file open for a stream. The operations of a stream may begin after `close()` was
   * called, and `close()` waits for its end. Returns a function that ends the use; it may be called
   * several times.
   */
  hold(): () => void {
    this.retain();
    this.holds++;
    let isHeld = true;
    return () => {
      if (!isHeld || this.holds === 0) return;
      isHeld = false;
      this.holds--;
      this.release();
    };
  }

  /**
   * Reserves the file's position for one reader or writer. Throws ERR_INVALID_STATE if it is
   * reserved already, and after a call of `close()`.
   */
  lock(): void {
    this.requireNotClosed();
    if (this.isLocked) throw invalidState("The FileHandle is locked");
    this.isLocked = true;
  }

  /**
   * Checks the file for iterators and writers. Throws ERR_INVALID_STATE after a call of `close()`.
   */
  requireNotClosed(): this {
    if (this.closed !== undefined) throw invalidState("The FileHandle is closed");
    return this;
  }

  unlock(): void {
    this.isLocked = false;
  }

  /** Ends the uses of streams that are unreachable. */
  endHolds(): void {
    for (; this.holds > 0; this.holds--) this.release();
  }

  /** Runs several operations one after the other, and keeps the file open meanwhile. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    this.retain();
    try {
      return await run();
    } finally {
      this.release();
    }
  }

  /** Checks the file for a new operation. Throws EBADF after a call of `close()`. */
  requireOpen(syscall: string): this {
    if (this.closed !== undefined) throw new SystemError(EBADF, syscall);
    return this;
  }

  /**
   * Checks the position of a read or write; -1 is the file's own. Throws ESPIPE for a pipe, a socket
   * or a terminal, as pread(2) does. The ring would ignore the position.
   */
  requirePosition(position: number, syscall: string): void {
    if (position < 0) return;
    this.hasPositions ??= !isStream(this.fd);
    if (!this.hasPositions) throw new SystemError(ESPIPE, syscall);
  }

  /** Closes the file after the operations that use it. Further calls return the same promise. */
  close(): Promise<void> {
    if (this.closed === undefined) {
      this.closed = Promise.withResolvers();
      if (this.uses === 0) this.end(this.closed);
    }
    return this.closed.promise;
  }

  private end({ resolve, reject }: PromiseWithResolvers<void>): void {
    if (this.isBorrowed) resolve();
    else this.backend.close(this.fd).then(resolve, reject);
  }
}

/** Whether lseek(2) refuses the file: a pipe, a FIFO, a socket, and some devices. */
export function cannotSeek(fd: number): boolean {
  return native().rl_seek(fd, 0, SEEK_CUR) === -ESPIPE;
}

function isStream(fd: number): boolean {
  if (!cannotSeek(fd)) return false;
  const stats = fstatSync(fd);
  return stats.isFIFO() || stats.isSocket() || isatty(fd);
}
