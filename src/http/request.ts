/**
 * The Request that a handler gets: a real one to everybody who asks, built only as far as it is asked.
 *
 * Guarantees: `instanceof Request`; `new Request(request)` and `fetch(request)` work, since they read properties, all of which are
 * here; valid after the handler has returned, since nothing in it refers to a receive buffer. What is asked rarely (`signal`, `cache`,
 * `clone` and so on) comes from a native Request made on first demand.
 */
import type { RequestBody } from "./body.ts";

/** Where a request came from, for `server.requestIP` and `server.timeout`. */
export interface RequestOrigin {
  /** Scheme and authority when the request names none, such as "http://localhost:3000". */
  readonly defaultOrigin: string;
}

/** The parts of a request's head, as positions in `text`, one character for each byte. */
export interface HeadPositions {
  text: string;
  targetStart: number;
  targetEnd: number;
  headersStart: number;
  headersEnd: number;
  hostStart: number;
  hostEnd: number;
}

export class RingRequest {
  readonly method: string;
  /** @internal */ readonly origin: RequestOrigin;
  /** @internal */ readonly requestBody: RequestBody | null;

  #text: string;
  #targetStart: number;
  #targetEnd: number;
  #headersStart: number;
  #headersEnd: number;
  #hostStart: number;
  #hostEnd: number;
  #url: string | undefined;
  #headers: Headers | undefined;
  #native: Request | undefined;
  #abort: AbortController | undefined;
  #aborted = false;

  constructor(
    origin: RequestOrigin,
    method: string,
    text: string,
    base: number,
    head: Omit<HeadPositions, "text" | "headersEnd">,
    headersEnd: number,
    body: RequestBody | null,
  ) {
    this.origin = origin;
    this.method = method;
    this.requestBody = body;
    this.#text = text;
    this.#targetStart = base + head.targetStart;
    this.#targetEnd = base + head.targetEnd;
    this.#headersStart = base + head.headersStart;
    this.#headersEnd = headersEnd;
    this.#hostStart = base + head.hostStart;
    this.#hostEnd = base + head.hostEnd;
  }

  /** @internal The client is gone. */
  static abort(request: RingRequest): void {
    request.#aborted = true;
    request.#abort?.abort();
  }

  get url(): string {
    return (this.#url ??= this.#buildUrl());
  }

  get headers(): Headers {
    return (this.#headers ??= this.#buildHeaders());
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.requestBody?.stream() ?? null;
  }

  get bodyUsed(): boolean {
    return this.requestBody?.used ?? false;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#aborted) this.#abort.abort();
    }
    return this.#abort.signal;
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
    if (this.#native) return this.#native.clone() as Request;
    if (!this.requestBody) return new Request(this.url, this.#init());
    if (this.requestBody.used) throw new TypeError("Body already used");
    // From here on the native Request owns the body, and this object reads through it: both must see all bytes.
    this.#native = new Request(this.url, {
      ...this.#init(),
      body: this.requestBody.stream(),
      duplex: "half",
    } as RequestInit);
    return this.#native.clone() as Request;
  }

  get cache(): Request["cache"] {
    return "default";
  }

  get credentials(): Request["credentials"] {
    return "same-origin";
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

  #init(): RequestInit {
    return { method: this.method, headers: this.headers, signal: this.signal };
  }

  async #consume(as: "text" | "json" | "arrayBuffer" | "bytes" | "blob" | "formData"): Promise<unknown> {
    if (this.#native) return this.#native[as]();
    const { requestBody } = this;
    const bytes = requestBody ? await requestBody.bytes() : Buffer.alloc(0);
    if (as === "text") return new TextDecoder().decode(bytes);
    const type = this.headers.get("content-type");
    // The native conversions, with their errors.
    return new Response(bytes, type === null ? {} : { headers: { "content-type": type } })[as]();
  }

  #buildUrl(): string {
    const text = this.#text;
    const target = text.slice(this.#targetStart, this.#targetEnd);
    if (target[0] !== "/" && target !== "*") return normalizeUrl(target); // absolute-form
    const path = target === "*" ? "/" : target;
    const host = text.slice(this.#hostStart, this.#hostEnd);
    const origin = host === "" ? this.origin.defaultOrigin : `http://${host}`;
    return needsNormalizing(path) || host !== host.toLowerCase() ? normalizeUrl(origin + path) : origin + path;
  }

  #buildHeaders(): Headers {
    const text = this.#text;
    const headers = new Headers();
    let at = this.#headersStart;
    while (at < this.#headersEnd) {
      const lineEnd = text.indexOf("\r\n", at);
      if (lineEnd <= at) break; // The empty line that ends the head.
      const colon = text.indexOf(":", at);
      headers.append(text.slice(at, colon), text.slice(colon + 1, lineEnd).trim());
      at = lineEnd + 2;
    }
    return headers;
  }
}

Object.setPrototypeOf(RingRequest.prototype, Request.prototype);
Object.defineProperty(RingRequest.prototype, Symbol.toStringTag, { value: "Request", configurable: true });

/** Dot segments and characters that the URL standard encodes. */
function needsNormalizing(path: string): boolean {
  return path.includes("/.") || path.includes("%2e") || path.includes("%2E") || /["<>\\^`{|}]/.test(path);
}

function normalizeUrl(url: string): string {
  return URL.canParse(url) ? new URL(url).href : url;
}
