/** Flags of a connection. Each text says what is true while the bit is set. */
export const Flag = {
  /** Bytes that arrive are dropped. */
  Deaf: 0x1,
  /** node:http has paused the reads. Received bytes are not parsed. */
  Held: 0x2,
  /** The writer waits for `onDrain`, because many bytes wait for the client. */
  Blocked: 0x4,
  /** The bytes of both directions belong to the program: CONNECT or an upgrade. */
  Tunnel: 0x8,
  /** The last request that was dispatched does not keep the connection alive. */
  Last: 0x10,
  /**
   * `pendingExchanges` of the reactor counts this connection: the request is whole, and the program
   * has not begun its response.
   */
  Awaited: 0x20,
  /**
   * Nothing more is received, because too many bytes of responses wait for their turn. Bytes that
   * were received before are still parsed.
   */
  Gated: 0x40,
  /** The client has sent FIN, and still gets its responses (`httpAllowHalfOpen`). */
  HalfOpen: 0x80,
  /** No request was dispatched yet. The deadline of the first one is running. */
  Fresh: 0x100,
} as const;
