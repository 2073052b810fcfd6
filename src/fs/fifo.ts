/** Opens of a FIFO that wait for the other end, as open(2) does; the ring's own open does not wait. */
import { constants, fstatSync } from "node:fs";
import type { OperationOptions } from "../operations/operation-options.ts";
import { ETIMEDOUT, SystemError } from "../sys/errno.ts";
import type { Path } from "./arguments.ts";
import { cannotSeek } from "./open-file.ts";

/** Missing in node:fs. The value is asm-generic's, which x86-64 and arm64 share. */
const O_PATH = 0o10000000;
const { O_CREAT, O_NOFOLLOW } = constants;

/** The operations that a wait needs. */
export interface FifoOpener {
  open(path: Path, flags: number, options: OperationOptions | undefined): Promise<number>;
  close(fd: number): Promise<void>;
  poll(fd: number, options: OperationOptions): Promise<number>;
}

export function isFifo(fd: number): boolean {
  return cannotSeek(fd) && fstatSync(fd).isFIFO();
}

/**
 * Waits until a FIFO that is open for reading has a writer, or has had one. A second open waits
 * for a writer, and poll(2) tells of one that has come and gone before. Closes the descriptor if
 * the wait fails.
 */
export async function writerOf(
  opener: FifoOpener,
  fd: number,
  path: Path,
  flags: number,
  options: OperationOptions | undefined,
): Promise<void> {
  const { over, limits, timer } = waitLimits(options);
  const again = openAgain(opener, fd, flags, limits);
  const heard = opener.poll(fd, limits);
  again.then(
    (second) => opener.close(second),
    () => {},
  );
  try {
    await Promise.any([heard, again]);
  } catch (errors) {
    await opener.close(fd);
    throw asOpen((errors as AggregateError).errors[0], path);
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

/** Opens a FIFO for writing, and waits for its reader. `error`: that of an open that does not wait. */
export async function openForReader(
  opener: FifoOpener,
  path: Path,
  flags: number,
  error: SystemError,
  options: OperationOptions | undefined,
): Promise<number> {
  const place = await opener.open(path, O_PATH | (flags & O_NOFOLLOW), options);
  const { limits, timer } = waitLimits(options);
  try {
    if (!fstatSync(place).isFIFO()) throw error;
    return await openAgain(opener, place, flags, limits);
  } catch (reason) {
    throw asOpen(reason, path);
  } finally {
    clearTimeout(timer);
    await opener.close(place);
  }
}

/**
 * Opens the file of a descriptor once more, as open(2) does: with O_CREAT, one of the kernel's
 * threads opens it, and waits. The name is the file's alone, so nothing is made.
 */
function openAgain(
  opener: FifoOpener,
  fd: number,
  flags: number,
  options: OperationOptions | undefined,
): Promise<number> {
  return opener.open(`/proc/self/fd/${fd}`, (flags & ~O_NOFOLLOW) | O_CREAT, options);
}

/**
 * Limits of a wait for the other end of a FIFO. A linked timeout does not end an open that waits on
 * a thread of the kernel, so the time limit is a signal.
 */
function waitLimits(options: OperationOptions | undefined): {
  over: AbortController;
  limits: OperationOptions;
  timer: ReturnType<typeof setTimeout> | undefined;
} {
  const { signal, timeoutMs } = options ?? {};
  const over = new AbortController();
  const expire = (): void => over.abort(new SystemError(ETIMEDOUT, "open"));
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
  return { over, timer, limits: { signal: signal ? AbortSignal.any([signal, over.signal]) : over.signal } };
}

/** Names the caller's path in an error of another open. */
function asOpen(error: unknown, path: Path): unknown {
  return error instanceof SystemError ? new SystemError(-error.errno, "open", { path: path.toString() }) : error;
}
