/** What connections of node:http need of their server. */
import type { Socket } from "node:net";
import type { Reactor } from "../reactor/reactor.ts";
import type { HttpServer, OnRequest, SocketClass } from "./contract.ts";
import type { NodeConnection } from "./connection.ts";
import type { NodeParserLimits, NodeRequestParser } from "./request-parser.ts";
import type { AutoFields } from "./response-head.ts";

export interface NodeHost {
  readonly reactor: Reactor;
  /** The program's http.Server. */
  readonly server: HttpServer;
  readonly Socket: SocketClass;
  readonly onRequest: OnRequest;
  /** Calls in the async context of the server's listen, as Bun does what a client leads to. */
  readonly inContext: (call: (...args: any[]) => unknown, ...args: any[]) => unknown;
  /** node:http's own answer to a fault of a client: it emits 'clientError'. Known from the first connection on. */
  readonly onFault: ((socket: Socket, error: Error) => void) | undefined;
  /** What `onRequest` is given as the server. */
  readonly native: object;
  /** One for all connections: what it found is read before the next head is parsed. */
  readonly parser: NodeRequestParser;
  readonly limits: NodeParserLimits;
  readonly autoFields: AutoFields;
  readonly isUnix: boolean;
  /** The program's socket is closed. Bytes may still be on their way out. */
  closed(connection: NodeConnection): void;
}
