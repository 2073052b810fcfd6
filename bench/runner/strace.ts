/** System calls per request: from the ring's own counter in a run without strace, and from `strace -c` in a second run. */
import type { BunPeer } from "./peers.ts";
import { wrk } from "./load.ts";
import { ServerProcess } from "./server.ts";

export interface EnterCount {
  /** By the ring's counter, at full speed. */
  perRequest: number;
  /** By strace -c, which slows every call down. */
  tracedPerRequest: number;
  /** The most frequent other calls, with their number per request. */
  otherCalls: string;
}

export async function countEnters(
  subject: Exclude<BunPeer, "bun">,
  connections: number,
  depth: number,
): Promise<EnterCount> {
  const server = await ServerProcess.start("http-hello", subject);
  const before = (await server.stats())!;
  const { count } = await wrk(server.port, connections, 1, { depth });
  const after = (await server.stats())!;

  const strace = Bun.spawn(["strace", "-c", "-f", "-p", String(server.pid)], { stdout: "ignore", stderr: "pipe" });
  const summary = strace.stderr.text();
  const traced = await wrk(server.port, connections, 1, { depth });
  strace.kill("SIGINT");
  const calls = [...(await summary).matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/gm)]
    .map((match) => ({ name: match[2]!, calls: Number(match[1]) }))
    .filter(({ name }) => name !== "total");
  await strace.exited;
  await server.stop();
  const enters = calls.find(({ name }) => name === "io_uring_enter")?.calls ?? 0;
  const others = calls.filter(({ name }) => name !== "io_uring_enter").toSorted((a, b) => b.calls - a.calls);
  return {
    perRequest: (after.enters - before.enters) / count,
    tracedPerRequest: enters / traced.count,
    otherCalls: others
      .slice(0, 3)
      .map((call) => `${call.name} ${(call.calls / traced.count).toFixed(4)}`)
      .join(", "),
  };
}
