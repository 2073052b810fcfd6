/**
 * The server of chaos.ts as a program of node:http. It answers the same requests, with bodies read
 * by events and by iteration, and files that are piped.
 */
import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { answerOf, writeFiles } from "./chaos.ts";
import { type NodeServer, start } from "./node-subject.ts";

/**
 * Starts the server. Its files are made in `directory`. `report` gets the violations of node:http's
 * rules: an event that comes twice, or after the last one.
 */
export async function startNodeChaosServer(directory: string, report: (what: string) => void): Promise<NodeServer> {
  writeFiles(directory);
  const started = await start(
    (request, response) => {
      watch(request, response, report);
      void answer(directory, request, response).catch(() => {}); // The client has left.
    },
    { keepAliveTimeout: 240_000 }, // On a busy machine, a client is idle for longer than the default.
  );
  // As in chaos.ts, a client that has closed its side still gets its answers.
  (started.server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true;
  const open = new Set<Socket>();
  started.server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket) || report("a socket was closed twice"));
  });
  started.server.on("close", () => open.size > 0 && report(`the server was closed before ${open.size} sockets`));
  return started;
}

/** Reports events of a request and a response that come when they must not. */
function watch(request: IncomingMessage, response: ServerResponse, report: (what: string) => void): void {
  let isOver = false;
  let isWhole = false;
  request.on("end", () => {
    if (isWhole) report("a request ended twice");
    isWhole = true;
  });
  response.on("finish", () => isOver && report("a response finished after its end"));
  response.on("close", () => {
    if (isOver) report("a response was closed twice");
    isOver = true;
  });
}

async function bodyOf(request: IncomingMessage, isIterated: boolean): Promise<string> {
  const pieces: Buffer[] = [];
  if (isIterated) for await (const piece of request) pieces.push(piece as Buffer);
  else {
    await new Promise<void>((resolve, reject) => {
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", resolve);
      request.on("error", reject);
    });
  }
  return Buffer.concat(pieces).toString();
}

async function answer(directory: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url!;
  const id = request.headers["x-id"] as string;
  if (path === "/ignores") return void response.end(answerOf(path, id, ""));
  if (path === "/early") {
    const read = bodyOf(request, false); // The handler still reads after it has answered.
    response.end(answerOf(path, id, ""));
    return void (await read);
  }
  const body = await bodyOf(request, id.endsWith("1"));
  if (response.destroyed) return; // pipeline() would leave a file open.
  switch (path) {
    case "/small":
    case "/large":
      return pipeline(createReadStream(join(directory, path)), response);
    case "/bytes":
      return void response.end(Buffer.from(answerOf(path, id, body)));
    case "/throws":
      response.statusCode = 500;
      break;
    case "/stream":
      for (let left = 50; left > 0; left--) {
        if (left % 7 === 0) await Bun.sleep(0);
        if (response.destroyed) return;
        if (!response.write(`${id} in parts`)) await drained(response);
      }
      return void response.end();
    case "/later":
      await Bun.sleep(Number(id.split(".")[1]) % 4);
  }
  response.end(answerOf(path, id, body));
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
    response.once("close", resolve);
  });
}
