/**
 * Bun's own event loop, as far as the reactor touches it: the descriptor of the epoll instance that the current thread waits in.
 *
 * It is only ever polled for readiness. Its events are never harvested: Bun alone can dispatch them.
 */
import { originals } from "../sys/bun-originals.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";

/**
 * The thread's epoll descriptor, or undefined where /proc does not tell. A process has several epoll instances (one for each
 * thread with a loop): the right one is the one that watches a socket which this thread has just opened.
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
