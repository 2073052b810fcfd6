/** The parts of a server that its connections use. */
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
  /**
   * Calls a function in the async context in which the program called `listen`. Bun calls listeners
   * for a client's events in this context, too.
   */
  readonly inContext: (call: (...args: any[]) => unknown, ...args: any[]) => unknown;
  /**
   * node:http's own function for a mistake of a client. It emits 'clientError'. Undefined until the
   * first connection.
   */
  readonly onFault: ((socket: Socket, error: Error) => void) | undefined;
  /** The object that `onRequest` gets as the server. */
  readonly native: object;
  /**
   * The parser that all connections share. A connection reads the results before the next head is
   * parsed.
   */
  readonly parser: NodeRequestParser;
  readonly limits: NodeParserLimits;
  readonly autoFields: AutoFields;
  readonly isUnix: boolean;
  /** Called when the program's socket is closed. Queued bytes may still be sent afterwards. */
  closed(connection: NodeConnection): void;
}
