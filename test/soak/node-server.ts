/**
 * The soak's server of node:http. It answers as the other HTTP server does, through streams of Node
 * where that one uses web streams.
 */
import { createReadStream } from "node:fs";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createServer } from "../behaviour/node-subject.ts";
import { FATE } from "./content.ts";

export interface NodeService {
  readonly server: Server;
  /** Number of open connections. */
  readonly open: number;
}

/** What the service shares with the other HTTP server. */
export interface Shared {
  /** Path of the large file. */
  file: string;
  /** Writes a file through the ring, and reads it. */
  store(bytes: Buffer): Promise<Buffer>;
  /** Counts an error that no client has announced. */
  fault(kind: string): void;
}

/** Makes the server. It does not listen yet. */
export function makeNodeService(shared: Shared): NodeService {
  const open = new Set<Socket>();
  const server = createServer(
    (request, response) => {
      answer(shared, request, response).catch((error: unknown) => {
        if (request.headers[FATE] === "stays") shared.fault(`node:http ${request.url}: ${String(error)}`);
        response.destroy();
      });
    },
    // The time is short, so that clients which stall reach it.
    { headersTimeout: 2000, requestTimeout: 0, connectionsCheckingInterval: 500 },
  );
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket) || shared.fault("node:http: closed twice"));
  });
  return {
    server,
    get open() {
      return open.size;
    },
  };
}

async function answer({ file, store }: Shared, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, what, id = "", parts] = request.url!.split("/");
  switch (what) {
    case "static":
      return void response.end("static");
    case "text":
      return void response.end(id);
    case "json":
      response.setHeader("Content-Type", "application/json");
      return void response.end(JSON.stringify({ id }));
    case "file":
    case "file-route":
      return pipeline(createReadStream(file), response);
    case "stream":
      return pipeline(Readable.from(numbered(id, Number(parts))), response);
    case "pieces": // The answer begins before the body has ended.
      return pipeline(request, response);
    case "echo":
      return void response.end(await bodyOf(request));
    case "store":
      return void response.end(await store(await bodyOf(request)));
    default:
      response.statusCode = 404;
      response.end();
  }
}

async function* numbered(id: string, parts: number): AsyncGenerator<string> {
  for (let i = 0; i < parts; i++) {
    if (i % 5 === 0) await Bun.sleep(0);
    yield `${id}:${i};`;
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
