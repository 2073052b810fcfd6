/** The notice that a call goes to Bun's own function. Each is counted for the metrics. */
import { countFallback } from "../metrics/fallbacks.ts";
import { notice } from "../sys/notice.ts";

/** `what` is the function or module that Bun serves. */
export function noticeFallback(what: string, reason: string): void {
  countFallback(what, reason);
  notice(`${what} runs on Bun's own, because ${reason}`);
}
