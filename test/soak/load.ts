/**
 * The soak's clients, over Node's and Bun's own sockets: `bun load.ts SEED CLIENTS FATE`.
 *
 * Each client runs one life after another. Most lives are normal, and check each byte of their
 * answers. The others leave, stall or reset on purpose, and announce it before. With "leaves" for
 * FATE all of them announce it, because the process will be killed. At "stop" over IPC, the process
 * ends its clients and then itself.
 */
import { randomFillSync } from "node:crypto";
import { percentile } from "../../bench/runner/report.ts";
import { RawClient } from "../behaviour/raw-client.ts";
import { SeededRandom } from "../unit/seeded-random.ts";
import { FATE, FATE_BYTE, type Fate, largeFile, type Ports, type Service, services, streamText } from "./content.ts";

/** The measurements of a service in one interval. */
export interface Seen {
  count: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export interface Report {
  seen: Partial<Record<Service, Seen>>;
  /** Number of normal lives since the start that failed, by message. */
  faults: Record<string, number>;
  /** Number of deeds (deliberate misbehaviour of clients) since the start, by kind. */
  deeds: Record<string, number>;
  /** Right bytes of bodies, echoes and files since the start. */
  bytes: number;
  stopped: boolean;
}

const [seed = 1, clients = 24] = process.argv.slice(2, 4).map(Number);
/** The announcement of a normal client. */
const usualFate = process.argv[4] as Fate;
const latencies = new Map<Service, number[]>();
const faults: Record<string, number> = {};
const deeds: Record<string, number> = {};
let bytesRight = 0;
/** Aborted when the lives must end. */
const stop = new AbortController();
let ports: Ports;

const large = largeFile();
/** Bodies are parts of these bytes, so that a byte at the wrong place is found. */
const material = randomFillSync(Buffer.alloc(1 << 20));

const count = (record: Record<string, number>, kind: string): void => void (record[kind] = (record[kind] ?? 0) + 1);

async function timed<T>(service: Service, body: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await body();
  latencies.get(service)!.push(performance.now() - begun);
  return result;
}

function mustEqual(what: string, found: Buffer, wanted: Buffer): void {
  if (!found.equals(wanted)) throw new Error(`${what} came back wrong`);
  bytesRight += wanted.length;
}

function pieceOf(random: SeededRandom, bytesMax: number): Buffer {
  const length = 1 + random.below(bytesMax);
  return material.subarray(random.below(material.length - length), material.length).subarray(0, length);
}

// ---- HTTP --------------------------------------------------------------------------------------

interface Asked {
  service: Service;
  bytes: Buffer;
  answer: Buffer;
}

function ask(random: SeededRandom, id: string, fate: Fate): Asked {
  const get = (service: Service, path: string, answer: Buffer | string): Asked => ({
    service,
    bytes: Buffer.from(`GET ${path} HTTP/1.1\r\nHost: soak\r\n${FATE}: ${fate}\r\n\r\n`),
    answer: Buffer.from(answer),
  });
  const post = (service: Service, path: string, body: Buffer): Asked => {
    const head = `POST ${path} HTTP/1.1\r\nHost: soak\r\n${FATE}: ${fate}\r\n`;
    if (random.below(2) === 0)
      return {
        service,
        bytes: Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]),
        answer: body,
      };
    const parts: Buffer[] = [Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`)];
    for (let at = 0; at < body.length;) {
      const part = body.subarray(at, at + 1 + random.below(20_000));
      parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n"));
      at += part.length;
    }
    return { service, bytes: Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]), answer: body };
  };
  switch (random.below(9)) {
    case 0:
      return get("http", "/static", "static");
    case 1:
    case 2:
      return get("http", `/text/${id}`, id);
    case 3:
      return get("http", `/json/${id}`, JSON.stringify({ id }));
    case 4:
      return post("body", random.below(2) ? "/echo" : "/pieces", pieceOf(random, 2000));
    case 5:
      return post("body", random.below(2) ? "/echo" : "/pieces", pieceOf(random, 200_000));
    case 6: {
      const parts = 1 + random.below(60);
      return get("stream", `/stream/${id}/${parts}`, streamText(id, parts));
    }
    case 7:
      return get("file", random.below(2) ? "/file" : "/file-route", large);
    default:
      return post("store", "/store", pieceOf(random, 50_000));
  }
}

/** Returns one of the two servers. Both give the same answers. */
function eitherPort(random: SeededRandom): "http" | "node" {
  return random.below(2) ? "http" : "node";
}

async function behaveOverHttp(random: SeededRandom, id: string): Promise<void> {
  const server = eitherPort(random);
  using client = await RawClient.connect(ports[server]);
  for (let i = 0; i < 1 + random.below(12) && !stop.signal.aborted; i++) {
    const { service, bytes, answer } = ask(random, `${id}.${i}`, usualFate);
    const { status, body } = await timed(server === "node" ? "node" : service, () => {
      void client.write(bytes);
      return client.readResponse();
    });
    if (status !== 200) throw new Error(`${server} ${service} answered ${status}`);
    mustEqual(`${server} ${service}`, body, answer);
  }
}

/** Sends several requests in one write. The answers must come in their order. */
async function pipeline(random: SeededRandom, id: string): Promise<void> {
  using client = await RawClient.connect(ports[eitherPort(random)]);
  const asked = Array.from({ length: 2 + random.below(6) }, (_, i) => ask(random, `${id}.${i}`, usualFate));
  void client.write(Buffer.concat(asked.map(({ bytes }) => bytes)));
  for (const { service, answer } of asked) {
    const { status, body } = await client.readResponse();
    if (status !== 200) throw new Error(`HTTP ${service} in a pipeline answered ${status}`);
    mustEqual(`HTTP ${service} in a pipeline`, body, answer);
  }
}

async function misbehaveOverHttp(random: SeededRandom, id: string): Promise<void> {
  using client = await RawClient.connect(ports[eitherPort(random)]);
  const asked = Array.from({ length: 1 + random.below(4) }, (_, i) => ask(random, `${id}.${i}`, "leaves"));
  const bytes = Buffer.concat(asked.map((each) => each.bytes));
  switch (random.below(5)) {
    case 0:
      count(deeds, "HTTP: gone in a request");
      await client.write(bytes.subarray(0, random.below(bytes.length)));
      return;
    case 1:
      count(deeds, "HTTP: reset in a request");
      await client.write(bytes.subarray(0, random.below(bytes.length)));
      return client.reset();
    case 2:
      count(deeds, "HTTP: reset in an answer");
      client.socket.pause();
      void client.write(bytes);
      await Bun.sleep(random.below(20));
      return client.reset();
    case 3:
      count(deeds, "HTTP: stalled in a request until it is ended");
      await client.write(asked[0]!.bytes.subarray(0, 1 + random.below(30)));
      await client.closed; // The time limit of the server closes it.
      return;
    default:
      count(deeds, "HTTP: nonsense");
      void client.write(pieceOf(random, 5000));
      await client.closed;
  }
}

/** Requests a large answer, and reads nothing for a while. Then the whole answer must arrive. */
async function readSlowly(random: SeededRandom): Promise<void> {
  count(deeds, "HTTP: slow reader");
  using client = await RawClient.connect(ports[eitherPort(random)]);
  const requests = 4 + random.below(10);
  void client.write(`GET /file HTTP/1.1\r\nHost: soak\r\n${FATE}: ${usualFate}\r\n\r\n`.repeat(requests));
  client.socket.pause();
  await Bun.sleep(random.below(1000));
  client.socket.resume();
  for (let i = 0; i < requests; i++) mustEqual("HTTP, read slowly", (await client.readResponse()).body, large);
}

// ---- WebSocket ---------------------------------------------------------------------------------

class WebSocketClient implements Disposable {
  private readonly socket: WebSocket;
  private readonly closed: Promise<number>;
  private arrived: (message: string | Buffer) => void = () => {};
  private failed: (error: Error) => void = () => {};

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = "nodebuffer";
    socket.onmessage = ({ data }) => this.arrived(data);
    this.closed = new Promise((resolve) => {
      socket.onclose = ({ code }) => {
        this.failed(new Error(`WebSocket: closed with ${code}`));
        resolve(code);
      };
    });
  }

  static open(id: string, fate: Fate): Promise<WebSocketClient> {
    const socket = new WebSocket(`ws://127.0.0.1:${ports.http}/websocket/${id}/${fate}`);
    return new Promise((resolve, reject) => {
      const client = new WebSocketClient(socket);
      client.failed = reject;
      socket.onopen = () => resolve(client);
    });
  }

  send(message: string | Buffer): void {
    this.socket.send(message);
  }

  echo(message: string | Buffer): Promise<string | Buffer> {
    return new Promise((resolve, reject) => {
      this.arrived = resolve;
      this.failed = reject;
      this.send(message);
    });
  }

  close(): Promise<number> {
    this.failed = () => {};
    this.socket.close(1000);
    return this.closed;
  }

  [Symbol.dispose](): void {
    this.failed = () => {};
    this.socket.terminate();
  }
}

async function behaveOverWebSocket(random: SeededRandom, id: string): Promise<void> {
  using client = await WebSocketClient.open(id, usualFate);
  for (let i = 0; i < 1 + random.below(20) && !stop.signal.aborted; i++) {
    const piece = pieceOf(random, random.below(4) === 0 ? 100_000 : 500);
    const sent = random.below(2) ? piece : piece.toString("base64");
    const came = await timed("websocket", () => client.echo(sent));
    if (typeof came !== typeof sent) throw new Error(`WebSocket: ${typeof came} came back for ${typeof sent}`);
    mustEqual("WebSocket", Buffer.from(came as string), Buffer.from(sent as string));
  }
  const code = await client.close();
  if (code !== 1000) throw new Error(`WebSocket: closed with ${code}, not 1000`);
}

async function misbehaveOverWebSocket(random: SeededRandom, id: string): Promise<void> {
  if (random.below(2)) {
    count(deeds, "WebSocket: gone before the echoes");
    using client = await WebSocketClient.open(id, "leaves");
    for (let i = 0; i < 1 + random.below(10); i++) client.send(pieceOf(random, 100_000));
    return;
  }
  using client = await RawClient.connect(ports.http);
  const key = randomFillSync(Buffer.alloc(16)).toString("base64");
  await client.write(
    `GET /websocket/${id}/leaves HTTP/1.1\r\nHost: soak\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  if (random.below(2)) {
    count(deeds, "WebSocket: reset in a frame");
    await client.write(Buffer.concat([Buffer.of(0x82, 0xfe, 0xff, 0xff), pieceOf(random, 60_000)]));
    return client.reset();
  }
  count(deeds, "WebSocket: nonsense");
  void client.write(Buffer.concat([Buffer.of(0xff), pieceOf(random, 5000)]));
  await client.closed;
}

// ---- echoes ------------------------------------------------------------------------------------

async function behaveOverTcp(random: SeededRandom): Promise<void> {
  using client = await RawClient.connect(ports.tcp);
  const fate = Buffer.of(FATE_BYTE[usualFate]);
  await client.write(fate);
  mustEqual("TCP", await client.readBytes(1), fate);
  for (let i = 0; i < 1 + random.below(20) && !stop.signal.aborted; i++) {
    const sent = pieceOf(random, random.below(4) === 0 ? 300_000 : 500);
    await timed("tcp", async () => {
      void client.write(sent);
      mustEqual("TCP", await client.readBytes(sent.length), sent);
    });
  }
  client.end();
  if ((await client.readToEnd()).length > 0) throw new Error("TCP: more came than was sent");
}

async function misbehaveOverTcp(random: SeededRandom): Promise<void> {
  using client = await RawClient.connect(ports.tcp);
  const sent = Buffer.from(pieceOf(random, 1_000_000));
  sent[0] = FATE_BYTE.leaves;
  client.socket.pause(); // The echo fills the buffers between client and server.
  const written = client.write(sent);
  switch (random.below(3)) {
    case 0:
      count(deeds, "TCP: reset");
      await Bun.sleep(random.below(10));
      return client.reset();
    case 1:
      count(deeds, "TCP: gone");
      await Bun.sleep(random.below(10));
      return;
    default:
      count(deeds, "TCP: slow reader");
      await Bun.sleep(random.below(1000));
      client.socket.resume();
      mustEqual("TCP, read slowly", await client.readBytes(sent.length), sent);
      await written;
  }
}

async function behaveOverUdp(random: SeededRandom, id: string): Promise<void> {
  let arrived: (bytes: Buffer) => void = () => {};
  const name = Buffer.from(`${id} `);
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    connect: { hostname: "127.0.0.1", port: ports.udp },
    socket: {
      data(_socket, bytes) {
        // A datagram without the name is for an ended client that had the port before.
        if (bytes.subarray(0, name.length).equals(name)) arrived(Buffer.from(bytes));
      },
    },
  });
  try {
    for (let i = 0; i < 1 + random.below(20) && !stop.signal.aborted; i++) {
      const sent = Buffer.concat([name, pieceOf(random, 1400)]);
      await timed("udp", async () => {
        const echo = new Promise<Buffer>((resolve) => (arrived = resolve));
        if (!socket.send(sent)) throw new Error("UDP: the client's socket took nothing");
        mustEqual("UDP", await echo, sent);
      });
    }
  } finally {
    socket.close();
  }
}

async function misbehaveOverUdp(random: SeededRandom): Promise<void> {
  count(deeds, "UDP: gone before the echo");
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    connect: { hostname: "127.0.0.1", port: ports.udp },
    socket: { data() {} },
  });
  for (let i = 0; i < 1 + random.below(10); i++) socket.send(pieceOf(random, 1400));
  socket.close();
}

// ---- lives -------------------------------------------------------------------------------------

/** A life that takes longer hangs. */
const LIFE_MS_MAX = 100_000;

function oneLife(random: SeededRandom, id: string): Promise<void> {
  switch (random.below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return behaveOverHttp(random, id);
    case 5:
      return pipeline(random, id);
    case 6:
    case 7:
      return misbehaveOverHttp(random, id);
    case 8:
      return readSlowly(random);
    case 9:
    case 10:
      return behaveOverTcp(random);
    case 11:
    case 12:
      return misbehaveOverTcp(random);
    case 13:
    case 14:
      return behaveOverUdp(random, id);
    case 15:
    case 16:
    case 17:
      return behaveOverWebSocket(random, id);
    case 18:
      return misbehaveOverWebSocket(random, id);
    default:
      return misbehaveOverUdp(random);
  }
}

async function live(name: number): Promise<void> {
  const random = new SeededRandom(seed * 1000 + name);
  for (let life = 0; !stop.signal.aborted; life++) {
    let timer: Timer | undefined;
    const hangs = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("a client waited 100 s")), LIFE_MS_MAX);
    });
    try {
      // Another process has clients of the same names. Their topics must not be the same.
      await Promise.race([oneLife(random, `${process.pid}.${name}.${life}`), hangs]);
    } catch (error) {
      count(faults, (error as Error).message.replaceAll(/\d{4,}/g, "N").slice(0, 200));
    } finally {
      clearTimeout(timer);
    }
    await Bun.sleep(random.below(20)); // Latencies mean nothing if the machine is at its limit.
  }
}

function report(stopped: boolean): Report {
  const seen: Report["seen"] = {};
  for (const service of services) {
    const ms = latencies.get(service) ?? [];
    latencies.set(service, []);
    if (ms.length > 0)
      seen[service] = {
        count: ms.length,
        p50Ms: percentile(ms, 0.5),
        p99Ms: percentile(ms, 0.99),
        maxMs: ms.reduce((most, each) => Math.max(most, each), 0),
      };
  }
  return { seen, faults, deeds, bytes: bytesRight, stopped };
}

report(false);
const lives = Promise.withResolvers<unknown>();
async function end(): Promise<void> {
  stop.abort();
  await lives.promise;
  process.send!(report(true));
  process.disconnect!();
}

process.on("disconnect", () => process.exit()); // Also when the runner has ended.
process.on("message", (message: Ports | "report" | "stop") => {
  if (message === "report") process.send!(report(false));
  else if (message === "stop") void end();
  else {
    ports = message;
    lives.resolve(Promise.all(Array.from({ length: clients }, (_, name) => live(name))));
  }
});
