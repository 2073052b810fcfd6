/**
 * The places where the shared object may be, in the order in which library.ts tries them:
 *
 * 1. The file that the variable RINGLOOP_LIBRARY names. If it is set, no other place is tried.
 * 2. The package for this system, for example `@ringloop/linux-x64-glibc`, an optional dependency
 *   of this package. It is looked for in the nearest node_modules from this package upward, as
 *   `require` does it.
 * 3. ffi/build/ of this package, where ffi/build.ts puts the file.
 * 4. A bundle, at the place that the bundler chose.
 *
 * Each `require` below names a complete file name, inside of a `try`. So a bundler includes the
 * files that it finds, and leaves out the rest. Outside of a bundle, no such `require` is called:
 * without a node_modules directory, Bun would install the package from the registry.
 */

/** Returns the name of the package that has the shared object for this system. */
export function packageName(): string {
  return nameFor(isMusl() ? "musl" : "glibc");
}

function nameFor(libc: "glibc" | "musl"): string {
  return `@ringloop/${process.platform}-${process.arch}-${libc}`;
}

const self = import.meta.path;

/**
 * The directory of this package. This file is in src/sys/, or a part of a file in dist/. In a
 * bundle, the path names no real directory.
 */
const root = parentOf(parentOf(self.endsWith("/src/sys/library-places.ts") ? parentOf(self) : self));

/** Returns the path of a file of this package. In a bundle, the file does not exist. */
export function packageFile(path: string): string {
  return `${root}/${path}`;
}

/**
 * Whether the file exists and is not empty. Bun.file is used because node:fs takes 1.5 ms to load,
 * and a server does not need it otherwise.
 */
function hasFile(path: string): boolean {
  return Bun.file(path).size > 0;
}

type Place = () => string | undefined;

/**
 * Returns functions that give a path or undefined. The path names a file, or a file inside of the
 * compiled executable. Most programs call only the first function.
 *
 * The code avoids patterns, generators and chains of array functions. Each of them would cost a
 * tenth of a millisecond at its first use.
 */
export function places(): readonly Place[] {
  const given = process.env.RINGLOOP_LIBRARY;
  return given ? [() => given] : [installed, built, packaged, bundled];
}

function installed(): string | undefined {
  for (let directory = root; directory !== ""; directory = parentOf(directory)) {
    const glibc = `${directory}/node_modules/${nameFor("glibc")}/libringloop.so`;
    const musl = `${directory}/node_modules/${nameFor("musl")}/libringloop.so`;
    // Package managers that do not know of C libraries install both packages.
    if (hasFile(glibc)) return hasFile(musl) && isMusl() ? musl : glibc;
    if (hasFile(musl)) return musl;
  }
  return undefined;
}

function built(): string | undefined {
  const own = packageFile(`ffi/build/libringloop-${process.platform}-${process.arch}.so`);
  return hasFile(own) ? own : undefined;
}

function isBundled(): boolean {
  return !hasFile(packageFile("ffi/ringloop.c"));
}

function packaged(): string | undefined {
  const isArm = process.arch === "arm64";
  if (!isBundled() || process.platform !== "linux" || (process.arch !== "x64" && !isArm)) return undefined;
  try {
    const { library } = isMusl()
      ? isArm
        ? require("@ringloop/linux-arm64-musl")
        : require("@ringloop/linux-x64-musl")
      : isArm
        ? require("@ringloop/linux-arm64-glibc")
        : require("@ringloop/linux-x64-glibc");
    return whereItIs(library);
  } catch {
    return undefined; // The package was not installed where the program was bundled.
  }
}

function bundled(): string | undefined {
  if (!isBundled()) return undefined;
  try {
    // A bundler replaces this `require` with a path.
    return process.arch === "arm64"
      ? whereItIs(require("../../ffi/build/libringloop-linux-arm64.so"))
      : whereItIs(require("../../ffi/build/libringloop-linux-x64.so"));
  } catch {
    return undefined;
  }
}

/**
 * Returns the full path of a file that a bundler has copied. A bundler gives the path relative to
 * the bundle.
 */
function whereItIs(path: string): string {
  if (path.startsWith("/")) return path;
  const beside = `${parentOf(self)}/${path}`;
  // In a bundle with bytecode, `import.meta.path` is the path of this file at the time of bundling.
  return hasFile(beside) ? beside : `${parentOf(Bun.main)}/${path}`;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

let runsOnMusl: boolean | undefined;

/** Whether this Bun runs on musl. The first bytes of the executable name the dynamic linker. */
export function isMusl(): boolean {
  return (runsOnMusl ??=
    hasFile(`/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`) && namesMusl());
}

function namesMusl(): boolean {
  const { closeSync, openSync, readSync } = require("node:fs") as typeof import("node:fs");
  const start = Buffer.alloc(4096);
  try {
    const file = openSync("/proc/self/exe", "r");
    readSync(file, start);
    closeSync(file);
  } catch {
    // Without /proc there is no answer. glibc is the usual one.
  }
  return start.includes("/ld-musl-");
}
