/** `server.upgrade`: makes a WebSocket of a request's connection. */
import { invalidType, requireObject } from "../../sys/check.ts";
import type { FetchResponder } from "../serve/fetch-responder.ts";
import type { RingRequest } from "../serve/request.ts";
import { answer, askedOf, judge, VERSION } from "./handshake.ts";
import type { WebSocketHub } from "./hub.ts";
import { ServerWebSocket } from "./socket.ts";

export interface UpgradeOptions {
  /**
   * Fields of the 101 response, besides those of the handshake. Sec-WebSocket-Protocol chooses one
   * of the client's subprotocols.
   */
  headers?: Bun.HeadersInit;
  /** The first value of the socket's `data`. */
  data?: unknown;
}

/** Returns whether the connection is a WebSocket now. Throws a TypeError for wrong options. */
export function upgrade(
  hub: WebSocketHub,
  responder: FetchResponder,
  request: RingRequest,
  options: UpgradeOptions = {},
): boolean {
  requireObject("upgrade options", options);
  const judgement = responder.canHandOver(request) ? judge(request) : "refused";
  // This comes before the options, because their getters may change the request's fields.
  const asked = askedOf(request);
  const { headers, data } = options;
  if (headers !== undefined && headers !== null && typeof headers !== "object")
    throw invalidType("upgrade options.headers", "a Headers or an object", headers);
  if (judgement === "refused" || !responder.canHandOver(request)) return false;
  if (judgement === "another version") {
    // RFC 6455 section 4.4. An answer of the handler would not name the version that the client can
    // try.
    responder.refuseUpgrade(request, `Upgrade: websocket\r\nSec-WebSocket-Version: ${VERSION}\r\n`);
    return false;
  }
  const { reactor, heads } = hub.host;
  const { head, agreement } = answer(
    request,
    asked,
    headers ?? undefined,
    hub.options.deflate,
    heads.date(reactor.nowMs),
  );
  // Getters of the options may have upgraded or answered the request meanwhile.
  if (!responder.canHandOver(request)) return false;
  const transport = responder.handOver(request);
  transport.outbox.writeLatin1(head);
  new ServerWebSocket(hub, transport, agreement, data).begin();
  return true;
}
