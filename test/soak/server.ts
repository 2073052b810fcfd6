/**
 * The soak's server: HTTP with bodies, streams and files, once by `serve` and once by node:http,
 * files that it writes and reads through the ring, and echoes over TCP and UDP, all on one reactor. Over IPC, its runner asks for its
 * resources and tells it to end.
 *
 * Guarantees: it counts every error as a fault, unless the client has announced that it will leave.
 */
import { heapStats } from "bun:jsc";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReactorStats } from "../../src/index.ts";
import { isOnRing } from "../behaviour/node-subject.ts";
import { files, listen, reactorStats, serve, udpSocket } from "../behaviour/subject.ts";
import { FATE, FATE_BYTE, largeFile, type Ports } from "./content.ts";
import { makeNodeService } from "./node-server.ts";

/** The present resources of the process. */
export interface Holdings {
  residentKiB: number;
  heapKiB: number;
  descriptors: number;
  pendingRequests: number;
  sockets: number;
  webSockets: number;
  /** Number of open connections of node:http. */
  nodeSockets: number;
  ring: ReactorStats;
  /** Number of faults since the start, by kind. */
  faults: Record<string, number>;
}

const faults: Record<string, number> = {};
const fault = (kind: string): void => void (faults[kind] = (faults[kind] ?? 0) + 1);
process.on("uncaughtException", (error) => fault(`uncaught: ${error.message}`));
process.on("unhandledRejection", (error) => fault(`unhandled: ${String(error)}`));
console.error = () => {};

const directory = mkdtempSync(join(tmpdir(), "ringloop-soak-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, "large");
writeFileSync(file, largeFile());

// ---- HTTP --------------------------------------------------------------------------------------

/** Runs a handler. Its client may have announced that it will leave. */
async function answer(request: Request, body: () => Promise<Response>): Promise<Response> {
  try {
    return await body();
  } catch (error) {
    if (request.headers.get(FATE) === "stays") fault(`${new URL(request.url).pathname}: ${String(error)}`);
    return new Response(null, { status: 500 });
  }
}

let stored = 0;
/** Writes a file through the ring, reads it, and removes it. */
async function store(bytes: Buffer): Promise<Buffer> {
  const path = join(directory, `stored-${stored++}`);
  await files.writeFile(path, bytes);
  try {
    return (await files.readFile(path)) as Buffer;
  } finally {
    await files.unlink(path);
  }
}

function stream(id: string, parts: number): ReadableStream {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      if (at % 5 === 0) await Bun.sleep(0);
      if (at < parts) controller.enqueue(`${id}:${at++};`);
      else controller.close();
    },
  });
}

const http = serve({
  port: 0,
  hostname: "127.0.0.1",
  development: false,
  // The time is short, so that clients which stall reach it.
  idleTimeout: 2,
  headerTimeout: 2,
  routes: {
    "/static": new Response("static"),
    "/file-route": Bun.file(file),
    "/file": () => new Response(Bun.file(file)),
    "/text/:id": (request) => new Response(request.params.id),
    "/json/:id": (request) => Response.json({ id: request.params.id }),
    "/stream/:id/:parts": (request) => new Response(stream(request.params.id!, Number(request.params.parts))),
    "/echo": (request) => answer(request, async () => new Response(await request.arrayBuffer())),
    "/pieces": (request) =>
      answer(request, async () => {
        const pieces: Uint8Array[] = [];
        for await (const piece of request.body!) pieces.push(piece as Uint8Array);
        return new Response(Buffer.concat(pieces));
      }),
    "/store": (request) =>
      answer(request, async () => new Response(await store(Buffer.from(await request.arrayBuffer())))),
  },
  // The path is /websocket/ID/FATE.
  fetch(request, server) {
    const [, , id, fate] = new URL(request.url).pathname.split("/");
    if (server.upgrade(request, { data: { id, fate, closed: false } as never })) return undefined as never;
    return new Response(null, { status: 404 });
  },
  websocket: {
    perMessageDeflate: true,
    idleTimeout: 8,
    // Messages go back to their client: text through a topic with one subscriber, binary data
    // directly. Both may be compressed.
    open(socket) {
      socket.subscribe(socket.data.id);
    },
    message(socket, message) {
      if (socket.data.closed) fault("WebSocket: message after close");
      if (typeof message === "string") http.publish(socket.data.id, message, message.length > 100);
      else if (socket.send(message) === 0 && socket.data.fate === "stays") fault("WebSocket: not sent");
    },
    close(socket, code) {
      if (socket.data.closed) fault("WebSocket: closed twice");
      socket.data.closed = true;
      if (code !== 1000 && socket.data.fate === "stays") fault(`WebSocket: closed with ${code}`);
    },
  },
  error(error) {
    fault(`error(): ${error.message}`);
    return new Response(null, { status: 500 });
  },
});

const node = makeNodeService({ file, store, fault });
await new Promise<void>((resolve) => void node.server.listen(0, "127.0.0.1", resolve));
if (!isOnRing(node.server)) fault("node:http is not served by the ring");

// ---- echoes ------------------------------------------------------------------------------------

interface Echo {
  fate: number;
  closed: boolean;
  /** Bytes that the socket has not taken. */
  rest: Buffer;
  ended: boolean;
}

let sockets = 0;
const tcp = listen<Echo>({
  port: 0,
  hostname: "127.0.0.1",
  allowHalfOpen: true,
  socket: {
    open(socket) {
      sockets++;
      socket.data = { fate: 0, closed: false, rest: Buffer.alloc(0), ended: false };
    },
    data(socket, bytes) {
      const echo = socket.data;
      if (echo.closed) fault("data after close");
      echo.fate ||= bytes[0]!;
      // `rest` stays small, because the socket receives nothing while `rest` has bytes.
      const taken = echo.rest.length > 0 ? 0 : socket.write(bytes);
      if (taken === bytes.length) return;
      echo.rest = Buffer.concat([echo.rest, bytes.subarray(Math.max(0, taken))]);
      socket.pause();
    },
    drain(socket) {
      const echo = socket.data;
      if (echo.closed) fault("drain after close");
      if (echo.rest.length === 0) return;
      echo.rest = Buffer.from(echo.rest.subarray(Math.max(0, socket.write(echo.rest))));
      if (echo.rest.length > 0) return;
      socket.resume();
      if (echo.ended) socket.end();
    },
    end(socket) {
      socket.data.ended = true;
      if (socket.data.rest.length === 0) socket.end();
    },
    close(socket, error) {
      sockets--;
      if (socket.data.closed) fault("closed twice");
      socket.data.closed = true;
      if (error && socket.data.fate === FATE_BYTE.stays) fault(`TCP: ${String(error)}`);
    },
    error(_socket, error) {
      fault(`TCP error(): ${String(error)}`);
    },
  },
});

const udp = await udpSocket({
  hostname: "127.0.0.1",
  socket: {
    data(socket, bytes, port, address) {
      if (!socket.send(bytes, port, address)) fault("UDP: not sent");
    },
    error(error: Error & { code?: string }) {
      // ECONNREFUSED comes from a client that left before its echo arrived.
      if (error.code !== "ECONNREFUSED") fault(`UDP error(): ${String(error)}`);
    },
  },
});

// ---- for the runner ----------------------------------------------------------------------------

function holdings(): Holdings {
  return {
    residentKiB: Math.round(process.memoryUsage.rss() / 1024),
    heapKiB: Math.round(heapStats().heapSize / 1024),
    descriptors: readdirSync("/proc/self/fd").length,
    pendingRequests: http.pendingRequests,
    sockets,
    webSockets: http.pendingWebSockets,
    nodeSockets: node.open,
    ring: reactorStats(),
    faults,
  };
}

/** Ends all services. Nothing keeps the process alive afterwards, so it ends by itself. */
async function end(): Promise<void> {
  await http.stop();
  await new Promise((resolve) => node.server.close(resolve));
  tcp.stop();
  udp.close();
  process.disconnect!();
}

process.on("message", (question: "holdings" | "collect" | "end") => {
  if (question === "end") return void end();
  if (question === "collect") Bun.gc(true);
  process.send!(holdings());
});
const nodePort = (node.server.address() as AddressInfo).port;
process.send!({ http: http.port, node: nodePort, tcp: tcp.port, udp: udp.port } satisfies Ports);
