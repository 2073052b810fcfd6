/**
 * Builds ffi/ringloop.c, with the parts that it includes, into ffi/build/libringloop-<platform>-<arch>.so: `bun
 * ffi/build.ts`.
 *
 * Links liburing statically if the system has liburing.a, so the result needs only libc. Otherwise,
 * links it dynamically. Does nothing when the library is newer than its sources, unless --force is
 * given. Uses the variables CC and CFLAGS.
 */
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { flags } from "./flags.ts";

const directory = import.meta.dir;
const source = join(directory, "ringloop.c");
/** The source, the parts that it includes, and how they are compiled. */
const inputs = [...new Bun.Glob("**/*.{c,h}").scanSync(directory), "flags.ts"].map((name) => join(directory, name));
const output = join(directory, "build", `libringloop-${process.platform}-${process.arch}.so`);

function fail(message: string): never {
  console.error(`ringloop build: ${message}`);
  process.exit(1);
}

function isFresh(): boolean {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  return [...inputs, import.meta.path].every((file) => statSync(file).mtimeMs <= built);
}

if (isFresh() && !process.argv.includes("--force")) process.exit(0);

const compiler = process.env.CC ?? ["cc", "gcc", "clang"].find((name) => Bun.which(name));
if (!compiler || !Bun.which(compiler)) fail("no C compiler found. Run: npm run setup");

const probe = Bun.spawnSync([compiler, "-E", "-x", "c", "-"], { stdin: Buffer.from("#include <liburing.h>\n") });
if (!probe.success) fail("liburing.h not found (package liburing-dev). Run: npm run setup");

// `-print-file-name` prints a path if the linker finds the archive, and otherwise the bare name.
const archive = Bun.spawnSync([compiler, "-print-file-name=liburing.a"]).stdout.toString().trim();
const linkage = archive.includes("/") ? [archive] : ["-luring"];
const extra = (process.env.CFLAGS ?? "").split(/\s+/).filter(Boolean);
mkdirSync(join(directory, "build"), { recursive: true });
// The output is written beside the target and then renamed. So a process that has mapped the old
// library keeps it intact.
const temporary = `${output}.${process.pid}`;
const compiled = Bun.spawnSync([compiler, ...flags, "-g", ...extra, "-o", temporary, source, ...linkage], {
  stdout: "inherit",
  stderr: "inherit",
});
if (!compiled.success) fail(`${compiler} failed`);
renameSync(temporary, output);
console.log(`ringloop build: ${output} (liburing ${linkage[0] === "-luring" ? "dynamic" : "static"})`);
