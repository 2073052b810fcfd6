/** Bytes as sockets take them from a program, and hand them to it. */
import { invalidType } from "../../sys/check.ts";
import { plainBytes } from "../../sys/views.ts";
import type { BinaryType } from "./socket-handlers.ts";

/** What can be written. A string is written as UTF-8; a Blob must be in memory. */
export type Writable = string | NodeJS.ArrayBufferView | ArrayBufferLike | Blob;
/** A copy of received bytes, in the kind that `binaryType` says. */
export function copyFor(
  type: BinaryType | undefined,
  memory: Buffer,
  start: number,
  end: number,
): Buffer | Uint8Array | ArrayBuffer {
  if (type === "uint8array") {
    const bytes = new Uint8Array(end - start);
    memory.copy(bytes, 0, start, end);
    return bytes;
  }
  if (type === "arraybuffer")
    return memory.buffer.slice(memory.byteOffset + start, memory.byteOffset + end) as ArrayBuffer;
  const bytes = Buffer.allocUnsafeSlow(end - start);
  memory.copy(bytes, 0, start, end);
  return bytes;
}

/**
 * What `write` and `send` take, as bytes whose `length` is true; memory that is gone is no bytes, as in Bun. Throws a TypeError for anything else,
 * and RangeError for a part that is not there.
 */
export function toBytes(data: unknown, byteOffset: number, byteLength: number | undefined): Uint8Array {
  if (typeof data === "string") return Buffer.from(data);
  let bytes = plainBytes(data);
  if (bytes === undefined && data instanceof Blob) bytes = blobBytes(data);
  if (bytes === undefined && isBoxedText(data)) return Buffer.from(String(data));
  if (bytes === undefined) throw invalidType("data", "a string, an ArrayBuffer or a view of one", data);
  if (byteOffset === 0 && byteLength === undefined) return bytes;
  const length = byteLength ?? bytes.length - byteOffset;
  if (!(byteOffset >= 0 && length >= 0 && byteOffset + length <= bytes.length))
    throw new RangeError(
      `byteOffset ${byteOffset} and byteLength ${length} must lie within the ${bytes.length} bytes of data`,
    );
  return bytes.subarray(byteOffset, byteOffset + length);
}

/** A String object, as Bun takes it. */
function isBoxedText(data: unknown): data is string {
  return Object.prototype.toString.call(data) === "[object String]";
}

/** The bytes of a Blob that is in memory. */
function blobBytes(blob: Blob): Uint8Array {
  const bytes = Bun.peek(blob.bytes());
  if (bytes instanceof Uint8Array) return bytes;
  throw new TypeError("data must be in memory: read a file first");
}
