/**
 * Sends a stream as a response's body.
 *
 * Guarantees: what the stream yields leaves in its order, framed as the plan says, and no faster than the client takes it; a stream that
 * does not keep to its Content-Length is an error; the stream is cancelled when the client is gone.
 */
import { plainBytes } from "../sys/views.ts";
import type { BodySender, BodyTarget } from "./body-sender.ts";
import type { ResponsePlan } from "./response.ts";

export class StreamSender implements BodySender {
  readonly isFinite = false;

  private readonly target: BodyTarget;
  private readonly plan: ResponsePlan;
  private readonly reader: ReadableStreamDefaultReader;
  private aborted = false;
  private wake: (() => void) | null = null;

  constructor(target: BodyTarget, plan: ResponsePlan, stream: ReadableStream) {
    this.target = target;
    this.plan = plan;
    this.reader = stream.getReader() as ReadableStreamDefaultReader;
  }

  start(): void {
    this.target.transport.writeLatin1(this.plan.head);
    this.run().then(
      (whole) => whole && this.target.bodySent(),
      (error) => {
        if (this.aborted) return;
        this.reader.cancel(error).catch(() => {});
        this.target.bodyFailed(error, true);
      },
    );
  }

  drained(): void {
    this.wake?.();
    this.wake = null;
  }

  abort(): void {
    this.aborted = true;
    this.reader.cancel(new Error("The client closed the connection")).catch(() => {});
    this.drained();
  }

  /** Returns whether the stream has ended; it has not when the client is gone. */
  private async run(): Promise<boolean> {
    const { transport, writeQueueBytesMax } = this.target;
    const { chunked, contentLength } = this.plan;
    let left = contentLength ?? Infinity;
    for (;;) {
      const { done, value } = await this.reader.read();
      if (this.aborted) return false;
      if (done) break;
      const bytes = toBytes(value);
      const { length } = bytes;
      if (length === 0) continue;
      if (length > left) throw new RangeError(`the stream is longer than its Content-Length of ${contentLength}`);
      left -= length;
      if (chunked) transport.writeLatin1(`${length.toString(16)}\r\n`);
      transport.write(bytes, length);
      if (chunked) transport.writeLatin1("\r\n");
      this.target.bodyProgressed();
      if (transport.queuedBytes >= writeQueueBytesMax) await this.drain();
      if (this.aborted) return false;
    }
    if (contentLength !== undefined && left > 0)
      throw new RangeError(`the stream is ${left} bytes short of its Content-Length of ${contentLength}`);
    if (chunked) transport.writeLatin1("0\r\n\r\n");
    return true;
  }

  private drain(): Promise<void> {
    this.target.transport.requestDrain();
    return new Promise((resolve) => (this.wake = resolve));
  }
}

function toBytes(value: unknown): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  const bytes = plainBytes(value);
  if (bytes !== undefined) return bytes;
  throw new TypeError(`a response stream must yield strings or bytes, not ${typeof value}`);
}
