/**
 * The part of a WebSocket that faces the connection: what arrives, what is queued, and how it ends. The members that programs know are
 * in socket.ts.
 *
 * Guarantees: messages arrive and leave whole and in order; what a handler is given is a copy and stays valid; a client that does not read
 * costs no more than `backpressureLimit` and a message; `close` is called once, last; a handler that throws harms nobody else; each runs
 * in the async context in which it was handed over. An idle socket costs this object alone.
 */
import { isUtf8 } from "node:buffer";
import type { Consumer, Transport } from "../../transport/transport.ts";
import { copyFor } from "../sockets/socket-data.ts";
import { currentContext, outside } from "../../sys/async-context.ts";
import { enterProgram, leaveProgram, runJobs } from "../../sys/program.ts";
import type { ServeHost } from "../serve/serve-host.ts";
import { setIdleTimeout } from "../../http/idle-timeout.ts";
import { closePayload, mayBeReceived, readReason } from "../../websocket/close-frame.ts";
import { type Agreement, SocketDeflate } from "../../websocket/deflate.ts";
import { CloseCode, type FrameParser, type FrameSink, type Message, Opcode } from "../../websocket/frame-parser.ts";
import { writeBytes, writeText } from "../../websocket/frame-writer.ts";
import type { WebSocketHub } from "./hub.ts";
import type { ServerWebSocket } from "./socket.ts";
import type { Broadcast } from "./topics.ts";

export const binaryTypes = ["nodebuffer", "uint8array", "arraybuffer", "blob"] as const;

/** What may wait at any limit: a turn's messages have had no chance to leave. `send` says -1 from there on. */
const BEHIND_BYTES = 262144;
/** What is known of a message that was decompressed. */
const plainBinary: Message = { isText: false, isCompressed: false, isAscii: false, isChecked: false, isOwn: false };
const ownBinary: Message = { ...plainBinary, isOwn: true };
const plainText: Message = { ...plainBinary, isText: true };
/** How long a client may take nothing of what was queued before the end. */
const CLOSE_TIMEOUT_MS = 10_000;

/** The yes and no of a socket, and its binary type as an index, in one number. */
export const Flag = { BinaryType: 0x3, Paused: 0x4, Pinged: 0x8, Sent: 0x10 } as const;

type Handler = (socket: ServerWebSocket, ...rest: any[]) => unknown;

export abstract class WebSocketConnection implements Consumer, FrameSink {
  data: unknown;

  protected readonly hub: WebSocketHub;
  /** Null once the socket is closed. */
  protected transport: Transport | null;
  private readonly deflate: SocketDeflate | null;
  /** While a frame or a message has begun. */
  private parser: FrameParser | null = null;
  protected topics: Set<string> | null = null;
  protected flags = 0;

  /** @internal */
  constructor(hub: WebSocketHub, transport: Transport, agreement: Agreement | undefined, data: unknown) {
    this.hub = hub;
    this.transport = transport;
    this.data = data;
    this.deflate = agreement ? new SocketDeflate(agreement) : null;
  }

  /** This, as programs know it. */
  private get self(): ServerWebSocket {
    return this as unknown as ServerWebSocket;
  }

  // ---- from the server -------------------------------------------------------------------------------------------

  /** @internal */
  get host(): ServeHost {
    return this.hub.host;
  }

  /** @internal The handshake is sent: the connection is this socket's. */
  begin(): void {
    const { hub } = this;
    hub.count++;
    this.transport!.setConsumer(this);
    this.awaitTraffic();
    const { open } = hub.options;
    if (open === undefined) return;
    currentContext()(WebSocketConnection.open, this, open);
    runJobs();
  }

  private static open(socket: WebSocketConnection, handler: Handler): void {
    enterProgram();
    try {
      handler(socket.self);
    } catch (error) {
      // As in Bun: a socket whose beginning failed does not go on.
      if (socket.transport !== null) socket.leave(CloseCode.Abnormal, "", true);
      socket.hub.failed(error, socket.self);
    } finally {
      leaveProgram();
    }
  }

  /** @internal One of many that get it. Returns 1, -1 behind others, or 0 when it was dropped. */
  take(broadcast: Broadcast): number {
    const transport = this.openTransport();
    if (transport === null) return 0;
    const { deflate } = this;
    const isCompressed = deflate !== null && broadcast.isCompressed && this.hub.options.deflate?.compresses === true;
    const frame = broadcast.frame(isCompressed ? deflate.sentBits : 0);
    if (isCompressed) deflate.noteShared(broadcast.context);
    const waiting = transport.queuedBytes;
    transport.outbox.writeShared(frame);
    return this.afterQueueing(transport, waiting, 1);
  }

  // ---- from the transport ----------------------------------------------------------------------------------------

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
    if ((this.flags & Flag.Paused) === 0) this.awaitTraffic();
    const { hub } = this;
    const parser = this.parser ?? hub.takeParser();
    parser.feed(memory, start, end, this);
    if (this.transport !== null && !parser.isIdle) {
      this.parser = parser;
      return end;
    }
    this.parser = null;
    hub.giveParser(parser);
    return end;
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
      writeText(transport.outbox, Opcode.Ping, "", 0);
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
    return this.transport !== null && !this.transport.isGone;
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
    const deflate = this.deflate!;
    let plain: Buffer;
    try {
      plain = deflate.decompress(memory.subarray(start, end), this.messageBytesMax);
    } catch (error) {
      if (error instanceof RangeError) return this.onViolation(CloseCode.TooBig, "Received too big message");
      return this.onViolation(CloseCode.Data, "Received invalid compressed data");
    }
    this.deliver(message.isText ? plainText : deflate.isOwn ? ownBinary : plainBinary, plain, 0, plain.length);
  }

  /** @internal */
  onControl(opcode: number, memory: Buffer, start: number, end: number): void {
    const { options } = this.hub;
    if (opcode === Opcode.Close) return this.onCloseFrame(memory, start, end);
    if (opcode === Opcode.Ping) this.queue(Opcode.Pong, memory.subarray(start, end), false);
    const handler = opcode === Opcode.Ping ? options.ping : options.pong;
    if (handler !== undefined && this.isOpen) this.give(handler, this.copy(memory, start, end));
  }

  /** @internal */
  onViolation(code: number, reason: string): void {
    writeBytes(this.transport!.outbox, Opcode.Close, closePayload(code, reason), false);
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
    writeBytes(this.transport!.outbox, Opcode.Close, payload, false);
    // One that goes on sending against section 5.5.1 must not lose the answer to a reset.
    this.leave(code, readReason(payload), true);
  }

  private deliver(message: Message, memory: Buffer, start: number, end: number): void {
    const { message: handler } = this.hub.options;
    if (!message.isText) {
      if (handler === undefined) return;
      const keeps = message.isOwn && (this.flags & Flag.BinaryType) === 0;
      const bytes = keeps ? memory.subarray(start, end) : this.copy(memory, start, end);
      return this.give(handler, bytes);
    }
    if (!message.isAscii && !message.isChecked && !isUtf8(memory.subarray(start, end)))
      return this.onViolation(CloseCode.Data, "Received invalid UTF-8");
    if (handler === undefined) return;
    const text = message.isAscii ? memory.latin1Slice(start, end) : memory.utf8Slice(start, end);
    this.give(handler, text);
  }

  private copy(memory: Buffer, start: number, end: number): unknown {
    const binaryType = binaryTypes[this.flags & Flag.BinaryType]!;
    if (binaryType === "nodebuffer") return copyFor("buffer", memory, start, end);
    if (binaryType === "blob") return new Blob([memory.subarray(start, end)]);
    return copyFor(binaryType, memory, start, end);
  }

  // ---- the rest --------------------------------------------------------------------------------------------------

  /** The connection if something can be queued on it. One whose client is too far behind is ended, if the program wants that. */
  private openTransport(): Transport | null {
    const { transport } = this;
    if (transport === null || transport.isGone) return null;
    if (!this.isBeyondLimit(transport)) return transport;
    if (this.hub.options.closeOnBackpressureLimit) transport.destroy();
    return null;
  }

  protected queue(opcode: number, payload: string | Uint8Array, compress: boolean): number {
    const transport = this.openTransport();
    if (transport === null) return 0;
    const waiting = transport.queuedBytes;
    const length = typeof payload === "string" ? Buffer.byteLength(payload) : payload.length;
    const { deflate } = this;
    if (compress && length > 0 && deflate !== null && this.hub.options.deflate?.compresses === true) {
      const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
      writeBytes(transport.outbox, opcode, deflate.compress(bytes), true);
    } else if (typeof payload === "string") writeText(transport.outbox, opcode, payload, length);
    else writeBytes(transport.outbox, opcode, payload, false);
    return this.afterQueueing(transport, waiting, length);
  }

  /** -1 tells the program to wait for `drain`. It comes before the message that would be dropped, however large the last one was. */
  private afterQueueing(transport: Transport, waiting: number, sent: number): number {
    this.flags |= Flag.Sent;
    transport.outbox.hasten();
    if (waiting <= BEHIND_BYTES && !this.isBeyondLimit(transport)) return sent;
    transport.requestDrain();
    return -1;
  }

  private isBeyondLimit(transport: Transport): boolean {
    const { backpressureLimit } = this.hub.options;
    return backpressureLimit !== 0 && transport.queuedBytes > Math.max(backpressureLimit, BEHIND_BYTES);
  }

  protected broadcast(topic: string, opcode: number, payload: Uint8Array, compress: boolean): number {
    const { topics, options } = this.hub;
    return topics.publish(topic, opcode, payload, compress, options.publishToSelf ? undefined : this.self);
  }

  protected awaitTraffic(): void {
    this.flags &= ~(Flag.Pinged | Flag.Sent);
    setIdleTimeout(this.transport!, this.hub.options.quietMs);
  }

  /** Lets go of the connection, which is closed after what is queued. `peerSends`: the client may be sending still. */
  protected leave(code: number, reason: string, peerSends: boolean): void {
    const transport = this.transport!;
    this.host.idle.finish(transport, peerSends);
    setIdleTimeout(transport, CLOSE_TIMEOUT_MS);
    this.end(code, reason);
  }

  private end(code: number, reason: string): void {
    if (this.transport === null) return;
    const { hub } = this;
    this.transport = null;
    this.parser = null;
    for (const topic of this.topics ?? []) hub.topics.delete(topic, this.self);
    this.topics = null;
    this.call(hub.options.close, code, reason);
    hub.count--;
  }

  /** What the client has sent: the event loop calls. */
  private give(handler: Handler, received: unknown): void {
    outside(WebSocketConnection.giveTo, this, handler, received);
    runJobs();
  }

  private static giveTo(socket: WebSocketConnection, handler: Handler, received: unknown): void {
    enterProgram();
    try {
      handler(socket.self, received);
    } catch (error) {
      socket.hub.failed(error, socket.self);
    } finally {
      leaveProgram();
    }
  }

  /** What else happens, perhaps by a call of the program. */
  private call<Argument extends unknown[]>(
    handler: ((socket: ServerWebSocket, ...rest: Argument) => unknown) | undefined,
    ...rest: Argument
  ): void {
    if (handler === undefined) return;
    currentContext()(WebSocketConnection.run, this, handler as Handler, rest);
    runJobs();
  }

  private static run(socket: WebSocketConnection, handler: Handler, rest: unknown[]): void {
    enterProgram();
    try {
      handler(socket.self, ...rest);
    } catch (error) {
      socket.hub.failed(error, socket.self);
    } finally {
      leaveProgram();
    }
  }
}
