/**
 * One stream socket on the ring: receives into provided buffers, keeps at most one send in flight, and ends without
 * losing memory.
 *
 * Guarantees: bytes leave in the order they were written; the consumer is offered bytes in the order they came, and never
 * inside of itself; it hears `onClose` exactly once, when nothing is in flight any more, and nothing after it; memory that
 * the kernel was given is freed after the operation's last completion. Leaves to others: how much may be queued (who
 * writes looks at `outbox.queuedBytes`), and what the bytes mean.
 */
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  SHUT_WR,
  SO_LINGER,
  SOL_SOCKET,
} from "../sys/abi.ts";
import { assert } from "../sys/assert.ts";
import { EAGAIN, EBADF, ECANCELED, ECONNRESET, EINTR, ENOBUFS, EPIPE, SystemError } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { POLLOUT } from "../sys/linux.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import type { Lane } from "../reactor/lane.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { WheelEntry } from "../reactor/wheel.ts";
import { localAddress, remoteAddress, type SocketAddress } from "./address.ts";
import { AT_DRAIN, AtDrain, ConnectionState, Flag, STATE } from "./connection-state.ts";
import * as inboxes from "./inbox.ts";
import { Outbox, type Sender } from "./outbox.ts";
import { type Consumer, type Finish, Hold, type Transport } from "./transport.ts";

const enum Kind {
  Send,
  Poll,
  Cancel,
  Close,
  /** Multishot: see MULTISHOT_KIND. */
  Receive = 6,
}

/** The descriptor of a connection that could not be made, and yet is to be shown to somebody. */
export const NEVER_OPEN = -1;

/** How long bytes that nobody reads are taken after the last answer. */
const LINGER_MS = 2000;
/** Who holds the connection. */
const HELD = Hold.Program | Hold.Reader | Hold.Exchange;

export class Connection extends WheelEntry implements Transport, OperationOwner, Flushable, Sender {
  readonly lane: Lane;
  consumer: Consumer;
  context: unknown = null;
  /** Bytes that the kernel has taken. */
  sentBytes = 0;
  /** -1 once the connection is closing. */
  fd: number;

  private readonly slot: number;
  /** What waits to be sent; null for nothing. */
  private queue: Outbox | null = null;
  private bits: number = ConnectionState.Open;
  /** What has arrived and was not taken. */
  private inbox: inboxes.Inbox = null;
  private closeError: SystemError | undefined;

  /** Takes over a connected, blocking descriptor, which the lane owns. Receives from the next submission on. NEVER_OPEN makes a closed one. */
  constructor(lane: Lane, fd: number, consumer: Consumer) {
    super();
    this.lane = lane;
    this.consumer = consumer;
    this.fd = fd;
    if (fd === NEVER_OPEN) {
      this.bits = ConnectionState.Closed;
      this.slot = -1;
      return;
    }
    this.slot = lane.operations.acquire(this);
    lane.reactor.ref();
    this.armReceive();
  }

  get reactor(): Reactor {
    return this.lane.reactor;
  }

  get state(): ConnectionState {
    return (this.bits & STATE) as ConnectionState;
  }

  get isOpen(): boolean {
    return this.state === ConnectionState.Open;
  }

  get isGone(): boolean {
    return this.state >= ConnectionState.Lingering;
  }

  get isClosing(): boolean {
    return this.state >= ConnectionState.Closing;
  }

  get peerEnded(): boolean {
    return this.has(Flag.PeerEnded);
  }

  get isOffering(): boolean {
    return this.has(Flag.Offering);
  }

  get localAddress(): SocketAddress | undefined {
    return localAddress(this.fd);
  }

  get remoteAddress(): SocketAddress | undefined {
    return remoteAddress(this.fd);
  }

  // ---- sending -----------------------------------------------------------------------------------------------------

  get outbox(): Outbox {
    return (this.queue ??= Outbox.take(this));
  }

  get queuedBytes(): number {
    return this.queue === null ? 0 : this.queue.queuedBytes;
  }

  /** For the outbox. */
  scheduleSend(): void {
    if (!this.has(Flag.SendInFlight)) this.scheduleFlush();
  }

  requestDrain(): void {
    this.set(Flag.DrainRequested);
  }

  get isDrained(): boolean {
    return this.isEmpty && !this.has(Flag.SendInFlight);
  }

  takeProgress(): boolean {
    const progressed = this.has(Flag.Progressed);
    this.clear(Flag.Progressed);
    return progressed;
  }

  sendFile(head: Uint8Array, file: number, offset: number, bytes: number): number {
    assert(this.isDrained, "a file overtakes nothing that is queued");
    if (this.isClosing) return -EAGAIN;
    const address = head.length > 0 ? pointerTo(head) : null;
    const sent = native().rl_send_file(this.fd, address, head.length, file, offset, bytes);
    if (sent === -EPIPE || sent === -ECONNRESET) {
      this.destroy(new SystemError(-sent, "sendfile")); // The peer is gone.
      return -EAGAIN;
    }
    if (sent > 0) this.sentBytes += sent;
    return sent;
  }

  requestWritable(): void {
    if (this.has(Flag.PollArmed) || this.isClosing) return;
    this.set(Flag.PollArmed);
    this.lane.tag(this.lane.nextSqe().prepPollAdd(this.fd, POLLOUT), this.slot, Kind.Poll);
  }

  private send(): void {
    assert(!this.has(Flag.SendInFlight), "a connection has one send in flight");
    this.set(Flag.SendInFlight);
    this.lane.tag(this.queue!.prepareSend(this.fd), this.slot, Kind.Send);
  }

  private get isEmpty(): boolean {
    return this.queue === null || this.queue.isEmpty;
  }

  private dropQueue(): void {
    const { queue } = this;
    if (queue === null) return;
    this.queue = null;
    queue.clear();
    Outbox.give(queue);
  }

  private sent(result: number): void {
    const queue = this.queue!;
    this.clear(Flag.SendInFlight);
    queue.settle();
    if (this.isClosing) {
      this.dropQueue();
      return this.settle();
    }
    if (result < 0) {
      if (result === -EINTR || result === -EAGAIN) return this.scheduleFlush();
      return this.destroy(new SystemError(-result, "send"));
    }
    queue.took(result);
    this.sentBytes += result;
    if (!queue.isEmpty) {
      this.set(Flag.Progressed);
      return this.send();
    }
    this.queue = null;
    Outbox.give(queue);
    this.drained();
  }

  /** Nothing is queued and no send is in flight: does what waited for that. */
  private drained(): void {
    if (this.queue !== null && this.queue.isEmpty) this.dropQueue(); // Of somebody who wrote nothing.
    if (this.has(Flag.DrainRequested)) {
      this.clear(Flag.DrainRequested);
      try {
        this.consumer.onDrain(this);
      } catch (error) {
        this.scheduleFlush(); // For what else waited for this.
        throw error;
      }
      if (!this.isEmpty || this.isClosing) return;
    }
    if (this.state === ConnectionState.Lingering) return;
    switch (this.bits & AT_DRAIN) {
      case AtDrain.close:
        return this.destroy();
      case AtDrain.linger:
        return this.linger();
      case AtDrain.fin:
        if (this.state === ConnectionState.Ended) return;
        this.sendFin();
        this.move(ConnectionState.Ended);
        if (this.peerEnded) this.destroy();
    }
  }

  /** At once: a ring's shutdown always takes a worker thread. */
  private sendFin(): void {
    native().rl_shutdown(this.fd, SHUT_WR);
  }

  // ---- receiving ---------------------------------------------------------------------------------------------------

  hold(reason: Hold): void {
    if (this.has(reason) || this.isGone) return;
    this.set(reason);
    this.cancelReceive();
  }

  release(reason: Hold): void {
    if (!this.has(reason)) return;
    this.clear(reason);
    if (this.has(Flag.OfferDue) || !this.has(Flag.ReceiveArmed)) this.scheduleFlush();
  }

  private get isHeld(): boolean {
    return (this.bits & HELD) !== 0;
  }

  private armReceive(): void {
    assert(
      !this.has(Flag.ReceiveArmed | Flag.PeerEnded),
      "a connection has one receive in flight, and none after the end",
    );
    const { lane } = this;
    this.set(Flag.ReceiveArmed);
    lane.tag(lane.nextSqe().prepRecvMultishot(this.fd, lane.receiveBuffers.bgid), this.slot, Kind.Receive);
  }

  private cancelReceive(): void {
    if (!this.has(Flag.ReceiveArmed) || this.has(Flag.CancelInFlight)) return;
    this.set(Flag.CancelInFlight);
    this.lane.cancel(this.slot, Kind.Receive, Kind.Cancel);
  }

  private get mayReceive(): boolean {
    return (this.bits & (Flag.ReceiveArmed | Flag.PeerEnded | Flag.Backlogged | HELD)) === 0;
  }

  /** A multishot receive may end at any completion, a successful one too. */
  private continueReceiving(): void {
    if (!this.mayReceive || this.isClosing) return;
    this.lane.counters.rearms++;
    this.armReceive();
  }

  private received(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0) this.clear(Flag.ReceiveArmed);
    if (result > 0) {
      if ((flags & IORING_CQE_F_BUFFER) === 0)
        throw new RingIntegrityError(`completion receives ${result} bytes without a buffer`);
      const buffers = this.lane.receiveBuffers;
      const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
      const start = buffers.take(bid, result);
      // Before the consumer, which may run the event loop until more comes.
      if (!this.has(Flag.ReceiveArmed)) this.continueReceiving();
      try {
        this.arrived(buffers.memory, start, start + result);
      } finally {
        buffers.recycle(bid);
      }
      return;
    }
    // A receive that ends without data may still have picked a buffer.
    if ((flags & IORING_CQE_F_BUFFER) !== 0) {
      const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
      this.lane.receiveBuffers.take(bid, 0);
      this.lane.receiveBuffers.recycle(bid);
    }
    if (this.isClosing) return this.settle();
    switch (-result) {
      case 0:
        return this.endedByPeer();
      case ENOBUFS: // The pool is empty. Waits for buffers to come back, not for a timer.
        if (!this.isHeld) this.lane.awaitBuffers(this);
        return;
      case ECANCELED: // By a hold, which may have been released since.
      case EINTR:
      case EAGAIN:
        return this.continueReceiving();
      default:
        // ECONNRESET and others: the peer is gone, and so are the bytes that it has not read.
        return this.destroy(new SystemError(-result, "recv"));
    }
  }

  // ---- the consumer ------------------------------------------------------------------------------------------------

  setConsumer(consumer: Consumer): void {
    this.consumer = consumer;
    this.clear(Flag.EndTold);
    if (this.has(Flag.Offering) || (this.inbox === null && !this.peerEnded)) return;
    this.set(Flag.OfferDue);
    this.scheduleFlush();
  }

  offer(): boolean {
    if (this.inbox === null) return false;
    if (!this.has(Flag.Offering)) this.offerInbox();
    return true;
  }

  /** Bytes in the kernel's buffer, which is this connection's until this returns. */
  private arrived(memory: Buffer, start: number, end: number): void {
    if (this.isGone) return;
    if (this.inbox === null && (this.bits & (Flag.Offering | HELD)) === 0) {
      const at = this.present(memory, start, end);
      if (at < end && !this.isGone) {
        const later = this.inbox; // What a nested loop has received.
        this.inbox = inboxes.append(null, memory, at, end);
        if (later !== null) {
          this.inbox = inboxes.join(inboxes.queueOf(this.inbox!), later);
          return this.offerInbox();
        }
      } else if (this.inbox !== null) return this.offerInbox();
      return this.afterOffer();
    }
    this.inbox = inboxes.append(this.inbox, memory, start, end);
    if ((this.bits & (Flag.Offering | HELD)) === 0) return this.offerInbox();
    this.set(Flag.OfferDue);
    if (this.isHeld) this.cancelReceive(); // A cancellation that missed its receive is sent again.
    this.limitBacklog();
  }

  /** Offers what is kept, until the consumer has seen all of it. */
  private offerInbox(): void {
    this.clear(Flag.OfferDue);
    while (this.inbox !== null && !this.isGone) {
      if (this.isHeld) {
        this.set(Flag.OfferDue);
        break;
      }
      const bytes = inboxes.queueOf(this.inbox);
      this.inbox = null;
      bytes.start = this.present(bytes.memory, bytes.start, bytes.end);
      if (this.isGone) break;
      const isAll = this.inbox === null;
      this.inbox = inboxes.join(bytes, this.inbox);
      if (isAll) break;
    }
    this.afterOffer();
  }

  /** Lets the consumer, and each that takes its place, take what it wants. Returns how far they got. */
  private present(memory: Buffer, start: number, end: number): number {
    let at = start;
    let isOver = false;
    const wasOffering = this.has(Flag.Offering);
    try {
      for (;;) {
        const { consumer } = this;
        if (!consumer.isReentrant) this.set(Flag.Offering);
        const next = consumer.consume(memory, at, end, this);
        assert(next >= at && next <= end, "a consumer takes from what it is offered");
        at = next;
        if (at === end || this.consumer === consumer || (this.bits & HELD) !== 0 || this.isGone) break;
      }
      isOver = true;
    } finally {
      if (!wasOffering) this.clear(Flag.Offering);
      // The consumer threw: what a nested loop has received, and the end, wait for the next flush.
      if (!isOver && (this.inbox !== null || this.peerEnded)) this.postpone();
    }
    // Held between two consumers: the second has not seen the rest.
    if (at < end && this.isHeld) this.set(Flag.OfferDue);
    return at;
  }

  /** Bytes, or the end that follows them, wait for a consumer that may be called. */
  private get hasOffer(): boolean {
    if ((this.bits & (Flag.Offering | HELD)) !== 0) return false;
    return this.has(Flag.OfferDue) || (this.bits & (Flag.PeerEnded | Flag.EndTold)) === Flag.PeerEnded;
  }

  private postpone(): void {
    this.set(Flag.OfferDue);
    this.scheduleFlush();
  }

  private afterOffer(): void {
    if (this.inbox !== null || this.has(Flag.Backlogged)) this.limitBacklog();
    if (this.peerEnded) this.tellEnd();
  }

  /** Receives no more than may wait. */
  private limitBacklog(): void {
    if (this.isGone) return;
    const bytes = this.inbox === null ? 0 : this.inbox.length;
    const isFull = bytes >= this.consumer.backlogBytesMax;
    if (isFull === this.has(Flag.Backlogged)) return;
    if (isFull) {
      this.set(Flag.Backlogged);
      this.cancelReceive();
    } else {
      this.clear(Flag.Backlogged);
      if (this.mayReceive) this.scheduleFlush();
    }
  }

  private endedByPeer(): void {
    this.set(Flag.PeerEnded);
    if (this.state === ConnectionState.Lingering) return this.destroy();
    this.tellEnd();
  }

  /** Unless bytes that the consumer has not seen come first. */
  private tellEnd(): void {
    if (this.has(Flag.EndTold) || this.has(Flag.Offering) || this.isClosing) return;
    if (this.isHeld || this.has(Flag.OfferDue)) return this.set(Flag.OfferDue);
    this.set(Flag.EndTold);
    try {
      this.consumer.onEnd(this);
    } finally {
      if (this.state === ConnectionState.Ended) this.destroy();
    }
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  finish(how: Finish): void {
    if (this.isGone) return;
    if (AtDrain[how] > (this.bits & AT_DRAIN)) this.bits = (this.bits & ~AT_DRAIN) | AtDrain[how];
    if (this.state === ConnectionState.Open) this.move(ConnectionState.Ending);
    this.scheduleFlush();
  }

  destroy(error?: SystemError, reset = false): void {
    if (this.isClosing) return;
    this.move(ConnectionState.Closing);
    this.closeError = error;
    this.clearTimeout();
    this.inbox = null;
    const { lane, slot, fd } = this;
    // struct linger { l_onoff = 1, l_linger = 0 }.
    if (reset) native().rl_setsockopt_bytes(fd, SOL_SOCKET, SO_LINGER, pointerTo(Int32Array.of(1, 0)), 8);
    this.cancelAll();
    lane.owned.delete(fd);
    lane.tag(lane.nextSqe().prepClose(fd), slot, Kind.Close);
    this.fd = -1;
    if (!this.has(Flag.SendInFlight)) this.dropQueue();
  }

  private linger(): void {
    if (this.peerEnded) return this.destroy();
    if (this.state < ConnectionState.Ended) this.sendFin();
    this.move(ConnectionState.Lingering);
    this.clear(HELD | Flag.Backlogged);
    this.inbox = null;
    if (!this.has(Flag.ReceiveArmed)) this.armReceive();
    this.reactor.setDeadline(this, LINGER_MS);
  }

  private cancelAll(): void {
    const { lane, slot } = this;
    if (this.has(Flag.ReceiveArmed)) lane.cancel(slot, Kind.Receive, Kind.Cancel);
    if (this.has(Flag.SendInFlight)) lane.cancel(slot, Kind.Send, Kind.Cancel);
    if (this.has(Flag.PollArmed)) lane.cancel(slot, Kind.Poll, Kind.Cancel);
  }

  /** After a completion in Closing. The last one closes the connection, and frees the slot. */
  private settle(): void {
    const { lane, slot } = this;
    if (this.state !== ConnectionState.Closing || lane.operations.inFlightOf(slot) > 0) return;
    this.move(ConnectionState.Closed);
    this.dropQueue(); // What a handler wrote after destroy().
    lane.operations.release(slot);
    if (!this.has(Flag.Unreferenced)) lane.reactor.unref();
    this.consumer.onClose(this.closeError, this);
  }

  // ---- timers and references ---------------------------------------------------------------------------------------

  setTimeout(delayMs: number): void {
    if (!this.isGone) this.reactor.setDeadline(this, delayMs);
  }

  clearTimeout(): void {
    if (this.armed) this.reactor.wheel.clear(this);
  }

  /** The wheel's: the time set with `setTimeout()`, or for lingering, is over. */
  override fire(): void {
    if (this.state === ConnectionState.Lingering) this.destroy();
    else if (!this.isClosing) this.consumer.onTimeout(this);
  }

  setReferenced(referenced: boolean): void {
    if (this.has(Flag.Unreferenced) !== referenced || this.state === ConnectionState.Closed) return;
    if (referenced) {
      this.clear(Flag.Unreferenced);
      this.reactor.ref();
    } else {
      this.set(Flag.Unreferenced);
      this.reactor.unref();
    }
  }

  // ---- from the reactor --------------------------------------------------------------------------------------------

  /** The reactor is about to submit: does what is due. */
  flush(): void {
    this.clear(Flag.FlushScheduled);
    if (this.isClosing) return;
    if (this.hasOffer) {
      this.scheduleFlush(); // If a handler throws, or runs the event loop itself, the next flush goes on.
      this.offerInbox();
      if (this.isClosing) return;
    }
    if (this.mayReceive) this.armReceive();
    if (this.has(Flag.SendInFlight)) return;
    if (this.queue !== null && this.queue.hasUnsent) this.send();
    else this.drained();
  }

  complete(kind: number, result: number, flags: number): void {
    switch (kind) {
      case Kind.Receive:
        return this.received(result, flags);
      case Kind.Send:
        return this.sent(result);
      case Kind.Poll:
        this.clear(Flag.PollArmed);
        if (this.isClosing) break;
        return this.consumer.onDrain(this); // Whatever the poll said: an error shows at the next try.
      case Kind.Cancel:
        this.clear(Flag.CancelInFlight);
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

  private scheduleFlush(): void {
    if (this.has(Flag.FlushScheduled) || this.isClosing) return;
    this.set(Flag.FlushScheduled);
    this.reactor.scheduleFlush(this);
  }

  private move(to: ConnectionState): void {
    assert(to > this.state, "a connection's state goes one way");
    this.bits = (this.bits & ~STATE) | to;
  }

  private has(flags: number): boolean {
    return (this.bits & flags) !== 0;
  }

  private set(flags: number): void {
    this.bits |= flags;
  }

  private clear(flags: number): void {
    this.bits &= ~flags;
  }
}
