/**
 * Counts system calls per request: with the ring's own counter in a run without strace, and with
 * `strace -c` in a second run.
 */
import { bunPeers, type Peer } from "./peers.ts";
import { wrk } from "./load.ts";
import { ServerProcess } from "./server.ts";

export interface CallCount {
  /** Calls of io_uring_enter at full speed, from the ring's own counter. Only for ringloop. */
  enters?: number;
  /** All calls, from strace -c. It slows each call, so the batches are smaller than without it. */
  traced: number;
  /** The most frequent calls, with their number per request. */
  most: string;
}

const ringPeers: readonly Peer[] = bunPeers.filter((peer) => peer !== "bun");

/** Counts the calls for one HTTP request. */
export async function countCalls(peer: Peer, connections: number, depth: number): Promise<CallCount> {
  const server = await ServerProcess.start("http-hello", peer);
  let enters: number | undefined;
  if (ringPeers.includes(peer)) {
    const before = (await server.stats())!;
    const { count } = await wrk(server.port, connections, 1, { depth });
    enters = ((await server.stats())!.enters - before.enters) / count;
  }
  const strace = Bun.spawn(["strace", "-c", "-f", "-p", String(server.pid)], { stdout: "ignore", stderr: "pipe" });
  const summary = strace.stderr.text();
  const traced = await wrk(server.port, connections, 1, { depth });
  strace.kill("SIGINT");
  const calls = [...(await summary).matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/gm)]
    .map((match) => ({ name: match[2]!, perRequest: Number(match[1]) / traced.count }))
    .filter(({ name }) => name !== "total")
    .toSorted((a, b) => b.perRequest - a.perRequest);
  await strace.exited;
  await server.stop();
  return {
    ...(enters !== undefined && { enters }),
    traced: calls.reduce((sum, { perRequest }) => sum + perRequest, 0),
    most: calls
      .slice(0, 3)
      .map(({ name, perRequest }) => `${name} ${perRequest.toFixed(4)}`)
      .join(", "),
  };
}
