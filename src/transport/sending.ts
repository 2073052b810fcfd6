/**
 * The send of a connection: one send at a time, for everything queued.
 *
 * Guarantees: bytes leave in the order in which they were written. An outbox serves another
 * connection only when nothing of this connection is in it and no send is in flight.
 * Leaves to others: what follows the last byte (connection.ts).
 */
import { SHUT_WR } from "../sys/socket-abi.ts";
import { assert } from "../sys/assert.ts";
import { EAGAIN, ECONNRESET, EINTR, EPIPE, SystemError } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import type { Lane } from "../reactor/lane.ts";
import { AT_DRAIN, Flag, Kind } from "./connection-state.ts";
import { Outbox } from "./outbox.ts";
import type { Transport } from "./transport.ts";

/** The members of a connection that its send needs. */
export interface Sending extends Transport {
  readonly lane: Lane;
  readonly slot: number;
  readonly fd: number;
  /** See connection-state.ts. */
  bits: number;
  /** Data that waits to be sent; null for none. */
  queue: Outbox | null;
  sentBytes: number;
  readonly isClosing: boolean;
  scheduleFlush(): void;
  /** Called when nothing is queued and no send is in flight. */
  drained(): void;
  /** Called after a completion while the connection closes. */
  settle(): void;
}

/** Sends everything queued. */
export function send(connection: Sending): void {
  assert((connection.bits & Flag.SendInFlight) === 0, "a connection has one send in flight");
  connection.bits |= Flag.SendInFlight;
  connection.lane.tag(connection.queue!.prepareSend(connection.fd), connection.slot, Kind.Send);
}

/**
 * Sends as many queued bytes as the kernel accepts at once. The ring sends the rest, and finds the
 * error if there is one.
 */
export function sendNow(connection: Sending): void {
  const { queue, lane } = connection;
  if (queue === null || !queue.hasUnsent || lane.faults?.refusesSend() === true) return;
  const result = queue.sendNow(connection.fd);
  if (result <= 0) return;
  lane.reactor.unsubmittedBytes = Math.max(0, lane.reactor.unsubmittedBytes - result);
  account(connection, queue, result);
}

function countSent(connection: Sending, bytes: number): void {
  connection.sentBytes += bytes;
  connection.lane.traffic.sentBytes += bytes;
}

/** Takes bytes that the kernel has accepted off the queue. Returns whether others are queued. */
function account(connection: Sending, queue: Outbox, bytes: number): boolean {
  queue.took(bytes);
  countSent(connection, bytes);
  if (queue.isEmpty) return false;
  connection.bits |= Flag.Progressed;
  return true;
}

/** Handles the completion of the send. */
export function sent(connection: Sending, result: number): void {
  const queue = connection.queue!;
  connection.bits &= ~Flag.SendInFlight;
  queue.settle();
  if (connection.isClosing) {
    dropQueue(connection);
    return connection.settle();
  }
  if (result < 0) {
    if (result === -EINTR || result === -EAGAIN) return connection.scheduleFlush();
    return connection.destroy(new SystemError(-result, "send"));
  }
  if (account(connection, queue, result)) return send(connection);
  connection.queue = null;
  Outbox.give(queue);
  if ((connection.bits & (Flag.DrainRequested | AT_DRAIN)) === 0) connection.lane.notedCompletions++;
  else connection.drained();
}

/** See Transport. */
export function sendFile(connection: Sending, head: Uint8Array, file: number, offset: number, bytes: number): number {
  if (connection.isClosing) return -EAGAIN;
  const address = head.length > 0 ? pointerTo(head) : null;
  const taken = native().rl_send_file(connection.fd, address, head.length, file, offset, bytes);
  if (taken === -EPIPE || taken === -ECONNRESET) {
    connection.destroy(new SystemError(-taken, "sendfile")); // The peer is gone.
    return -EAGAIN;
  }
  if (taken > 0) countSent(connection, taken);
  return taken;
}

/** Drops everything queued. No send may be in flight. */
export function dropQueue(connection: Sending): void {
  const { queue } = connection;
  if (queue === null) return;
  connection.queue = null;
  queue.clear();
  Outbox.give(queue);
}

/** Sends FIN by a system call: the ring's shutdown always needs a kernel worker thread. */
export function sendFin({ fd }: { fd: number }): void {
  native().rl_shutdown(fd, SHUT_WR);
}
