/**
 * Error numbers of Linux and the Error that carries them, shaped like Node's: `code`, `errno` (negative), `syscall`.
 * Numbers are asm-generic's, which x86-64 and arm64 share. Messages are those of strerror(3) in lower case, as in Node.
 */
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EBUSY = 16;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
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

const names: Record<number, readonly [code: string, message: string]> = {
  [EPERM]: ["EPERM", "operation not permitted"],
  [ENOENT]: ["ENOENT", "no such file or directory"],
  3: ["ESRCH", "no such process"],
  [EINTR]: ["EINTR", "interrupted system call"],
  [EIO]: ["EIO", "i/o error"],
  6: ["ENXIO", "no such device or address"],
  7: ["E2BIG", "argument list too long"],
  [EBADF]: ["EBADF", "bad file descriptor"],
  10: ["ECHILD", "no child processes"],
  [EAGAIN]: ["EAGAIN", "resource temporarily unavailable"],
  [ENOMEM]: ["ENOMEM", "not enough memory"],
  13: ["EACCES", "permission denied"],
  14: ["EFAULT", "bad address in system call argument"],
  [EBUSY]: ["EBUSY", "resource busy or locked"],
  17: ["EEXIST", "file already exists"],
  18: ["EXDEV", "cross-device link not permitted"],
  19: ["ENODEV", "no such device"],
  20: ["ENOTDIR", "not a directory"],
  21: ["EISDIR", "illegal operation on a directory"],
  [EINVAL]: ["EINVAL", "invalid argument"],
  [ENFILE]: ["ENFILE", "file table overflow"],
  [EMFILE]: ["EMFILE", "too many open files"],
  26: ["ETXTBSY", "text file is busy"],
  27: ["EFBIG", "file too large"],
  28: ["ENOSPC", "no space left on device"],
  29: ["ESPIPE", "invalid seek"],
  30: ["EROFS", "read-only file system"],
  31: ["EMLINK", "too many links"],
  [EPIPE]: ["EPIPE", "broken pipe"],
  34: ["ERANGE", "result too large"],
  [ENAMETOOLONG]: ["ENAMETOOLONG", "name too long"],
  [ENOSYS]: ["ENOSYS", "function not implemented"],
  39: ["ENOTEMPTY", "directory not empty"],
  40: ["ELOOP", "too many symbolic links encountered"],
  [ENODATA]: ["ENODATA", "no data available"],
  [ETIME]: ["ETIME", "timer expired"],
  71: ["EPROTO", "protocol error"],
  75: ["EOVERFLOW", "value too large for defined data type"],
  77: ["EBADFD", "file descriptor in bad state"],
  88: ["ENOTSOCK", "socket operation on non-socket"],
  [EMSGSIZE]: ["EMSGSIZE", "message too long"],
  92: ["ENOPROTOOPT", "protocol not available"],
  93: ["EPROTONOSUPPORT", "protocol not supported"],
  [EOPNOTSUPP]: ["EOPNOTSUPP", "operation not supported on socket"],
  97: ["EAFNOSUPPORT", "address family not supported"],
  [EADDRINUSE]: ["EADDRINUSE", "address already in use"],
  99: ["EADDRNOTAVAIL", "address not available"],
  100: ["ENETDOWN", "network is down"],
  [ENETUNREACH]: ["ENETUNREACH", "network is unreachable"],
  [ECONNABORTED]: ["ECONNABORTED", "software caused connection abort"],
  [ECONNRESET]: ["ECONNRESET", "connection reset by peer"],
  [ENOBUFS]: ["ENOBUFS", "no buffer space available"],
  106: ["EISCONN", "socket is already connected"],
  107: ["ENOTCONN", "socket is not connected"],
  [ETIMEDOUT]: ["ETIMEDOUT", "connection timed out"],
  [ECONNREFUSED]: ["ECONNREFUSED", "connection refused"],
  [EHOSTUNREACH]: ["EHOSTUNREACH", "host is unreachable"],
  [EALREADY]: ["EALREADY", "connection already in progress"],
  115: ["EINPROGRESS", "operation now in progress"],
  [ECANCELED]: ["ECANCELED", "operation canceled"],
};

/** `104` -> `"ECONNRESET"`; a number without a name gives `"E<number>"`. */
export function errnoName(errno: number): string {
  return names[errno]?.[0] ?? `E${errno}`;
}

/** `104` -> "connection reset by peer". */
export function errnoMessage(errno: number): string {
  return names[errno]?.[1] ?? `error ${errno}`;
}

/** What a failure is about. */
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
  /** The second path, of a rename or a link. */
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

  override get name(): string {
    return "SystemError";
  }
}

/** Passes a result >= 0 through; throws the SystemError that a result of -errno stands for. */
export function check(result: number, syscall: string, where?: Where): number {
  if (result < 0) throw new SystemError(-result, syscall, where);
  return result;
}
