/**
 * The pumps that produce a response's body: from the reader of a stream, from an iterator, or from
 * the source of a direct stream and its controller.
 */
import { withCode } from "../../sys/check.ts";
import { outside } from "../../sys/async-context.ts";
import { plainBytes } from "../../sys/views.ts";
import type { BodyIterable, DirectSource } from "./body-iterable.ts";
import type { StreamBody } from "./response.ts";
import type { BodyPump, StreamSender } from "./stream-sender.ts";

/** Makes the pump for a body. Throws Bun's Error for a stream that has a reader already. */
export function pumpOf(body: StreamBody, sender: StreamSender): BodyPump {
  const { stream, made } = body;
  if (stream.locked) throw streamInUse();
  const reader = stream.getReader() as ReadableStreamDefaultReader;
  if (made === undefined) return new ReaderPump(reader, sender);
  return "source" in made && typeof (made.source as DirectSource["source"]).pull === "function"
    ? new DirectPump(made as DirectSource, sender)
    : new IteratorPump(made as BodyIterable, sender);
}

/** Returns Bun's error for a stream that has a reader already. */
export function streamInUse(): Error {
  return withCode("ERR_STREAM_CANNOT_PIPE", new Error("Stream already used, please create a new one"));
}

/** A pump that asks for one piece after another. */
abstract class PullPump implements BodyPump {
  protected readonly sender: StreamSender;

  constructor(sender: StreamSender) {
    this.sender = sender;
  }

  start(): void {
    const { sender } = this;
    this.run().then(
      () => sender.endInOwnJob(),
      (error) => {
        this.cancel(error);
        sender.fail(error);
      },
    );
  }

  abstract cancel(reason: unknown): void;

  /** Resolves at the end of the body. Rejects with the body's error. */
  protected abstract run(): Promise<void>;
}

class ReaderPump extends PullPump {
  private readonly reader: ReadableStreamDefaultReader;

  constructor(reader: ReadableStreamDefaultReader, sender: StreamSender) {
    super(sender);
    this.reader = reader;
  }

  cancel(reason: unknown): void {
    outside(cancelOf, this.reader, reason).catch(() => {});
  }

  protected async run(): Promise<void> {
    const { reader, sender } = this;
    // As in Bun, all pieces that are there already are taken first, without a promise for each.
    const first = outside(readManyFrom, reader);
    const { done: isEmpty, value: pieces } = first instanceof Promise ? await first : first;
    if (isEmpty || sender.ended) return;
    for (const piece of pieces) sender.write(dataOf(piece));
    for (;;) {
      if (sender.isFull) await sender.whenDrained();
      // `read` may run the stream's `pull`. An async context that `pull` enters ends here, so that
      // it does not reach the next request.
      const { done, value } = await outside(readFrom, reader);
      if (done || sender.ended) return;
      sender.write(dataOf(value));
    }
  }
}

function readManyFrom(reader: ReadableStreamDefaultReader): ReturnType<ReadableStreamDefaultReader["readMany"]> {
  return reader.readMany();
}

function readFrom(reader: ReadableStreamDefaultReader): ReturnType<ReadableStreamDefaultReader["read"]> {
  return reader.read();
}

function cancelOf(reader: ReadableStreamDefaultReader, reason: unknown): Promise<void> {
  return reader.cancel(reason);
}

/**
 * Reads an iterator. Each step gets the controller, as in Bun: `const controller = yield "first"`.
 */
class IteratorPump extends PullPump {
  private readonly made: BodyIterable;
  private iterator: AsyncIterator<unknown> | undefined;

  constructor(made: BodyIterable, sender: StreamSender) {
    super(sender);
    this.made = made;
  }

  cancel(): void {
    const { iterator, made } = this;
    this.iterator = undefined;
    if (typeof iterator?.return !== "function") return;
    try {
      made.context(Promise.resolve.bind(Promise), made.context(stop, iterator)).catch(() => {});
    } catch {
      // Nobody needs this error: the client is gone, or the body has already ended or failed.
    }
  }

  protected async run(): Promise<void> {
    const { sender, made } = this;
    const iterator = (this.iterator = made.context(iteratorOf, made.source));
    const controller = new DirectController(sender);
    for (;;) {
      const { done, value } = await made.context(step, iterator, controller);
      if (done) this.iterator = undefined;
      if (done || sender.left) return;
      if (sender.ended) return this.cancel(); // The controller ended the body.
      if (value !== undefined && value !== null) sender.write(dataOf(value));
      if (sender.isFull) await sender.whenDrained();
    }
  }
}

function iteratorOf(source: BodyIterable["source"]): AsyncIterator<unknown> {
  return (typeof source === "function" ? source() : source)[Symbol.asyncIterator]();
}

function step(iterator: AsyncIterator<unknown>, controller: DirectController): Promise<IteratorResult<unknown>> {
  return iterator.next(controller as never);
}

function stop(iterator: AsyncIterator<unknown>): unknown {
  return iterator.return!();
}

/**
 * Calls `pull` once. The body ends when the promise that `pull` returns resolves. If `pull` returns
 * no promise, the controller ends the body.
 */
class DirectPump implements BodyPump {
  private readonly made: DirectSource;
  private readonly sender: StreamSender;

  constructor(made: DirectSource, sender: StreamSender) {
    this.made = made;
    this.sender = sender;
  }

  start(): void {
    const { made, sender } = this;
    let pulled: unknown;
    try {
      pulled = made.context(pull, made.source, new DirectController(sender));
    } catch (error) {
      return sender.fail(error);
    }
    if (pulled instanceof Promise)
      pulled.then(
        () => sender.end(),
        (error) => sender.fail(error),
      );
  }

  cancel(reason: unknown): void {
    cancelDirect(this.made, reason);
  }
}

/** Tells the source of a direct stream that nobody needs its data. */
export function cancelDirect({ context, source }: DirectSource, reason: unknown): void {
  if (typeof source.cancel !== "function") return;
  try {
    const result = context(tellCancelled, source, reason);
    if (result instanceof Promise) result.catch(() => {});
  } catch {
    // The client is gone, so nobody needs this error.
  }
}

function pull(source: DirectSource["source"], controller: DirectController): unknown {
  return source.pull!(controller);
}

function tellCancelled(source: DirectSource["source"], reason: unknown): unknown {
  return source.cancel!(reason);
}

const closedText =
  'This HTTPResponseSink has already been closed. A "direct" ReadableStream terminates its underlying socket once `async pull()` returns.';

/**
 * The controller that the `pull` of a direct stream gets. It has the methods of Bun's controller.
 */
class DirectController {
  readonly #sender: StreamSender;
  #flushed = 0;

  constructor(sender: StreamSender) {
    this.#sender = sender;
  }

  start(): void {}

  static #senderOf(controller: DirectController): StreamSender {
    if (#sender in controller) return controller.#sender;
    throw new TypeError("Expected HTTPResponseSink");
  }

  /**
   * Writes data. Returns its number of bytes, or a promise of that number if too many bytes wait
   * for the client. Returns 0 if the client is gone. Throws an Error after the end of the body.
   */
  write(data: unknown): number | Promise<number> {
    const sender = DirectController.#senderOf(this);
    if (sender.left) return 0;
    if (sender.ended) throw new Error(closedText);
    const bytes = sender.write(dataOf(data));
    return sender.isFull ? sender.whenDrained().then(() => bytes) : bytes;
  }

  /**
   * Returns the number of bytes written since the last call. The bytes leave at the end of the turn
   * even without this call. Returns 0 if the client is gone. Throws an Error after the end of the
   * body.
   */
  flush(): number {
    const sender = DirectController.#senderOf(this);
    if (sender.left) return 0;
    if (sender.ended) throw new Error(closedText);
    const bytes = sender.bytes - this.#flushed;
    this.#flushed = sender.bytes;
    return bytes;
  }

  /**
   * Ends the body. Returns the number of bytes of the whole body, and undefined if the body has
   * ended already. Returns 0 if the client is gone.
   */
  end(): number | undefined {
    const sender = DirectController.#senderOf(this);
    if (sender.left) return 0;
    if (sender.ended) return undefined;
    sender.end();
    return sender.bytes;
  }

  /** Ends the body, or fails it with `error`. */
  close(error?: unknown): void {
    const sender = DirectController.#senderOf(this);
    if (error === undefined || error === null) sender.end();
    else sender.fail(error);
  }
}

Object.defineProperty(DirectController.prototype, Symbol.toStringTag, {
  value: "ReadableHTTPResponseSinkController",
  configurable: true,
});

/**
 * Returns the bytes or the text of a piece. Throws Bun's TypeError for any other value, from every
 * kind of pump.
 */
function dataOf(value: unknown): string | Uint8Array {
  if (typeof value === "string") return value;
  const bytes = plainBytes(value);
  if (bytes !== undefined) return bytes;
  const code = value === undefined || value === null ? "ERR_STREAM_NULL_VALUES" : "ERR_INVALID_ARG_TYPE";
  throw withCode(code, new TypeError("write() expects a string, ArrayBufferView, or ArrayBuffer"));
}
