/** The systems that there is a prebuilt shared object for, and how each is compiled on Debian. */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, unpackPackages } from "./debian.ts";
import { flags } from "./flags.ts";

export interface Target {
  /** As in the name of its package, @ringloop/linux-x64-glibc. */
  name: string;
  /** As npm and `process.arch` name it. */
  cpu: "x64" | "arm64";
  libc: "glibc" | "musl";
  debian: Architecture;
  /** As compilers name it. */
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

/** The roots of Debian's liburing and musl, by machine. */
export function debianRoots(): Record<Architecture, string> {
  return unpackPackages(["liburing-dev", "musl", "musl-dev"], ["amd64", "arm64"], debianDirectory);
}

/** A directory, made anew, that has nothing but links. */
function linksTo(directory: string, links: Record<string, string>): string {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(directory, name));
  return directory;
}

/** Compiles the shared object for a system. The same sources and compiler give the same bytes, wherever they are. */
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

/** musl's headers, the compiler's own and the kernel's, and not glibc's. */
function muslHeaders({ debian, machine }: Target, links: (name: string) => string): string[] {
  const printed = Bun.spawnSync([`${machine}-linux-gnu-gcc`, "-print-file-name=include"])
    .stdout.toString()
    .trim();
  // A compiler for another machine has the headers of that machine in a directory of its own.
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

/** The name under which musl's systems have their C library is what the shared object asks for. */
function muslLibraries({ debian, machine }: Target, links: (name: string) => string): string[] {
  const name = `libc.musl-${machine}.so.1`;
  const directory = linksTo(links("musl"), {
    [name]: join(debianRoots()[debian], `lib/${machine}-linux-musl/libc.so`),
  });
  return ["-nostdlib", `-L${directory}`, `-l:${name}`, "-lgcc"];
}
