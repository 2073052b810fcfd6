/**
 * Memory of one operation: chunks of the reactor's arena that the kernel sees. They are given back
 * all together.
 *
 * Leaves to others: not to free the memory before the operation's last completion.
 */
import { withCode } from "../sys/check.ts";
import { type Arena, type Chunk, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { ENAMETOOLONG, SystemError } from "../sys/errno.ts";
import { byteLengthOf, copyAll } from "../sys/views.ts";
import type { OperatingReactor } from "./operating-reactor.ts";
import { WheelEntry } from "../reactor/wheel.ts";

export abstract class OperationMemory extends WheelEntry {
  /** Whether the memory begins at multiples of 4096 bytes, for O_DIRECT. */
  aligned = false;
  /** The first chunk; the others follow by `next`. */
  chunk: Chunk | null = null;

  protected readonly reactor: OperatingReactor;
  /** Name of the system call, for errors. */
  protected abstract readonly syscall: string;
  private last: Chunk | null = null;

  constructor(reactor: OperatingReactor) {
    super();
    this.reactor = reactor;
  }

  /**
   * Allocates `bytes` of mapped memory, until the last completion. Throws RangeError above 1 MiB,
   * SystemError ENOMEM.
   */
  room(bytes: number): Chunk {
    if (bytes > CHUNK_BYTES_MAX)
      throw withCode(
        "ERR_OUT_OF_RANGE",
        new RangeError(`an operation takes at most ${CHUNK_BYTES_MAX} bytes in one piece, not ${bytes}`),
      );
    return this.keep(this.arena.allocate(bytes));
  }

  /**
   * Uses memory of JavaScript's that nobody else has yet. It must be large enough not to be in the
   * collected heap.
   */
  adopt(bytes: Uint8Array): Chunk {
    return this.keep(this.arena.adopt(bytes, false));
  }

  /**
   * Copies a path with its NUL, and returns its address. Throws SystemError ENAMETOOLONG, as the
   * kernel does for shorter paths.
   */
  placePath(path: string | Uint8Array): number {
    const bytes = (typeof path === "string" ? Buffer.byteLength(path) : byteLengthOf(path)) + 1;
    const chunk = this.keep(this.arena.allocate(bytes));
    if (bytes > chunk.capacity) throw new SystemError(ENAMETOOLONG, this.syscall);
    if (typeof path === "string") chunk.buffer.utf8Write(path, 0);
    else copyAll(path, 0, bytes - 1, chunk.buffer, 0);
    chunk.buffer[bytes - 1] = 0;
    return chunk.address;
  }

  private get arena(): Arena {
    return this.aligned ? this.reactor.alignedArena : this.reactor.arena;
  }

  private keep(chunk: Chunk): Chunk {
    if (this.last === null) this.chunk = chunk;
    else this.last.next = chunk;
    this.last = chunk;
    return chunk;
  }

  protected freeMemory(): void {
    const { arena } = this;
    for (let chunk = this.chunk; chunk !== null;) {
      const next: Chunk | null = chunk.next;
      arena.free(chunk);
      chunk = next;
    }
    this.chunk = this.last = null;
    this.aligned = false;
  }
}
