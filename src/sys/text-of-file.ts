import { readFileSync } from "node:fs";

/**
 * Returns the text of a small system file, under /proc or /sys; undefined where it cannot be read.
 */
export function textOfFile(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
