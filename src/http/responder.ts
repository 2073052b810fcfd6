/** What answers the requests of an exchange: Bun's API (fetch-responder.ts), or another. */
import type { RequestBody } from "./body.ts";

/** Answers the requests of one exchange, one after the other. */
export interface Responder {
  /**
   * A head is complete. The host's parser says what is in it, until this returns. `text` contains it, from `base` to
   * `headersEnd`. A body may still be coming. The answer may be given at once, by `complete()` or `send()`.
   */
  onRequest(text: string, base: number, headersEnd: number, body: RequestBody | null): void;
  /** The sender has sent the whole answer. */
  onSent(): void;
  /** The answer's body failed. `hasBegun`: the client has seen a part of the answer. Else another one is due. */
  onSendFailed(error: unknown, hasBegun: boolean): void;
  /** Nobody gets the answer that is due any more. Returns a function that tells the program; it may run the event loop. */
  abandon(): () => void;
}
