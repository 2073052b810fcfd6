/**
 * `ringloop/node`: node:http's createServer on the ring, for programs that do not use the preload.
 * The server and all its objects are of Bun's own classes. The ring accepts, receives and sends.
 */
import { createServer as createBunsServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { serveNode } from "./serve.ts";

/**
 * Takes the arguments of createServer of node:http (https://nodejs.org/api/http.html), and returns
 * its Server. If the ring cannot serve it, Bun's own server does, with one notice on stderr that
 * says why: this version of Bun is not a known one, or there is no io_uring.
 */
export function createServer(listener?: RequestListener): Server;
export function createServer(options: ServerOptions, listener?: RequestListener): Server;
export function createServer(...given: [(ServerOptions | RequestListener)?, RequestListener?]): Server {
  const server = createBunsServer(...(given as [ServerOptions, RequestListener]));
  const { listen } = server;
  server.listen = function (this: Server, ...where: Parameters<Server["listen"]>): Server {
    // node:http calls `Bun.serve` of the global object inside of this call.
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
