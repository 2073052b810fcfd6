/** Everything below a directory. The ring has no operation that reads a directory: node:fs does. */
import type { Dirent } from "node:fs";
import { join } from "node:path";
import { type PathArgument, pathOf } from "./arguments.ts";
import { readdir } from "./bun-own.ts";
import { requireNumber } from "../sys/check.ts";

export interface WalkOptions {
  /** How deep, 0 for what is in the directory itself. Default Infinity. */
  depthMax?: number;
  /** Ends the walk with its reason. */
  signal?: AbortSignal;
}

export interface WalkEntry {
  /** From the directory that was asked for on. */
  path: string;
  entry: Dirent;
  depth: number;
}

/** Every entry, a directory before what is in it, names in order. Symbolic links are not followed. Throws SystemError-like errors of readdir. */
export async function* walk(directory: PathArgument, options: WalkOptions = {}): AsyncGenerator<WalkEntry, void> {
  const { depthMax = Infinity, signal } = options;
  requireNumber("depthMax", depthMax, 0);
  yield* walkFrom(pathOf(directory, "directory").toString(), 0, depthMax, signal);
}

async function* walkFrom(
  directory: string,
  depth: number,
  depthMax: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<WalkEntry, void> {
  signal?.throwIfAborted();
  const entries = await readdir(directory, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    signal?.throwIfAborted();
    const path = join(directory, entry.name);
    yield { path, entry, depth };
    if (entry.isDirectory() && depth < depthMax) yield* walkFrom(path, depth + 1, depthMax, signal);
  }
}
