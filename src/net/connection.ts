/**
 * One stream socket on the ring: receives into provided buffers, keeps at most one send in flight, and ends without losing memory.
 *
 * Guarantees: bytes leave in the order they were written; what is written while a send is in flight leaves together in the next one;
 * the protocol hears `onClose` exactly once, when nothing is in flight any more, and nothing after it; memory that the kernel was
 * given is freed after the operation's last completion. Leaves to others: how much may be queued (the protocol looks at
 * `queuedBytes`), and what the bytes mean.
 */
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  MSG_NOSIGNAL,
  SHUT_WR,
  SO_LINGER,
  SOL_SOCKET,
} from "../sys/abi.ts";
import { EAGAIN, EBADF, ECANCELED, ECONNRESET, EINTR, ENOBUFS, EPIPE, SystemError } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { POLLOUT } from "../sys/linux.ts";
import { ADOPTED_BYTES_MIN, type Chunk, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { byteLengthOf, copyAll } from "../sys/views.ts";
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Flushable, Reactor } from "../reactor/reactor.ts";
import { localAddress, remoteAddress, type SocketAddress } from "./address.ts";
import { ConnectionFlags, ConnectionState, Hold } from "./connection-flags.ts";
import { gather } from "./gather.ts";

/** What is spoken over a connection. Handlers may write to, pause, end and destroy the connection. */
export interface Protocol {
  /** Bytes from `start` to `end` of `memory`, which are the caller's again when this returns: copy what is needed for longer. */
  onData(memory: Buffer, start: number, end: number, connection: Connection): void;
  /** The peer sends no more. */
  onEnd(connection: Connection): void;
  /** All that was queued has left, after `requestDrain()`, or the socket takes bytes again, after `requestWritable()`. */
  onDrain(connection: Connection): void;
  /** The time set with `setTimeout` is over. */
  onTimeout(connection: Connection): void;
  onClose(error: SystemError | undefined, connection: Connection): void;
}

const enum Kind {
  Send,
  Poll,
  Cancel,
  Close,
  /** Multishot: see MULTISHOT_KIND. */
  Receive = 6,
}

/** For a connection that could not be made, and yet is to be shown to somebody. */
export const NEVER_OPEN = -1;

/** How long bytes that nobody reads are taken after the last answer, so that the peer reads the answer and not a reset. */
const LINGER_MS = 2000;
/** The smallest chunk for a write, so that a few small writes share it. */
const CHUNK_BYTES_MIN = 4096;

export class Connection extends ConnectionFlags implements OperationOwner, Flushable {
  readonly reactor: Reactor;
  fd: number;
  /** Bytes that were written and that the kernel has not taken. */
  queuedBytes = 0;
  /** Bytes that the kernel has taken. */
  sentBytes = 0;

  /** Who hears of what happens. May be replaced. */
  protocol: Protocol;
  /** The protocol's own. */
  context: unknown = null;

  private readonly slot: number;
  private sendRequested = 0;
  /** The message of a send of several chunks, while it is in flight. */
  private message: Chunk | null = null;
  private head: Chunk | null = null;
  private tail: Chunk | null = null;
  /** What came while the connection was held, copied. */
  private held: Buffer[] | null = null;
  private closeError: SystemError | undefined;

  /** Takes over a connected, blocking descriptor, which the reactor owns, and starts to receive with the next submission. NEVER_OPEN makes a closed one. */
  constructor(reactor: Reactor, fd: number, protocol: Protocol) {
    super();
    this.reactor = reactor;
    this.fd = fd;
    this.protocol = protocol;
    if (fd === NEVER_OPEN) {
      this.state = ConnectionState.Closed;
      this.slot = -1;
      return;
    }
    this.slot = reactor.operations.acquire(this);
    reactor.ref();
    this.armReceive();
  }

  // ---- writing ---------------------------------------------------------------------------------------------------

  /** A chunk with room for `bytes` (at most CHUNK_BYTES_MAX) after its `length`. Write there, then `commit`. */
  reserve(bytes: number): Chunk {
    const tail = this.tail;
    if (tail !== null && tail.capacity - tail.length >= bytes) return tail;
    // Grows with what is queued already, so that a long queue is few sends.
    const chunk = this.reactor.arena.allocate(
      Math.max(bytes, CHUNK_BYTES_MIN, Math.min(this.queuedBytes, CHUNK_BYTES_MAX)),
    );
    if (tail === null) this.head = chunk;
    else tail.next = chunk;
    this.tail = chunk;
    return chunk;
  }

  /** `bytes` were written to the reserved chunk. */
  commit(chunk: Chunk, bytes: number): void {
    chunk.length += bytes;
    if (!(bytes >= 0 && chunk.length <= chunk.capacity))
      throw new Error(`${bytes} bytes were written to a chunk that ends at ${chunk.capacity}`);
    this.queuedBytes += bytes;
    this.reactor.unsubmittedBytes += bytes;
    if (!this.flushScheduled && !this.sendInFlight) {
      this.flushScheduled = true;
      this.reactor.scheduleFlush(this);
    }
  }

  /** Queues a chunk of the arena that somebody else has filled. It is the connection's from here on. */
  append(chunk: Chunk): void {
    if (this.tail === null) this.head = chunk;
    else this.tail.next = chunk;
    this.tail = chunk;
    const { length } = chunk;
    chunk.length = 0;
    this.commit(chunk, length);
  }

  /** Queues bytes that nobody changes: large ones are sent from where they are. `dispose`: and are of no use afterwards (see Arena.adopt). */
  writeOwned(bytes: Uint8Array, dispose: boolean): void {
    if (bytes.length >= ADOPTED_BYTES_MIN) this.append(this.reactor.arena.adopt(bytes, dispose));
    else this.write(bytes);
  }

  /**
   * Copies `length` bytes into the queue. They leave with the next submission. The length of shared memory may grow meanwhile: it is asked once.
   * Throws an Error for a view that has fewer.
   */
  write(bytes: Uint8Array, length: number = byteLengthOf(bytes)): void {
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
    if (text.length > CHUNK_BYTES_MAX) return this.write(Buffer.from(text, "latin1"));
    const chunk = this.reserve(text.length);
    this.commit(chunk, chunk.buffer.latin1Write(text, chunk.length, text.length));
  }

  /** A string as UTF-8, which is `bytes` long. */
  writeUtf8(text: string, bytes: number): void {
    if (bytes > CHUNK_BYTES_MAX) return this.write(Buffer.from(text));
    const chunk = this.reserve(bytes);
    this.commit(chunk, chunk.buffer.utf8Write(text, chunk.length, bytes));
  }

  /** Asks for `onDrain` when everything queued has left. */
  requestDrain(): void {
    this.notifyDrain = true;
  }

  /** Nothing is queued or on its way. */
  get isDrained(): boolean {
    return this.head === null && !this.sendInFlight;
  }

  /**
   * Sends `head` and then bytes from a file's page cache at once, past the queue, which must be drained. Returns how many bytes of both the
   * socket took, or -EAGAIN for none (see `requestWritable`), -ENODATA for a file that must be read from its disk first, or another -errno.
   */
  sendFile(head: Uint8Array, file: number, offset: number, bytes: number): number {
    if (!this.isDrained) throw new Error("a file cannot overtake what is queued");
    if (this.state >= ConnectionState.Closing) return -EAGAIN;
    const address = head.length > 0 ? pointerTo(head) : null;
    const sent = native().rl_send_file(this.fd, address, head.length, file, offset, bytes);
    if (sent === -EPIPE || sent === -ECONNRESET) {
      this.destroy(new SystemError(-sent, "sendfile")); // The peer is gone.
      return -EAGAIN;
    }
    if (sent > 0) this.sentBytes += sent;
    return sent;
  }

  /** Asks for `onDrain` when the socket takes bytes again. */
  requestWritable(): void {
    if (this.pollArmed || this.state >= ConnectionState.Closing) return;
    this.pollArmed = true;
    this.reactor.tag(this.reactor.nextSqe().prepPollAdd(this.fd, POLLOUT), this.slot, Kind.Poll);
  }

  // ---- reading ---------------------------------------------------------------------------------------------------

  /**
   * Stops receiving until the same reason is released: what the peer sends stays in the kernel, and the peer is slowed down by its
   * window. The program's hold, a body's and the others do not touch each other.
   */
  hold(reason: Hold): void {
    if (this.isHeldBy(reason) || this.state >= ConnectionState.Lingering) return;
    const wasHeld = this.isHeld;
    this.putHold(reason, true);
    if (!wasHeld) this.cancelReceive();
  }

  /** Takes back `hold(reason)`. Receiving goes on once nobody holds the connection. */
  release(reason: Hold): void {
    if (!this.isHeldBy(reason)) return;
    this.putHold(reason, false);
    if (!this.isHeld && (this.held !== null || !this.receiveArmed)) this.scheduleFlush();
  }

  /**
   * What comes from now on, the peer's end included, waits for `endProcessing()`: for a protocol in the middle of what it was given, whose
   * handler may run the event loop. One that hands on what comes, as it comes, needs neither.
   */
  beginProcessing(): void {
    this.processing = true;
  }

  endProcessing(): void {
    this.processing = false;
    if (this.hasHeld()) this.scheduleFlush();
  }

  // ---- ending ----------------------------------------------------------------------------------------------------

  /** Sends FIN after everything queued. The peer may still send. */
  end(): void {
    if (this.state !== ConnectionState.Open) return;
    this.transition(ConnectionState.Ending);
    this.scheduleFlush();
  }

  /** Closes after everything queued has left. */
  closeAfterSending(): void {
    this.closeWhenDrained = true;
    this.scheduleFlush();
  }

  /** Closes after everything queued has left, in a way that lets a peer which is still sending read it first. */
  lingerAfterSending(): void {
    this.lingerWhenDrained = true;
    this.scheduleFlush();
  }

  /** Closes now; what is queued is lost. `reset` sends RST instead of FIN. */
  destroy(error?: SystemError, reset = false): void {
    if (this.state >= ConnectionState.Closing) return;
    this.transition(ConnectionState.Closing);
    this.closeError = error;
    this.clearTimeout();
    this.held = null;
    const { reactor, slot, fd } = this;
    // struct linger { l_onoff = 1, l_linger = 0 }.
    if (reset) native().rl_setsockopt_bytes(fd, SOL_SOCKET, SO_LINGER, pointerTo(Int32Array.of(1, 0)), 8);
    this.cancelAll();
    reactor.owned.delete(fd);
    reactor.tag(reactor.nextSqe().prepClose(fd), slot, Kind.Close);
    this.fd = -1;
    if (!this.sendInFlight) this.dropQueue();
  }

  // ---- the rest --------------------------------------------------------------------------------------------------

  /** Whether the kernel has taken a part of what is queued since the last call: the peer reads, if slowly. */
  takeProgress(): boolean {
    const progress = this.progressed;
    this.progressed = false;
    return progress;
  }

  /** Calls `onTimeout` once, after `delayMs` (to 250 ms). Calling it again moves the deadline. */
  setTimeout(delayMs: number): void {
    if (this.state >= ConnectionState.Lingering) return;
    this.armTimer(delayMs);
  }

  clearTimeout(): void {
    if (this.armed) this.reactor.wheel.clear(this);
  }

  get localAddress(): SocketAddress | undefined {
    return localAddress(this.fd);
  }

  get remoteAddress(): SocketAddress | undefined {
    return remoteAddress(this.fd);
  }

  /** Whether the open connection keeps the process alive. It does at first. */
  setReferenced(referenced: boolean): void {
    if (this.unreferenced !== referenced || this.state === ConnectionState.Closed) return;
    this.unreferenced = !referenced;
    if (referenced) this.reactor.ref();
    else this.reactor.unref();
  }

  /** The reactor is about to submit: write what is due. */
  flush(): void {
    this.flushScheduled = false;
    if (this.state >= ConnectionState.Closing) return;
    if (this.hasHeld() && !this.isHeld && !this.processing) {
      this.scheduleFlush(); // What is still held comes with the next one, should a handler throw, or run the event loop until it comes.
      this.deliverHeld();
      if (this.isClosing()) return;
    }
    if (this.mayReceive()) this.armReceive();
    if (this.sendInFlight) return;
    if (this.head !== null && this.head.sent < this.head.length) this.send(this.head);
    else this.drained();
  }

  complete(kind: number, result: number, flags: number): void {
    switch (kind) {
      case Kind.Receive:
        return this.received(result, flags);
      case Kind.Send:
        return this.sent(result);
      case Kind.Poll:
        this.pollArmed = false;
        if (this.state >= ConnectionState.Closing) break;
        return this.protocol.onDrain(this); // Whatever it said: an error shows at the next try.
      case Kind.Cancel:
        this.cancelInFlight = false;
        // A cancellation misses (EALREADY) what is just being woken, and that goes on when it finds nothing. The descriptor is closed.
        if (this.state === ConnectionState.Closing && result < 0) this.cancelAll();
        break;
      case Kind.Close:
        if (result === -EBADF)
          process.emitWarning("a connection's descriptor was closed by somebody else", { code: "RINGLOOP_EBADF" });
        break;
    }
    this.settle();
  }

  private transition(to: ConnectionState): void {
    if (to <= this.state) throw new Error(`a connection cannot go from state ${this.state} to ${to}`);
    this.state = to;
  }

  private isClosing(): boolean {
    return this.state >= ConnectionState.Closing;
  }

  private scheduleFlush(): void {
    if (this.flushScheduled || this.state >= ConnectionState.Closing) return;
    this.flushScheduled = true;
    this.reactor.scheduleFlush(this);
  }

  /** The wheel's: the time set with `setTimeout`, or for lingering, is over. */
  override fire(): void {
    if (this.state === ConnectionState.Lingering) this.destroy();
    else if (this.state < ConnectionState.Closing) this.protocol.onTimeout(this);
  }

  private armTimer(delayMs: number): void {
    this.reactor.setDeadline(this, delayMs);
  }

  private armReceive(): void {
    const { reactor } = this;
    this.receiveArmed = true;
    reactor.tag(reactor.nextSqe().prepRecvMultishot(this.fd, reactor.receiveBuffers.bgid), this.slot, Kind.Receive);
  }

  private cancelReceive(): void {
    if (!this.receiveArmed || this.cancelInFlight) return;
    this.cancelInFlight = true;
    this.reactor.cancel(this.slot, Kind.Receive, Kind.Cancel);
  }

  private cancelAll(): void {
    if (this.receiveArmed) this.reactor.cancel(this.slot, Kind.Receive, Kind.Cancel);
    if (this.sendInFlight) this.reactor.cancel(this.slot, Kind.Send, Kind.Cancel);
    if (this.pollArmed) this.reactor.cancel(this.slot, Kind.Poll, Kind.Cancel);
  }

  private received(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0) this.receiveArmed = false;
    if (result > 0) {
      if ((flags & IORING_CQE_F_BUFFER) === 0)
        throw new RingIntegrityError(`completion receives ${result} bytes without a buffer`);
      const buffers = this.reactor.receiveBuffers;
      const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
      const start = buffers.take(bid, result);
      // Before the handler, which may run the event loop until more comes.
      if (!this.receiveArmed) this.continueReceiving();
      try {
        this.deliver(buffers.memory, start, start + result);
      } finally {
        buffers.recycle(bid);
      }
      return;
    }
    // A receive that ends without data may still have picked a buffer.
    if ((flags & IORING_CQE_F_BUFFER) !== 0) {
      const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
      this.reactor.receiveBuffers.take(bid, 0);
      this.reactor.receiveBuffers.recycle(bid);
    }
    if (this.state >= ConnectionState.Closing) return this.settle();
    switch (-result) {
      case 0:
        return this.peerEnded();
      case ENOBUFS: // The pool is empty. Waits for buffers to come back, not for a timer.
        if (!this.isHeld) this.reactor.awaitBuffers(this);
        return;
      case ECANCELED: // By hold(). release() may have been called since.
      case EINTR:
      case EAGAIN:
        return this.continueReceiving();
      default:
        // ECONNRESET and others: the peer is gone, and so are the bytes that it has not read.
        return this.destroy(new SystemError(-result, "recv"));
    }
  }

  private deliver(memory: Buffer, start: number, end: number): void {
    if (this.state >= ConnectionState.Lingering) return;
    if (!this.isHeld && this.held === null && !this.processing) return this.protocol.onData(memory, start, end, this);
    // What was under way when hold() was called. A cancel that missed its receive is sent again.
    (this.held ??= []).push(Buffer.from(memory.subarray(start, end)));
    if (this.isHeld || this.processing) this.cancelReceive();
  }

  private deliverHeld(): void {
    while (this.held !== null && !this.isHeld && !this.processing && this.state < ConnectionState.Lingering) {
      const bytes = this.held.shift()!;
      if (this.held.length === 0) this.held = null;
      this.protocol.onData(bytes, 0, bytes.length, this);
    }
    if (this.held !== null || !this.receiveEnded || this.isHeld || this.state >= ConnectionState.Closing) return;
    this.tellEnd();
  }

  /** Something that came waits for the protocol: bytes, or the end that follows them. */
  private hasHeld(): boolean {
    return this.held !== null || (this.receiveEnded && !this.endTold);
  }

  /** A multishot receive may end at any completion, a successful one too. */
  private continueReceiving(): void {
    if (!this.mayReceive() || this.state >= ConnectionState.Closing) return;
    this.reactor.counters.rearms++;
    this.armReceive();
  }

  private mayReceive(): boolean {
    if (this.receiveArmed || this.receiveEnded || this.isHeld) return false;
    return !this.processing || this.held === null;
  }

  private peerEnded(): void {
    this.receiveEnded = true;
    if (this.state === ConnectionState.Lingering) return this.destroy();
    if (this.held === null && !this.isHeld && !this.processing) this.tellEnd();
  }

  private tellEnd(): void {
    if (this.endTold) return;
    this.endTold = true;
    try {
      this.protocol.onEnd(this);
    } finally {
      if (this.state === ConnectionState.Ended) this.destroy();
    }
  }

  private send(first: Chunk): void {
    const { reactor, fd } = this;
    this.sendInFlight = true;
    if (first.next === null) {
      this.sendRequested = first.unsent;
      const sqe = reactor.nextSqe().prepSend(fd, first.address + first.sent, this.sendRequested, MSG_NOSIGNAL);
      reactor.tag(sqe, this.slot, Kind.Send);
      return;
    }
    const { header, bytes } = gather(reactor.arena, first);
    this.message = header;
    this.sendRequested = bytes;
    reactor.tag(reactor.nextSqe().prepSendmsg(fd, header.address, MSG_NOSIGNAL), this.slot, Kind.Send);
  }

  private sent(result: number): void {
    const { arena, counters } = this.reactor;
    this.sendInFlight = false;
    if (this.message !== null) {
      arena.free(this.message);
      this.message = null;
    }
    if (this.state >= ConnectionState.Closing) {
      this.dropQueue();
      return this.settle();
    }
    if (result < 0) {
      if (result === -EINTR || result === -EAGAIN) return this.scheduleFlush();
      return this.destroy(new SystemError(-result, "send"));
    }
    if (result > this.sendRequested)
      throw new RingIntegrityError(`completion sends ${result} of ${this.sendRequested} bytes`);
    if (result < this.sendRequested) counters.shortSends++;
    this.queuedBytes -= result;
    this.sentBytes += result;
    if (this.queuedBytes > 0) this.progressed = true;
    for (let left = result; left > 0;) {
      const chunk = this.head!;
      const part = Math.min(left, chunk.length - chunk.sent);
      chunk.sent += part;
      left -= part;
      if (chunk.sent < chunk.length) break;
      this.head = chunk.next;
      if (this.head === null) this.tail = null;
      arena.free(chunk);
    }
    if (this.head !== null) this.send(this.head);
    else this.drained();
  }

  /** Nothing is queued and no send is in flight: what waited for that happens. */
  private drained(): void {
    if (this.notifyDrain) {
      this.notifyDrain = false;
      try {
        this.protocol.onDrain(this);
      } catch (error) {
        this.scheduleFlush(); // For what else waited for this.
        throw error;
      }
      if (this.head !== null || this.state >= ConnectionState.Closing) return;
    }
    if (this.state === ConnectionState.Lingering) return;
    if (this.closeWhenDrained) return this.destroy();
    if (this.lingerWhenDrained) return this.linger();
    if (this.state === ConnectionState.Ending) {
      native().rl_shutdown(this.fd, SHUT_WR); // A ring's shutdown always takes a worker thread.
      this.transition(ConnectionState.Ended);
      if (this.receiveEnded) this.destroy();
    }
  }

  private linger(): void {
    if (this.receiveEnded) return this.destroy();
    if (this.state < ConnectionState.Ended) native().rl_shutdown(this.fd, SHUT_WR);
    this.transition(ConnectionState.Lingering);
    this.clearHolds();
    this.held = null;
    if (!this.receiveArmed) this.armReceive();
    this.armTimer(LINGER_MS);
  }

  private dropQueue(): void {
    for (let chunk = this.head; chunk !== null;) {
      const next: Chunk | null = chunk.next;
      this.reactor.arena.free(chunk);
      chunk = next;
    }
    this.head = this.tail = null;
    this.queuedBytes = 0;
  }

  /** After a completion in Closing: once it was the last one, the connection is closed and the slot free. */
  private settle(): void {
    if (this.state !== ConnectionState.Closing || this.reactor.operations.inFlightOf(this.slot) > 0) return;
    this.transition(ConnectionState.Closed);
    this.dropQueue(); // What a handler wrote after destroy().
    this.reactor.operations.release(this.slot);
    if (!this.unreferenced) this.reactor.unref();
    this.protocol.onClose(this.closeError, this);
  }
}
