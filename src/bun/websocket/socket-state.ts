/**
 * The state of a WebSocket. One number, `bits`, contains all of it: there are many sockets, and
 * each field costs eight bytes in each of them.
 */
import { assert } from "../../sys/assert.ts";
import type { Transport } from "../../transport/transport.ts";

/** The types in which handlers get bytes. The lowest bits of `bits` are the index of the type. */
export const binaryTypes = ["nodebuffer", "uint8array", "arraybuffer", "blob"] as const;
export const BINARY_TYPE = 0x3;

/** Flags of one bit each. A comment's statement is true exactly while its bit is set. */
export const Flag = {
  /** The program has paused the socket: no bytes are received, and no idle timeout is set. */
  Paused: 0x4,
  /** A silent client was pinged, and nothing has arrived since. */
  Pinged: 0x8,
  /** Something was queued since the idle timeout began. */
  Sent: 0x10,
} as const;

/** States of a socket, in their order in time. Each comment says what holds in the state. */
export const SocketState = {
  /**
   * The socket is the consumer of its transport. It reads frames and queues frames. If the
   * transport breaks (`isGone`), it reads and queues nothing more, and `onClose` follows.
   */
  Open: 0,
  /**
   * The socket has no transport, no topic and no parser. It reads nothing and queues nothing. The
   * queued frames, with a Close frame as the last one or without, leave without the socket. The
   * handler `close` runs next, or is running.
   */
  Closing: 0x20,
  /** As in Closing, but the handler `close` has returned. No handler runs any more. */
  Closed: 0x40,
} as const;
export type SocketState = (typeof SocketState)[keyof typeof SocketState];

/** The bits of `bits` that are the state. */
const STATE = 0x60;
/** The distance from one state to the next. */
const STEP = SocketState.Closing;

/** A socket, as far as its state goes. */
export interface Stateful {
  bits: number;
  /** The transport; null unless the socket is open. */
  transport: Transport | null;
}

export function isOpen({ bits }: Stateful): boolean {
  return (bits & STATE) === SocketState.Open;
}

/** Returns the transport of a socket that is open. */
export function transportOf(socket: Stateful): Transport {
  assert(isOpen(socket), "a WebSocket uses its transport while it is open");
  return socket.transport!;
}

/** Moves the socket to its next state. */
export function move(socket: Stateful, to: SocketState): void {
  assert(to === (socket.bits & STATE) + STEP, "a WebSocket's state goes one way, and leaves none out");
  socket.bits = (socket.bits & ~STATE) | to;
  if (to === SocketState.Closing) socket.transport = null;
}
