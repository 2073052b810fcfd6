/**
 * RINGLOOP_METRICS: the environment variable with which a user lets a process show its metrics. The
 * main thread exposes its own at the first use of ringloop. Workers do not: they cannot share the
 * path. Without the variable this costs one look at the environment, once.
 */
import { outside } from "../sys/async-context.ts";
import { notice } from "../sys/notice.ts";

/** Set once the variable was looked at. Reloaded modules do not look again. */
const key = Symbol.for("ringloop.metrics");
const holder = globalThis as { [key]?: true };

export function exposeIfAsked(): void {
  if (holder[key]) return;
  holder[key] = true;
  const path = process.env.RINGLOOP_METRICS;
  if (!path || !Bun.isMainThread) return;
  const { exposeMetrics } = require("./endpoint.ts") as typeof import("./endpoint.ts");
  const refused = (error: Error): void => notice(`RINGLOOP_METRICS has no effect: ${error.message}`);
  try {
    // The endpoint lives as long as the process. It must not keep the context of the first server.
    outside(exposeMetrics, { unix: path.replaceAll("%p", String(process.pid)) }).catch(refused);
  } catch (error) {
    refused(error as Error);
  }
}
