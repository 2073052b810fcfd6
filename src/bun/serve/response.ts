/**
 * How a Response becomes bytes on a connection: the head, and where the body comes from.
 *
 * Guarantees: a body is sent once; exactly one of Content-Length, chunked coding or the connection's end delimits it (RFC 9112 section 6).
 */
import { isAscii } from "node:buffer";
import { lazily } from "../../sys/lazily.ts";
import { type Place, placeOf } from "./blob-place.ts";
import type { FileBody } from "./file-plan.ts";
import { BodyIterable, type DirectSource, directSourceOf } from "./body-iterable.ts";
import {
  bodilessLength,
  BYTES_TYPE,
  headFields,
  framingLines,
  type HeadParts,
  isBodiless,
  TEXT_TYPE,
} from "../../http/head.ts";
import { readFields } from "./own-fields.ts";
import { NativeReadableStream } from "./native-globals.ts";
import { inMemory, Memory, sourceOf } from "./tracked-response.ts";

const pumps = lazily(() => require("./body-pumps.ts") as typeof import("./body-pumps.ts"));
const filePlans = lazily(() => require("./file-plan.ts") as typeof import("./file-plan.ts"));

/** A body in memory, as text or as bytes that nobody else has, with the Content-Type that goes with it by default; or one that is yet to be read. */
export type BodySource =
  | { kind: "none" }
  | { kind: "text"; text: string; type: string }
  | { kind: "bytes"; bytes: Uint8Array; type: string }
  | { kind: "blob"; blob: Blob; place: Place }
  | StreamSource;

export interface StreamSource {
  kind: "stream";
  stream: ReadableStream;
  /** What the program made it of, for an iterable and a direct stream: `stream` is not to be read then. */
  made?: BodyIterable | DirectSource | undefined;
}

/** Takes the body out of a Response that is about to be sent. Throws a TypeError when it was sent or read before. */
export function takeBody(response: Response): BodySource {
  const known = Memory.has(response);
  const isUsed = response.bodyUsed && (!known || Memory.bodyOf(response) != null);
  if (Memory.markSent(response) ? Memory.bodyOf(response) != null : isUsed) {
    const error = new TypeError(
      "Response body already used. A Response body can only be sent once; create a new Response for each request.",
    );
    throw Object.assign(error, { code: "ERR_BODY_ALREADY_USED" });
  }
  if (!known) return takeUnknownBody(response);
  const body = Memory.bodyOf(response);
  if (body === null || body === undefined) return { kind: "none" };
  if (Memory.wasLookedAt(response)) {
    const taken = takeWrapped(response, response.body!);
    if (taken !== undefined) return taken;
  }
  if (typeof body === "string") return { kind: "text", text: body, type: body === "" ? "" : TEXT_TYPE };
  if (body instanceof NativeReadableStream)
    return takeWrapped(response, body) ?? takeStream(response, directSourceOf(body));
  if (body instanceof BodyIterable) return takeStream(response, body);
  if (body instanceof Blob) return takeBlob(response, body);
  if (body === inMemory || isMemory(body)) {
    const bytes = Bun.peek(response.bytes());
    if (bytes instanceof Uint8Array) return { kind: "bytes", bytes, type: body === inMemory ? "" : BYTES_TYPE };
  }
  // Whatever else a program gives, native code has made a text of it.
  const text = Bun.peek(response.text());
  if (typeof text === "string") return { kind: "text", text, type: text === "" ? "" : TEXT_TYPE };
  throw new TypeError("the body of a Response must be one that Bun knows");
}

/**
 * The body of another Response, `new Response(other.body)`, or of one whose own `body` the program has looked at: as in Bun it is what it was made of,
 * without a type of its own if that had none.
 */
function takeWrapped(response: Response, stream: ReadableStream): BodySource | undefined {
  const source = sourceOf(stream);
  if (source === undefined || stream.locked) return undefined;
  // Read at once, since native code has all of it.
  if (!(source instanceof Blob) && !isForm(source)) {
    const bytes = Bun.peek(response.bytes() as Promise<Uint8Array>) as Uint8Array;
    return { kind: "bytes", bytes, type: bytes.length === 0 ? "" : BYTES_TYPE };
  }
  const blob = Bun.peek(response.blob() as Promise<unknown>) as Blob;
  const place = placeOf(blob);
  if (place !== "memory") return { kind: "blob", blob, place };
  const bytes = Bun.peek(blob.bytes()) as Uint8Array;
  const isTyped = !(source instanceof Blob) || source.type !== "";
  return { kind: "bytes", bytes, type: isTyped ? blob.type : bytes.length === 0 ? "" : BYTES_TYPE };
}

function isForm(body: unknown): boolean {
  return body instanceof FormData || body instanceof URLSearchParams;
}

function isMemory(body: unknown): boolean {
  return ArrayBuffer.isView(body) || body instanceof ArrayBuffer || body instanceof SharedArrayBuffer || isForm(body);
}

function takeBlob(response: Response, blob: Blob): BodySource {
  const place = placeOf(blob);
  if (place !== "memory") return { kind: "blob", blob, place };
  const bytes = Bun.peek(response.bytes());
  if (!(bytes instanceof Uint8Array)) throw new TypeError("the body of a Response must be a Blob that Bun knows");
  return { kind: "bytes", bytes, type: blob.type || typeOfUntyped(bytes) };
}

/**
 * A Blob without a type is text where it was made of ASCII strings, for Bun. A Blob does not tell what it was made of, so ASCII counts. An empty
 * one has no type.
 */
function typeOfUntyped(bytes: Uint8Array): string {
  if (bytes.length === 0) return "";
  return isAscii(bytes) ? TEXT_TYPE : BYTES_TYPE;
}

/**
 * A Response that native code made, or that was made before responses were remembered. Only its picture for people tells whether
 * it holds a stream, and reading it to find out would start that stream.
 */
function takeUnknownBody(response: Response): BodySource {
  if (/^ {2}(?:Blob|FileRef|S3Ref) \(/m.test(Bun.inspect(response))) {
    const blob = Bun.peek(response.clone().blob());
    if (blob instanceof Blob) return takeBlob(response, blob);
  }
  return takeStream(response);
}

function takeStream(response: Response, made?: StreamSource["made"]): BodySource {
  const stream = response.body;
  return stream === null ? { kind: "none" } : { kind: "stream", stream, made };
}

// ---- plans -------------------------------------------------------------------------------------------------------

/** What a response must fit: the request it answers, and the connection. */
export interface ResponseContext {
  /** The answer to HEAD: the same head, no body. */
  isHead: boolean;
  /** The client speaks HTTP/1.0: no chunked coding. */
  http10: boolean;
  /** Whether the connection may stay open afterwards. */
  keepAlive: boolean;
  /** The fields of a GET or HEAD request that may be conditional or ask for a range. */
  conditions?: Headers | undefined;
  /** Values of Set-Cookie fields besides the response's own. */
  cookies?: string[] | undefined;
}

/** A body that is yet to be made. */
export interface StreamBody extends StreamSource {
  /** The head, without the lines that frame the body: what it ends with shows when the body does. */
  fields: string;
  http10: boolean;
}

/** What is to be sent. */
export interface ResponsePlan {
  head: string;
  body:
    | { kind: "none" }
    | { kind: "text"; text: string }
    | { kind: "bytes"; bytes: Uint8Array; once: boolean }
    | StreamBody
    | FileBody;
  /** Content-Length, or undefined without that field. */
  contentLength: number | undefined;
  chunked: boolean;
  keepAlive: boolean;
}

/** Decides how a response is framed, and takes its body. Throws a TypeError for a Response that cannot be sent, or an error of its file. */
export function planResponse(response: Response, context: ResponseContext, date: string): ResponsePlan {
  const own = readFields(response); // Before the body is taken: the type of a form goes with it.
  const { status, statusText } = response;
  const { isHead, http10, cookies } = context;
  const keepAlive = context.keepAlive && !own.close;
  let moreLines = "";
  if (cookies) for (const cookie of cookies) moreLines += `Set-Cookie: ${cookie}\r\n`;
  const parts: HeadParts = { status, statusText, fields: own.fields, names: own.names, defaultType: "", moreLines };
  let body = takeBody(response);
  if (body.kind === "blob") {
    const { blob, place } = body;
    parts.defaultType = blob.type;
    // As in Bun, the client fetches an object in S3 by itself.
    const { presign } = blob as Partial<Bun.S3File>;
    if (typeof presign === "function") return planResponse(Response.redirect(presign.call(blob)), context, date);
    const plan =
      place === "file" ? filePlans().planHandlersFile(blob, parts, { ...context, keepAlive }, date) : undefined;
    if (plan) return plan;
    body = { kind: "stream", stream: blob.stream() as ReadableStream };
  }
  const bodiless = isBodiless(status);
  let contentLength: number | undefined;
  const isEmpty = body.kind === "none" || (body.kind === "text" && body.text === "");
  if (isEmpty) contentLength = isHead ? own.contentLength : 0;
  if (isEmpty && isHead && contentLength === undefined) {
    // As in Bun, a program that stands for another server answers HEAD as that one does.
    if (own.transferEncoding === undefined || bodiless || http10) contentLength = 0;
    else parts.moreLines += `Transfer-Encoding: ${own.transferEncoding}\r\n`;
  } else if (body.kind === "text" && !isEmpty) contentLength = Buffer.byteLength(body.text);
  else if (body.kind === "bytes") contentLength = body.bytes.length;
  if (bodiless) contentLength = status === 304 ? own.contentLength : bodilessLength(status);
  const isOpen = body.kind === "stream" && !bodiless && contentLength === undefined;
  const framing = {
    contentLength,
    chunked: isOpen && !http10,
    // Without a length and chunks, the connection's end is the body's.
    keepAlive: keepAlive && !(isOpen && http10),
    http10,
  };
  if (bodiless) parts.defaultType = "";
  else if (body.kind === "text" || body.kind === "bytes") parts.defaultType = body.type;
  const fields = headFields(parts, date);
  const head = fields + framingLines(framing);
  if (isHead || bodiless) {
    if (body.kind === "stream") cancelUnread(body);
    return { ...framing, head, body: { kind: "none" } };
  }
  if (body.kind === "bytes") return { ...framing, head, body: { kind: "bytes", bytes: body.bytes, once: true } };
  if (body.kind === "stream") return { ...framing, head, body: { ...body, fields, http10 } };
  return { ...framing, head, body };
}

/** Nobody will want the body. An iterable has not begun, and has nothing to end. */
export function cancelUnread({ stream, made }: StreamSource): void {
  if (made === undefined) stream.cancel().catch(() => {});
  else if (!(made instanceof BodyIterable)) pumps().cancelDirect(made, undefined);
}
