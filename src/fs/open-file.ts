/**
 * An open file as ringloop/fs shares it among the operations on it: its descriptor, and who uses it.
 *
 * Guarantees: the descriptor is closed after the last operation that uses it, never under one, so that no piece of an operation reaches a file or a
 * socket that was given the same number; once `close()` was called, nobody new gets it. An operation that was abandoned (a signal, a time limit)
 * uses it until its last completion. A stream uses it from its making to its end.
 */
import type { Holder, OperationOptions } from "../operations/operation.ts";
import { invalidState } from "./state-errors.ts";
import { EBADF, SystemError } from "../sys/errno.ts";
import type { Path } from "./arguments.ts";
import type { Backend } from "./backend.ts";
import { DirectPosition } from "./direct-position.ts";

export class OpenFile implements Holder {
  readonly fd: number;
  /** Of a file that is open with O_DIRECT: the kernel wants aligned memory, and does not move its own position. */
  readonly direct: DirectPosition | null;

  /** Somebody else closes its descriptor. */
  isBorrowed = false;

  private readonly backend: Backend;
  private uses = 0;
  /** Those of the uses that are streams'. */
  private holds = 0;
  private isLocked = false;
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

  /** A descriptor of somebody else's, who closes it, and not before the operations on it are over. */
  static borrowed(backend: Backend, fd: number): OpenFile {
    const file = new OpenFile(backend, fd);
    file.isBorrowed = true;
    return file;
  }

  /** Takes over `fd`. */
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
   * For a stream, whose operations may begin after `close()` was called, which waits for its end. What is returned ends it, and may be called again.
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

  /** For one reader or writer that has the file's position for itself. Throws ERR_INVALID_STATE where there is one, and once `close()` was called. */
  lock(): void {
    this.requireNotClosed();
    if (this.isLocked) throw invalidState("The FileHandle is locked");
    this.isLocked = true;
  }

  /** For iterators and writers. Throws ERR_INVALID_STATE once `close()` was called. */
  requireNotClosed(): this {
    if (this.closed !== undefined) throw invalidState("The FileHandle is closed");
    return this;
  }

  unlock(): void {
    this.isLocked = false;
  }

  /** Ends the holds of streams that nobody has any more. */
  endHolds(): void {
    for (; this.holds > 0; this.holds--) this.release();
  }

  /** Runs several operations one after the other, between which the file stays open. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    this.retain();
    try {
      return await run();
    } finally {
      this.release();
    }
  }

  /** For an operation that begins. Throws EBADF once `close()` was called. */
  requireOpen(syscall: string): this {
    if (this.closed !== undefined) throw new SystemError(EBADF, syscall);
    return this;
  }

  /** Closes it, after the operations that use it. May be called again. */
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
