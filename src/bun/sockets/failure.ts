/**
 * Makes errors in Bun's form from failures of connect, listen, serve and udpSocket: an Error named
 * "Error" with `code`, `errno` and `syscall`.
 *
 * Guarantees: `message`, `code`, `errno` (with its sign) and `syscall` are those of Bun. The
 * address and port are added where Bun has none: they show which connection of the program failed.
 * Any error that is not from a system call is passed on.
 */
import { errnoMessage, SystemError } from "../../sys/errno.ts";

interface Target {
  hostname?: string | undefined;
  port?: number | undefined;
  unix?: string | undefined;
}

/** Makes the error for a failure of connect(2) or of the resolver. */
export function connectFailure(error: unknown): unknown {
  if (!(error instanceof SystemError)) return error;
  const { code, syscall, errno, address, port } = error;
  return failure("Failed to connect", { code, syscall, errno, ...defined({ address, port }) });
}

/** Makes the error for a failure of bind(2) or listen(2). Its `errno` is positive, as in Bun. */
export function listenFailure(error: unknown, { hostname = "::", port, unix }: Target): unknown {
  if (!(error instanceof SystemError)) return error;
  const place = unix ?? hostname;
  const { code, errno } = error;
  const where = unix === undefined ? { address: hostname, port } : { address: unix };
  return failure(`Failed to listen at ${place}`, { syscall: "listen", errno: Math.abs(errno), ...where, code });
}

/**
 * Makes the error for a failure of a server's bind(2) or listen(2). For a port in use, its `errno`
 * is 0, as in Bun.
 */
export function serveFailure(error: unknown, { port = 0, unix }: Target): unknown {
  if (!(error instanceof SystemError)) return error;
  const { code, errno } = error;
  const syscall = "listen";
  if (code === "EADDRINUSE" && unix === undefined)
    return failure(`Failed to start server. Is port ${port} in use?`, { code, syscall, errno: 0 });
  const place = unix === undefined ? "" : ` '${unix}'`;
  return failure(`${code}: ${errnoMessage(-errno)}, listen${place}`, {
    code,
    ...defined({ path: unix }),
    syscall,
    errno,
  });
}

/**
 * Makes the error for a failure of a datagram socket's bind(2). Its `errno` is positive, as in Bun.
 */
export function bindFailure(error: unknown, hostname: string): unknown {
  if (!(error instanceof SystemError) || error.syscall !== "bind") return error;
  const { code, errno } = error;
  return failure(`bind ${code} ${hostname}`, { code, syscall: "bind", errno: Math.abs(errno), address: hostname });
}

/**
 * Makes the error for a failure of Bun's resolver, whose errors have other names: DNS_ENOTFOUND.
 */
export function nameFailure(hostname: string, error: { code?: string; errno?: number }): Error {
  const name = error.code ?? "ENOTFOUND";
  const code = name.startsWith("DNS_") ? name.slice(4) : name;
  const syscall = "getaddrinfo";
  return failure(`${syscall} ${code} ${hostname}`, { code, syscall, hostname, errno: error.errno ?? 4 });
}

function failure(message: string, fields: object): Error {
  return Object.assign(new Error(message), fields);
}

function defined(fields: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
