/** Reads and writes of several pieces, with the results of write(2) and writev(2). */
import { constants, fstatSync } from "node:fs";
import type { OperationOptions } from "../operations/operation-options.ts";
import { ETIMEDOUT, SystemError } from "../sys/errno.ts";

const { O_NONBLOCK } = constants;

/**
 * Handles the error of a piece. After a part, the result is that part, as from write(2); the next
 * call meets the error. Without one, the error is one of the whole operation.
 */
export function partBefore(error: unknown, total: number, syscall: string, options?: OperationOptions): number {
  if (!(error instanceof SystemError)) throw error;
  const isLimit = error.errno === -ETIMEDOUT && options?.timeoutMs !== undefined;
  if (total > 0 && !isLimit) return total;
  throw new SystemError(-error.errno, syscall);
}

/**
 * Returns whether write(2) on a descriptor returns only when everything is written. The ring
 * completes a write when the pipe or the socket is full. `flags`: the descriptor's O_*.
 */
export function takesAll(fd: number, flags: number): boolean {
  return (flags & O_NONBLOCK) === 0 && !fstatSync(fd).isFile();
}

export const sumOf = (lengths: number[]): number => lengths.reduce((sum, bytes) => sum + bytes, 0);

/** Moves bytes of a view, from `offset` on. Returns their number. */
export type MovePiece = (
  view: NodeJS.ArrayBufferView,
  offset: number,
  bytes: number,
  position: number,
) => Promise<number>;

/** Moves the pieces of a vector after the first `moved` bytes. Returns the number of all moved bytes. */
export async function pieces(
  syscall: string,
  views: NodeJS.ArrayBufferView[],
  lengths: number[],
  moved: number,
  position: number,
  each: MovePiece,
): Promise<number> {
  let total = moved;
  let skipped = moved;
  for (const [i, view] of views.entries()) {
    const offset = Math.min(skipped, lengths[i]!);
    skipped -= offset;
    const bytes = lengths[i]! - offset;
    if (bytes === 0) continue;
    const at = position < 0 ? -1 : position + total;
    try {
      const done = await each(view, offset, bytes, at);
      total += done;
      if (done < bytes) break;
    } catch (error) {
      return partBefore(error, total, syscall);
    }
  }
  return total;
}
