/**
 * Lists everything below a directory. The ring has no operation that reads a directory, so node:fs
 * reads it.
 */
import type { Dirent } from "node:fs";
import { join } from "node:path";
import { AbortError } from "./abort.ts";
import { type PathArgument, pathOf } from "./arguments.ts";
import { readdir } from "./bun-own.ts";
import { requireNumber, requireObject, requireSignal } from "../sys/check.ts";

export interface WalkOptions {
  /** Largest depth; 0 means the entries of the directory itself. Default Infinity. */
  depthMax?: number;
  /** Signal that ends the walk with an AbortError. */
  signal?: AbortSignal | null;
}

export interface WalkEntry {
  /** Path of the entry. It begins with the path of the start directory. */
  path: string;
  entry: Dirent;
  depth: number;
}

/**
 * Yields every entry, a directory before its contents, with names in order. It does not follow
 * symbolic links. Throws the errors of readdir.
 */
export async function* walk(directory: PathArgument, options: WalkOptions = {}): AsyncGenerator<WalkEntry, void> {
  requireObject("options", options);
  const { depthMax = Infinity, signal } = options;
  requireNumber("depthMax", depthMax, 0);
  requireSignal("signal", signal ?? undefined);
  yield* walkFrom(pathOf(directory, "directory").toString(), 0, depthMax, signal ?? undefined);
}

async function* walkFrom(
  directory: string,
  depth: number,
  depthMax: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<WalkEntry, void> {
  throwIfAborted(signal);
  const entries = await readdir(directory, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    throwIfAborted(signal);
    const path = join(directory, entry.name);
    yield { path, entry, depth };
    if (entry.isDirectory() && depth < depthMax) yield* walkFrom(path, depth + 1, depthMax, signal);
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal.reason);
}
