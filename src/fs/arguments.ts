/**
 * Converts arguments of node:fs into arguments of the backends. Errors are Node's: `code`
 * ERR_INVALID_ARG_TYPE and so on.
 */
import { isUtf8 } from "node:buffer";
import { constants } from "node:fs";
import { fileURLToPath } from "node:url";
import { invalidType, invalidValue, outOfRange, requireArray, requirePath, requireView } from "../sys/check.ts";
import { plainBytes } from "../sys/views.ts";

/** A path as Bun's node:fs accepts it: text, bytes, or a `file:` URL. */
export type PathArgument = string | URL | Uint8Array | DataView | ArrayBuffer;

/**
 * A path as the backends accept it: text, or bytes that are not UTF-8. A file name may have such
 * bytes.
 */
export type Path = string | Buffer;

export function pathOf(path: PathArgument, name = "path"): Path {
  const given = path instanceof URL ? fileURLToPath(path) : path;
  const isOfNumbers = ArrayBuffer.isView(given) && !(given instanceof Uint8Array || given instanceof DataView);
  const bytes = isOfNumbers ? undefined : plainBytes(given);
  const taken = bytes === undefined ? given : isUtf8(bytes) ? Buffer.from(bytes).toString() : Buffer.from(bytes);
  requirePath(name, taken);
  return taken as Path;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_SYNC } = constants;
/** node:fs has no constant for it. The value is asm-generic's, which x86-64 and arm64 share. */
export const O_CLOEXEC = 0o2000000;
const FLAGS_MAX = 0x7fffffff;

/** Permissions of a new file, before the umask. */
export const MODE_DEFAULT = 0o666;

const R = O_RDONLY;
const W = O_WRONLY | O_CREAT | O_TRUNC;
const A = O_WRONLY | O_CREAT | O_APPEND;
/** The same flags for reading and writing. */
const W_PLUS = O_RDWR | O_CREAT | O_TRUNC;
const A_PLUS = O_RDWR | O_CREAT | O_APPEND;

/** Node's flag letters. A second letter may precede or follow the first. */
const letters: Record<string, number> = {
  r: R,
  ...either("r", "s", R | O_SYNC),
  "r+": O_RDWR,
  ...either("r", "s", O_RDWR | O_SYNC, "+"),
  w: W,
  ...either("w", "x", W | O_EXCL),
  "w+": W_PLUS,
  ...either("w", "x", W_PLUS | O_EXCL, "+"),
  a: A,
  ...either("a", "x", A | O_EXCL),
  ...either("a", "s", A | O_SYNC),
  "a+": A_PLUS,
  ...either("a", "x", A_PLUS | O_EXCL, "+"),
  ...either("a", "s", A_PLUS | O_SYNC, "+"),
};

function either(first: string, second: string, bits: number, plus = ""): Record<string, number> {
  return { [first + second + plus]: bits, [second + first + plus]: bits };
}

/**
 * Returns O_* flags, with O_CLOEXEC, for Node's letters or a number. null and undefined mean
 * `byDefault`.
 */
export function openFlags(flags: string | number | null | undefined, byDefault: string | number = "r"): number {
  const given = flags ?? byDefault;
  if (typeof given === "number") {
    if (Number.isInteger(given) && given >= 0 && given <= FLAGS_MAX) return given | O_CLOEXEC;
    throw outOfRange("flags", `an integer from 0 to ${FLAGS_MAX}, O_*`, given);
  }
  if (typeof given === "string" && Object.hasOwn(letters, given)) return letters[given]! | O_CLOEXEC;
  throw invalidValue("flags", `O_* or one of ${Object.keys(letters).join(", ")}`, given);
}

/**
 * Returns permissions for a number or for octal text. The number may include the file type that
 * stat(2) reports. null and undefined mean `byDefault`.
 */
export function modeOf(mode: string | number | null | undefined, byDefault: number): number {
  const given = mode ?? byDefault;
  const allowed = "an unsigned integer of 32 bits, or octal digits";
  if (typeof given === "number") {
    if (Number.isInteger(given) && given >= 0 && given <= 0xffffffff) return given & 0o7777;
    throw outOfRange("mode", allowed, given);
  }
  if (typeof given !== "string") throw invalidType("mode", allowed, given);
  const bits = /^[0-7]+$/.test(given) ? Number.parseInt(given, 8) : NaN;
  if (!(bits <= 0xffffffff)) throw invalidValue("mode", allowed, given);
  return bits & 0o7777;
}

/**
 * Returns an encoding of Buffer, or undefined for plain bytes. null, undefined, "buffer" and, as in
 * Node, an empty string mean plain bytes.
 */
export function encodingOf(encoding: unknown): BufferEncoding | undefined {
  if (encoding === undefined || encoding === null || encoding === "" || encoding === "buffer") return undefined;
  if (typeof encoding === "string" && Buffer.isEncoding(encoding)) return encoding;
  throw invalidValue("encoding", `one of Buffer's, such as "utf8", or null`, encoding);
}

/**
 * Returns the position of a read in bytes; -1 means the file's own position. null and undefined mean
 * -1.
 */
export function readPositionOf(position: number | bigint | null | undefined): number {
  if (position === null || position === undefined) return -1;
  const value = exactPosition(position);
  if (value < -1) throw outOfRange("position", "an integer from -1 to 2^53, or null", position);
  return value;
}

/**
 * Returns the position of a write, or of a vector, in bytes; -1 means the file's own position. null,
 * undefined and, as in Bun, every negative integer mean -1.
 */
export function positionOf(position: number | bigint | null | undefined): number {
  return position === null || position === undefined ? -1 : Math.max(-1, exactPosition(position));
}

function exactPosition(position: number | bigint): number {
  if (typeof position !== "number" && typeof position !== "bigint")
    throw invalidType("position", "a number, a BigInt or null", position);
  const value = Number(position);
  if (!Number.isSafeInteger(value)) throw outOfRange("position", "an integer up to 2^53, or null", position);
  return value;
}

/** A copy, because the caller may change the array while the operation is under way. */
export function viewsOf(buffers: readonly NodeJS.ArrayBufferView[]): NodeJS.ArrayBufferView[] {
  requireArray("buffers", buffers, "an array of views");
  return buffers.map((view, i) => {
    requireView(`buffers[${i}]`, view);
    return view;
  });
}
