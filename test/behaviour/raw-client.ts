/**
 * A client over node:net that sends exactly the given bytes. It reads answers with its own parser,
 * which shares no code with the servers under test.
 */
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface RawResponse {
  version: string;
  status: number;
  reason: string;
  /** All values of each field, by lower-case name. */
  headers: Map<string, string[]>;
  /** The status line and the fields, as the server sent them. */
  head: string;
  body: Buffer;
  text: string;
}

export class RawClient implements Disposable {
  readonly socket: Socket;
  /** Resolves with "end" after the server's FIN, with "reset" if the connection breaks. */
  readonly closed: Promise<"end" | "reset">;

  private received: Buffer = Buffer.alloc(0);
  private arrived: Buffer[] = [];
  private state: "open" | "end" | "reset" = "open";
  private wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    const { promise, resolve } = Promise.withResolvers<"end" | "reset">();
    this.closed = promise;
    const finish = (state: "end" | "reset"): void => {
      if (this.state !== "open") return;
      this.state = state;
      resolve(state);
      this.wake();
    };
    socket.on("data", (bytes: Buffer) => {
      this.arrived.push(bytes);
      this.wake();
    });
    socket.on("end", () => finish("end"));
    socket.on("error", () => finish("reset"));
    socket.on("close", () => finish("end"));
  }

  static connect(port: number, hostname = "127.0.0.1"): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: hostname, allowHalfOpen: true, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RawClient(socket));
      });
    });
  }

  /**
   * Sends bytes, or a string as latin1. Resolves when the kernel has taken the bytes. If the
   * connection breaks, `closed` tells it.
   */
  write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    return new Promise((resolve) => this.socket.write(bytes, () => resolve()));
  }

  /** Sends FIN. The client can still read. */
  end(): void {
    this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  /** Returns the next bytes up to and including `text`. */
  async readUntil(text: string): Promise<string> {
    for (let from = 0; ;) {
      this.collect();
      const at = this.received.indexOf(text, from, "latin1");
      if (at >= 0) return this.take(at + text.length).latin1Slice();
      from = Math.max(0, this.received.length - text.length);
      await this.more(JSON.stringify(text));
    }
  }

  async readBytes(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = count; missing > 0;) {
      if (this.collect() === 0) await this.more(`${missing} bytes`);
      const part = this.take(Math.min(missing, this.received.length));
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Returns all bytes up to the server's FIN. Throws if the connection is reset. */
  async readToEnd(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      parts.push(this.take(this.collect()));
      if (this.state === "reset") throw new Error("the server reset the connection");
      if (this.state === "end") return Buffer.concat(parts);
      await this.change();
    }
  }

  /** Reads the answer to one request of the given method. */
  async readResponse(method = "GET"): Promise<RawResponse> {
    const head = await this.readUntil("\r\n\r\n");
    const [statusLine = "", ...lines] = head.slice(0, -4).split("\r\n");
    const [, version, status, reason] = /^(HTTP\/\d\.\d) (\d{3}) ([^\r\n]*)$/.exec(statusLine) ?? [];
    if (!version || !status || reason === undefined)
      throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
    const headers = new Map<string, string[]>();
    for (const line of lines) {
      const [, name, value] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
      if (!name || value === undefined) throw new Error(`not a header field: ${JSON.stringify(line)}`);
      headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value]);
    }
    const body = await this.readBody(method, Number(status), headers);
    return { version, status: Number(status), reason, headers, head, body, text: body.toString() };
  }

  /** Reads a body (RFC 9112 section 6.3). */
  private async readBody(method: string, status: number, headers: Map<string, string[]>): Promise<Buffer> {
    const lengths = headers.get("content-length");
    const codings = headers.get("transfer-encoding");
    if (lengths && codings) throw new Error("the response has both Content-Length and Transfer-Encoding");
    if (lengths && lengths.length > 1) throw new Error("the response has several Content-Length fields");
    if (method === "HEAD" || status < 200 || status === 204 || status === 304) return Buffer.alloc(0);
    if (codings) return this.readChunked();
    return lengths ? this.readBytes(Number(lengths[0])) : this.readToEnd();
  }

  private async readChunked(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const line = await this.readUntil("\r\n");
      if (!/^[0-9a-f]+\r\n$/i.test(line)) throw new Error(`not a chunk's size: ${JSON.stringify(line)}`);
      const size = parseInt(line, 16);
      parts.push(await this.readBytes(size));
      if ((await this.readUntil("\r\n")) !== "\r\n") throw new Error("a chunk is longer than it says");
      if (size === 0) return Buffer.concat(parts);
    }
  }

  private take(bytes: number): Buffer {
    const taken = this.received.subarray(0, bytes);
    this.received = this.received.subarray(bytes);
    return taken;
  }

  /** Joins the bytes that have arrived. Returns their number. */
  private collect(): number {
    if (this.arrived.length > 0) this.received = Buffer.concat([this.received, ...this.arrived.splice(0)]);
    return this.received.length;
  }

  private async more(wanted: string): Promise<void> {
    const before = this.received.length;
    while (this.collect() === before) {
      if (this.state !== "open") {
        const have = JSON.stringify(this.received.latin1Slice(0, 200));
        throw new Error(`the connection closed (${this.state}) while waiting for ${wanted}; received ${have}`);
      }
      await this.change();
    }
  }

  private change(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }
}

/** Sends one request on its own connection, and returns the answer. */
export async function ask(port: number, request: string | Uint8Array, method = "GET"): Promise<RawResponse> {
  using client = await RawClient.connect(port);
  void client.write(request);
  return await client.readResponse(method);
}

export function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("hex");
}
