/** Files as a whole: read, write, append, copy. */
import { randomBytes } from "node:crypto";
import { constants, type PathLike } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { OperationOptions } from "../reactor/operation.ts";
import { EOPNOTSUPP, SystemError } from "../sys/errno.ts";
import { modeOf, openFlags, pathOf, requireEncoding } from "./arguments.ts";
import { backend } from "./backend.ts";
import { FileHandle } from "./file-handle.ts";
import { bytesOf } from "./ring-backend.ts";
import { readToEnd, writeAll } from "./sequences.ts";

const COPY_BYTES = 1048576;

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
   * over it, and the directory synced. It is a new file then, with `mode` and this process as its owner. Default false.
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
  const fd = await used.open(pathOf(file), openFlags(flag), 0, limits);
  let bytes: Buffer;
  try {
    bytes = await readToEnd(used, fd, null, limits);
  } finally {
    await used.close(fd);
  }
  return encoding ? bytes.toString(encoding) : bytes;
}

/** Writes a file, in place of what it held. */
export async function writeFile(
  file: PathLike | FileHandle,
  data: FileData,
  options?: BufferEncoding | WriteFileOptions | null,
): Promise<void> {
  const { encoding, mode = 0o666, flag = "w", flush = false, atomic = false, ...limits } = named(options);
  if (file instanceof FileHandle) {
    if (atomic) throw new TypeError("atomic must be false for a file that is open");
    return writeChunks(data, encoding, (bytes) => file.writeFile(bytes, limits));
  }
  const path = pathOf(file);
  if (atomic) return writeAtomically(path, data, encoding, modeOf(mode), limits);
  const used = backend();
  const fd = await used.open(path, openFlags(flag), modeOf(mode), limits);
  try {
    await writeChunks(data, encoding, (bytes) => writeAll(used, fd, bytes, -1, null, limits));
    if (flush) await used.sync(fd);
  } finally {
    await used.close(fd);
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
  mode: number,
  options: OperationOptions,
): Promise<void> {
  const used = backend();
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  const fd = await used.open(temporary, openFlags("wx"), mode, options);
  try {
    try {
      await writeChunks(data, encoding, (bytes) => writeAll(used, fd, bytes, -1, null, options));
      await used.sync(fd);
    } finally {
      await used.close(fd);
    }
    options.signal?.throwIfAborted(); // From here on it is done, or not: nobody is told the one of the other.
    await used.rename(temporary, path);
  } catch (error) {
    await used.unlink(temporary).catch(() => {}); // What is to be told is why there is no file.
    throw error;
  }
  const directoryFd = await used.open(directory, openFlags(constants.O_RDONLY | constants.O_DIRECTORY), 0);
  try {
    await used.sync(directoryFd);
  } finally {
    await used.close(directoryFd);
  }
}

async function writeChunks(
  data: FileData,
  encoding: BufferEncoding | null | undefined,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const toBytes = (chunk: Chunk): Uint8Array => {
    if (typeof chunk === "string") return Buffer.from(chunk, encoding ?? "utf8");
    if (ArrayBuffer.isView(chunk)) return bytesOf(chunk);
    const error = new TypeError(`data must be text, a view, or an iterable of those, not ${Bun.inspect(chunk)}`);
    throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
  };
  const isIterable = typeof data === "object" && data !== null && !ArrayBuffer.isView(data);
  if (!isIterable) return write(toBytes(data));
  if (!(Symbol.asyncIterator in data || Symbol.iterator in data)) toBytes(data as Chunk);
  for await (const chunk of data) await write(toBytes(chunk));
}

/**
 * Copies a file with its permissions, through memory. `mode`: COPYFILE_EXCL of node:fs, so that an existing file is an error;
 * COPYFILE_FICLONE makes no difference, and COPYFILE_FICLONE_FORCE is EOPNOTSUPP, since the ring has no operation for it.
 */
export async function copyFile(from: PathLike, to: PathLike, mode = 0, options?: OperationOptions): Promise<void> {
  const source = pathOf(from, "src");
  const target = pathOf(to, "dest");
  const where = { path: source, dest: target };
  if ((mode & constants.COPYFILE_FICLONE_FORCE) !== 0) throw new SystemError(EOPNOTSUPP, "copyfile", where);
  const used = backend();
  const opened: number[] = [];
  try {
    const input = await used.open(source, openFlags("r"), 0, options);
    opened.push(input);
    const stats = await used.fstat(input);
    const exclusive = (mode & constants.COPYFILE_EXCL) !== 0;
    const flags = constants.O_WRONLY | constants.O_CREAT | (exclusive ? constants.O_EXCL : 0);
    const output = await used.open(target, openFlags(flags), stats.mode & 0o777, options);
    opened.push(output);
    // Emptied only now: that both are one file shows when it is open.
    const { dev, ino } = await used.fstat(output);
    if (dev === stats.dev && ino === stats.ino) return;
    await used.truncate(output, 0);
    for (let position = 0; ;) {
      const piece = Buffer.allocUnsafeSlow(COPY_BYTES);
      const { bytesRead } = await used.readFresh(input, piece, position, null, options);
      if (bytesRead === 0) return;
      await writeAll(used, output, piece.subarray(0, bytesRead), position, null, options);
      position += bytesRead;
    }
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw new SystemError(-(error as SystemError).errno, "copyfile", where);
  } finally {
    for (const fd of opened) await used.close(fd);
  }
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
