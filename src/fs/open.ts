/** `open`, with the arguments of node:fs/promises and the option `direct`. */
import { requireOptionalBoolean } from "../sys/check.ts";
import { constants } from "node:fs";
import type { OperationOptions } from "../operations/operation.ts";
import { abortable } from "./abort.ts";
import { MODE_DEFAULT, modeOf, openFlags, type PathArgument, pathOf } from "./arguments.ts";
import { backend } from "./backend.ts";
import { FileHandle } from "./file-handle.ts";
import { OpenFile } from "./open-file.ts";

export interface OpenOptions extends OperationOptions {
  /** Permissions of a new file, before the umask. Default 0o666. */
  mode?: number | string | null;
  /**
   * O_DIRECT: bypasses the page cache. Positions and lengths must be multiples of the device's
   * block (512 or 4096 bytes), else EINVAL. Memory may lie anywhere, because the kernel sees only
   * the arena's memory. Some file systems do not support it (EINVAL). Default false.
   */
  direct?: boolean;
}

/** open(2), close-on-exec. `flags`: Node's letters or O_*. Default "r". */
export async function open(
  path: PathArgument,
  flags?: string | number | null,
  options: number | string | OpenOptions | null = {},
): Promise<FileHandle> {
  const given = typeof options === "object" && !Array.isArray(options) ? (options ?? {}) : { mode: options as number };
  const { mode, direct = false, ...limits } = given;
  requireOptionalBoolean("direct", direct);
  const name = pathOf(path);
  const bits = openFlags(flags) | (direct ? constants.O_DIRECT : 0);
  const permissions = modeOf(mode, MODE_DEFAULT);
  const used = backend();
  const fd = await abortable(limits, used.open(name, bits, permissions, limits));
  return new FileHandle(used, new OpenFile(used, fd, direct));
}
