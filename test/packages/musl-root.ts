/**
 * Bun for musl and its libraries, from npm and Debian. Debian has no libstdc++ for musl. The
 * functions of libstdc++ that Bun uses come from gcc's archive, linked against musl. This file
 * defines the functions that glibc has and musl lacks.
 *
 * No part of ringloop's packages contains these files. They only replace a system such as Alpine,
 * which has them.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debianRoots } from "../../ffi/targets.ts";

const missingInMusl = `
#include <stdint.h>
#include <sys/random.h>
char __libc_single_threaded = 0;
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
int _dl_find_object(void *address, void *result) { return (void)address, (void)result, -1; }
uint32_t arc4random(void) { uint32_t random = 0; return getrandom(&random, sizeof(random), 0) < 0 ? 0 : random; }
`;

function output(directory: string, ...command: string[]): string {
  const { success, stdout, stderr } = Bun.spawnSync(command, { cwd: directory });
  if (!success) throw new Error(`${command.slice(0, 3).join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

/** Makes the files in `directory`. Returns them by their paths in a root. Only for x86-64. */
export function muslBun(directory: string): Record<string, string> {
  const made = join(directory, "musl");
  const bun = join(made, "package/bin/bun");
  const standard = join(made, "libstdc++.so.6");
  const musl = join(debianRoots().amd64, "lib/x86_64-linux-musl/libc.so");
  if (!existsSync(standard)) {
    mkdirSync(made, { recursive: true });
    const tarball = output(made, "npm", "pack", "--silent", `@oven/bun-linux-x64-musl@${Bun.version}`).trim();
    output(made, "tar", "-xzf", tarball);
    linkStandardLibrary(made, bun, musl, standard);
  }
  return {
    "/bin/bun": bun,
    "/lib/ld-musl-x86_64.so.1": musl,
    "/lib/libc.musl-x86_64.so.1": musl,
    "/usr/lib/libstdc++.so.6": standard,
  };
}

function linkStandardLibrary(directory: string, bun: string, musl: string, target: string): void {
  const names = (text: string): string[] => text.split("\n").map((line) => line.trim().split(/[ @]+/).at(-1)!);
  const has = new Set(names(output(directory, "nm", "--dynamic", "--defined-only", musl)));
  const undefinedNames = names(
    output(directory, "nm", "--dynamic", "--undefined-only", "--without-symbol-versions", bun),
  );
  // Data symbols that the executable has copies of.
  const copied = [...output(directory, "readelf", "--relocs", "--wide", bun).matchAll(/_COPY\s+\S+\s+([\w]+)/g)];
  const wanted = [...undefinedNames, ...copied.map(([, name]) => name!)].filter(
    (name) =>
      /^(_Z|__cxa|__dynamic_cast|__once|_Unwind)/.test(name) && !has.has(name) && name !== "__cxa_thread_atexit_impl",
  );
  const source = join(directory, "missing-in-musl.c");
  writeFileSync(source, missingInMusl);
  const archive = output(directory, "gcc", "-print-file-name=libstdc++.a").trim();
  const flags = ["-shared", "-fPIC", "-O2", "-nostdlib", "-Wl,-soname,libstdc++.so.6"];
  const keep = [...new Set(wanted)].map((name) => `-Wl,--undefined=${name}`);
  output(directory, "gcc", ...flags, "-o", target, ...keep, source, archive, "-lgcc_eh", "-lgcc");
}
