/**
 * The shared object built with AddressSanitizer and UndefinedBehaviorSanitizer, for a Bun that is started with it. Leaks are not looked for:
 * Bun leaves its own to the system at its end.
 */
import { join } from "node:path";
import { compiler, withCompiledC } from "./compiled-c.ts";

export const ringloopC = join(import.meta.dir, "../../ffi/ringloop.c");
export const sanitizers = [
  "-O1",
  "-g",
  "-fsanitize=address,undefined,float-cast-overflow",
  "-fno-sanitize-recover=all",
];
export const liburing = "-luring";

/** Calls `use` with the environment of a Bun that loads it. */
export function withSanitizedLibrary<T>(use: (env: Record<string, string>) => T): T {
  // The program that is started must have the sanitizer before anything else, and Bun does not.
  const runtime = Bun.spawnSync([compiler, "-print-file-name=libasan.so"]).stdout.toString().trim();
  return withCompiledC(
    ringloopC,
    (library) => use({ RINGLOOP_LIBRARY: library, LD_PRELOAD: runtime, ASAN_OPTIONS: "detect_leaks=0" }),
    [...sanitizers, "-shared", "-fPIC", liburing],
  );
}
