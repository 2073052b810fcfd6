/** The handlers of a socket, as programs give them. */
import { invalidOption, requireFunction, requireObject } from "../../sys/check.ts";
import { inCurrentContext } from "../../sys/async-context.ts";
import type { Socket } from "./socket.ts";

export type BinaryType = "buffer" | "uint8array" | "arraybuffer";

export interface SocketHandlers<Data = undefined> {
  open?(socket: Socket<Data>): unknown;
  /** A copy of what arrived. */
  data?(socket: Socket<Data>, data: Buffer): unknown;
  /** The queue is empty again, after a `write` that was not taken whole. */
  drain?(socket: Socket<Data>): unknown;
  /** The peer sends no more. */
  end?(socket: Socket<Data>): unknown;
  /** The last call. `error` is there when the connection broke, such as code ECONNRESET. */
  close?(socket: Socket<Data>, error?: Error): unknown;
  /** A handler threw, or rejected. Without it the error is uncaught. */
  error?(socket: Socket<Data>, error: Error): unknown;
  /** The socket could not be connected; it is closed, and `connect` rejects with the same error afterwards. */
  connectError?(socket: Socket<Data>, error: Error): unknown;
  /** The time set with `timeout` is over. The socket stays open, and the time does not begin anew by itself. */
  timeout?(socket: Socket<Data>): unknown;
  /** Default "buffer". */
  binaryType?: BinaryType;
}

const handlerNames = ["open", "data", "drain", "end", "close", "error", "timeout", "connectError"] as const;
const binaryTypes: readonly BinaryType[] = ["buffer", "uint8array", "arraybuffer"];

/** Checks a program's handlers, and takes them as they are now. Throws a TypeError that names the wrong one. */
export function readHandlers<Data>(handlers: SocketHandlers<Data>): SocketHandlers<Data> {
  requireObject("socket", handlers, "an object with handlers");
  const binaryType = requireBinaryType("socket.binaryType", handlers.binaryType);
  return { binaryType, ...takeHandlers(handlerNames, handlers) };
}

/** The functions of these names, as they are now. Throws a TypeError that names the one that is none. */
export function takeHandlers<Name extends string>(
  names: readonly Name[],
  handlers: { readonly [Each in Name]?: unknown },
): Record<string, unknown> {
  const taken: Record<string, unknown> = {};
  for (const name of names) {
    const handler = handlers[name];
    if (handler !== undefined) requireFunction(`socket.${name}`, handler);
    taken[name] = inCurrentContext(handler as Function | undefined);
  }
  return taken;
}

export function requireBinaryType(name: string, value: BinaryType | undefined): BinaryType | undefined {
  if (value === undefined || binaryTypes.includes(value)) return value;
  throw invalidOption(name, "string", `one of ${binaryTypes.join(", ")}`, value);
}
