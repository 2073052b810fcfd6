/**
 * Sends a body that is made as it goes: a stream, an async iterable, or a stream of `type: "direct"`.
 *
 * Guarantees: what is made leaves in its order, and no faster than the client takes it; it is cancelled when the client is gone. A body that has
 * ended by the time the jobs of its handler are done has a Content-Length, as in Bun; every other one is sent in chunks, or up to the connection's
 * end in HTTP/1.0. A length that the program has given is not looked at: it can be wrong, and then splits responses. The head of a body that
 * stays silent leaves with the turn. A body that fails breaks the connection, whatever has left of it.
 */
import type { Flushable } from "../../reactor/flush-queue.ts";
import { outside } from "../../sys/async-context.ts";
import type { BodySender, BodyTarget } from "../../http/body-sender.ts";
import { pumpOf } from "./body-pumps.ts";
import { framingLines } from "../../http/head.ts";
import type { ResponsePlan, StreamBody } from "./response.ts";

/** What makes the body. */
export interface BodyPump {
  /** Begins to write, and ends by `end` or `fail` of the sender. */
  start(): void;
  /** The client is gone. */
  cancel(reason: unknown): void;
}

const State = {
  /** The head waits for the first jobs to be done, and with it what they have written. */
  Held: 0,
  Open: 1,
  Ended: 2,
} as const;

/** What is kept until it is known whether the body ends at once. */
const HELD_BYTES_MAX = 65536;

export class StreamSender implements BodySender, Flushable {
  readonly isFinite = false;

  private readonly target: BodyTarget;
  private readonly plan: ResponsePlan;
  private readonly body: StreamBody;
  private readonly pump: BodyPump;
  private state: (typeof State)[keyof typeof State] = State.Held;
  private held: (string | Uint8Array)[] = [];
  /** Written so far. */
  bytes = 0;
  private aborted = false;
  private drain: PromiseWithResolvers<void> | null = null;

  /** Throws a TypeError for a stream that somebody else reads. */
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

  /** The turn is about to submit: the jobs that the body's start has brought are done. */
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

  // ---- for the pump ----------------------------------------------------------------------------------------------

  /** Nothing more can be written: the body is at its end, or the client is gone. */
  get ended(): boolean {
    return this.state === State.Ended;
  }

  /** The client is gone. */
  get left(): boolean {
    return this.aborted;
  }

  /** More than may wait for the client does. */
  get isFull(): boolean {
    return this.state === State.Open && this.target.transport.queuedBytes >= this.target.host.limits.writeQueueBytesMax;
  }

  /** Resolves when the client has taken everything, or is gone. */
  whenDrained(): Promise<void> {
    if (this.state === State.Ended) return Promise.resolve();
    this.target.transport.requestDrain();
    return (this.drain ??= Promise.withResolvers<void>()).promise;
  }

  /** Takes a copy. Returns how many bytes it took. */
  write(chunk: string | Uint8Array): number {
    const bytes = sizeOf(chunk);
    if (bytes === 0) return 0;
    this.bytes += bytes;
    if (this.state === State.Held && this.bytes > HELD_BYTES_MAX) this.open();
    if (this.state === State.Held) this.held.push(typeof chunk === "string" ? chunk : new Uint8Array(chunk));
    else this.writeChunk(chunk, bytes);
    return bytes;
  }

  end(): void {
    if (this.state === State.Ended) return;
    const { transport } = this.target;
    if (this.state === State.Held) {
      const { keepAlive } = this.plan;
      const framing = { contentLength: this.bytes, chunked: false, keepAlive, http10: this.body.http10 };
      transport.outbox.writeLatin1(this.body.fields + framingLines(framing));
      for (const chunk of this.held) this.writeData(chunk, sizeOf(chunk), "");
      this.held = [];
    } else if (this.plan.chunked) transport.outbox.writeLatin1("0\r\n\r\n");
    this.state = State.Ended;
    // The next request is not for the program's function that ends this body.
    outside(queueMicrotask, () => {
      if (this.target.isSending(this)) this.target.bodySent();
    });
  }

  fail(error: unknown): void {
    if (this.state === State.Ended) return;
    this.state = State.Ended;
    this.held = [];
    outside(queueMicrotask, () => {
      if (this.target.isSending(this)) this.target.bodyFailed(error, true);
    });
  }

  // ---- private ---------------------------------------------------------------------------------------------------

  /** The body does not end at once. */
  private open(): void {
    this.state = State.Open;
    this.target.transport.outbox.writeLatin1(this.plan.head);
    for (const chunk of this.held) this.writeChunk(chunk, sizeOf(chunk));
    this.held = [];
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
}

function sizeOf(chunk: string | Uint8Array): number {
  return typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.length;
}
