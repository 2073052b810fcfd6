/**
 * System calls per request: from the ring's own counter in a run without strace, and from
 * `strace -c` in a second run.
 */
import { bunPeers, type Peer } from "./peers.ts";
import { wrk } from "./load.ts";
import { ServerProcess } from "./server.ts";

export interface CallCount {
  /** Calls of io_uring_enter by the ring's own counter, at full speed. For ringloop only. */
  enters?: number;
  /**
   * All calls, by strace -c, which slows each of them down. So batches are smaller, and calls that
   * are made once for a batch are more frequent.
   */
  traced: number;
  /** The most frequent calls, with their number per request. */
  most: string;
}

const ringPeers: readonly Peer[] = bunPeers.filter((peer) => peer !== "bun");

/** Counts the calls of one HTTP request. */
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
