import { readFileSync } from "node:fs";

/** A small file of the system's, under /proc or /sys; undefined where it cannot be read. */
export function textOfFile(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
