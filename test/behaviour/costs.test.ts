/** The work that clients can cause: n bytes in k pieces cost O(n + k), whatever the pieces are. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { constants, deflateRawSync } from "node:zlib";
import { growth, linear, ratio } from "./growth.ts";
import { fixture, run } from "./process.ts";
import { RawClient } from "./raw-client.ts";
import { isBun, serve, type Server, subject } from "./subject.ts";
import { frame, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

const dedicated = { compress: "dedicated", decompress: "dedicated" } as never;
const deflate = (text: string): Buffer => deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
/** A text that fills every window. */
const large = randomBytes(40_000).toString("base64");

/**
 * Resolves after a round of the event loop. Most likely, the server has then received the written
 * bytes as a separate piece.
 */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function writePieces(client: RawClient, pieces: Iterable<string>): Promise<void> {
  for (const piece of pieces) {
    void client.write(piece);
    await turn();
  }
}

/** On the ring the limit is an option. In Bun it is 16 KiB. */
const headLimit = isBun ? {} : { headerBytesMax: 1 << 23 };

function start(fetch: (request: Request) => Response | Promise<Response>): Server {
  return serve({ port: 0, hostname: "127.0.0.1", fetch, ...headLimit });
}

for (const kind of ["text", "binary"] as const) {
  test(`a message of ${kind} in many fragments costs what its bytes and its fragments cost`, async () => {
    const lengths: number[] = [];
    let arrived = Promise.withResolvers<void>();
    using server = serveWebSocket({
      maxPayloadLength: 1 << 24,
      message(_, message: string | Buffer) {
        lengths.push(message.length);
        arrived.resolve();
      },
    });
    using client = await WebSocketClient.open(server.port);
    const opcode = kind === "text" ? 1 : 2;
    const [first, middle, last] = [
      frame(opcode, "x".repeat(64), { fin: false }),
      frame(0, "x".repeat(64), { fin: false }),
      frame(0, "x".repeat(64)),
    ];
    const send = async (fragments: number): Promise<void> => {
      arrived = Promise.withResolvers();
      client.send(first, ...Array<Buffer>(fragments - 2).fill(middle), last);
      await arrived.promise;
      expect(lengths.at(-1)).toBe(fragments * 64);
    };
    expect(await growth(12_000, send)).toBeLessThan(linear);
  });
}

test("a head in many pieces costs what its bytes and its pieces cost", async () => {
  using server = start((request) => new Response(String(request.headers.get("x-long")!.length)));
  const send = async (pieces: number): Promise<void> => {
    using client = await RawClient.connect(server.port);
    const piece = "v".repeat(isBun ? 20 : 16_000);
    await client.write("GET / HTTP/1.1\r\nHost: test\r\nX-Long: ");
    await writePieces(client, Array<string>(pieces).fill(piece));
    await client.write("\r\n\r\n");
    expect((await client.readResponse()).text).toBe(String(pieces * piece.length));
  };
  expect(await growth(100, send)).toBeLessThan(linear);
});

test("a head whose pieces each end a line costs what its bytes and its pieces cost", async () => {
  using server = start((request) => new Response(String(request.headers.get("x-0")!.length)));
  const send = async (pieces: number): Promise<void> => {
    using client = await RawClient.connect(server.port);
    const value = "v".repeat(isBun ? 100 : 60_000);
    const lines = Array.from({ length: pieces }, (_, i) => `X-${i}: ${value}\r\n`);
    await client.write("GET / HTTP/1.1\r\nHost: test\r\n");
    await writePieces(client, lines);
    await client.write("\r\n");
    expect((await client.readResponse()).text).toBe(String(value.length));
  };
  expect(await growth(20, send)).toBeLessThan(linear);
});

// Bun ends the connection of a client that sends so many bytes while answers are not finished.
test.skipIf(isBun)("requests that are sent ahead cost what each of them costs", async () => {
  using server = start(async () => {
    await undefined;
    return new Response("ok");
  });
  const send = async (requests: number): Promise<void> => {
    using client = await RawClient.connect(server.port);
    await client.write("GET / HTTP/1.1\r\nHost:t\r\n\r\n".repeat(requests - 1));
    await client.write("GET / HTTP/1.1\r\nHost:t\r\nConnection: close\r\n\r\n");
    expect((await client.readToEnd()).toString().split("HTTP/1.1 200").length - 1).toBe(requests);
  };
  expect(await growth(600, send)).toBeLessThan(linear);
});

// For the same reason.
test.skipIf(isBun)("what is sent ahead in many pieces costs what its bytes and its pieces cost", async () => {
  const send = async (pieces: number): Promise<void> => {
    const waiting = Promise.withResolvers<void>();
    using server = start(async (request) => {
      if (new URL(request.url).pathname === "/slow") await waiting.promise;
      return new Response((await request.text()).length.toString());
    });
    using client = await RawClient.connect(server.port);
    const length = pieces * 160;
    await client.write("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    await client.write(`POST / HTTP/1.1\r\nHost: t\r\nContent-Length: ${length}\r\n\r\n`);
    await writePieces(client, Array<string>(pieces).fill("0123456789abcdef".repeat(10)));
    waiting.resolve();
    await client.readResponse();
    expect((await client.readResponse()).text).toBe(String(length));
  };
  expect(await growth(100, send)).toBeLessThan(linear);
});

for (const [what, piece] of [
  ["chunks of one byte", "1\r\nx\r\n"],
  ["chunks with extensions in quotes", '1;a="\\x"\r\nx\r\n'],
] as const) {
  test(`a body in ${what} costs what its bytes cost`, async () => {
    using server = start(async (request) => new Response((await request.text()).length.toString()));
    const send = async (chunks: number): Promise<void> => {
      using client = await RawClient.connect(server.port);
      await client.write("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
      await client.write(`${piece.repeat(chunks)}0\r\n\r\n`);
      expect((await client.readResponse()).text).toBe(String(chunks));
    };
    expect(await growth(what.includes("extensions") ? 400 : 50_000, send)).toBeLessThan(linear);
  });
}

test("a body that comes in many pieces costs what its bytes and its pieces cost", async () => {
  using server = start(async (request) => new Response((await request.text()).length.toString()));
  const send = async (pieces: number): Promise<void> => {
    using client = await RawClient.connect(server.port);
    await client.write(`POST / HTTP/1.1\r\nHost: t\r\nContent-Length: ${pieces * 100}\r\n\r\n`);
    await writePieces(client, Array<string>(pieces).fill("p".repeat(100)));
    expect((await client.readResponse()).text).toBe(String(pieces * 100));
  };
  expect(await growth(100, send)).toBeLessThan(linear);
});

for (const [what, offer] of [
  ["white space before a value in quotes", (length: number) => `a=${" ".repeat(length)}"x"y`],
  ["quotes", (length: number) => `a=${'"'.repeat(length)}`],
  ["semicolons and commas", (length: number) => ";,".repeat(length / 2)],
  ["parameters", (length: number) => Array.from({ length: length / 8 }, (_, i) => `a${i}=1`).join("; ")],
  ["offers", (length: number) => "permessage-deflate; a, ".repeat(length / 22)],
] as const) {
  test(`an offer of compression with many ${what} costs what its bytes cost`, async () => {
    using server = serveWebSocket({ perMessageDeflate: true, message() {} });
    const send = async (length: number): Promise<void> => {
      const field = `Sec-WebSocket-Extensions: permessage-deflate; ${offer(length)}`;
      for (let i = 0; i < 20; i++) (await WebSocketClient.open(server.port, [field]))[Symbol.dispose]();
    };
    expect(await growth(3500, send)).toBeLessThan(linear);
  });
}

test("a tiny compressed message costs what its bytes cost, and not what its context does", async () => {
  const MESSAGES = 2000;
  let left = 1;
  let finished = Promise.withResolvers<void>();
  using server = serveWebSocket({
    perMessageDeflate: dedicated,
    message: () => void (--left === 0 && finished.resolve()),
  });
  using client = await WebSocketClient.open(server.port, ["Sec-WebSocket-Extensions: permessage-deflate"]);
  const send = (message: Buffer, messages: number): (() => Promise<void>) => {
    const bytes = Buffer.concat(Array<Buffer>(messages).fill(message));
    return () => {
      left = messages;
      finished = Promise.withResolvers();
      client.send(bytes);
      return finished.promise;
    };
  };
  await send(frame(1, deflate(large), { rsv: 4 }), 1)();
  const [plain, compressed] = [send(frame(1, "tick"), MESSAGES), send(frame(1, deflate("tick"), { rsv: 4 }), MESSAGES)];
  // Code that copies the context takes 30 times as long.
  expect(await ratio(plain, compressed, 8)).toBeLessThan(8);
});

test("publishing a small message costs the same for full contexts as for empty ones", async () => {
  const SOCKETS = 50;
  const start = async (first: string) => {
    const server = serveWebSocket({
      perMessageDeflate: dedicated,
      open: (socket) => void socket.subscribe("t"),
      message() {},
    });
    const offer = ["Sec-WebSocket-Extensions: permessage-deflate"];
    const clients = await Promise.all(Array.from({ length: SOCKETS }, () => WebSocketClient.open(server.port, offer)));
    server.publish("t", first, true);
    for (const client of clients) await client.read();
    const publish = (): void => {
      for (let i = 0; i < 20; i++) server.publish("t", `tick ${i}`, true);
    };
    return { publish, stop: () => (clients.forEach((client) => client[Symbol.dispose]()), server.stop(true)) };
  };
  const [empty, full] = [await start("x"), await start(large)];
  expect(await ratio(empty.publish, full.publish, 3)).toBeLessThan(3);
  await Promise.all([empty.stop(), full.stop()]);
});

// The test reads the internal pools of the ring's server.
test.skipIf(isBun)("of many requests at once no more is kept than the next ones are likely to need", async () => {
  const REQUESTS = 3000;
  const waiting: (() => void)[] = [];
  using server = start(() => new Promise((resolve) => waiting.push(() => resolve(new Response("ok")))));
  const clients: RawClient[] = [];
  for (let i = 0; i < REQUESTS; i++) clients.push(await RawClient.connect(server.port));
  for (const client of clients) void client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  while (waiting.length < REQUESTS) await turn();
  for (const answer of waiting) answer();
  for (const client of clients) expect((await client.readResponse()).status).toBe(200);
  for (const client of clients) client[Symbol.dispose]();
  const { spare } = server as unknown as { spare: { count: number } };
  expect(spare.count).toBeGreaterThan(0);
  expect(spare.count).toBeLessThanOrEqual(256);
});

// In sqpoll the SQ thread sends, so that answers are queued.
test.skipIf(subject === "sqpoll")(
  "64 simultaneous requests for 1 MiB do not take the memory of 64 answers",
  async () => {
    const { stdout } = await run([process.execPath, fixture("large-answers.ts")]);
    expect(Number(stdout)).toBeLessThan(24);
  },
);
