/** Converts bytes between programs and sockets. */
import { invalidType, invalidValue } from "../../sys/check.ts";
import { plainBytes } from "../../sys/views.ts";
import type { BinaryType } from "./socket-handlers.ts";

/** Data that can be written. A string is written as UTF-8. A Blob must be in memory. */
export type Writable = string | NodeJS.ArrayBufferView | ArrayBufferLike | Blob;
/** Returns a copy of received bytes, of the type that `binaryType` names. */
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
 * Converts the data of `write` and `send` to bytes whose `length` is correct. As in Bun, detached
 * memory counts as no bytes. Throws a TypeError for any other data, and a RangeError for a part
 * outside of the data.
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

/** Whether the data is a String object, which Bun accepts. */
function isBoxedText(data: unknown): data is string {
  return Object.prototype.toString.call(data) === "[object String]";
}

/** Returns the bytes of a Blob that is in memory. */
function blobBytes(blob: Blob): Uint8Array {
  const bytes = Bun.peek(blob.bytes());
  if (bytes instanceof Uint8Array) return bytes;
  throw invalidValue("data", "in memory, so read a file first", blob);
}
