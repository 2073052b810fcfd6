/** The opening handshake (RFC 6455 section 4.2): the check of a request, and the answer to it. */
import { fieldsOf } from "../serve/tracked-response.ts";
import { readWrittenNames, writtenName } from "../../http/field-names.ts";
import { NativeResponse } from "../serve/native-globals.ts";
import { RingRequest } from "../serve/request.ts";
import { RoutedRequest } from "../serve/routed-request.ts";
import { type Agreement, agree, type DeflateOptions } from "../../websocket/deflate.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
export const VERSION = "13";
const PROTOCOL = "sec-websocket-protocol";

/** Fields of the answer that only the handshake sets. */
const ownFields = new Set([
  "connection",
  "upgrade",
  "content-length",
  "transfer-encoding",
  "sec-websocket-accept",
  "sec-websocket-extensions",
]);

export type Judgement = "accepted" | "refused" | "another version";

/**
 * Checks whether a request asks for a WebSocket in the way of section 4.2.1. The version is the
 * last thing to be checked, because a client may try another version.
 */
export function judge(request: RingRequest): Judgement {
  const { headers, method } = request;
  if (method !== "GET" || RingRequest.hasBody(request)) return "refused";
  if (!hasToken(headers.get("upgrade"), "websocket") || !hasToken(headers.get("connection"), "upgrade"))
    return "refused";
  // Sixteen bytes in base64.
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "")) return "refused";
  return headers.get("sec-websocket-version") === VERSION ? "accepted" : "another version";
}

function hasToken(list: string | null, token: string): boolean {
  return list !== null && list.split(",").some((each) => each.trim().toLowerCase() === token);
}

/** The fields in which a client says what it asks for. */
export interface Asked {
  key: string | null;
  protocols: string | null;
  extensions: string | null;
}

export function askedOf({ headers }: RingRequest): Asked {
  return {
    key: headers.get("sec-websocket-key"),
    protocols: headers.get("sec-websocket-protocol"),
    extensions: headers.get("sec-websocket-extensions"),
  };
}

export interface Handshake {
  /** The whole head of the response. */
  head: string;
  agreement: Agreement | undefined;
}

/**
 * Returns the answer to an accepted request. `given` are the program's fields. Throws a TypeError
 * for a wrong header field.
 */
export function answer(
  request: RingRequest,
  { key, protocols, extensions }: Asked,
  given: Bun.HeadersInit | undefined,
  deflate: DeflateOptions | undefined,
  date: string,
): Handshake {
  const accept = Bun.SHA1.hash(key! + GUID, "base64");
  let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  head += `Sec-WebSocket-Accept: ${accept}\r\n`;
  const fields =
    given === undefined ? {} : fieldsOf(new NativeResponse(null, { headers: given as Record<string, string> }));
  const names = readWrittenNames(given);
  for (const name in fields) {
    if (ownFields.has(name) || name === PROTOCOL) continue;
    const value = fields[name]!;
    const written = writtenName(name, names);
    for (const each of typeof value === "string" ? [value] : value) head += `${written}: ${each}\r\n`;
  }
  for (const cookie of RoutedRequest.changedCookies(request) ?? []) head += `Set-Cookie: ${cookie}\r\n`;
  // The program chooses one of the client's subprotocols with its field. Default: the first one.
  // The answer names one subprotocol (RFC 6455 section 4.2.2): of several, the first.
  const protocol = String(fields[PROTOCOL] ?? protocols ?? "")
    .split(",", 1)[0]!
    .trim();
  if (protocol) head += `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  const agreement = deflate && extensions !== null ? agree(deflate, extensions) : undefined;
  if (agreement) head += `Sec-WebSocket-Extensions: ${agreement.answer}\r\n`;
  if (fields.date === undefined) head += `Date: ${date}\r\n`;
  return { head: `${head}\r\n`, agreement };
}
