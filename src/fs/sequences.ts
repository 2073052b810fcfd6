/** Reads and writes that repeat after a short result until everything is done. */
import { fstatSync, type Stats } from "node:fs";
import type { OperationOptions } from "../operations/operation.ts";
import { EIO, SystemError } from "../sys/errno.ts";
import { byteLengthOf } from "../sys/views.ts";
import type { Backend } from "./backend.ts";
import type { OpenFile } from "./open-file.ts";

/** Bytes of a piece for a file that does not know its size: /proc, pipes. */
const GROWTH_BYTES = 65536;
/** O_DIRECT reads whole blocks. */
const BLOCK_BYTES = 4096;

/**
 * Reads everything from the file's position on. The result contains only bytes that were read,
 * because new memory may have another owner's old content.
 */
export function readToEnd(backend: Backend, file: OpenFile, options?: OperationOptions): Promise<Buffer> {
  return file.during(async () => {
    // fstat(2) of an open local file does not wait for the disk; on NFS or FUSE it may. The ring's
    // operation always needs a worker thread.
    const stats = statsFor(file);
    const expected = stats.isFile() ? stats.size : 0;
    const blocks = file.direct !== null ? Math.ceil(expected / BLOCK_BYTES) * BLOCK_BYTES : expected;
    const pieces: Buffer[] = [];
    let total = 0;
    for (;;) {
      const known = blocks - total;
      const piece = Buffer.allocUnsafeSlow(known > 0 ? known : GROWTH_BYTES);
      const { bytesRead } = await backend.readFresh(file, piece, -1, options);
      total += bytesRead;
      if (bytesRead > 0) pieces.push(bytesRead === piece.length ? piece : piece.subarray(0, bytesRead));
      if (bytesRead > 0 && (expected === 0 || total < expected)) continue;
      const [first] = pieces;
      if (pieces.length === 1 && first!.length === first!.buffer.byteLength) return first!;
      return Buffer.concat(pieces, total);
    }
  });
}

/** Returns fstat(2) of a file that will be read. An error is an error of that read, as in Bun. */
function statsFor(file: OpenFile): Stats {
  try {
    return fstatSync(file.fd);
  } catch (error) {
    throw new SystemError(-(error as SystemError).errno, "read");
  }
}

/**
 * Writes the first `length` bytes of a view, by default all, from `position` on. -1 means the
 * file's own position. Throws a RangeError if the view loses bytes meanwhile.
 */
export function writeAll(
  backend: Backend,
  file: OpenFile,
  view: NodeJS.ArrayBufferView,
  position: number,
  options?: OperationOptions,
  length: number = byteLengthOf(view),
): Promise<void> {
  return file.during(async () => {
    for (let total = 0; total < length;) {
      const at = position < 0 ? -1 : position + total;
      const written = await backend.write(file, view, total, length - total, at, options);
      // Without an error, the loop would never end.
      if (written === 0) throw new SystemError(EIO, "write");
      total += written;
    }
  });
}

/** Waits for the sync of a written file. A pipe or a device that cannot be synced (EINVAL) has nothing to sync. */
export async function flushed(sync: Promise<void>): Promise<void> {
  try {
    await sync;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
  }
}
