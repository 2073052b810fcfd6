/**
 * Brings bytes that have arrived on a connection to its consumer: at once, out of the kernel's
 * buffer, or out of the inbox.
 *
 * Guarantees: the consumer is offered bytes in the order in which they came, and never inside of
 * its own `consume` (unless it is reentrant). It hears of the peer's end after the last byte. Bytes
 * that it did not take, and bytes that came during `consume`, are offered again. The connection
 * stops receiving while as many bytes wait as may wait for the consumer.
 *
 * These are functions over a connection and not an object beside it: there are many connections,
 * and each object costs memory.
 */
import { assert } from "../sys/assert.ts";
import { ConnectionState, Flag, HELD, STATE } from "./connection-state.ts";
import * as inboxes from "./inbox.ts";
import type { Consumer, Transport } from "./transport.ts";

const NO_BYTES = Buffer.alloc(0);

/** The members of a connection that the intake needs. */
export interface Intake extends Transport {
  readonly consumer: Consumer;
  /** See connection-state.ts. */
  bits: number;
  /** Bytes that have arrived and that the consumer has not taken. */
  inbox: inboxes.Inbox;
  /** Cancels the receive that is in flight, and watches for a reset. */
  stopReceiving(): void;
  scheduleFlush(): void;
}

/** Handles bytes in the kernel's buffer. The buffer is lent until this returns. */
export function arrived(intake: Intake, memory: Buffer, start: number, end: number): void {
  if (intake.isGone) return;
  if (intake.inbox === null && (intake.bits & (Flag.Offering | HELD)) === 0) {
    const at = present(intake, memory, start, end);
    if (at < end && !intake.isGone) {
      const later = intake.inbox; // Bytes that came while a handler ran the event loop.
      intake.inbox = inboxes.append(null, memory, at, end);
      if (later !== null) {
        intake.inbox = inboxes.join(inboxes.queueOf(intake.inbox!), later);
        return offerKept(intake);
      }
    } else if (intake.inbox !== null) return offerKept(intake);
    return afterOffer(intake);
  }
  intake.inbox = inboxes.append(intake.inbox, memory, start, end);
  if ((intake.bits & (Flag.Offering | HELD)) === 0) return offerKept(intake);
  intake.bits |= Flag.OfferDue;
  // A cancellation that missed its receive is repeated.
  if ((intake.bits & HELD) !== 0) intake.stopReceiving();
  limitBacklog(intake);
}

/** Whether the consumer may take bytes out of the kernel: it wants to, and none wait before them. */
export function mayReceiveDirectly({ bits, inbox, isGone }: Intake): boolean {
  return (bits & (Flag.Direct | Flag.Offering | Flag.Backlogged)) === Flag.Direct && inbox === null && !isGone;
}

/**
 * Lets the consumer take bytes out of the kernel, and then go on. Returns the result of its receive.
 */
export function receiveDirectly(intake: Intake, available: number): number {
  const { consumer } = intake;
  intake.bits |= Flag.Offering;
  try {
    const received = consumer.onReadable!(intake, available);
    if (received > 0 && intake.consumer === consumer && !intake.isGone) consumer.consume(NO_BYTES, 0, 0, intake);
    return received;
  } finally {
    intake.bits &= ~Flag.Offering;
  }
}

/** Offers the inbox until the consumer has seen all of it. */
export function offerKept(intake: Intake): void {
  intake.bits &= ~Flag.OfferDue;
  while (intake.inbox !== null && !intake.isGone) {
    if ((intake.bits & HELD) !== 0) {
      intake.bits |= Flag.OfferDue;
      break;
    }
    const bytes = inboxes.queueOf(intake.inbox);
    intake.inbox = null;
    bytes.start = present(intake, bytes.memory, bytes.start, bytes.end);
    if (intake.isGone) break;
    const isAll = intake.inbox === null;
    intake.inbox = inboxes.join(bytes, intake.inbox);
    if (isAll) break;
  }
  afterOffer(intake);
}

/**
 * Returns whether bytes, or the end that follows them, wait for a consumer that may be called now.
 */
export function hasOffer({ bits }: Intake): boolean {
  if ((bits & (Flag.Offering | HELD)) !== 0) return false;
  return (bits & Flag.OfferDue) !== 0 || (bits & (Flag.PeerEnded | Flag.EndTold)) === Flag.PeerEnded;
}

/** Tells the consumer that the peer sends no more, unless bytes wait that it has not seen. */
export function tellEnd(intake: Intake): void {
  if ((intake.bits & (Flag.EndTold | Flag.Offering)) !== 0 || stateOf(intake) >= ConnectionState.Closing) return;
  if ((intake.bits & (HELD | Flag.OfferDue)) !== 0) {
    intake.bits |= Flag.OfferDue;
    return;
  }
  intake.bits |= Flag.EndTold;
  try {
    intake.consumer.onEnd(intake);
  } finally {
    if (stateOf(intake) === ConnectionState.Ended) intake.destroy();
  }
}

/**
 * Offers bytes to the consumer, and to each consumer that replaces it. Returns the position up to
 * which they have taken them.
 */
function present(intake: Intake, memory: Buffer, start: number, end: number): number {
  let at = start;
  let isOver = false;
  const wasOffering = (intake.bits & Flag.Offering) !== 0;
  try {
    for (;;) {
      const { consumer } = intake;
      if (!consumer.isReentrant) intake.bits |= Flag.Offering;
      const next = consumer.consume(memory, at, end, intake);
      assert(next >= at && next <= end, "a consumer takes from what it is offered");
      at = next;
      if (at === end || intake.consumer === consumer || (intake.bits & HELD) !== 0 || intake.isGone) break;
    }
    isOver = true;
  } finally {
    if (!wasOffering) intake.bits &= ~Flag.Offering;
    // The consumer threw. Bytes from a nested event loop, and the end, wait for the next flush.
    if (!isOver && (intake.inbox !== null || intake.peerEnded)) {
      intake.bits |= Flag.OfferDue;
      intake.scheduleFlush();
    }
  }
  // The first consumer was replaced and the connection was held: the second consumer has not seen
  // the rest.
  if (at < end && (intake.bits & HELD) !== 0) intake.bits |= Flag.OfferDue;
  return at;
}

function afterOffer(intake: Intake): void {
  if (intake.inbox !== null || (intake.bits & Flag.Backlogged) !== 0) limitBacklog(intake);
  if (intake.peerEnded) tellEnd(intake);
}

/** Stops receiving when too many bytes wait, and receives again when fewer do. */
function limitBacklog(intake: Intake): void {
  if (intake.isGone) return;
  const bytes = intake.inbox === null ? 0 : intake.inbox.length;
  const isFull = bytes >= intake.consumer.backlogBytesMax;
  if (isFull === ((intake.bits & Flag.Backlogged) !== 0)) return;
  if (isFull) {
    intake.bits |= Flag.Backlogged;
    intake.stopReceiving();
  } else {
    intake.bits &= ~Flag.Backlogged;
    intake.scheduleFlush();
  }
}

function stateOf(intake: Intake): number {
  return intake.bits & STATE;
}
