/**
 * Reads from an open file into the arena's memory, through the ring. Bytes in the page cache arrive
 * with the submission. The ring waits for other bytes without a thread of ringloop.
 *
 * Guarantees: one read is in flight at a time. The memory and the descriptor live until that read
 * has completed. After `close()`, no callback is called.
 */
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Chunk } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { EAGAIN, EINTR } from "../sys/errno.ts";
import { native } from "../sys/library.ts";

/**
 * Receives the chunk. The bytes read follow its `length`; `result` is their number (0 at the end of
 * the file), or -errno.
 */
export type ReadDone = (chunk: Chunk, result: number) => void;

export class FileReader implements OperationOwner {
  private readonly reactor: Reactor;
  private readonly descriptor: number;
  private readonly slot: number;
  private readonly done: ReadDone;
  private chunk: Chunk | null = null;
  private bytes = 0;
  private offset = 0;
  private closed = false;

  /** Owns `fd` from now on. */
  constructor(reactor: Reactor, fd: number, done: ReadDone) {
    this.reactor = reactor;
    this.descriptor = fd;
    this.done = done;
    this.slot = reactor.lane.operations.acquire(this);
    reactor.lane.owned.add(fd);
  }

  /** The descriptor, for other operations on the file; -1 after `close()`. */
  get fd(): number {
    return this.closed ? -1 : this.descriptor;
  }

  /**
   * Reads up to `bytes` at `offset` of the file, and puts them after the chunk's content. The
   * reader owns the chunk until `done`.
   */
  read(chunk: Chunk, bytes: number, offset: number): void {
    if (this.chunk !== null || this.closed) throw new Error("a file is read once at a time, and not after close()");
    if (!(bytes >= 0 && bytes <= chunk.room)) throw new Error(`a chunk has room for ${chunk.room} bytes, not ${bytes}`);
    this.chunk = chunk;
    this.bytes = bytes;
    this.offset = offset;
    this.submit();
  }

  /** Closes the file after the read in flight. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.chunk === null) this.release();
  }

  complete(_kind: number, result: number): void {
    if (!this.closed && (result === -EINTR || result === -EAGAIN)) return this.submit();
    if (result > this.bytes) throw new RingIntegrityError(`completion reads ${result} of ${this.bytes} bytes`);
    const chunk = this.chunk!;
    this.chunk = null;
    if (!this.closed) return this.done(chunk, result);
    this.reactor.arena.free(chunk);
    this.release();
  }

  private submit(): void {
    const { reactor, chunk, bytes, offset } = this;
    const sqe = reactor.lane.nextSqe().prepRead(this.descriptor, chunk!.address + chunk!.length, bytes, offset);
    reactor.lane.tag(sqe, this.slot, 0);
  }

  private release(): void {
    this.reactor.lane.owned.delete(this.descriptor);
    native().rl_close(this.descriptor);
    this.reactor.lane.operations.release(this.slot);
  }
}
