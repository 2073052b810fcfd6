/**
 * One stream socket on the ring. It receives into provided buffers, has at most one send in flight,
 * and ends without losing memory.
 *
 * Guarantees: bytes leave in the order in which they were written. The consumer is offered bytes in
 * the order in which they came, and never inside of its own `consume`. `onClose` is called exactly
 * once, when nothing is in flight any more, and no method is called after it. Memory that was lent
 * to the kernel is freed after the operation's last completion.
 * Leaves to others: how much may be queued (the writer looks at `outbox.queuedBytes`), and what the
 * bytes mean.
 */
import { SO_LINGER, SOL_SOCKET } from "../sys/socket-abi.ts";
import { assert } from "../sys/assert.ts";
import { EBADF, SystemError } from "../sys/errno.ts";
import { native, withPointer } from "../sys/library.ts";
import { POLLOUT } from "../sys/linux.ts";
import type { ConnectionKind, OperationOwner } from "../reactor/op-table.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import type { Lane } from "../reactor/lane.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { WheelEntry } from "../reactor/wheel.ts";
import { localAddress, remoteAddress, type SocketAddress } from "./address.ts";
import { AT_DRAIN, AtDrain, ConnectionState, Flag, HELD, Kind, STATE } from "./connection-state.ts";
import type { Inbox } from "./inbox.ts";
import * as intake from "./intake.ts";
import { Outbox, type Sender } from "./outbox.ts";
import * as receiving from "./receiving.ts";
import * as sending from "./sending.ts";
import type { Consumer, Finish, Hold, Transport } from "./transport.ts";

/** Descriptor for a connection that could not be opened, but that a handler must be given. */
export const NEVER_OPEN = -1;

/** Milliseconds for which unread bytes are received and dropped after the last answer. */
const LINGER_MS = 2000;

export class Connection extends WheelEntry implements Transport, OperationOwner, Flushable, Sender {
  readonly lane: Lane;
  consumer: Consumer;
  context: unknown = null;
  /** Number of bytes that the kernel has accepted for sending so far. */
  sentBytes = 0;
  /** The descriptor; -1 once the connection is closing. */
  fd: number;

  readonly slot: number;
  /** Data that waits to be sent; null for none. */
  queue: Outbox | null = null;
  /** State and flags: see connection-state.ts. */
  bits: number = ConnectionState.Open;
  /** Bytes that have arrived and that the consumer has not taken. */
  inbox: Inbox = null;
  private closeError: SystemError | undefined;

  /**
   * Starts a connection on a connected, blocking descriptor, and makes the lane its owner. Receives
   * from the next submission on. NEVER_OPEN makes a closed connection.
   */
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
    receiving.arm(this);
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

  get metricsKind(): ConnectionKind | undefined {
    return this.isClosing ? undefined : (this.consumer.connectionKind ?? "http");
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

  // ---- sending ----------------------------------------------------------------------------------

  get outbox(): Outbox {
    return (this.queue ??= Outbox.take(this));
  }

  get queuedBytes(): number {
    return this.queue === null ? 0 : this.queue.queuedBytes;
  }

  /** Called by the outbox: something was queued. */
  scheduleSend(): void {
    if (!this.has(Flag.SendInFlight)) this.scheduleFlush();
  }

  get canSendNow(): boolean {
    return (this.bits & Flag.SendInFlight) === 0 && !this.isClosing && !this.lane.ring.sqpoll;
  }

  sendNow(): void {
    sending.sendNow(this);
  }

  requestDrain(): void {
    this.set(Flag.DrainRequested);
  }

  get isDrained(): boolean {
    return (this.queue === null || this.queue.isEmpty) && !this.has(Flag.SendInFlight);
  }

  takeProgress(): boolean {
    const progressed = this.has(Flag.Progressed);
    this.clear(Flag.Progressed);
    return progressed;
  }

  sendFile(head: Uint8Array, file: number, offset: number, bytes: number): number {
    assert(this.isDrained, "a file overtakes nothing that is queued");
    return sending.sendFile(this, head, file, offset, bytes);
  }

  requestWritable(): void {
    if (this.has(Flag.PollArmed) || this.isClosing) return;
    this.set(Flag.PollArmed);
    this.lane.tag(this.lane.nextSqe().prepPollAdd(this.fd, POLLOUT), this.slot, Kind.Poll);
  }

  /** Does what has waited until nothing was queued and no send was in flight. */
  drained(): void {
    // A writer asked for the outbox and wrote nothing.
    if (this.queue !== null && this.queue.isEmpty) sending.dropQueue(this);
    if (this.has(Flag.DrainRequested)) {
      this.clear(Flag.DrainRequested);
      try {
        this.consumer.onDrain(this);
      } catch (error) {
        this.scheduleFlush(); // The next flush does what follows `onDrain`.
        throw error;
      }
      if (!this.isDrained || this.isClosing) return;
    }
    if (this.state === ConnectionState.Lingering) return;
    switch (this.bits & AT_DRAIN) {
      case AtDrain.close:
        return this.destroy();
      case AtDrain.linger:
        return this.linger();
      case AtDrain.fin:
        if (this.state === ConnectionState.Ended) return;
        sending.sendFin(this);
        this.move(ConnectionState.Ended);
        if (this.peerEnded) this.destroy();
    }
  }

  // ---- receiving --------------------------------------------------------------------------------

  hold(reason: Hold): void {
    if (this.has(reason) || this.isGone) return;
    this.set(reason);
    receiving.hold(this);
  }

  release(reason: Hold): void {
    if (!this.has(reason)) return;
    this.clear(reason);
    if (this.has(Flag.OfferDue) || !this.has(Flag.ReceiveArmed)) this.scheduleFlush();
  }

  receiveDirectly(wanted: boolean): void {
    this.bits = wanted ? this.bits | Flag.Direct : this.bits & ~Flag.Direct;
  }

  receiveInto(address: number, bytes: number): number {
    assert(this.has(Flag.Offering) && bytes > 0, "a consumer receives when it is called for that");
    return native().rl_receive_now(this.fd, address, bytes);
  }

  /** Called by the intake. */
  stopReceiving(): void {
    receiving.hold(this);
  }

  // ---- the consumer -----------------------------------------------------------------------------

  setConsumer(consumer: Consumer): void {
    this.consumer = consumer;
    this.clear(Flag.EndTold | Flag.Direct);
    if (this.has(Flag.Offering) || (this.inbox === null && !this.peerEnded)) return;
    this.set(Flag.OfferDue);
    this.scheduleFlush();
  }

  offer(): boolean {
    if (this.inbox === null) return false;
    if (!this.has(Flag.Offering)) intake.offerKept(this);
    return true;
  }

  endedByPeer(): void {
    this.set(Flag.PeerEnded);
    if (this.state === ConnectionState.Lingering) this.destroy();
    else intake.tellEnd(this);
  }

  // ---- the end ----------------------------------------------------------------------------------

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
    if (reset) withPointer(Int32Array.of(1, 0), (to) => native().rl_setsockopt_bytes(fd, SOL_SOCKET, SO_LINGER, to, 8));
    this.cancelAll();
    lane.owned.delete(fd);
    lane.tag(lane.nextSqe().prepClose(fd), slot, Kind.Close);
    this.fd = -1;
    if (!this.has(Flag.SendInFlight)) sending.dropQueue(this);
  }

  private linger(): void {
    if (this.peerEnded) return this.destroy();
    if (this.state < ConnectionState.Ended) sending.sendFin(this);
    this.move(ConnectionState.Lingering);
    this.clear(HELD | Flag.Backlogged | Flag.Direct);
    this.inbox = null;
    if (receiving.isDue(this)) receiving.arm(this);
    this.reactor.setDeadline(this, LINGER_MS);
  }

  private cancelAll(): void {
    const { lane, slot } = this;
    if (this.has(Flag.ReceiveArmed)) lane.cancel(slot, Kind.Receive, Kind.Cancel);
    if (this.has(Flag.ReadableArmed)) lane.cancel(slot, Kind.Readable, Kind.Cancel);
    if (this.has(Flag.ResetWatched)) lane.cancel(slot, Kind.Reset, Kind.Cancel);
    if (this.has(Flag.SendInFlight)) lane.cancel(slot, Kind.Send, Kind.Cancel);
    if (this.has(Flag.PollArmed)) lane.cancel(slot, Kind.Poll, Kind.Cancel);
  }

  /** Ends the state Closing after the last completion: closes the connection and frees the slot. */
  settle(): void {
    const { lane, slot } = this;
    if (this.state !== ConnectionState.Closing || lane.operations.inFlightOf(slot) > 0) return;
    this.move(ConnectionState.Closed);
    sending.dropQueue(this); // Data that a handler wrote after destroy().
    lane.operations.release(slot);
    if (!this.has(Flag.Unreferenced)) lane.reactor.unref();
    this.consumer.onClose(this.closeError, this);
  }

  // ---- timers and references --------------------------------------------------------------------

  setTimeout(delayMs: number): void {
    if (!this.isGone) this.reactor.setDeadline(this, delayMs);
  }

  clearTimeout(): void {
    if (this.armed) this.reactor.wheel.clear(this);
  }

  /** Called by the wheel: the time of `setTimeout()` or of lingering is over. */
  override fire(): void {
    if (this.state === ConnectionState.Lingering) this.destroy();
    else if (!this.isClosing) this.consumer.onTimeout(this);
  }

  setReferenced(referenced: boolean): void {
    if (this.has(Flag.Unreferenced) !== referenced || this.state === ConnectionState.Closed) return;
    this.bits ^= Flag.Unreferenced;
    if (referenced) this.reactor.ref();
    else this.reactor.unref();
  }

  // ---- from the reactor -------------------------------------------------------------------------

  /** Does what is due, before the reactor submits. */
  flush(): void {
    this.clear(Flag.FlushScheduled);
    if (this.isClosing) return;
    if (intake.hasOffer(this)) {
      this.scheduleFlush(); // If a handler throws or runs the event loop, the next flush continues.
      intake.offerKept(this);
      if (this.isClosing) return;
    }
    if (receiving.isDue(this)) receiving.arm(this);
    if (this.has(Flag.SendInFlight)) return;
    if (this.queue !== null && this.queue.hasUnsent) sending.send(this);
    else this.drained();
  }

  complete(kind: number, result: number, flags: number): void {
    switch (kind) {
      case Kind.Receive:
        return receiving.received(this, result, flags);
      case Kind.Readable:
        return receiving.readable(this, result);
      case Kind.Reset:
        return receiving.resetSeen(this, result);
      case Kind.Send:
        return sending.sent(this, result);
      case Kind.Poll:
        this.clear(Flag.PollArmed);
        if (this.isClosing) break;
        // For any result of the poll: an error shows at the next write.
        return this.consumer.onDrain(this);
      case Kind.Cancel:
        this.clear(Flag.CancelInFlight);
        // A cancellation misses (EALREADY) an operation that is just being woken. The operation may
        // then go on, though the descriptor is closed. So it is cancelled again.
        if (this.state === ConnectionState.Closing && result < 0) this.cancelAll();
        break;
      case Kind.Close:
        if (result === -EBADF)
          process.emitWarning("a connection's descriptor was closed by somebody else", { code: "RINGLOOP_EBADF" });
        break;
    }
    this.settle();
  }

  scheduleFlush(): void {
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
