/** Files as a whole: read, write, append, copy. */
import { randomBytes } from "node:crypto";
import { constants, fchmod, fchown, fstat, type PathLike, stat, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { OperationOptions } from "../reactor/operation.ts";
import { EOPNOTSUPP, SystemError } from "../sys/errno.ts";
import { byteLengthOf } from "../sys/views.ts";
import { modeOf, openFlags, pathOf, requireEncoding } from "./arguments.ts";
import { type Backend, backend } from "./backend.ts";
import { FileHandle } from "./file-handle.ts";
import { OpenFile } from "./open-file.ts";
import { readToEnd, writeAll } from "./sequences.ts";

const COPY_BYTES = 1048576;
/** Permissions of a new file, before the umask. */
const MODE_DEFAULT = 0o666;
/** Permissions of a file that gets others before its first byte. */
const OWNER_ALONE = 0o600;

export interface ReadFileOptions extends OperationOptions {
  /** Text in place of a buffer. */
  encoding?: BufferEncoding | null;
  /** Default "r". */
  flag?: string | number;
}

export interface WriteFileOptions extends OperationOptions {
  /** Of text. Default "utf8". */
  encoding?: BufferEncoding | null;
  /** Before the umask. Default 0o666. */
  mode?: number | string;
  /** Default "w". Not with `atomic`. */
  flag?: string | number;
  /** fsync(2) when it is written. Default false. */
  flush?: boolean;
  /**
   * The file is, at every moment and after a crash, the old one or the whole new one: written beside it under another name, synced, renamed
   * over it, and the directory synced. It is a new file then, with `mode`, or else with the permissions and the owner of the file that it
   * replaces, which it has before its first byte. Default false.
   */
  atomic?: boolean;
}

/** What a file can be written from. */
export type FileData = string | NodeJS.ArrayBufferView | Iterable<Chunk> | AsyncIterable<Chunk>;
type Chunk = string | NodeJS.ArrayBufferView;

/** A file's whole contents. */
export function readFile(
  file: PathLike | FileHandle,
  options: BufferEncoding | (ReadFileOptions & { encoding: BufferEncoding }),
): Promise<string>;
export function readFile(
  file: PathLike | FileHandle,
  options?: (ReadFileOptions & { encoding?: null }) | null,
): Promise<Buffer>;
export async function readFile(
  file: PathLike | FileHandle,
  options?: BufferEncoding | ReadFileOptions | null,
): Promise<string | Buffer> {
  const { encoding, flag = "r", ...limits } = named(options);
  if (file instanceof FileHandle) return file.readFile({ encoding: encoding ?? null, ...limits });
  const used = backend();
  const opened = await openFile(used, pathOf(file), openFlags(flag), 0, limits);
  let bytes: Buffer;
  try {
    bytes = await readToEnd(used, opened, limits);
  } finally {
    await opened.close();
  }
  return encoding ? bytes.toString(encoding) : bytes;
}

/** Writes a file, in place of what it held. */
export async function writeFile(
  file: PathLike | FileHandle,
  data: FileData,
  options?: BufferEncoding | WriteFileOptions | null,
): Promise<void> {
  const { encoding, mode, flag = "w", flush = false, atomic = false, ...limits } = named(options);
  if (file instanceof FileHandle) {
    if (atomic) throw new TypeError("atomic must be false for a file that is open");
    return writeChunks(data, encoding, (bytes) => file.writeFile(bytes, limits));
  }
  const path = pathOf(file);
  if (atomic) return writeAtomically(path, data, encoding, mode === undefined ? undefined : modeOf(mode), limits);
  const used = backend();
  const length = lengthOf(data);
  const opened = await openFile(used, path, openFlags(flag), modeOf(mode ?? MODE_DEFAULT), limits);
  try {
    await writeChunks(data, encoding, (bytes) => writeAll(used, opened, bytes, -1, limits, length));
    if (flush) await used.sync(opened);
  } finally {
    await opened.close();
  }
}

/** Adds to a file's end. */
export async function appendFile(
  path: PathLike | FileHandle,
  data: FileData,
  options?: BufferEncoding | WriteFileOptions | null,
): Promise<void> {
  return writeFile(path, data, { flag: "a", ...named(options) });
}

async function writeAtomically(
  path: string,
  data: FileData,
  encoding: BufferEncoding | null | undefined,
  mode: number | undefined,
  options: OperationOptions,
): Promise<void> {
  const used = backend();
  const length = lengthOf(data);
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  const replaced = mode === undefined ? await promisify(stat)(path).catch(() => undefined) : undefined;
  const modeAtFirst = replaced === undefined ? (mode ?? MODE_DEFAULT) : OWNER_ALONE;
  const file = await openFile(used, temporary, openFlags("wx"), modeAtFirst, options);
  try {
    try {
      if (replaced !== undefined) await takeOver(file, replaced);
      await writeChunks(data, encoding, (bytes) => writeAll(used, file, bytes, -1, options, length));
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
  const opened = await openFile(used, directory, openFlags(constants.O_RDONLY | constants.O_DIRECTORY), 0);
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

/** Of one view, as it was given: opening the file takes time, in which it may shrink. */
function lengthOf(data: FileData): number | undefined {
  return ArrayBuffer.isView(data) ? byteLengthOf(data) : undefined;
}

async function writeChunks(
  data: FileData,
  encoding: BufferEncoding | null | undefined,
  write: (bytes: NodeJS.ArrayBufferView) => Promise<void>,
): Promise<void> {
  const toBytes = (chunk: Chunk): NodeJS.ArrayBufferView => {
    if (typeof chunk === "string") return Buffer.from(chunk, encoding ?? "utf8");
    if (ArrayBuffer.isView(chunk)) return chunk;
    const error = new TypeError(`data must be text, a view, or an iterable of those, not ${Bun.inspect(chunk)}`);
    throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
  };
  const isIterable = typeof data === "object" && data !== null && !ArrayBuffer.isView(data);
  if (!isIterable) return write(toBytes(data));
  if (!(Symbol.asyncIterator in data || Symbol.iterator in data)) toBytes(data as Chunk);
  for await (const chunk of data) await write(toBytes(chunk));
}

/**
 * Copies a file with its permissions, which the copy has before its first byte, through memory. `mode`: COPYFILE_EXCL of node:fs, so that an existing file is an error;
 * COPYFILE_FICLONE makes no difference, and COPYFILE_FICLONE_FORCE is EOPNOTSUPP, since the ring has no operation for it.
 */
export async function copyFile(from: PathLike, to: PathLike, mode = 0, options?: OperationOptions): Promise<void> {
  const source = pathOf(from, "src");
  const target = pathOf(to, "dest");
  const where = { path: source, dest: target };
  if ((mode & constants.COPYFILE_FICLONE_FORCE) !== 0) throw new SystemError(EOPNOTSUPP, "copyfile", where);
  const used = backend();
  const opened: OpenFile[] = [];
  try {
    const input = await openFile(used, source, openFlags("r"), 0, options);
    opened.push(input);
    const stats = await used.fstat(input);
    const exclusive = (mode & constants.COPYFILE_EXCL) !== 0;
    const flags = constants.O_WRONLY | constants.O_CREAT | (exclusive ? constants.O_EXCL : 0);
    const output = await openFile(used, target, openFlags(flags), stats.mode & OWNER_ALONE, options);
    opened.push(output);
    // Emptied only now: that both are one file shows when it is open.
    const { dev, ino } = await used.fstat(output);
    if (dev === stats.dev && ino === stats.ino) return;
    await promisify(fchmod)(output.fd, stats.mode & 0o7777);
    await used.truncate(output, 0);
    for (let position = 0; ;) {
      const piece = Buffer.allocUnsafeSlow(COPY_BYTES);
      const { bytesRead } = await used.readFresh(input, piece, position, options);
      if (bytesRead === 0) return;
      await writeAll(used, output, piece.subarray(0, bytesRead), position, options);
      position += bytesRead;
    }
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw new SystemError(-(error as SystemError).errno, "copyfile", where);
  } finally {
    for (const file of opened) await file.close();
  }
}

async function openFile(
  used: Backend,
  path: string,
  flags: number,
  mode: number,
  options?: OperationOptions,
): Promise<OpenFile> {
  return new OpenFile(used, await used.open(path, flags, mode, options));
}

function named<Options extends object>(
  options: BufferEncoding | Options | null | undefined,
): Partial<Options> & { encoding?: BufferEncoding | null } {
  const given = (
    typeof options === "object" && options !== null ? options : { encoding: options }
  ) as Partial<Options> & { encoding?: BufferEncoding | null };
  requireEncoding(given.encoding);
  return given;
}
