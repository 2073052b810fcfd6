/** The parts of a message's head that each byte may belong to. */

/** Classes, one bit each. */
export const TOKEN = 1;
export const VALUE = 2;
export const TARGET = 4;
export const HOST = 8;
export const byteClass = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const text = String.fromCharCode(byte);
  if (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(text)) byteClass[byte]! |= TOKEN; // RFC 9110 section 5.6.2
  // section 5.5, obs-text included
  if (byte === 9 || (byte >= 0x20 && byte !== 0x7f)) byteClass[byte]! |= VALUE;
  // Wider than RFC 3986 by the bytes that browsers and common clients send raw, none of which is a
  // delimiter: " < > \ ^ ` { | }. A fragment is never sent (RFC 9110 section 7.1), and caches and
  // routers would disagree about its meaning. Bytes beyond ASCII are accepted as in Bun: a URL
  // contains them percent-encoded.
  if (byte > 0x20 && byte !== 0x7f && text !== "#") byteClass[byte]! |= TARGET;
  // unreserved and sub-delims (RFC 3986 section 2)
  if (/[A-Za-z0-9\-._~!$&'()*+,;=]/.test(text)) byteClass[byte]! |= HOST;
}

/**
 * Returns whether the byte may be part of a token, such as a field's name (RFC 9110 section 5.6.2).
 */
export function isTokenByte(byte: number): boolean {
  return (byteClass[byte]! & TOKEN) !== 0;
}
