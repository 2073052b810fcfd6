/**
 * The reactor of the current thread. All servers and sockets without a reactor of their own share
 * it. Each Worker has its own reactor.
 */
import { invalidValue, requireObject } from "../sys/check.ts";
import { requestedMode } from "../reactor/mode.ts";
import type { ReactorOptions } from "../reactor/options.ts";
import { setThreadReactor, threadReactor } from "../reactor/thread-reactor.ts";
import { exposeIfAsked } from "../metrics/from-environment.ts";
import { OperatingReactor } from "./operating-reactor.ts";

/**
 * Returns the thread's reactor. The first call sets it up with `options`. A later call that asks
 * for another mode throws a TypeError. Throws SystemError where io_uring is not available.
 */
export function useReactor(options: ReactorOptions = {}): OperatingReactor {
  requireObject("options", options);
  const existing = threadReactor() as OperatingReactor | undefined;
  if (!existing) {
    const reactor = new OperatingReactor(options);
    setThreadReactor(reactor);
    exposeIfAsked();
    return reactor;
  }
  const mode = requestedMode(options.mode);
  if (mode !== "auto" && !process.env.RINGLOOP_MODE && mode !== existing.info.mode)
    throw invalidValue("mode", `"${existing.info.mode}", in which this thread's reactor runs already`, mode);
  return existing;
}
