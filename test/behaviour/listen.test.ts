/**
 * Sockets from the view of Bun.listen's handlers: the order of the calls, what the peer sees, and
 * that no resource is left.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket as NodeSocket } from "node:net";
import type { Socket, SocketHandlers, SocketListener, TcpListenOptions } from "../../src/index.ts";
import { fixture, run } from "./process.ts";
import { md5, RawClient } from "./raw-client.ts";
import { rejection } from "./rejection.ts";
import { connect as connectSocket, isBun, listen, reactorStats } from "./subject.ts";

function start<Data = undefined>(
  socket: SocketHandlers<Data>,
  more: Partial<TcpListenOptions<Data>> = {},
): SocketListener<Data> {
  // Bun requires `data` or `drain`.
  const handlers = isBun && !socket.data && !socket.drain ? { ...socket, data() {} } : socket;
  return listen<Data>({ port: 0, hostname: "127.0.0.1", socket: handlers, ...more });
}

interface Signal {
  promise: Promise<any>;
  resolve: (value?: unknown) => void;
}

/** Returns a promise with its resolver for each name. */
function signals<Name extends string>(...names: Name[]): Record<Name, Signal> {
  return Object.fromEntries(names.map((name) => [name, Promise.withResolvers<any>()])) as unknown as Record<
    Name,
    Signal
  >;
}

/**
 * Resolves when the server has read all bytes that other connections sent before this call. See
 * seenByServer in http-messages.test.ts.
 */
async function turnsOfEcho(probe: RawClient): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await probe.write("?");
    await probe.readBytes(1);
  }
}

const pattern = (bytes: number): Buffer => {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let i = 0, x = 1; i < bytes; i++) buffer[i] = (x = (x * 48271) % 2147483647) & 0xff;
  return buffer;
};

interface Echo {
  waiting: Buffer[];
  ended: boolean;
}

/**
 * An echo. It keeps the bytes that `write` does not take until `drain`, and ends after the peer has
 * ended.
 */
const echo: SocketHandlers<Echo> = {
  open(socket) {
    socket.data = { waiting: [], ended: false };
  },
  data(socket, bytes) {
    socket.data.waiting.push(bytes);
    sendWaiting(socket);
  },
  drain: sendWaiting,
  end(socket) {
    socket.data.ended = true;
    sendWaiting(socket);
  },
};

function sendWaiting(socket: Socket<Echo>): void {
  const { waiting } = socket.data;
  while (waiting.length > 0) {
    const [first] = waiting as [Buffer];
    const taken = socket.write(first);
    if (taken < first.length) {
      waiting[0] = first.subarray(Math.max(taken, 0));
      return;
    }
    waiting.shift();
  }
  if (socket.data.ended) socket.end();
}

const startEcho = (): SocketListener<Echo> => start<Echo>(echo, { allowHalfOpen: true });

describe("a socket's handlers", () => {
  test("are called in the order open, data, end, close", async () => {
    const { closed } = signals("closed");
    const calls: string[] = [];
    using server = start({
      open: () => void calls.push("open"),
      data: (_socket, bytes) => void calls.push(`data ${bytes}`),
      end: () => void calls.push("end"),
      error: (_socket, error) => void calls.push(`error ${error.message}`),
      close(_socket, error) {
        calls.push(`close ${error}`);
        closed.resolve();
      },
    });
    using client = await RawClient.connect(server.port);
    await client.write("hello");
    client.end();
    await closed.promise;
    expect(calls).toEqual(["open", "data hello", "end", "close undefined"]);
    await client.closed;
  });

  test("are called as methods of the socket, with the socket", async () => {
    const { seen } = signals("seen");
    const handlers: SocketHandlers = {
      data(this: unknown, socket) {
        seen.resolve([this === socket, typeof socket.write]);
      },
    };
    using server = start(handlers);
    using client = await RawClient.connect(server.port);
    await client.write("?");
    expect(await seen.promise).toEqual([true, "function"]);
  });

  test("are those that were given: one that is put in the place of another later is not called", async () => {
    const { seen } = signals("seen");
    const handlers: SocketHandlers = { data: () => seen.resolve("the first") };
    using server = start(handlers);
    handlers.data = () => seen.resolve("the second");
    using client = await RawClient.connect(server.port);
    await client.write("?");
    expect(await seen.promise).toBe("the first");
  });

  test("may be missing", async () => {
    using server = start({ open: (socket) => void socket.end("only open") });
    using client = await RawClient.connect(server.port);
    expect((await client.readToEnd()).toString()).toBe("only open");
  });

  test("get each socket's own `data`, at first the listener's", async () => {
    const shared = { name: "listener's" };
    const seen: unknown[] = [];
    using server = start<{ name: string }>(
      {
        open(socket) {
          seen.push(socket.data === shared);
          socket.data = { name: `socket ${seen.length}` };
          socket.write("!");
        },
        data: (socket) => void socket.end(socket.data.name),
      },
      { data: shared },
    );
    expect(server.data).toBe(shared);
    using first = await RawClient.connect(server.port);
    await first.readBytes(1);
    using second = await RawClient.connect(server.port);
    await second.readBytes(1);
    await first.write("?");
    await second.write("?");
    expect([await first.readToEnd(), await second.readToEnd()].map(String)).toEqual(["socket 1", "socket 2"]);
    expect(seen).toEqual([true, true]);
  });

  test("that throw end in `error`, and the socket goes on", async () => {
    const errors: unknown[] = [];
    using server = start({
      data(socket, bytes) {
        socket.write(bytes);
        throw new Error(`in data ${bytes}`);
      },
      error(socket, error) {
        errors.push(error instanceof Error);
        socket.write(`<${error.message}>`);
      },
    });
    using client = await RawClient.connect(server.port);
    for (const text of ["one", "two"]) {
      await client.write(text);
      expect(await client.readUntil(">")).toBe(`${text}<in data ${text}>`);
    }
    expect(errors).toEqual([true, true]);
  });

  // In Bun, such a rejection is unhandled.
  test.skipIf(isBun)("that reject end in `error` likewise", async () => {
    using server = start({
      async data(_socket, bytes) {
        if (String(bytes) === "later") await Bun.sleep(1);
        throw new Error(`in data ${bytes}`);
      },
      error: (socket, error) => void socket.write(`<${error.message}>`),
    });
    using client = await RawClient.connect(server.port);
    for (const text of ["at once", "later"]) {
      await client.write(text);
      expect(await client.readUntil(">")).toBe(`<in data ${text}>`);
    }
  });

  test("that throw in `open` end in `error` too", async () => {
    using server = start({
      open() {
        throw new Error("in open");
      },
      data: (socket, bytes) => void socket.write(bytes),
      error: (socket, error) => void socket.write(`<${error.message}>`),
    });
    using client = await RawClient.connect(server.port);
    expect(await client.readUntil(">")).toBe("<in open>");
    expect(await client.closed).toBe("end");
  });

  for (const how of ["throws", "returns an Error"])
    test(`are told of the error and the close of a socket whose open ${how}, of a client's, too`, async () => {
      const calls: unknown[] = [];
      const { closed } = signals("closed");
      const failing: SocketHandlers = {
        open() {
          if (how === "throws") throw new Error("in open");
          return new Error("in open");
        },
        data: () => void calls.push("data"),
        error: (socket, error) => void calls.push(error.message, socket.readyState),
        close(socket) {
          calls.push("close", socket.readyState);
          closed.resolve();
        },
      };
      using server = start({ data() {} });
      const client = await connectSocket({ hostname: "127.0.0.1", port: server.port, socket: failing });
      await closed.promise;
      expect(calls).toEqual(["in open", 1, "close", -1]);
      expect(client.readyState).toBe(-1);
    });

  test("get the arguments that Bun gives, and no more", async () => {
    const counts = new Map<string, number>();
    const { closed, drained } = signals("closed", "drained");
    const handlers = (side: string): any =>
      Object.fromEntries(
        ["open", "data", "drain", "end", "close", "error", "connectError"].map((name) => [
          name,
          function (this: unknown, ...args: unknown[]) {
            expect(this).toBe(args[0]);
            counts.set(`${side} ${name}`, args.length);
            const socket = args[0] as Socket;
            if (side === "server" && name === "data") socket.write(Buffer.alloc(16 << 20));
            if (side === "server" && name === "drain") drained.resolve();
            if (side === "client" && name === "close") closed.resolve();
          },
        ]),
      );
    using server = start(handlers("server"));
    const client = await connectSocket({ hostname: "127.0.0.1", port: server.port, socket: handlers("client") });
    client.write("?");
    await drained.promise;
    server.stop(true);
    await closed.promise;
    await connectSocket({ unix: "/nowhere/socket", socket: handlers("none") }).catch(() => {});
    expect(Object.fromEntries(counts)).toMatchObject({
      "server open": 1,
      "client open": 1,
      "server data": 2,
      "server drain": 1,
      "server close": 2,
      "client close": 2,
      "none connectError": 2,
    });
  });

  test("can be replaced for all sockets by the listener's reload()", async () => {
    using server = start({ data: (socket) => void socket.write("old!") });
    using client = await RawClient.connect(server.port);
    await client.write("?");
    expect(await client.readUntil("!")).toBe("old!");
    server.reload({ socket: { data: (socket) => void socket.write("new!") } });
    await client.write("?");
    expect(await client.readUntil("!")).toBe("new!");
    using later = await RawClient.connect(server.port);
    await later.write("?");
    expect(await later.readUntil("!")).toBe("new!");
  });

  // Bun replaces the handlers for all sockets of the listener.
  test.skipIf(isBun)("can be replaced for one socket by its reload()", async () => {
    const { closed } = signals("closed");
    using server = start({
      data(socket) {
        socket.reload({
          socket: { data: (socket) => void socket.write("new!"), close: (_socket, error) => closed.resolve(error) },
        });
        socket.write("old!");
      },
    });
    using client = await RawClient.connect(server.port);
    using other = await RawClient.connect(server.port);
    await client.write("?");
    expect(await client.readUntil("!")).toBe("old!");
    await client.write("?");
    expect(await client.readUntil("!")).toBe("new!");
    await other.write("?");
    expect(await other.readUntil("!")).toBe("old!");
    client.end();
    expect(await closed.promise).toBeUndefined();
  });
});

describe("received bytes", () => {
  const kinds = [
    { binaryType: "buffer", isKind: (data: unknown) => Buffer.isBuffer(data) },
    { binaryType: undefined, isKind: (data: unknown) => Buffer.isBuffer(data) },
    { binaryType: "uint8array", isKind: (data: unknown) => data instanceof Uint8Array && !Buffer.isBuffer(data) },
    { binaryType: "arraybuffer", isKind: (data: unknown) => data instanceof ArrayBuffer },
  ] as const;
  for (const { binaryType, isKind } of kinds) {
    test(`are of the kind that binaryType ${binaryType} asks for`, async () => {
      const { data } = signals("data");
      const handlers: SocketHandlers = { data: (_socket, bytes) => data.resolve(bytes) };
      using server = start(binaryType ? { ...handlers, binaryType } : handlers);
      using client = await RawClient.connect(server.port);
      await client.write("\x00\xffbytes");
      const received = await data.promise;
      expect(isKind(received)).toBe(true);
      expect(Buffer.from(received).latin1Slice()).toBe("\x00\xffbytes");
    });
  }

  test("stay what they are, whatever comes later", async () => {
    const kept: Uint8Array[] = [];
    using server = start({
      data(socket, bytes) {
        kept.push(bytes);
        socket.write(`${bytes.length};`);
      },
    });
    using client = await RawClient.connect(server.port);
    using other = await RawClient.connect(server.port);
    const sent = Buffer.concat(Array.from({ length: 200 }, (_, i) => Buffer.alloc(100 + i * 7, i)));
    for (let at = 0, i = 0; i < 200; i++) {
      const part = sent.subarray(at, (at += 100 + i * 7));
      await client.write(part);
      let echoed = 0;
      while (echoed < part.length) echoed += parseInt(await client.readUntil(";"));
    }
    const own = Buffer.concat(kept);
    kept.splice(0, kept.length, own);
    const before = md5(own);
    expect(before).toBe(md5(sent));
    await other.write(Buffer.alloc(4_000_000, 0xee));
    for (let echoed = 0; echoed < 4_000_000;) echoed += parseInt(await other.readUntil(";"));
    expect(md5(own)).toBe(before);
  });

  test("from many peers at once, more than there are buffers for, all arrive", async () => {
    const peers = 24;
    const body = pattern(1_000_000);
    const digests: string[] = [];
    const { all } = signals("all");
    using server = start<Bun.CryptoHasher>({
      open: (socket) => void (socket.data = new Bun.CryptoHasher("md5")),
      data: (socket, bytes) => void socket.data.update(bytes),
      end: (socket) => void digests.push(socket.data.digest("hex")),
      close() {
        if (digests.length === peers) all.resolve();
      },
    });
    const clients = await Promise.all(Array.from({ length: peers }, () => RawClient.connect(server.port)));
    for (const client of clients) void client.write(body).then(() => client.end());
    await all.promise;
    expect(digests).toEqual(clients.map(() => md5(body)));
    for (const client of clients) client[Symbol.dispose]();
  });

  test("that were kept unjoined stay what they are, too", async () => {
    const kept: Uint8Array[] = [];
    let bytesReceived = 0;
    const { all } = signals("all");
    using server = start({
      data(_socket, bytes) {
        kept.push(bytes);
        bytesReceived += bytes.length;
        if (bytesReceived === 5_000_000) all.resolve();
      },
    });
    using client = await RawClient.connect(server.port);
    const sent = pattern(5_000_000);
    void client.write(sent);
    await all.promise;
    expect(md5(Buffer.concat(kept))).toBe(md5(sent));
  });
});

describe("an echo of 10 MB", () => {
  const body = pattern(10_000_000);

  test("comes back to node:net in this process", async () => {
    using server = startEcho();
    using client = await RawClient.connect(server.port);
    void client.write(body).then(() => client.end());
    expect(md5(await client.readToEnd())).toBe(md5(body));
  });

  test("comes back to Node", async () => {
    using server = startEcho();
    const program = `
const { createHash } = require("node:crypto");
const client = require("node:net").connect({ port: ${server.port}, host: "127.0.0.1", allowHalfOpen: true });
const hash = createHash("md5");
process.stdin.pipe(client);
client.on("data", (bytes) => hash.update(bytes)).on("end", () => console.log(hash.digest("hex")));
`;
    expect((await run(["node", "-e", program], body)).stdout.trim()).toBe(md5(body));
  });

  test("comes back to ncat", async () => {
    using server = startEcho();
    const command = `ncat 127.0.0.1 ${server.port} | md5sum`;
    expect((await run(["sh", "-c", command], body)).stdout).toStartWith(md5(body));
  });

  test("comes back to Python's asyncio, in pieces of odd sizes", async () => {
    using server = startEcho();
    const program = `
import asyncio, hashlib, sys
async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", ${server.port})
    async def send():
        body, at, size = sys.stdin.buffer.read(), 0, 1
        while at < len(body):
            writer.write(body[at:at + size])
            await writer.drain()
            at, size = at + size, size * 3 % 99991
        writer.write_eof()
    async def receive():
        hash = hashlib.md5()
        while part := await reader.read(50000):
            hash.update(part)
        print(hash.hexdigest())
    await asyncio.gather(send(), receive())
    writer.close()
asyncio.run(main())
`;
    expect((await run(["python3", "-c", program], body)).stdout.trim()).toBe(md5(body));
  });
});

describe("write()", () => {
  test("takes strings as UTF-8, bytes, views and buffers, and parts of them", async () => {
    const { done } = signals("done");
    using server = start({
      open(socket) {
        const bytes = new TextEncoder().encode("0123456789");
        const taken = [
          socket.write("é😀"),
          socket.write(bytes),
          // In Bun the default length is the length of the whole array. With an offset that is too
          // long, and throws.
          isBun ? socket.write(bytes, 2, 8) : socket.write(bytes, 2),
          socket.write(bytes, 2, 3),
          isBun ? socket.write(bytes.buffer, 8, 2) : socket.write(bytes.buffer, 8),
          socket.write(new DataView(bytes.buffer, 4, 2)),
          socket.write(new Uint16Array(bytes.buffer, 0, 1)),
          socket.write(""),
        ];
        done.resolve(taken);
        socket.end();
      },
    });
    using client = await RawClient.connect(server.port);
    expect(await done.promise).toEqual([6, 10, 8, 3, 2, 2, 2, 0]);
    expect((await client.readToEnd()).toString()).toBe("é😀0123456789234567892348945" + "01");
  });

  test("fourteen times in one turn arrives in order", async () => {
    const { submitted } = signals("submitted");
    using server = start({
      data(socket) {
        const before = isBun ? 0 : reactorStats().sqes;
        for (let i = 0; i < 14; i++) socket.write(`${i};`);
        submitted.resolve(isBun ? 0 : reactorStats().sqes - before);
      },
    });
    using client = await RawClient.connect(server.port);
    await client.write("?");
    expect(await client.readUntil("13;")).toBe(Array.from({ length: 14 }, (_, i) => `${i};`).join(""));
    // All writes leave together. None of them makes its own submission.
    expect(await submitted.promise).toBe(0);
  });

  test("takes what it can from a client that does not read, and says so; drain follows", async () => {
    const { refused, finished } = signals("refused", "finished");
    const body = pattern(30_000_000);
    let sent = 0;
    let drains = 0;
    const send = (socket: Socket): void => {
      while (sent < body.length) {
        const part = body.subarray(sent, sent + 100_000);
        const taken = socket.write(part);
        expect(taken).toBeWithin(0, part.length + 1);
        sent += taken;
        if (taken < part.length) return refused.resolve(sent);
      }
      socket.end();
      finished.resolve();
    };
    using server = start({
      open: send,
      drain(socket) {
        drains++;
        send(socket);
      },
    });
    using client = await RawClient.connect(server.port);
    client.socket.pause();
    // The server took far less than everything. The rest is not in the server's memory.
    expect(await refused.promise).toBeLessThan(16_000_000);
    client.socket.resume();
    expect(md5(await client.readToEnd())).toBe(md5(body));
    await finished.promise;
    expect(drains).toBeGreaterThan(0);
  });

  // Only ringloop has this option.
  test.skipIf(isBun)("takes no more than writeQueueBytesMax", async () => {
    const { taken } = signals("taken");
    using server = start(
      { open: (socket) => void taken.resolve([socket.write(Buffer.alloc(1500)), socket.write("more"), socket.end()]) },
      { writeQueueBytesMax: 1000 },
    );
    using client = await RawClient.connect(server.port);
    expect(await taken.promise).toEqual([1000, 0, 0]);
    expect(await client.readToEnd()).toHaveLength(1000);
  });

  test("counts in bytesWritten", async () => {
    const { counted } = signals("counted");
    using server = start({
      data(socket) {
        socket.write("12345");
        socket.write("678");
        counted.resolve(socket.bytesWritten);
      },
    });
    using client = await RawClient.connect(server.port);
    await client.write("?");
    expect(await counted.promise).toBe(8);
  });

  test("to a socket that is closed is refused", async () => {
    const { closed } = signals("closed");
    using server = start({ close: (socket) => closed.resolve([socket.write("late"), socket.readyState <= 0]) });
    const client = await RawClient.connect(server.port);
    client.reset();
    const [taken, notOpen] = await closed.promise;
    expect(taken).toBeLessThanOrEqual(0);
    expect(notOpen).toBe(true);
  });
});

describe("the end", () => {
  test("by end(data) comes after everything written", async () => {
    using server = start({
      open(socket) {
        socket.write("one ");
        socket.end("two");
      },
    });
    using client = await RawClient.connect(server.port);
    expect((await client.readToEnd()).toString()).toBe("one two");
  });

  test("of the peer ends the socket, unless allowHalfOpen", async () => {
    const { closed } = signals("closed");
    using server = start({ close: () => closed.resolve() });
    using client = await RawClient.connect(server.port);
    client.end();
    await closed.promise;
    expect(await client.closed).toBe("end");
  });

  test("of the peer with allowHalfOpen leaves the socket able to send", async () => {
    const { ended, closed } = signals("ended", "closed");
    using server = start(
      {
        data: (socket, bytes) => void socket.write(bytes),
        end: (socket) => ended.resolve(socket),
        close: () => closed.resolve(),
      },
      { allowHalfOpen: true },
    );
    using client = await RawClient.connect(server.port);
    await client.write("first ");
    client.end();
    const socket = (await ended.promise) as Socket;
    await Bun.sleep(1); // Another turn passes, and nothing closes the socket.
    expect(socket.write("after your end")).toBe(14);
    socket.end();
    expect((await client.readToEnd()).toString()).toBe("first after your end");
    await closed.promise;
  });

  for (const allowHalfOpen of [false, true]) {
    for (const way of ["end", "end with data", "close", "terminate"] as const)
      test(`by ${way} is told at once, whoever stays${allowHalfOpen ? ", with allowHalfOpen, too" : ""}`, async () => {
        const calls: unknown[] = [];
        const { done } = signals("done");
        using server = start(
          {
            data(socket) {
              if (way === "end") calls.push(socket.end());
              else if (way === "end with data") calls.push(socket.end("bye"));
              else if (way === "close") calls.push(socket.close());
              else calls.push(socket.terminate());
              calls.push(socket.write("x"), socket.end("x"), socket.readyState, socket.remoteAddress);
              done.resolve();
            },
            end: () => void calls.push("end"),
            close: (socket) => void calls.push("close", socket.readyState),
          },
          { allowHalfOpen },
        );
        using client = await RawClient.connect(server.port);
        await client.write("?");
        await done.promise;
        const result = { end: 0, "end with data": 3, close: undefined, terminate: undefined }[way];
        expect(calls).toEqual(["close", -1, result, -1, -1, -1, undefined]);
        if (way === "terminate") return expect(await client.closed).toBe("reset");
        expect((await client.readToEnd()).toString()).toBe(way === "end with data" ? "bye" : "");
      });

    test(`by shutdown() leaves the socket able to receive${allowHalfOpen ? ", with allowHalfOpen, too" : ""}`, async () => {
      const calls: unknown[] = [];
      const { received, closed } = signals("received", "closed");
      using server = start(
        {
          open(socket) {
            socket.write("bye");
            socket.shutdown();
            calls.push(socket.readyState, socket.write("x"), socket.end("x"));
          },
          data(_socket, bytes) {
            calls.push(String(bytes));
            received.resolve();
          },
          end: () => void calls.push("end"),
          close(socket) {
            calls.push("close", socket.readyState);
            closed.resolve();
          },
        },
        { allowHalfOpen },
      );
      using client = await RawClient.connect(server.port);
      expect((await client.readToEnd()).toString()).toBe("bye");
      await client.write("still here");
      await received.promise;
      client.end();
      await closed.promise;
      expect(calls).toEqual([1, -1, -1, "still here", "close", -1]);
    });
  }

  test("by the listener's stop(true) is told at once", async () => {
    const calls: unknown[] = [];
    const { opened } = signals("opened");
    const server = start({
      open: () => opened.resolve(),
      close: (socket) => void calls.push("close", socket.readyState),
    });
    using client = await RawClient.connect(server.port);
    await opened.promise;
    server.stop(true);
    expect(calls).toEqual(["close", -1]);
    expect(await client.closed).toBe("end");
  });

  test("loses nothing of what end() was given, whatever its size and the reader's speed", async () => {
    for (const [bytes, text] of [
      [2 << 20, false],
      [3 << 20, true],
    ] as const) {
      const results: unknown[] = [];
      using server = start(
        {
          open: (socket) =>
            void results.push(socket.write("head "), socket.end(text ? "x".repeat(bytes) : Buffer.alloc(bytes))),
          close: (_socket, error) => void results.push(error),
        },
        isBun ? {} : { writeQueueBytesMax: 65536 },
      );
      using client = await RawClient.connect(server.port);
      client.socket.pause();
      while (results.length < 3) await new Promise((resolve) => setImmediate(resolve));
      expect(results).toEqual([undefined, 5, bytes]);
      client.socket.resume();
      expect((await client.readToEnd()).length).toBe(5 + bytes);
    }
  });

  // In Bun, the caller keeps the bytes that the kernel has not taken, until `drain`.
  test.skipIf(isBun)(
    "of more than the kernel takes: all of it leaves before the FIN, and the peer may be slow",
    async () => {
      const bytes = 24 << 20;
      const results: unknown[] = [];
      using server = start({ open: (socket) => void results.push(socket.end(Buffer.alloc(bytes, "x"))) });
      using client = await RawClient.connect(server.port);
      client.socket.pause();
      while (results.length < 1) await new Promise((resolve) => setImmediate(resolve));
      expect(results).toEqual([bytes]);
      let received = 0;
      while (received < bytes) {
        client.socket.resume();
        const part = await client.readBytes(Math.min(1 << 20, bytes - received));
        client.socket.pause();
        received += part.length;
        expect(part.indexOf("x")).toBe(0);
      }
      client.socket.resume();
      expect((await client.readToEnd()).length).toBe(0);
    },
  );

  test("does not hold the process: it exits though its peer never closes", async () => {
    const received = Promise.withResolvers<string>();
    const peer = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("data", (bytes) => received.resolve(String(bytes)));
    });
    await once(peer.listen(0, "127.0.0.1"), "listening");
    try {
      const { port } = peer.address() as AddressInfo;
      const { stdout } = await run([process.execPath, fixture("end-and-exit.ts"), String(port)]);
      expect(stdout).toBe("close\nended -1\n");
      expect(await received.promise).toBe("done");
    } finally {
      peer.close();
    }
  });

  test("by shutdown() ends the sending side alone", async () => {
    const { closed } = signals("closed");
    const received: string[] = [];
    using server = start(
      {
        open(socket) {
          socket.write("all I have");
          socket.shutdown();
        },
        data: (_socket, bytes) => void received.push(String(bytes)),
        close: () => closed.resolve(),
      },
      { allowHalfOpen: true },
    );
    using client = await RawClient.connect(server.port);
    expect((await client.readToEnd()).toString()).toBe("all I have");
    await client.write("thanks");
    client.end();
    await closed.promise;
    expect(received.join("")).toBe("thanks");
  });

  test("by terminate() is a reset", async () => {
    const { closed } = signals("closed");
    using server = start({ open: (socket) => socket.terminate(), close: (_socket, error) => closed.resolve(error) });
    const code = await new Promise((resolve) => {
      connect(server.port, "127.0.0.1").on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    });
    expect(code).toBe("ECONNRESET");
    expect(await closed.promise).toBeUndefined();
    // The same with another client.
    const program = `
import socket
client = socket.create_connection(("127.0.0.1", ${server.port}))
try:
    print(client.recv(10))
except ConnectionResetError:
    print("reset")
`;
    expect((await run(["python3", "-c", program])).stdout.trim()).toBe("reset");
  });

  test("by the peer's reset is close with code ECONNRESET", async () => {
    const { opened, closed } = signals("opened", "closed");
    const others: string[] = [];
    using server = start({
      open: () => opened.resolve(),
      end: () => void others.push("end"),
      error: () => void others.push("error"),
      close: (_socket, error) => closed.resolve(error),
    });
    const client = await RawClient.connect(server.port);
    await opened.promise;
    client.reset();
    expect(await closed.promise).toMatchObject({ code: "ECONNRESET", syscall: isBun ? "read" : "recv" });
    expect(others).toEqual([]);
  });

  test("is told once, and is the last call", async () => {
    using other = startEcho();
    using probe = await RawClient.connect(other.port);
    for (const way of ["end", "terminate", "close", "throw"] as const) {
      const { closed } = signals("closed");
      const calls: string[] = [];
      using server = start({
        data(socket) {
          if (way !== "throw") socket[way]();
          socket.terminate();
          socket.end();
          socket.close();
          if (way === "throw") throw new Error("after terminate");
        },
        drain: () => void calls.push("drain"),
        end: () => void calls.push("end"),
        error: () => void calls.push("error"),
        close() {
          calls.push("close");
          closed.resolve();
        },
      });
      using client = await RawClient.connect(server.port);
      await client.write("?");
      await closed.promise;
      await turnsOfEcho(probe); // Gives time for any further calls.
      // terminate() calls `close` before it returns. The error comes after that.
      const expected = way !== "throw" ? ["close"] : ["close", "error"];
      expect({ way, calls }).toEqual({ way, calls: expected });
    }
  });

  test("shows in readyState", async () => {
    const { closed } = signals("closed");
    const states: number[] = [];
    using server = start({
      open: (socket) => void states.push(socket.readyState),
      close(socket) {
        states.push(socket.readyState);
        closed.resolve();
      },
    });
    const client = await RawClient.connect(server.port);
    client[Symbol.dispose]();
    await closed.promise;
    expect(states).toEqual([1, -1]);
  });
});

describe("pause()", () => {
  test("keeps `data` from being called until resume()", async () => {
    let paused: Socket<Echo> | undefined;
    const received: string[] = [];
    const { all } = signals("all");
    using server = start<Echo>({
      ...echo,
      data(socket, bytes) {
        const text = String(bytes);
        if (text === "?") return void socket.write("!");
        received.push(text);
        if (text.endsWith("pause")) {
          paused = socket;
          socket.pause();
          socket.write("paused;");
        }
        if (text.endsWith("last")) all.resolve();
      },
    });
    using probe = await RawClient.connect(server.port);
    using client = await RawClient.connect(server.port);
    for (let round = 0; round < 3; round++) {
      await client.write("pause");
      await client.readUntil("paused;");
      received.length = 0;
      await client.write("while paused, ");
      await turnsOfEcho(probe);
      await client.write("more, ");
      await turnsOfEcho(probe);
      expect(received).toEqual([]);
      paused!.resume();
      // Bytes that were sent during the pause arrive before the following ones.
      await client.write(round === 2 ? "last" : "pause");
      if (round === 2) await all.promise;
      else await client.readUntil("paused;");
      expect(received.join("")).toBe(`while paused, more, ${round === 2 ? "last" : "pause"}`);
      paused!.resume();
    }
  });

  test("slows the peer down, and loses nothing", async () => {
    const body = pattern(8_000_000);
    const hasher = new Bun.CryptoHasher("md5");
    const { done } = signals("done");
    let bytesReceived = 0;
    using server = start({
      data(socket, bytes) {
        hasher.update(bytes);
        bytesReceived += bytes.length;
        if (bytesReceived === body.length) return void done.resolve();
        socket.pause();
        setImmediate(() => socket.resume());
      },
    });
    using client = await RawClient.connect(server.port);
    void client.write(body);
    await done.promise;
    expect(hasher.digest("hex")).toBe(md5(body));
  });

  test("does not hide the peer's end for good", async () => {
    const { opened, ended } = signals("opened", "ended");
    const calls: string[] = [];
    using server = start({
      open(socket) {
        socket.pause();
        opened.resolve(socket);
      },
      data: (_socket, bytes) => void calls.push(String(bytes)),
      end: () => void calls.push("end"),
      close: () => ended.resolve(),
    });
    using client = await RawClient.connect(server.port);
    const socket = (await opened.promise) as Socket;
    await client.write("before the end");
    client.end();
    await Bun.sleep(1);
    expect(calls).toEqual([]);
    socket.resume();
    await ended.promise;
    expect(calls).toEqual(["before the end", "end"]);
  });
});

describe("timeout()", () => {
  test("is called when nothing comes for as long", async () => {
    const { timedOut } = signals("timedOut");
    using server = start({
      open: (socket) => socket.timeout(1),
      timeout: (socket) => {
        timedOut.resolve(performance.now());
        socket.end();
      },
    });
    const before = performance.now();
    using client = await RawClient.connect(server.port);
    const ms = (await timedOut.promise) - before;
    // Bun's clock for timeouts ticks every four seconds.
    expect(ms).toBeWithin(isBun ? 0 : 990, isBun ? 9000 : 2500);
    await client.closed;
  });

  // Nothing else happens meanwhile. The reactor sleeps when the time is over and the handler
  // writes.
  test("is called once for each time that is set, what it writes leaves, and the socket goes on", async () => {
    const times: number[] = [];
    let socket: Socket;
    using server = start({
      open(accepted) {
        socket = accepted;
        accepted.timeout(1);
      },
      timeout(timedOut) {
        times.push(performance.now());
        timedOut.write(`timeout ${times.length};`);
        if (times.length === 1) timedOut.timeout(1);
      },
      data: (accepted, bytes) => void accepted.write(bytes),
    });
    const set = performance.now();
    using client = await RawClient.connect(server.port);
    await client.readUntil("timeout 1;");
    await client.readUntil("timeout 2;");
    // Bun's clock for timeouts ticks every four seconds, and its first tick may come at once.
    if (!isBun) for (const [i, time] of times.entries()) expect(time - set).toBeGreaterThan(990 * (i + 1));
    using other = start({ open: (each) => each.timeout(2), timeout: (each) => void each.write("over") });
    using second = await RawClient.connect(other.port);
    await second.readUntil("over");
    expect(times.length).toBe(2);
    expect(socket!.readyState).toBe(1);
    await client.write("goes on");
    await client.readUntil("goes on");
  });

  // The reactor has slept for longer than the timeout.
  test("is called when it was set on a quiet process, outside of every handler", async () => {
    const { opened, timedOut } = signals("opened", "timedOut");
    using server = start({ open: opened.resolve, timeout: () => timedOut.resolve(performance.now()) });
    using client = await RawClient.connect(server.port);
    const socket: Socket = await opened.promise;
    await Bun.sleep(1200);
    const set = performance.now();
    socket.timeout(1);
    const ms = (await timedOut.promise) - set;
    expect(ms).toBeWithin(isBun ? 0 : 990, isBun ? 9000 : 2500);
    expect(client.socket.readyState).toBe("open");
  });

  test("of 0 is none", async () => {
    let timeouts = 0;
    const { opened } = signals("opened");
    using server = start({
      open(socket) {
        socket.timeout(1);
        socket.timeout(0);
        opened.resolve();
      },
      timeout: () => void timeouts++,
    });
    using client = await RawClient.connect(server.port);
    await opened.promise;
    // A second socket with the same timeout as the first one.
    const { timedOut } = signals("timedOut");
    using other = start({ open: (socket) => socket.timeout(1), timeout: () => timedOut.resolve() });
    using second = await RawClient.connect(other.port);
    await timedOut.promise;
    expect(timeouts).toBe(0);
    expect(client.socket.readyState).toBe("open");
    second.end();
  });
});

describe("addresses", () => {
  const cases = [
    { hostname: "127.0.0.1", client: "127.0.0.1", address: "127.0.0.1", family: "IPv4" },
    { hostname: "::1", client: "::1", address: "::1", family: "IPv6" },
    { hostname: "0.0.0.0", client: "127.0.0.1", address: "127.0.0.1", family: "IPv4" },
  ];
  for (const { hostname, client: to, address, family } of cases) {
    test(`of both ends are the socket's, listening on ${hostname}`, async () => {
      const { opened } = signals("opened");
      using server = start(
        {
          open(socket) {
            const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket;
            opened.resolve({ localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily });
          },
        },
        { hostname },
      );
      expect(server.hostname).toBe(hostname);
      expect(server.port).toBeWithin(1, 65536);
      using client = await RawClient.connect(server.port, to);
      expect(await opened.promise).toEqual({
        localAddress: address,
        localPort: server.port,
        localFamily: family,
        remoteAddress: address,
        remotePort: client.socket.localPort,
        remoteFamily: family,
      });
    });
  }

  test("by the name localhost are loopback's", async () => {
    using server = start({ open: (socket) => void socket.end(socket.localAddress) }, { hostname: "localhost" });
    expect(server.hostname).toBe("localhost");
    const { stdout } = await run([
      "python3",
      "-c",
      `import socket; print(socket.create_connection(("localhost", ${server.port})).makefile().read())`,
    ]);
    expect(stdout.trim()).toMatch(/^(127\.0\.0\.1|::1)$/);
  });

  test("that do not exist are an error that names them", () => {
    expect(() => start({ data() {} }, { hostname: "no.such.host.invalid" })).toThrow();
  });

  test("of an IPv6 server with ipv6Only take no IPv4", async () => {
    const from: string[] = [];
    const open = (socket: Socket): void => {
      from.push(socket.remoteAddress);
      socket.end("six");
    };
    using server = start({ open }, { hostname: "::", ipv6Only: true });
    const ask = async (): Promise<string> => {
      using six = await RawClient.connect(server.port, "::1");
      return (await six.readToEnd()).toString();
    };
    expect(await ask()).toBe("six");
    // The connection is refused, or another program uses the port there.
    await RawClient.connect(server.port, "127.0.0.1").then(
      (client) => client[Symbol.dispose](),
      () => {},
    );
    expect(await ask()).toBe("six");
    expect(from).toEqual(["::1", "::1"]);
    using both = start({ open: (socket) => void socket.end("both") }, { hostname: "::" });
    using four = await RawClient.connect(both.port, "127.0.0.1");
    expect((await four.readToEnd()).toString()).toBe("both");
  });

  test("can be shared with reusePort", async () => {
    const open = (socket: Socket): void => void socket.end("shared");
    using first = start({ open }, { reusePort: true });
    using second = start({ open }, { port: first.port, reusePort: true });
    expect(second.port).toBe(first.port);
    for (let i = 0; i < 10; i++) {
      using client = await RawClient.connect(first.port);
      expect((await client.readToEnd()).toString()).toBe("shared");
    }
  });

  test("socket options can be set while it is open", async () => {
    const { opened } = signals("opened");
    using server = start({
      open(socket) {
        opened.resolve([
          socket.setNoDelay(true),
          socket.setKeepAlive(true, 5000),
          socket.setNoDelay(false),
          socket.setKeepAlive(false),
        ]);
      },
    });
    using client = await RawClient.connect(server.port);
    expect(await opened.promise).toEqual([true, true, true, true]);
    client.end();
  });
});

describe("stop()", () => {
  test("takes no more, and leaves open sockets alone", async () => {
    const { closed } = signals("closed");
    const server = start({ data: (socket, bytes) => void socket.write(bytes), close: () => closed.resolve() });
    using client = await RawClient.connect(server.port);
    await client.write("a");
    await client.readBytes(1);
    server.stop();
    expect(await rejection(RawClient.connect(server.port))).toMatchObject({ code: "ECONNREFUSED" });
    await client.write("b");
    expect((await client.readBytes(1)).toString()).toBe("b");
    client.end();
    await closed.promise;
  });

  test("with true closes open sockets", async () => {
    const { closed } = signals("closed");
    const server = start({ data: (socket, bytes) => void socket.write(bytes), close: () => closed.resolve() });
    using client = await RawClient.connect(server.port);
    await client.write("a");
    await client.readBytes(1);
    server.stop(true);
    await client.closed;
    await closed.promise;
  });

  test("frees the port at once", () => {
    const first = start({ data() {} });
    const { port } = first;
    first.stop();
    using second = start({ data() {} }, { port });
    expect(second.port).toBe(port);
  });

  test("can be called again", () => {
    const server = start({ data() {} });
    server.stop();
    server.stop();
    server.stop(true);
  });
});

describe("a thousand connections", () => {
  const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

  /** Opens, uses and closes `count` connections one after another, and then in groups of 20. */
  async function comeAndGo(port: number, count: number): Promise<void> {
    const one = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const client: NodeSocket = connect(port, "127.0.0.1");
        client.on("error", reject).on("close", () => resolve());
        client.on("connect", () => client.write("ping"));
        client.on("data", () => client.end());
      });
    for (let i = 0; i < count; i += 20) await Promise.all(Array.from({ length: 20 }, one));
  }

  test("that come and go leave nothing", async () => {
    let open = 0;
    let closed = 0;
    let allClosed = (): void => {};
    using server = start({
      open: () => void open++,
      data: (socket, bytes) => void socket.write(bytes),
      close() {
        if (++closed === open) allClosed();
      },
    });
    const settled = (): Promise<void> =>
      closed === open ? Promise.resolve() : new Promise((resolve) => (allClosed = () => resolve()));
    await comeAndGo(server.port, 40);
    await settled();
    // Sockets that close after their `close` handler, also those of clients, close before the
    // count.
    const before = await stable();
    await comeAndGo(server.port, 1000);
    await settled();
    expect(await stable()).toEqual(before);
    expect([open, closed]).toEqual([1040, 1040]);
    if (!isBun) expect(reactorStats().staleCompletions).toBe(0);
  });

  /**
   * Returns the number of descriptors, the ring's slots and its send memory, as soon as they have
   * not changed for 20 turns.
   */
  async function stable(): Promise<object> {
    Bun.gc(true); // Bun keeps the standard input of earlier tests' children until a collection.
    const look = () => {
      const { slotsInUse, sendBytesInUse } = isBun ? { slotsInUse: 0, sendBytesInUse: 0 } : reactorStats();
      return { descriptors: openDescriptors(), slotsInUse, sendBytesInUse };
    };
    let seen = look();
    for (let calm = 0; calm < 20; calm++) {
      await Bun.sleep(1);
      const now = look();
      if (!Bun.deepEquals(now, seen)) calm = 0;
      seen = now;
    }
    return seen;
  }

  test("that are reset or terminated leave nothing either", async () => {
    let closed = 0;
    const { all } = signals("all");
    using server = start({
      data(socket, bytes) {
        if (String(bytes) === "terminate") socket.terminate();
        else socket.write(Buffer.alloc(500_000)); // The bytes are still on their way when the client resets.
      },
      close() {
        if (++closed === 200) all.resolve();
      },
    });
    const before = await stable();
    for (let i = 0; i < 200; i += 2) {
      using terminated = await RawClient.connect(server.port);
      void terminated.write("terminate");
      using reset = await RawClient.connect(server.port);
      await reset.write("reset");
      await reset.readBytes(1);
      reset.reset();
      await terminated.closed;
    }
    await all.promise;
    expect(await stable()).toEqual(before);
    if (!isBun) expect(reactorStats().staleCompletions).toBe(0);
  });
});

test("a paused socket hears of a reset", async () => {
  const paused = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<unknown>();
  using server = listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.pause();
        paused.resolve();
      },
      close: (_, error) => closed.resolve((error as NodeJS.ErrnoException | undefined)?.code),
    },
  });
  const client = await RawClient.connect(server.port);
  await client.write("first");
  await paused.promise;
  await client.write("these bytes wait");
  client.reset();
  expect(await closed.promise).toBe("ECONNRESET");
});
