/**
 * Measurements of a server besides its rate: at rest, at the wake-up, beside Bun's own loop, and
 * after connections are closed.
 */
import type { BunPeer, Peer, Service } from "./peers.ts";
import { wrk } from "./load.ts";
import { median, percentile } from "./report.ts";
import { ServerProcess } from "./server.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BODY = "Hello, World!";

async function withServers<T>(
  service: Service,
  subjects: readonly BunPeer[],
  measure: (server: ServerProcess) => Promise<T>,
): Promise<Record<BunPeer, T>> {
  const results: Partial<Record<BunPeer, T>> = {};
  for (const subject of subjects) {
    const server = await ServerProcess.start(service, subject);
    results[subject] = await measure(server);
    await server.stop();
  }
  return results as Record<BunPeer, T>;
}

/** A connection that sends a request and waits for the whole answer. */
class Client {
  private readonly socket: Bun.Socket;
  private received = "";
  private answered: (() => void) | undefined;
  closed = Promise.withResolvers<void>();

  static async connect(port: number): Promise<Client> {
    let client: Client | undefined;
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(_socket, data) {
          client!.receive(data);
        },
        close() {
          client?.closed.resolve();
        },
      },
    });
    return (client = new Client(socket));
  }

  private constructor(socket: Bun.Socket) {
    this.socket = socket;
  }

  ask(): Promise<void> {
    return new Promise((resolve) => {
      this.answered = resolve;
      this.socket.write(REQUEST);
    });
  }

  end(): void {
    this.socket.end();
  }

  private receive(data: Buffer): void {
    this.received += data.latin1Slice();
    if (!this.received.endsWith(BODY)) return;
    this.received = "";
    this.answered?.();
  }
}

/**
 * Measures clock ticks of 10 ms that each server uses in `seconds` without a connection, after it
 * has served one. All servers run at the same time.
 */
export async function measureIdle(subjects: readonly BunPeer[], seconds: number): Promise<Record<BunPeer, number>> {
  const servers = await Promise.all(subjects.map((subject) => ServerProcess.start("http-hello", subject)));
  for (const { port } of servers) {
    const client = await Client.connect(port);
    await client.ask();
    client.end();
  }
  await Bun.sleep(1000); // The SQ thread goes to sleep meanwhile.
  const before = servers.map((server) => server.ticks());
  await Bun.sleep(seconds * 1000);
  const results = servers.map((server, i) => [server.peer, server.ticks() - before[i]!] as const);
  for (const server of servers) await server.stop();
  return Object.fromEntries(results) as Record<BunPeer, number>;
}

/** Time of a request on a server without other load. */
export interface Sparse {
  p50Us: number;
  p99Us: number;
}

/**
 * Sends a request every 5 ms, which keeps a ring's thread awake, and one every 20 ms, after the
 * ring has parked. The subjects take turns.
 */
export async function measureSparse<P extends Peer>(
  subjects: readonly P[],
): Promise<Record<string, Record<P, Sparse>>> {
  const results: Record<string, Record<P, Sparse>> = {};
  for (const intervalMs of [5, 20]) {
    const servers = new Map<P, { server: ServerProcess; client: Client; samples: number[] }>();
    for (const subject of subjects) {
      const server = await ServerProcess.start("http-hello", subject);
      await wrk(server.port, 50, 1);
      servers.set(subject, { server, client: await Client.connect(server.port), samples: [] });
      server.pause();
    }
    for (let round = 0; round < 6; round++)
      for (const { server, client, samples } of servers.values()) {
        server.resume();
        for (let i = 0; i < 110; i++) {
          const start = performance.now();
          await client.ask();
          // The first requests follow the pause.
          if (i >= 10) samples.push((performance.now() - start) * 1000);
          await Bun.sleep(intervalMs);
        }
        server.pause();
      }
    const figures: Partial<Record<P, Sparse>> = (results[`${intervalMs} ms`] = {} as Record<P, Sparse>);
    for (const [subject, { server, client, samples }] of servers) {
      figures[subject] = { p50Us: median(samples), p99Us: percentile(samples, 0.99) };
      client.end();
      await server.stop();
    }
  }
  return results;
}

type Lateness = Record<string, { medianMs: number; maxMs: number }>;

/**
 * Measures timers, files, fetch, children and workers in a server's process: without load in plain
 * Bun, and under full load in each subject.
 */
export async function measureLoop(): Promise<{ idleBun: Lateness; loaded: Partial<Record<BunPeer, Lateness>> }> {
  const other = await ServerProcess.start("http-hello", "bun");
  const run = async (subject: BunPeer, loaded: boolean): Promise<Lateness> => {
    const server = await ServerProcess.start("loop", subject);
    const load = loaded ? wrk(server.port, 50, 2) : undefined;
    if (loaded) await Bun.sleep(300);
    const { loop } = await server.ask<{ loop: Record<string, number[]> }>(`go http://127.0.0.1:${other.port}/`);
    await load;
    await server.stop();
    return Object.fromEntries(
      Object.entries(loop).map(([name, ms]) => [name, { medianMs: median(ms), maxMs: Math.max(...ms) }]),
    );
  };
  const idleBun = await run("bun", false);
  const loaded: Partial<Record<BunPeer, Lateness>> = {};
  for (const subject of ["bun", "defer", "sqpoll"] as const) loaded[subject] = await run(subject, true);
  await other.stop();
  return { idleBun, loaded };
}

/**
 * Measures the KiB of resident memory for each of `count` open and silent connections that were
 * used once. Before, a tenth as many connections open and close, so that one-time costs do not
 * count.
 */
export function measureMemory(subjects: readonly BunPeer[], count: number): Promise<Record<BunPeer, number>> {
  return withServers("echo", subjects, async (server) => {
    const listening = server.sockets();
    const close = async (sockets: Bun.Socket[]): Promise<void> => {
      for (const socket of sockets) socket.terminate();
      while (server.sockets() > listening) await Bun.sleep(5);
    };
    await close(await openSilent(server.port, count / 10));
    const before = server.residentKiB();
    const sockets = await openSilent(server.port, count);
    await Bun.sleep(500); // The reactor parks, and returns memory.
    const each = (server.residentKiB() - before) / count;
    await close(sockets);
    return each;
  });
}

/** Memory of a server after a number of requests. */
export interface HeapSample {
  requests: number;
  heapBytes: number;
  objects: number;
  residentKiB: number;
}

/**
 * Measures the JavaScript heap and the resident memory while a server answers `total` requests, 16
 * in a write.
 */
export async function measureHeap(subject: BunPeer, total: number): Promise<HeapSample[]> {
  const server = await ServerProcess.start("http-hello", subject);
  const samples: HeapSample[] = [];
  let requests = (await wrk(server.port, 50, 1, { depth: 16 })).count;
  for (;;) {
    const { bytes: heapBytes, objects } = await server.collect();
    samples.push({ requests, heapBytes, objects, residentKiB: server.residentKiB() });
    if (requests >= total) break;
    requests += (await wrk(server.port, 50, 3, { depth: 16 })).count;
  }
  await server.stop();
  return samples;
}

/**
 * Measures the KiB of resident memory for each of `count` clients that have sent only half of a
 * head.
 */
export function measureSlow(peers: readonly BunPeer[], count: number): Promise<Record<BunPeer, number>> {
  const half = "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: slow and never done\r\nX-Half";
  return withServers("http-hello", peers, (server) => measureQuiet(server, half, count));
}

/** Measures the same for WebSockets without traffic. */
export function measureIdleWebSockets(peers: readonly BunPeer[], count: number): Promise<Record<BunPeer, number>> {
  const hello =
    "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  return withServers("websocket", peers, (server) => measureQuiet(server, hello, count));
}

async function measureQuiet(server: ServerProcess, hello: string, count: number): Promise<number> {
  const open = async (clients: number): Promise<Bun.Socket[]> => {
    const sockets: Bun.Socket[] = [];
    while (sockets.length < clients) {
      const client = await Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data() {} } });
      client.write(hello);
      sockets.push(client);
    }
    await Bun.sleep(500); // Everything is read, and a reactor parks.
    return sockets;
  };
  const first = await open(count / 10);
  await server.collect();
  await Bun.sleep(1000); // Free memory goes back to the system.
  const before = server.residentKiB();
  const sockets = await open(count);
  await server.collect();
  const each = (server.residentKiB() - before) / count;
  for (const socket of [...first, ...sockets]) socket.terminate();
  return each;
}

async function openSilent(port: number, count: number): Promise<Bun.Socket[]> {
  const sockets: Bun.Socket[] = [];
  while (sockets.length < count) {
    const more = Array.from({ length: Math.min(100, count - sockets.length) }, async () => {
      const echoed = Promise.withResolvers<void>();
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: { open: (opened) => void opened.write("x"), data: () => echoed.resolve() },
      });
      await echoed.promise;
      return socket;
    });
    sockets.push(...(await Promise.all(more)));
  }
  return sockets;
}

interface State {
  residentKiB: number;
  sockets: number;
}

/**
 * Opens `count` connections at once; each sends one request, and all close. A smaller round before
 * fills pools and warms the compiler up.
 */
export function measureChurn(
  subjects: readonly BunPeer[],
  count: number,
): Promise<Record<BunPeer, { before: State; open: State; after: State }>> {
  return withServers("http-hello", subjects, async (server) => {
    const state = (): State => ({ residentKiB: server.residentKiB(), sockets: server.sockets() });
    const listening = server.sockets();
    const round = async (atOnce: number): Promise<{ before: State; open: State; after: State }> => {
      await server.collect();
      const before = state();
      const clients: Client[] = [];
      while (clients.length < atOnce) {
        const more = Array.from({ length: Math.min(200, atOnce - clients.length) }, () => Client.connect(server.port));
        clients.push(...(await Promise.all(more)));
      }
      await Promise.all(clients.map((client) => client.ask()));
      const open = state();
      for (const client of clients) client.end();
      await Promise.all(clients.map((client) => client.closed.promise));
      while (server.sockets() > listening) await Bun.sleep(5);
      await Bun.sleep(200); // The reactor parks, and returns memory.
      await server.collect();
      return { before, open, after: state() };
    };
    await round(count / 4);
    return round(count);
  });
}
