/**
 * The WebSockets of one server: their handlers, limits and topics, and the parsers that they share.
 * A parser is with a socket only while a frame or a message is not complete.
 *
 * A server calls no other file of WebSockets. It loads this one, and with it the others, if it has
 * the option `websocket`.
 */
import type { Consumer } from "../../transport/transport.ts";
import { FreeList } from "../../reactor/free-list.ts";
import type { Traffic } from "../../reactor/traffic.ts";
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
  /** Number of sockets that are open, or whose handler `close` is running. */
  count = 0;
  readonly traffic: Traffic;
  private readonly spare = new FreeList<FrameParser>(SPARE_PARSERS_MAX);

  /** `options`: serve's option `websocket`. Throws a TypeError that names a wrong option. */
  constructor(host: ServeHost, options: unknown) {
    this.host = host;
    this.traffic = host.reactor.lane.traffic;
    this.options = readWebSocketOptions(options);
  }

  /** Replaces the options, for open sockets too. */
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

  /** Throws a TypeError for a wrong argument of `publish`. */
  static requirePublication(topic: unknown, message: unknown, compress: unknown): void {
    requireTopic("publish", topic);
    requireMessage("publish", message);
    requireCompress("publish", compress);
  }

  /** Throws a TypeError for a value that is not a string. The empty topic is allowed, as in Bun. */
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

  /**
   * Passes an error that a handler has thrown to the handler `error`. Without that handler, the
   * error is uncaught, with its own trace.
   */
  failed(error: unknown, socket: ServerWebSocket): void {
    const handler = this.options.error;
    if (handler === undefined) return reportError(error);
    try {
      handler(error, socket);
    } catch (failure) {
      reportError(failure);
    }
  }

  /** Closes a WebSocket because its server stops. Returns false for another consumer. */
  stop(consumer: Consumer): boolean {
    if (!(consumer instanceof ServerWebSocket)) return false;
    consumer.close(CloseCode.GoingAway, "Server closed");
    return true;
  }
}
