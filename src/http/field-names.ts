/**
 * The spelling of field names in a response. Names are case-insensitive (RFC 9110 section 5.1), and
 * yet some clients look at their case.
 *
 * As in Bun, a name that WebKit knows has one spelling, and any other name is sent as the program
 * spelled it. A Headers gives names in lower case only. So the program's spelling is known only if
 * a Response is made from a plain object or an array.
 */

/** Spellings by the name in lower case. Set-Cookie is missing: Bun sends it in lower case. */
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

/**
 * The header fields that a program gave: anything that `new Response` accepts. Only the names are
 * read.
 */
export type WrittenFields = unknown;

/** The program's spellings of names that are not well known, by the name in lower case. */
export type WrittenNames = ReadonlyMap<string, string>;

/** Returns the spelling in which a field's name is sent. `name` is in lower case. */
export function writtenName(name: string, written: WrittenNames | undefined): string {
  return wellKnown[name] ?? written?.get(name) ?? name;
}

/**
 * Returns undefined if every name is in lower case, or if `fields` is a Headers, which has lost the
 * spelling.
 */
export function readWrittenNames(fields: WrittenFields): WrittenNames | undefined {
  if (typeof fields !== "object" || fields === null || fields instanceof Headers) return undefined;
  const names: unknown[] = Array.isArray(fields)
    ? fields.map((pair: unknown) => (pair as unknown[])?.[0])
    : Object.keys(fields);
  let written: Map<string, string> | undefined;
  // As in Bun, the first spelling of a name counts.
  for (const name of names.toReversed()) {
    if (typeof name !== "string") continue;
    // ASCII only: U+212A in lower case is "k", too.
    if (!/^[!-~]*[A-Z][!-~]*$/.test(name)) written?.delete(name);
    else if (!(name.toLowerCase() in wellKnown)) (written ??= new Map()).set(name.toLowerCase(), name);
  }
  return written;
}
