/** The phase of an exchange: a request comes in, its answer goes out. */
import { assert } from "../sys/assert.ts";
import type { ExchangeHost } from "./host.ts";

/** Phases, one bit each, so that several can be tested at once. */
export const Phase = {
  /** The exchange serves no connection. */
  Spare: 0x1,
  /** Nothing is under way. The next bytes begin a head. */
  Head: 0x2,
  /** The request's body is coming, and the answer is due. */
  Receiving: 0x4,
  /** The request is whole, and the answer is due. */
  Due: 0x8,
  /**
   * The request is whole, and the program will answer later. Nothing is expected from the client.
   */
  Awaited: 0x10,
  /** The request's body is coming, and a sender sends the answer. */
  ReceivingAndSending: 0x20,
  /** The request is whole, and a sender sends the answer. */
  Sending: 0x40,
  /** The request is answered. The rest of its body is dropped. */
  Dropping: 0x80,
  /** The request is answered. The client does not read, so the next request waits. */
  Stalled: 0x100,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** Phases in which more of a request's body is to come. */
export const BODY_COMING = Phase.Receiving | Phase.ReceivingAndSending | Phase.Dropping;
/** Phases in which a sender sends the answer. */
export const SENDING = Phase.ReceivingAndSending | Phase.Sending;
/** Phases in which a request came and its answer has not begun. */
export const DUE = Phase.Receiving | Phase.Due | Phase.Awaited;
/** Phases in which a request came and its answer has not ended. */
export const UNANSWERED = DUE | SENDING;
/** Phases in which an unanswered request is whole. */
export const WHOLE = Phase.Due | Phase.Awaited | Phase.Sending;

/** The phase of one exchange. It also updates the numbers that its host counts by phase. */
export class ExchangePhase {
  private readonly host: ExchangeHost;
  private phase: Phase = Phase.Spare;

  constructor(host: ExchangeHost) {
    this.host = host;
  }

  /** Returns whether the current phase is one of these. */
  is(phases: number): boolean {
    return (this.phase & phases) !== 0;
  }

  /**
   * Moves from one of the phases `from` to the phase `to`. Returns whether this ends a request: it
   * is answered, or given up.
   */
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
