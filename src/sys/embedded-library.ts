/**
 * Opens the shared object of a program that `bun build --compile` has made: it is a part of the executable.
 *
 * Bun writes such a file to the directory for temporary files first. Where there is none to write to, or nothing there may be executed, the
 * file goes into memory (memfd_create(2)). It stays there, and open, for the other threads of the process.
 */
import { dlopen, ptr } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { isMusl } from "./library-places.ts";

/** By number: glibc has the function since 2.27 only. */
const SYS_memfd_create = process.arch === "arm64" ? 279 : 319;
const MFD_CLOEXEC = 1;

/** Copies the file into memory, unless a thread of this process has done so. Returns a path of the copy; throws when the system allows none. */
export function inMemory(path: string): string {
  const bytes = readFileSync(path);
  const name = `ringloop-${Bun.hash(bytes).toString(16)}`;
  const copied = readdirSync("/proc/self/fd").find((fd) => targetOf(fd).startsWith(`/memfd:${name} `));
  return `/proc/self/fd/${copied ?? copyOf(bytes, name)}`;
}

function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ""; // Closed meanwhile.
  }
}

function copyOf(bytes: Uint8Array, name: string): number {
  const { symbols } = dlopen(isMusl() ? "libc.so" : "libc.so.6", {
    syscall: { args: ["i64", "ptr", "u32"], returns: "i64" },
  });
  const fd = Number(symbols.syscall(SYS_memfd_create, ptr(Buffer.from(`${name}\0`)), MFD_CLOEXEC));
  if (fd < 0) throw new Error("memfd_create failed");
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
  return fd;
}
