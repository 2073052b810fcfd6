/**
 * How a Response becomes bytes on a connection: the head, and where the body comes from.
 *
 * Guarantees: exactly one of Content-Length, chunked coding or the connection's end delimits each body (RFC 9112 section 6);
 * header names and values come from a native Headers, which refuses CR, LF and NUL, so a response cannot be split.
 */
import { fieldsOf, inMemory, Memory } from "./tracked-response.ts";

/** A body in memory, as text or bytes, with the Content-Type that goes with it by default; or one that is yet to be read. */
export type BodySource =
  | { kind: "none" }
  | { kind: "text"; text: string; type: string }
  | { kind: "bytes"; bytes: Uint8Array; type: string }
  | StreamBody;

export interface StreamBody {
  kind: "stream";
  stream: ReadableStream;
  /** The length, where it is known beforehand. */
  bytes: number | undefined;
  type: string;
  /** It may turn out to be missing at the first read, before which nothing is to be sent. */
  file: boolean;
}

export const TEXT_TYPE = "text/plain;charset=utf-8";
const BYTES_TYPE = "application/octet-stream";

/** Status codes whose responses have no body (RFC 9110 section 6.4.1). */
function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304 || (status >= 100 && status < 200);
}

/** Takes the body out of a Response that is about to be sent. Throws a TypeError when it was sent or read before. */
export function takeBody(response: Response): BodySource {
  const known = Memory.has(response);
  if (response.bodyUsed || (Memory.markSent(response) && Memory.bodyOf(response) != null)) {
    throw new TypeError(
      "Response body already used. A Response body can only be sent once; create a new Response for each request.",
    );
  }
  if (!known) return takeUnknownBody(response);
  const body = Memory.bodyOf(response);
  if (body === null || body === undefined) return { kind: "none" };
  if (typeof body === "string") return { kind: "text", text: body, type: TEXT_TYPE };
  if (body instanceof Blob) return takeBlob(response, body);
  if (body === inMemory || isMemory(body)) {
    const bytes = Bun.peek(response.bytes());
    if (bytes instanceof Uint8Array) return { kind: "bytes", bytes, type: body === inMemory ? "" : BYTES_TYPE };
  }
  return takeStream(response);
}

function isMemory(body: unknown): boolean {
  return (
    ArrayBuffer.isView(body) ||
    body instanceof ArrayBuffer ||
    body instanceof SharedArrayBuffer ||
    body instanceof FormData ||
    body instanceof URLSearchParams
  );
}

/** A Blob is in memory, or a file whose size is known before it is read. */
function takeBlob(response: Response, blob: Blob): BodySource {
  const { type } = blob;
  if (!isFile(blob)) {
    const bytes = Bun.peek(response.bytes());
    if (bytes instanceof Uint8Array) return { kind: "bytes", bytes, type: type || BYTES_TYPE };
  }
  const bytes = blob.size === Infinity ? undefined : blob.size;
  return { kind: "stream", stream: response.body!, bytes, type, file: isFile(blob) };
}

function isFile(blob: Blob): boolean {
  return typeof (blob as Bun.BunFile).exists === "function" && (blob as Bun.BunFile).name !== undefined;
}

/**
 * A Response that native code made, or that was made before responses were remembered. Only its picture for people tells whether
 * it holds a stream, and reading it to find out would start that stream.
 */
function takeUnknownBody(response: Response): BodySource {
  if (/^ {2}Blob \(/m.test(Bun.inspect(response))) {
    const blob = Bun.peek(response.clone().blob());
    const bytes = Bun.peek(response.bytes());
    if (blob instanceof Blob && bytes instanceof Uint8Array)
      return { kind: "bytes", bytes, type: blob.type || BYTES_TYPE };
  }
  return takeStream(response);
}

function takeStream(response: Response): BodySource {
  const stream = response.body;
  return stream === null ? { kind: "none" } : { kind: "stream", stream, bytes: undefined, type: "", file: false };
}

// ---- heads -------------------------------------------------------------------------------------------------------

/** How the exchange that a response belongs to limits it. */
export interface Exchange {
  /** The answer to HEAD: the same head, no body. */
  isHead: boolean;
  /** The client speaks HTTP/1.0: no chunked coding. */
  http10: boolean;
  /** Whether the connection may stay open afterwards. */
  keepAlive: boolean;
}

/** What is to be sent. */
export interface ResponsePlan {
  head: string;
  body: BodySource;
  /** Content-Length, or undefined without that field. */
  contentLength: number | undefined;
  chunked: boolean;
  keepAlive: boolean;
}

/** Decides how a response is framed, and takes its body. Throws a TypeError for a Response that cannot be sent. */
export function planResponse(response: Response, exchange: Exchange, date: string): ResponsePlan {
  const own = readFields(response); // Before the body is taken: the type of a form goes with it.
  const { status } = response;
  const { isHead, http10 } = exchange;
  let body = takeBody(response);
  const { type } = { type: "", ...body };
  let contentLength: number | undefined;
  if (body.kind === "none") contentLength = isHead ? (own.contentLength ?? 0) : 0;
  else if (body.kind === "text") contentLength = Buffer.byteLength(body.text);
  else if (body.kind === "bytes") contentLength = body.bytes.length;
  else contentLength = body.bytes ?? own.contentLength;
  const bodiless = isBodiless(status);
  if (status === 205) contentLength = 0;
  else if (bodiless) contentLength = status === 304 ? own.contentLength : undefined;
  const isStream = body.kind === "stream" && !bodiless;
  const chunked = isStream && contentLength === undefined && !http10;
  // Without a length and chunks, the connection's end is the body's.
  const endsByClosing = isStream && contentLength === undefined && http10;
  const keepAlive = exchange.keepAlive && !own.close && !endsByClosing;
  const head = buildHead(response, own, bodiless ? "" : type, { contentLength, chunked, keepAlive, http10 }, date);
  if (isHead || bodiless) {
    if (body.kind === "stream") body.stream.cancel().catch(() => {});
    body = { kind: "none" };
  }
  return { head, body, contentLength, chunked, keepAlive };
}

/** What a head says about the body's end. */
interface Framing {
  contentLength: number | undefined;
  chunked: boolean;
  keepAlive: boolean;
  http10: boolean;
}

/** Fields that say how this connection is used, which is not the handler's business. */
const ownFields = new Set(["connection", "content-length", "keep-alive", "transfer-encoding"]);

/** What a response's own fields say of its framing: whether it asks to close, and the length it promises for a stream. */
interface ResponseFields {
  fields: Record<string, string | string[]>;
  close: boolean;
  contentLength: number | undefined;
}

function readFields(response: Response): ResponseFields {
  const fields = fieldsOf(response);
  const { connection, "content-length": length } = fields;
  return {
    fields,
    close: typeof connection === "string" && /(^|,)\s*close\s*(,|$)/i.test(connection),
    contentLength: typeof length === "string" && /^\d{1,15}$/.test(length) ? Number(length) : undefined,
  };
}

export function buildHead(
  response: Response,
  { fields }: ResponseFields,
  defaultType: string,
  framing: Framing,
  date: string,
): string {
  const { status, statusText } = response;
  if (status < 100) throw new TypeError(`a Response of status ${status} (Response.error()) cannot be sent`);
  // RFC 9112 section 4. Bun checks the values of fields, but not this.
  if (/[^\t\x20-\x7e\x80-\xff]/.test(statusText))
    throw new TypeError(
      `statusText must not have control characters or characters beyond U+00FF: ${JSON.stringify(statusText)}`,
    );
  let head = `HTTP/1.1 ${status} ${statusText || (reasons[status] ?? "")}\r\n`;
  let hasType = false;
  let hasDate = false;
  for (const name in fields) {
    if (ownFields.has(name)) continue;
    const value = fields[name]!;
    if (typeof value === "string") head += `${name}: ${value}\r\n`;
    else for (const each of value) head += `${name}: ${each}\r\n`;
    if (name === "content-type") hasType = true;
    else if (name === "date") hasDate = true;
  }
  if (!hasType && defaultType !== "") head += `Content-Type: ${defaultType}\r\n`;
  if (!hasDate) head += `Date: ${date}\r\n`;
  if (framing.chunked) head += "Transfer-Encoding: chunked\r\n";
  else if (framing.contentLength !== undefined) head += `Content-Length: ${framing.contentLength}\r\n`;
  if (!framing.keepAlive) head += "Connection: close\r\n";
  else if (framing.http10) head += "Connection: keep-alive\r\n";
  return `${head}\r\n`;
}

/** RFC 9110 section 15 and the registry. */
export const reasons: Record<number, string> = {
  100: "Continue",
  101: "Switching Protocols",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  208: "Already Reported",
  226: "IM Used",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  305: "Use Proxy",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  418: "I'm a Teapot",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  506: "Variant Also Negotiates",
  507: "Insufficient Storage",
  508: "Loop Detected",
  510: "Not Extended",
  511: "Network Authentication Required",
};

// ---- the common case ---------------------------------------------------------------------------------------------

/** The current Date field, and whole heads that differ in it and in Content-Length alone. */
export class HeadCache {
  /** performance.now() from which the text is out of date. */
  private validUntilMs = -Infinity;
  private text = "";
  private plain: string[] = [];

  /** IMF-fixdate (RFC 9110 section 5.6.7). `nowMs` is performance.now(). */
  date(nowMs: number): string {
    if (nowMs >= this.validUntilMs) {
      // The clocks are compared anew each second, so that a wall clock that was set shows.
      const wallMs = nowMs + Date.now() - performance.now();
      this.validUntilMs = nowMs + 1000 - (wallMs % 1000);
      this.text = new Date(wallMs).toUTCString();
      this.plain = [];
    }
    return this.text;
  }

  /** The head of a text of `bytes` bytes with status 200 and no headers of its own, on a connection that stays open. */
  plainText(nowMs: number, bytes: number): string {
    const date = this.date(nowMs);
    const cached = bytes < 4096 ? this.plain[bytes] : undefined;
    if (cached !== undefined) return cached;
    const head = `HTTP/1.1 200 OK\r\nContent-Type: ${TEXT_TYPE}\r\nDate: ${date}\r\nContent-Length: ${bytes}\r\n\r\n`;
    if (bytes < 4096) this.plain[bytes] = head;
    return head;
  }
}
