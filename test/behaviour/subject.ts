/**
 * What the behaviour tests run against, chosen by RINGLOOP_TEST_SUBJECT: `bun` is Bun.serve and Bun.listen themselves, `defer` and
 * `sqpoll` are ringloop in that mode. Default: defer.
 *
 * Guarantees: a ring subject is that ring. Another mode than the asked one, or a quiet retreat to Bun's own functions, is an error.
 */
import type { Reactor, ReactorStats, ServeOptions, Server, SocketListener, TcpListenOptions } from "../../src/index.ts";

const subjects = ["bun", "defer", "sqpoll"] as const;
export type Subject = (typeof subjects)[number];

function chosenSubject(): Subject {
  const name = process.env.RINGLOOP_TEST_SUBJECT || "defer";
  const found = subjects.find((each) => each === name);
  if (!found)
    throw new TypeError(`RINGLOOP_TEST_SUBJECT must be one of ${subjects.join(", ")}, not ${JSON.stringify(name)}`);
  return found;
}

export const subject: Subject = chosenSubject();
export const isBun = subject === "bun";

// Before the import, and for the child processes that tests start.
if (subject !== "bun") process.env.RINGLOOP_MODE = subject;
const ring = subject === "bun" ? undefined : await import("../../src/index.ts");

if (ring) {
  const { mode } = ring.useReactor().info;
  if (mode !== subject) throw new Error(`the reactor runs in mode ${mode}, and these tests are for ${subject}`);
}

/** Options that are none are passed as they are. */
function withoutFallback<T>(options: T): T {
  return typeof options === "object" && options !== null ? { fallback: false, ...options } : options;
}

/** The subject's `serve`, without a way back to Bun's. */
export function serve(options: ServeOptions): Server {
  if (ring) return ring.serve(withoutFallback(options));
  return Bun.serve(options as never) as unknown as Server;
}

/** The subject's `listen`, without a way back to Bun's. */
export function listen<Data = undefined>(options: TcpListenOptions<Data>): SocketListener<Data> {
  if (ring) return ring.listen(withoutFallback(options));
  return Bun.listen(options as never) as unknown as SocketListener<Data>;
}

/** The thread's reactor; undefined for Bun. Only for tests that are about it. */
export function reactor(): Reactor | undefined {
  return ring?.useReactor();
}

/** What the ring has open and has done. Only for tests that are about it. */
export function reactorStats(): ReactorStats {
  const used = reactor();
  if (!used) throw new Error("Bun has no reactor of ringloop's: skip this test for it");
  return used.stats();
}
