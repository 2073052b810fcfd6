/** What connections need of their server. */
import type { FreeList } from "../reactor/free-list.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { HttpConnection } from "./connection.ts";
import type { HeadCache } from "./head.ts";
import type { IdleConnections } from "./idle-connections.ts";
import type { RequestParser } from "./parser.ts";
import type { RingRequest } from "./request.ts";
import type { Router } from "./router.ts";
import type { Route } from "./routes.ts";

export interface HttpHost {
  readonly reactor: Reactor;
  readonly limits: HttpLimits;
  readonly defaultOrigin: string;
  /** One for all connections: what it found is read before the next head is parsed. */
  readonly parser: RequestParser;
  readonly heads: HeadCache;
  readonly idle: IdleConnections;
  /** HttpConnections that nobody uses. */
  readonly spare: FreeList<HttpConnection>;
  /** Null for a server with a fetch handler alone. */
  readonly router: Router<Route> | null;
  /** No further request is taken on a connection once its current one is answered. */
  readonly stopping: boolean;
  pendingRequests: number;
  /** Calls the route's handler, or the fetch handler. Whatever it throws or rejects with ends in a Response. */
  handle(request: RingRequest, handler?: Route["handler"]): Response | Promise<Response>;
  handleError(error: unknown): Response | Promise<Response>;
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
