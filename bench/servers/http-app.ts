/** Typical requests of an application: routes, JSON, bodies in both directions, files. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { announce, serve, temporaryDirectory } from "./subject.ts";

const directory = temporaryDirectory();
const file = join(directory, "1MiB.bin");
const KIB_64 = Buffer.alloc(65536, "64 KiB ");
const MIB_1 = Buffer.alloc(1048576, "1 MiB ");
writeFileSync(file, MIB_1);

const server = serve({
  port: 0,
  hostname: "127.0.0.1",
  routes: {
    "/static": new Response("Hello, World!"),
    "/user/:id": (request) => Response.json({ id: request.params.id, name: "somebody" }),
    "/echo": { POST: async (request) => new Response(await request.arrayBuffer()) },
    "/64KiB": () => new Response(KIB_64),
    "/1MiB": () => new Response(MIB_1),
    "/file": () => new Response(Bun.file(file)),
    "/file-route": new Response(Bun.file(file)),
  },
});
announce(server.port!);
