/**
 * A WebSocket client that sends exactly the given frames, allowed or not. It checks the frames of
 * the server with its own code (RFC 6455 section 5).
 */
import { createHash } from "node:crypto";
import { RawClient } from "./raw-client.ts";
import { serve, type ServeOptions, type Server } from "./subject.ts";

export { frame, type FrameOptions } from "../oracle/websocket-frame.ts";

export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
export const handshakeFields = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${KEY}`,
];

export function handshake(fields: string[] = handshakeFields, target = "/"): string {
  return [`GET ${target} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");
}

/** Returns the payload of a Close frame. */
export function closing(code: number, reason: string | Uint8Array = ""): Buffer {
  return Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason as string)]);
}

export interface Frame {
  opcode: number;
  rsv: number;
  payload: Buffer;
}

/** Starts a server that upgrades every request. */
export function serveWebSocket(websocket: Bun.WebSocketHandler<any>, more: Partial<ServeOptions> = {}): Server {
  return serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    websocket,
    fetch: (request, server) =>
      ((server as any).upgrade(request) ? undefined : new Response("no", { status: 400 })) as Response,
    ...more,
  });
}

/** Starts a server that sends every message back. */
export function serveEcho(more: Partial<Bun.WebSocketHandler<any>> = {}): Server {
  return serveWebSocket({ message: (socket, message) => void socket.send(message), ...more });
}

export class WebSocketClient implements Disposable {
  readonly raw: RawClient;
  /** The head of the answer to the handshake. */
  readonly head: string;

  private constructor(raw: RawClient, head: string) {
    this.raw = raw;
    this.head = head;
  }

  /**
   * Connects, and sends the handshake and `first` in one piece. Throws if the answer does not
   * accept the handshake.
   */
  static async open(port: number, fields: string[] = [], ...first: Uint8Array[]): Promise<WebSocketClient> {
    const raw = await RawClient.connect(port);
    void raw.write(Buffer.concat([Buffer.from(handshake([...handshakeFields, ...fields])), ...first]));
    const head = await raw.readUntil("\r\n\r\n");
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`not upgraded: ${head}`);
    const accept = createHash("sha1").update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    if (!head.toLowerCase().includes(`sec-websocket-accept: ${accept.toLowerCase()}`)) throw new Error(head);
    return new WebSocketClient(raw, head);
  }

  send(...frames: Uint8Array[]): void {
    void this.raw.write(Buffer.concat(frames));
  }

  async read(): Promise<Frame> {
    const [first = 0, second = 0] = await this.raw.readBytes(2);
    if (first < 0x80) throw new Error("a server's frame is in fragments");
    if (second > 127) throw new Error("a server's frame is masked");
    let length = second;
    if (second === 126) length = (await this.raw.readBytes(2)).readUInt16BE();
    if (second === 127) length = Number((await this.raw.readBytes(8)).readBigUInt64BE());
    return { opcode: first & 15, rsv: (first >> 4) & 7, payload: await this.raw.readBytes(length) };
  }

  /** Returns opcode and payload (as text) of the next frame. */
  async next(): Promise<[opcode: number, text: string]> {
    const { opcode, payload } = await this.read();
    return [opcode, payload.toString()];
  }

  /**
   * Returns the frames up to the end of the connection, each as opcode and text. For a Close frame
   * it is the code, and with `reasons` also the reason.
   */
  async rest(reasons = false): Promise<(string | number)[][]> {
    const bytes = await this.raw.readToEnd();
    const frames: (string | number)[][] = [];
    for (let at = 0; at < bytes.length;) {
      const opcode = bytes[at]! & 15;
      let length = bytes[at + 1]!;
      at += 2;
      if (length === 126) length = bytes.readUInt16BE((at += 2) - 2);
      else if (length === 127) length = Number(bytes.readBigUInt64BE((at += 8) - 8));
      const payload = bytes.subarray(at, (at += length));
      if (opcode !== 8) frames.push([opcode, payload.toString()]);
      else if (payload.length === 0) frames.push([8]);
      else frames.push([8, payload.readUInt16BE(), ...(reasons ? [payload.toString("utf8", 2)] : [])]);
    }
    return frames;
  }

  [Symbol.dispose](): void {
    this.raw[Symbol.dispose]();
  }
}
