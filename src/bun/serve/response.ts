/**
 * Plans how a Response becomes bytes on a connection: the head, and the source of the body.
 *
 * Guarantees: a body is sent once. Exactly one of Content-Length, chunked coding or the end of the
 * connection delimits it (RFC 9112 section 6).
 */
import { withCode } from "../../sys/check.ts";
import { isAscii } from "node:buffer";
import { lazily } from "../../sys/lazily.ts";
import { type Place, placeOf } from "./blob-place.ts";
import { fetchedBytesInMemory, isWhole } from "./fetched-response.ts";
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
import { inMemory, Memory, PlainJson, sourceOf } from "./tracked-response.ts";

const pumps = lazily(() => require("./body-pumps.ts") as typeof import("./body-pumps.ts"));
const filePlans = lazily(() => require("./file-plan.ts") as typeof import("./file-plan.ts"));

/**
 * The source of a body: text or bytes in memory that nobody else uses, with their default
 * Content-Type, or a Blob or stream that is still to be read.
 */
export type BodySource =
  | { kind: "none" }
  | { kind: "text"; text: string; type: string }
  | { kind: "bytes"; bytes: Uint8Array; type: string }
  | { kind: "blob"; blob: Blob; place: Place }
  | StreamSource;

export interface StreamSource {
  kind: "stream";
  stream: ReadableStream;
  /**
   * The iterable or direct source that the program gave. If it is set, nobody may read `stream`.
   */
  made?: BodyIterable | DirectSource | undefined;
  /** The default Content-Type. Undefined for none. */
  type?: string | undefined;
}

/**
 * Takes the body out of a Response before it is sent. Throws a TypeError if the Response was sent
 * or read before, and an Error if somebody reads its stream.
 */
export function takeBody(response: Response): BodySource {
  const known = Memory.has(response);
  const isUsed = response.bodyUsed;
  const wasSent = Memory.markSent(response);
  if ((isUsed || wasSent) && !(known && Memory.bodyOf(response) == null)) {
    const rest = wasSent ? undefined : takeRest(response);
    if (rest !== undefined) return rest;
    const error = new TypeError(
      "Response body already used. A Response body can only be sent once; create a new Response for each request.",
    );
    throw withCode("ERR_BODY_ALREADY_USED", error);
  }
  if (!known) return takeUnknownBody(response);
  const body = Memory.bodyOf(response);
  if (body === null || body === undefined) return { kind: "none" };
  if (Memory.wasLookedAt(response)) {
    const taken = takeWrapped(response, response.body!);
    if (taken !== undefined) return taken;
  }
  if (typeof body === "string") return { kind: "text", text: body, type: body === "" ? "" : TEXT_TYPE };
  if (body instanceof PlainJson) return { kind: "text", text: body.text, type: "" };
  if (body instanceof NativeReadableStream)
    return takeWrapped(response, body) ?? takeStream(response, directSourceOf(body));
  if (body instanceof BodyIterable) return takeStream(response, body);
  if (body instanceof Blob) return takeBlob(response, body);
  if (body === inMemory || isMemory(body)) {
    const bytes = Bun.peek(response.bytes());
    if (bytes instanceof Uint8Array) return { kind: "bytes", bytes, type: body === inMemory ? "" : BYTES_TYPE };
  }
  // Native code has made a text of any other value that a program gives.
  const text = Bun.peek(response.text());
  if (typeof text === "string") return { kind: "text", text, type: text === "" ? "" : TEXT_TYPE };
  throw new TypeError("the body of a Response must be one that Bun knows");
}

/**
 * Takes what is left of a body whose stream the program has used, as Bun does. Returns undefined if
 * the program has read the body without its stream.
 */
function takeRest(response: Response): BodySource | undefined {
  const hasStream = Memory.hasStream(response);
  const stream = response.body;
  if (stream !== null && !stream.locked) return { kind: "stream", stream };
  if (hasStream) throw pumps().streamInUse();
  return undefined;
}

/**
 * Takes the body of another Response, as in `new Response(other.body)`, or of a Response whose
 * property `body` the program has read. As in Bun, the body is sent as the value that it was made
 * of. It gets no Content-Type if that value had none.
 */
function takeWrapped(response: Response, stream: ReadableStream): BodySource | undefined {
  const source = sourceOf(stream);
  if (source === undefined || stream.locked) return undefined;
  // Native code has the whole body, so it can be read at once.
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
 * Returns the Content-Type of a Blob without a type. In Bun, such a Blob is text if it was made of
 * ASCII strings. A Blob does not tell what it was made of, so any ASCII content counts as text. An
 * empty Blob has no type.
 */
function typeOfUntyped(bytes: Uint8Array): string {
  if (bytes.length === 0) return "";
  return isAscii(bytes) ? TEXT_TYPE : BYTES_TYPE;
}

/**
 * Takes the body of a Response that native code made, or that was made before this package
 * remembered responses. To find out by reading whether it has a stream would start the stream. The
 * body of a Response of `fetch` over a network is in memory or is a stream. Only the text of
 * `Bun.inspect`, which costs much more, tells what another body is.
 */
function takeUnknownBody(response: Response): BodySource {
  const bytes = fetchedBytesInMemory(response);
  if (bytes !== undefined) return takeFetchedBody(response, bytes);
  if (/^ {2}(?:Blob|FileRef|S3Ref) \(/m.test(Bun.inspect(response))) {
    const blob = Bun.peek(response.clone().blob());
    if (blob instanceof Blob) return takeBlob(response, blob);
  }
  return takeStream(response);
}

/** Takes the body of a Response of `fetch` with so many bytes in memory: whole, or as a stream. */
function takeFetchedBody(response: Response, bytes: number): BodySource {
  // As in Bun, a body that has arrived has a type, and one that still arrives has none.
  const type = bytes > 0 ? BYTES_TYPE : undefined;
  if (isWhole(response, bytes)) {
    const reading = response.bytes();
    const whole = Bun.peek(reading);
    if (whole instanceof Uint8Array) return { kind: "bytes", bytes: whole, type: BYTES_TYPE };
    reading.catch(() => {}); // The stream has another reader.
  }
  return takeStream(response, undefined, type);
}

function takeStream(response: Response, made?: StreamSource["made"], type?: string): BodySource {
  const stream = response.body;
  return stream === null ? { kind: "none" } : { kind: "stream", stream, made, type };
}

// ---- plans --------------------------------------------------------------------------------------

/** The conditions that a response must fit: its request and its connection. */
export interface ResponseContext {
  /** Whether the request is a HEAD. The response then has the same head and no body. */
  isHead: boolean;
  /** Whether the client speaks HTTP/1.0, which has no chunked coding. */
  http10: boolean;
  /** Whether the connection may stay open after the response. */
  keepAlive: boolean;
  /** The fields of a GET or HEAD request that may be conditional or ask for a range. */
  conditions?: Headers | undefined;
  /** Values of Set-Cookie fields that are added to those of the response. */
  cookies?: string[] | undefined;
}

/** A body that is still to be produced. */
export interface StreamBody extends StreamSource {
  /** The head without the lines that frame the body. These lines depend on how the body ends. */
  fields: string;
  http10: boolean;
}

/** Everything that is to be sent for a response. */
export interface ResponsePlan {
  head: string;
  body:
    | { kind: "none" }
    | { kind: "text"; text: string }
    | { kind: "bytes"; bytes: Uint8Array; once: boolean }
    | StreamBody
    | FileBody;
  /** Value of the Content-Length field. Undefined if the head has no such field. */
  contentLength: number | undefined;
  chunked: boolean;
  keepAlive: boolean;
}

/**
 * Decides how a response is framed, and takes its body. Throws a TypeError for a Response that
 * cannot be sent, or an error of its file.
 */
export function planResponse(response: Response, context: ResponseContext, date: string): ResponsePlan {
  // Before the body is taken, because the type of a form goes with the body.
  const own = readFields(response);
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
    // As in Bun, the client is redirected to an object in S3 and fetches it itself.
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
    // As in Bun, a program that forwards to another server can answer HEAD with that server's
    // framing.
    if (own.transferEncoding === undefined || bodiless || http10) contentLength = 0;
    else parts.moreLines += `Transfer-Encoding: ${own.transferEncoding}\r\n`;
  } else if (body.kind === "text" && !isEmpty) contentLength = Buffer.byteLength(body.text);
  else if (body.kind === "bytes") contentLength = body.bytes.length;
  if (bodiless) contentLength = status === 304 ? own.contentLength : bodilessLength(status);
  const isOpen = body.kind === "stream" && !bodiless && contentLength === undefined;
  const framing = {
    contentLength,
    chunked: isOpen && !http10,
    // Without a length and without chunks, the end of the connection is the end of the body.
    keepAlive: keepAlive && !(isOpen && http10),
    http10,
  };
  if (bodiless) parts.defaultType = "";
  else if (body.kind !== "none" && body.type !== undefined) parts.defaultType = body.type;
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

/** Cancels a body that nobody will read. An iterable has not started, so it needs no call. */
export function cancelUnread({ stream, made }: StreamSource): void {
  if (made === undefined) stream.cancel().catch(() => {});
  else if (!(made instanceof BodyIterable)) pumps().cancelDirect(made, undefined);
}
