/**
 * How what has arrived on a connection reaches its consumer: at once, from the kernel's buffer, or from the inbox.
 *
 * Guarantees: the consumer is offered bytes in the order in which they came, never inside of itself (unless it is
 * reentrant), and hears of the peer's end behind the last of them; what it did not take, and what came while it was called,
 * is offered again; more than may wait for it is not received.
 *
 * These are functions over a connection and no object beside it: there are many connections, and each object costs.
 */
import { assert } from "../sys/assert.ts";
import { ConnectionState, Flag, HELD, STATE } from "./connection-state.ts";
import * as inboxes from "./inbox.ts";
import type { Consumer, Transport } from "./transport.ts";

/** What is needed of a connection. */
export interface Intake extends Transport {
  readonly consumer: Consumer;
  /** See connection-state.ts. */
  bits: number;
  /** What has arrived and was not taken. */
  inbox: inboxes.Inbox;
  /** Cancels the receive that is in flight. */
  cancelReceive(): void;
  scheduleFlush(): void;
}

/** Bytes in the kernel's buffer, which is the connection's until this returns. */
export function arrived(intake: Intake, memory: Buffer, start: number, end: number): void {
  if (intake.isGone) return;
  if (intake.inbox === null && (intake.bits & (Flag.Offering | HELD)) === 0) {
    const at = present(intake, memory, start, end);
    if (at < end && !intake.isGone) {
      const later = intake.inbox; // What a nested loop has received.
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
  if ((intake.bits & HELD) !== 0) intake.cancelReceive(); // A cancellation that missed its receive is sent again.
  limitBacklog(intake);
}

/** Offers what is kept, until the consumer has seen all of it. */
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

/** Bytes, or the end that follows them, wait for a consumer that may be called. */
export function hasOffer({ bits }: Intake): boolean {
  if ((bits & (Flag.Offering | HELD)) !== 0) return false;
  return (bits & Flag.OfferDue) !== 0 || (bits & (Flag.PeerEnded | Flag.EndTold)) === Flag.PeerEnded;
}

/** Tells the consumer that the peer sends no more, unless bytes that it has not seen come first. */
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

/** Lets the consumer, and each that takes its place, take what it wants. Returns how far they got. */
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
    // The consumer threw: what a nested loop has received, and the end, wait for the next flush.
    if (!isOver && (intake.inbox !== null || intake.peerEnded)) {
      intake.bits |= Flag.OfferDue;
      intake.scheduleFlush();
    }
  }
  // Held between two consumers: the second has not seen the rest.
  if (at < end && (intake.bits & HELD) !== 0) intake.bits |= Flag.OfferDue;
  return at;
}

function afterOffer(intake: Intake): void {
  if (intake.inbox !== null || (intake.bits & Flag.Backlogged) !== 0) limitBacklog(intake);
  if (intake.peerEnded) tellEnd(intake);
}

/** Receives no more than may wait. */
function limitBacklog(intake: Intake): void {
  if (intake.isGone) return;
  const bytes = intake.inbox === null ? 0 : intake.inbox.length;
  const isFull = bytes >= intake.consumer.backlogBytesMax;
  if (isFull === ((intake.bits & Flag.Backlogged) !== 0)) return;
  if (isFull) {
    intake.bits |= Flag.Backlogged;
    intake.cancelReceive();
  } else {
    intake.bits &= ~Flag.Backlogged;
    intake.scheduleFlush();
  }
}

function stateOf(intake: Intake): number {
  return intake.bits & STATE;
}
