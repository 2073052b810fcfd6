/** The handlers of a socket, in the form that programs give them. */
import { invalidOption, requireFunction, requireObject } from "../../sys/check.ts";
import { inCurrentContext } from "../../sys/async-context.ts";
import type { Socket } from "./socket.ts";

export type BinaryType = "buffer" | "uint8array" | "arraybuffer";

export interface SocketHandlers<Data = undefined> {
  open?(socket: Socket<Data>): unknown;
  /** Bytes arrived. `data` is a copy. */
  data?(socket: Socket<Data>, data: Buffer): unknown;
  /** The queue is empty again, after a `write` that did not accept all bytes. */
  drain?(socket: Socket<Data>): unknown;
  /** The peer sends no more. */
  end?(socket: Socket<Data>): unknown;
  /** The last call. `error` is set if the connection broke, for example with code ECONNRESET. */
  close?(socket: Socket<Data>, error?: Error): unknown;
  /** A handler threw an error, or rejected. Without this handler, the error is uncaught. */
  error?(socket: Socket<Data>, error: Error): unknown;
  /**
   * The socket could not be connected. It is closed. `connect` rejects with the same error
   * afterwards.
   */
  connectError?(socket: Socket<Data>, error: Error): unknown;
  /**
   * The time set with `timeout` is over. The socket stays open, and the time does not start again
   * by itself.
   */
  timeout?(socket: Socket<Data>): unknown;
  /** The type of `data`. Default: "buffer". */
  binaryType?: BinaryType;
}

const handlerNames = ["open", "data", "drain", "end", "close", "error", "timeout", "connectError"] as const;
/** Handlers of TLS. Bun checks them for every socket. The ring calls none, because it has no TLS. */
const tlsHandlerNames = ["handshake", "session", "keylog", "serverName"] as const;
const binaryTypes: readonly BinaryType[] = ["buffer", "uint8array", "arraybuffer"];

/**
 * Checks a program's handlers, and copies them as they are now. Throws a TypeError that names the
 * wrong handler.
 */
export function readHandlers<Data>(handlers: SocketHandlers<Data>): SocketHandlers<Data> {
  requireObject("socket", handlers, "an object with handlers");
  const binaryType = requireBinaryType("socket.binaryType", handlers.binaryType);
  for (const name of tlsHandlerNames) requireHandler(name, (handlers as Record<string, unknown>)[name]);
  return { binaryType, ...takeHandlers(handlerNames, handlers) };
}

/**
 * Copies the functions with these names, as they are now. Throws a TypeError that names a value
 * that is not a function.
 */
export function takeHandlers<Name extends string>(
  names: readonly Name[],
  handlers: { readonly [Each in Name]?: unknown },
): Record<string, unknown> {
  const taken: Record<string, unknown> = {};
  for (const name of names) {
    const handler = handlers[name];
    requireHandler(name, handler);
    taken[name] = inCurrentContext((handler ?? undefined) as Function | undefined);
  }
  return taken;
}

/** Checks a handler. As in Bun, null means that the program has none. */
function requireHandler(name: string, handler: unknown): void {
  if (handler !== undefined && handler !== null) requireFunction(`socket.${name}`, handler);
}

export function requireBinaryType(name: string, value: BinaryType | undefined): BinaryType | undefined {
  if (value === undefined || binaryTypes.includes(value)) return value;
  throw invalidOption(name, "string", `one of ${binaryTypes.join(", ")}`, value);
}
