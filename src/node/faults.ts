/**
 * The mistakes of a client, and the errors with Node's codes that 'clientError' reports for them.
 *
 * The texts and codes are Bun's (its _http_server.ts). Trials on Bun have shown which mistake gives
 * which error.
 */
import type { Socket } from "node:net";
import { withCode } from "../sys/check.ts";

/** A mistake of a client. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  /**
   * `bytesParsed` of the error: a number, or "all" for the length of the packet. Without it, the
   * error has no such property.
   */
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

/** Returns the error for 'clientError'. `packet` has the bytes that were received. */
export function faultError(fault: Fault, packet: Buffer): Error {
  const { code, message, bytesParsed } = fault;
  const error = withCode(code, new Error(message));
  // As in Bun, an error without a value for `bytesParsed` does not have the property at all.
  if (bytesParsed !== undefined)
    Object.assign(error, { bytesParsed: bytesParsed === "all" ? packet.length : bytesParsed });
  Object.defineProperty(error, "code", { enumerable: false });
  return Object.assign(error, { rawPacket: packet });
}

/**
 * Sends Bun's answer to a request of HTTP/1.1 without Host (RFC 9112 section 3.2), and closes the
 * socket. Does not wait for the responses that are due before this answer.
 */
export function replyWithoutHost(socket: Socket): void {
  const date = new Date().toUTCString();
  socket.write(
    `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nDate: ${date}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  );
  socket.destroySoon();
}
