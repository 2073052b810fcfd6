/**
 * Reads from an open file into the arena's memory, through the ring: what is in the page cache comes with the submission, the rest is
 * waited for without a thread of ours.
 *
 * Guarantees: one read at a time; the memory and the descriptor live until the read in flight has completed, whatever happens
 * meanwhile; after `close()` nobody is called.
 */
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Chunk } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { EAGAIN, EINTR } from "../sys/errno.ts";
import { native } from "../sys/library.ts";

/** Gets the chunk back with what was read after its `length` (0 bytes at the end of the file), or -errno. */
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

  /** Takes over `fd`. */
  constructor(reactor: Reactor, fd: number, done: ReadDone) {
    this.reactor = reactor;
    this.descriptor = fd;
    this.done = done;
    this.slot = reactor.lane.operations.acquire(this);
    reactor.lane.owned.add(fd);
  }

  /** For what else is done with the file; -1 once it is closed. */
  get fd(): number {
    return this.closed ? -1 : this.descriptor;
  }

  /** Reads up to `bytes` at `offset` of the file behind what the chunk holds. The chunk is the reader's until `done`. */
  read(chunk: Chunk, bytes: number, offset: number): void {
    if (this.chunk !== null || this.closed) throw new Error("a file is read once at a time, and not after close()");
    if (!(bytes >= 0 && bytes <= chunk.room)) throw new Error(`a chunk has room for ${chunk.room} bytes, not ${bytes}`);
    this.chunk = chunk;
    this.bytes = bytes;
    this.offset = offset;
    this.submit();
  }

  /** Closes the file, after the read in flight. */
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
