/**
 * A WebSocket of a server. Its public members are those of Bun's ServerWebSocket, and check their
 * arguments. The others are for its server, its transport and its parser.
 *
 * The work is done by functions in sending.ts, receiving.ts, keep-alive.ts, ending.ts and calls.ts.
 * They are no objects beside the socket, because there are many sockets, and each object costs.
 *
 * Guarantees: messages arrive and leave whole and in order. On a closed socket, methods do nothing
 * and return that. An idle socket costs this object alone.
 */
import { invalidOption, requireFunction, requireNumber } from "../../sys/check.ts";
import { assert } from "../../sys/assert.ts";
import type { ServeHost } from "../serve/serve-host.ts";
import { Hold, type Consumer, type Transport } from "../../transport/transport.ts";
import { closePayload, readReason } from "../../websocket/close-frame.ts";
import { type Agreement, SocketDeflate } from "../../websocket/deflate.ts";
import { CloseCode, type FrameParser, type Message, Opcode } from "../../websocket/frame-parser.ts";
import { toBytes } from "../sockets/socket-data.ts";
import {
  controlData,
  isBytes,
  messageBytes,
  requireBytesMessage,
  requireCompress,
  requireMessage,
  requireTextMessage,
  requireTopic,
} from "./arguments.ts";
import * as calls from "./calls.ts";
import * as ending from "./ending.ts";
import type { WebSocketHub } from "./hub.ts";
import * as keepAlive from "./keep-alive.ts";
import type { WebSocketOptions } from "./options.ts";
import * as receiving from "./receiving.ts";
import * as sending from "./sending.ts";
import { BINARY_TYPE, binaryTypes, Flag, isOpen, SocketState, transportOf } from "./socket-state.ts";
import type { Broadcast } from "./topics.ts";

/** A message to send. A Blob must be in memory. */
export type Sendable = string | NodeJS.ArrayBufferView | ArrayBufferLike | Blob;
export type WebSocketBinaryType = (typeof binaryTypes)[number];

export class ServerWebSocket implements Consumer, receiving.Receiving, sending.Sending {
  data: unknown;

  /** @internal */
  readonly hub: WebSocketHub;
  /** @internal The transport; null unless the socket is open. */
  transport: Transport | null;
  /** @internal The compression; null if none was agreed on with the client. */
  readonly deflate: SocketDeflate | null;
  /** @internal The parser of a frame or message that is not complete; null for none. */
  parser: FrameParser | null = null;
  /** @internal The topics that the socket has subscribed to; null for none. */
  topics: Set<string> | null = null;
  /** @internal The state and the flags: see socket-state.ts. */
  bits: number = SocketState.Open;

  /** @internal */
  constructor(hub: WebSocketHub, transport: Transport, agreement: Agreement | undefined, data: unknown) {
    this.hub = hub;
    this.transport = transport;
    this.data = data;
    this.deflate = agreement ? new SocketDeflate(agreement) : null;
  }

  // ---- sending ----------------------------------------------------------------------------------

  /**
   * Queues a message. Returns its bytes, or -1 if the client is behind (`drain` follows), or 0 if
   * the message was dropped: the socket is closed, or `backpressureLimit` is reached. `compress`
   * has an effect if compression was agreed on with the client.
   */
  send(message: Sendable, compress = false): number {
    requireMessage("send", message);
    requireCompress("send", compress);
    return isBytes(message)
      ? sending.queue(this, Opcode.Binary, toBytes(message, 0, undefined), compress)
      : sending.queue(this, Opcode.Text, String(message), compress);
  }

  sendText(message: string, compress = false): number {
    requireTextMessage("sendText", message);
    requireCompress("sendText", compress);
    return sending.queue(this, Opcode.Text, message, compress);
  }

  sendBinary(message: Exclude<Sendable, string>, compress = false): number {
    requireBytesMessage("sendBinary", message);
    requireCompress("sendBinary", compress);
    return sending.queue(this, Opcode.Binary, toBytes(message, 0, undefined), compress);
  }

  /** Sends a ping with at most 125 bytes of data. Returns what `send` returns. */
  ping(data?: Sendable): number {
    return sending.queue(this, Opcode.Ping, controlData("ping", data), false);
  }

  pong(data?: Sendable): number {
    return sending.queue(this, Opcode.Pong, controlData("pong", data), false);
  }

  /**
   * Sends a message to all subscribers of the topic; to this socket only with `publishToSelf`.
   * Returns what Server.publish returns.
   */
  publish(topic: string, message: Sendable, compress = false): number {
    requireTopic("publish", topic);
    requireMessage("publish", message);
    requireCompress("publish", compress);
    return this.publishTo(topic, isBytes(message) ? Opcode.Binary : Opcode.Text, messageBytes(message), compress);
  }

  publishText(topic: string, message: string, compress = false): number {
    requireTopic("publishText", topic);
    requireTextMessage("publishText", message);
    requireCompress("publishText", compress);
    return this.publishTo(topic, Opcode.Text, Buffer.from(message), compress);
  }

  publishBinary(topic: string, message: Exclude<Sendable, string>, compress = false): number {
    requireTopic("publishBinary", topic);
    requireBytesMessage("publishBinary", message);
    requireCompress("publishBinary", compress);
    return this.publishTo(topic, Opcode.Binary, toBytes(message, 0, undefined), compress);
  }

  /** Calls the function. Without `cork` too, messages of one turn leave together. */
  cork<Result>(callback: (this: this, socket: this) => Result): Result {
    requireFunction("callback", callback);
    return callback.call(this, this);
  }

  /**
   * Returns the bytes that wait to be sent, including those of this turn. If it is more than 0,
   * `drain` follows: programs stop sending by this number, as well as by the result of `send`.
   */
  getBufferedAmount(): number {
    const bytes = this.transport?.queuedBytes ?? 0;
    if (bytes > 0 && isOpen(this)) this.transport!.requestDrain();
    return bytes;
  }

  // ---- topics -----------------------------------------------------------------------------------

  subscribe(topic: string): boolean {
    requireTopic("subscribe", topic);
    if (!isOpen(this)) return false;
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

  // ---- the socket -------------------------------------------------------------------------------

  /**
   * Closes the socket after the queued messages, with a Close frame. Default code: 1000. With 0,
   * 1005, 1006 or 1015 the frame has no code. `reason` is cut to 123 bytes. Throws a RangeError for
   * a code that an endpoint must not send (RFC 6455 section 7.4).
   */
  close(code: number = CloseCode.Normal, reason = ""): void {
    requireNumber("code", code);
    const payload = closePayload(code, String(reason ?? ""));
    if (!isOpen(this)) return;
    ending.queueClose(this, payload);
    ending.leave(this, code, readReason(payload), true);
  }

  /** Closes the socket after the queued messages, without a Close frame. */
  terminate(): void {
    if (isOpen(this)) ending.leave(this, CloseCode.Abnormal, "", true);
  }

  /** Stops receiving, and the idle timeout. Messages that have arrived already are delivered. */
  pause(): void {
    if (!isOpen(this) || this.isPaused) return;
    this.bits |= Flag.Paused;
    const transport = transportOf(this);
    transport.hold(Hold.Program);
    transport.clearTimeout();
  }

  resume(): void {
    if (!this.isPaused) return;
    this.bits &= ~Flag.Paused;
    transportOf(this).release(Hold.Program);
    keepAlive.awaitTraffic(this);
  }

  get isPaused(): boolean {
    return isOpen(this) && (this.bits & Flag.Paused) !== 0;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { readyState, remoteAddress, binaryType, subscriptions } = this;
    return `ServerWebSocket ${Bun.inspect({ readyState, remoteAddress, binaryType, subscriptions })}`;
  }

  /** 1: open; 3: closed. */
  get readyState(): 1 | 3 {
    return isOpen(this) ? 1 : 3;
  }

  get remoteAddress(): string | undefined {
    return this.transport?.remoteAddress?.address;
  }

  get binaryType(): WebSocketBinaryType {
    return binaryTypes[this.bits & BINARY_TYPE]!;
  }

  set binaryType(type: WebSocketBinaryType) {
    const index = type === ("buffer" as string) ? 0 : binaryTypes.indexOf(type);
    if (index < 0) throw invalidOption("binaryType", "string", `one of ${binaryTypes.join(", ")}`, type);
    this.bits = (this.bits & ~BINARY_TYPE) | index;
  }

  private publishTo(topic: string, opcode: number, payload: Uint8Array, compress: boolean): number {
    const { topics, options } = this.hub;
    return topics.publish(topic, opcode, payload, compress, options.publishToSelf ? undefined : this);
  }

  // ---- from the server and its topics -----------------------------------------------------------

  /** @internal */
  get host(): ServeHost {
    return this.hub.host;
  }

  /** @internal Becomes the consumer of the transport, after the handshake was queued. */
  begin(): void {
    this.hub.count++;
    this.hub.traffic.upgrades++;
    this.hub.traffic.answers1xx++;
    transportOf(this).setConsumer(this);
    keepAlive.awaitTraffic(this);
    calls.open(this, this.hub.options.open);
  }

  /** @internal */
  take(broadcast: Broadcast): number {
    return sending.queueShared(this, broadcast);
  }

  // ---- from the transport -----------------------------------------------------------------------

  /** @internal */
  get connectionKind(): "websocket" {
    return "websocket";
  }

  /** @internal */
  get isReentrant(): boolean {
    return false;
  }

  /** @internal */
  get backlogBytesMax(): number {
    return Infinity;
  }

  /** @internal */
  consume(memory: Buffer, start: number, end: number): number {
    receiving.received(this, memory, start, end);
    return end;
  }

  /** @internal Ends the socket, because the client sends no more and has sent no Close frame. */
  onEnd(): void {
    ending.leave(this, CloseCode.Abnormal, "", false);
  }

  /** @internal */
  onDrain(): void {
    assert(isOpen(this), "a WebSocket hears of room while it is open");
    calls.call(this, this.hub.options.drain);
  }

  /** @internal */
  onTimeout(): void {
    keepAlive.timedOut(this);
  }

  /** @internal */
  onClose(): void {
    ending.transportClosed(this);
  }

  // ---- from the parser --------------------------------------------------------------------------

  /** @internal */
  get isOpen(): boolean {
    return isOpen(this) && !this.transport!.isGone;
  }

  /** @internal */
  get messageBytesMax(): number {
    return this.hub.options.messageBytesMax;
  }

  /** @internal */
  get inflates(): boolean {
    return this.deflate !== null;
  }

  /** @internal */
  onMessage(message: Message, memory: Buffer, start: number, end: number): void {
    receiving.onMessage(this, message, memory, start, end);
  }

  /** @internal */
  onControl(opcode: number, memory: Buffer, start: number, end: number): void {
    receiving.onControl(this, opcode, memory, start, end);
  }

  /** @internal */
  onViolation(code: number, reason: string): void {
    receiving.violated(this, code, reason);
  }

  // ---- the handlers -----------------------------------------------------------------------------

  /** @internal */
  give(handler: NonNullable<WebSocketOptions["message"]>, received: unknown): void {
    calls.give(this, handler, received);
  }

  /** @internal */
  callClose(handler: WebSocketOptions["close"], code: number, reason: string): void {
    calls.call(this, handler, code, reason);
  }
}

Object.defineProperty(ServerWebSocket.prototype, Symbol.toStringTag, { value: "ServerWebSocket", configurable: true });
