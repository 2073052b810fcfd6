/**
 * Remembers the values that a Response was made of. A native Response shows its body only when it
 * is read. It never shows whether the body is a stream. So a function that remembers the body
 * replaces the global constructor (globals.ts).
 *
 * Guarantees: the function makes native Responses, which every native function accepts, and its
 * prototype is the native one. So `instanceof`, subclasses, and members that a program adds to
 * `Response.prototype` work as in Bun. Programs cannot see the remembered values. A Response that
 * was made before, or by native code such as fetch(), is only not remembered.
 */

import { BodyIterable, rememberIterable } from "./body-iterable.ts";
import { fetchedBytesInMemory, isWhole } from "./fetched-response.ts";
import { NativeReadableStream, NativeResponse, stringify } from "./native-globals.ts";

/** Stands for a body that native code made of a value in memory. */
export const inMemory = Symbol("in memory");

/** The text that Response.json made. It gives the body no type: the Response has a header for it. */
export class PlainJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A text, bytes that nobody else uses, or JSON. */
export type PlainBody = string | Uint8Array | PlainJson;

/** A base class that adds private fields to an object that another constructor made. */
const Returned = function (this: unknown, object: object) {
  return object;
} as unknown as new (object: object) => object;

export class Memory extends Returned {
  #body: unknown;
  /**
   * Whether the status is 200 and there are no headers. False once a program has read the headers,
   * because it may have changed them, or the property `body`.
   */
  #plain: boolean;
  #sent = false;
  /** Whether a program has read the property `body`. */
  #lookedAt = false;
  /** The second argument of the constructor, from which the spelling of the field names comes. */
  #init: { headers?: unknown } | undefined;

  constructor(response: Response, body: unknown, plain: boolean, init?: unknown) {
    super(response);
    this.#body = body;
    this.#plain = plain;
    if (typeof init === "object" && init !== null) this.#init = #body in init ? (init as Memory).#init : init;
  }

  static has(response: Response): boolean {
    return #body in response;
  }

  static bodyOf(response: Response): unknown {
    return #body in response ? (response as Memory & Response).#body : undefined;
  }

  /**
   * Takes the body of a plain Response (see `#plain`) that is sent for the first time, and marks
   * the Response as sent. Returns undefined for any other Response.
   */
  static takePlain(response: Response): PlainBody | undefined {
    if (!(#body in response)) return undefined;
    const memory = response as Memory & Response;
    if (!memory.#plain || memory.#sent || nativeBodyUsed.call(response) === true) return undefined;
    const body = memory.#body;
    if (typeof body === "string") {
      // An empty body has no type.
      if (body === "") return undefined;
      memory.#sent = true;
      return body;
    }
    if (body instanceof PlainJson) {
      memory.#sent = true;
      return body;
    }
    if (!ArrayBuffer.isView(body) && !(body instanceof ArrayBuffer)) return undefined;
    memory.#sent = true;
    return Bun.peek(response.bytes()) as Uint8Array;
  }

  /** Marks a remembered Response as sent. Returns whether it was marked before. */
  static markSent(response: Response): boolean {
    if (!(#body in response)) return false;
    const memory = response as Memory & Response;
    const before = memory.#sent;
    memory.#sent = true;
    return before;
  }

  /** Remembers the source of the body also for the stream that the program gets of it. */
  static mark(response: Response, stream: ReadableStream): void {
    if (!(#body in response)) return;
    const memory = response as Memory & Response;
    memory.#plain = false;
    memory.#lookedAt = true;
    Source.mark(stream, memory.#body);
  }

  static copy(from: Response, to: Response): void {
    if (!(#body in from)) return;
    const memory = from as Memory & Response;
    // Not plain: the copy does not see when a program changes its headers.
    const copy = new Memory(to, memory.#body, false, memory.#init);
    copy.#lookedAt = memory.#lookedAt;
  }

  static touch(response: Response): void {
    if (#body in response) (response as Memory & Response).#plain = false;
  }

  static wasLookedAt(response: Response): boolean {
    return #body in response && (response as Memory & Response).#lookedAt;
  }

  /** Whether the body has a stream that the program gave or has got. */
  static hasStream(response: Response): boolean {
    const body = Memory.bodyOf(response);
    return body instanceof NativeReadableStream || body instanceof BodyIterable || Memory.wasLookedAt(response);
  }

  static wasSent(response: Response): boolean {
    return #body in response && (response as Memory & Response).#sent;
  }

  /** Returns the header fields that the program gave. Returns undefined if they are not known. */
  static givenFields(response: Response): unknown {
    return #body in response ? (response as Memory & Response).#init?.headers : undefined;
  }
}

/**
 * Remembers the source of a stream that a program got as the `body` of a Response. The program may
 * make another Response of this stream.
 */
class Source extends Returned {
  #body: unknown;

  constructor(stream: ReadableStream, body: unknown) {
    super(stream);
    this.#body = body;
  }

  static mark(stream: ReadableStream, body: unknown): void {
    if (#body in stream || body instanceof NativeReadableStream || body instanceof BodyIterable) return;
    new Source(stream, body);
  }

  static of(stream: ReadableStream): unknown {
    return #body in stream ? (stream as unknown as Source).#body : undefined;
  }
}

/**
 * Returns the text, bytes, Blob or other value behind a stream that was the `body` of a Response.
 * Returns undefined for any other stream.
 */
export const sourceOf = Source.of;

/** Remembers of the stream of a fetched Response that all of it is in memory, if it is. */
function markWhole(stream: ReadableStream, response: Response): void {
  if (Memory.has(response) || nativeBody.call(response) !== stream) return;
  if (isWhole(response, fetchedBytesInMemory(response) ?? 0)) Source.mark(stream, inMemory);
}

/** Whether `takePlain` can take a body of this type. */
function isPlain(body: unknown): boolean {
  return typeof body === "string" || ArrayBuffer.isView(body) || body instanceof ArrayBuffer;
}

const nativeBodyUsed = Object.getOwnPropertyDescriptor(NativeResponse.prototype, "bodyUsed")!.get!;

/**
 * A Response whose `body` stream is remembered with its source. A program cannot replace the
 * members that this class and PlainResponse override, since they are not configurable in the native
 * prototype. So every member that a program does replace takes effect.
 */
class RememberedResponse extends NativeResponse {}
const nativeBody = Object.getOwnPropertyDescriptor(NativeResponse.prototype, "body")!.get!;
// Not in the class, because the type of Response declares a property there.
Object.defineProperty(RememberedResponse.prototype, "body", {
  get(this: Response) {
    // After `text()` and so on, the stream has nothing to send.
    const wasRead = nativeBodyUsed.call(this) === true;
    const stream = nativeBody.call(this) as ReadableStream | null;
    if (stream !== null && !wasRead) Memory.mark(this, stream);
    return stream;
  },
  configurable: true,
});
Reflect.deleteProperty(RememberedResponse.prototype, "constructor");

/** A Response without headers, until a program reads them. */
class PlainResponse extends RememberedResponse {
  override get headers(): Headers {
    Memory.touch(this);
    return super.headers;
  }
}
// Not in the class, because the type of Response declares a property there.
Object.defineProperty(PlainResponse.prototype, "bodyUsed", {
  get(this: Response) {
    return nativeBodyUsed.call(this) === true || Memory.wasSent(this);
  },
  configurable: true,
});
Reflect.deleteProperty(PlainResponse.prototype, "constructor");

/** The global constructor Response. Its prototype is the native prototype. */
export const TrackedResponse = function (this: unknown, body?: Bun.BodyInit | null, init?: ResponseInit): Response {
  const Class = new.target as Function | undefined;
  // The native constructor throws the right error.
  if (Class === undefined) return (NativeResponse as unknown as (body: unknown) => Response)(body);
  if (Class !== TrackedResponse)
    return remember(Reflect.construct(NativeResponse, [body, init], Class) as Response, body, init);
  if (init !== undefined || !isPlain(body)) {
    if (body instanceof NativeReadableStream && isResponse(init)) markWhole(body, init);
    return remember(new RememberedResponse(body, init), body, init);
  }
  const response = new PlainResponse(body);
  new Memory(response, body, true);
  return response;
} as unknown as typeof Response;

/** The constructor copies the headers. */
const JSON_INIT = { headers: new Headers({ "content-type": "application/json;charset=utf-8" }) };

/**
 * Returns the text of a value, or undefined if native code must decide: for a value that has no
 * text, and for a bigint, whose error has another message there.
 */
function jsonOf(value: unknown): string | undefined {
  return typeof value === "bigint" ? undefined : stringify(value);
}

/**
 * Makes the text itself: it cannot be taken out of a native Response without a copy, which the
 * garbage collector would count, too.
 */
function json(this: unknown, body?: unknown, init?: ResponseInit | number): Response {
  const text = init === undefined ? jsonOf(body) : undefined;
  if (text !== undefined) {
    // This class notices when a program reads the headers.
    const response = new PlainResponse(text, JSON_INIT);
    new Memory(response, new PlainJson(text), true);
    return response;
  }
  // Without an argument, the body is empty. With undefined, native code throws an error.
  const made =
    arguments.length === 0 ? (NativeResponse as any).json() : NativeResponse.json(body, init as ResponseInit);
  return remember(Object.setPrototypeOf(made, RememberedResponse.prototype), inMemory, init);
}

function redirect(this: unknown, url: string, init?: ResponseInit | number): Response {
  return remember(NativeResponse.redirect(url, init as ResponseInit), null, init);
}

function error(this: unknown): Response {
  return remember(NativeResponse.error(), null, undefined);
}

const nativeClone = NativeResponse.prototype.clone;

/**
 * Returns the value that native code gets in place of `value`.
 *
 * Native code does not recognize a Response that has a remembered body as one of its own. It would
 * read the body, although it copies the body of its own Responses. So it gets a native copy. A
 * Response that was read, and a value that is not a Response, are passed on unchanged.
 */
export function unremembered(value: unknown): unknown {
  return isResponse(value) && Memory.has(value) && !value.bodyUsed ? nativeClone.call(value) : value;
}

/** Methods for the native prototype. A copy of a remembered Response is remembered too. */
export const rememberingMethods = {
  clone(this: Response): Response {
    const copy = nativeClone.call(this) as Response;
    if (!Memory.has(this)) return copy;
    Object.setPrototypeOf(copy, RememberedResponse.prototype);
    Memory.copy(this, copy);
    return copy;
  },
};

const statics: Record<string, unknown> = { name: "Response", length: 0, error, json, redirect };
for (const key in statics)
  Object.defineProperty(TrackedResponse, key, {
    ...Object.getOwnPropertyDescriptor(NativeResponse, key),
    value: statics[key],
  });
Object.defineProperty(TrackedResponse, "prototype", { value: NativeResponse.prototype, writable: false });

function remember(response: Response, body: unknown, init: unknown): Response {
  new Memory(response, rememberIterable(body), false, init);
  return response;
}

export function isResponse(value: unknown): value is Response {
  return value instanceof NativeResponse;
}

const nativeHeaders = Object.getOwnPropertyDescriptor(NativeResponse.prototype, "headers")!.get!;

/**
 * Returns the header fields of a Response by their lower-case names. Set-Cookie, whose values must
 * not be joined, is an array.
 */
export function fieldsOf(response: Response): Record<string, string | string[]> {
  return (nativeHeaders.call(response) as { toJSON(): Record<string, string | string[]> }).toJSON();
}
