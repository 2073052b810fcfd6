/**
 * `ringloop/node`: node:http's createServer on the ring, for programs that do not use the preload. The server and everything
 * that it gives are Bun's own classes; where it listens, the ring accepts, receives and sends.
 */
import { createServer as createBunsServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { serveNode } from "./serve.ts";

/**
 * Takes what createServer of node:http takes (https://nodejs.org/api/http.html), and returns its Server. Where the ring cannot
 * serve it, Bun's own does, with one notice on stderr that says why: another version of Bun than those that are known, or no
 * io_uring.
 */
export function createServer(listener?: RequestListener): Server;
export function createServer(options: ServerOptions, listener?: RequestListener): Server;
export function createServer(...given: [(ServerOptions | RequestListener)?, RequestListener?]): Server {
  const server = createBunsServer(...(given as [ServerOptions, RequestListener]));
  const { listen } = server;
  server.listen = function (this: Server, ...where: Parameters<Server["listen"]>): Server {
    // node:http asks the global Bun for its server, inside of this call.
    const { serve } = Bun;
    const global = Bun as { serve: unknown };
    global.serve = serveNode;
    try {
      return listen.apply(this, where) as Server;
    } finally {
      global.serve = serve;
    }
  } as Server["listen"];
  return server;
}
