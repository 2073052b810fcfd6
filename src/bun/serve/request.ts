/**
 * The Request that a handler gets. It behaves like a native Request, and builds each part when a
 * program asks for it.
 *
 * The prototype of the ring's requests is the prototype of the global constructor. Its members work
 * for native requests too, because the native prototype inherits from it. So a member that a
 * program reads from `Request.prototype`, calls with any request, or replaces, works as in Bun.
 *
 * Guarantees: `new Request(request)` and `fetch(request)` work (globals.ts). A request stays valid
 * after the handler has returned, because it does not refer to a receive buffer. The first use of
 * the body as a stream, and the first copy, make a native Request.
 */
import type { RequestBody } from "../../http/body.ts";
import { takeText } from "../../http/body-text.ts";
import { lazily } from "../../sys/lazily.ts";
import { NativeRequest, NativeResponse } from "./native-globals.ts";

const bodies = lazily(() => require("../../http/body.ts") as typeof import("../../http/body.ts"));
const contexts = lazily(() => require("../../sys/async-context.ts") as typeof import("../../sys/async-context.ts"));

type BodyForm = "text" | "json" | "arrayBuffer" | "bytes" | "blob" | "formData";

/** The place that a request came from, for `server.requestIP` and `server.timeout`. */
export interface RequestOrigin {
  /** Scheme and authority for a request that names none, such as "http://localhost:3000". */
  readonly defaultOrigin: string;
}

/** The parts of a request's head, as byte offsets from its first byte. */
export interface HeadPositions {
  pathStart: number;
  targetEnd: number;
  headersStart: number;
  hostStart: number;
  hostEnd: number;
}

/** The members of the native Request, before a program can replace them. */
const native = Object.getOwnPropertyDescriptors(NativeRequest.prototype) as unknown as Record<
  string,
  { get: (this: unknown) => any; value: (this: unknown) => any }
>;
const nativeUrl = native.url!.get;
const nativeMethod = native.method!.get;
const nativeHeaders = native.headers!.get;
const nativeText = native.text!.value;
const nativeJson = native.json!.value;
const nativeClone = native.clone!.value;

export class RingRequest {
  readonly #origin: RequestOrigin;
  readonly #method: string;
  readonly #body: RequestBody | null;
  #text: string;
  #pathStart: number;
  #targetEnd: number;
  #headersStart: number;
  #headersEnd: number;
  #hostStart: number;
  #hostEnd: number;
  #url: string | undefined;
  #headers: Headers | undefined;
  /** State that few programs need. */
  #rare: { native?: Request; abort?: AbortController; aborted?: boolean; handedOver?: boolean } | undefined;

  constructor(
    origin: RequestOrigin,
    method: string,
    text: string,
    base: number,
    head: HeadPositions,
    headersEnd: number,
    body: RequestBody | null,
  ) {
    this.#origin = origin;
    this.#method = method;
    this.#body = body;
    this.#text = text;
    this.#pathStart = base + head.pathStart;
    this.#targetEnd = base + head.targetEnd;
    this.#headersStart = base + head.headersStart;
    this.#headersEnd = headersEnd;
    this.#hostStart = base + head.hostStart;
    this.#hostEnd = base + head.hostEnd;
  }

  /** @internal Aborts the request's signal: the client is gone. */
  static abort(request: RingRequest): void {
    (request.#rare ??= {}).aborted = true;
    const { abort } = request.#rare;
    if (abort !== undefined) contexts().currentContext()(tellAborted, abort);
  }

  /** @internal Marks that the connection was given away, and that no response is needed. */
  static handOver(request: RingRequest): void {
    (request.#rare ??= {}).handedOver = true;
  }

  /** @internal Whether the connection was given away. */
  static isHandedOver(request: RingRequest): boolean {
    return request.#rare?.handedOver === true;
  }

  /** @internal Whether a value is a request of the ring, and not a native one. */
  static is(value: unknown): value is RingRequest {
    return typeof value === "object" && value !== null && #text in value;
  }

  /** @internal Returns the origin of a request. Undefined for a native request. */
  static originOf(request: object): RequestOrigin | undefined {
    return #text in request ? request.#origin : undefined;
  }

  /** @internal Whether the request has a body. */
  static hasBody(request: RingRequest): boolean {
    return request.#body !== null;
  }

  /** @internal Returns the value for native code: a native Request for a ring's, or `value`. */
  static unwrap(value: unknown): unknown {
    return RingRequest.is(value) ? value.#toNative() : value;
  }

  get url(): string {
    return #text in this ? (this.#url ??= this.#buildUrl()) : nativeUrl.call(this);
  }

  get method(): string {
    return #text in this ? this.#method : nativeMethod.call(this);
  }

  get headers(): Headers {
    return #text in this ? (this.#headers ??= this.#buildHeaders()) : nativeHeaders.call(this);
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (!(#text in this)) return native.body!.get.call(this);
    return this.#body === null ? null : (this.#toNative().body as ReadableStream<Uint8Array>);
  }

  get bodyUsed(): boolean {
    if (!(#text in this)) return native.bodyUsed!.get.call(this);
    return this.#body !== null && this.#isUsed(this.#body);
  }

  get signal(): AbortSignal {
    if (!(#text in this)) return native.signal!.get.call(this);
    const rare = (this.#rare ??= {});
    if (!rare.abort) {
      rare.abort = new AbortController();
      if (rare.aborted) rare.abort.abort();
    }
    return rare.abort.signal;
  }

  text(): Promise<string> {
    return #text in this ? (this.#consume("text") as Promise<string>) : nativeText.call(this);
  }

  json(): Promise<unknown> {
    return #text in this ? this.#consume("json") : nativeJson.call(this);
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return #text in this
      ? (this.#consume("arrayBuffer") as Promise<ArrayBuffer>)
      : native.arrayBuffer!.value.call(this);
  }

  bytes(): Promise<Uint8Array> {
    return #text in this ? (this.#consume("bytes") as Promise<Uint8Array>) : native.bytes!.value.call(this);
  }

  blob(): Promise<Blob> {
    return #text in this ? (this.#consume("blob") as Promise<Blob>) : native.blob!.value.call(this);
  }

  formData(): Promise<FormData> {
    return #text in this ? (this.#consume("formData") as Promise<FormData>) : native.formData!.value.call(this);
  }

  clone(): Request {
    return nativeClone.call(#text in this ? this.#toNative() : this);
  }

  get cache(): Request["cache"] {
    return #text in this ? "default" : native.cache!.get.call(this);
  }

  get credentials(): Request["credentials"] {
    return #text in this ? "include" : native.credentials!.get.call(this);
  }

  get destination(): string {
    return #text in this ? "" : native.destination!.get.call(this);
  }

  get integrity(): string {
    return #text in this ? "" : native.integrity!.get.call(this);
  }

  get mode(): Request["mode"] {
    return #text in this ? "cors" : native.mode!.get.call(this);
  }

  get redirect(): Request["redirect"] {
    return #text in this ? "follow" : native.redirect!.get.call(this);
  }

  get referrer(): string {
    return #text in this ? "" : native.referrer!.get.call(this);
  }

  get referrerPolicy(): string {
    return #text in this ? "" : native.referrerPolicy!.get.call(this);
  }

  /** The body as a stream of text. Only Bun has this method. */
  textStream(): unknown {
    return native.textStream!.value.call(#text in this ? this.#toNative() : this);
  }

  [Symbol.for("nodejs.util.inspect.custom")](): unknown {
    if (!(#text in this)) return this;
    const headers = Bun.inspect(this.headers).replaceAll("\n", "\n  ");
    return `Request (0 KB) {\n  method: "${this.#method}",\n  url: "${this.url}",\n  headers: ${headers}\n}`;
  }

  /**
   * Returns the native Request for this request. From the first call on, the native Request has the
   * body, and this object reads through it. So both see all bytes.
   */
  #toNative(): Request {
    const rare = (this.#rare ??= {});
    if (rare.native) return rare.native;
    const { headers, signal } = this;
    const body = this.#body;
    const init: Record<string, unknown> = { method: this.#method, headers, signal };
    if (body !== null) Object.assign(init, { body: body.used ? "used" : body.stream(), duplex: "half" });
    const url = URL.canParse(this.url) ? this.url : this.#urlWithin(this.#origin.defaultOrigin);
    rare.native = new NativeRequest(url, init as RequestInit);
    if (body?.used) nativeText.call(rare.native);
    return rare.native;
  }

  /** Whether somebody reads the body, has read it, or has a reader for it. */
  #isUsed(body: RequestBody): boolean {
    const made = this.#rare?.native;
    return made === undefined ? body.used : made.bodyUsed || made.body?.locked === true;
  }

  #consume(as: BodyForm): Promise<unknown> {
    const source = this.#body;
    const made = this.#rare?.native;
    if (made) {
      if (source !== null && this.#isUsed(source)) return Promise.reject(bodies().bodyAlreadyUsed());
      return native[as]!.value.call(made);
    }
    try {
      const body = source === null ? Buffer.alloc(0) : source.bytes();
      if (body instanceof Promise) return body.then((bytes) => this.#convert(bytes, as));
      return Promise.resolve(this.#convert(body, as));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Converts the body. `bytes` is a Buffer over memory that nobody else uses. */
  #convert(bytes: Buffer, as: BodyForm): unknown {
    switch (as) {
      case "text":
        return takeText(bytes);
      case "json": {
        const text = takeText(bytes);
        if (text === "") throw new SyntaxError("Unexpected end of JSON input");
        return JSON.parse(text);
      }
      case "bytes":
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      case "arrayBuffer":
        if (bytes.length === bytes.buffer.byteLength) return bytes.buffer;
        return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
      case "blob":
      case "formData": {
        // The native conversions, with their errors.
        const type = this.headers.get("content-type");
        return new NativeResponse(bytes, type === null ? {} : { headers: { "content-type": type } })[as]();
      }
    }
  }

  #buildUrl(): string {
    const host = this.#text.slice(this.#hostStart, this.#hostEnd);
    // Always http, because the request came over http. The scheme in the target does not count.
    return this.#urlWithin(host === "" ? this.#origin.defaultOrigin : `http://${host}`);
  }

  /** Builds the URL. `origin` has the form http://host. */
  #urlWithin(origin: string): string {
    const path = originForm(textOfTarget(this.#text.slice(this.#pathStart, this.#targetEnd)));
    const url = origin + path;
    return needsNormalizing(origin, path) ? normalizeUrl(url) : url;
  }

  #buildHeaders(): Headers {
    const text = this.#text;
    const headers = new Headers();
    let at = this.#headersStart;
    while (at < this.#headersEnd) {
      const lineEnd = text.indexOf("\r\n", at);
      if (lineEnd <= at) break; // The empty line that ends the head.
      const colon = text.indexOf(":", at);
      // Only SP and HTAB are white space. trim() would also remove U+00A0, a part of the value.
      let from = colon + 1;
      let to = lineEnd;
      while (isBlank(text.charCodeAt(from))) from++;
      while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
      headers.append(text.slice(at, colon), text.slice(from, to));
      at = lineEnd + 2;
    }
    // The target has the absolute form and names the host. The Host field must name the same host,
    // in the spelling of the URL.
    if (this.#hostStart < this.#headersStart && this.#hostEnd > this.#hostStart)
      headers.set("host", new URL(this.url).host);
    return headers;
  }
}

Object.defineProperty(RingRequest.prototype, Symbol.toStringTag, { value: "Request", configurable: true });
for (const name of Object.keys(native))
  if (name !== "constructor" && Object.hasOwn(RingRequest.prototype, name))
    Object.defineProperty(RingRequest.prototype, name, { enumerable: true });

/**
 * Makes the prototype of the ring's requests the parent of the native prototype. So native requests
 * inherit from it, and have the members that a program adds there. The methods of native requests
 * call the methods of the ring's prototype. The native requests keep their own prototype, because
 * native code has a fast path for requests with exactly that prototype.
 */
export function adoptNativeRequests(): void {
  const own = RingRequest.prototype as unknown as Record<string, Function>;
  const theirs = NativeRequest.prototype as unknown as Record<string, Function>;
  Object.setPrototypeOf(theirs, own);
  for (const name of ["text", "json", "arrayBuffer", "bytes", "blob", "formData", "clone", "textStream"])
    theirs[name] = {
      [name](this: Request, ...args: unknown[]): unknown {
        return Reflect.apply(own[name]!, this, args);
      },
    }[name]!;
}

/** Aborts a controller, which calls the program's listeners. */
function tellAborted(controller: AbortController): void {
  controller.abort();
}

/**
 * Returns the path and query of a target. The target may have no path (RFC 9112 section 3.2.1), or
 * be an asterisk that stands for the server itself.
 */
export function originForm(path: string): string {
  if (path.charCodeAt(0) === 47) return path;
  return path === "*" ? "/" : `/${path}`;
}

/**
 * Decodes the bytes of a target beyond ASCII as UTF-8, as Bun does; normalizing encodes them later.
 * Invalid bytes become U+FFFD.
 */
function textOfTarget(latin1: string): string {
  return /[\x80-\xff]/.test(latin1) ? Buffer.from(latin1, "latin1").utf8Slice() : latin1;
}

/**
 * Whether the URL standard writes the URL differently: dot segments, characters to encode, upper
 * case, the default port, unusual hosts.
 */
function needsNormalizing(origin: string, path: string): boolean {
  return (
    !/^http:\/\/(?:[a-z][a-z0-9.-]*|127\.0\.0\.1)(?::[1-9]\d{2,4})?$/.test(origin) ||
    /\/\.|%2e|["'<>\\^`{|}]|[^\0-\x7f]/i.test(path)
  );
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function normalizeUrl(url: string): string {
  return URL.canParse(url) ? new URL(url).href : url;
}
