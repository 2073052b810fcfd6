/**
 * Plans which part of a file is sent: the whole file, the slice that the program made, or the range
 * that the client asks for.
 *
 * Guarantees: the length is the length of the file when it was opened, not the length that a
 * BunFile remembers. A descriptor that does not go into the plan is closed. A missing file throws
 * (ENOENT) before any byte is sent.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync, type Stats } from "node:fs";
import { basename } from "node:path";
import { type BlobFile, fileOf, knownLastModified } from "./blob-place.ts";
import { judgeConditions, requestedRange, type Validators } from "./conditions.ts";
import { bodilessLength, buildHead, BYTES_TYPE, type Fields, type HeadParts, isBodiless } from "../../http/head.ts";
import type { ResponseContext, ResponsePlan } from "./response.ts";

/**
 * A part of an open file, as a response's body. The code that gets this object must close the
 * descriptor.
 */
export interface FileBody {
  kind: "file";
  fd: number;
  offset: number;
  bytes: number;
}

/** An open file, and the part of it that the program has chosen. */
interface OpenFile {
  fd: number;
  fileBytes: number;
  lastModifiedMs: number;
  offset: number;
  bytes: number;
}

/**
 * Plans a response that a handler returned with a file as its body. The client's range is applied.
 * As in Bun, a slice of a file is sent as a part (206).
 *
 * The response gets no Last-Modified field, because the next request for this URL may be answered
 * with another file. Adds the type and the name of the file to `parts`. Returns undefined for a file
 * that only a stream can send: a pipe, a device, a file of /proc, and a file whose path is not
 * certain. Throws an Error with `code` (ENOENT, EACCES, EISDIR...).
 */
export function planHandlersFile(
  blob: Blob,
  parts: HeadParts,
  context: ResponseContext,
  date: string,
): ResponsePlan | undefined {
  // These values are read before the file is opened, because a getter of the program may run. The
  // name is only shown to the client. The path comes from the Blob's store.
  const { name: label, type } = blob as { name?: unknown; type: string };
  const { fields } = parts;
  // As in Bun, a part of a file with a type of its own has no type, and is sent as bytes.
  parts.defaultType ||= BYTES_TYPE;
  const isNamed = !SHOWN.test(String(fields["content-type"] ?? parts.defaultType));
  if (isNamed && typeof label === "string" && fields["content-disposition"] === undefined)
    parts.moreLines += `Content-Disposition: filename="${quotable(basename(label))}"\r\n`;
  const part = fileOf(blob);
  if (part === undefined) return undefined;
  const isWhole = part.offset === 0 && part.bytesMax === Infinity;
  const knownMs = isWhole ? Infinity : knownLastModified(blob);
  const file = openPart(part);
  if (file === undefined) return undefined;
  const plan = new FilePlan(file, parts, context, date);
  if (file.bytes < file.fileBytes) labelPart(plan, file, type, knownMs, parts);
  else if (parts.status === 200 && fields["content-range"] === undefined) {
    plan.applyRange({ etag: fields["etag"] as string | undefined, lastModifiedMs: ownLastModified(fields) });
  }
  return plan.finish();
}

/**
 * Types of what a browser shows, or what a page loads. As in Bun, a file of any other type is sent
 * with its name.
 */
const SHOWN = /^(?:(?:text|image|audio|video|font)\/|application\/(?:json|wasm)(?:;|$))/;

/**
 * Decides whether a part of a file is sent with status 206.
 *
 * If the program gives a Content-Range, the status is 206 for every successful status that allows a
 * body. Otherwise, as in Bun, the status is 206 only if the program gave no fields, and status 200
 * or 206. One case is special: the part starts at the first byte, and the file has changed since
 * the Blob read its size. The program may then mean the whole file, so the status is 206 only if
 * the program set it.
 */
function labelPart(plan: FilePlan, file: OpenFile, type: string, knownMs: number, { fields, status }: HeadParts): void {
  const isSuccess = status >= 200 && status < 300 && !isBodiless(status);
  if (fields["content-range"] !== undefined) {
    if (isSuccess) plan.status = 206;
    return;
  }
  const hasOwnFields = Object.keys(fields).some((name) => name !== "content-type" || fields[name] !== type.trim());
  if (hasOwnFields || (status !== 200 && status !== 206)) return;
  if (file.offset === 0 && status === 200 && knownMs < Math.floor(file.lastModifiedMs)) return;
  plan.status = 206;
  plan.addLine("Content-Range", `bytes ${file.offset}-${file.offset + Math.max(file.bytes, 1) - 1}/*`);
}

/**
 * Returns the time of the Last-Modified field that the program gave, in milliseconds since 1970.
 */
function ownLastModified(fields: Fields): number | undefined {
  const own = fields["last-modified"];
  const ms = typeof own === "string" ? Date.parse(own) : NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

/**
 * Plans a response with the file of a route. The response has validators, and conditions and ranges
 * are applied. Returns undefined for a file that only a stream can send. Throws the same errors as
 * planHandlersFile.
 */
export function planRoutesFile(
  part: BlobFile,
  parts: HeadParts,
  context: ResponseContext,
  date: string,
): ResponsePlan | undefined {
  const file = openPart(part);
  return file && planValidated(file, parts, context, date);
}

/**
 * Plans a response with a file that has a fixed URL: the file of a route, or a file in a route's
 * directory. Closes the descriptor, or puts it into the plan.
 */
export function planValidated(file: OpenFile, parts: HeadParts, context: ResponseContext, date: string): ResponsePlan {
  const plan = new FilePlan(file, parts, context, date);
  const { fields, status } = parts;
  const isOwn = fields["last-modified"] !== undefined;
  if (!isOwn) plan.addLine("Last-Modified", new Date(file.lastModifiedMs).toUTCString());
  if (status !== 200) return plan.finish();
  const lastModifiedMs = isOwn ? ownLastModified(fields) : file.lastModifiedMs;
  const validators = { etag: fields["etag"] as string | undefined, lastModifiedMs };
  switch (context.conditions ? judgeConditions(context.conditions, validators) : "proceed") {
    case "not modified":
      plan.status = 304;
      break;
    case "failed":
      plan.sendNothing(412);
      break;
    case "proceed":
      // With a Content-Range, the program has chosen the part itself.
      if (fields["content-range"] === undefined) plan.applyRange(validators);
  }
  return plan.finish();
}

/** Makes a plan step by step. */
class FilePlan {
  status: number;

  private readonly file: OpenFile;
  private readonly parts: HeadParts;
  private readonly context: ResponseContext;
  private readonly date: string;
  private offset: number;
  private bytes: number;
  private lines = "";

  constructor(file: OpenFile, parts: HeadParts, context: ResponseContext, date: string) {
    this.file = file;
    this.parts = parts;
    this.context = context;
    this.date = date;
    this.status = parts.status;
    this.offset = file.offset;
    this.bytes = file.bytes;
  }

  addLine(name: string, value: string): void {
    this.lines += `${name}: ${value}\r\n`;
  }

  sendNothing(status: number): void {
    this.status = status;
    this.bytes = 0;
  }

  /** Applies the client's range. Only GET has ranges (RFC 9110 section 14.2). */
  applyRange(validators: Validators): void {
    const { conditions, isHead } = this.context;
    if (conditions === undefined || isHead) return;
    const range = requestedRange(conditions, this.bytes, validators);
    if (range === undefined) return;
    if (range === "none") {
      this.addLine("Content-Range", `bytes */${this.bytes}`);
      this.sendNothing(416);
    } else {
      this.addLine("Content-Range", `bytes ${range.start}-${range.end - 1}/${this.bytes}`);
      this.status = 206;
      this.offset += range.start;
      this.bytes = range.end - range.start;
    }
    if (this.parts.fields["accept-ranges"] === undefined) this.addLine("Accept-Ranges", "bytes");
  }

  finish(): ResponsePlan {
    const { file, parts, context, status, bytes, offset } = this;
    const { isHead, http10, keepAlive } = context;
    try {
      const bodiless = isBodiless(status);
      const contentLength = bodiless ? bodilessLength(status) : bytes;
      const head = buildHead(
        {
          ...parts,
          status,
          statusText: status === parts.status ? parts.statusText : "",
          moreLines: parts.moreLines + this.lines,
        },
        { contentLength, chunked: false, keepAlive, http10 },
        this.date,
      );
      const send = bytes > 0 && !isHead && !bodiless;
      const body: ResponsePlan["body"] = send ? { kind: "file", fd: file.fd, offset, bytes } : { kind: "none" };
      if (!send) closeSync(file.fd);
      return { head, body, contentLength, chunked: false, keepAlive };
    } catch (error) {
      closeSync(file.fd);
      throw error;
    }
  }
}

function openPart(part: BlobFile): OpenFile | undefined {
  const { path } = part;
  if (isPipe(path)) return undefined;
  // O_NONBLOCK: opening a pipe that has no writer does not block.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (stats.isDirectory()) {
      const error = new Error(`EISDIR: illegal operation on a directory, read '${path}'`);
      throw Object.assign(error, { code: "EISDIR", errno: -21, syscall: "read", path });
    }
    // A file of /proc has size 0, although reading it returns bytes. The same holds for similar
    // file systems.
    const { size } = stats;
    if (stats.isFile() && (size > 0 || readSync(fd, new Uint8Array(1), 0, 1, 0) === 0))
      return partOf(wholeFile(fd, stats), part);
    closeSync(fd);
    return undefined;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Whether a path is that of a named pipe. Such a path must be opened once only: a writer that waits
 * for a reader writes to the first one, and its bytes are lost if that one closes the pipe.
 */
function isPipe(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
  } catch {
    return false; // To open it gives the error.
  }
}

export function wholeFile(fd: number, { size, mtimeMs }: Stats): OpenFile {
  return { fd, fileBytes: size, lastModifiedMs: mtimeMs, offset: 0, bytes: size };
}

function partOf(file: OpenFile, { offset: begin, bytesMax }: BlobFile): OpenFile {
  const offset = Math.min(begin, file.fileBytes);
  return { ...file, offset, bytes: Math.min(bytesMax, file.fileBytes - offset) };
}

/**
 * Makes the content of a quoted-string (RFC 9110 section 5.6.4). A control character becomes "_".
 * As in Bun, other characters are sent in UTF-8. A head has one character for each byte.
 */
function quotable(text: string): string {
  if (/^[\w .-]*$/.test(text)) return text;
  const quoted = text.replace(/[^\P{Cc}\t]/gu, "_").replace(/["\\]/g, "\\$&");
  return Buffer.from(quoted).latin1Slice();
}
