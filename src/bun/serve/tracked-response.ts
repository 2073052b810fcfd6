/**
 * What a Response was made of. A native Response tells its body only by being read, and whether that body is a stream not at all, so
 * a function that remembers it takes the place of the global constructor (globals.ts).
 *
 * Guarantees: what it makes is a native Response, which every native function takes, and its prototype is the native one, so that `instanceof`,
 * subclasses, and what a program puts into `Response.prototype` mean what they do in Bun; nothing of the memory is visible to programs. A
 * Response that was made before, or by native code such as fetch(), is merely not remembered.
 */

import { BodyIterable, rememberIterable } from "./body-iterable.ts";
import { NativeReadableStream, NativeResponse } from "./native-globals.ts";

/** Stands for a body that native code made from what it has in memory. */
export const inMemory = Symbol("in memory");

/** Stands for a body that Response.json made. */
const jsonText = Symbol("JSON");

/** The text that Response.json made. */
export class PlainJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A text, bytes that nobody else has, or JSON. */
export type PlainBody = string | Uint8Array | PlainJson;

/** Lets private fields be put on an object that another constructor made. */
const Returned = function (this: unknown, object: object) {
  return object;
} as unknown as new (object: object) => object;

export class Memory extends Returned {
  #body: unknown;
  /** Status 200 and no headers, neither given nor looked at since: whoever has looked may have changed them. */
  #plain: boolean;
  #sent = false;
  /** Somebody has got the body as a stream. */
  #lookedAt = false;
  /** What the program gave besides the body, for the names of its fields. */
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
    const body = #body in response ? (response as Memory & Response).#body : undefined;
    return body === jsonText ? inMemory : body;
  }

  /**
   * The body of a Response of status 200 without headers of its own, with what it is, for one that is sent for the first time, and with
   * this is. Undefined for another.
   */
  static takePlain(response: Response): PlainBody | undefined {
    if (!(#body in response)) return undefined;
    const memory = response as Memory & Response;
    if (!memory.#plain || memory.#sent || nativeBodyUsed.call(response) === true) return undefined;
    const body = memory.#body;
    if (typeof body === "string") {
      if (body === "") return undefined; // It has no type.
      memory.#sent = true;
      return body;
    }
    if (body === jsonText) {
      memory.#sent = true;
      return new PlainJson(Bun.peek(response.text()) as string);
    }
    if (!ArrayBuffer.isView(body) && !(body instanceof ArrayBuffer)) return undefined;
    memory.#sent = true;
    return Bun.peek(response.bytes()) as Uint8Array;
  }

  /** Marks a remembered Response as sent. Returns whether it was before. */
  static markSent(response: Response): boolean {
    if (!(#body in response)) return false;
    const memory = response as Memory & Response;
    const before = memory.#sent;
    memory.#sent = true;
    return before;
  }

  /** Lets the stream that the program gets of this body be known for it. */
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
    // Not plain: the copy is of the native class, whose headers may be changed unseen.
    const copy = new Memory(to, memory.#body, false, memory.#init);
    copy.#lookedAt = memory.#lookedAt;
  }

  static touch(response: Response): void {
    if (#body in response) (response as Memory & Response).#plain = false;
  }

  static wasLookedAt(response: Response): boolean {
    return #body in response && (response as Memory & Response).#lookedAt;
  }

  static wasSent(response: Response): boolean {
    return #body in response && (response as Memory & Response).#sent;
  }

  /** The header fields that the program gave; undefined where they are not known. */
  static givenFields(response: Response): unknown {
    return #body in response ? (response as Memory & Response).#init?.headers : undefined;
  }
}

/** What a stream was made of that a program has got as the `body` of a Response, and may make another Response of. */
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

/** The text, bytes, Blob or whatever else is behind a stream that was a Response's `body`; undefined for another stream. */
export const sourceOf = Source.of;

/** What `takePlain` knows. Native code takes the fast way with responses of exactly its own prototype, so no others have another one. */
function isPlain(body: unknown): boolean {
  return typeof body === "string" || ArrayBuffer.isView(body) || body instanceof ArrayBuffer;
}

const nativeBodyUsed = Object.getOwnPropertyDescriptor(NativeResponse.prototype, "bodyUsed")!.get!;

/**
 * One whose body's stream is known for what it was made of. What it and PlainResponse override cannot be replaced in the native prototype, so a
 * program's own replacements are all in force.
 */
class RememberedResponse extends NativeResponse {}
const nativeBody = Object.getOwnPropertyDescriptor(NativeResponse.prototype, "body")!.get!;
// Not in the class: the type of Response has a property there.
Object.defineProperty(RememberedResponse.prototype, "body", {
  get(this: Response) {
    const stream = nativeBody.call(this) as ReadableStream | null;
    if (stream !== null) Memory.mark(this, stream);
    return stream;
  },
  configurable: true,
});
Reflect.deleteProperty(RememberedResponse.prototype, "constructor");

/** A Response without headers, as long as nobody looks at them. */
class PlainResponse extends RememberedResponse {
  override get headers(): Headers {
    Memory.touch(this);
    return super.headers;
  }
}
// Not in the class: the type of Response has a property there.
Object.defineProperty(PlainResponse.prototype, "bodyUsed", {
  get(this: Response) {
    return nativeBodyUsed.call(this) === true || Memory.wasSent(this);
  },
  configurable: true,
});
Reflect.deleteProperty(PlainResponse.prototype, "constructor");

/** The global constructor. Its prototype is the native one. */
export const TrackedResponse = function (this: unknown, body?: Bun.BodyInit | null, init?: ResponseInit): Response {
  const Class = new.target as Function | undefined;
  // The native constructor says what is wrong.
  if (Class === undefined) return (NativeResponse as unknown as (body: unknown) => Response)(body);
  if (Class !== TrackedResponse)
    return remember(Reflect.construct(NativeResponse, [body, init], Class) as Response, body, init);
  if (init !== undefined || !isPlain(body)) return remember(new RememberedResponse(body, init), body, init);
  const response = new PlainResponse(body);
  new Memory(response, body, true);
  return response;
} as unknown as typeof Response;

function json(this: unknown, body?: unknown, init?: ResponseInit | number): Response {
  // Without an argument it is empty, and with undefined an error.
  const made =
    arguments.length === 0 ? (NativeResponse as any).json() : NativeResponse.json(body, init as ResponseInit);
  if (init !== undefined) return remember(Object.setPrototypeOf(made, RememberedResponse.prototype), inMemory, init);
  const response = Object.setPrototypeOf(made, PlainResponse.prototype); // So that a look at its headers shows.
  new Memory(response, jsonText, true);
  return response;
}

function redirect(this: unknown, url: string, init?: ResponseInit | number): Response {
  return remember(NativeResponse.redirect(url, init as ResponseInit), null, init);
}

function error(this: unknown): Response {
  return remember(NativeResponse.error(), null, undefined);
}

const nativeClone = NativeResponse.prototype.clone;

/**
 * What native code is to get for a Response that it does not know for one of its own, because something is remembered in it: it would read the
 * body, where it takes a copy of another one's. A Response that has been read, and what is none, stay what they are.
 */
export function unremembered(value: unknown): unknown {
  return isResponse(value) && Memory.has(value) && !value.bodyUsed ? nativeClone.call(value) : value;
}

/** For the native prototype: a copy is remembered as its original is. */
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

/** A Response's header fields by lower-case name. Set-Cookie, which must not be joined, is an array. */
export function fieldsOf(response: Response): Record<string, string | string[]> {
  return (nativeHeaders.call(response) as { toJSON(): Record<string, string | string[]> }).toJSON();
}
