import type { Consumer } from "../../transport/transport.ts";

/**
 * Largest time, in milliseconds, in which the peer accepts none of the bytes that were queued
 * before the close. The kernel gives up after a similar time.
 */
export const LEAVE_TIMEOUT_MS = 60_000;

/** The consumer of sockets whose last bytes are leaving. For their programs they are closed. */
export const leaving: Consumer = {
  isReentrant: true,
  connectionKind: "socket",
  backlogBytesMax: Infinity,
  consume: (_memory, _start, end) => end,
  onEnd() {},
  onDrain() {},
  onTimeout(connection) {
    if (connection.takeProgress()) connection.setTimeout(LEAVE_TIMEOUT_MS);
    else connection.destroy();
  },
  onClose() {},
};
