/** Whole files: read, write, append. */
import { randomBytes } from "node:crypto";
import { constants, fchmod, fchown, fstat, lstat, stat, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { isUnlimited, type OperationOptions, requireLimits } from "../operations/operation-options.ts";
import { invalidValue, requireOptionalBoolean } from "../sys/check.ts";
import { EEXIST, SystemError } from "../sys/errno.ts";
import { abortable } from "./abort.ts";
import {
  encodingOf,
  MODE_DEFAULT,
  modeOf,
  O_CLOEXEC,
  openFlags,
  type Path,
  type PathArgument,
  pathOf,
} from "./arguments.ts";
import { type Backend, backend } from "./backend.ts";
import { type FileData, readData, type ReadyData } from "./file-data.ts";
import { requireDescriptor } from "./descriptors.ts";
import { FileHandle } from "./file-handle.ts";
import { OpenFile } from "./open-file.ts";
import { flushed, readToEnd, writeAll } from "./sequences.ts";
import { atomicOpenFile } from "./state-errors.ts";

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
  /**
   * Flags of the open. Default "w". With `atomic`, "w" and "w+" replace the file, and "wx" and "wx+"
   * make a new one; others are ERR_INVALID_ARG_VALUE.
   */
  flag?: string | number | null;
  /** Whether to call fsync(2) after the write. Default false. */
  flush?: boolean;
  /**
   * Whether to replace the file atomically. At every moment and after a crash, the file is the old
   * one or the whole new one. The data goes to a temporary file beside it, which is synced and
   * renamed over the old one; then the directory is synced. Default false.
   *
   * With the flag "wx" or "wx+", nothing is replaced: if the path exists, also if another process
   * has made it meanwhile, the result is EEXIST. `appendFile`, and a file that is open, cannot be
   * written atomically: ERR_INVALID_ARG_VALUE.
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
  const flags = openFlags(given(flag));
  if (file instanceof FileHandle) return file.readFile({ encoding: encoding ?? null, ...limits });
  const used = backend();
  const place = placeOf(file);
  const whole = typeof place !== "number" && isUnlimited(limits) ? used.readWhole?.(place, flags) : undefined;
  const reading =
    whole ?? withFile(used, place, flags, MODE_DEFAULT, limits, (opened) => readToEnd(used, opened, limits));
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
  const flags = openFlags(given(flag), "w");
  const ready = readData(data, encoding);
  if (atomic && (file instanceof FileHandle || typeof file === "number")) throw atomicOpenFile();
  if (file instanceof FileHandle) {
    await file.writeData(ready, limits);
    if (flush) await flushed(file.sync());
    return;
  }
  const bits = modeOf(given(mode), MODE_DEFAULT);
  if (atomic) {
    const isNew = makesNewFile(flags, flag);
    const wanted = (given(mode) ?? undefined) === undefined ? undefined : bits;
    return await abortable(limits, writeAtomically(place as Path, ready, isNew, wanted, limits));
  }
  const used = backend();
  const canBeOne = typeof place !== "number" && !flush && ready.whole !== undefined && isUnlimited(limits);
  const whole = canBeOne ? used.writeWhole?.(place as Path, flags, bits, ready.whole!, ready.length) : undefined;
  if (whole !== undefined) return await abortable(limits, whole);
  const writing = withFile(used, place!, flags, bits, limits, async (opened) => {
    await opened.during(() => ready.write((view, length) => writeAll(used, opened, view, -1, limits, length), limits));
    if (flush) await flushed(used.sync(opened));
  });
  return await abortable(limits, writing);
}

/**
 * Appends to a file. For a descriptor or an open file, writes at its position. `atomic` is
 * ERR_INVALID_ARG_VALUE: no operation of the kernel appends all of the data or nothing.
 */
export async function appendFile(
  file: FileTarget,
  data: FileData,
  options?: BufferEncoding | WriteFileOptions | null,
): Promise<void> {
  const { encoding = null, flag, ...others } = named(options);
  if (others.atomic === true) throw invalidValue("atomic", "false for appendFile", true);
  return await writeFile(file, data, { ...others, encoding, flag: given(flag) ?? "a" });
}

/**
 * Flags that do not change what an atomic write does: it ends with fsync(2), and its file is
 * close-on-exec.
 */
const FLAGS_ANYWAY = constants.O_SYNC | constants.O_DSYNC | O_CLOEXEC;

/**
 * Returns whether the flags of an atomic write make a new file, instead of replacing one. Throws
 * ERR_INVALID_ARG_VALUE for flags that a rename cannot stand for, such as those that keep contents.
 */
function makesNewFile(flags: number, flag: unknown): boolean {
  const { O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = constants;
  const access = flags & (O_WRONLY | O_RDWR);
  const rest = flags & ~(FLAGS_ANYWAY | access);
  if (access === O_WRONLY || access === O_RDWR) {
    if (rest === (O_CREAT | O_TRUNC)) return false;
    if ((rest & ~O_TRUNC) === (O_CREAT | O_EXCL)) return true;
  }
  throw invalidValue("flag", `"w", "w+", "wx" or "wx+" with atomic: true, or O_* of them`, flag);
}

/** Writes a file beside `path`, and renames it. With `isNew`, the path must not exist. */
async function writeAtomically(
  path: Path,
  data: ReadyData,
  isNew: boolean,
  mode: number | undefined,
  options: OperationOptions,
): Promise<void> {
  const used = backend();
  const [directory, temporary] = placesBeside(path);
  // Saves the write. The rename decides.
  if (isNew && (await exists(path))) throw new SystemError(EEXIST, "open", { path: path.toString() });
  const replaced = mode === undefined && !isNew ? await promisify(stat)(path).catch(() => undefined) : undefined;
  const modeAtFirst = replaced === undefined ? (mode ?? MODE_DEFAULT) : OWNER_ALONE;
  const asFor = (error: unknown): unknown => withPath(error, path);
  options.signal?.throwIfAborted();
  // Without limits: a file that an abandoned open makes later would stay. It is removed below.
  const file = await OpenFile.open(used, temporary, openFlags("wx"), modeAtFirst).catch((error) => {
    throw asFor(error);
  });
  try {
    try {
      options.signal?.throwIfAborted();
      if (replaced !== undefined) await takeOver(file, replaced);
      await data.write((view, length) => writeAll(used, file, view, -1, options, length), options);
      await used.sync(file);
    } finally {
      await file.close();
    }
    // After this check, the signal has no effect: the result is always the real outcome.
    options.signal?.throwIfAborted();
    if (isNew) await used.renameNew(temporary, path);
    else await used.rename(temporary, path);
  } catch (error) {
    // The caller gets the first error, which tells why there is no file.
    await used.unlink(temporary).catch(() => {});
    const isTaken = isNew && error instanceof Error && (error as NodeJS.ErrnoException).code === "EEXIST";
    throw isTaken ? new SystemError(EEXIST, "open", { path: path.toString() }) : asFor(error);
  }
  const opened = await OpenFile.open(used, directory, openFlags(constants.O_RDONLY | constants.O_DIRECTORY), 0);
  try {
    await used.sync(opened);
  } finally {
    await opened.close();
  }
}

/** Returns an error of the temporary file as one of the caller's file, whose name the caller knows. */
function withPath(error: unknown, path: Path): unknown {
  const { errno, syscall, path: where, dest } = error as Partial<SystemError>;
  if (errno === undefined || syscall === undefined || where === undefined) return error;
  // rename(2): the target is the caller's file.
  return new SystemError(-errno, dest === undefined ? syscall : "open", { path: path.toString() });
}

/** Returns whether there is anything of this name, also a symbolic link that leads nowhere. */
function exists(path: Path): Promise<boolean> {
  return promisify(lstat)(path).then(
    () => true,
    () => false,
  );
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
