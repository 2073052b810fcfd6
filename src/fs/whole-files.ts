/** Whole files: read, write, append. */
import { randomBytes } from "node:crypto";
import { constants, fchmod, fchown, fstat, stat, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { isUnlimited, type OperationOptions, requireLimits } from "../operations/operation-options.ts";
import { invalidValue, requireOptionalBoolean } from "../sys/check.ts";
import { abortable } from "./abort.ts";
import { encodingOf, modeOf, openFlags, type Path, type PathArgument, pathOf } from "./arguments.ts";
import { type Backend, backend } from "./backend.ts";
import { type FileData, readData, type ReadyData } from "./file-data.ts";
import { requireDescriptor } from "./descriptors.ts";
import { FileHandle } from "./file-handle.ts";
import { OpenFile } from "./open-file.ts";
import { readToEnd, writeAll } from "./sequences.ts";

/** Permissions of a new file, before the umask. */
const MODE_DEFAULT = 0o666;
/** Permissions of a new file until it gets its final ones. It gets them before its first byte. */
const OWNER_ALONE = 0o600;

export interface ReadFileOptions extends OperationOptions {
  /** Encoding of the text. Default: the result is a buffer. */
  encoding?: BufferEncoding | null;
  /** Flags of the open. Default "r". */
  flag?: string | number | null;
}

export interface WriteFileOptions extends OperationOptions {
  /** Encoding of text. Default "utf8". */
  encoding?: BufferEncoding | null;
  /** Permissions before the umask. Default 0o666. */
  mode?: number | string | null;
  /** Flags of the open. Default "w". Not allowed with `atomic`. */
  flag?: string | number | null;
  /** Whether to call fsync(2) after the write. Default false. */
  flush?: boolean;
  /**
   * Whether to replace the file atomically. At every moment and after a crash, the file is the old
   * one or the whole new one. The data goes to a temporary file beside it, which is synced and
   * renamed over the old one; then the directory is synced. Default false.
   *
   * The result is a new file. It has `mode`, or else the permissions and the owner of the replaced
   * file. It gets them before its first byte.
   */
  atomic?: boolean;
}

/** A path, a descriptor of the caller, or an open file. */
export type FileTarget = PathArgument | number | FileHandle;

/** Reads a whole file. For a descriptor or an open file, reads from its position to the end. */
export function readFile(
  file: FileTarget,
  options: BufferEncoding | (ReadFileOptions & { encoding: BufferEncoding }),
): Promise<string>;
export function readFile(file: FileTarget, options?: (ReadFileOptions & { encoding?: null }) | null): Promise<Buffer>;
export async function readFile(
  file: FileTarget,
  options?: BufferEncoding | ReadFileOptions | null,
): Promise<string | Buffer> {
  const { encoding, flag, ...limits } = named(options);
  if (file instanceof FileHandle) return file.readFile({ encoding: encoding ?? null, ...limits });
  const used = backend();
  const place = placeOf(file);
  const flags = openFlags(given(flag));
  const whole = typeof place !== "number" && isUnlimited(limits) ? used.readWhole?.(place, flags) : undefined;
  const reading = whole ?? withFile(used, place, flags, 0, limits, (opened) => readToEnd(used, opened, limits));
  const bytes = await abortable(limits, reading);
  return encoding === undefined ? bytes : bytes.toString(encoding);
}

/**
 * Writes a file, and replaces its contents. For a descriptor or an open file, writes from its
 * position on.
 */
export async function writeFile(
  file: FileTarget,
  data: FileData,
  options?: BufferEncoding | WriteFileOptions | null,
): Promise<void> {
  const place = file instanceof FileHandle ? undefined : placeOf(file);
  const { encoding, mode, flag, flush, atomic = false, ...limits } = named(options);
  requireOptionalBoolean("atomic", atomic);
  requireOptionalBoolean("flush", flush ?? undefined);
  requireLimits(limits);
  const ready = readData(data, encoding);
  if (atomic && (file instanceof FileHandle || typeof file === "number"))
    throw invalidValue("atomic", "false for a file that is open", atomic);
  if (file instanceof FileHandle) {
    await file.writeData(ready, limits);
    if (flush) await file.sync();
    return;
  }
  if (atomic) {
    const bits = mode === undefined || mode === null ? undefined : modeOf(mode, MODE_DEFAULT);
    return await abortable(limits, writeAtomically(place as Path, ready, bits, limits));
  }
  const flags = openFlags(given(flag), "w");
  const bits = modeOf(given(mode), MODE_DEFAULT);
  const used = backend();
  const canBeOne = typeof place !== "number" && !flush && ready.whole !== undefined && isUnlimited(limits);
  const whole = canBeOne ? used.writeWhole?.(place as Path, flags, bits, ready.whole!, ready.length) : undefined;
  if (whole !== undefined) return await abortable(limits, whole);
  const writing = withFile(used, place!, flags, bits, limits, async (opened) => {
    await opened.during(() => ready.write((view, length) => writeAll(used, opened, view, -1, limits, length), limits));
    if (flush) await used.sync(opened);
  });
  return await abortable(limits, writing);
}

/** Appends to a file. For a descriptor or an open file, writes at its position. */
export async function appendFile(
  file: FileTarget,
  data: FileData,
  options?: BufferEncoding | WriteFileOptions | null,
): Promise<void> {
  const { encoding = null, flag, ...others } = named(options);
  return await writeFile(file, data, { ...others, encoding, flag: given(flag) ?? "a" });
}

async function writeAtomically(
  path: Path,
  data: ReadyData,
  mode: number | undefined,
  options: OperationOptions,
): Promise<void> {
  const used = backend();
  const [directory, temporary] = placesBeside(path);
  const replaced = mode === undefined ? await promisify(stat)(path).catch(() => undefined) : undefined;
  const modeAtFirst = replaced === undefined ? (mode ?? MODE_DEFAULT) : OWNER_ALONE;
  const file = await OpenFile.open(used, temporary, openFlags("wx"), modeAtFirst, options);
  try {
    try {
      if (replaced !== undefined) await takeOver(file, replaced);
      await data.write((view, length) => writeAll(used, file, view, -1, options, length), options);
      await used.sync(file);
    } finally {
      await file.close();
    }
    // After this check, the signal has no effect: the result is always the real outcome.
    options.signal?.throwIfAborted();
    await used.rename(temporary, path);
  } catch (error) {
    // The caller gets the first error, which tells why there is no file.
    await used.unlink(temporary).catch(() => {});
    throw error;
  }
  const opened = await OpenFile.open(used, directory, openFlags(constants.O_RDONLY | constants.O_DIRECTORY), 0);
  try {
    await used.sync(opened);
  } finally {
    await opened.close();
  }
}

/** Gives the new file the owner and the permissions of the replaced file. */
async function takeOver({ fd }: OpenFile, replaced: Stats): Promise<void> {
  const { uid, gid } = await promisify(fstat)(fd);
  if (uid !== replaced.uid || gid !== replaced.gid) {
    try {
      await promisify(fchown)(fd, replaced.uid, replaced.gid);
    } catch {
      // Only root may change the owner. A file that keeps this process's owner stays closed to
      // other users.
      return;
    }
  }
  await promisify(fchmod)(fd, replaced.mode & 0o7777);
}

/**
 * Returns a path's directory, and an unused name in it. Bytes are read as Latin-1 meanwhile, where
 * each byte is one letter.
 */
function placesBeside(path: Path): [directory: Path, temporary: Path] {
  const text = typeof path === "string" ? path : path.toString("latin1");
  const directory = dirname(text);
  const temporary = join(directory, `.${basename(text)}.${randomBytes(6).toString("hex")}.tmp`);
  if (typeof path === "string") return [directory, temporary];
  return [Buffer.from(directory, "latin1"), Buffer.from(temporary, "latin1")];
}

/** Returns a descriptor unchanged, or a checked path. */
function placeOf(file: PathArgument | number): Path | number {
  if (typeof file !== "number") return pathOf(file);
  return requireDescriptor(file);
}

/** Calls `run` with a file. A path is opened and closed; a descriptor stays open. */
async function withFile<T>(
  used: Backend,
  place: Path | number,
  flags: number,
  mode: number,
  options: OperationOptions,
  run: (file: OpenFile) => Promise<T>,
): Promise<T> {
  const isOpen = typeof place === "number";
  const file = isOpen ? OpenFile.borrowed(used, place) : await OpenFile.open(used, place, flags, mode, options);
  try {
    return await run(file);
  } finally {
    await file.close();
  }
}

/** As in Node, an empty string means that the flag or the mode is not given. */
function given<T>(value: T): T | undefined {
  return value === "" ? undefined : value;
}

function named<Options extends { encoding?: BufferEncoding | null }>(
  options: BufferEncoding | Options | null | undefined,
): Omit<Partial<Options>, "encoding"> & { encoding: BufferEncoding | undefined } {
  const all = (typeof options === "object" && options !== null ? options : { encoding: options }) as Partial<Options>;
  return { ...all, encoding: encodingOf(all.encoding) };
}
