/**
 * What the WebSockets of one server have in common: handlers, limits, topics, and parsers for those that are in the middle of a frame.
 *
 * All that a server asks of WebSockets it asks here: it loads this file with its option `websocket`, and with it everything else.
 */
import type { Consumer } from "../../transport/transport.ts";
import { FreeList } from "../../reactor/free-list.ts";
import type { FetchResponder } from "../serve/fetch-responder.ts";
import type { ServeHost } from "../serve/serve-host.ts";
import type { RingRequest } from "../serve/request.ts";
import { isBytes, messageBytes, requireCompress, requireMessage, requireTopic } from "./arguments.ts";
import { CloseCode, FrameParser, Opcode } from "../../websocket/frame-parser.ts";
import { readWebSocketOptions, type WebSocketOptions } from "./options.ts";
import { type Sendable, ServerWebSocket } from "./socket.ts";
import { Topics } from "./topics.ts";
import { upgrade, type UpgradeOptions } from "./upgrade.ts";

const SPARE_PARSERS_MAX = 16;

export class WebSocketHub {
  readonly host: ServeHost;
  readonly topics = new Topics();
  options: WebSocketOptions;
  /** Open, or with a `close` handler running. */
  count = 0;
  private readonly spare = new FreeList<FrameParser>(SPARE_PARSERS_MAX);

  /** `options`: serve's option `websocket`. Throws a TypeError that names the wrong one. */
  constructor(host: ServeHost, options: unknown) {
    this.host = host;
    this.options = readWebSocketOptions(options);
  }

  /** Other options from now on, for open sockets too. */
  reload(options: unknown): void {
    this.options = readWebSocketOptions(options);
  }

  upgrade(responder: FetchResponder, request: RingRequest, options?: UpgradeOptions): boolean {
    return upgrade(this, responder, request, options);
  }

  publish(topic: string, message: Sendable, compress: boolean): number {
    WebSocketHub.requirePublication(topic, message, compress);
    return this.topics.publish(topic, isBytes(message) ? Opcode.Binary : Opcode.Text, messageBytes(message), compress);
  }

  subscriberCount(topic: string): number {
    WebSocketHub.requireCountable(topic);
    return this.topics.count(topic);
  }

  /** Throws a TypeError for what cannot be published. */
  static requirePublication(topic: unknown, message: unknown, compress: unknown): void {
    requireTopic("publish", topic);
    requireMessage("publish", message);
    requireCompress("publish", compress);
  }

  /** Throws a TypeError for what is no topic. The empty one has no subscriber, as in Bun. */
  static requireCountable(topic: unknown): void {
    if (topic !== "") requireTopic("subscriberCount", topic);
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

  /** Closes a WebSocket because its server stops. Returns false for a connection that is none. */
  stop(consumer: Consumer): boolean {
    if (!(consumer instanceof ServerWebSocket)) return false;
    consumer.close(CloseCode.GoingAway, "Server closed");
    return true;
  }
}
