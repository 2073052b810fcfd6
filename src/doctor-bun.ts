/**
 * The part of `ringloop doctor` about Bun: whether ringloop was tested with this version, and
 * whether Bun does what ringloop relies on.
 *
 * Guarantees: everything that can be tried is tried, including a request over the ring. Never
 * throws.
 */
import type { Check } from "./doctor.ts";
import { serve } from "./bun/serve/server.ts";
import { missedReliance } from "./sys/bun-internals.ts";
import { native } from "./sys/library.ts";
import { isTestedBun, TESTED_BUN } from "./sys/tested-bun.ts";

/**
 * Largest time, in milliseconds, for an answer over the loopback interface. It allows for a busy
 * machine.
 */
const ANSWER_MS_MAX = 5000;

export function bunVersion(): Check {
  const name = "Bun";
  if (isTestedBun()) return { name, value: Bun.version, state: "good" };
  return {
    name,
    value: `${Bun.version}, with which this ringloop was not tested`,
    state: "less",
    advice: `it was tested with Bun ${TESTED_BUN.join(", ")}; what it relies on is tried below, and before each use`,
  };
}

/** Checks what ringloop relies on. Needs the shared object. */
export function reliances(): Check {
  const name = "what ringloop relies on";
  try {
    const missed = missedReliance(native());
    if (missed === undefined) return { name, value: "holds", state: "good" };
    return { name, value: `this Bun does otherwise: it does not hold that ${missed}`, state: "lacking" };
  } catch {
    return { name, value: "not tried", state: "unknown" };
  }
}

/** Sends a request over the ring. Needs the ring. */
export async function request(): Promise<Check> {
  const name = "a request over the ring";
  try {
    const server = serve({ port: 0, hostname: "127.0.0.1", fallback: false, fetch: ({ url }) => new Response(url) });
    try {
      const started = performance.now();
      const response = await fetch(server.url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      const text = await response.text();
      if (text !== server.url.href) return { name, value: `answered wrongly: ${text}`, state: "lacking" };
      return { name, value: `answered in ${(performance.now() - started).toFixed(1)} ms`, state: "good" };
    } finally {
      await server.stop(true);
    }
  } catch (error) {
    return { name, value: `not answered: ${(error as Error).message}`, state: "lacking" };
  }
}
