/**
 * The object that answers the requests of an exchange: by Bun's API (fetch-responder.ts), or in
 * another way.
 */
import type { RequestBody } from "./body.ts";

/** Answers the requests of one exchange, one after the other. */
export interface Responder {
  /**
   * Called when a head is whole. The host's parser has its content until this returns. `text`
   * contains the head, from `base` to `headersEnd`. A body may still be coming. The answer may be
   * given at once, by `complete()` or `send()`.
   */
  onRequest(text: string, base: number, headersEnd: number, body: RequestBody | null): void;
  /** Called when the sender has sent the whole answer. */
  onSent(): void;
  /**
   * Called when the answer's body failed. `hasBegun`: the client has seen a part of the answer.
   * Otherwise another answer is due.
   */
  onSendFailed(error: unknown, hasBegun: boolean): void;
  /**
   * Called when nobody gets the answer any more. Returns a function that tells the program; that
   * function may run the event loop.
   */
  abandon(): () => void;
}
