/**
 * Error numbers of Linux, and the Error that carries them. The Error has Node's shape: `code`,
 * `errno` (negative), `syscall`. The numbers are those of asm-generic, which x86-64 and arm64
 * share. Names and messages are Node's.
 */
import { invalidType } from "./check.ts";
import { lazily } from "./lazily.ts";

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EBUSY = 16;
export const EEXIST = 17;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ESPIPE = 29;
export const EPIPE = 32;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ENODATA = 61;
export const ETIME = 62;
export const EMSGSIZE = 90;
export const EOPNOTSUPP = 95;
export const EADDRINUSE = 98;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EALREADY = 114;
export const ECANCELED = 125;

type Named = readonly [code: string, message: string];

/** Errors for which Node has no name, or has the name of another number. */
const others: Record<number, Named> = {
  10: ["ECHILD", "no child processes"],
  [ETIME]: ["ETIME", "timer expired"],
  77: ["EBADFD", "file descriptor in bad state"],
  [EOPNOTSUPP]: ["EOPNOTSUPP", "operation not supported on socket"],
  115: ["EINPROGRESS", "operation now in progress"],
};

/** Bun's names and messages, by negative number. Few programs ever need them. */
const named = lazily(() => (require("node:util") as typeof import("node:util")).getSystemErrorMap());

function namedOf(errno: number): Named | undefined {
  return others[errno] ?? named().get(-errno);
}

/**
 * Returns the name of an error: `104` gives `"ECONNRESET"`. A number without a name gives
 * `"E<number>"`.
 */
export function errnoName(errno: number): string {
  if (typeof errno !== "number") throw invalidType("errno", "a number", errno);
  return namedOf(errno)?.[0] ?? `E${errno}`;
}

/** Returns the message of an error: `104` gives `"connection reset by peer"`. */
export function errnoMessage(errno: number): string {
  return namedOf(errno)?.[1] ?? `error ${errno}`;
}

/** The address or path that an operation failed on. */
export interface Where {
  address?: string;
  port?: number;
  path?: string;
  dest?: string;
}

/** A failed system call or operation. `errno` is negative, as in Node. */
export class SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  declare address?: string;
  declare port?: number;
  declare path?: string;
  /** The second path of a rename or a link. */
  declare dest?: string;

  constructor(errno: number, syscall: string, where?: Where) {
    const code = errnoName(errno);
    const message = errnoMessage(errno);
    const place =
      where?.path !== undefined
        ? ` '${where.path}'${where.dest === undefined ? "" : ` -> '${where.dest}'`}`
        : where?.address !== undefined
          ? ` ${where.address}${where.port === undefined ? "" : `:${where.port}`}`
          : "";
    super(`${code}: ${message}, ${syscall}${place}`);
    this.code = code;
    this.errno = -errno;
    this.syscall = syscall;
    if (where) Object.assign(this, where);
  }

  /** Errors of Node and Bun have this name, too. */
  override get name(): string {
    return "Error";
  }
}

/** Returns `result` if it is >= 0. A negative result is -errno: throws the SystemError for it. */
export function check(result: number, syscall: string, where?: Where): number {
  if (result < 0) throw new SystemError(-result, syscall, where);
  return result;
}
