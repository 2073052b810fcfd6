/** What sends a response's body that is not in memory, and what it needs of the connection that it sends on. */
import type { Transport } from "../transport/transport.ts";
import type { ExchangeHost } from "./host.ts";

export interface BodySender {
  /** Ends by itself, however long it takes: a client that has closed its side gets all of it. A stream may go on for ever. */
  readonly isFinite: boolean;
  /** Sends the head and then the body. */
  start(): void;
  /** All that was queued has left. */
  drained(): void;
  /** The client is gone: frees everything, and calls nobody any more. */
  abort(): void;
}

export interface BodyTarget {
  readonly host: ExchangeHost;
  readonly transport: Transport;
  /** Something more of the body was queued: the connection is not idle. */
  bodyProgressed(): void;
  /** Whether it is this sender's body that is under way: it may have been given up in the meantime. */
  isSending(sender: BodySender): boolean;
  /** All of it was queued. */
  bodySent(): void;
  /** It cannot be completed. `headSent`: the client has seen a part. */
  bodyFailed(error: unknown, headSent: boolean): void;
}
