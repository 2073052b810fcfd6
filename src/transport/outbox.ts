/**
 * Bytes that wait to be sent on one connection. A connection has an outbox only while something is
 * queued or in flight: most connections are idle, so an outbox serves one connection after the
 * other.
 *
 * Guarantees: bytes leave in the order in which they were written. Data that is written while a
 * send is in flight leaves together in the next send. A chunk is freed when the kernel has accepted
 * all of it, or with the connection.
 * Leaves to others: how much may be queued (the writer looks at `queuedBytes`), and when to send.
 */
import { MSG_NOSIGNAL } from "../sys/socket-abi.ts";
import { assert } from "../sys/assert.ts";
import { native } from "../sys/library.ts";
import { byteLengthOf, copyAll } from "../sys/views.ts";
import { ADOPTED_BYTES_MIN, type Chunk, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import type { Sqe } from "../ring/sqe.ts";
import { FreeList } from "../reactor/free-list.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { gather } from "./gather.ts";

/** Bytes of the smallest chunk for a write, so that a few small writes share it. */
const CHUNK_BYTES_MIN = 4096;

/**
 * Number of bytes from which a write is sent at once, while the bytes are in the processor's cache,
 * and not with the next submission.
 */
export const DIRECT_BYTES_MIN = 32768;

/** Sends the bytes of an outbox. */
export interface Sender {
  readonly reactor: Reactor;
  /** Whether `sendNow()` may send bytes: no send is in flight before them. */
  readonly canSendNow: boolean;
  /** Sends as many bytes as the kernel accepts at once. The rest stays queued. */
  sendNow(): void;
  /** Called when something was queued. */
  scheduleSend(): void;
}

/** Number of spare outboxes that are kept for the next connections that write. */
const SPARES_MAX = 1024;

export class Outbox {
  /** Number of bytes that were written and that the kernel has not accepted. */
  queuedBytes = 0;
  /**
   * Whether the kernel has accepted only a part of the last send: the socket's buffer is full, and
   * more bytes would only wait here.
   */
  isRefused = false;

  private sender: Sender;
  private head: Chunk | null = null;
  private tail: Chunk | null = null;
  /** Number of bytes of the send in flight. */
  private requested = 0;
  /** The message header of the send in flight, if the send has several chunks. */
  private message: Chunk | null = null;

  private constructor(sender: Sender) {
    this.sender = sender;
  }

  /** Returns an empty outbox for `sender`. */
  static take(sender: Sender): Outbox {
    const spare = spares.take();
    if (spare === undefined) return new Outbox(sender);
    spare.sender = sender;
    return spare;
  }

  /** Gives an empty outbox back for another connection. */
  static give(outbox: Outbox): void {
    assert(outbox.head === null && outbox.message === null, "an outbox that is given back is empty");
    outbox.sender = nobody;
    spares.give(outbox);
  }

  get isEmpty(): boolean {
    return this.head === null;
  }

  // ---- for who writes ---------------------------------------------------------------------------

  /**
   * Returns a chunk with room for `bytes` (at most CHUNK_BYTES_MAX) after its `length`. The caller
   * writes there and then calls `commit`.
   */
  reserve(bytes: number): Chunk {
    const tail = this.tail;
    if (tail !== null && tail.capacity - tail.length >= bytes) return tail;
    // The chunk's size grows with the queue, so that a long queue needs few sends.
    const chunk = this.sender.reactor.arena.allocate(
      Math.max(bytes, CHUNK_BYTES_MIN, Math.min(this.queuedBytes, CHUNK_BYTES_MAX)),
    );
    this.link(chunk);
    return chunk;
  }

  /** Queues `bytes` that the caller has written to the reserved chunk. */
  commit(chunk: Chunk, bytes: number): void {
    chunk.length += bytes;
    if (!(bytes >= 0 && chunk.length <= chunk.capacity))
      throw new Error(`${bytes} bytes were written to a chunk that ends at ${chunk.capacity}`);
    this.queuedBytes += bytes;
    const { sender } = this;
    sender.reactor.unsubmittedBytes += bytes;
    sender.scheduleSend();
  }

  /** Queues a filled chunk of the arena. The outbox frees it later. */
  append(chunk: Chunk): void {
    this.link(chunk);
    const { length } = chunk;
    chunk.length = 0;
    this.commit(chunk, length);
  }

  /**
   * Queues bytes that must not change until they have left. Large ones are sent from where they
   * are. The writer may queue them again, for other connections too.
   */
  writeShared(bytes: Uint8Array): void {
    this.adopt(bytes, false);
  }

  /**
   * The same for bytes that nobody uses afterwards: their memory is given back when they have left
   * (Arena.adopt).
   */
  writeAndDispose(bytes: Uint8Array): void {
    this.adopt(bytes, true);
  }

  /**
   * Queues `length` bytes, followed by `suffix` (Latin-1). Large writes are sent at once if that is
   * possible. The bytes that the kernel does not accept are copied, and so are small writes. The
   * length is read only once, because shared memory may grow meanwhile. Throws an Error for a view
   * with fewer bytes.
   */
  write(bytes: Uint8Array, length: number = byteLengthOf(bytes), suffix = ""): void {
    if (length >= DIRECT_BYTES_MIN && bytes.byteLength >= length && this.sender.canSendNow)
      return this.writeThrough(bytes, length, suffix);
    this.copy(bytes, length);
    if (suffix !== "") this.writeLatin1(suffix);
  }

  /** Sends a large queue now. Called when all bytes that belong together are queued. */
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

  /** Writes a string of characters up to U+00FF, one byte for each. */
  writeLatin1(text: string): void {
    if (text.length > CHUNK_BYTES_MAX) return this.writeAndDispose(Buffer.from(text, "latin1"));
    const chunk = this.reserve(text.length);
    this.commit(chunk, chunk.buffer.latin1Write(text, chunk.length, text.length));
  }

  /** Writes a string as UTF-8. `bytes` is its length in UTF-8. */
  writeUtf8(text: string, bytes: number): void {
    if (bytes > CHUNK_BYTES_MAX) return this.writeAndDispose(Buffer.from(text));
    const chunk = this.reserve(bytes);
    this.commit(chunk, chunk.buffer.utf8Write(text, chunk.length, bytes));
  }

  // ---- for the connection -----------------------------------------------------------------------

  /** Whether a byte is queued that is in no send in flight. */
  get hasUnsent(): boolean {
    return this.head !== null && this.head.sent < this.head.length;
  }

  /** Prepares the send of everything queued. It is in flight until `settle()`. */
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

  /**
   * Sends as many bytes as the kernel accepts at once. Returns their number, for `took()`, or
   * -errno. No send may be in flight.
   */
  sendNow(fd: number): number {
    const { arena } = this.sender.reactor;
    const head = this.head!;
    let result: number;
    if (head.next === null) {
      this.requested = head.unsent;
      result = native().rl_send_now(fd, head.address + head.sent, this.requested, 0);
    } else {
      const { header, bytes } = gather(arena, head);
      this.requested = bytes;
      result = native().rl_send_now(fd, 0, 0, header.address);
      arena.free(header);
    }
    this.isRefused = result < this.requested;
    return result;
  }

  /**
   * Frees the message header: the send in flight is over, and the kernel does not use its memory
   * any more.
   */
  settle(): void {
    if (this.message === null) return;
    this.sender.reactor.arena.free(this.message);
    this.message = null;
  }

  /** Removes `bytes` from the queue: the kernel has accepted them. */
  took(bytes: number): void {
    const { arena, lane } = this.sender.reactor;
    if (bytes > this.requested) throw new RingIntegrityError(`completion sends ${bytes} of ${this.requested} bytes`);
    this.isRefused = bytes < this.requested;
    if (this.isRefused) lane.counters.shortSends++;
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

  /** Drops everything queued. No send may be in flight. */
  clear(): void {
    const { arena } = this.sender.reactor;
    for (let chunk = this.head; chunk !== null;) {
      const next: Chunk | null = chunk.next;
      arena.free(chunk);
      chunk = next;
    }
    this.head = this.tail = null;
    this.queuedBytes = 0;
    this.isRefused = false;
  }

  private adopt(bytes: Uint8Array, dispose: boolean): void {
    const { length } = bytes; // Read once: see `write`.
    if (length >= ADOPTED_BYTES_MIN) this.append(this.sender.reactor.arena.adopt(bytes, dispose, length));
    else this.copy(bytes, length);
  }

  /** Sends bytes from where they are, and copies those that the kernel does not accept. */
  private writeThrough(bytes: Uint8Array, length: number, suffix: string): void {
    const { sender } = this;
    const borrowed = sender.reactor.arena.adopt(bytes, false, length);
    this.append(borrowed);
    if (suffix !== "") this.writeLatin1(suffix);
    try {
      sender.sendNow();
    } finally {
      if (!borrowed.free) this.keep(borrowed);
    }
  }

  /** Replaces a chunk by a copy of its unsent bytes. */
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
/** The sender of a spare outbox. */
const nobody: Sender = {
  get reactor(): never {
    throw new Error("a spare outbox was written to");
  },
  canSendNow: false,
  sendNow() {},
  scheduleSend() {},
};
