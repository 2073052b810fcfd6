/**
 * An open file as ringloop/fs shares it among the operations on it: its descriptor, and who uses it.
 *
 * Guarantees: the descriptor is closed after the last operation that uses it, never under one, so that no piece of an operation reaches a file or a
 * socket that was given the same number; once `close()` was called, nobody new gets it. An operation that was abandoned (a signal, a time limit)
 * uses it until its last completion.
 */
import type { Holder } from "../reactor/operation.ts";
import { EBADF, SystemError } from "../sys/errno.ts";
import type { Backend } from "./backend.ts";
import { DirectPosition } from "./direct-position.ts";

export class OpenFile implements Holder {
  readonly fd: number;
  /** Of a file that is open with O_DIRECT: the kernel wants aligned memory, and does not move its own position. */
  readonly direct: DirectPosition | null;

  private readonly backend: Backend;
  private uses = 0;
  private isBorrowed = false;
  private closed: PromiseWithResolvers<void> | undefined;

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
