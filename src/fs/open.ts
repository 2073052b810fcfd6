/** `open`, with the arguments of node:fs/promises, and `direct`. */
import { constants, type PathLike } from "node:fs";
import type { OperationOptions } from "../reactor/operation.ts";
import { modeOf, openFlags, pathOf } from "./arguments.ts";
import { backend } from "./backend.ts";
import { FileHandle } from "./file-handle.ts";
import { OpenFile } from "./open-file.ts";

export interface OpenOptions extends OperationOptions {
  /** Permissions of a file that is made, before the umask. Default 0o666. */
  mode?: number | string;
  /**
   * O_DIRECT: past the page cache. Positions and lengths must be multiples of the device's block (512 or 4096 bytes), else EINVAL; memory may lie
   * anywhere, since the kernel sees the arena's. Not on every file system (EINVAL). Default false.
   */
  direct?: boolean;
}

/** open(2), close-on-exec. `flags`: Node's letters or O_*; default "r". */
export async function open(
  path: PathLike,
  flags: string | number = "r",
  options: number | string | OpenOptions | null = {},
): Promise<FileHandle> {
  const { mode = 0o666, direct = false, ...limits } = typeof options === "object" ? (options ?? {}) : { mode: options };
  const bits = openFlags(flags) | (direct ? constants.O_DIRECT : 0);
  const used = backend();
  const fd = await used.open(pathOf(path), bits, modeOf(mode), limits);
  return new FileHandle(used, new OpenFile(used, fd, direct));
}
