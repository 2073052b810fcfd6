/** The server's members that its connections need. */
import type { FreeList } from "../reactor/free-list.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Exchange } from "./exchange.ts";
import type { HeadCache } from "./head.ts";
import type { IdleConnections } from "./idle-connections.ts";
import type { RequestParser } from "./parser.ts";
import type { Responder } from "./responder.ts";

/** A server that speaks HTTP/1.1, with any kind of responder. */
export interface ExchangeHost {
  readonly reactor: Reactor;
  readonly limits: HttpLimits;
  /** The parser of all connections. Its results are read before it parses the next head. */
  readonly parser: RequestParser;
  readonly heads: HeadCache;
  readonly idle: IdleConnections;
  /** Exchanges that serve no connection. */
  readonly spare: FreeList<Exchange>;
  /**
   * Whether the server stops: a connection takes no further request once its current request is
   * answered.
   */
  readonly stopping: boolean;
  /** Number of requests that are not answered. */
  pendingRequests: number;
  createResponder(exchange: Exchange): Responder;
  /** Called with an error that no handler gets. */
  reportFault(error: unknown): void;
  /** Called when a connection has closed. */
  closed(): void;
}

export interface HttpLimits {
  /** Highest number of bytes of a request's head, and of its trailers. */
  headerBytesMax: number;
  /** See ParserLimits. */
  readHeaderBytesMax?: (() => number) | undefined;
  /** Highest number of bytes of a request's body. */
  requestBodyBytesMax: number;
  /**
   * Number of response bytes that the client has not accepted, from which no further request is
   * served.
   */
  writeQueueBytesMax: number;
  /** Milliseconds without traffic after which a connection ends; 0 for never. */
  idleTimeoutMs: number;
  /** Milliseconds from a head's first byte to its last; 0 is no limit. */
  headerTimeoutMs: number;
}
