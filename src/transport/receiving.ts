/**
 * The receive of a connection: a multishot receive into the lane's provided buffers. It is armed
 * again whenever it ends, unless the connection is held.
 *
 * A connection that receives much gets its bytes in larger pieces. Without an SQ thread, a poll
 * takes the place of the receive. When bytes are there, they are received by a system call, like
 * large writes: into the memory of the consumer, or into memory that stays in the processor's
 * cache. With an SQ thread, which does the copying, the receive gets larger buffers.
 *
 * Guarantees: at most one receive or poll is in flight, and none after the peer's end. Every buffer
 * that the kernel has picked goes back to the kernel.
 * Leaves to others: who is offered the bytes (intake.ts).
 */
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_BUFFER, IORING_CQE_F_MORE } from "../sys/abi.ts";
import { assert } from "../sys/assert.ts";
import { EAGAIN, ECANCELED, ECONNRESET, EINTR, ENOBUFS, SystemError } from "../sys/errno.ts";
import { POLLERR } from "../sys/linux.ts";
import { POLLIN } from "../sys/socket-abi.ts";
import type { Lane } from "../reactor/lane.ts";
import { native } from "../sys/library.ts";
import type { Scratch } from "../reactor/scratch.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import { type BufferRing, RingIntegrityError } from "../ring/buffer-ring.ts";
import { Flag, FULL_BUFFERS, HELD, Kind, ONE_FULL_BUFFER } from "./connection-state.ts";
import * as intake from "./intake.ts";

/** Bytes of one receive of a consumer that has not taken what came before. */
const BEHIND_BYTES = 65536;
/** A connection receives much as long as it receives at least so many bytes at a time. */
const MUCH_BYTES = 32768;

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
    (connection.bits & (Flag.ReceiveArmed | Flag.ReadableArmed | Flag.PeerEnded)) === 0,
    "a connection has one receive in flight, and none after the end",
  );
  if ((connection.bits & Flag.ReceivesMuch) !== 0) {
    if (!lane.ring.sqpoll) {
      connection.bits |= Flag.ReadableArmed;
      return lane.tag(lane.nextSqe().prepPollAdd(connection.fd, POLLIN), connection.slot, Kind.Readable);
    }
    connection.bits |= Flag.ReceivesBulk;
  }
  connection.bits |= Flag.ReceiveArmed;
  const { bgid } = buffersOf(connection);
  lane.tag(lane.nextSqe().prepRecvMultishot(connection.fd, bgid), connection.slot, Kind.Receive);
}

/** Returns the buffers of the last receive. */
function buffersOf({ bits, lane }: Receiving): BufferRing {
  return (bits & Flag.ReceivesBulk) === 0 ? lane.receiveBuffers : lane.bulkBuffers;
}

function cancel(connection: Receiving): void {
  if ((connection.bits & (Flag.ReceiveArmed | Flag.CancelInFlight)) !== Flag.ReceiveArmed) return;
  connection.bits |= Flag.CancelInFlight;
  connection.lane.cancel(connection.slot, Kind.Receive, Kind.Cancel);
}

/**
 * Stops receiving. A reset must be seen nevertheless, as in Bun: the first hold begins to watch for
 * it, and the watch stays.
 */
export function hold(connection: Receiving): void {
  const { lane } = connection;
  cancel(connection);
  if ((connection.bits & Flag.ResetWatched) !== 0 || connection.isClosing) return;
  connection.bits |= Flag.ResetWatched;
  // The kernel reports POLLERR and POLLHUP to each poll.
  lane.tag(lane.nextSqe().prepPollAdd(connection.fd, 0), connection.slot, Kind.Reset);
}

/** Handles the completion of the watch. While nothing holds the connection, its receive sees the reset. */
export function resetSeen(connection: Receiving, polled: number): void {
  connection.bits &= ~Flag.ResetWatched;
  if (connection.isClosing) return connection.settle();
  const isHeld = (connection.bits & (Flag.Backlogged | HELD)) !== 0;
  if (polled > 0 && (polled & POLLERR) !== 0 && isHeld) connection.destroy(new SystemError(ECONNRESET, "recv"));
}

/** Returns whether a receive must be armed: none is in flight, and nothing forbids one. */
export function isDue({ bits }: { bits: number }): boolean {
  return (bits & (Flag.ReceiveArmed | Flag.ReadableArmed | Flag.PeerEnded | Flag.Backlogged | HELD)) === 0;
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
    if (!connection.isClosing) countFull(connection, result === buffers.bytes);
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
  if (result !== -ENOBUFS) return ended(connection, result);
  // The pool is empty. Waits for buffers to come back, not for a timer.
  if ((connection.bits & HELD) === 0) lane.awaitBuffers(connection, buffers);
}

/** Handles the result of a receive that has received nothing: 0 at the peer's end, or -errno. */
function ended(connection: Receiving, result: number): void {
  switch (-result) {
    case 0:
      return connection.endedByPeer();
    case ECANCELED: // By a hold, which may have been released since, or for another kind of receive.
    case EINTR:
    case EAGAIN:
      return goOn(connection);
    default:
      // ECONNRESET and others: the peer is gone, and so are the bytes that it has not read.
      return connection.destroy(new SystemError(-result, "recv"));
  }
}

/** Handles the completion of the poll: receives what is there. */
export function readable(connection: Receiving, polled: number): void {
  connection.bits &= ~Flag.ReadableArmed;
  if (connection.isClosing) return connection.settle();
  if ((connection.bits & (Flag.PeerEnded | Flag.Backlogged | HELD)) !== 0) return; // Armed again later.
  if (polled < 0) return receiveLittle(connection);
  if (intake.mayReceiveDirectly(connection)) return receiveDirectly(connection);
  const scratch = connection.lane.borrowScratch();
  if (scratch === undefined) return receiveLittle(connection); // A handler that runs the event loop may have it.
  try {
    receiveIntoScratch(connection, scratch);
  } finally {
    scratch.giveBack();
  }
}

function receiveDirectly(connection: Receiving): void {
  const { lane, fd } = connection;
  goOn(connection); // Before the consumer, as above.
  const result = intake.receiveDirectly(connection, native().rl_received_bytes(fd));
  if (result <= 0) return ended(connection, result);
  lane.traffic.receivedBytes += result;
}

function receiveIntoScratch(connection: Receiving, { address, memory }: Scratch): void {
  const { lane, fd, inbox } = connection;
  const result = native().rl_receive_now(fd, address, inbox === null ? memory.length : BEHIND_BYTES);
  if (result <= 0) return ended(connection, result);
  lane.traffic.receivedBytes += result;
  if (result < MUCH_BYTES) connection.bits &= ~Flag.ReceivesMuch;
  goOn(connection); // Before the consumer, as above.
  intake.arrived(connection, memory, 0, result);
}

/** Receives by a multishot receive again. */
function receiveLittle(connection: Receiving): void {
  connection.bits &= ~Flag.ReceivesMuch;
  goOn(connection);
}

/**
 * Counts whole buffers that arrive one after the other. The fourth one ends the receive: from then
 * on, the connection receives much.
 */
function countFull(connection: Receiving, isFull: boolean): void {
  const { bits } = connection;
  if (!isFull) {
    if ((bits & FULL_BUFFERS) !== 0) connection.bits &= ~FULL_BUFFERS;
  } else if ((bits & FULL_BUFFERS) !== FULL_BUFFERS) connection.bits += ONE_FULL_BUFFER;
  else if ((bits & Flag.ReceivesMuch) === 0) {
    connection.bits |= Flag.ReceivesMuch;
    cancel(connection);
  }
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
