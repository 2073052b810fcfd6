/** Notices to the user of a program, on stderr. Each text is printed once for each thread. */
import { countFallback } from "../metrics/fallbacks.ts";

const noticed = new Set<string>();

export function notice(text: string): void {
  if (noticed.has(text)) return;
  noticed.add(text);
  console.warn(`ringloop: ${text}`);
}

/** Counts and reports a call that goes to Bun's own function. `what`: the function or module. */
export function noticeFallback(what: string, reason: string): void {
  countFallback(what, reason);
  notice(`${what} runs on Bun's own, because ${reason}`);
}
