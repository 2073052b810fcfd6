/** What the WebSockets of one server have in common: handlers, limits, topics, and parsers for those that are in the middle of a frame. */
import type { HttpHost } from "../host.ts";
import { CloseCode, FrameParser } from "./frame-parser.ts";
import type { WebSocketOptions } from "./options.ts";
import type { ServerWebSocket } from "./socket.ts";
import { Topics } from "./topics.ts";

const SPARE_PARSERS_MAX = 16;

export class WebSocketHub {
  readonly host: HttpHost;
  readonly topics = new Topics();
  /** `reload` may set others. */
  options: WebSocketOptions;
  /** Open, or with a `close` handler running. */
  count = 0;
  private readonly spare: FrameParser[] = [];

  constructor(host: HttpHost, options: WebSocketOptions) {
    this.host = host;
    this.options = options;
  }

  takeParser(): FrameParser {
    return this.spare.pop() ?? new FrameParser();
  }

  giveParser(parser: FrameParser): void {
    parser.reset();
    if (this.spare.length < SPARE_PARSERS_MAX) this.spare.push(parser);
  }

  /** A handler threw: the program hears of it, and nobody else does. Without a handler for that the error is uncaught, with its own trace. */
  failed(error: unknown, socket: ServerWebSocket): void {
    const handler = this.options.error;
    if (handler === undefined) return reportError(error);
    try {
      handler(error, socket);
    } catch (failure) {
      reportError(failure);
    }
  }

  /** Closes a socket because its server stops. */
  static stop(socket: ServerWebSocket): void {
    socket.close(CloseCode.GoingAway, "Server closed");
  }
}
