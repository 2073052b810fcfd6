/**
 * permessage-deflate (RFC 7692): the negotiation, compression, and limits of compressed messages.
 */
import { describe, expect, test } from "bun:test";
import { constants, deflateRawSync, inflateRawSync, createDeflateRaw, createInflateRaw } from "node:zlib";
import { isBun, type Server } from "./subject.ts";
import { closing, frame, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

type Deflate = NonNullable<Bun.WebSocketHandler<any>["perMessageDeflate"]>;

const finishFlush = constants.Z_SYNC_FLUSH;
const TAIL = Buffer.of(0, 0, 0xff, 0xff);
const deflate = (data: string | Buffer, windowBits = 15): Buffer =>
  deflateRawSync(data, { finishFlush, windowBits }).subarray(0, -4);
const inflate = (data: Buffer, windowBits = 15): string =>
  inflateRawSync(Buffer.concat([data, TAIL]), { finishFlush, windowBits }).toString();

function serveDeflate(perMessageDeflate: Deflate, more: Partial<Bun.WebSocketHandler<any>> = {}): Server {
  return serveWebSocket({ perMessageDeflate, message: (socket, message) => void socket.send(message, true), ...more });
}

async function agreed(server: Server, offer: string): Promise<string | undefined> {
  using client = await WebSocketClient.open(server.port, [`Sec-WebSocket-Extensions: ${offer}`]);
  return /^sec-websocket-extensions: ([^\r]*)\r$/im.exec(client.head)?.[1]?.split("; ").toSorted().join("; ");
}

const none = "client_no_context_takeover; permessage-deflate; server_no_context_takeover";

describe("an offer", () => {
  const cases: [Deflate, string, string | undefined][] = [
    [true, "permessage-deflate", none],
    [true, "permessage-deflate; client_max_window_bits", none],
    [true, "permessage-deflate; server_no_context_takeover; client_no_context_takeover", none],
    [{ compress: "shared", decompress: "shared" }, "permessage-deflate", none],
    [{ compress: "disable", decompress: "shared" }, "permessage-deflate", none],
    [{ compress: "shared", decompress: "disable" }, "permessage-deflate", none],
    [{ compress: "dedicated", decompress: "dedicated" }, "permessage-deflate", "permessage-deflate"],
    [
      { compress: "dedicated", decompress: "dedicated" },
      "permessage-deflate; client_no_context_takeover",
      "client_no_context_takeover; permessage-deflate",
    ],
    [
      { compress: "dedicated", decompress: "dedicated" },
      "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9",
      "client_max_window_bits=9; permessage-deflate; server_max_window_bits=10",
    ],
    [{ compress: "dedicated" }, "permessage-deflate", "client_no_context_takeover; permessage-deflate"],
    [{ decompress: "dedicated" }, "permessage-deflate", "permessage-deflate; server_no_context_takeover"],
    [
      { compress: "4KB", decompress: "4KB" },
      "permessage-deflate; client_max_window_bits",
      "client_max_window_bits=12; permessage-deflate; server_max_window_bits=9",
    ],
    [
      { compress: "16KB", decompress: "16KB" },
      "permessage-deflate; client_max_window_bits",
      "client_max_window_bits=14; permessage-deflate; server_max_window_bits=11",
    ],
    [
      { compress: "4KB", decompress: "4KB" },
      "permessage-deflate",
      "client_no_context_takeover; permessage-deflate; server_max_window_bits=9",
    ],
    [true, "permessage-deflate; unknown=1, permessage-deflate", none],
    [true, 'permessage-deflate; unknown="a, b; c", permessage-deflate', none],
    [
      true,
      "permessage-deflate; server_max_window_bits=15",
      `${none}; server_max_window_bits=15`.split("; ").toSorted().join("; "),
    ],
    [
      { compress: "dedicated", decompress: "dedicated" },
      'permessage-deflate; server_max_window_bits="15"',
      "permessage-deflate; server_max_window_bits=15",
    ],
    [true, "x-webkit-deflate-frame", undefined],
    [{ compress: "disable", decompress: "disable" }, "permessage-deflate", undefined],
    [{}, "permessage-deflate", undefined],
    [false, "permessage-deflate", undefined],
  ];
  for (const [option, offer, answer] of cases) {
    test(`${offer} to ${JSON.stringify(option)} is answered ${answer ?? "by nothing"}`, async () => {
      using server = serveDeflate(option);
      expect(await agreed(server, offer)).toBe(answer as string);
    });
  }

  // Malformed parameters (section 7.1).
  for (const parameters of [
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits",
    "server_max_window_bits=09",
    "server_no_context_takeover=1",
    "client_max_window_bits=x",
    "server_no_context_takeover; server_no_context_takeover",
    "unknown",
  ]) {
    test(`with ${parameters} is declined`, async () => {
      using server = serveDeflate(true);
      expect(await agreed(server, `permessage-deflate; ${parameters}`)).toBeUndefined();
    });
  }

  // Bun declines this offer.
  test.skipIf(isBun)("of a smaller window than the shared one's is accepted", async () => {
    using server = serveDeflate(true);
    expect(await agreed(server, "permessage-deflate; server_max_window_bits=10")).toBe(
      `${none}; server_max_window_bits=10`.split("; ").toSorted().join("; "),
    );
  });
});

const open = (server: Server, parameters = "; client_max_window_bits"): Promise<WebSocketClient> =>
  WebSocketClient.open(server.port, [`Sec-WebSocket-Extensions: permessage-deflate${parameters}`]);
const text = "a text that repeats: a text that repeats, a text that repeats é; ".repeat(50);

describe("messages", () => {
  test("are decompressed, and compressed where the program asks for it", async () => {
    using server = serveWebSocket({
      perMessageDeflate: true,
      message(socket, message) {
        socket.send(message, true);
        socket.send(message, false);
        socket.send(message);
      },
    });
    using client = await open(server);
    for (const [opcode, payload] of [
      [1, text],
      [2, Buffer.alloc(100_000, "bytes ")],
      [1, "short"],
    ] as const) {
      client.send(frame(opcode, deflate(payload as string), { rsv: 4 }));
      const compressed = await client.read();
      expect([compressed.opcode, compressed.rsv, inflate(compressed.payload) === payload.toString()]).toEqual([
        opcode,
        4,
        true,
      ]);
      for (let i = 0; i < 2; i++) {
        const plain = await client.read();
        expect([plain.opcode, plain.rsv, plain.payload.toString() === payload.toString()]).toEqual([opcode, 0, true]);
      }
    }
    client.send(frame(1, "plain"));
    expect(inflate((await client.read()).payload)).toBe("plain");
  });

  test("in fragments are compressed as a whole, with pings between", async () => {
    using server = serveDeflate(true);
    using client = await open(server);
    const bytes = deflate(text);
    for (const at of [0, 1, 5, bytes.length - 1, bytes.length]) {
      client.send(frame(1, bytes.subarray(0, at), { rsv: 4, fin: false }), frame(9, "p"), frame(0, bytes.subarray(at)));
      expect(await client.next()).toEqual([10, "p"]);
      expect(inflate((await client.read()).payload)).toBe(text);
    }
  });

  test("arrive whole when they are cut at every byte", async () => {
    using server = serveDeflate(true);
    const bytes = Buffer.concat([frame(1, deflate("some text é"), { rsv: 4 }), frame(8, closing(1000))]);
    const cut = async (at: number): Promise<void> => {
      using client = await open(server);
      client.send(bytes.subarray(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(bytes.subarray(at));
      expect(inflate((await client.read()).payload)).toBe("some text é");
      expect((await client.read()).opcode).toBe(8);
    };
    await Promise.all(Array.from({ length: bytes.length - 1 }, (_, i) => cut(i + 1)));
  });

  test("that are empty, in several blocks, or with a final block, are read", async () => {
    using server = serveDeflate(true);
    using client = await open(server);
    client.send(frame(1, Buffer.of(0), { rsv: 4 }));
    expect((await client.read()).payload.length).toBeLessThan(3);
    // "Hello" in two blocks, and in one with BFINAL (RFC 7692 sections 7.2.3.5 and 7.2.3.4).
    for (const hex of ["f248050000 00ffffcac9c90700", "f348cdc9c9070000", "000500faff48656c6c6f00"]) {
      client.send(frame(1, Buffer.from(hex.replaceAll(" ", ""), "hex"), { rsv: 4 }));
      expect(inflate((await client.read()).payload)).toBe("Hello");
    }
  });

  for (const size of ["dedicated", "3KB", "4KB", "8KB", "16KB", "32KB", "64KB", "128KB", "256KB"] as const) {
    test(`keep their context in both directions, with ${size}`, async () => {
      using server = serveDeflate({ compress: size, decompress: size });
      using client = await open(server);
      const bits = (name: string): number => Number(new RegExp(`${name}=(\\d+)`).exec(client.head)?.[1] ?? 15);
      // Streams of zlib keep their windows themselves.
      const deflater = createDeflateRaw({ windowBits: bits("client_max_window_bits"), flush: constants.Z_SYNC_FLUSH });
      const inflater = createInflateRaw({ windowBits: bits("server_max_window_bits") });
      const through = (stream: typeof inflater | typeof deflater, bytes: Buffer): Promise<Buffer> =>
        new Promise((resolve) => {
          const parts: Buffer[] = [];
          const onData = (part: Buffer): unknown => parts.push(part);
          stream.on("data", onData);
          stream.write(bytes, () =>
            stream.flush(finishFlush, () => (stream.off("data", onData), resolve(Buffer.concat(parts)))),
          );
        });
      const sizes: number[] = [];
      // The text is longer than any window, so that the windows slide.
      for (let i = 0; i < 40; i++) {
        const message = Buffer.from(`${text}${i} `.repeat(i % 4 === 3 ? 8 : 1));
        const compressed = await through(deflater, message);
        const at = compressed.lastIndexOf(TAIL);
        client.send(frame(1, compressed.subarray(0, at), { rsv: 4 }));
        const { payload, rsv } = await client.read();
        expect(rsv).toBe(4);
        sizes.push(payload.length);
        expect((await through(inflater, Buffer.concat([payload, TAIL]))).equals(message)).toBe(true);
      }
      // The second time, most of the message is in the window.
      if (size === "dedicated") expect(sizes[1]!).toBeLessThan(sizes[0]!);
    });
  }

  // For such a mixture of clients, Bun sends data that zlib cannot decompress.
  test.skipIf(isBun)(
    "to a topic are compressed for those who take it, whatever their windows, and plain for others",
    async () => {
      using server: Server = serveWebSocket({
        perMessageDeflate: { compress: "dedicated", decompress: "shared" },
        open: (socket) => void socket.subscribe("all"),
        message: (socket) => void socket.send(text, true),
      });
      using keeps = await open(server);
      using small = await open(server, "; server_max_window_bits=10");
      using plain = await WebSocketClient.open(server.port);
      server.publish("all", text);
      const windowOf = new Map([
        [keeps, 15],
        [small, 10],
      ]);
      for (const [client, bits] of windowOf) {
        const { rsv, payload } = await client.read();
        expect([rsv, inflate(payload, bits)]).toEqual([4, text]);
      }
      expect(await plain.read()).toMatchObject({ rsv: 0, payload: Buffer.from(text) });
      server.publish("all", text, false);
      for (const client of [keeps, small, plain]) expect((await client.read()).rsv).toBe(0);
    },
  );
});

describe("compressed messages that are refused", () => {
  const limit = 100_000;
  const cases: [string, Buffer[], number][] = [
    ["one that inflates beyond the limit", [frame(2, deflate(Buffer.alloc(limit + 1)), { rsv: 4 })], 1009],
    ["a small one that inflates to a gigabyte", [frame(2, deflate(Buffer.alloc(1 << 30)), { rsv: 4 })], 1009],
    ["text that is not UTF-8", [frame(1, deflate(Buffer.of(0xff, 0xfe)), { rsv: 4 })], 1007],
    [
      "what a continuation calls compressed",
      [frame(1, deflate("x"), { rsv: 4, fin: false }), frame(0, "y", { rsv: 4 })],
      1002,
    ],
    ["a compressed ping", [frame(9, deflate("x"), { rsv: 4 })], 1002],
    ["with another reserved bit", [frame(1, deflate("x"), { rsv: 6 })], 1002],
    ["what is not compressed data", [frame(1, Buffer.alloc(50, 0xff), { rsv: 4 })], 1007],
  ];
  for (const [name, frames, code] of cases) {
    test(name, async () => {
      using server = serveDeflate(true, { maxPayloadLength: limit });
      using client = await open(server);
      const before = process.memoryUsage.rss();
      client.send(...frames);
      expect(await client.rest()).toEqual([[8, code]]);
      expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20);
    });
  }

  // In Bun the limit also holds for the compressed bytes, which are more if deflate cannot
  // compress.
  test.skipIf(isBun)("a message of the limit is taken, be it compressible or not", async () => {
    using server = serveDeflate(true, { maxPayloadLength: limit });
    using client = await open(server);
    for (const message of [Buffer.alloc(limit, "x"), crypto.getRandomValues(Buffer.alloc(limit))].map((bytes) =>
      Buffer.from(bytes),
    )) {
      client.send(frame(2, deflate(message), { rsv: 4 }));
      const { payload } = await client.read();
      expect(inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush }).equals(message)).toBe(true);
    }
  });
});
