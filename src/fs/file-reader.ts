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
import { assert } from "../sys/assert.ts";
import { EAGAIN, EINTR } from "../sys/errno.ts";
import { native } from "../sys/library.ts";

/**
 * Receives the chunk. The bytes read follow its `length`; `result` is their number (0 at the end of
 * the file), or -errno.
 */
export type ReadDone = (chunk: Chunk, result: number) => void;

/** States of a reader. Each comment says what is in flight in the state. */
const State = {
  /** Nothing. */
  Idle: 0,
  /** A read into the chunk. */
  Reading: 1,
  /** A read. After it, the chunk is freed and the file is closed: `close()` was called. */
  Closing: 2,
  /** Nothing. The file is closed. */
  Closed: 3,
} as const;
type State = (typeof State)[keyof typeof State];

/** The states that may follow each state. */
const successors: Record<State, readonly State[]> = {
  [State.Idle]: [State.Reading, State.Closed],
  [State.Reading]: [State.Idle, State.Closing],
  [State.Closing]: [State.Closed],
  [State.Closed]: [],
};

export class FileReader implements OperationOwner {
  private readonly reactor: Reactor;
  private readonly descriptor: number;
  private readonly slot: number;
  private readonly done: ReadDone;
  private state: State = State.Idle;
  /** The chunk of the read in flight; null for none. */
  private chunk: Chunk | null = null;
  private bytes = 0;
  private offset = 0;

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
    return this.state >= State.Closing ? -1 : this.descriptor;
  }

  /**
   * Reads up to `bytes` at `offset` of the file, and puts them after the chunk's content. The
   * reader owns the chunk until `done`.
   */
  read(chunk: Chunk, bytes: number, offset: number): void {
    assert(bytes >= 0 && bytes <= chunk.room, "a read fits into its chunk");
    this.move(State.Reading);
    this.chunk = chunk;
    this.bytes = bytes;
    this.offset = offset;
    this.submit();
  }

  /** Closes the file after the read in flight. */
  close(): void {
    if (this.state === State.Idle) this.release();
    else if (this.state === State.Reading) this.move(State.Closing);
  }

  complete(_kind: number, result: number): void {
    if (this.state === State.Reading && (result === -EINTR || result === -EAGAIN)) return this.submit();
    if (result > this.bytes) throw new RingIntegrityError(`completion reads ${result} of ${this.bytes} bytes`);
    const chunk = this.chunk!;
    this.chunk = null;
    if (this.state === State.Reading) {
      this.move(State.Idle);
      return this.done(chunk, result);
    }
    this.reactor.arena.free(chunk);
    this.release();
  }

  private submit(): void {
    assert(this.state === State.Reading, "a read goes on while somebody waits for it");
    const { reactor, chunk, bytes, offset } = this;
    const sqe = reactor.lane.nextSqe().prepRead(this.descriptor, chunk!.address + chunk!.length, bytes, offset);
    reactor.lane.tag(sqe, this.slot, 0);
  }

  private release(): void {
    this.move(State.Closed);
    this.reactor.lane.owned.delete(this.descriptor);
    native().rl_close(this.descriptor);
    this.reactor.lane.operations.release(this.slot);
  }

  private move(to: State): void {
    assert(successors[this.state].includes(to), "a file is read once at a time, and not after close()");
    this.state = to;
  }
}
