/** What connections need of their server. */
import type { FreeList } from "../reactor/free-list.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Exchange } from "./exchange.ts";
import type { HeadCache } from "./head.ts";
import type { IdleConnections } from "./idle-connections.ts";
import type { RequestParser } from "./parser.ts";
import type { Responder } from "./responder.ts";

/** What speaks HTTP/1.1, whatever answers. */
export interface ExchangeHost {
  readonly reactor: Reactor;
  readonly limits: HttpLimits;
  /** One for all connections: what it found is read before the next head is parsed. */
  readonly parser: RequestParser;
  readonly heads: HeadCache;
  readonly idle: IdleConnections;
  /** Exchanges that serve no connection. */
  readonly spare: FreeList<Exchange>;
  /** No further request is taken on a connection once its current one is answered. */
  readonly stopping: boolean;
  /** Requests that are not answered. */
  pendingRequests: number;
  createResponder(exchange: Exchange): Responder;
  /** An error that no handler gets. */
  reportFault(error: unknown): void;
  /** One of its connections is closed. */
  closed(): void;
}

export interface HttpLimits {
  /** Bytes of a request's head, trailers likewise. */
  headerBytesMax: number;
  /** See ParserLimits. */
  readHeaderBytesMax?: (() => number) | undefined;
  /** Bytes of a request's body. */
  requestBodyBytesMax: number;
  /** Bytes of responses that the client has not taken; no further request is served above that. */
  writeQueueBytesMax: number;
  /** Without traffic; 0 never ends an idle connection. */
  idleTimeoutMs: number;
  /** From a head's first byte to its last; 0 is no limit. */
  headerTimeoutMs: number;
}
