/**
 * Tries the contract (contract.ts) before anything relies on it. Passes a few messages through
 * node:http's own objects, on a connection that sends nothing: a request with a body, a response in
 * pieces, a response that closes the connection, and a tunnel. Compares the results with the
 * expected ones.
 *
 * Guarantees: no listener and no job of the program runs. The trial leaves each call right before
 * node:http would run them, and then uses the request's objects itself. So a trial can run inside
 * of the program's call of `listen`.
 */
import { IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Transport } from "../transport/transport.ts";
import { NodeConnection } from "./connection.ts";
import { Bit, type HttpInternals, type OnRequest } from "./contract.ts";
import type { NodeHost } from "./host.ts";
import { ResponseHandle } from "./response-handle.ts";

/** A transport that sends nothing and receives nothing. */
const nowhere = {
  queuedBytes: 0,
  remoteAddress: undefined,
  localAddress: undefined,
  destroy() {},
  finish() {},
  setTimeout() {},
  clearTimeout() {},
  setReferenced() {},
  hold() {},
  release() {},
  requestDrain() {},
  offer: () => false,
} as unknown as Transport;

class TrialConnection extends NodeConnection {
  output = "";

  override write(chunk: string | Uint8Array): number {
    this.output += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("latin1");
    return chunk.length;
  }

  override writeTogether(head: string, text: string): number {
    return this.write(head + text);
  }
}

/**
 * Calls `listen` of a server. Returns the onNodeHTTPRequest that node:http passes to Bun.serve in
 * this call.
 */
export type Listen = (server: Server) => OnRequest;

interface Exchange {
  connection: TrialConnection;
  handle: ResponseHandle;
  socket: Socket;
  ondata: ResponseHandle["ondata"];
}

const HEAD = "Host: trial\r\nX-Trial: 1\r\nx-trial: 2\r\n\r\n";
const left = new Error("the trial is over");

/** Returns a text that lists the differences, or undefined if there are none. */
export function tryContract(
  makeServer: (options: object) => Server,
  listen: Listen,
  find: (onRequest: OnRequest) => HttpInternals | string,
  hostOf: (internals: HttpInternals, onRequest: OnRequest) => NodeHost,
): string | undefined {
  const requests: IncomingMessage[] = [];
  const responses: ServerResponse[] = [];
  class TrialRequest extends IncomingMessage {
    constructor(...given: [Socket]) {
      super(...given);
      requests.push(this);
    }
  }
  class TrialResponse extends ServerResponse {
    constructor(...given: [IncomingMessage]) {
      super(...given);
      responses.push(this);
    }
  }
  const server = makeServer({ IncomingMessage: TrialRequest, ServerResponse: TrialResponse });
  const onRequest = listen(server);
  const internals = find(onRequest);
  if (typeof internals === "string") return internals;
  const host = hostOf(internals, onRequest);

  /** Dispatches a request, up to the point where node:http would call the program. */
  function dispatch(method: string, url: string, bits: number, head?: Buffer): Exchange {
    const connection = new TrialConnection(host);
    connection.transport = nowhere;
    const socket = new host.Socket(server as never, connection.socket, false, { isUnix: false });
    const handle = new ResponseHandle(connection, HEAD, 0, true);
    const exchange: Exchange = { connection, handle, socket, ondata: undefined };
    connection.response = handle;
    Object.defineProperty(handle, "ondata", {
      configurable: true,
      set(ondata: ResponseHandle["ondata"]) {
        exchange.ondata = ondata;
        Object.defineProperty(handle, "ondata", { value: ondata, writable: true });
        throw left;
      },
    });
    try {
      onRequest({}, url, method, bits, handle, true, connection.socket, false, socket, false, head, false);
    } catch (error) {
      if (error !== left) throw error;
    }
    // A listener of 'finish' would report the response to a PerformanceObserver of the program.
    responses.at(-1)?.removeAllListeners("finish");
    return exchange;
  }

  const wrong: string[] = [];
  const check = (what: string, got: unknown, wanted: unknown): void => {
    if (!Bun.deepEquals(got, wanted)) wrong.push(what);
  };
  try {
    const bits = Bit.Host | Bit.ContentLength;
    const first = dispatch("POST", "/trial?a=1", bits);
    const [request] = requests;
    const [response] = responses;
    if (request === undefined || response === undefined) return "a request makes no request and response";
    check("the socket's handle", first.connection.socket.duplex, first.socket);
    check("the socket's listener for errors", first.socket.listenerCount("error"), 1);
    check("the request's method", request.method, "POST");
    check("the request's target", request.url, "/trial?a=1");
    check("the request's version", request.httpVersion, "1.1");
    check("the request's headers", { ...request.headers }, { host: "trial", "x-trial": "1, 2" });
    check("the request's raw headers", request.rawHeaders, ["Host", "trial", "X-Trial", "1", "x-trial", "2"]);
    check("the request's socket", request.socket, first.socket);
    first.ondata?.(Buffer.from("body"), true, 0);
    check("the request's body", String(request.read()), "body");
    response.writeHead(201, "Tried", { "X-Trial": "3" });
    response.write("ab");
    response.end("c");
    const written = first.connection.output.replace(/^Date: .*\r\n/m, "Date\r\n");
    const lines = ["HTTP/1.1 201 Tried", "X-Trial: 3", "Date", "Connection: keep-alive", "Keep-Alive: timeout=5"];
    lines.push("Transfer-Encoding: chunked", "", "2", "ab", "1", "c", "0", "", "");
    check("a response in pieces", written, lines.join("\r\n"));
    first.socket.destroy();
    check("the end of a socket", first.connection.socket.closed, true);

    const second = dispatch("GET", "/", bits | Bit.ConnectionClose);
    responses.at(-1)!.end("whole");
    const whole = "HTTP/1.1 200 OK\r\nDate\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole";
    check("a response at once", second.connection.output.replace(/^Date: .*\r\n/m, "Date\r\n"), whole);
    second.socket.destroy();

    let tunnelled: unknown[] = [];
    server.on("connect", (...given: unknown[]) => (tunnelled = given));
    const third = dispatch("CONNECT", "trial:1", bits, Buffer.from("early"));
    check("a tunnel's socket and first bytes", tunnelled.slice(1), [third.socket, Buffer.from("early")]);
    third.socket.write("raw");
    check("what a tunnel writes", third.connection.output, "raw");
    third.connection.socket.ondata?.(Buffer.from("back"), false);
    check("what a tunnel reads", String(third.socket.read()), "back");
    third.socket.destroy();
  } catch (error) {
    return `it fails: ${String(error)}`;
  }
  return wrong.length === 0 ? undefined : wrong.join(", ");
}
