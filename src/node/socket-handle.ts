/**
 * A connection as node:http's Socket knows it: the handle that it shares with Bun's own server (contract.ts). Its names are
 * Bun's.
 */
import type { SocketAddress } from "../transport/address.ts";
import type { HttpSocket } from "./contract.ts";
import type { NodeConnection } from "./connection.ts";
import { callProgram } from "./program-call.ts";
import type { ResponseHandle } from "./response-handle.ts";
import { copyOf } from "./writing.ts";

export class SocketHandle {
  duplex: HttpSocket | undefined = undefined;
  onclose: (() => void) | undefined = undefined;
  ondrain: (() => void) | undefined = undefined;
  ondata: ((chunk: Buffer | undefined, isLast: boolean) => void) | undefined = undefined;
  /** The program is done with it. What was written before still leaves. */
  closed = false;
  closeError: { errno: number; code: string } | undefined = undefined;
  closedWithUnsentData = false;
  secureEstablished = false;
  peerEnded = false;
  finSent = false;
  /** Bytes written, but for those of `response`. */
  bytesWritten = 0;

  private readonly connection: NodeConnection;
  private local: SocketAddress | undefined;
  private remote: SocketAddress | undefined;

  constructor(connection: NodeConnection) {
    this.connection = connection;
  }

  // As Bun's, these give nothing for an object that is no handle: programs reach them.

  /** Whose turn it is to be sent, or who was sent last. */
  get response(): ResponseHandle | undefined {
    return this.connection?.response ?? undefined;
  }

  get remoteAddress(): SocketAddress | undefined {
    return (this.remote ??= this.connection?.transport.remoteAddress);
  }

  get localAddress(): SocketAddress | undefined {
    return (this.local ??= this.connection?.transport.localAddress);
  }

  /** ws must not take the connection natively: it is none of Bun's. It frames over the stream where something waits in it. */
  get hasQueuedTunnelReads(): boolean {
    return this.connection.isTunnel;
  }

  close(): void {
    this.connection.close(false);
  }

  /** Closes with RST: what was written may be lost. */
  reset(): void {
    this.connection.close(true);
  }

  /** Returns false where the peer does not read: `ondrain` follows. */
  write(chunk: string | Uint8Array, encoding?: string): boolean {
    if (this.closed || this.finSent) return true;
    this.bytesWritten += this.connection.write(chunk, encoding);
    return !this.connection.checkBlocked();
  }

  /** Sends FIN after what was written; `closes`: and closes then. */
  end(closes: boolean): void {
    this.connection.end(closes);
  }

  /** Bytes of a tunnel have come. Returns the position behind them. */
  deliver(memory: Buffer, start: number, end: number): number {
    if (this.ondata !== undefined) callProgram(this.ondata, copyOf(memory, start, end), false);
    return end;
  }

  upgradeToTunnel(hasBody: boolean, handle: ResponseHandle): void {
    this.connection.beTunnel(hasBody, handle);
  }

  readStop(): void {
    this.connection.pauseReads();
  }

  readStart(): void {
    this.connection.resumeReads();
  }

  setResponseTrailers(lines: string): void {
    const { response } = this.connection;
    if (response !== null) response.responseTrailers = lines;
  }

  isRequestTimedOut(headersTimeoutMs: number, requestTimeoutMs: number): boolean {
    const { startedMs, isBodyComing, host } = this.connection;
    if (startedMs === 0) return false;
    const elapsedMs = host.reactor.nowMs - startedMs;
    if (requestTimeoutMs > 0 && elapsedMs > requestTimeoutMs) return true;
    return !isBodyComing && headersTimeoutMs > 0 && elapsedMs > headersTimeoutMs;
  }

  startPipelinedResponse(handle: ResponseHandle, _isHttp10: boolean, _closes: boolean): boolean {
    return this.connection.startPipelined(handle);
  }

  /** Nothing that comes is looked at any more. */
  stopParsing(): void {
    this.connection.stopReading();
  }

  closeWhenDrained(): void {
    this.connection.end(true);
  }

  closeIfIdle(): void {
    if (this.connection.isIdle) this.connection.close(false);
  }
}
