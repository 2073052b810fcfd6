/** How a server's own address is written in a URL. */
import { hostOf } from "../sockets/options.ts";

/** What `server.url` says of a server on a Unix socket, or on a host and port. */
export function urlOf(unix: string | undefined, hostname: string | undefined, port: number | undefined): URL {
  if (unix !== undefined) return new URL(unix[0] === "\0" ? `abstract://${unix.slice(1)}/` : `unix://${unix}`);
  const host = hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname!;
  return new URL(`http://${authority(host, port!)}/`);
}

/** Host and port; the default port is left out. */
export function authority(hostname: string, port: number): string {
  // Without its zone, which no URL has (RFC 6874 was not taken up), and with brackets, which it may have already.
  const host = hostname.includes(":") ? `[${hostOf(hostname).split("%", 1)[0]}]` : hostname;
  return port === 80 ? host : `${host}:${port}`;
}
