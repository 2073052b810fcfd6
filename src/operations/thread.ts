/**
 * The reactor of the current thread. All servers and sockets without a reactor of their own share
 * it. It is kept under a registered symbol, so that reloaded modules and a second copy of the
 * package share it, too. Each Worker has its own reactor.
 */
import { invalidValue } from "../sys/check.ts";
import { requestedMode } from "../reactor/mode.ts";
import type { ReactorOptions } from "../reactor/options.ts";
import { OperatingReactor } from "./operating-reactor.ts";

/**
 * The symbol changes with the interface of a reactor, so that two incompatible copies do not share
 * one.
 */
const key = Symbol.for("ringloop.reactor.3");
const holder = globalThis as { [key]?: OperatingReactor };

/**
 * Returns the thread's reactor. The first call sets it up with `options`. A later call that asks
 * for another mode throws a TypeError. Throws SystemError where io_uring is not available.
 */
export function useReactor(options: ReactorOptions = {}): OperatingReactor {
  const existing = holder[key];
  if (!existing) return (holder[key] = new OperatingReactor(options));
  const mode = requestedMode(options.mode);
  if (mode !== "auto" && !process.env.RINGLOOP_MODE && mode !== existing.info.mode)
    throw invalidValue("mode", `"${existing.info.mode}", in which this thread's reactor runs already`, mode);
  return existing;
}
