/** Arguments as node:fs takes them, made into what the backends take. Errors are Node's: `code` ERR_INVALID_ARG_TYPE and so on. */
import { constants, type PathLike } from "node:fs";
import { fileURLToPath } from "node:url";
import { requirePath } from "../reactor/operation-paths.ts";

/** A path: text, bytes in UTF-8, or a `file:` URL. */
export function pathOf(path: PathLike, name = "path"): string {
  const text = path instanceof URL ? fileURLToPath(path) : Buffer.isBuffer(path) ? path.toString() : path;
  requirePath(name, text as string);
  return text as string;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_SYNC } = constants;
/** Not among the constants of node:fs; asm-generic's, which x86-64 and arm64 share. */
const O_CLOEXEC = 0o2000000;

const letters: Record<string, number> = {
  r: O_RDONLY,
  rs: O_RDONLY | O_SYNC,
  "r+": O_RDWR,
  "rs+": O_RDWR | O_SYNC,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
  "w+": O_RDWR | O_CREAT | O_TRUNC,
  "wx+": O_RDWR | O_CREAT | O_TRUNC | O_EXCL,
  a: O_WRONLY | O_CREAT | O_APPEND,
  ax: O_WRONLY | O_CREAT | O_APPEND | O_EXCL,
  as: O_WRONLY | O_CREAT | O_APPEND | O_SYNC,
  "a+": O_RDWR | O_CREAT | O_APPEND,
  "ax+": O_RDWR | O_CREAT | O_APPEND | O_EXCL,
  "as+": O_RDWR | O_CREAT | O_APPEND | O_SYNC,
};

/** O_* from Node's letters or from a number, with O_CLOEXEC. */
export function openFlags(flags: string | number): number {
  const isNamed = typeof flags === "string" && Object.hasOwn(letters, flags);
  const bits = isNamed ? letters[flags]! : flags;
  if (typeof bits === "number" && Number.isInteger(bits) && bits >= 0 && bits <= 0x7fffffff) return bits | O_CLOEXEC;
  const error = new TypeError(
    `flags must be O_* or one of ${Object.keys(letters).join(", ")}, not ${Bun.inspect(flags)}`,
  );
  throw Object.assign(error, { code: "ERR_INVALID_ARG_VALUE" });
}

/** Permissions from a number, or from octal text. */
export function modeOf(mode: string | number): number {
  const bits = typeof mode === "string" ? Number.parseInt(mode, 8) : mode;
  if (Number.isInteger(bits) && bits >= 0 && bits <= 0o7777) return bits;
  const error = new RangeError(`mode must be an integer from 0 to 0o7777, or octal digits, not ${Bun.inspect(mode)}`);
  throw Object.assign(error, { code: "ERR_INVALID_ARG_VALUE" });
}

/** One of Buffer's; null and undefined are none, and so is, as in Node, an empty string. */
export function requireEncoding(encoding: unknown): void {
  if (encoding === undefined || encoding === null || encoding === "") return;
  if (typeof encoding === "string" && Buffer.isEncoding(encoding)) return;
  const error = new TypeError(
    `encoding must be one of Buffer's, such as "utf8", or null, not ${Bun.inspect(encoding)}`,
  );
  throw Object.assign(error, { code: "ERR_INVALID_ARG_VALUE" });
}

export function requireView(name: string, view: unknown): asserts view is NodeJS.ArrayBufferView {
  if (ArrayBuffer.isView(view)) return;
  const error = new TypeError(`${name} must be an ArrayBuffer's view, not ${Bun.inspect(view)}`);
  throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
}

/** From 0 to `most`. */
export function requireWithin(name: string, value: number, most: number): void {
  if (typeof value !== "number") {
    const error = new TypeError(`${name} must be a number, not ${Bun.inspect(value)}`);
    throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
  }
  if (!(Number.isInteger(value) && value >= 0 && value <= most)) throw outOfRange(name, `from 0 to ${most}`, value);
}

/** -1 for the file's own: null, undefined and every negative number. */
export function positionOf(position: number | bigint | null | undefined): number {
  if (position === null || position === undefined) return -1;
  const value = typeof position === "bigint" ? Number(position) : position;
  if (!Number.isSafeInteger(value)) throw outOfRange("position", "an integer up to 2^53, or null", position);
  return value < 0 ? -1 : value;
}

function outOfRange(name: string, allowed: string, value: unknown): RangeError {
  const error = new RangeError(`${name} must be ${allowed}, not ${Bun.inspect(value)}`);
  return Object.assign(error, { code: "ERR_OUT_OF_RANGE" });
}
