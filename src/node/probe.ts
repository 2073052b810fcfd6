/**
 * Finds two internals of node:http: its server, and the class of its sockets.
 *
 * `probe` calls onNodeHTTPRequest once, without a socket. So node:http makes a socket and stores it
 * in the socket's handle. The setter of the handle throws, which leaves the call before node:http
 * counts, emits or answers anything.
 */
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { Bit, type HttpInternals, type HttpServer, type OnRequest, type SocketClass } from "./contract.ts";
import type { ResponseHandle } from "./response-handle.ts";
import type { SocketHandle } from "./socket-handle.ts";

/** Returns the internals, or a text that says how the contract differs. */
export function probe(onRequest: OnRequest): HttpInternals | string {
  const left = new Error("the probe is over");
  let found: (Socket & { server?: unknown }) | undefined;
  const socketHandle = {
    set duplex(socket: Socket) {
      found = socket;
      throw left;
    },
  };
  try {
    const none = {} as ResponseHandle;
    const handle = socketHandle as unknown as SocketHandle;
    onRequest({}, "/", "GET", Bit.Host, none, false, handle, false, undefined, false, undefined, false);
    return "onNodeHTTPRequest makes no socket";
  } catch (error) {
    if (error !== left) return `onNodeHTTPRequest fails: ${String(error)}`;
  }
  const server = found?.server;
  if (!(server instanceof EventEmitter)) return "a socket of node:http does not know its server";
  found!.on("error", () => {}).destroy();
  return { server: server as HttpServer, Socket: found!.constructor as SocketClass };
}
