/**
 * Large bodies in both directions: from memory, from streams and from files, and uploads. A WebSocket
 * at /echo sends messages back.
 */
import { closeSync, ftruncateSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { announce, serve, temporaryDirectory } from "./subject.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const directory = temporaryDirectory();

/** Returns the path of a new file. Above 1 MiB, the file is sparse. */
function fileOf(bytes: number): string {
  const path = join(directory, `${bytes}.bin`);
  if (bytes <= MIB) {
    writeFileSync(path, Buffer.alloc(bytes, "file "));
    return path;
  }
  const fd = openSync(path, "w");
  ftruncateSync(fd, bytes);
  closeSync(fd);
  return path;
}

/** Returns a handler that answers with a stream of `count` chunks of `bytes` bytes. */
function streamOf(count: number, bytes: number): () => Response {
  const chunk = Buffer.alloc(bytes, "chunk ");
  return () => {
    let sent = 0;
    const pull = (controller: ReadableStreamDefaultController): void => {
      controller.enqueue(chunk);
      if (++sent === count) controller.close();
    };
    return new Response(new ReadableStream({ pull }));
  };
}

function memoryOf(bytes: number): () => Response {
  const body = Buffer.alloc(bytes, "memory ");
  return () => new Response(body);
}

const files = { "64KiB": fileOf(64 * KIB), "1MiB": fileOf(MIB), "1GiB": fileOf(1024 * MIB) };

const server = serve<undefined>({
  port: 0,
  hostname: "127.0.0.1",
  maxRequestBodySize: 1024 * MIB,
  routes: {
    "/memory/64KiB": memoryOf(64 * KIB),
    "/memory/256KiB": memoryOf(256 * KIB),
    "/memory/1MiB": memoryOf(MIB),
    "/memory/16MiB": memoryOf(16 * MIB),
    "/stream/16KiB": streamOf(64, 16 * KIB),
    "/stream/1MiB": streamOf(20, MIB),
    "/file/64KiB": () => new Response(Bun.file(files["64KiB"])),
    "/file/1MiB": () => new Response(Bun.file(files["1MiB"])),
    "/file/1GiB": () => new Response(Bun.file(files["1GiB"])),
    "/upload/stream": async (request: Request) => {
      let bytes = 0;
      for await (const chunk of request.body!) bytes += chunk.length;
      return new Response(String(bytes));
    },
    "/upload/buffer": async (request: Request) => new Response(String((await request.arrayBuffer()).byteLength)),
    "/echo": (request: Request, own: Bun.Server<undefined>) =>
      own.upgrade(request) ? undefined : new Response(null, { status: 426 }),
  },
  websocket: {
    idleTimeout: 0,
    maxPayloadLength: 16 * MIB,
    message(socket, message) {
      socket.send(message);
    },
  },
});
announce(server.port!);
