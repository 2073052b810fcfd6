/**
 * Checks of the arguments of a WebSocket's methods. The errors name the method and the value, in
 * the words of Bun.
 */
import { shown } from "../../sys/check.ts";
import { toBytes } from "../sockets/socket-data.ts";

const CONTROL_BYTES_MAX = 125;

export function requireMessage(method: string, message: unknown): void {
  if (message === undefined || message === null)
    throw new TypeError(`${method} requires a non-empty message: a string, bytes or a Blob, not ${String(message)}`);
}

export function requireTextMessage(method: string, message: unknown): void {
  if (typeof message !== "string") throw new TypeError(`${method} expects a string, not ${shown(message)}`);
}

export function requireBytesMessage(method: string, message: unknown): void {
  if (typeof message !== "object" || message === null)
    throw new TypeError(`${method} expects a Blob or BufferSource, not ${shown(message)}`);
}

export function requireCompress(method: string, compress: unknown): void {
  if (typeof compress !== "boolean")
    throw new TypeError(`${method} expects compress to be a boolean, not ${shown(compress)}`);
}

export function requireTopic(method: string, topic: unknown): void {
  if (typeof topic !== "string") throw new TypeError(`${method} expects a topic string, not ${shown(topic)}`);
  if (topic === "") throw new TypeError(`${method} requires a non-empty topic name`);
}

/** Returns a message as bytes, which are encoded once for many sockets. */
export function messageBytes(message: unknown): Uint8Array {
  return isBytes(message) ? toBytes(message, 0, undefined) : Buffer.from(String(message));
}

/**
 * Returns whether a message is binary: bytes or a Blob. As in Bun, any other value is converted to
 * a string, and sent as text.
 */
export function isBytes(message: unknown): message is ArrayBufferLike | NodeJS.ArrayBufferView | Blob {
  return (
    ArrayBuffer.isView(message) ||
    message instanceof ArrayBuffer ||
    message instanceof SharedArrayBuffer ||
    message instanceof Blob
  );
}

/** Returns the payload of a ping or a pong (RFC 6455 section 5.5). */
export function controlData(method: string, data: unknown): Uint8Array {
  if (data === undefined || data === null) return Buffer.alloc(0);
  if (typeof data !== "string" && typeof data !== "object")
    throw new TypeError(`${method} expects a string, Blob, or BufferSource, not ${shown(data)}`);
  const bytes = toBytes(data, 0, undefined);
  if (bytes.length > CONTROL_BYTES_MAX)
    throw new RangeError(
      `The data size must not be greater than ${CONTROL_BYTES_MAX} bytes. Received ${bytes.length} bytes, by ${method}()`,
    );
  return bytes;
}
