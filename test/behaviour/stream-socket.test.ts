/**
 * Sockets with promises: iteration, awaited writes, web streams. Bun has no such sockets. For the
 * subject `bun` they are ringloop's sockets over Bun.connect and Bun.listen, as without a ring.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { createServer, type Server as NodeServer, type Socket as NodeSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./process.ts";
import { md5 } from "./raw-client.ts";
import { rejection } from "./rejection.ts";
import type { StreamSocket } from "../../src/index.ts";
import { isBun, reactor, reactorStats, settled } from "./subject.ts";

if (isBun) process.env.RINGLOOP_LIBRARY = "/nonexistent.so";
const { connectStream, listenStream } = await import("../../src/index.ts");
afterAll(() => {
  if (isBun) delete process.env.RINGLOOP_LIBRARY;
});

const servers: NodeServer[] = [];
afterAll(() => servers.forEach((server) => server.close()));

/** Starts a server of Node. It calls `serve` with each of its sockets. */
async function node(serve: (socket: NodeSocket) => void): Promise<{ hostname: string; port: number }> {
  const server = createServer({ allowHalfOpen: true }, serve);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { hostname: "127.0.0.1", port: (server.address() as { port: number }).port };
}

describe("a stream listener", () => {
  test("answers each next() with a connection of its own, in order, and all of them when it stops", async () => {
    const listener = listenStream({ port: 0, hostname: "127.0.0.1" });
    const sockets = listener[Symbol.asyncIterator]();
    const asked = Array.from({ length: 5 }, () => sockets.next());
    const where = { hostname: "127.0.0.1", port: listener.address!.port };
    const clients = [];
    for (let i = 0; i < 3; i++) {
      const client = await connectStream(where);
      clients.push(client);
      const { value } = await asked[i]!;
      expect(value!.remoteAddress).toEqual(client.localAddress!);
      value!.destroy();
    }
    listener.stop();
    expect(await Promise.all(asked.slice(3))).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    for (const client of clients) client.destroy();
  });

  test.skipIf(isBun)("leaves what nobody takes in the kernel's queue, and loses none of it", async () => {
    const slotsBefore = reactorStats().slotsInUse;
    const listener = listenStream({ port: 0, hostname: "127.0.0.1" });
    const where = { hostname: "127.0.0.1", port: listener.address!.port };
    const clients: StreamSocket[] = [];
    const connect = async (count: number): Promise<void> => {
      clients.push(...(await Promise.all(Array.from({ length: count }, () => connectStream(where)))));
    };
    const accepted = (): number => reactorStats().slotsInUse - slotsBefore - clients.length - 1;
    await connect(100);
    while (accepted() < 64) await reactor()!.nop();
    // The kernel may miss a cancellation (EALREADY). The listener then cancels once more.
    for (let i = 0; i < 50; i++) await reactor()!.nop();
    await connect(200);
    for (let i = 0; i < 50; i++) await reactor()!.nop();
    expect(accepted()).toBeLessThan(300);
    const ports = new Set(clients.map(({ localAddress }) => localAddress!.port));
    const sockets = listener[Symbol.asyncIterator]();
    for (let i = 0; i < clients.length; i++) {
      const { value } = await sockets.next();
      expect(ports.delete(value!.remoteAddress!.port)).toBe(true);
      value!.destroy();
    }
    expect(ports.size).toBe(0);
    listener.stop();
    for (const client of clients) client.destroy();
    await settled(slotsBefore);
  });
});

/**
 * Returns a port that completes no connection: its queue is full, and the program never accepts.
 */
async function deafPort(): Promise<{ where: { hostname: string; port: number }; end: () => Promise<number> }> {
  const program = `
import socket, sys
server = socket.create_server(("127.0.0.1", 0), backlog=0)
full = socket.create_connection(server.getsockname())
print(server.getsockname()[1], flush=True)
sys.stdin.read()
`;
  const child = Bun.spawn(["python3", "-c", program], { stdin: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const end = (): Promise<number> => {
    void child.stdin.end();
    return child.exited;
  };
  return { where: { hostname: "127.0.0.1", port: Number(new TextDecoder().decode(value)) }, end };
}

describe("making a connection", () => {
  test("ends with a time limit or a signal, and leaves nothing behind", async () => {
    const { where, end } = await deafPort();
    const slots = isBun ? 0 : reactorStats().slotsInUse;
    const start = performance.now();
    expect(await rejection(connectStream({ ...where, timeoutMs: 30 }))).toMatchObject({
      code: "ETIMEDOUT",
      syscall: "connect",
    });
    expect(performance.now() - start).toBeGreaterThanOrEqual(29);
    const controller = new AbortController();
    const connecting = connectStream({ ...where, signal: controller.signal, timeoutMs: 60_000 });
    controller.abort(new Error("enough"));
    expect(await rejection(connecting)).toMatchObject({ message: "enough" });
    expect(await rejection(connectStream({ ...where, signal: AbortSignal.abort("before") }))).toBe("before");
    if (!isBun) await settled(slots);
    await end();
  });

  test("is limited no longer when it is made", async () => {
    const where = await node((socket) => socket.pipe(socket));
    const controller = new AbortController();
    const socket = await connectStream({ ...where, signal: controller.signal, timeoutMs: 60_000 });
    controller.abort();
    await socket.write("a"); // One byte comes whole, also where sends fall short.
    expect(String((await socket.next()).value)).toBe("a");
    socket.destroy();
    // The connection fails before the time limit ends.
    const unix = "/nonexistent/socket";
    expect(await rejection(connectStream({ unix, timeoutMs: 60_000 }))).toMatchObject({ code: "ENOENT" });
  });

  test("closes a connection that came about all the same", async () => {
    // A connection to a Unix socket completes at once.
    const unix = join(tmpdir(), `ringloop-limits-${process.pid}-${isBun ? "bun" : "ring"}`);
    const listener = listenStream({ unix });
    const accepted = listener[Symbol.asyncIterator]();
    for (let i = 0; i < 5; i++) {
      const controller = new AbortController();
      const connecting = connectStream({ unix, signal: controller.signal });
      controller.abort(new Error("enough"));
      expect(await rejection(connecting)).toMatchObject({ message: "enough" });
      const after = await connectStream({ unix });
      await after.write("a"); // One byte comes whole, also where sends fall short.
      for (let text = ""; text !== "a";) {
        const peer = (await accepted.next()).value!;
        text = await peer.next().then(
          ({ value }: { value: unknown }) => String(value ?? "the end"),
          ({ code }: { code: string }) => code,
        );
        expect(text).toMatch(/^(a|the end|ECONNRESET)$/);
        peer.destroy();
      }
      after.destroy();
    }
    listener.stop();
  });

  test("refuses limits that are none", async () => {
    const where = { hostname: "127.0.0.1", port: 1 };
    expect(await rejection(connectStream({ ...where, timeoutMs: -1 }))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    expect(await rejection(connectStream({ ...where, signal: 5 as never }))).toMatchObject({
      message: "signal must be an AbortSignal, not 5",
    });
  });
});

describe("a stream socket", () => {
  test("and its listener say whether they run on the ring", async () => {
    const listener = listenStream({ port: 0, hostname: "127.0.0.1" });
    const socket = await connectStream({ hostname: "127.0.0.1", port: listener.address!.port });
    const accepted = (await listener[Symbol.asyncIterator]().next()).value!;
    expect([listener.ring, socket.ring, accepted.ring]).toEqual(Array(3).fill(!isBun));
    expect(accepted.remoteAddress).toEqual(socket.localAddress!);
    expect(listener.address).toEqual(socket.remoteAddress!);
    await Promise.all([socket[Symbol.asyncDispose](), accepted[Symbol.asyncDispose]()]);
    listener.stop();
  });

  test("answers after the peer's end, and its own end comes after all that was written", async () => {
    const received = Promise.withResolvers<string>();
    const where = await node((peer) => {
      let text = "";
      peer.on("data", (chunk: Buffer) => void (text += chunk.toString("latin1")));
      peer.on("end", () => received.resolve(text));
      peer.end("asks");
    });
    const socket = await connectStream(where);
    let asked = "";
    for await (const chunk of socket) {
      asked += chunk.toString();
      break; // The end of the loop closes the socket.
    }
    expect(asked).toBe("asks");
    await socket.closed;
    expect(await received.promise).toBe("");

    const second = await connectStream(await node((peer) => void peer.end("asks again").pipe(peer)));
    while (!(await second.next()).done);
    await second.end(Buffer.alloc(3_000_000, "x"));
    await second.closed;
  });

  test("of Unix sockets, and refusals, are the same", async () => {
    const unix = `\0ringloop-stream-${process.pid}`;
    const listener = listenStream({ unix });
    const socket = await connectStream({ unix });
    const accepted = (await listener[Symbol.asyncIterator]().next()).value!;
    await socket.write("p"); // One byte, which no short send splits.
    expect(String((await accepted.next()).value)).toBe("p");
    socket.destroy();
    await socket.closed;
    expect((await accepted.next()).done).toBe(true);
    accepted.destroy();
    listener.stop();
    expect(await rejection(connectStream({ unix }))).toMatchObject({
      code: expect.stringMatching(/ECONNREFUSED|ENOENT/),
    });
    expect(await rejection(socket.write("late"))).toMatchObject({
      code: "ERR_SOCKET_CLOSED",
      message: "the socket is closed for writing",
    });
  });

  test("is iterated over, chunk by chunk, to the peer's end", async () => {
    const where = await node((socket) => socket.end("all of it"));
    const socket = await connectStream(where);
    let text = "";
    for await (const chunk of socket) text += chunk.toString();
    expect(text).toBe("all of it");
    await socket.end();
    await socket.closed;
  });

  test("slows the peer down to the speed of iteration, and loses nothing", async () => {
    const body = Buffer.alloc(60_000_000, "0123456789abcdef-");
    let sent = 0;
    const where = await node((socket) => {
      const more = (): void => {
        while (sent < body.length) {
          sent += 100_000;
          if (!socket.write(body.subarray(sent - 100_000, sent))) return;
        }
        socket.end();
      };
      socket.on("drain", more);
      more();
    });
    const socket = await connectStream(where);
    const first = (await socket.next()).value!;
    const chunks: Buffer[] = [first];
    // Nobody reads. The peer still has the bytes that are not in a buffer of the kernel.
    const other = await connectStream(await node((each) => each.pipe(each)));
    for (let i = 0; i < 20; i++) {
      await other.write("turn");
      await other.next();
    }
    expect(sent).toBeLessThan(40_000_000);
    for await (const chunk of socket) chunks.push(chunk);
    expect(md5(Buffer.concat(chunks))).toBe(md5(body));
    other.destroy();
  });

  test("awaits its writes while the peer does not read", async () => {
    const reading = Promise.withResolvers<void>();
    const received = Promise.withResolvers<string>();
    const where = await node((socket) => {
      socket.pause();
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.on("end", () => received.resolve(md5(Buffer.concat(chunks))));
      void reading.promise.then(() => socket.resume());
    });
    const socket = await connectStream({ ...where, writeQueueBytesMax: 65536 });
    const body = Buffer.alloc(30_000_000, "fedcba9876543210-");
    let written = 0;
    const writing = (async () => {
      for (; written < body.length; written += 100_000) await socket.write(body.subarray(written, written + 100_000));
      await socket.end();
    })();
    const elsewhere = await node(() => {});
    const stuck = await Promise.race([
      writing.then(() => "done"),
      connectStream(elsewhere).then((other) => (other.destroy(), "stuck")),
    ]);
    expect(stuck).toBe("stuck");
    expect(written).toBeLessThan(16_000_000);
    reading.resolve();
    await writing;
    expect(await received.promise).toBe(md5(body));
  });

  test("is a pair of web streams", async () => {
    const where = await node((socket) => socket.pipe(socket));
    const socket = await connectStream(where);
    const written = new Response("through web streams").body!.pipeTo(socket.writable as WritableStream<Uint8Array>);
    expect(await new Response(socket.readable).text()).toBe("through web streams");
    await written;
  });

  test("of a listener serves Python, and ends when the loop does", async () => {
    const listener = listenStream({ port: 0, hostname: "127.0.0.1" });
    const serving = (async () => {
      for await (const socket of listener) {
        for await (const chunk of socket) await socket.write(chunk.toString().toUpperCase());
        await socket.end();
        break;
      }
    })();
    const program = `
import socket
s = socket.create_connection(("127.0.0.1", ${listener.address!.port})); s.sendall(b"from python"); s.shutdown(socket.SHUT_WR)
print(s.makefile().read())
`;
    expect((await run(["python3", "-c", program])).stdout.trim()).toBe("FROM PYTHON");
    await serving;
    expect(await rejection(connectStream({ hostname: "127.0.0.1", port: listener.address!.port }))).toMatchObject({
      code: "ECONNREFUSED",
    });
  });

  test("that the peer resets rejects whoever waits", async () => {
    const opened = Promise.withResolvers<NodeSocket>();
    const socket = await connectStream(await node((peer) => opened.resolve(peer)));
    const next = socket.next();
    (await opened.promise).resetAndDestroy();
    expect(await rejection(next)).toMatchObject({ code: "ECONNRESET" });
    expect(await rejection(socket.closed)).toMatchObject({ code: "ECONNRESET" });
    expect(await rejection(socket.write("late"))).toMatchObject({ code: "ECONNRESET" });
  });

  test.skipIf(!isBun)("without a ring is an error where fallback is false", async () => {
    const failure = { code: "ERR_RINGLOOP_LIBRARY" };
    expect(await rejection(connectStream({ hostname: "127.0.0.1", port: 1, fallback: false }))).toMatchObject(failure);
    expect(() => listenStream({ port: 0, fallback: false })).toThrow("/nonexistent.so does not exist");
  });

  test.skipIf(isBun)("leaves nothing when it is disposed of", async () => {
    const { slotsInUse } = reactorStats();
    const where = await node((socket) => socket.pipe(socket));
    for (let i = 0; i < 20; i++) {
      await using socket = await connectStream(where);
      await socket.write("x");
      await socket.next();
    }
    await settled(slotsInUse);
    expect(reactorStats()).toMatchObject({ sendBytesInUse: 0, staleCompletions: 0 });
  });
});
