/** node:http on the subject of the tests: Bun's own, or `createServer` of ringloop/node. */
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { isBun } from "./subject.ts";

const make = (isBun ? http : await import("../../src/node/index.ts")).createServer as typeof http.createServer;

export interface NodeServer extends AsyncDisposable {
  readonly server: http.Server;
  readonly port: number;
}

/**
 * Whether the ring serves a listening server. Then the object that node:http uses as Bun's server
 * has own properties.
 */
export function isOnRing(server: http.Server): boolean {
  const underneath = (server as unknown as Record<symbol, object>)[Symbol.for("::bunternal::")]!;
  return Object.hasOwn(underneath, "closeIdleConnections");
}

/** Makes a server of the subject. It does not listen yet. */
export function createServer(listener?: http.RequestListener, options: http.ServerOptions = {}): http.Server {
  return make(options, listener);
}

/** Starts a server on 127.0.0.1. A fallback to Bun's own server is an error. */
export async function start(listener?: http.RequestListener, options?: http.ServerOptions): Promise<NodeServer> {
  const server = createServer(listener, options);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  if (isOnRing(server) === isBun) throw new Error("node:http is not served by the subject");
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise<void>((resolve) => void server.close(() => resolve()));
  };
  return { server, port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close };
}
