/**
 * Sends a body that is produced step by step: a stream, an async iterable, or a stream of
 * `type: "direct"`.
 *
 * Guarantees: the pieces leave in their order, and no faster than the client reads them. The body
 * is cancelled when the client is gone.
 *
 * A body that ends before the jobs of its handler are done has a Content-Length, as in Bun. Every
 * other body is sent in chunks, or in HTTP/1.0 up to the end of the connection. A length that the
 * program gave is ignored: a wrong length would split responses.
 *
 * The head of a body that produces nothing yet leaves at the end of the turn. A body that fails
 * ends the connection, even if nothing of it was sent.
 */
import type { Flushable } from "../../reactor/flush-queue.ts";
import { outside } from "../../sys/async-context.ts";
import type { BodySender, BodyTarget } from "../../http/body-sender.ts";
import { pumpOf } from "./body-pumps.ts";
import { framingLines } from "../../http/head.ts";
import type { ResponsePlan, StreamBody } from "./response.ts";

/** Produces the pieces of a body. */
export interface BodyPump {
  /** Starts to write. At the end of the body, calls `end` or `fail` of the sender. */
  start(): void;
  /** Stops, because the client is gone. */
  cancel(reason: unknown): void;
}

const State = {
  /**
   * The first jobs are not done. The head waits for them, together with the pieces that they write.
   */
  Held: 0,
  Open: 1,
  Ended: 2,
} as const;

/** Largest number of bytes that wait until it is known whether the body ends at once. */
const HELD_BYTES_MAX = 65536;

export class StreamSender implements BodySender, Flushable {
  readonly isFinite = false;

  private readonly target: BodyTarget;
  private readonly plan: ResponsePlan;
  private readonly body: StreamBody;
  private readonly pump: BodyPump;
  private state: (typeof State)[keyof typeof State] = State.Held;
  private held: (string | Uint8Array)[] = [];
  /** Bytes of the body that were written so far. */
  bytes = 0;
  private aborted = false;
  private drain: PromiseWithResolvers<void> | null = null;

  /** Throws an Error for a stream that has a reader already. */
  constructor(target: BodyTarget, plan: ResponsePlan, body: StreamBody) {
    this.target = target;
    this.plan = plan;
    this.body = body;
    this.pump = pumpOf(body, this);
  }

  start(): void {
    this.target.host.reactor.scheduleFlush(this);
    this.pump.start();
  }

  /** Called before the turn submits: the jobs that the start of the body caused are done. */
  flush(): void {
    if (this.state === State.Held) this.open();
  }

  drained(): void {
    this.drain?.resolve();
    this.drain = null;
  }

  abort(): void {
    this.aborted = true;
    if (this.state === State.Ended) return;
    this.state = State.Ended;
    this.held = [];
    this.pump.cancel(new DOMException("The connection was closed.", "AbortError"));
    this.drained();
  }

  // ---- for the pump -----------------------------------------------------------------------------

  /** Whether nothing more can be written: the body has ended, or the client is gone. */
  get ended(): boolean {
    return this.state === State.Ended;
  }

  /** Whether the client is gone. */
  get left(): boolean {
    return this.aborted;
  }

  /** Whether the client is behind: its socket accepts no more, or too many bytes wait for it. */
  get isFull(): boolean {
    const { transport, host } = this.target;
    const { queuedBytes } = transport;
    if (this.state !== State.Open || queuedBytes === 0) return false;
    return transport.outbox.isRefused || queuedBytes >= host.limits.writeQueueBytesMax;
  }

  /** Resolves when everything has left, or when the client is gone. */
  whenDrained(): Promise<void> {
    if (this.state === State.Ended) return Promise.resolve();
    this.target.transport.requestDrain();
    return (this.drain ??= Promise.withResolvers<void>()).promise;
  }

  /** Writes a copy of a piece. Returns its number of bytes. */
  write(chunk: string | Uint8Array): number {
    const bytes = sizeOf(chunk);
    if (bytes === 0) return 0;
    this.bytes += bytes;
    if (this.state === State.Held && this.bytes > HELD_BYTES_MAX) this.open();
    if (this.state === State.Held) this.held.push(typeof chunk === "string" ? chunk : copyOf(chunk, bytes));
    else this.writeChunk(chunk, bytes);
    return bytes;
  }

  /** Ends the body, from inside of a function of the program. */
  end(): void {
    if (this.state === State.Ended) return;
    this.writeEnd();
    // A job of its own, because the next request must not run inside of the program's function that
    // ends this body.
    outside(queueMicrotask, () => this.tellSent());
  }

  /** Ends the body, from a promise job in which nothing of the program runs. */
  endInOwnJob(): void {
    if (this.state === State.Ended) return;
    this.writeEnd();
    outside(() => this.tellSent());
  }

  fail(error: unknown): void {
    if (this.state === State.Ended) return;
    this.state = State.Ended;
    this.held = [];
    outside(queueMicrotask, () => {
      if (this.target.isSending(this)) this.target.bodyFailed(error, true);
    });
  }

  // ---- private ----------------------------------------------------------------------------------

  /** Sends the head and the pieces so far: the body does not end at once. */
  private open(): void {
    this.state = State.Open;
    this.writeHead(this.plan.head);
    for (const chunk of this.held) this.writeChunk(chunk, sizeOf(chunk));
    this.held = [];
  }

  private writeHead(head: string): void {
    const { transport, host } = this.target;
    host.reactor.lane.traffic.countHead(head);
    transport.outbox.writeLatin1(head);
  }

  private writeEnd(): void {
    const { transport } = this.target;
    if (this.state === State.Held) {
      const { keepAlive } = this.plan;
      const framing = { contentLength: this.bytes, chunked: false, keepAlive, http10: this.body.http10 };
      this.writeHead(this.body.fields + framingLines(framing));
      for (const chunk of this.held) this.writeData(chunk, sizeOf(chunk), "");
      this.held = [];
    } else if (this.plan.chunked) transport.outbox.writeLatin1("0\r\n\r\n");
    this.state = State.Ended;
  }

  private writeChunk(chunk: string | Uint8Array, bytes: number): void {
    const { outbox } = this.target.transport;
    const { chunked } = this.plan;
    if (chunked) outbox.writeLatin1(`${bytes.toString(16)}\r\n`);
    this.writeData(chunk, bytes, chunked ? "\r\n" : "");
    this.target.bodyProgressed();
  }

  private writeData(chunk: string | Uint8Array, bytes: number, suffix: string): void {
    const { outbox } = this.target.transport;
    if (typeof chunk !== "string") return outbox.write(chunk, bytes, suffix);
    outbox.writeUtf8(chunk, bytes);
    outbox.writeLatin1(suffix);
    outbox.hasten();
  }

  private tellSent(): void {
    if (this.target.isSending(this)) this.target.bodySent();
  }
}

function sizeOf(chunk: string | Uint8Array): number {
  return typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.length;
}

/** Returns a copy of the first bytes. Another thread may make shared memory grow. */
function copyOf(chunk: Uint8Array, bytes: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy.set(chunk.subarray(0, bytes));
  return copy;
}
