/**
 * Measurements besides rates; some of them are for the chosen peers. Each part prints its table and
 * returns its entry for the report.
 */
import {
  measureChurn,
  measureHeap,
  measureIdle,
  measureIdleWebSockets,
  measureLoop,
  measureMemory,
  measureSlow,
  measureSparse,
} from "./life.ts";
import { type BunPeer, bunPeers, type Peer } from "./peers.ts";
import { printTable, ratio, thousands } from "./report.ts";
import { countCalls } from "./strace.ts";

function printBytesEach(title: string, kibEach: Record<BunPeer, number>): void {
  const rows = bunPeers.map((peer) => [peer, (kibEach[peer] * 1024).toFixed(0)]);
  printTable(title, ["peer", "resident bytes each"], rows);
}

export const parts: Record<string, (peers: readonly Peer[]) => Promise<Record<string, unknown>>> = {
  async calls(peers) {
    const rows: string[][] = [];
    const calls: Record<string, unknown> = {};
    for (const depth of [1, 16]) {
      for (const peer of peers) {
        const result = await countCalls(peer, 50, depth);
        calls[`${peer}, pipeline ${depth}`] = result;
        const { enters, traced, most } = result;
        rows.push([peer, String(depth), enters?.toFixed(4) ?? "-", traced.toFixed(4), most]);
      }
    }
    const columns = ["peer", "pipeline", "enters", "under strace -c", "most frequent under strace -c"];
    printTable("System calls of one request, HTTP hello, 50 connections", columns, rows);
    return { calls };
  },

  async idle() {
    const idle = await measureIdle(bunPeers, 5);
    const ticks = bunPeers.map((peer) => [peer, String(idle[peer])]);
    printTable("Idle", ["peer", "ticks in 5 s"], ticks);
    const sparsePeers = [...bunPeers, "c-defer"] as const;
    const sparse = await measureSparse(sparsePeers);
    for (const [interval, figures] of Object.entries(sparse)) {
      const { bun } = figures;
      const rows = sparsePeers.map((peer) => {
        const { p50Us, p99Us } = figures[peer];
        return [peer, thousands(p50Us), ratio(p50Us / bun.p50Us), thousands(p99Us), ratio(p99Us / bun.p99Us)];
      });
      printTable(`A request every ${interval}, hello`, ["peer", "p50 us", "", "p99 us", ""], rows);
    }
    return { idle, sparse };
  },

  async loop() {
    const loop = await measureLoop();
    const rows = Object.entries(loop.loaded.defer!).map(([name]) => [
      name,
      ...[loop.idleBun, loop.loaded.bun!, loop.loaded.defer!, loop.loaded.sqpoll!].map((result) => {
        const { medianMs, maxMs } = result[name]!;
        return `${medianMs.toFixed(2)} / ${maxMs.toFixed(2)}`;
      }),
    ]);
    const loaded = bunPeers.map((peer) => `${peer}, loaded`);
    const columns = ["milliseconds late, median / worst of 20", "bun, no load", ...loaded];
    printTable("Bun's own loop while the server is under full load", columns, rows);
    return { loop };
  },

  async churn() {
    const churn = await measureChurn(bunPeers, 10_000);
    const rows = bunPeers.map((peer) => {
      const { before, open, after } = churn[peer];
      const cells = [before, open, after].flatMap((state) => [thousands(state.residentKiB), String(state.sockets)]);
      return [peer, ...cells];
    });
    const columns = ["peer", "before KiB", "sockets", "10,000 open KiB", "sockets", "after KiB", "sockets"];
    printTable("10,000 connections opened, used and closed", columns, rows);
    return { churn };
  },

  async memory() {
    const memory = await measureMemory(bunPeers, 10_000);
    printBytesEach("10,000 idle TCP connections", memory);
    return { memory };
  },

  async slow() {
    const slow = await measureSlow(bunPeers, 10_000);
    printBytesEach("10,000 clients with half a head", slow);
    return { slow };
  },

  async websockets() {
    const websockets = await measureIdleWebSockets(bunPeers, 10_000);
    printBytesEach("10,000 idle WebSockets", websockets);
    return { websockets };
  },

  async heap() {
    const heap = await measureHeap("defer", 20_000_000);
    const rows = heap.map(({ requests, heapBytes, objects, residentKiB }) =>
      [requests, heapBytes / 1024, objects, residentKiB].map(thousands),
    );
    printTable("Memory after requests, defer", ["requests", "heap KiB", "objects", "resident KiB"], rows);
    return { heap };
  },
};
