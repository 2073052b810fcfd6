/** Files as a whole: read, write, append. */
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
/** Permissions of a file that gets others before its first byte. */
const OWNER_ALONE = 0o600;

export interface ReadFileOptions extends OperationOptions {
  /** Text in place of a buffer. */
  encoding?: BufferEncoding | null;
  /** Default "r". */
  flag?: string | number | null;
}

export interface WriteFileOptions extends OperationOptions {
  /** Of text. Default "utf8". */
  encoding?: BufferEncoding | null;
  /** Before the umask. Default 0o666. */
  mode?: number | string | null;
  /** Default "w". Not with `atomic`. */
  flag?: string | number | null;
  /** fsync(2) when it is written. Default false. */
  flush?: boolean;
  /**
   * The file is, at every moment and after a crash, the old one or the whole new one: written beside it under another name, synced, renamed
   * over it, and the directory synced. It is a new file then, with `mode`, or else with the permissions and the owner of the file that it
   * replaces, which it has before its first byte. Default false.
   */
  atomic?: boolean;
}

/** A path, a descriptor of one's own, or an open file. */
export type FileTarget = PathArgument | number | FileHandle;

/** A file's whole contents; of a descriptor or an open file, what is left from its position on. */
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

/** Writes a file, in place of what it held; a descriptor or an open file, from its position on. */
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

/** Adds to a file's end; to a descriptor or an open file at its position. */
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
    options.signal?.throwIfAborted(); // From here on it is done, or not: nobody is told the one of the other.
    await used.rename(temporary, path);
  } catch (error) {
    await used.unlink(temporary).catch(() => {}); // What is to be told is why there is no file.
    throw error;
  }
  const opened = await OpenFile.open(used, directory, openFlags(constants.O_RDONLY | constants.O_DIRECTORY), 0);
  try {
    await used.sync(opened);
  } finally {
    await opened.close();
  }
}

/** Gives the new file the owner and the permissions of the one that it replaces. */
async function takeOver({ fd }: OpenFile, replaced: Stats): Promise<void> {
  const { uid, gid } = await promisify(fstat)(fd);
  if (uid !== replaced.uid || gid !== replaced.gid) {
    try {
      await promisify(fchown)(fd, replaced.uid, replaced.gid);
    } catch {
      return; // Only root may give files away. What stays this process's own is not shown to anybody else.
    }
  }
  await promisify(fchmod)(fd, replaced.mode & 0o7777);
}

/** A path's directory, and a name in it that nobody has. Bytes are taken for Latin-1 meanwhile, in which each is one letter. */
function placesBeside(path: Path): [directory: Path, temporary: Path] {
  const text = typeof path === "string" ? path : path.toString("latin1");
  const directory = dirname(text);
  const temporary = join(directory, `.${basename(text)}.${randomBytes(6).toString("hex")}.tmp`);
  if (typeof path === "string") return [directory, temporary];
  return [Buffer.from(directory, "latin1"), Buffer.from(temporary, "latin1")];
}

/** A descriptor as it is, or a path. */
function placeOf(file: PathArgument | number): Path | number {
  if (typeof file !== "number") return pathOf(file);
  return requireDescriptor(file);
}

/** Runs on the file of a path, which it opens and closes, or of a descriptor, which stays open. */
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

/** As in Node, an empty string is no flag and no mode. */
function given<T>(value: T): T | undefined {
  return value === "" ? undefined : value;
}

function named<Options extends { encoding?: BufferEncoding | null }>(
  options: BufferEncoding | Options | null | undefined,
): Omit<Partial<Options>, "encoding"> & { encoding: BufferEncoding | undefined } {
  const all = (typeof options === "object" && options !== null ? options : { encoding: options }) as Partial<Options>;
  return { ...all, encoding: encodingOf(all.encoding) };
}
