/** Reads and writes that go on until all is done: short ones are continued. */
import { fstatSync } from "node:fs";
import type { OperationOptions } from "../reactor/operation.ts";
import { EIO, SystemError } from "../sys/errno.ts";
import type { Backend } from "./backend.ts";
import type { DirectPosition } from "./direct-position.ts";

/** Of a file that does not say how large it is: /proc, pipes. */
const GROWTH_BYTES = 65536;
/** O_DIRECT reads whole blocks. */
const BLOCK_BYTES = 4096;

/** Everything from the file's position on. */
export async function readToEnd(
  backend: Backend,
  fd: number,
  direct: DirectPosition | null,
  options?: OperationOptions,
): Promise<Buffer> {
  // fstat(2) of an open local file does not wait for the disk (on NFS or FUSE it may); the ring's always takes a worker thread.
  const stats = fstatSync(fd);
  const expected = stats.isFile() ? stats.size : 0;
  const blocks = direct !== null ? Math.ceil(expected / BLOCK_BYTES) * BLOCK_BYTES : expected;
  const pieces: Buffer[] = [];
  let total = 0;
  for (;;) {
    const known = blocks - total;
    const piece = Buffer.allocUnsafeSlow(known > 0 ? known : GROWTH_BYTES);
    const { bytesRead } = await backend.readFresh(fd, piece, -1, direct, options);
    total += bytesRead;
    if (bytesRead > 0) pieces.push(bytesRead === piece.length ? piece : piece.subarray(0, bytesRead));
    if (bytesRead === 0 || (expected > 0 && total >= expected))
      return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, total);
  }
}

/** All bytes, from `position` or the file's own (-1) on. */
export async function writeAll(
  backend: Backend,
  fd: number,
  bytes: Uint8Array,
  position: number,
  direct: DirectPosition | null,
  options?: OperationOptions,
): Promise<void> {
  let total = 0;
  while (total < bytes.length) {
    const rest = total === 0 ? bytes : bytes.subarray(total);
    const written = await backend.write(fd, rest, position < 0 ? -1 : position + total, direct, options);
    if (written === 0) throw new SystemError(EIO, "write"); // As good as never: it would go on for ever.
    total += written;
  }
}
