/**
 * Bodies that a program writes as it goes: async iterables and generators, and streams of `type: "direct"`, whose `pull` writes to a controller.
 *
 * Bun turns both into streams that only its own server can drive: read by anybody else, a direct stream calls `pull` again and again. So what
 * they were made of is remembered. Streams that were made before the global constructor was replaced (globals.ts) are not.
 */
import type { AsyncContext } from "../../sys/async-context.ts";
import { lazily } from "../../sys/lazily.ts";
import { NativeReadableStream } from "./native-globals.ts";

const contexts = lazily(() => require("../../sys/async-context.ts") as typeof import("../../sys/async-context.ts"));

/** The body of a Response that is an async iterable, or a function that makes one, and the context in which the Response was made. */
export class BodyIterable {
  readonly context: AsyncContext = contexts().currentContext();
  readonly source: AsyncIterable<unknown> | (() => AsyncIterable<unknown>);

  constructor(source: BodyIterable["source"]) {
    this.source = source;
  }
}

/** What the program gave to `new ReadableStream` with `type: "direct"`, and the context in which it did. */
export interface DirectSource {
  readonly context: AsyncContext;
  readonly source: { pull?: (controller: unknown) => unknown; cancel?: (reason: unknown) => unknown };
}

/** What is to be remembered of a body: an iterable in its context, another one itself. */
export function rememberIterable(body: unknown): unknown {
  if (typeof body === "string" || body === null || body === undefined) return body;
  if (body instanceof NativeReadableStream) return body;
  return isAsyncIterable(body) ? new BodyIterable(body) : body;
}

const functionTag = "[object AsyncGeneratorFunction]";

function isAsyncIterable(body: unknown): body is BodyIterable["source"] {
  if (typeof body === "function") return Object.prototype.toString.call(body) === functionTag;
  return typeof body === "object" && typeof (body as AsyncIterable<unknown>)[Symbol.asyncIterator] === "function";
}

/** Lets a private field be put on an object that another constructor made. */
const Returned = function (this: unknown, object: object) {
  return object;
} as unknown as new (object: object) => object;

class Made extends Returned {
  #direct: DirectSource;

  constructor(stream: ReadableStream, direct: DirectSource) {
    super(stream);
    this.#direct = direct;
  }

  static directSourceOf(stream: ReadableStream): DirectSource | undefined {
    return #direct in stream ? (stream as unknown as Made).#direct : undefined;
  }
}

/** Undefined for a stream that is not direct. */
export const directSourceOf = Made.directSourceOf;

/** The global constructor. Its prototype is the native one. */
export const TrackedReadableStream = function (this: unknown, ...args: [any?, any?]): ReadableStream {
  const Class = new.target as Function | undefined;
  if (Class === undefined) return (NativeReadableStream as unknown as () => ReadableStream)();
  const stream = Reflect.construct(NativeReadableStream, args, Class) as ReadableStream;
  const source = args[0];
  if (source?.type === "direct") new Made(stream, { source, context: contexts().currentContext() });
  return stream;
} as unknown as typeof ReadableStream;

for (const key of Reflect.ownKeys(NativeReadableStream)) {
  const descriptor = Object.getOwnPropertyDescriptor(NativeReadableStream, key)!;
  if (key === "prototype") descriptor.writable = false;
  Object.defineProperty(TrackedReadableStream, key, descriptor);
}
