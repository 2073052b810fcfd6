/**
 * Where the shared object may be, in the order in which library.ts tries:
 *
 * 1. the file that the variable RINGLOOP_LIBRARY names, and then no other;
 * 2. in the package that has it for this system, as `@ringloop/linux-x64-glibc`: an optional dependency of this one;
 * 3. in ffi/build/ of this package, where ffi/build.ts puts it.
 *
 * Each `require` below names a file in full, inside of a `try`. So a bundler takes along those that it finds, and leaves out the rest.
 */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";

/** The name of the package that has the shared object for this system. */
export function packageName(): string {
  return `@ringloop/${process.platform}-${process.arch}-${isMusl() ? "musl" : "glibc"}`;
}

/** The path of a file of this package, which is not there when the program is a bundle. */
export function packageFile(path: string): string {
  // This file is in src/sys/, or a part of a file in dist/.
  const root = import.meta.path.endsWith("/src/sys/library-places.ts") ? "../.." : "..";
  return join(dirname(import.meta.path), root, path);
}

/** The files that there are, as absolute paths, or paths in the executable that this program is compiled into. */
export function* places(): Generator<string> {
  if (process.env.RINGLOOP_LIBRARY) return yield process.env.RINGLOOP_LIBRARY;
  for (const place of [packaged(), built()]) if (place !== undefined) yield whereItIs(place);
}

function packaged(): string | undefined {
  const isArm = process.arch === "arm64";
  if (process.platform !== "linux" || (process.arch !== "x64" && !isArm)) return undefined;
  try {
    if (!isMusl())
      return isArm ? require("@ringloop/linux-arm64-glibc").library : require("@ringloop/linux-x64-glibc").library;
    return isArm ? require("@ringloop/linux-arm64-musl").library : require("@ringloop/linux-x64-musl").library;
  } catch {
    return undefined; // Not installed.
  }
}

function built(): string | undefined {
  const own = packageFile(`ffi/build/libringloop-${process.platform}-${process.arch}.so`);
  if (existsSync(own)) return own;
  try {
    // Only a bundler makes a path of it.
    return process.arch === "arm64"
      ? require("../../ffi/build/libringloop-linux-arm64.so")
      : require("../../ffi/build/libringloop-linux-x64.so");
  } catch {
    return undefined; // Not built.
  }
}

/** A bundler names the copies that it makes of such files by their way from the bundle. */
function whereItIs(path: string): string {
  if (path.startsWith("/")) return path;
  const besideThis = join(dirname(import.meta.path), path);
  // A bundle with bytecode has in `import.meta.path` where this file was when it was bundled.
  return existsSync(besideThis) ? besideThis : join(dirname(Bun.main), path);
}

let musl: boolean | undefined;

/** Whether this Bun runs on musl: the interpreter that its executable names near the start tells. */
export function isMusl(): boolean {
  if (musl !== undefined) return musl;
  const start = Buffer.alloc(4096);
  try {
    const file = openSync("/proc/self/exe", "r");
    readSync(file, start);
    closeSync(file);
  } catch {
    // Without /proc nobody tells; glibc is the usual one.
  }
  return (musl = start.includes("/ld-musl-"));
}
