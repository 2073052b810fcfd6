/**
 * Functions on paths, with the arguments, values and errors of node:fs/promises. Each of them has
 * an operation of the ring.
 */
import { dirname } from "node:path";
import * as node from "node:fs/promises";
import type { OperationOptions } from "../operations/operation.ts";
import { invalidType, invalidValue, requireNodeInteger, requireOptionalBoolean, U32_MAX } from "../sys/check.ts";
import type { SystemError } from "../sys/errno.ts";
import { abortable } from "./abort.ts";
import { modeOf, type Path, type PathArgument, pathOf } from "./arguments.ts";
import { backend } from "./backend.ts";
import type { BigIntStats, Stats } from "./stats.ts";

export interface StatOptions extends OperationOptions {
  /** Returns BigIntStats, with times in nanoseconds. Default false. */
  bigint?: boolean;
  /** If false, the result is undefined instead of ENOENT. Default true. */
  throwIfNoEntry?: boolean;
}

type Big<Options> = Options extends { bigint: true } ? BigIntStats : Stats;
type Missing<Options> = Options extends { throwIfNoEntry: false } ? undefined : never;
/** The result of stat for its options. */
export type StatsFor<Options> = Big<Options> | Missing<Options>;

/** stat(2). */
export async function stat<Options extends StatOptions>(
  path: PathArgument,
  options?: Options | null,
): Promise<StatsFor<Options>> {
  return (await statBy(path, true, options)) as StatsFor<Options>;
}

/** lstat(2): does not follow a symbolic link. */
export async function lstat<Options extends StatOptions>(
  path: PathArgument,
  options?: Options | null,
): Promise<StatsFor<Options>> {
  return (await statBy(path, false, options)) as StatsFor<Options>;
}

async function statBy(
  path: PathArgument,
  followsLinks: boolean,
  options: StatOptions | null = {},
): Promise<Stats | BigIntStats | undefined> {
  const limits = isObject(options) ? options : {};
  const { bigint = false, throwIfNoEntry } = limits;
  requireOptionalBoolean("bigint", bigint);
  requireOptionalBoolean("throwIfNoEntry", throwIfNoEntry);
  try {
    return await abortable(limits, backend().stat(pathOf(path), followsLinks, bigint, limits));
  } catch (error) {
    if (throwIfNoEntry === false && (error as SystemError).code === "ENOENT") return undefined;
    throw error;
  }
}

/** rename(2). */
export async function rename(oldPath: PathArgument, newPath: PathArgument, options?: OperationOptions): Promise<void> {
  return await abortable(options, backend().rename(pathOf(oldPath, "oldPath"), pathOf(newPath, "newPath"), options));
}

/** unlink(2). */
export async function unlink(path: PathArgument, options?: OperationOptions): Promise<void> {
  return await abortable(options, backend().unlink(pathOf(path), options));
}

/** The types follow Node, which has removed this option. Bun has kept it. */
const removeAll = node.rmdir as (path: Path, options: RmdirOptions) => Promise<void>;

export interface RmdirOptions extends OperationOptions {
  /**
   * Whether to remove the directory's contents first, by node:fs. Node advises `rm` for that.
   * `signal` and `timeoutMs` have no effect then. Default false.
   */
  recursive?: boolean;
  /** With `recursive`: whether a path that is not there is no error. Default false. */
  force?: boolean;
  /** With `recursive`: number of further tries. Default 0. */
  maxRetries?: number;
  /** Milliseconds before the first further try. Default 100. */
  retryDelay?: number;
}

/** As in Bun. */
const RETRY_DELAY_MS = 100;

/** rmdir(2). Removes an empty directory, or with `recursive` any directory. */
export async function rmdir(path: PathArgument, options: RmdirOptions = {}): Promise<void> {
  if (!isObject(options)) throw invalidType("options", "an object", options);
  const { recursive, force = false, maxRetries = 0, retryDelay = RETRY_DELAY_MS, ...limits } = options;
  requireOptionalBoolean("recursive", recursive);
  requireOptionalBoolean("force", force);
  requireNodeInteger("maxRetries", maxRetries, 0, U32_MAX);
  requireNodeInteger("retryDelay", retryDelay, 0, U32_MAX);
  const name = pathOf(path);
  if (recursive) return removeAll(name, { recursive, force, maxRetries, retryDelay });
  return await abortable(options, backend().rmdir(name, limits));
}

/**
 * symlink(2). Makes a symbolic link at `path` that leads to `target`, which need not exist. `type`
 * is for other systems.
 */
export async function symlink(target: PathArgument, path: PathArgument, type?: string | null): Promise<void> {
  if (!(type === undefined || type === null || ["dir", "file", "junction"].includes(type)))
    throw invalidValue("type", `"dir", "file", "junction" or null`, type);
  return await abortable(undefined, backend().symlink(pathOf(target, "target"), pathOf(path)));
}

/** link(2). */
export async function link(
  existingPath: PathArgument,
  newPath: PathArgument,
  options?: OperationOptions,
): Promise<void> {
  const from = pathOf(existingPath, "existingPath");
  return await abortable(options, backend().link(from, pathOf(newPath, "newPath"), options));
}

export interface MkdirOptions extends OperationOptions {
  /** Permissions before the umask. Default 0o777. */
  mode?: number | string | null;
  /**
   * Whether to make missing parent directories, and to accept an existing directory. Default false.
   */
  recursive?: boolean;
}

/** mkdir(2). With `recursive`, returns the first directory that it made, or undefined. */
export async function mkdir(
  path: PathArgument,
  options?: number | string | MkdirOptions | null,
): Promise<string | undefined> {
  const isMode = typeof options === "number" || typeof options === "string";
  const given: MkdirOptions = isObject(options) ? options : isMode ? { mode: options } : {}; // As in Bun.
  const { mode, recursive = false, ...limits } = given;
  requireOptionalBoolean("recursive", recursive);
  const bits = modeOf(mode, 0o777);
  const name = pathOf(path);
  if (recursive) return await abortable(limits, mkdirAll(name, bits, limits));
  await abortable(limits, backend().mkdir(name, bits, limits));
  return undefined;
}

async function mkdirAll(path: Path, mode: number, options: OperationOptions): Promise<string | undefined> {
  try {
    await backend().mkdir(path, mode, options);
    return path.toString();
  } catch (error) {
    const { code } = error as SystemError;
    if (code === "EEXIST") {
      if (await isDirectory(path, options)) return undefined;
      throw error;
    }
    const parent = parentOf(path);
    if (code !== "ENOENT" || parent.toString() === path.toString()) throw error;
    const first = await mkdirAll(parent, mode, options).catch((reason: SystemError) => {
      // A parent that is a link to nothing: there is a name, and no directory.
      throw reason.code === "EEXIST" || reason.code === "ENOENT" ? error : reason;
    });
    const own = await mkdirAll(path, mode, options);
    return first ?? own;
  }
}

/** Returns whether a path that is there leads to a directory. A link may lead nowhere, or to itself. */
async function isDirectory(path: Path, options: OperationOptions): Promise<boolean> {
  try {
    return (await backend().stat(path, true, false, options)).isDirectory();
  } catch (error) {
    const { code } = error as SystemError;
    if (code === "ENOENT" || code === "ELOOP") return false;
    throw error;
  }
}

/**
 * Returns the path without its last part. Bytes are read as Latin-1 meanwhile, where each byte is
 * one letter.
 */
function parentOf(path: Path): Path {
  return typeof path === "string" ? dirname(path) : Buffer.from(dirname(path.toString("latin1")), "latin1");
}

function isObject<T>(value: T): value is T & object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
