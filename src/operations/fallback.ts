/**
 * What happens where the ring cannot serve: Bun's own function does, with one notice that says why, or an error if the program asked
 * for that (`fallback: false`).
 */
import { readVariable } from "../sys/environment.ts";
import { SystemError } from "../sys/errno.ts";
import { LibraryError } from "../sys/library.ts";
import type { Mode } from "../reactor/mode.ts";
import { notice } from "./notice.ts";
import { OperatingReactor } from "./operating-reactor.ts";
import { useReactor } from "./thread.ts";

/**
 * The thread's reactor, or undefined (after a notice) where io_uring cannot be had. With `fallback: false`, or RINGLOOP=require, that is an error.
 */
export function reactorFor(
  what: string,
  options: { mode?: Mode | undefined; fallback?: boolean | undefined },
): OperatingReactor | undefined {
  try {
    return useReactor(options.mode === undefined ? {} : { mode: options.mode });
  } catch (error) {
    if (!isNoRing(error) || options.fallback === false || readVariable("RINGLOOP") === "require") throw error;
    notice(`${what} runs on Bun's own, because ${reason(error)}`);
    return undefined;
  }
}

/** Sets up a reactor and closes it again. Returns why there can be none, or undefined. */
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
 * Whether the ring leaves an option to Bun. Notes it once; throws a TypeError that names the option when `fallback` is false.
 */
export function leavesToBun(what: string, options: Record<string, unknown>, unserved: readonly string[]): boolean {
  const found = unserved.find(
    (name) => options[name] !== undefined && options[name] !== false && options[name] !== null,
  );
  if (found === undefined) return false;
  if (options.fallback === false) throw new TypeError(`${found} is not served by the ring, and fallback is false`);
  notice(`${what} runs on Bun's own, because the ring does not serve the option "${found}"`);
  return true;
}

/** Says on an object of Bun's own that it does not run on the ring: `ring` is false, and nothing else of it is changed. */
export function markAsBuns<T extends object>(object: T): T {
  return Object.defineProperty(object, "ring", { value: false, configurable: true });
}
