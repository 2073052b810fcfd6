/**
 * A WebSocket as the handlers of Bun.serve know it: its members, with the checks of what they are given.
 *
 * Guarantees: what is sent within a turn leaves in one send; a closed socket does nothing, and says so.
 */
import { Hold } from "../../transport/transport.ts";
import { toBytes } from "../sockets/socket-data.ts";
import {
  controlData,
  isBytes,
  messageBytes,
  requireBytes,
  requireCompress,
  requireMessage,
  requireText,
  requireTopic,
} from "./arguments.ts";
import { closePayload, readReason } from "../../websocket/close-frame.ts";
import { binaryTypes, Flag, WebSocketConnection } from "./connection.ts";
import { CloseCode, Opcode } from "../../websocket/frame-parser.ts";
import { writeBytes } from "../../websocket/frame-writer.ts";

/** What can be sent. A Blob must be in memory. */
export type Sendable = string | NodeJS.ArrayBufferView | ArrayBufferLike | Blob;
export type WebSocketBinaryType = (typeof binaryTypes)[number];

export class ServerWebSocket extends WebSocketConnection {
  // ---- sending ---------------------------------------------------------------------------------------------------

  /**
   * Queues a message. Returns its bytes; -1 when it is queued behind others that the client has not taken (`drain` follows); 0 when it was
   * dropped, because the socket is closed or `backpressureLimit` is reached. `compress` has an effect where compression was agreed on.
   */
  send(message: Sendable, compress = false): number {
    requireMessage("send", message);
    requireCompress("send", compress);
    return isBytes(message)
      ? this.queue(Opcode.Binary, toBytes(message, 0, undefined), compress)
      : this.queue(Opcode.Text, String(message), compress);
  }

  sendText(message: string, compress = false): number {
    requireText("sendText", message);
    requireCompress("sendText", compress);
    return this.queue(Opcode.Text, message, compress);
  }

  sendBinary(message: Exclude<Sendable, string>, compress = false): number {
    requireBytes("sendBinary", message);
    requireCompress("sendBinary", compress);
    return this.queue(Opcode.Binary, toBytes(message, 0, undefined), compress);
  }

  /** `data` is at most 125 bytes. Returns what `send` does. */
  ping(data?: Sendable): number {
    return this.queue(Opcode.Ping, controlData("ping", data), false);
  }

  pong(data?: Sendable): number {
    return this.queue(Opcode.Pong, controlData("pong", data), false);
  }

  /** Sends to all subscribers of the topic, itself excepted unless `publishToSelf`. Returns what Server.publish does. */
  publish(topic: string, message: Sendable, compress = false): number {
    requireTopic("publish", topic);
    requireMessage("publish", message);
    requireCompress("publish", compress);
    return this.broadcast(topic, isBytes(message) ? Opcode.Binary : Opcode.Text, messageBytes(message), compress);
  }

  publishText(topic: string, message: string, compress = false): number {
    requireTopic("publishText", topic);
    requireText("publishText", message);
    requireCompress("publishText", compress);
    return this.broadcast(topic, Opcode.Text, Buffer.from(message), compress);
  }

  publishBinary(topic: string, message: Exclude<Sendable, string>, compress = false): number {
    requireTopic("publishBinary", topic);
    requireBytes("publishBinary", message);
    requireCompress("publishBinary", compress);
    return this.broadcast(topic, Opcode.Binary, toBytes(message, 0, undefined), compress);
  }

  /** What is sent within a turn leaves together anyway. */
  cork<Result>(callback: (this: this, socket: this) => Result): Result {
    if (typeof callback !== "function") throw new TypeError(`cork takes a function, not ${Bun.inspect(callback)}`);
    return callback.call(this, this);
  }

  /** Bytes that wait to be sent, those of this turn among them. */
  getBufferedAmount(): number {
    return this.transport?.queuedBytes ?? 0;
  }

  // ---- topics ----------------------------------------------------------------------------------------------------

  subscribe(topic: string): boolean {
    requireTopic("subscribe", topic);
    if (this.transport === null) return false;
    (this.topics ??= new Set()).add(topic);
    this.hub.topics.add(topic, this);
    return true;
  }

  unsubscribe(topic: string): boolean {
    requireTopic("unsubscribe", topic);
    this.topics?.delete(topic);
    return this.hub.topics.delete(topic, this);
  }

  isSubscribed(topic: string): boolean {
    requireTopic("isSubscribed", topic);
    return this.topics?.has(topic) ?? false;
  }

  get subscriptions(): string[] {
    return [...(this.topics ?? [])];
  }

  // ---- the socket ------------------------------------------------------------------------------------------------

  /**
   * Closes with a Close frame, after what is queued. `code` is 1000 by default; 0, 1005, 1006 and 1015 send none. `reason` is cut to 123
   * bytes. Throws a RangeError for a code that RFC 6455 section 7.4 does not let an endpoint send.
   */
  close(code: number = CloseCode.Normal, reason = ""): void {
    if (typeof code !== "number") throw new TypeError(`code must be a number, not ${Bun.inspect(code)}`);
    const payload = closePayload(code, String(reason ?? ""));
    const { transport } = this;
    if (transport === null) return;
    writeBytes(transport.outbox, Opcode.Close, payload, false);
    this.leave(code, readReason(payload), true);
  }

  /** Closes without a Close frame, after what is queued. */
  terminate(): void {
    if (this.transport !== null) this.leave(CloseCode.Abnormal, "", true);
  }

  /** Stops reading, and the idle timeout with it. Messages that are there already are still delivered. */
  pause(): void {
    if (this.transport === null || this.isPaused) return;
    this.flags |= Flag.Paused;
    this.transport.hold(Hold.Program);
    this.transport.clearTimeout();
  }

  resume(): void {
    if (this.transport === null || !this.isPaused) return;
    this.flags &= ~Flag.Paused;
    this.transport.release(Hold.Program);
    this.awaitTraffic();
  }

  get isPaused(): boolean {
    return this.transport !== null && (this.flags & Flag.Paused) !== 0;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { readyState, remoteAddress, binaryType, subscriptions } = this;
    return `ServerWebSocket ${Bun.inspect({ readyState, remoteAddress, binaryType, subscriptions })}`;
  }

  /** 1 open, 3 closed. */
  get readyState(): 1 | 3 {
    return this.transport === null ? 3 : 1;
  }

  get remoteAddress(): string | undefined {
    return this.transport?.remoteAddress?.address;
  }

  get binaryType(): WebSocketBinaryType {
    return binaryTypes[this.flags & Flag.BinaryType]!;
  }

  set binaryType(type: WebSocketBinaryType) {
    const index = type === ("buffer" as string) ? 0 : binaryTypes.indexOf(type);
    if (index < 0) throw new TypeError(`binaryType must be one of ${binaryTypes.join(", ")}, not ${Bun.inspect(type)}`);
    this.flags = (this.flags & ~Flag.BinaryType) | index;
  }
}

Object.defineProperty(ServerWebSocket.prototype, Symbol.toStringTag, { value: "ServerWebSocket", configurable: true });
