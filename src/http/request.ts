/**
 * The Request that a handler gets: a real one to everybody who asks, built only as far as it is asked.
 *
 * Guarantees: `instanceof Request`; `new Request(request)` and `fetch(request)` work, since they read properties, all of which are
 * here; valid after the handler has returned, since nothing in it refers to a receive buffer. Who looks at the body as a stream, or
 * copies the request, gets a native Request made on first demand.
 */
import type { RequestBody } from "./body.ts";
import { currentContext } from "../sys/async-context.ts";
import { NativeRequest, NativeResponse, toNative } from "./native-globals.ts";

type BodyForm = "text" | "json" | "arrayBuffer" | "bytes" | "blob" | "formData";

/** Where a request came from, for `server.requestIP` and `server.timeout`. */
export interface RequestOrigin {
  /** Scheme and authority when the request names none, such as "http://localhost:3000". */
  readonly defaultOrigin: string;
}

/** The parts of a request's head, as offsets from its first byte. */
export interface HeadPositions {
  pathStart: number;
  targetEnd: number;
  headersStart: number;
  hostStart: number;
  hostEnd: number;
}

export class RingRequest {
  readonly method: string;
  /** @internal */ readonly origin: RequestOrigin;
  /** @internal */ readonly requestBody: RequestBody | null;

  #text: string;
  #pathStart: number;
  #targetEnd: number;
  #headersStart: number;
  #headersEnd: number;
  #hostStart: number;
  #hostEnd: number;
  #url: string | undefined;
  #headers: Headers | undefined;
  /** What few ask for. */
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
    this.origin = origin;
    this.method = method;
    this.requestBody = body;
    this.#text = text;
    this.#pathStart = base + head.pathStart;
    this.#targetEnd = base + head.targetEnd;
    this.#headersStart = base + head.headersStart;
    this.#headersEnd = headersEnd;
    this.#hostStart = base + head.hostStart;
    this.#hostEnd = base + head.hostEnd;
  }

  /** @internal The client is gone. */
  static abort(request: RingRequest): void {
    (request.#rare ??= {}).aborted = true;
    const { abort } = request.#rare;
    if (abort !== undefined) currentContext()(tellAborted, abort);
  }

  /** @internal Its connection is another protocol's from here on, and no response is due. */
  static handOver(request: RingRequest): void {
    (request.#rare ??= {}).handedOver = true;
  }

  /** @internal */
  static isHandedOver(request: RingRequest): boolean {
    return request.#rare?.handedOver === true;
  }

  get url(): string {
    return (this.#url ??= this.#buildUrl());
  }

  get headers(): Headers {
    return (this.#headers ??= this.#buildHeaders());
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.requestBody === null ? null : (this.#toNative().body as ReadableStream<Uint8Array>);
  }

  get bodyUsed(): boolean {
    return this.#rare?.native?.bodyUsed ?? this.requestBody?.used ?? false;
  }

  get signal(): AbortSignal {
    const rare = (this.#rare ??= {});
    if (!rare.abort) {
      rare.abort = new AbortController();
      if (rare.aborted) rare.abort.abort();
    }
    return rare.abort.signal;
  }

  text(): Promise<string> {
    return this.#consume("text") as Promise<string>;
  }

  json(): Promise<unknown> {
    return this.#consume("json");
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#consume("arrayBuffer") as Promise<ArrayBuffer>;
  }

  bytes(): Promise<Uint8Array> {
    return this.#consume("bytes") as Promise<Uint8Array>;
  }

  blob(): Promise<Blob> {
    return this.#consume("blob") as Promise<Blob>;
  }

  formData(): Promise<FormData> {
    return this.#consume("formData") as Promise<FormData>;
  }

  clone(): Request {
    return this.#toNative().clone() as Request;
  }

  /** @internal */
  [toNative](): Request {
    return this.#toNative();
  }

  get cache(): Request["cache"] {
    return "default";
  }

  get credentials(): Request["credentials"] {
    return "include";
  }

  get destination(): string {
    return "";
  }

  get integrity(): string {
    return "";
  }

  get keepalive(): boolean {
    return false;
  }

  get mode(): Request["mode"] {
    return "cors";
  }

  get redirect(): Request["redirect"] {
    return "follow";
  }

  get referrer(): string {
    return "";
  }

  get referrerPolicy(): string {
    return "";
  }

  toJSON(): object {
    return { method: this.method, url: this.url, headers: this.headers };
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Request ${Bun.inspect({ method: this.method, url: this.url, headers: this.headers })}`;
  }

  /** From its first use on, the native Request owns the body, and this object reads through it, so that both see all bytes. */
  #toNative(): Request {
    const rare = (this.#rare ??= {});
    if (rare.native) return rare.native;
    const { method, headers, signal, requestBody } = this;
    if (requestBody?.used) throw new TypeError("Body already used");
    const body = requestBody && { body: requestBody.stream(), duplex: "half" };
    // The native constructor itself: the global one asks this function.
    return (rare.native = new NativeRequest(this.url, { method, headers, signal, ...body } as RequestInit));
  }

  #consume(as: BodyForm): Promise<unknown> {
    if (this.#rare?.native) return this.#rare.native[as]();
    const { requestBody } = this;
    try {
      const body = requestBody === null ? Buffer.alloc(0) : requestBody.bytes();
      if (body instanceof Promise) return body.then((bytes) => this.#convert(bytes, as));
      return Promise.resolve(this.#convert(body, as));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `bytes` is a Buffer with memory of its own, or several joined. */
  #convert(bytes: Buffer, as: BodyForm): unknown {
    switch (as) {
      case "text":
        return textOf(bytes);
      case "json":
        return JSON.parse(textOf(bytes));
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
    const text = this.#text;
    const path = originForm(text.slice(this.#pathStart, this.#targetEnd));
    const host = text.slice(this.#hostStart, this.#hostEnd);
    // http whatever the target says: that is how the request came.
    const url = (host === "" ? this.origin.defaultOrigin : `http://${host}`) + path;
    return needsNormalizing(host, path) ? normalizeUrl(url) : url;
  }

  #buildHeaders(): Headers {
    const text = this.#text;
    const headers = new Headers();
    let at = this.#headersStart;
    while (at < this.#headersEnd) {
      const lineEnd = text.indexOf("\r\n", at);
      if (lineEnd <= at) break; // The empty line that ends the head.
      const colon = text.indexOf(":", at);
      // Only SP and HTAB are white space here; trim() would take U+00A0, which is part of the value.
      let from = colon + 1;
      let to = lineEnd;
      while (isBlank(text.charCodeAt(from))) from++;
      while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
      headers.append(text.slice(at, colon), text.slice(from, to));
      at = lineEnd + 2;
    }
    // The host in the target's absolute-form: the field must not say another one.
    if (this.#hostStart < this.#headersStart && this.#hostEnd > this.#hostStart)
      headers.set("host", text.slice(this.#hostStart, this.#hostEnd));
    return headers;
  }
}

Object.setPrototypeOf(RingRequest.prototype, NativeRequest.prototype);
// A program that looks finds the class that it knows.
Object.defineProperty(RingRequest.prototype, "constructor", { get: () => globalThis.Request, configurable: true });
Object.defineProperty(RingRequest.prototype, Symbol.toStringTag, { value: "Request", configurable: true });

/** Calls a program's listeners. */
function tellAborted(controller: AbortController): void {
  controller.abort();
}

/** A target's path and query, where there may be no path (RFC 9112 section 3.2.1), or an asterisk for the server itself. */
export function originForm(path: string): string {
  if (path.charCodeAt(0) === 47) return path;
  return path === "*" ? "/" : `/${path}`;
}

/** Whether the URL standard writes it differently: dot segments, encoded characters, upper case, the default port, odd hosts. */
function needsNormalizing(host: string, path: string): boolean {
  return !/^(?:[a-z][a-z0-9.-]*|127\.0\.0\.1)?(?::[1-9]\d{2,4})?$/.test(host) || /\/\.|%2e|["'<>\\^`{|}]/i.test(path);
}

/** UTF-8 without its byte order mark; what is not valid becomes U+FFFD (the Encoding standard's "UTF-8 decode"). */
function textOf(bytes: Buffer): string {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.utf8Slice(hasMark ? 3 : 0, bytes.length);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function normalizeUrl(url: string): string {
  return URL.canParse(url) ? new URL(url).href : url;
}
