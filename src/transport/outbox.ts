/**
 * Bytes that wait to be sent on one connection. A connection has an outbox while something is queued or in flight: most
 * connections are idle, and an outbox serves one after the other.
 *
 * Guarantees: bytes leave in the order they were written; what is written while a send is in flight leaves together in
 * the next one; a chunk is freed when the kernel has taken all of it, or with the connection.
 * Leaves to others: how much may be queued (whoever writes looks at `queuedBytes`), and when it is sent.
 */
import { MSG_NOSIGNAL } from "../sys/abi.ts";
import { assert } from "../sys/assert.ts";
import { native } from "../sys/library.ts";
import { byteLengthOf, copyAll } from "../sys/views.ts";
import { ADOPTED_BYTES_MIN, type Chunk, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import type { Sqe } from "../ring/sqe.ts";
import { FreeList } from "../reactor/free-list.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { gather } from "./gather.ts";

/** The smallest chunk for a write, so that a few small writes share it. */
const CHUNK_BYTES_MIN = 4096;

/**
 * From so many bytes on, a large write is given to the kernel at once, while it is in the processor's cache, and not with the
 * next submission.
 */
export const DIRECT_BYTES_MIN = 32768;

/** Sends what is in an outbox. */
export interface Sender {
  readonly reactor: Reactor;
  /** `sendNow()` can give bytes to the kernel: nothing is in flight before them. */
  readonly canSendNow: boolean;
  /** Gives the kernel as much as it takes at once. The rest stays queued. */
  sendNow(): void;
  /** Something was queued. */
  scheduleSend(): void;
}

/** So many are kept for the next connections that write. */
const SPARES_MAX = 1024;

export class Outbox {
  /** Bytes that were written and that the kernel has not taken. */
  queuedBytes = 0;

  private sender: Sender;
  private head: Chunk | null = null;
  private tail: Chunk | null = null;
  /** Bytes of the send in flight. */
  private requested = 0;
  /** The message header of the send in flight, where it has several chunks. */
  private message: Chunk | null = null;

  private constructor(sender: Sender) {
    this.sender = sender;
  }

  /** One that is empty. */
  static take(sender: Sender): Outbox {
    const spare = spares.take();
    if (spare === undefined) return new Outbox(sender);
    spare.sender = sender;
    return spare;
  }

  /** Gives an empty one back. */
  static give(outbox: Outbox): void {
    assert(outbox.head === null && outbox.message === null, "an outbox that is given back is empty");
    outbox.sender = nobody;
    spares.give(outbox);
  }

  get isEmpty(): boolean {
    return this.head === null;
  }

  // ---- for who writes ----------------------------------------------------------------------------------------------

  /** A chunk with room for `bytes` (at most CHUNK_BYTES_MAX) after its `length`. Write there, then `commit`. */
  reserve(bytes: number): Chunk {
    const tail = this.tail;
    if (tail !== null && tail.capacity - tail.length >= bytes) return tail;
    // Grows with what is queued already, so that a long queue is few sends.
    const chunk = this.sender.reactor.arena.allocate(
      Math.max(bytes, CHUNK_BYTES_MIN, Math.min(this.queuedBytes, CHUNK_BYTES_MAX)),
    );
    this.link(chunk);
    return chunk;
  }

  /** `bytes` were written to the reserved chunk. */
  commit(chunk: Chunk, bytes: number): void {
    chunk.length += bytes;
    if (!(bytes >= 0 && chunk.length <= chunk.capacity))
      throw new Error(`${bytes} bytes were written to a chunk that ends at ${chunk.capacity}`);
    this.queuedBytes += bytes;
    const { sender } = this;
    sender.reactor.unsubmittedBytes += bytes;
    sender.scheduleSend();
  }

  /** Queues a chunk of the arena that somebody else has filled. The outbox owns it from here on. */
  append(chunk: Chunk): void {
    this.link(chunk);
    const { length } = chunk;
    chunk.length = 0;
    this.commit(chunk, length);
  }

  /**
   * Queues bytes that nobody changes until they have left. Large ones are sent from where they are. The writer may use
   * them again, for other connections too.
   */
  writeShared(bytes: Uint8Array): void {
    this.adopt(bytes, false);
  }

  /** The same for bytes that nobody uses afterwards: their memory is given back when they have left (Arena.adopt). */
  writeAndDispose(bytes: Uint8Array): void {
    this.adopt(bytes, true);
  }

  /**
   * Queues `length` bytes, and `suffix` (Latin-1) behind them. Many bytes are sent at once if they can be, and what the
   * kernel does not take is copied, like few bytes. Asks for the length once: that of shared memory may grow meanwhile.
   * Throws an Error for a view that has fewer bytes.
   */
  write(bytes: Uint8Array, length: number = byteLengthOf(bytes), suffix = ""): void {
    if (length >= DIRECT_BYTES_MIN && bytes.byteLength >= length && this.sender.canSendNow)
      return this.writeThrough(bytes, length, suffix);
    this.copy(bytes, length);
    if (suffix !== "") this.writeLatin1(suffix);
  }

  /** Everything that belongs together is queued: if it is much, it leaves now. */
  hasten(): void {
    if (this.queuedBytes >= DIRECT_BYTES_MIN && this.sender.canSendNow) this.sender.sendNow();
  }

  private copy(bytes: Uint8Array, length: number): void {
    for (let at = 0; at < length;) {
      const tail = this.tail;
      const chunk = tail !== null && tail.room > 0 ? tail : this.reserve(Math.min(length - at, CHUNK_BYTES_MAX));
      const part = Math.min(chunk.room, length - at);
      copyAll(bytes, at, part, chunk.buffer, chunk.length);
      this.commit(chunk, part);
      at += part;
    }
  }

  /** A string of characters up to U+00FF, one byte each. */
  writeLatin1(text: string): void {
    if (text.length > CHUNK_BYTES_MAX) return this.writeAndDispose(Buffer.from(text, "latin1"));
    const chunk = this.reserve(text.length);
    this.commit(chunk, chunk.buffer.latin1Write(text, chunk.length, text.length));
  }

  /** A string as UTF-8, which is `bytes` long. */
  writeUtf8(text: string, bytes: number): void {
    if (bytes > CHUNK_BYTES_MAX) return this.writeAndDispose(Buffer.from(text));
    const chunk = this.reserve(bytes);
    this.commit(chunk, chunk.buffer.utf8Write(text, chunk.length, bytes));
  }

  // ---- for the connection ------------------------------------------------------------------------------------------

  /** Some byte is queued that no send has in flight. */
  get hasUnsent(): boolean {
    return this.head !== null && this.head.sent < this.head.length;
  }

  /** Prepares the send of all that is queued. It is in flight until `settle()`. */
  prepareSend(fd: number): Sqe {
    const { reactor } = this.sender;
    const head = this.head!;
    if (head.next === null) {
      this.requested = head.unsent;
      return reactor.lane.nextSqe().prepSend(fd, head.address + head.sent, this.requested, MSG_NOSIGNAL);
    }
    assert(this.message === null, "a connection has one send in flight");
    const { header, bytes } = gather(reactor.arena, head);
    this.message = header;
    this.requested = bytes;
    return reactor.lane.nextSqe().prepSendmsg(fd, header.address, MSG_NOSIGNAL);
  }

  /** Sends as much as the kernel takes at once. Returns how many bytes, for `took()`, or -errno. No send may be in flight. */
  sendNow(fd: number): number {
    const { arena } = this.sender.reactor;
    const head = this.head!;
    if (head.next === null) {
      this.requested = head.unsent;
      return native().rl_send_now(fd, head.address + head.sent, this.requested, 0);
    }
    const { header, bytes } = gather(arena, head);
    this.requested = bytes;
    const result = native().rl_send_now(fd, 0, 0, header.address);
    arena.free(header);
    return result;
  }

  /** The send in flight is over: the kernel uses its memory no more. */
  settle(): void {
    if (this.message === null) return;
    this.sender.reactor.arena.free(this.message);
    this.message = null;
  }

  /** The kernel has taken so many bytes of the send. */
  took(bytes: number): void {
    const { arena, lane } = this.sender.reactor;
    if (bytes > this.requested) throw new RingIntegrityError(`completion sends ${bytes} of ${this.requested} bytes`);
    if (bytes < this.requested) lane.counters.shortSends++;
    this.queuedBytes -= bytes;
    for (let left = bytes; left > 0;) {
      const chunk = this.head!;
      const part = Math.min(left, chunk.length - chunk.sent);
      chunk.sent += part;
      left -= part;
      if (chunk.sent < chunk.length) break;
      this.head = chunk.next;
      if (this.head === null) this.tail = null;
      arena.free(chunk);
    }
  }

  /** Drops what is queued. No send may be in flight. */
  clear(): void {
    const { arena } = this.sender.reactor;
    for (let chunk = this.head; chunk !== null;) {
      const next: Chunk | null = chunk.next;
      arena.free(chunk);
      chunk = next;
    }
    this.head = this.tail = null;
    this.queuedBytes = 0;
  }

  private adopt(bytes: Uint8Array, dispose: boolean): void {
    if (bytes.length >= ADOPTED_BYTES_MIN) this.append(this.sender.reactor.arena.adopt(bytes, dispose));
    else this.copy(bytes, bytes.length);
  }

  /** Sends bytes from where they are, and copies what the kernel does not take. */
  private writeThrough(bytes: Uint8Array, length: number, suffix: string): void {
    const { sender } = this;
    const borrowed = sender.reactor.arena.adopt(length === bytes.length ? bytes : bytes.subarray(0, length), false);
    this.append(borrowed);
    if (suffix !== "") this.writeLatin1(suffix);
    try {
      sender.sendNow();
    } finally {
      if (!borrowed.free) this.keep(borrowed);
    }
  }

  /** Puts a copy of what is unsent of a chunk into its place. */
  private keep(borrowed: Chunk): void {
    const { arena } = this.sender.reactor;
    let before: Chunk | null = null;
    for (let chunk = this.head!; chunk !== borrowed; chunk = chunk.next!) before = chunk;
    for (let at = borrowed.sent; at < borrowed.length;) {
      const copy = arena.allocate(Math.min(borrowed.length - at, CHUNK_BYTES_MAX));
      const part = Math.min(copy.room, borrowed.length - at);
      copyAll(borrowed.buffer, at, part, copy.buffer, 0);
      copy.length = part;
      at += part;
      if (before === null) this.head = copy;
      else before.next = copy;
      before = copy;
    }
    before!.next = borrowed.next;
    if (this.tail === borrowed) this.tail = before;
    arena.free(borrowed);
  }

  private link(chunk: Chunk): void {
    if (this.tail === null) this.head = chunk;
    else this.tail.next = chunk;
    this.tail = chunk;
  }
}

const spares = new FreeList<Outbox>(SPARES_MAX);
/** Whose outbox a spare one is. */
const nobody: Sender = {
  get reactor(): never {
    throw new Error("a spare outbox was written to");
  },
  canSendNow: false,
  sendNow() {},
  scheduleSend() {},
};
