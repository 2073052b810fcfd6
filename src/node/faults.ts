/**
 * What a client can do wrong, and how Bun's node:http tells a program of it: the errors of 'clientError', with Node's codes.
 *
 * The texts and codes are Bun's (its _http_server.ts); which of them a client gets for what was tried out on Bun.
 */
import type { Socket } from "node:net";

/** One of what can be wrong. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  /** What `bytesParsed` says, where it says anything: a number, or all that came. */
  readonly bytesParsed?: number | "all";
}

export const Fault = {
  Method: { code: "HPE_INVALID_METHOD", message: "Parse Error: Invalid method encountered", bytesParsed: 1 },
  Url: { code: "HPE_INVALID_URL", message: "Parse Error: Invalid characters in url" },
  Constant: { code: "HPE_INVALID_CONSTANT", message: "Parse Error: Expected HTTP/" },
  Version: { code: "HPE_INVALID_VERSION", message: "Parse Error: Invalid HTTP version" },
  HeaderToken: { code: "HPE_INVALID_HEADER_TOKEN", message: "Parse Error: Invalid header token encountered" },
  LineFeed: { code: "HPE_LF_EXPECTED", message: "Parse Error: Missing expected LF after header value" },
  Overflow: { code: "HPE_HEADER_OVERFLOW", message: "Parse Error: Header overflow", bytesParsed: "all" },
  ContentLength: { code: "HPE_UNEXPECTED_CONTENT_LENGTH", message: "Parse Error" },
  TrailerContentLength: {
    code: "HPE_INVALID_CONTENT_LENGTH",
    message: "Parse Error: Content-Length can't be present with Transfer-Encoding",
  },
  TransferEncoding: {
    code: "HPE_INVALID_TRANSFER_ENCODING",
    message: "Parse Error: Request has invalid `Transfer-Encoding`",
  },
  ChunkSize: { code: "HPE_INVALID_CHUNK_SIZE", message: "Parse Error: Invalid character in chunk size" },
  ChunkEnd: { code: "HPE_STRICT", message: "Parse Error: Expected LF after chunk data" },
  ChunkExtensions: { code: "HPE_CHUNK_EXTENSIONS_OVERFLOW", message: "Parse Error: Chunk extensions overflow" },
  Http2: { code: "HPE_PAUSED_H2_UPGRADE", message: "Parse Error: Pause on PRI/Upgrade", bytesParsed: 24 },
  Closed: { code: "HPE_CLOSED_CONNECTION", message: "Parse Error: Data after `Connection: close`" },
  Eof: { code: "HPE_INVALID_EOF_STATE", message: "Parse Error: Invalid EOF state" },
} as const satisfies Record<string, Fault>;

/** The error that 'clientError' gives. `packet` is what came. */
export function faultError(fault: Fault, packet: Buffer): Error {
  const { code, message, bytesParsed } = fault;
  const error = Object.assign(new Error(message), { code });
  // As Bun has them: what it says of neither is not even there.
  if (bytesParsed !== undefined)
    Object.assign(error, { bytesParsed: bytesParsed === "all" ? packet.length : bytesParsed });
  Object.defineProperty(error, "code", { enumerable: false });
  return Object.assign(error, { rawPacket: packet });
}

/** Bun's answer to a request of HTTP/1.1 without Host, whatever responses are due before it (RFC 9112 section 3.2). */
export function replyWithoutHost(socket: Socket): void {
  const date = new Date().toUTCString();
  socket.write(
    `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nDate: ${date}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  );
  socket.destroySoon();
}
