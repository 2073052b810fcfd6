/**
 * What node:http of Bun asks of Bun's own server, which nobody but Bun has promised to keep: the option onNodeHTTPRequest of
 * Bun.serve, and the objects that it is called with.
 *
 * The contract changes with Bun's versions. So it is relied on in those that it was read from alone, after it has been tried
 * (self-test.ts); anything else runs on Bun's own.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { ResponseHandle } from "./response-handle.ts";
import type { SocketHandle } from "./socket-handle.ts";

/** Versions of Bun whose node:http keeps this contract. */
export const KNOWN_VERSIONS: readonly string[] = ["1.4.5"];

/** What a request's head says, for onNodeHTTPRequest. */
export const Bit = {
  ConnectionClose: 1,
  ConnectionUpgrade: 2,
  Upgrade: 4,
  Host: 8,
  Expect: 16,
  ExpectContinue: 32,
  ContentLength: 64,
  TransferEncoding: 128,
} as const;

/** `flags` of a response's handle. */
export const ResponseFlag = {
  SocketClosed: 1,
  Completed: 2,
  Ended: 4,
  Upgraded: 8,
} as const;

/** `hasBody` of a response's handle: how far its request's body has come. */
export const BodyState = {
  None: 0,
  Pending: 2,
  Done: 4,
  Aborted: 8,
} as const;

/** The event that `onabort` is called with. */
export const ABORTED = 1;

/** The fields of a head that node:http leaves to whoever writes it, after the others, in this order. */
export const AutoField = {
  Date: 1,
  KeepAlive: 2,
  Close: 4,
  KeepAliveTimeout: 8,
  Chunked: 16,
} as const;

/** A field of this name, which no field can have, says how the body is framed. */
export const FRAMING_FIELD = "\0";
/** The body ends with the connection. */
export const FRAMED_BY_CLOSE = "1";
/** There is none: HEAD, 204, 304. */
export const FRAMED_AS_NONE = "2";

/** Dispatches a request. It runs the program's listeners. */
export type OnRequest = (
  server: object,
  url: string,
  method: string,
  bits: number,
  handle: ResponseHandle,
  hasBody: boolean,
  socketHandle: SocketHandle,
  isSocketNew: boolean,
  socket: Socket | undefined,
  isHttp10: boolean,
  connectHead: Buffer | undefined,
  isPipelined: boolean,
) => unknown;

/** The options of Bun.serve that node:http gives. */
export interface NodeServeOptions {
  port?: number | string;
  hostname?: string;
  unix?: string;
  reusePort?: boolean;
  tls?: unknown;
  onNodeHTTPRequest: OnRequest;
}

/** The class of node:http's sockets, a net.Socket. */
export type SocketClass = new (
  server: Server,
  handle: SocketHandle,
  isTls: boolean,
  generation: { isUnix: boolean },
) => Socket;

/** Node's name of the response that a socket is attached to. */
export const ATTACHED = "_httpMessage";
export type HttpSocket = Socket & { [ATTACHED]?: object | null };

/** node:http's server and the class of its sockets, which the probe finds. */
export interface HttpInternals {
  readonly server: HttpServer;
  readonly Socket: SocketClass;
}

/** What is read of a http.Server. */
export interface HttpServer extends Server {
  httpAllowHalfOpen?: boolean;
  maxHeaderSize?: number;
  insecureHTTPParser?: boolean;
  httpValidation?: "strict" | "relaxed" | "insecure";
  joinDuplicateHeaders?: boolean;
  requireHostHeader?: boolean;
  blockList?: { check(address: string, family: string): boolean };
}
