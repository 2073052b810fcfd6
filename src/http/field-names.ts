/**
 * How the names of a response's fields are written. Names have no case (RFC 9110 section 5.1), and yet some clients look at it.
 *
 * As in Bun, a name that WebKit knows has one way of writing, and every other one is written as the program wrote it. A Headers tells names in
 * lower case only, so the program's own writing is known where a Response is made from a plain object or an array.
 */

/** By the name in lower case. Set-Cookie is not among them: Bun writes it in lower case. */
const wellKnown: Readonly<Record<string, string>> = Object.assign(
  Object.create(null) as Record<string, string>,
  Object.fromEntries(
    (
      "Accept Accept-Charset Accept-Encoding Accept-Language Accept-Ranges Access-Control-Allow-Credentials " +
      "Access-Control-Allow-Headers Access-Control-Allow-Methods Access-Control-Allow-Origin Access-Control-Expose-Headers " +
      "Access-Control-Max-Age Access-Control-Request-Headers Access-Control-Request-Method Age Authorization Cache-Control " +
      "Connection Content-Disposition Content-Encoding Content-Language Content-Length Content-Location Content-Range " +
      "Content-Security-Policy Content-Security-Policy-Report-Only Content-Type Cookie Cookie2 Cross-Origin-Embedder-Policy " +
      "Cross-Origin-Embedder-Policy-Report-Only Cross-Origin-Opener-Policy Cross-Origin-Opener-Policy-Report-Only " +
      "Cross-Origin-Resource-Policy DNT Date Default-Style ETag Expect Expires Host Icy-MetaInt Icy-Metadata If-Match " +
      "If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Event-ID Last-Modified Link Location Origin " +
      "Ping-From Ping-To Pragma Proxy-Authorization Purpose Range Referer Referrer-Policy Refresh Sec-Fetch-Dest Sec-Fetch-Mode " +
      "Sec-WebSocket-Accept Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version " +
      "Server-Timing Service-Worker Service-Worker-Allowed Set-Cookie2 SourceMap Strict-Transport-Security TE " +
      "Timing-Allow-Origin Trailer Transfer-Encoding Upgrade Upgrade-Insecure-Requests User-Agent Vary Via " +
      "X-Content-Type-Options X-DNS-Prefetch-Control X-Frame-Options X-SourceMap X-Temp-Tablet X-XSS-Protection"
    )
      .split(" ")
      .map((name) => [name.toLowerCase(), name]),
  ),
);

/** What a program gave for header fields: anything that `new Response` takes. Only its names are looked at. */
export type WrittenFields = unknown;

/** The names that are not well known, in the program's writing, by themselves in lower case. */
export type WrittenNames = ReadonlyMap<string, string>;

/** How a field's name, which is in lower case here, is sent. */
export function writtenName(name: string, written: WrittenNames | undefined): string {
  return wellKnown[name] ?? written?.get(name) ?? name;
}

/** Undefined where the program has written everything in lower case, or in a Headers, which does not tell. */
export function readWrittenNames(fields: WrittenFields): WrittenNames | undefined {
  if (typeof fields !== "object" || fields === null || fields instanceof Headers) return undefined;
  const names: unknown[] = Array.isArray(fields)
    ? fields.map((pair: unknown) => (pair as unknown[])?.[0])
    : Object.keys(fields);
  let written: Map<string, string> | undefined;
  // As in Bun, the first writing of a name counts.
  for (const name of names.toReversed()) {
    if (typeof name !== "string") continue;
    // ASCII alone: U+212A, too, is "k" in lower case.
    if (!/^[!-~]*[A-Z][!-~]*$/.test(name)) written?.delete(name);
    else if (!(name.toLowerCase() in wellKnown)) (written ??= new Map()).set(name.toLowerCase(), name);
  }
  return written;
}
