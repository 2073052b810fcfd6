/**
 * Options of sockets by the system calls getsockopt(2) and setsockopt(2), which never wait.
 *
 * The ring's own operation, IORING_OP_URING_CMD, reads only options of SOL_SOCKET. And a restricted
 * ring that allows it would allow the commands of every driver.
 */
import { I32_MAX, invalidType, requireInteger } from "../sys/check.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";

const OPTION_BYTES_MAX = 65536;

export function getsockopt(fd: number, level: number, name: number, bytes: number): Buffer {
  requireOption(fd, level, name);
  requireInteger("bytes", bytes, 1, OPTION_BYTES_MAX);
  const value = Buffer.alloc(bytes);
  const length = check(native().rl_getsockopt_bytes(fd, level, name, pointerTo(value), bytes), "getsockopt");
  return value.subarray(0, Math.min(length, bytes));
}

export function setsockopt(fd: number, level: number, name: number, value: number | Uint8Array): void {
  requireOption(fd, level, name);
  if (typeof value === "number") requireInteger("value", value, -0x80000000, 0xffffffff);
  else if (!(value instanceof Uint8Array && value.byteLength > 0))
    throw invalidType("value", "a number, or a Uint8Array that is not empty", value);
  const bytes = typeof value === "number" ? Int32Array.of(value) : Uint8Array.from(value);
  check(native().rl_setsockopt_bytes(fd, level, name, pointerTo(bytes), bytes.byteLength), "setsockopt");
}

function requireOption(fd: number, level: number, name: number): void {
  for (const [key, each] of Object.entries({ fd, level, name })) requireInteger(key, each, 0, I32_MAX);
}
