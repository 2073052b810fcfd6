/**
 * Failures of connect, listen, serve and udpSocket in the shape of Bun's: an Error named "Error" with `code`, `errno` and `syscall`.
 *
 * Guarantees: `message`, `code`, `errno` (its sign, too) and `syscall` are Bun's. The address and port stay where Bun has none: they say
 * which of a program's connections it was. Errors that are no failures of a system call are passed on.
 */
import { errnoMessage, SystemError } from "../../sys/errno.ts";

interface Target {
  hostname?: string | undefined;
  port?: number | undefined;
  unix?: string | undefined;
}

/** Of connect(2), or of the resolver. */
export function connectFailure(error: unknown): unknown {
  if (!(error instanceof SystemError)) return error;
  const { code, syscall, errno, address, port } = error;
  return failure("Failed to connect", { code, syscall, errno, ...defined({ address, port }) });
}

/** Of bind(2) or listen(2). Bun's `errno` is positive here. */
export function listenFailure(error: unknown, { hostname = "::", port, unix }: Target): unknown {
  if (!(error instanceof SystemError)) return error;
  const place = unix ?? hostname;
  const { code, errno } = error;
  const where = unix === undefined ? { address: hostname, port } : { address: unix };
  return failure(`Failed to listen at ${place}`, { syscall: "listen", errno: Math.abs(errno), ...where, code });
}

/** Of a server's bind(2) or listen(2). Bun says errno 0 of a port that is in use. */
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

/** Of a datagram socket's bind(2). Bun's `errno` is positive here. */
export function bindFailure(error: unknown, hostname: string): unknown {
  if (!(error instanceof SystemError) || error.syscall !== "bind") return error;
  const { code, errno } = error;
  return failure(`bind ${code} ${hostname}`, { code, syscall: "bind", errno: Math.abs(errno), address: hostname });
}

/** Of Bun's resolver, whose own errors have other names: DNS_ENOTFOUND. */
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
