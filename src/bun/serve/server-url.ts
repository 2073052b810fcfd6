/** Writes a server's address as a URL. */
import { hostOf } from "../sockets/options.ts";

/** Returns the value of `server.url` for a server on a Unix socket, or on a host and port. */
export function urlOf(unix: string | undefined, hostname: string | undefined, port: number | undefined): URL {
  if (unix !== undefined) return new URL(unix[0] === "\0" ? `abstract://${unix.slice(1)}/` : `unix://${unix}`);
  const host = hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname!;
  return new URL(`http://${authority(host, port!)}/`);
}

/** Returns the host and port for a URL. The default port 80 is left out. */
export function authority(hostname: string, port: number): string {
  // The zone of an IPv6 address is removed: no URL has one (RFC 6874 was not adopted). Brackets are
  // added, and the address may have them already.
  const host = hostname.includes(":") ? `[${hostOf(hostname).split("%", 1)[0]}]` : hostname;
  return port === 80 ? host : `${host}:${port}`;
}
