/**
 * The receive of a connection: a multishot receive into the lane's provided buffers. It is armed
 * again whenever it ends, unless the connection is held.
 *
 * Guarantees: at most one receive is in flight, and none after the peer's end. Every buffer that
 * the kernel has picked goes back to the kernel.
 * Leaves to others: who is offered the bytes (intake.ts).
 */
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_BUFFER, IORING_CQE_F_MORE } from "../sys/abi.ts";
import { assert } from "../sys/assert.ts";
import { EAGAIN, ECANCELED, EINTR, ENOBUFS, SystemError } from "../sys/errno.ts";
import type { Lane } from "../reactor/lane.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import { type BufferRing, RingIntegrityError } from "../ring/buffer-ring.ts";
import { Flag, HELD, Kind } from "./connection-state.ts";
import * as intake from "./intake.ts";

/** The members of a connection that its receive needs. */
export interface Receiving extends intake.Intake, Flushable {
  readonly lane: Lane;
  readonly slot: number;
  readonly fd: number;
  readonly isClosing: boolean;
  /** Called when the peer sends no more. */
  endedByPeer(): void;
  /** Called after a completion while the connection closes. */
  settle(): void;
}

export function arm(connection: Receiving): void {
  const { lane } = connection;
  assert(
    (connection.bits & (Flag.ReceiveArmed | Flag.PeerEnded)) === 0,
    "a connection has one receive in flight, and none after the end",
  );
  connection.bits |= Flag.ReceiveArmed;
  if ((connection.bits & Flag.ReceivesMuch) !== 0) connection.bits |= Flag.ReceivesBulk;
  const { bgid } = buffersOf(connection);
  lane.tag(lane.nextSqe().prepRecvMultishot(connection.fd, bgid), connection.slot, Kind.Receive);
}

/** Returns the buffers of the last receive. */
function buffersOf({ bits, lane }: Receiving): BufferRing {
  return (bits & Flag.ReceivesBulk) === 0 ? lane.receiveBuffers : lane.bulkBuffers;
}

export function cancel(connection: Receiving): void {
  if ((connection.bits & (Flag.ReceiveArmed | Flag.CancelInFlight)) !== Flag.ReceiveArmed) return;
  connection.bits |= Flag.CancelInFlight;
  connection.lane.cancel(connection.slot, Kind.Receive, Kind.Cancel);
}

/** Returns whether a receive must be armed: none is in flight, and nothing forbids one. */
export function isDue({ bits }: { bits: number }): boolean {
  return (bits & (Flag.ReceiveArmed | Flag.PeerEnded | Flag.Backlogged | HELD)) === 0;
}

/** Handles one completion of the receive. */
export function received(connection: Receiving, result: number, flags: number): void {
  const { lane } = connection;
  const buffers = buffersOf(connection);
  if ((flags & IORING_CQE_F_MORE) === 0) connection.bits &= ~Flag.ReceiveArmed;
  if (result > 0) {
    if ((flags & IORING_CQE_F_BUFFER) === 0)
      throw new RingIntegrityError(`completion receives ${result} bytes without a buffer`);
    lane.traffic.receivedBytes += result;
    const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
    const start = buffers.take(bid, result);
    if (result === buffers.bytes && !connection.isClosing) noteFull(connection);
    // Comes before the consumer, which may run the event loop until more arrives.
    if ((connection.bits & Flag.ReceiveArmed) === 0) goOn(connection);
    try {
      intake.arrived(connection, buffers.memory, start, start + result);
    } finally {
      buffers.recycle(bid);
    }
    return;
  }
  // A receive that ends without data may still have picked a buffer.
  if ((flags & IORING_CQE_F_BUFFER) !== 0) {
    const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
    buffers.take(bid, 0);
    buffers.recycle(bid);
  }
  if (connection.isClosing) return connection.settle();
  switch (-result) {
    case 0:
      return connection.endedByPeer();
    case ENOBUFS: // The pool is empty. Waits for buffers to come back, not for a timer.
      if ((connection.bits & HELD) === 0) lane.awaitBuffers(connection, buffers);
      return;
    case ECANCELED: // By a hold, which may have been released since, or for larger buffers.
    case EINTR:
    case EAGAIN:
      return goOn(connection);
    default:
      // ECONNRESET and others: the peer is gone, and so are the bytes that it has not read.
      return connection.destroy(new SystemError(-result, "recv"));
  }
}

/**
 * Notes that the receive has filled a buffer. The second full buffer ends it, and the next receive
 * gets larger buffers. A request that fills one buffer is not worth a cancellation.
 */
function noteFull(connection: Receiving): void {
  const { bits } = connection;
  connection.bits |= Flag.ReceivesMuch;
  if ((bits & (Flag.ReceivesMuch | Flag.ReceivesBulk)) === Flag.ReceivesMuch) cancel(connection);
}

/**
 * Arms the receive again if it has ended. A multishot receive may end at any completion, a
 * successful one too.
 */
function goOn(connection: Receiving): void {
  if (!isDue(connection) || connection.isClosing) return;
  connection.lane.counters.rearms++;
  arm(connection);
}
