/** What is true of a connection while a bit is set. */
export const Flag = {
  /** Nothing that comes is looked at any more. */
  Deaf: 0x1,
  /** The reader is behind. */
  Held: 0x2,
  /** Who writes waits for `onDrain`. */
  Blocked: 0x4,
  /** The bytes are the program's, both ways. */
  Tunnel: 0x8,
  /** The last request closes the connection. */
  Last: 0x10,
  /** The reactor counts a response that the program has not begun to give. */
  Awaited: 0x20,
  /** So much waits for its turn to be sent that nothing more is received. What has come is still looked at. */
  Gated: 0x40,
  /** The client sends no more, and is to get its answers all the same (`httpAllowHalfOpen`). */
  HalfOpen: 0x80,
} as const;
