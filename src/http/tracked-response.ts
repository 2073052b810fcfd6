/**
 * What a Response was made of. A native Response tells its body only by being read, and whether that body is a stream not at all, so
 * a subclass that remembers it takes the place of the global constructor (globals.ts).
 *
 * Guarantees: what it makes is a native Response, which every native function takes; `instanceof Response` holds for those and for
 * the ones that native code makes; nothing of the memory is visible to programs. A Response that was made before, or by native code
 * such as fetch(), is merely not remembered.
 */

import { NativeResponse } from "./native-globals.ts";

/** Stands for a body that native code made from what it has in memory. */
export const inMemory = Symbol("in memory");

/** Stands for a body that Response.json made. */
const json = Symbol("JSON");

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

  constructor(response: Response, body: unknown, plain: boolean) {
    super(response);
    this.#body = body;
    this.#plain = plain;
  }

  static has(response: Response): boolean {
    return #body in response;
  }

  static bodyOf(response: Response): unknown {
    const body = #body in response ? (response as Memory & Response).#body : undefined;
    return body === json ? inMemory : body;
  }

  /**
   * The body of a Response of status 200 without headers of its own, with what it is, for one that is sent for the first time, and with
   * this is. Undefined for another.
   */
  static takePlain(response: Response): PlainBody | undefined {
    if (!(#body in response)) return undefined;
    const memory = response as Memory & Response;
    if (!memory.#plain || memory.#sent || response.bodyUsed) return undefined;
    const body = memory.#body;
    if (typeof body === "string") {
      memory.#sent = true;
      return body;
    }
    if (body === json) {
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

  static copy(from: Response, to: Response): void {
    // Not plain: the copy is of the native class, whose headers may be changed unseen.
    if (#body in from) new Memory(to, (from as Memory & Response).#body, false);
  }

  static touch(response: Response): void {
    if (#body in response) (response as Memory & Response).#plain = false;
  }
}

export class TrackedResponse extends NativeResponse {
  constructor(body?: Bun.BodyInit | null, init?: ResponseInit) {
    super(body, init);
    new Memory(this, body, init === undefined);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // A program's own subclasses ask for themselves.
    return this === TrackedResponse ? isResponse(value) : Function.prototype[Symbol.hasInstance].call(this, value);
  }

  static override json(body?: unknown, init?: ResponseInit | number): Response {
    if (init !== undefined) return remember(NativeResponse.json(body, init as ResponseInit), inMemory);
    // Of this class, so that a look at its headers shows.
    const response = Object.setPrototypeOf(NativeResponse.json(body), TrackedResponse.prototype);
    new Memory(response, json, true);
    return response;
  }

  static override redirect(url: string, init?: ResponseInit | number): Response {
    return remember(NativeResponse.redirect(url, init as ResponseInit), null);
  }

  static override error(): Response {
    return remember(NativeResponse.error(), null);
  }

  override get headers(): Headers {
    Memory.touch(this);
    return super.headers;
  }

  override clone(): Response {
    const copy = super.clone() as Response;
    Memory.copy(this, copy);
    return copy;
  }
}

Object.defineProperty(TrackedResponse, "name", { value: "Response", configurable: true });

function remember(response: Response, body: unknown): Response {
  new Memory(response, body, false);
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
