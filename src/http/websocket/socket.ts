/**
 * A WebSocket as the handlers of Bun.serve know it, over a connection that was HTTP before.
 *
 * Guarantees: messages arrive and leave whole and in order; what is sent within a turn leaves in one send; what a handler is given is a
 * copy and stays valid; a client that does not read costs no more than `backpressureLimit` and a message; `close` is called once, last; a
 * handler that throws harms nobody else. An idle socket costs this object alone.
 */
import { isUtf8 } from "node:buffer";
import type { Connection, Protocol } from "../../net/connection.ts";
import { ConnectionState } from "../../net/connection-flags.ts";
import { copyFor, toBytes } from "../../net/socket.ts";
import { ADOPTED_BYTES_MIN } from "../../ring/arena.ts";
import type { HttpHost } from "../host.ts";
import { setIdleTimeout } from "../idle-connections.ts";
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
import { closePayload, mayBeReceived, readReason } from "./close-frame.ts";
import { type Agreement, SocketDeflate } from "./deflate.ts";
import { CloseCode, type FrameParser, type FrameSink, type Message, Opcode } from "./frame-parser.ts";
import { writeBytes, writeText } from "./frame-writer.ts";
import type { WebSocketHub } from "./hub.ts";
import type { Broadcast } from "./topics.ts";

/** What can be sent. A Blob must be in memory. */
export type Sendable = string | NodeJS.ArrayBufferView | ArrayBufferLike | Blob;
export type WebSocketBinaryType = "nodebuffer" | "uint8array" | "arraybuffer" | "blob";

const binaryTypes: readonly WebSocketBinaryType[] = ["nodebuffer", "uint8array", "arraybuffer", "blob"];
/** What may wait at any limit: a turn's messages have had no chance to leave. `send` says -1 from there on. */
const BEHIND_BYTES = 262144;
/** What is known of a message that was decompressed. */
const plainMessage = { isText: false, isCompressed: false, isAscii: false, isChecked: false, isOwn: true };
/** How long a client may take nothing of what was queued before the end. */
const CLOSE_TIMEOUT_MS = 10_000;

/** The yes and no of a socket, and its binary type, in one number. */
const Flag = { BinaryType: 0x3, Paused: 0x4, Pinged: 0x8, Sent: 0x10 } as const;

export class ServerWebSocket implements Protocol, FrameSink {
  data: unknown;

  private readonly hub: WebSocketHub;
  /** Null once the socket is closed. */
  private transport: Connection | null;
  private readonly deflate: SocketDeflate | null;
  /** While a frame or a message has begun. */
  private parser: FrameParser | null = null;
  private topics: Set<string> | null = null;
  private flags = 0;

  /** @internal */
  constructor(hub: WebSocketHub, transport: Connection, agreement: Agreement | undefined, data: unknown) {
    this.hub = hub;
    this.transport = transport;
    this.data = data;
    this.deflate = agreement ? new SocketDeflate(agreement) : null;
  }

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
  cork<Result>(callback: (socket: this) => Result): Result {
    if (typeof callback !== "function") throw new TypeError(`cork takes a function, not ${Bun.inspect(callback)}`);
    return callback(this);
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
    writeBytes(transport, Opcode.Close, payload, false);
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
    this.transport.pause();
    this.transport.clearTimeout();
  }

  resume(): void {
    if (this.transport === null || !this.isPaused) return;
    this.flags &= ~Flag.Paused;
    this.transport.resume();
    this.host.reactor.refreshClock();
    this.awaitTraffic();
  }

  get isPaused(): boolean {
    return this.transport !== null && (this.flags & Flag.Paused) !== 0;
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

  // ---- from the server -------------------------------------------------------------------------------------------

  /** @internal */
  get host(): HttpHost {
    return this.hub.host;
  }

  /** @internal The handshake is sent: the connection is this socket's. */
  begin(): void {
    const { hub } = this;
    hub.count++;
    this.transport!.protocol = this;
    this.awaitTraffic();
    try {
      hub.options.open?.(this);
    } catch (error) {
      // As in Bun: a socket whose beginning failed does not go on.
      this.terminate();
      hub.failed(error, this);
    }
  }

  /** @internal One of many that get it. Returns 1, -1 behind others, or 0 when it was dropped. */
  take(broadcast: Broadcast): number {
    const transport = this.openTransport();
    if (transport === null) return 0;
    const { deflate } = this;
    const isCompressed = deflate !== null && broadcast.isCompressed && this.hub.options.deflate?.compresses === true;
    const frame = broadcast.frame(isCompressed ? deflate.sentBits : 0);
    if (isCompressed) deflate.noteSent(broadcast.payload);
    const waiting = transport.queuedBytes;
    if (frame.length >= ADOPTED_BYTES_MIN) transport.writeOwned(frame, false);
    else transport.write(frame);
    return this.afterQueueing(transport, waiting, 1);
  }

  // ---- from the transport ----------------------------------------------------------------------------------------

  /** @internal */
  onData(memory: Buffer, start: number, end: number): void {
    if ((this.flags & Flag.Paused) === 0) this.awaitTraffic();
    const { hub } = this;
    const parser = this.parser ?? hub.takeParser();
    parser.feed(memory, start, end, this);
    if (this.transport !== null && !parser.isIdle) {
      this.parser = parser;
      return;
    }
    this.parser = null;
    hub.giveParser(parser);
  }

  /** @internal The client sends no more, and did not close. */
  onEnd(): void {
    this.leave(CloseCode.Abnormal, "", false);
  }

  /** @internal */
  onDrain(): void {
    this.call(this.hub.options.drain);
  }

  /** @internal */
  onTimeout(): void {
    const transport = this.transport!;
    const { answerMs } = this.hub.options;
    const isPinged = (this.flags & Flag.Pinged) !== 0;
    // What was sent is traffic while the client takes it. A ping that the kernel took says nothing.
    const progress = transport.takeProgress();
    const isUsed = transport.queuedBytes > 0 ? progress : !isPinged && (this.flags & Flag.Sent) !== 0;
    if (isUsed) return this.awaitTraffic();
    if (answerMs > 0 && !isPinged) {
      this.flags |= Flag.Pinged;
      writeText(transport, Opcode.Ping, "", 0);
      return transport.setTimeout(answerMs);
    }
    this.transport!.destroy();
    this.end(CloseCode.Abnormal, "WebSocket timed out from inactivity");
  }

  /** @internal */
  onClose(): void {
    this.host.closed();
    this.end(CloseCode.Abnormal, "");
  }

  // ---- from the parser -------------------------------------------------------------------------------------------

  /** @internal */
  get isOpen(): boolean {
    return this.transport !== null;
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
    if (!message.isCompressed) return this.deliver(message, memory, start, end);
    let plain: Buffer;
    try {
      plain = this.deflate!.decompress(memory.subarray(start, end), this.messageBytesMax);
    } catch (error) {
      if (error instanceof RangeError) return this.onViolation(CloseCode.TooBig, "Received too big message");
      return this.onViolation(CloseCode.Data, "Received invalid compressed data");
    }
    this.deliver({ ...plainMessage, isText: message.isText }, plain, 0, plain.length);
  }

  /** @internal */
  onControl(opcode: number, memory: Buffer, start: number, end: number): void {
    const { options } = this.hub;
    if (opcode === Opcode.Close) return this.onCloseFrame(memory, start, end);
    if (opcode === Opcode.Ping) this.queue(Opcode.Pong, memory.subarray(start, end), false);
    const handler = opcode === Opcode.Ping ? options.ping : options.pong;
    if (handler !== undefined && this.isOpen) this.call(handler, this.copy(memory, start, end));
  }

  /** @internal */
  onViolation(code: number, reason: string): void {
    writeBytes(this.transport!, Opcode.Close, closePayload(code, reason), false);
    this.leave(CloseCode.Abnormal, reason, true);
  }

  /** Answers the client's Close with the same (section 5.5.1), and ends the connection first (section 7.1.1). */
  private onCloseFrame(memory: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length === 1) return this.onViolation(CloseCode.Protocol, "Received invalid close payload");
    const code = length === 0 ? CloseCode.NoStatus : memory.readUInt16BE(start);
    if (length > 0 && !mayBeReceived(code)) return this.onViolation(CloseCode.Protocol, "Received invalid close code");
    if (!isUtf8(memory.subarray(Math.min(start + 2, end), end)))
      return this.onViolation(CloseCode.Data, "Received invalid UTF-8");
    const payload = memory.subarray(start, end);
    writeBytes(this.transport!, Opcode.Close, payload, false);
    // One that goes on sending against section 5.5.1 must not lose the answer to a reset.
    this.leave(code, readReason(payload), true);
  }

  private deliver(message: Message, memory: Buffer, start: number, end: number): void {
    const { message: handler } = this.hub.options;
    if (!message.isText) {
      if (handler === undefined) return;
      const keeps = message.isOwn && this.binaryType === "nodebuffer";
      return this.call(handler, keeps ? memory.subarray(start, end) : this.copy(memory, start, end));
    }
    if (!message.isAscii && !message.isChecked && !isUtf8(memory.subarray(start, end)))
      return this.onViolation(CloseCode.Data, "Received invalid UTF-8");
    if (handler === undefined) return;
    this.call(handler, message.isAscii ? memory.latin1Slice(start, end) : memory.utf8Slice(start, end));
  }

  private copy(memory: Buffer, start: number, end: number): unknown {
    const { binaryType } = this;
    if (binaryType === "nodebuffer") return copyFor("buffer", memory, start, end);
    if (binaryType === "blob") return new Blob([memory.subarray(start, end)]);
    return copyFor(binaryType, memory, start, end);
  }

  // ---- the rest --------------------------------------------------------------------------------------------------

  /** The connection if something can be queued on it. One whose client is too far behind is ended, if the program wants that. */
  private openTransport(): Connection | null {
    const { transport } = this;
    if (transport === null || transport.state >= ConnectionState.Closing) return null;
    const { backpressureLimit, closeOnBackpressureLimit } = this.hub.options;
    if (backpressureLimit === 0 || transport.queuedBytes <= Math.max(backpressureLimit, BEHIND_BYTES)) return transport;
    if (closeOnBackpressureLimit) transport.destroy();
    return null;
  }

  private queue(opcode: number, payload: string | Uint8Array, compress: boolean): number {
    const transport = this.openTransport();
    if (transport === null) return 0;
    const waiting = transport.queuedBytes;
    const length = typeof payload === "string" ? Buffer.byteLength(payload) : payload.length;
    const { deflate } = this;
    if (compress && length > 0 && deflate !== null && this.hub.options.deflate?.compresses === true) {
      const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
      writeBytes(transport, opcode, deflate.compress(bytes), true);
    } else if (typeof payload === "string") writeText(transport, opcode, payload, length);
    else writeBytes(transport, opcode, payload, false);
    return this.afterQueueing(transport, waiting, length);
  }

  private afterQueueing(transport: Connection, waiting: number, sent: number): number {
    this.flags |= Flag.Sent;
    if (waiting <= BEHIND_BYTES) return sent;
    transport.requestDrain();
    return -1;
  }

  private broadcast(topic: string, opcode: number, payload: Uint8Array, compress: boolean): number {
    if (this.transport === null) return 0;
    const { topics, options } = this.hub;
    return topics.publish(topic, opcode, payload, compress, options.publishToSelf ? undefined : this);
  }

  private awaitTraffic(): void {
    this.flags &= ~(Flag.Pinged | Flag.Sent);
    setIdleTimeout(this.transport!, this.hub.options.quietMs);
  }

  /** Lets go of the connection, which is closed after what is queued. `peerSends`: the client may be sending still. */
  private leave(code: number, reason: string, peerSends: boolean): void {
    const transport = this.transport!;
    this.host.idle.finish(transport, peerSends);
    this.host.reactor.refreshClock(); // A program may close it at any time.
    setIdleTimeout(transport, CLOSE_TIMEOUT_MS);
    this.end(code, reason);
  }

  private end(code: number, reason: string): void {
    if (this.transport === null) return;
    const { hub } = this;
    this.transport = null;
    this.parser = null;
    for (const topic of this.topics ?? []) hub.topics.delete(topic, this);
    this.topics = null;
    this.call(hub.options.close, code, reason);
    hub.count--;
  }

  private call<Argument extends unknown[]>(
    handler: ((socket: this, ...rest: Argument) => unknown) | undefined,
    ...rest: Argument
  ): void {
    try {
      handler?.(this, ...rest);
    } catch (error) {
      this.hub.failed(error, this);
    }
  }
}

Object.defineProperty(ServerWebSocket.prototype, Symbol.toStringTag, { value: "ServerWebSocket", configurable: true });
