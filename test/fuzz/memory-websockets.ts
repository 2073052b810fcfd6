/**
 * Messages from memory that changes, to Bun's own WebSockets and to clients that check every frame.
 */
import { constants, inflateRawSync } from "node:zlib";
import { serveWebSocket, WebSocketClient } from "../behaviour/websocket-client.ts";
import type { Step } from "./campaign.ts";
import type { Area, MemoryOperation } from "./memory-operation.ts";
import { ALPHABET, check, type Letters, type UserMemory } from "./user-memory.ts";

const HOST = "127.0.0.1";
const LARGE = 2_600_000;
const CLIENTS_OF_BUN = 6;
const CLIENTS = 12;
const TOPIC = "all";
const CONTROL_BYTES_MAX = 125;
const [TEXT, BINARY, CLOSE, PING, PONG] = [1, 2, 8, 9, 10];
const TAIL = Buffer.of(0, 0, 0xff, 0xff);

/** A message on its way. */
interface Expected {
  step: Step;
  letters: Letters;
  bytesMin: number;
  bytesMax: number;
  opcode: number;
  come(): void;
}

type ServerSocket = Bun.ServerWebSocket<any>;

/** One connection, and the messages that were sent to it and have not arrived, in order. */
class Line {
  readonly queue: Expected[] = [];
  socket!: ServerSocket;
  /** Whether the client sees control frames. Bun's client answers pings without showing them. */
  readonly seesControl: boolean;
  closed = Promise.withResolvers<void>();

  constructor(seesControl: boolean) {
    this.seesControl = seesControl;
  }

  take(opcode: number, bytes: Uint8Array): void {
    const next = this.queue.shift();
    if (next === undefined) throw new Error(`a message of ${bytes.length} bytes that nobody has sent`);
    const { step, letters, bytesMin, bytesMax } = next;
    check(step, "a message", bytes, letters);
    if (opcode !== next.opcode) step.violation(`a frame has opcode ${opcode}, not ${next.opcode}`);
    if (bytes.length < bytesMin || bytes.length > bytesMax)
      step.violation(`a message has ${bytes.length} bytes, not ${bytesMin} to ${bytesMax}`);
    next.come();
  }
}

export async function webSocketArea(): Promise<Area> {
  const joined: ((socket: ServerSocket) => void)[] = [];
  const server = serveWebSocket({
    perMessageDeflate: true,
    idleTimeout: 0,
    backpressureLimit: 2 ** 30,
    open: (socket) => joined.shift()!(socket),
    message() {},
  });
  const lines: Line[] = [];
  const clients: { close(): void }[] = [];

  /** The last connect. Only one runs at a time, so that the two ends of a connection are known. */
  let joining: Promise<unknown> = Promise.resolve();
  function open(isBuns: boolean): Promise<[Line, { close(): void }]> {
    const made = joining.then(async () => {
      const line = new Line(!isBuns);
      const { promise, resolve } = Promise.withResolvers<ServerSocket>();
      joined.push(resolve);
      const client = isBuns ? bunsClient(line) : await frameClient(line);
      line.socket = await promise;
      return [line, client] as [Line, { close(): void }];
    });
    joining = made;
    return made;
  }

  function bunsClient(line: Line): { close(): void } {
    const client = new WebSocket(`ws://${HOST}:${server.port}/`);
    client.binaryType = "arraybuffer";
    client.onmessage = ({ data }) =>
      typeof data === "string"
        ? line.take(TEXT, Buffer.from(data))
        : line.take(BINARY, new Uint8Array(data as ArrayBuffer));
    client.onclose = () => line.closed.resolve();
    return { close: () => client.terminate() };
  }

  async function frameClient(line: Line): Promise<{ close(): void }> {
    const client = await WebSocketClient.open(server.port, [
      "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
    ]);
    const read = async (): Promise<void> => {
      for (;;) {
        const { opcode, rsv, payload } = await client.read();
        line.take(
          opcode,
          rsv === 4 ? inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH }) : payload,
        );
        if (opcode === CLOSE) client[Symbol.dispose]();
      }
    };
    read().catch((error) => {
      line.closed.resolve();
      if (!/connection closed/.test(String(error))) throw error;
    });
    return { close: () => client[Symbol.dispose]() };
  }

  /** Returns the bytes that a memory may become on the wire. */
  function expected(step: Step, memory: UserMemory, opcode: number): [Omit<Expected, "come">, number] {
    const { letters, bytes, bytesMax, races } = memory;
    return [{ step, letters, bytesMin: bytes, bytesMax: races ? bytesMax : bytes, opcode }, 0];
  }

  /** Sends to `to`, and waits until all of them have received the message. */
  async function deliver(
    step: Step,
    memory: UserMemory,
    opcode: number,
    to: readonly Line[],
    send: () => unknown,
  ): Promise<void> {
    const [what] = expected(step, memory, opcode);
    const waiting: Promise<void>[] = [];
    const noted: Expected[] = [];
    for (const line of to) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const each = { ...what, come: resolve };
      line.queue.push(each);
      noted.push(each);
      waiting.push(promise);
    }
    const sent = step.attempt(() => [send()]);
    if (sent === undefined) for (const [i, line] of to.entries()) line.queue.splice(line.queue.indexOf(noted[i]!), 1);
    else await Promise.all(waiting);
  }

  const send: MemoryOperation = {
    name: "WebSocket send",
    weight: 20,
    takes: "data",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const line = step.pick(lines);
      const { socket } = line;
      const data = memory.data as Uint8Array<ArrayBuffer>;
      const compress = step.oneIn(3);
      await deliver(step, memory, BINARY, [line], () =>
        changing.under(() => (step.oneIn(2) ? socket.send(data, compress) : socket.sendBinary(data, compress))),
      );
    },
  };

  const control: MemoryOperation = {
    name: "WebSocket ping and pong",
    takes: "data",
    bytesMax: CONTROL_BYTES_MAX + 5,
    async run(step, memory, changing) {
      const line = step.pick(lines.filter(({ seesControl }) => seesControl));
      const data = memory.data as Uint8Array<ArrayBuffer>;
      const isPing = step.oneIn(2);
      await deliver(step, memory, isPing ? PING : PONG, [line], () =>
        changing.under(() => (isPing ? line.socket.ping(data) : line.socket.pong(data))),
      );
    },
  };

  const publish: MemoryOperation = {
    name: "WebSocket publish and server.publish",
    takes: "data",
    bytesMax: 60_000,
    async run(step, memory, changing) {
      const data = memory.data as Uint8Array<ArrayBuffer>;
      const compress = step.oneIn(3);
      const from = step.oneIn(2) ? step.pick(lines) : undefined;
      const to = lines.filter((line) => line !== from);
      await deliver(step, memory, BINARY, to, () =>
        changing.under(() =>
          from ? from.socket.publish(TOPIC, data, compress) : server.publish(TOPIC, data, compress),
        ),
      );
    },
  };

  const close: MemoryOperation = {
    name: "WebSocket send and close",
    weight: 2,
    takes: "data",
    bytesMax: 100_000,
    async run(step, memory, changing) {
      const [line, client] = await open(step.oneIn(2));
      const { socket } = line;
      const data = memory.data as Uint8Array<ArrayBuffer>;
      await deliver(step, memory, BINARY, [line], () => changing.under(() => socket.send(data, step.oneIn(2))));
      const reason = "r".repeat(step.below(150));
      const closing: UserMemory = { ...memory, letters: ALPHABET | (1 << 31), bytes: 2, bytesMax: 125, races: true };
      if (line.seesControl) await deliver(step, closing, CLOSE, [line], () => socket.close(1000, reason));
      else socket.close(1000, reason);
      await line.closed.promise;
      client.close();
    },
  };

  for (let i = 0; i < CLIENTS; i++) {
    const [line, client] = await open(i < CLIENTS_OF_BUN);
    line.socket.subscribe(TOPIC);
    lines.push(line);
    clients.push(client);
  }

  return {
    operations: [send, control, publish, close],
    async close() {
      for (const client of clients) client.close();
      await Promise.all(lines.map(({ closed }) => closed.promise));
      await server.stop(true);
    },
  };
}
