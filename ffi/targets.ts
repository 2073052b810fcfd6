/** The systems that have a prebuilt shared object, and the compiler command for each on Debian. */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, unpackPackages } from "./debian.ts";
import { flags } from "./flags.ts";

export interface Target {
  /** Name in the system's package: linux-x64-glibc in @ringloop/linux-x64-glibc. */
  name: string;
  /** Name that npm and `process.arch` use. */
  cpu: "x64" | "arm64";
  libc: "glibc" | "musl";
  debian: Architecture;
  /** Name that compilers use. */
  machine: "x86_64" | "aarch64";
}

const machines = [
  { cpu: "x64", debian: "amd64", machine: "x86_64" },
  { cpu: "arm64", debian: "arm64", machine: "aarch64" },
] as const;

export const targets: readonly Target[] = machines.flatMap((machine) =>
  (["glibc", "musl"] as const).map((libc) => ({ name: `linux-${machine.cpu}-${libc}`, libc, ...machine })),
);

const root = join(import.meta.dir, "..");
const debianDirectory = join(root, "build/debian");

/** Returns the root directories of Debian's liburing and musl, by machine. */
export function debianRoots(): Record<Architecture, string> {
  return unpackPackages(["liburing-dev", "musl", "musl-dev"], ["amd64", "arm64"], debianDirectory);
}

/** Makes a new directory that contains only links. Returns its path. */
function linksTo(directory: string, links: Record<string, string>): string {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(directory, name));
  return directory;
}

/**
 * Compiles the shared object for a system. The same sources and compiler give the same bytes in
 * every directory.
 */
export function compile(target: Target, output: string): void {
  const { debian, machine, libc } = target;
  const compiler = `${machine}-linux-gnu-gcc`;
  const debianRoot = debianRoots()[debian];
  const links = (name: string): string => join(debianRoot, "links", name);
  const liburing = linksTo(links("liburing"), {
    "liburing.h": join(debianRoot, "usr/include/liburing.h"),
    liburing: join(debianRoot, "usr/include/liburing"),
  });
  const archive = join(debianRoot, `usr/lib/${machine}-linux-gnu/liburing.a`);
  const reproducible = [`-ffile-prefix-map=${root}=.`, "-Wl,--build-id=none", "-Wl,--strip-all"];
  const source = join(import.meta.dir, "ringloop.c");
  const common = [...flags, ...reproducible, "-o", output, source];
  const command =
    libc === "glibc"
      ? [compiler, ...common, "-isystem", liburing, archive]
      : [
          compiler,
          ...common,
          ...muslHeaders(target, links),
          "-isystem",
          liburing,
          archive,
          ...muslLibraries(target, links),
        ];
  const { success, stderr } = Bun.spawnSync(command, { stderr: "pipe" });
  if (!success) throw new Error(`${compiler}: ${stderr.toString()}`);
}

/** Returns options for the headers of musl, the compiler and the kernel, without glibc's. */
function muslHeaders({ debian, machine }: Target, links: (name: string) => string): string[] {
  const printed = Bun.spawnSync([`${machine}-linux-gnu-gcc`, "-print-file-name=include"])
    .stdout.toString()
    .trim();
  // A compiler for another machine has that machine's headers in a separate directory.
  const other = `/usr/${machine}-linux-gnu/include`;
  const isOther = existsSync(join(other, "linux"));
  const general = isOther ? other : "/usr/include";
  const kernel = linksTo(links("kernel"), {
    linux: join(general, "linux"),
    "asm-generic": join(general, "asm-generic"),
    asm: isOther ? join(general, "asm") : `/usr/include/${machine}-linux-gnu/asm`,
  });
  const musl = join(debianRoots()[debian], `usr/include/${machine}-linux-musl`);
  return ["-nostdinc", ...[musl, printed, kernel].flatMap((directory) => ["-isystem", directory])];
}

/**
 * Returns linker options. The shared object asks for the C library by the name that it has on
 * musl's systems.
 */
function muslLibraries({ debian, machine }: Target, links: (name: string) => string): string[] {
  const name = `libc.musl-${machine}.so.1`;
  const directory = linksTo(links("musl"), {
    [name]: join(debianRoots()[debian], `lib/${machine}-linux-musl/libc.so`),
  });
  return ["-nostdlib", `-L${directory}`, `-l:${name}`, "-lgcc"];
}
