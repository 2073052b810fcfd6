/**
 * The reactor of the current thread: one for all servers and sockets that do not bring their own, kept under a registered symbol so
 * that reloaded modules and a second copy of the package share it. Each Worker has its own.
 */
import { requestedMode } from "../reactor/mode.ts";
import type { ReactorOptions } from "../reactor/options.ts";
import { OperatingReactor } from "./operating-reactor.ts";

/** Changes with what a reactor promises to its users, so that two incompatible copies do not share one. */
const key = Symbol.for("ringloop.reactor.3");
const holder = globalThis as { [key]?: OperatingReactor };

/**
 * The thread's reactor, set up on first use. `options` count on that first use; a later call that asks for another mode is an error.
 * Throws SystemError where io_uring cannot be had.
 */
export function useReactor(options: ReactorOptions = {}): OperatingReactor {
  const existing = holder[key];
  if (!existing) return (holder[key] = new OperatingReactor(options));
  const mode = requestedMode(options.mode);
  if (mode !== "auto" && !process.env.RINGLOOP_MODE && mode !== existing.info.mode)
    throw new TypeError(
      `mode must be "${existing.info.mode}", in which this thread's reactor runs already, not "${mode}"`,
    );
  return existing;
}
