/**
 * Functions on descriptors that Bun's node:fs/promises has and Node's lacks. The descriptor belongs
 * to the caller; only `close` closes it. Arguments are those of FileHandle's methods.
 */
import { I32_MAX, requireNodeInteger } from "../sys/check.ts";
import { SystemError } from "../sys/errno.ts";
import { backend } from "./backend.ts";
import { FileHandle } from "./file-handle.ts";
import { OpenFile } from "./open-file.ts";
import type { BigIntStats, Stats } from "./stats.ts";

type Views = readonly NodeJS.ArrayBufferView[];

/** Requires an integer that can be a descriptor. The kernel knows whether it is one. */
export function requireDescriptor(fd: number): number {
  requireNodeInteger("fd", fd, 0, I32_MAX);
  return fd;
}

/** An error says `fd`. */
async function withDescriptor<T>(fd: number, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof SystemError ? Object.assign(error, { fd }) : error;
  }
}

/** Runs on the handle of a descriptor. */
function on<T>(fd: number, run: (handle: FileHandle) => Promise<T>): Promise<T> {
  const used = backend();
  return withDescriptor(fd, () => run(new FileHandle(used, OpenFile.borrowed(used, requireDescriptor(fd)))));
}

/** read(2), pread(2). The number of bytes. */
export async function read(
  fd: number,
  buffer: NodeJS.ArrayBufferView,
  offset?: number | null,
  length?: number | null,
  position?: number | bigint | null,
): Promise<number> {
  return (await on(fd, (handle) => handle.read(buffer, offset, length, position))).bytesRead;
}

/** preadv(2). */
export async function readv<Buffers extends Views>(
  fd: number,
  buffers: Buffers,
  position?: number | null,
): Promise<{ bytesRead: number; buffers: Buffers }> {
  return on(fd, (handle) => handle.readv(buffers, position));
}

/**
 * write(2), pwrite(2). Writes bytes, or text as `(fd, text, position, encoding)`. Returns the
 * number of bytes.
 */
export async function write(
  fd: number,
  data: NodeJS.ArrayBufferView | string,
  offset?: number | null,
  length?: number | BufferEncoding | null,
  position?: number | null,
): Promise<number> {
  return (await on(fd, (handle) => handle.write(data, offset, length, position))).bytesWritten;
}

/** pwritev(2). */
export async function writev<Buffers extends Views>(
  fd: number,
  buffers: Buffers,
  position?: number | null,
): Promise<{ bytesWritten: number; buffers: Buffers }> {
  return on(fd, (handle) => handle.writev(buffers, position));
}

/** fstat(2). */
export async function fstat(fd: number, options?: { bigint?: boolean } | null): Promise<Stats | BigIntStats> {
  return on(fd, (handle) => handle.stat(options));
}

/** fsync(2). */
export async function fsync(fd: number): Promise<void> {
  return on(fd, (handle) => handle.sync());
}

/** fdatasync(2). */
export async function fdatasync(fd: number): Promise<void> {
  return on(fd, (handle) => handle.datasync());
}

/** ftruncate(2) to `bytes`. Default 0. */
export async function ftruncate(fd: number, bytes?: number | null): Promise<void> {
  return on(fd, (handle) => handle.truncate(bytes ?? 0));
}

/** close(2). */
export async function close(fd: number): Promise<void> {
  return withDescriptor(fd, () => backend().close(requireDescriptor(fd)));
}
