/**
 * Where the shared object may be, in the order in which library.ts tries:
 *
 * 1. the file that the variable RINGLOOP_LIBRARY names, and then no other;
 * 2. in the package that has it for this system, as `@ringloop/linux-x64-glibc`, an optional dependency of this one: in the nearest node_modules
 *    from this package upward, as `require` would find it;
 * 3. in ffi/build/ of this package, where ffi/build.ts puts it;
 * 4. in a bundle, where the bundler has put it.
 *
 * Each `require` below names a file in full, inside of a `try`. So a bundler takes along those that it finds, and leaves out the rest. Outside of
 * a bundle none is called: where there is no node_modules, Bun would install the package from the registry.
 */

/** The name of the package that has the shared object for this system. */
export function packageName(): string {
  return nameFor(isMusl() ? "musl" : "glibc");
}

function nameFor(libc: "glibc" | "musl"): string {
  return `@ringloop/${process.platform}-${process.arch}-${libc}`;
}

const self = import.meta.path;

/** The directory of this package: this file is in src/sys/, or a part of one in dist/. In a bundle it is none. */
const root = parentOf(parentOf(self.endsWith("/src/sys/library-places.ts") ? parentOf(self) : self));

/** The path of a file of this package, which is not there when the program is a bundle. */
export function packageFile(path: string): string {
  return `${root}/${path}`;
}

/** Whether a file is there, and has bytes. It takes a millisecond and a half to load node:fs, which a server need not do. */
function hasFile(path: string): boolean {
  return Bun.file(path).size > 0;
}

type Place = () => string | undefined;

/**
 * Each gives the path of a file, or in the executable that this program is compiled into, or undefined. Most programs ask the first alone. What
 * would only be neater (patterns, generators, chains of array functions) costs a tenth of a millisecond each at its first use.
 */
export function places(): readonly Place[] {
  const given = process.env.RINGLOOP_LIBRARY;
  return given ? [() => given] : [installed, built, packaged, bundled];
}

function installed(): string | undefined {
  for (let directory = root; directory !== ""; directory = parentOf(directory)) {
    const glibc = `${directory}/node_modules/${nameFor("glibc")}/libringloop.so`;
    const musl = `${directory}/node_modules/${nameFor("musl")}/libringloop.so`;
    // Package managers that do not know of C libraries install both.
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
    return undefined; // Not installed where it was bundled.
  }
}

function bundled(): string | undefined {
  if (!isBundled()) return undefined;
  try {
    // A bundler makes a path of it.
    return process.arch === "arm64"
      ? whereItIs(require("../../ffi/build/libringloop-linux-arm64.so"))
      : whereItIs(require("../../ffi/build/libringloop-linux-x64.so"));
  } catch {
    return undefined;
  }
}

/** A bundler names the copies that it makes of such files by their way from the bundle. */
function whereItIs(path: string): string {
  if (path.startsWith("/")) return path;
  const beside = `${parentOf(self)}/${path}`;
  // A bundle with bytecode has in `import.meta.path` where this file was when it was bundled.
  return hasFile(beside) ? beside : `${parentOf(Bun.main)}/${path}`;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

let runsOnMusl: boolean | undefined;

/** Whether this Bun runs on musl: the dynamic linker that its executable names near the start tells. */
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
    // Without /proc nobody tells, and glibc is the usual one.
  }
  return start.includes("/ld-musl-");
}
