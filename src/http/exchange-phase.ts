/** Where an exchange stands: a request comes in, its answer goes out. */
import { assert } from "../sys/assert.ts";
import type { ExchangeHost } from "./host.ts";

/** One bit each, so that several can be asked for at once. */
export const Phase = {
  /** No connection is served. */
  Spare: 0x1,
  /** Nothing is under way. The next bytes begin a head. */
  Head: 0x2,
  /** The request's body is coming, the answer is due. */
  Receiving: 0x4,
  /** The request is whole, the answer is due. */
  Due: 0x8,
  /** The same, and the program said that it answers later. Nothing is expected from the client. */
  Awaited: 0x10,
  /** The request's body is coming, a sender sends the answer. */
  ReceivingAndSending: 0x20,
  /** The request is whole, a sender sends the answer. */
  Sending: 0x40,
  /** The request is answered. The rest of its body is dropped. */
  Dropping: 0x80,
  /** The request is answered. The client does not read, so the next request waits. */
  Stalled: 0x100,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** More of a request's body is to come. */
export const BODY_COMING = Phase.Receiving | Phase.ReceivingAndSending | Phase.Dropping;
/** A sender is at work. */
export const SENDING = Phase.ReceivingAndSending | Phase.Sending;
/** A request came, and its answer has not begun. */
export const DUE = Phase.Receiving | Phase.Due | Phase.Awaited;
/** A request came, and its answer is not complete. */
export const UNANSWERED = DUE | SENDING;
/** Whether the request is whole or not makes the difference between these. */
export const WHOLE = Phase.Due | Phase.Awaited | Phase.Sending;

/** The phase of one exchange, and what its host counts by it. */
export class ExchangePhase {
  private readonly host: ExchangeHost;
  private phase: Phase = Phase.Spare;

  constructor(host: ExchangeHost) {
    this.host = host;
  }

  /** Whether it is one of these. */
  is(phases: number): boolean {
    return (this.phase & phases) !== 0;
  }

  /** Goes from one of some phases to another. Returns whether a request is answered by that, or given up. */
  move(from: number, to: Phase): boolean {
    const { phase, host } = this;
    assert((phase & from) !== 0, "an exchange goes from phase to phase in order");
    this.phase = to;
    if (phase === Phase.Awaited) host.reactor.pendingExchanges--;
    else if (to === Phase.Awaited) host.reactor.pendingExchanges++;
    const wasUnanswered = (phase & UNANSWERED) !== 0;
    const isUnanswered = (to & UNANSWERED) !== 0;
    if (wasUnanswered !== isUnanswered) host.pendingRequests += isUnanswered ? 1 : -1;
    return wasUnanswered && !isUnanswered;
  }
}
