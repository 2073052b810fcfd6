/**
 * The shared object with AddressSanitizer and UndefinedBehaviorSanitizer, for a Bun that is started
 * with it. It does not look for leaks, because Bun does not free all of its own memory at its end.
 */
import { join } from "node:path";
import { compiler, withCompiledC } from "./compiled-c.ts";

const ffi = join(import.meta.dir, "../../ffi");
export const ringloopC = join(ffi, "ringloop.c");
/** The source with the parts that it includes. */
export const sourcesOfLibrary = [...new Bun.Glob("**/*.c").scanSync(ffi)].map((name) => join(ffi, name));
export const sanitizers = [
  "-O1",
  "-g",
  "-fsanitize=address,undefined,float-cast-overflow",
  "-fno-sanitize-recover=all",
];
export const liburing = "-luring";

/** Calls `use` with the environment for a Bun that loads the sanitized library. */
export function withSanitizedLibrary<T>(use: (env: Record<string, string>) => T): T {
  // The sanitizer must be the first library of the process. Bun is not linked with it.
  const runtime = Bun.spawnSync([compiler, "-print-file-name=libasan.so"]).stdout.toString().trim();
  return withCompiledC(
    ringloopC,
    (library) => use({ RINGLOOP_LIBRARY: library, LD_PRELOAD: runtime, ASAN_OPTIONS: "detect_leaks=0" }),
    [...sanitizers, "-shared", "-fPIC", liburing],
  );
}
