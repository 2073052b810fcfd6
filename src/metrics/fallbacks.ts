/** Calls that went to Bun's own functions. This module is small, because the preload loads it. */
import { exposeIfAsked } from "./from-environment.ts";

export interface Fallback {
  /** The function or module, such as `serve` or `node:https`. */
  what: string;
  /** Why the ring does not serve it, as the notice on stderr says. */
  reason: string;
  calls: number;
}

const key = Symbol.for("ringloop.fallbacks");
const holder = globalThis as { [key]?: Fallback[] };

/** The thread's fallbacks. There are few different ones. Reloaded modules go on counting. */
export const fallbacks: Fallback[] = (holder[key] ??= []);

export function countFallback(what: string, reason: string): void {
  const found = fallbacks.find((each) => each.what === what && each.reason === reason);
  if (found === undefined) fallbacks.push({ what, reason, calls: 1 });
  else found.calls++;
  // Such a process may never have a reactor, and its user wants to see why.
  exposeIfAsked();
}
