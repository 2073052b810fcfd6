/** The option `websocket` of serve: its handlers and limits, with their checks. */
import { invalidType, invalidValue, requireBoolean, requireFunction, requireObject, U32_MAX } from "../../sys/check.ts";
import { inCurrentContext } from "../../sys/async-context.ts";
import { readDeflate, type DeflateOptions } from "../../websocket/deflate.ts";
import type { ServerWebSocket } from "./socket.ts";

type Handler<Argument extends unknown[]> = (socket: ServerWebSocket, ...rest: Argument) => unknown;

/** The options that the sockets of a server share. `reload` changes them for all sockets. */
export interface WebSocketOptions {
  readonly open: Handler<[]> | undefined;
  readonly message: Handler<[message: unknown]> | undefined;
  readonly drain: Handler<[]> | undefined;
  readonly close: Handler<[code: number, reason: string]> | undefined;
  readonly ping: Handler<[data: unknown]> | undefined;
  readonly pong: Handler<[data: unknown]> | undefined;
  readonly error: ((error: unknown, socket: ServerWebSocket) => unknown) | undefined;
  /** Bytes of the longest message that is received, after decompression. */
  readonly messageBytesMax: number;
  /**
   * Bytes that may wait to be sent. Above them, a message is dropped. With 0, there is no limit.
   */
  readonly backpressureLimit: number;
  readonly closeOnBackpressureLimit: boolean;
  readonly publishToSelf: boolean;
  /** Time without traffic until a ping, or until the end if there are no pings. 0 is never. */
  readonly quietMs: number;
  /** Time from the ping until the end; 0 without pings. */
  readonly answerMs: number;
  readonly deflate: DeflateOptions | undefined;
}

const handlerNames = ["open", "message", "drain", "close", "ping", "pong", "error"] as const;
const DEFAULT_BYTES_MAX = 16777216;
const IDLE_SECONDS_MAX = 960;
/** As in Bun, whose clock for this timeout has steps of four seconds. */
const IDLE_SECONDS_MIN = 8;

/** Reads the option. Throws a TypeError that names the wrong option. */
export function readWebSocketOptions(given: unknown): WebSocketOptions {
  requireObject("websocket", given, "an object with handlers");
  const options = given as Record<string, unknown>;
  const handlers = {} as Record<(typeof handlerNames)[number], any>;
  for (const name of handlerNames) handlers[name] = readHandler(name, options[name]);
  return {
    ...handlers,
    messageBytesMax: readInteger("maxPayloadLength", options.maxPayloadLength, DEFAULT_BYTES_MAX),
    backpressureLimit: readInteger("backpressureLimit", options.backpressureLimit, DEFAULT_BYTES_MAX),
    closeOnBackpressureLimit: readBoolean("closeOnBackpressureLimit", options.closeOnBackpressureLimit, false),
    publishToSelf: readBoolean("publishToSelf", options.publishToSelf, false),
    ...readTimes(options),
    deflate: readDeflate(options.perMessageDeflate),
  };
}

function readHandler(name: string, value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  requireFunction(`websocket.${name}`, value);
  return inCurrentContext(value);
}

function readBoolean(name: string, value: unknown, byDefault: boolean): boolean {
  if (value === undefined || value === null) return byDefault;
  requireBoolean(`websocket.${name}`, value);
  return value;
}

/** Reads an integer. As in Bun, an integer out of range counts as the nearest one in range. */
function readInteger(name: string, value: unknown, byDefault: number): number {
  if (value === undefined || value === null) return byDefault;
  if (!Number.isInteger(value)) throw invalidType(`websocket.${name}`, `an integer from 0 to ${U32_MAX}`, value);
  return Math.min(Math.max(value as number, 0), U32_MAX);
}

function readTimes({ idleTimeout, sendPings }: Record<string, unknown>): { quietMs: number; answerMs: number } {
  const given = readInteger("idleTimeout", idleTimeout, 120);
  const pings = readBoolean("sendPings", sendPings, true);
  if (given > IDLE_SECONDS_MAX)
    throw invalidValue("websocket.idleTimeout", `a number of seconds from 0 to ${IDLE_SECONDS_MAX}`, given);
  if (given === 0) return { quietMs: 0, answerMs: 0 };
  const seconds = Math.max(given, IDLE_SECONDS_MIN);
  // The client has 4, 8 or 16 seconds for its pong, and at most half of the whole.
  let answer = 4;
  while (answer < 16 && seconds - answer >= 2 * answer) answer *= 2;
  return pings
    ? { quietMs: (seconds - answer) * 1000, answerMs: answer * 1000 }
    : { quietMs: seconds * 1000, answerMs: 0 };
}
