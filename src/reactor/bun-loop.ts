/**
 * Bun's own event loop, as far as the reactor touches it: the descriptor of the epoll instance that
 * the current thread waits in.
 *
 * The reactor only polls that descriptor for readiness. It never reads epoll's events: Bun alone
 * can dispatch them.
 */
import { originals } from "../sys/bun-originals.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";

/**
 * Returns the thread's epoll descriptor, or undefined where /proc does not show it.
 *
 * A process has several epoll instances, one for each thread with a loop. The right one watches a
 * socket that this thread has just opened.
 */
export function findEventLoopFd(): number | undefined {
  const pair = new Int32Array(2);
  check(native().rl_socketpair(pointerTo(pair)), "socketpair");
  const [watched, other] = pair as unknown as [number, number];
  const ignore = (): void => {};
  const handlers = { open: ignore, data: ignore, close: ignore, error: ignore };
  const options = { fd: watched, socket: handlers };
  const socket = originals.connect(options as unknown as Bun.UnixSocketOptions<undefined>);
  socket.then((opened) => opened.terminate(), ignore);
  const found = native().rl_find_epoll(watched);
  native().rl_close(other);
  return found < 0 ? undefined : found;
}
