/**
 * Opens the shared object of a program that `bun build --compile` has made. The shared object is a
 * part of the executable.
 *
 * Bun first writes the file to the directory for temporary files. Where that directory is not
 * writable, or does not allow execution, this module copies the file into memory (memfd_create(2)).
 * The copy stays open for the other threads of the process.
 */
import { dlopen, ptr } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { isMusl } from "./library-places.ts";

/** The call goes by its number, because glibc has the function only since 2.27. */
const SYS_memfd_create = process.arch === "arm64" ? 279 : 319;
const MFD_CLOEXEC = 1;

/**
 * Copies the file into memory, unless a thread of this process has done so. Returns a path of the
 * copy. Throws when the system does not allow the copy.
 */
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
    return ""; // Another thread has closed the descriptor.
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
