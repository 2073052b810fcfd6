/**
 * The state of a connection. One number, `bits`, contains all of it: there are many connections,
 * and each field costs eight bytes in each of them.
 */

import { Hold } from "./transport.ts";

/** Kinds of a connection's operations. */
export const enum Kind {
  Send,
  Poll,
  Cancel,
  Close,
  /** A poll for POLLIN. */
  Readable,
  /** A poll for POLLERR. */
  Reset,
  /** A multishot receive: see MULTISHOT_KIND. */
  Receive = 6,
}

/** States of a connection, in their order in time. Each comment says what may be in flight. */
export const ConnectionState = {
  /** A receive or a poll for it, a watch for a reset, a send, a poll. */
  Open: 0,
  /**
   * A receive or a poll for it, a watch for a reset, a send, a poll. `finish()` was called:
   * something follows the last queued byte.
   */
  Ending: 1,
  /** A receive or a poll for it, a watch for a reset. FIN is sent. */
  Ended: 2,
  /**
   * A receive or a poll for it, a watch for a reset. What is received is dropped until the peer
   * closes or the time is over.
   */
  Lingering: 3,
  /** The close, the cancellations, and the last completions of the operations before them. */
  Closing: 4,
  /** Nothing. */
  Closed: 5,
} as const;
export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

/** The bits of `bits` that are the state. */
export const STATE = 0xf;

/** What follows the last queued byte, as bits. A later call may ask for more, never for less. */
export const AtDrain = { fin: 0x10, linger: 0x20, close: 0x30 } as const;
export const AT_DRAIN = 0x30;

/** Flags of one bit each. A comment's statement is true exactly while its bit is set. */
export const Flag = {
  /** A multishot receive is in flight. */
  ReceiveArmed: 0x40,
  /** A cancellation of the receive is in flight, and the connection is not closing. */
  CancelInFlight: 0x80,
  /** The peer sends no more. */
  PeerEnded: 0x100,
  /** The consumer was told that the peer sends no more. */
  EndTold: 0x200,
  /** `consume` is on the stack. */
  Offering: 0x400,
  /** The next flush offers the inbox to the consumer, or tells it of the peer's end. */
  OfferDue: 0x800,
  /** A send is in flight. */
  SendInFlight: 0x1000,
  /** A poll for POLLOUT is in flight, for `requestWritable()`. */
  PollArmed: 0x2000,
  /** `requestDrain()` has asked for `onDrain`. */
  DrainRequested: 0x4000,
  /** The kernel has accepted a part of the queue since the last `takeProgress()`. */
  Progressed: 0x8000,
  /** The reactor will flush this connection. */
  FlushScheduled: 0x10000,
  /** The connection does not keep the process alive. */
  Unreferenced: 0x20000,
  /** A poll for POLLIN is in flight, in place of a receive. */
  ReadableArmed: 0x40000,
  /** The inbox contains more than may wait for the consumer: the connection receives nothing. */
  Backlogged: 0x80000,
  /** The consumer wants to receive directly: see `receiveDirectly()`. */
  Direct: 0x800000,
  /** A poll for POLLERR is in flight, since the first hold: see receiving.ts. */
  ResetWatched: 0x10000000,
  /** Several whole buffers have arrived one after the other: see receiving.ts. */
  ReceivesMuch: 0x1000000,
  /** The last receive has got larger buffers. */
  ReceivesBulk: 0x2000000,
} as const;

/** The bits that count the whole buffers that have arrived one after the other: 0 to 3. */
export const FULL_BUFFERS = 0xc000000;
export const ONE_FULL_BUFFER = 0x4000000;

/** The bits of the holds. While one is set, the connection receives nothing and offers nothing. */
export const HELD = Hold.Program | Hold.Reader | Hold.Exchange;
