/**
 * The sockets that a service manager passes to the process at its start: descriptors from 3 on,
 * which the variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES describe (sd_listen_fds(3)).
 *
 * Guarantees: a socket is taken once. The variables are removed when they are read, so that
 * children do not read them as theirs. Leaves to others: whether the socket listens
 * (open-socket.ts).
 */
import { withCode } from "../sys/check.ts";

/**
 * A socket that systemd has passed to the process: the first one that no call has taken yet, or the
 * first of these with the name (`FileDescriptorName=` of the socket unit).
 */
export type PassedSocket = "systemd" | `systemd:${string}`;

/** SD_LISTEN_FDS_START. */
const FIRST_DESCRIPTOR = 3;
/** Number of sockets above which LISTEN_FDS cannot be right: a process has fewer descriptors. */
const PASSED_MAX = 65536;

interface Passed {
  readonly fd: number;
  /** The name; "unknown" if the service manager gave none, as in sd_listen_fds_with_names(3). */
  readonly name: string;
  taken: boolean;
}

/** The sockets of the process. A hot reload and another copy of ringloop find the same ones. */
const shared = globalThis as unknown as Record<symbol, Passed[] | undefined>;
const key = Symbol.for("ringloop.passedSockets");

export function isPassedSocket(value: unknown): value is PassedSocket {
  return value === "systemd" || (typeof value === "string" && value.length > 8 && value.startsWith("systemd:"));
}

/**
 * Returns the descriptor of a passed socket, which belongs to the caller from now on. Throws an
 * Error with the code ERR_SOCKET_ACTIVATION if there is no such socket, or none that is free.
 */
export function takePassedSocket(which: PassedSocket): number {
  if (!Bun.isMainThread)
    throw activationError(which, "is for the main thread: give a Worker the descriptor as a number");
  const all = (shared[key] ??= readVariables(which));
  const named = which === "systemd" ? all : all.filter(({ name }) => `systemd:${name}` === which);
  const names = all.map(({ name }) => JSON.stringify(name)).join(", ");
  if (named.length === 0) throw activationError(which, `names none of the passed sockets, which are ${names}`);
  const found = named.find(({ taken }) => !taken);
  if (found === undefined) throw activationError(which, `is taken already: earlier calls have all of ${names}`);
  found.taken = true;
  return found.fd;
}

/** Returns the descriptors of all passed sockets; none before the first one is taken. */
export function passedDescriptors(): number[] {
  return (shared[key] ?? []).map(({ fd }) => fd);
}

/** Returns the error for a passed socket that cannot be used. */
export function activationError(which: PassedSocket, why: string): Error {
  return withCode("ERR_SOCKET_ACTIVATION", new Error(`fd: ${JSON.stringify(which)} ${why}`));
}

function readVariables(which: PassedSocket): Passed[] {
  const { env } = process;
  const { LISTEN_PID: pid, LISTEN_FDS: text, LISTEN_FDNAMES: namesText } = env;
  if (!pid || !text)
    throw activationError(
      which,
      "needs a passed socket, and LISTEN_PID or LISTEN_FDS is not set: start the socket unit",
    );
  if (pid !== String(process.pid))
    throw activationError(
      which,
      `is for process ${pid} (LISTEN_PID), and this is process ${process.pid}: let the unit start bun itself, or a script that ends with exec`,
    );
  const count = Number(text);
  if (!Number.isInteger(count) || count <= 0 || count > PASSED_MAX)
    throw activationError(
      which,
      `needs LISTEN_FDS to be a number of sockets from 1 to ${PASSED_MAX}, not ${JSON.stringify(text)}`,
    );
  const names = namesText === undefined ? Array.from({ length: count }, () => "unknown") : namesText.split(":");
  if (names.length !== count)
    throw activationError(
      which,
      `needs a name for each of ${count} sockets, and LISTEN_FDNAMES is ${JSON.stringify(namesText)}`,
    );
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete env[name];
  return names.map((name, i) => ({ fd: FIRST_DESCRIPTOR + i, name, taken: false }));
}
