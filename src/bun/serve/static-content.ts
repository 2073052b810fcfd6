/**
 * The content that a route sends without a handler: a response in memory, a file, or the files of a
 * directory.
 *
 * Guarantees: content in memory is read and framed once, when the route is made. Validators are
 * sent and conditional requests are answered as in Bun (RFC 9110 section 13). No file outside of a
 * route's directory can be reached.
 */
import { closeSync, fstatSync } from "node:fs";
import { Directory } from "../../fs/directory.ts";
import type { SystemError } from "../../sys/errno.ts";
import { judgeConditions, type Validators } from "./conditions.ts";
import { fileOf, placeOf } from "./blob-place.ts";
import { planRoutesFile, planValidated, wholeFile } from "./file-plan.ts";
import { writtenName } from "../../http/field-names.ts";
import {
  bodilessLength,
  buildHead,
  type Fields,
  framingLines,
  headFields,
  type HeadParts,
  isBodiless,
} from "../../http/head.ts";
import { type OwnFields, readFields } from "./own-fields.ts";
import { type ResponseContext, type ResponsePlan, takeBody } from "./response.ts";
import { pathOf } from "./router.ts";

/** The content of a route. */
export interface StaticContent {
  /**
   * True if `plan` needs no fields of the request except its conditions, and never returns
   * undefined.
   */
  readonly inMemory: boolean;
  /**
   * Plans a response. `target` is the path and query of the request, without decoding. Returns
   * undefined if the content is not there; then the fetch handler answers.
   */
  plan(context: ResponseContext, date: string, target: string): ResponsePlan | undefined;
  /** Frees the content, because its route was replaced or the server has ended. */
  close?(): void;
}

/**
 * Makes the content of a route from a Response, which is sent again and again. Throws a TypeError
 * for a Response that cannot be.
 */
export function contentOfResponse(response: Response, path: string): StaticContent {
  if (response.status < 100)
    throw new TypeError(
      "Cannot use a Response with status 0 as a static route. HTTP status codes must be between 100 and 999 " +
        `(Response.error() returns status 0). The route is ${JSON.stringify(path)}.`,
    );
  if (response.bodyUsed) throw new TypeError(`the Response of route ${JSON.stringify(path)} has been read already`);
  // A copy, because the same Response may belong to several routes, and a handler may send it too.
  const copy = response.clone() as Response;
  const own = readFields(copy);
  const parts: HeadParts = {
    status: response.status,
    statusText: response.statusText,
    fields: inOrderOfNames(own),
    names: own.names,
    defaultType: "",
    moreLines: "",
  };
  const body = takeBody(copy);
  switch (body.kind) {
    case "none":
      return new ContentInMemory(parts, new Uint8Array(0));
    case "text":
      return new ContentInMemory({ ...parts, defaultType: body.type }, Buffer.from(body.text));
    // As in Bun, bytes get no default type here. A type that the program gave is among the fields.
    case "bytes":
      return new ContentInMemory(parts, body.bytes);
    case "blob":
      if (body.place === "file") return new ContentOfFile(body.blob, { ...parts, defaultType: body.blob.type });
  }
  throw new TypeError(
    `the Response of route ${JSON.stringify(path)} must have its body in memory or in a file: ` +
      "read a stream first, with new Response(await response.blob())",
  );
}

/** Orders a route's fields by their names as they are written, as Bun does. */
function inOrderOfNames({ fields, names }: OwnFields): Fields {
  const order = (a: string, b: string): number => (writtenName(a, names) < writtenName(b, names) ? -1 : 1);
  return Object.fromEntries(
    Object.keys(fields)
      .toSorted(order)
      .map((name) => [name, fields[name]!]),
  );
}

export function contentOfFile(blob: Blob, path: string): StaticContent {
  if (placeOf(blob) !== "file") throw new TypeError(`the file of route ${JSON.stringify(path)} must have a path`);
  const parts = { status: 200, statusText: "", fields: {}, defaultType: blob.type, moreLines: "" };
  return new ContentOfFile(blob, parts);
}

/** Largest body, in bytes, that is kept as text after its head, so that one write sends both. */
const TOGETHER_BYTES_MAX = 4096;

class ContentInMemory implements StaticContent {
  readonly inMemory = true;
  private readonly parts: HeadParts;
  private readonly bytes: Buffer;
  private readonly validators: Validators;
  /**
   * The date and the plan of the response to the most usual request. Both are valid for one second.
   */
  private date = "";
  private usual: ResponsePlan | undefined;

  constructor(parts: HeadParts, bytes: Uint8Array) {
    const { fields, status } = parts;
    if (fields["etag"] === undefined && bytes.length > 0)
      fields["etag"] = `"${Bun.hash.xxHash64(bytes).toString(16).padStart(16, "0")}"`;
    const modified = fields["last-modified"];
    this.validators = {
      etag: fields["etag"] as string | undefined,
      lastModifiedMs: typeof modified === "string" ? Date.parse(modified) : undefined,
    };
    this.parts = isBodiless(status) || bytes.length === 0 ? { ...parts, defaultType: "" } : parts;
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  plan(context: ResponseContext, date: string): ResponsePlan {
    const { isHead, http10, keepAlive, conditions } = context;
    if (isHead || http10 || !keepAlive || conditions !== undefined) return this.planAnew(context, date);
    if (this.date !== date || this.usual === undefined) {
      this.date = date;
      const plan = this.planAnew(context, date);
      const { bytes } = this;
      const together = plan.body.kind === "bytes" && bytes.length <= TOGETHER_BYTES_MAX;
      this.usual = together ? { ...plan, head: plan.head + bytes.latin1Slice(), body: { kind: "none" } } : plan;
    }
    return this.usual;
  }

  private planAnew({ isHead, http10, keepAlive, conditions }: ResponseContext, date: string): ResponsePlan {
    const { parts, bytes } = this;
    let { status } = parts;
    if (conditions !== undefined && status === 200) {
      const verdict = judgeConditions(conditions, this.validators);
      if (verdict !== "proceed") status = verdict === "failed" ? 412 : 304;
    }
    const isWhole = status === parts.status;
    const bodiless = isBodiless(status);
    const contentLength = bodiless ? bodilessLength(status) : isWhole ? bytes.length : 0;
    const framing = { contentLength, chunked: false, keepAlive, http10 };
    const head = buildHead({ ...parts, status, statusText: isWhole ? parts.statusText : "" }, framing, date);
    const hasBody = contentLength !== undefined && contentLength > 0 && !isHead;
    return { ...framing, head, body: hasBody ? { kind: "bytes", bytes, once: false } : { kind: "none" } };
  }
}

class ContentOfFile implements StaticContent {
  readonly inMemory = false;
  private readonly blob: Blob;
  private readonly parts: HeadParts;

  constructor(blob: Blob, parts: HeadParts) {
    this.blob = blob;
    this.parts = parts;
  }

  plan(context: ResponseContext, date: string): ResponsePlan | undefined {
    const part = fileOf(this.blob);
    if (part === undefined) return planStream(this.blob, this.parts, context, date);
    try {
      return planRoutesFile(part, this.parts, context, date);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return undefined;
      throw error;
    }
  }
}

/**
 * Plans the stream of a file whose path only Bun knows. The response has no length, no range and no
 * validators.
 */
function planStream(blob: Blob, parts: HeadParts, context: ResponseContext, date: string): ResponsePlan {
  const { isHead, http10 } = context;
  // Without chunks, the end of the connection is the end of the body.
  const keepAlive = context.keepAlive && !http10;
  const framing = { contentLength: undefined, chunked: !http10, keepAlive, http10 };
  const fields = headFields(parts, date);
  const head = fields + framingLines(framing);
  if (isHead) return { ...framing, head, body: { kind: "none" } };
  return { ...framing, head, body: { kind: "stream", stream: blob.stream() as ReadableStream, fields, http10 } };
}

/**
 * The files below a directory, for a route that ends in a wildcard. A file that does not exist gets
 * a 404. The fetch handler is not called.
 */
export class ContentOfDirectory implements StaticContent {
  readonly inMemory = false;
  private readonly directory: Directory;
  private readonly prefix: string;

  /**
   * Opens the directory. `prefix` is the route's path without its `*`. Throws an Error with `code`
   * if `dir` is not a directory.
   */
  constructor(dir: string, prefix: string) {
    this.directory = new Directory(dir);
    this.prefix = prefix;
  }

  plan(context: ResponseContext, date: string, target: string): ResponsePlan {
    const path = pathOf(target);
    const inside = decodePath(path.slice(this.prefix.length));
    if (inside === undefined) return bare(404, "", context, date);
    const name = inside === "" || inside.endsWith("/") ? `${inside}index.html` : inside;
    let fd: number;
    try {
      fd = this.directory.open(name);
    } catch (error) {
      if (absent.has((error as SystemError).code)) return bare(404, "", context, date);
      throw error;
    }
    const stats = fstatSync(fd);
    if (!stats.isFile()) {
      closeSync(fd);
      if (!stats.isDirectory() || name !== inside) return bare(404, "", context, date);
      return bare(301, `Location: ${path}/${target.slice(path.length)}\r\n`, context, date);
    }
    const etag = `W/"${stats.size.toString(16)}-${Math.floor(stats.mtimeMs / 1000).toString(16)}"`;
    const parts = {
      status: 200,
      statusText: "",
      fields: { etag },
      defaultType: Bun.file(name).type,
      moreLines: "",
    };
    return planValidated(wholeFile(fd, stats), parts, context, date);
  }

  close(): void {
    this.directory.close();
  }
}

/** Error codes of open(2) for which the client gets a 404. */
const absent = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EXDEV"]);

/**
 * Decodes a path. Returns undefined for a path that has another spelling, so that the opened file
 * is the one that the router saw. Such paths have empty segments, "." or "..", or encodings of "/",
 * of NUL, or of characters that need no encoding (RFC 3986 section 3.3).
 */
function decodePath(path: string): string | undefined {
  if (path !== "" && path.split("/").some((segment, i, all) => segment === "" && i < all.length - 1)) return undefined;
  let text: string;
  try {
    // The target has each byte beyond ASCII as one character. The bytes are UTF-8, as if they were
    // percent-encoded.
    text = decodeURIComponent(path.replace(/[\x80-\xff]/g, encodeByte));
  } catch {
    return undefined;
  }
  if (text.split("/").some((segment) => segment === "." || segment === "..")) return undefined;
  for (const [, hex] of path.matchAll(/%(..)/g))
    if (/[A-Za-z0-9\-._~!$&'()*+,;=:@/\0]/.test(String.fromCharCode(parseInt(hex!, 16)))) return undefined;
  return text;
}

function encodeByte(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16)}`;
}

/** Plans a response without a body. */
function bare(status: number, moreLines: string, { keepAlive, http10 }: ResponseContext, date: string): ResponsePlan {
  const framing = { contentLength: 0, chunked: false, keepAlive, http10 };
  const head = buildHead({ status, statusText: "", fields: {}, defaultType: "", moreLines }, framing, date);
  return { ...framing, head, body: { kind: "none" } };
}
