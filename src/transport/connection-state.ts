/**
 * Where a connection stands. All of it is in one number, `bits`: there are many connections, and a field costs eight
 * bytes in each.
 */

import { Hold } from "./transport.ts";

/** Operations of a connection. */
export const enum Kind {
  Send,
  Poll,
  Cancel,
  Close,
  /** Multishot: see MULTISHOT_KIND. */
  Receive = 6,
}

/** A connection's life, in the order in which it goes. The comment says what may be in flight. */
export const ConnectionState = {
  /** A receive, a send, a poll. */
  Open: 0,
  /** The same. `finish()` was called: something follows the last queued byte. */
  Ending: 1,
  /** A receive. FIN is sent. */
  Ended: 2,
  /** A receive, whose bytes are dropped until the peer closes or the time is over. */
  Lingering: 3,
  /** The close, and the cancellations and last completions of what was in flight before. */
  Closing: 4,
  /** Nothing. */
  Closed: 5,
} as const;
export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

/** The bits of the state. */
export const STATE = 0xf;

/** What follows the last queued byte, as bits. A later call may ask for more, never for less. */
export const AtDrain = { fin: 0x10, linger: 0x20, close: 0x30 } as const;
export const AT_DRAIN = 0x30;

/** One bit each. Each says what is true exactly while it is set. */
export const Flag = {
  /** A multishot receive is in flight. */
  ReceiveArmed: 0x40,
  /** The cancellation of the receive is in flight, and the connection is not closing. */
  CancelInFlight: 0x80,
  /** The peer sends no more. */
  PeerEnded: 0x100,
  /** The consumer was told so. */
  EndTold: 0x200,
  /** `consume` is on the stack. */
  Offering: 0x400,
  /** The next flush offers what is kept, or tells of the end. */
  OfferDue: 0x800,
  /** A send is in flight. */
  SendInFlight: 0x1000,
  /** A poll for POLLOUT is in flight, for `requestWritable()`. */
  PollArmed: 0x2000,
  /** `onDrain` was asked for by `requestDrain()`. */
  DrainRequested: 0x4000,
  /** The kernel has taken a part of what is queued since `takeProgress()`. */
  Progressed: 0x8000,
  /** The reactor has this connection among those to be flushed. */
  FlushScheduled: 0x10000,
  /** The connection does not keep the process alive. */
  Unreferenced: 0x20000,
  /** More is kept than may wait for the consumer: nothing is received. */
  Backlogged: 0x80000,
} as const;

/** Somebody holds the connection: it receives and offers nothing. */
export const HELD = Hold.Program | Hold.Reader | Hold.Exchange;
