/**
 * Bodies that a program writes step by step: async iterables, generators, and streams of
 * `type: "direct"`, whose `pull` writes to a controller.
 *
 * Bun makes streams of these bodies that only Bun's server can read. For any other reader, a direct
 * stream calls `pull` again and again. So this file remembers the iterable or the source that the
 * program gave. It does not know a stream that was made before globals.ts replaced the global
 * constructor.
 */
import type { AsyncContext } from "../../sys/async-context.ts";
import { lazily } from "../../sys/lazily.ts";
import { NativeReadableStream } from "./native-globals.ts";

const contexts = lazily(() => require("../../sys/async-context.ts") as typeof import("../../sys/async-context.ts"));

/**
 * The body of a Response that is an async iterable or a function that makes one, with the async
 * context in which the program made the Response.
 */
export class BodyIterable {
  readonly context: AsyncContext = contexts().currentContext();
  readonly source: AsyncIterable<unknown> | (() => AsyncIterable<unknown>);

  constructor(source: BodyIterable["source"]) {
    this.source = source;
  }
}

/**
 * The source that the program gave to `new ReadableStream` with `type: "direct"`, with the async
 * context of that call.
 */
export interface DirectSource {
  readonly context: AsyncContext;
  readonly source: { pull?: (controller: unknown) => unknown; cancel?: (reason: unknown) => unknown };
}

/**
 * Returns the value to remember for a body: a BodyIterable for an async iterable, or the body
 * itself.
 */
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

/** A base class that adds a private field to an object that another constructor made. */
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

/** Returns the source of a direct stream. Returns undefined for another stream. */
export const directSourceOf = Made.directSourceOf;

/** The global constructor ReadableStream. Its prototype is the native prototype. */
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
