/** What the WebSockets of one server have in common: handlers, limits, topics, and parsers for those that are in the middle of a frame. */
import { FreeList } from "../../reactor/free-list.ts";
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
  private readonly spare = new FreeList<FrameParser>(SPARE_PARSERS_MAX);

  constructor(host: HttpHost, options: WebSocketOptions) {
    this.host = host;
    this.options = options;
  }

  takeParser(): FrameParser {
    return this.spare.take() ?? new FrameParser();
  }

  giveParser(parser: FrameParser): void {
    parser.reset();
    this.spare.give(parser);
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
