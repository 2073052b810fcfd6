/**
 * The handle of node:http's Socket, in place of the one of Bun's own server (contract.ts). Its
 * names are Bun's.
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
  /** Whether the connection is closed for the program. Queued bytes may still be sent. */
  closed = false;
  closeError: { errno: number; code: string } | undefined = undefined;
  closedWithUnsentData = false;
  secureEstablished = false;
  peerEnded = false;
  finSent = false;
  /** Bytes written, without the bytes of `response`. */
  bytesWritten = 0;

  private readonly connection: NodeConnection;
  private local: SocketAddress | undefined;
  private remote: SocketAddress | undefined;

  constructor(connection: NodeConnection) {
    this.connection = connection;
  }

  // Programs can reach these getters. As Bun's do, they return undefined for a `this` that is not a
  // handle.

  /** The response that is being sent, or the last one. */
  get response(): ResponseHandle | undefined {
    return this.connection?.response ?? undefined;
  }

  get remoteAddress(): SocketAddress | undefined {
    return (this.remote ??= this.connection?.transport.remoteAddress);
  }

  get localAddress(): SocketAddress | undefined {
    return (this.local ??= this.connection?.transport.localAddress);
  }

  /**
   * Whether bytes of a tunnel wait in the stream. True for every tunnel: then ws frames over the
   * stream. It must not take the connection natively, because the connection is not one of Bun's.
   */
  get hasQueuedTunnelReads(): boolean {
    return this.connection.isTunnel;
  }

  close(): void {
    this.connection.close(false);
  }

  /** Closes with RST. Queued bytes may be lost. */
  reset(): void {
    this.connection.close(true);
  }

  /** Queues a chunk. Returns false if the peer does not read; `ondrain` follows then. */
  write(chunk: string | Uint8Array, encoding?: string): boolean {
    if (this.closed || this.finSent) return true;
    this.bytesWritten += this.connection.write(chunk, encoding);
    return !this.connection.checkBlocked();
  }

  /** Sends FIN after the queued bytes. If `closes` is true, closes the connection then. */
  end(closes: boolean): void {
    this.connection.end(closes);
  }

  /** Passes received bytes of a tunnel to the program. Returns the position after them. */
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

  /**
   * Whether the arriving request takes too long. Answers true only once for each request: node:http
   * emits 'clientError' each time, and the program may let the client go on.
   */
  isRequestTimedOut(headersTimeoutMs: number, requestTimeoutMs: number): boolean {
    const { connection } = this;
    const { startedMs, isBodyComing, host } = connection;
    if (startedMs === 0) return false;
    const elapsedMs = host.reactor.nowMs - startedMs;
    const isLate =
      (requestTimeoutMs > 0 && elapsedMs > requestTimeoutMs) ||
      (!isBodyComing && headersTimeoutMs > 0 && elapsedMs > headersTimeoutMs);
    if (isLate) connection.startedMs = Infinity;
    return isLate;
  }

  startPipelinedResponse(handle: ResponseHandle, _isHttp10: boolean, _closes: boolean): boolean {
    return this.connection.startPipelined(handle);
  }

  /** Drops all bytes that arrive from now on. */
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
