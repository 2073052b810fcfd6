/**
 * The internal contract between Bun's node:http and Bun's own server: the option onNodeHTTPRequest
 * of Bun.serve, and the objects that node:http passes through it.
 *
 * Bun does not promise to keep this contract, and it changes with Bun's versions. So the ring
 * relies on it only in the versions that it was read from, and only after a trial (trial.ts). In
 * every other case node:http runs on Bun's own server.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { ResponseHandle } from "./response-handle.ts";
import type { SocketHandle } from "./socket-handle.ts";

/** Versions of Bun whose node:http keeps this contract. */
export const KNOWN_VERSIONS: readonly string[] = ["1.4.5"];

/** Facts about the head of a request, for the parameter `bits` of onNodeHTTPRequest. */
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

/** Bits of `flags` of a ResponseHandle. */
export const ResponseFlag = {
  SocketClosed: 1,
  Completed: 2,
  Ended: 4,
  Upgraded: 8,
} as const;

/** Values of `hasBody` of a ResponseHandle: how much of the request's body has arrived. */
export const BodyState = {
  None: 0,
  Pending: 2,
  Done: 4,
  Aborted: 8,
} as const;

/** The argument of `onabort`. */
export const ABORTED = 1;

/**
 * Bits of the header fields that node:http leaves to the server that writes the head. The server
 * writes them after the other fields, in this order.
 */
export const AutoField = {
  Date: 1,
  KeepAlive: 2,
  Close: 4,
  KeepAliveTimeout: 8,
  Chunked: 16,
} as const;

/**
 * Name of the entry that says how a response's body is framed. No real header field can have this
 * name.
 */
export const FRAMING_FIELD = "\0";
/** Value of FRAMING_FIELD: the body ends with the connection. */
export const FRAMED_BY_CLOSE = "1";
/** Value of FRAMING_FIELD: there is no body, as after HEAD, 204 and 304. */
export const FRAMED_AS_NONE = "2";

/** Dispatches a request: runs the program's listeners. */
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

/** The options that node:http passes to Bun.serve. */
export interface NodeServeOptions {
  port?: number | string;
  hostname?: string;
  unix?: string;
  reusePort?: boolean;
  tls?: unknown;
  onNodeHTTPRequest: OnRequest;
}

/** The class of node:http's sockets. It extends net.Socket. */
export type SocketClass = new (
  server: Server,
  handle: SocketHandle,
  isTls: boolean,
  generation: { isUnix: boolean },
) => Socket;

/** Node's name for the property of a socket that has its current response. */
export const ATTACHED = "_httpMessage";
export type HttpSocket = Socket & { [ATTACHED]?: object | null };

/** node:http's server and the class of its sockets. `probe` finds both. */
export interface HttpInternals {
  readonly server: HttpServer;
  readonly Socket: SocketClass;
}

/** The properties of an http.Server that the ring reads. */
export interface HttpServer extends Server {
  httpAllowHalfOpen?: boolean;
  maxHeaderSize?: number;
  insecureHTTPParser?: boolean;
  httpValidation?: "strict" | "relaxed" | "insecure";
  joinDuplicateHeaders?: boolean;
  requireHostHeader?: boolean;
  blockList?: { check(address: string, family: string): boolean };
}
