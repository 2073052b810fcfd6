/**
 * Copies a file with its permissions. The copy has the permissions before its first byte.
 *
 * io_uring can neither clone a file nor copy within the kernel as copy_file_range(2) does. So Bun's
 * own function copies on one of its threads. If a signal or a time limit may end the copy, the
 * bytes go through memory.
 */
import { constants, fchmod } from "node:fs";
import * as node from "node:fs/promises";
import { promisify } from "node:util";
import { isUnlimited, type OperationOptions, requireLimits } from "../operations/operation-options.ts";
import { requireNumber } from "../sys/check.ts";
import { EOPNOTSUPP, SystemError } from "../sys/errno.ts";
import { abortable } from "./abort.ts";
import { openFlags, type Path, type PathArgument, pathOf } from "./arguments.ts";
import { backend } from "./backend.ts";
import { OpenFile } from "./open-file.ts";
import { writeAll } from "./sequences.ts";
import type { Stats } from "./stats.ts";

/** With the NUL, of Linux. */
const PATH_BYTES_MAX = 4096;
const COPY_BYTES = 1048576;
/** All COPYFILE_* flags. */
const COPY_MODE_MAX = 7;
/** Permissions of a new file until it gets its final ones. It gets them before its first byte. */
const OWNER_ALONE = 0o600;

/**
 * Copies a file. `mode`: COPYFILE_* of node:fs. With a signal or a time limit, COPYFILE_FICLONE has
 * no effect, and COPYFILE_FICLONE_FORCE is EOPNOTSUPP.
 */
export async function copyFile(
  from: PathArgument,
  to: PathArgument,
  mode?: number | null,
  options: OperationOptions = {},
): Promise<void> {
  const source = pathOf(from, "src");
  const target = pathOf(to, "dest");
  const bits = copyModeOf(mode);
  requireLimits(options);
  if (!isUnlimited(options) || !isName(source) || !isName(target))
    return await abortable(options, copy(source, target, bits, options));
  if ((bits & constants.COPYFILE_EXCL) === 0) await narrow(source, target);
  await node.copyFile(source, target, bits);
}

/** Whether Bun's own takes it for a name; the kernel's answer to others is better. */
function isName(path: Path): boolean {
  return path.length > 0 && Buffer.byteLength(path) < PATH_BYTES_MAX;
}

/** Takes from a file that is there the permissions that its new contents are not to have: Bun's own does so behind the last byte. */
async function narrow(source: Path, target: Path): Promise<void> {
  const [replaced, copied] = await Promise.all([target, source].map((path) => node.stat(path).catch(() => undefined)));
  if (copied === undefined || !replaced?.isFile()) return;
  const { mode } = copied;
  if ((replaced.mode & ~mode & 0o777) !== 0) await node.chmod(target, replaced.mode & mode & 0o7777);
}

function copyModeOf(mode: number | null | undefined): number {
  if (mode === undefined || mode === null) return 0;
  requireNumber("mode", mode, 0, COPY_MODE_MAX);
  return Math.trunc(mode); // As in Bun.
}

async function copy(source: Path, target: Path, mode: number, options?: OperationOptions): Promise<void> {
  const where = { path: source.toString(), dest: target.toString() };
  if ((mode & constants.COPYFILE_FICLONE_FORCE) !== 0) throw new SystemError(EOPNOTSUPP, "copyfile", where);
  const used = backend();
  const opened: OpenFile[] = [];
  try {
    const input = await OpenFile.open(used, source, openFlags("r"), 0, options);
    opened.push(input);
    const stats = (await used.fstat(input, false)) as Stats;
    const exclusive = (mode & constants.COPYFILE_EXCL) !== 0;
    const flags = constants.O_WRONLY | constants.O_CREAT | (exclusive ? constants.O_EXCL : 0);
    const output = await OpenFile.open(used, target, openFlags(flags), stats.mode & OWNER_ALONE, options);
    opened.push(output);
    // The file is emptied only now. Two open files show whether they are the same file.
    const { dev, ino } = await used.fstat(output, false);
    if (dev === stats.dev && ino === stats.ino) return;
    await promisify(fchmod)(output.fd, stats.mode & 0o7777);
    await used.truncate(output, 0);
    for (;;) {
      const piece = Buffer.allocUnsafeSlow(COPY_BYTES);
      // Not at a position: a FIFO has none.
      const { bytesRead } = await used.readFresh(input, piece, -1, options);
      if (bytesRead === 0) return;
      await writeAll(used, output, piece.subarray(0, bytesRead), -1, options);
    }
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw new SystemError(-(error as SystemError).errno, "copyfile", where);
  } finally {
    for (const file of opened) await file.close();
  }
}
