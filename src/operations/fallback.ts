/**
 * The case that the ring cannot serve. Bun's own function serves then, and one notice says why. If
 * the program forbids that (`fallback: false`), an error is thrown.
 */
import { readVariable } from "../sys/environment.ts";
import { SystemError } from "../sys/errno.ts";
import { LibraryError } from "../sys/library.ts";
import type { Mode } from "../reactor/mode.ts";
import { noticeFallback } from "./notice.ts";
import { OperatingReactor } from "./operating-reactor.ts";
import { useReactor } from "./thread.ts";

/**
 * Returns the thread's reactor. Returns undefined, after a notice, where io_uring is not available;
 * with `fallback: false` or RINGLOOP=require it throws instead.
 */
export function reactorFor(
  what: string,
  options: { mode?: Mode | undefined; fallback?: boolean | undefined },
): OperatingReactor | undefined {
  try {
    return useReactor(options.mode === undefined ? {} : { mode: options.mode });
  } catch (error) {
    if (!isNoRing(error) || options.fallback === false || readVariable("RINGLOOP") === "require") throw error;
    noticeFallback(what, reason(error));
    return undefined;
  }
}

/**
 * Sets up a reactor and closes it again. Returns the reason why that is impossible, or undefined.
 */
export function whyNoRing(): string | undefined {
  try {
    new OperatingReactor().close();
    return undefined;
  } catch (error) {
    if (!isNoRing(error)) throw error;
    return reason(error);
  }
}

function isNoRing(error: unknown): error is LibraryError | SystemError {
  return error instanceof LibraryError || error instanceof SystemError;
}

function reason(error: LibraryError | SystemError): string {
  if (error instanceof LibraryError) return error.message.replace(/^ringloop: /, "");
  switch (error.code) {
    case "EPERM":
      return "io_uring is forbidden here: see sysctl kernel.io_uring_disabled, or the container's seccomp profile";
    case "ENOSYS":
      return "this system has no io_uring, or an old one: Linux 6.0 or later is needed";
    case "ENOMEM":
      return "the ring's memory cannot be locked: raise RLIMIT_MEMLOCK (ulimit -l)";
    default:
      return `io_uring cannot be set up (${error.message})`;
  }
}

/**
 * Returns whether the options contain one that the ring leaves to Bun. Prints a notice once. Throws
 * a TypeError that names the option if `fallback` is false.
 */
export function leavesToBun(what: string, options: Record<string, unknown>, unserved: readonly string[]): boolean {
  const found = unserved.find(
    (name) => options[name] !== undefined && options[name] !== false && options[name] !== null,
  );
  if (found === undefined) return false;
  if (options.fallback === false) throw new TypeError(`${found} is not served by the ring, and fallback is false`);
  noticeFallback(what, `the ring does not serve the option "${found}"`);
  return true;
}

/**
 * Marks an object of Bun's own as not running on the ring: sets its property `ring` to false, and
 * changes nothing else.
 */
export function markAsBuns<T extends object>(object: T): T {
  return Object.defineProperty(object, "ring", { value: false, configurable: true });
}
