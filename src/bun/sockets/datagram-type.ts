/** The type in which a handler gets a datagram: the option `binaryType` of udpSocket. */
import { copyFor } from "./socket-data.ts";
import { type BinaryType, requireBinaryType } from "./socket-handlers.ts";

/**
 * Typed arrays that a datagram can be given as, besides bytes. As in Bun, the bytes after the last
 * whole number are left out.
 */
const typedArrays = {
  int8array: Int8Array,
  int16array: Int16Array,
  uint16array: Uint16Array,
  int32array: Int32Array,
  uint32array: Uint32Array,
  float16array: Float16Array,
  float32array: Float32Array,
  float64array: Float64Array,
} as const;
export type DatagramType = BinaryType | keyof typeof typedArrays;

/**
 * Checks the option `binaryType` of udpSocket. Default: "buffer". Throws a TypeError for an unknown
 * type.
 */
export function requireDatagramType(value: DatagramType | "nodebuffer" | undefined): DatagramType {
  if (value === "nodebuffer") return "buffer";
  if (typeof value === "string" && Object.hasOwn(typedArrays, value)) return value;
  return requireBinaryType("binaryType", value as BinaryType | undefined) ?? "buffer";
}

/** Returns a copy of a datagram. A typed array contains only whole numbers. */
export function copyAs(type: DatagramType, memory: Buffer, start: number, end: number): unknown {
  if (type === "buffer" || type === "uint8array" || type === "arraybuffer") return copyFor(type, memory, start, end);
  const Numbers = typedArrays[type];
  const bytes = copyFor("arraybuffer", memory, start, end) as ArrayBuffer;
  return new Numbers(bytes, 0, Math.floor(bytes.byteLength / Numbers.BYTES_PER_ELEMENT));
}
