/** Functions on names, with the arguments, values and errors of node:fs/promises. Where the ring has no operation, there is no function. */
import type { PathLike } from "node:fs";
import { dirname } from "node:path";
import type { OperationOptions } from "../reactor/operation.ts";
import { SystemError } from "../sys/errno.ts";
import { modeOf, pathOf } from "./arguments.ts";
import { backend } from "./backend.ts";
import type { Stats } from "./stats.ts";

/** stat(2). */
export async function stat(path: PathLike, options?: OperationOptions): Promise<Stats> {
  return backend().stat(pathOf(path), true, options);
}

/** lstat(2): of a symbolic link itself. */
export async function lstat(path: PathLike, options?: OperationOptions): Promise<Stats> {
  return backend().stat(pathOf(path), false, options);
}

/** rename(2). */
export async function rename(oldPath: PathLike, newPath: PathLike, options?: OperationOptions): Promise<void> {
  return backend().rename(pathOf(oldPath, "oldPath"), pathOf(newPath, "newPath"), options);
}

/** unlink(2). */
export async function unlink(path: PathLike, options?: OperationOptions): Promise<void> {
  return backend().unlink(pathOf(path), options);
}

/** rmdir(2): an empty directory. */
export async function rmdir(path: PathLike, options?: OperationOptions): Promise<void> {
  return backend().rmdir(pathOf(path), options);
}

/** symlink(2): `path` leads to `target`, which need not exist. `type` is for other systems. */
export async function symlink(target: PathLike, path: PathLike, _type?: string | null): Promise<void> {
  return backend().symlink(pathOf(target, "target"), pathOf(path));
}

/** link(2). */
export async function link(existingPath: PathLike, newPath: PathLike, options?: OperationOptions): Promise<void> {
  return backend().link(pathOf(existingPath, "existingPath"), pathOf(newPath, "newPath"), options);
}

export interface MkdirOptions extends OperationOptions {
  /** Before the umask. Default 0o777. */
  mode?: number | string;
  /** Makes what is missing on the way, and does not mind a directory that is there. Default false. */
  recursive?: boolean;
}

/** mkdir(2). With `recursive`, the first directory that it made, or undefined. */
export async function mkdir(
  path: PathLike,
  options?: number | string | MkdirOptions | null,
): Promise<string | undefined> {
  const {
    mode = 0o777,
    recursive = false,
    ...limits
  } = typeof options === "object" ? (options ?? {}) : { mode: options };
  const bits = modeOf(mode);
  const text = pathOf(path);
  if (recursive) return mkdirAll(text, bits, limits);
  await backend().mkdir(text, bits, limits);
  return undefined;
}

async function mkdirAll(path: string, mode: number, options: OperationOptions): Promise<string | undefined> {
  try {
    await backend().mkdir(path, mode, options);
    return path;
  } catch (error) {
    const { code } = error as SystemError;
    if (code === "EEXIST") {
      const found = await backend().stat(path, true, options);
      if (found.isDirectory()) return undefined;
      throw error;
    }
    const parent = dirname(path);
    if (code !== "ENOENT" || parent === path) throw error;
    const first = await mkdirAll(parent, mode, options);
    const own = await mkdirAll(path, mode, options);
    return first ?? own;
  }
}
