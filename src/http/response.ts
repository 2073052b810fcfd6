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
  | { kind: "stream"; stream: ReadableStream; bytes: number | undefined; type: string };

export const TEXT_TYPE = "text/plain;charset=utf-8";
const BYTES_TYPE = "application/octet-stream";

/** Status codes whose responses have no body (RFC 9110 section 6.4.1). */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 304 || (status >= 100 && status < 200);
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
  return { kind: "stream", stream: response.body!, bytes: blob.size === Infinity ? undefined : blob.size, type };
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
  return stream === null ? { kind: "none" } : { kind: "stream", stream, bytes: undefined, type: "" };
}

// ---- heads -------------------------------------------------------------------------------------------------------

/** What a head says about the body's end. */
export interface Framing {
  /** Content-Length, or undefined to send none. */
  contentLength: number | undefined;
  chunked: boolean;
  /** Whether the connection stays open afterwards. */
  keepAlive: boolean;
  /** The client speaks HTTP/1.0. */
  http10: boolean;
}

/** Fields that say how this connection is used, which is not the handler's business. */
const ownFields = new Set(["connection", "content-length", "keep-alive", "transfer-encoding"]);

/** What a response's own fields say of its framing: whether it asks to close, and the length it promises for a stream. */
export interface ResponseFields {
  fields: Record<string, string | string[]>;
  close: boolean;
  contentLength: number | undefined;
}

export function readFields(response: Response): ResponseFields {
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
  const { status } = response;
  let head = `HTTP/1.1 ${status} ${response.statusText || (reasons[status] ?? "")}\r\n`;
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
  private second = -1;
  private text = "";
  private plain: string[] = [];

  /** IMF-fixdate (RFC 9110 section 5.6.7). `nowMs` is performance.now(). */
  date(nowMs: number): string {
    const second = Math.floor((performance.timeOrigin + nowMs) / 1000);
    if (second !== this.second) {
      this.second = second;
      this.text = new Date(second * 1000).toUTCString();
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
