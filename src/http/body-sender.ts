/**
 * The sender of a response's body that is not in memory, and the members of the connection that it
 * needs.
 */
import type { Transport } from "../transport/transport.ts";
import type { ExchangeHost } from "./host.ts";

export interface BodySender {
  /**
   * Whether the body ends by itself, after however long: then a client that has closed its side
   * gets all of it. A stream may go on for ever.
   */
  readonly isFinite: boolean;
  /** Sends the head and then the body. */
  start(): void;
  /** Called when everything queued has left. */
  drained(): void;
  /** Called when the client is gone: frees everything, and calls nothing from then on. */
  abort(): void;
}

export interface BodyTarget {
  readonly host: ExchangeHost;
  readonly transport: Transport;
  /** Called when more of the body was queued: the connection is not idle. */
  bodyProgressed(): void;
  /**
   * Returns whether `sender` still sends the body. The body may have been given up in the meantime.
   */
  isSending(sender: BodySender): boolean;
  /** Called when the whole body was queued. */
  bodySent(): void;
  /**
   * Called when the body cannot be sent to its end. `headSent`: the client has seen a part of the
   * answer.
   */
  bodyFailed(error: unknown, headSent: boolean): void;
}
