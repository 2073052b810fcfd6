/**
 * Where a WebSocket stands. All of it is in one number, `bits`: there are many sockets, and a field costs eight bytes in
 * each.
 */
import { assert } from "../../sys/assert.ts";
import type { Transport } from "../../transport/transport.ts";

/** The kinds of bytes that handlers get. The index of a socket's own is in its `bits`. */
export const binaryTypes = ["nodebuffer", "uint8array", "arraybuffer", "blob"] as const;
export const BINARY_TYPE = 0x3;

/** One bit each. Each says what is true exactly while it is set. */
export const Flag = {
  /** The program has paused the socket: it reads nothing, and has no idle timeout. */
  Paused: 0x4,
  /** The client owes a pong: a ping was sent for its silence, and nothing has arrived since. */
  Pinged: 0x8,
  /** Something was queued since the idle timeout began. */
  Sent: 0x10,
} as const;

/** A socket's life, in the order in which it goes. The comment says what holds. */
export const SocketState = {
  /**
   * The socket is its transport's consumer. Frames are read, and frames can be queued. The transport may be broken
   * already (`isGone`): then nothing is read or queued, and its `onClose` follows.
   */
  Open: 0,
  /**
   * The socket has no transport, no topic and no parser. It reads nothing and queues nothing. What was queued, perhaps
   * with a Close frame behind it, leaves without it. The handler `close` is about to run, or runs.
   */
  Closing: 0x20,
  /** The same, and the handler `close` has returned: the program hears of the socket no more. */
  Closed: 0x40,
} as const;
export type SocketState = (typeof SocketState)[keyof typeof SocketState];

/** The bits of the state. */
const STATE = 0x60;
/** From one state to the next. */
const STEP = SocketState.Closing;

/** What has a state. */
export interface Stateful {
  bits: number;
  /** Null unless the socket is open. */
  transport: Transport | null;
}

export function isOpen({ bits }: Stateful): boolean {
  return (bits & STATE) === SocketState.Open;
}

/** The transport of a socket that is open. */
export function transportOf(socket: Stateful): Transport {
  assert(isOpen(socket), "a WebSocket uses its transport while it is open");
  return socket.transport!;
}

export function move(socket: Stateful, to: SocketState): void {
  assert(to === (socket.bits & STATE) + STEP, "a WebSocket's state goes one way, and leaves none out");
  socket.bits = (socket.bits & ~STATE) | to;
  if (to === SocketState.Closing) socket.transport = null;
}
