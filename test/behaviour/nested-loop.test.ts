/**
 * Handlers that run the event loop themselves, as `expect(promise).resolves` of bun:test does.
 * Meanwhile the ring goes on and serves other connections. Bytes for the connection of the handler
 * wait where they must.
 */
import { expect, test } from "bun:test";
import { RawClient } from "./raw-client.ts";
import { connect, isBun, listen, reactorStats, serve, settled, udpSocket } from "./subject.ts";
import { frame, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

/** Runs Bun's loop until `promise` is settled. */
function block(promise: Promise<unknown>): void {
  expect(promise.then(() => "settled")).resolves.toBe("settled");
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\nName: of ${path}\r\n\r\n`;

/**
 * For tests that Bun's own functions fail. Bun loses the answer of an HTTP handler that runs the
 * loop, misreads the next WebSocket frame, fires no second timeout, delivers no second datagram,
 * and does not report a client that leaves.
 */
const testRing = test.skipIf(isBun);

test("a socket's handler waits for another socket's data, and for its own", async () => {
  const order: string[] = [];
  const began = Promise.withResolvers<void>();
  const other = Promise.withResolvers<void>();
  const own = Promise.withResolvers<void>();
  using server = listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        const text = bytes.toString();
        order.push(text);
        if (text === "begin") began.resolve();
        if (text === "other") other.resolve();
        if (text === "own") own.resolve();
        if (text !== "begin") return;
        block(other.promise);
        socket.write("send your own");
        block(own.promise);
        socket.write("done");
      },
    },
  });
  using first = await RawClient.connect(server.port);
  using second = await RawClient.connect(server.port);
  await first.write("begin");
  await began.promise;
  await second.write("other");
  await first.readUntil("send your own");
  await first.write("own");
  await first.readUntil("done");
  expect(order).toEqual(["begin", "other", "own"]);
});

test("what came while a socket was paused waits for the rest of it, and for the end, which is told once", async () => {
  const ended = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let bytes = 0;
  let calls = 0;
  let depth = 0;
  let ends = 0;
  using server = listen({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      data(socket, { length }) {
        bytes += length;
        if (++calls === 1) {
          socket.pause();
          setTimeout(() => socket.resume(), 20); // Until then, all bytes have arrived.
        } else {
          depth++;
          block(ended.promise);
        }
      },
      end(socket) {
        ends++;
        ended.resolve();
        setTimeout(() => socket.end(), 20); // After the waiting handlers have gone on.
      },
      close: () => closed.resolve(),
    },
  });
  using client = await RawClient.connect(server.port);
  await client.write(Buffer.alloc(150_000));
  client.end();
  await closed.promise;
  expect({ bytes, ends }).toEqual({ bytes: 150_000, ends: 1 });
  expect(depth).toBeGreaterThan(0);
});

test("a client's continuation waits for what the ring has yet to bring", async () => {
  const answer = Promise.withResolvers<string>();
  using server = listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket, bytes) => void socket.write(bytes) },
  });
  const socket = await connect({
    hostname: "127.0.0.1",
    port: server.port,
    socket: { data: (_, bytes) => answer.resolve(bytes.toString()) },
  });
  socket.write("echo");
  expect(answer.promise).resolves.toBe("echo");
  socket.terminate();
});

testRing("an HTTP handler waits: others are served, and its own client's next requests wait their turn", async () => {
  const gate = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  const order: string[] = [];
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      order.push(pathname);
      began.resolve();
      if (pathname === "/open") gate.resolve();
      if (pathname === "/wait") block(gate.promise);
      // The request object still has its own values.
      expect([new URL(request.url).pathname, request.headers.get("name")]).toEqual([pathname, `of ${pathname}`]);
      return new Response(pathname + (await request.text()));
    },
  });
  using client = await RawClient.connect(server.port);
  using opener = await RawClient.connect(server.port);
  // The last request arrives in its own piece while the handler of the first one runs the loop.
  await client.write(
    get("/wait") +
      get("/behind") +
      "POST /body HTTP/1.1\r\nHost: a\r\nName: of /body\r\nContent-Length: 10\r\n\r\n01234",
  );
  await began.promise;
  await client.write(`56789${get("/last")}`);
  await opener.write(get("/other"));
  expect((await opener.readResponse()).text).toBe("/other");
  await opener.write(get("/open"));
  expect((await opener.readResponse()).text).toBe("/open");
  for (const text of ["/wait", "/behind", "/body0123456789", "/last"])
    expect((await client.readResponse()).text).toBe(text);
  expect(order.filter((path) => !path.startsWith("/o"))).toEqual(["/wait", "/behind", "/body", "/last"]);
  await server.stop(true);
});

testRing("a handler that is called by what was held waits for an answer to what is written behind it", async () => {
  const gates = { "/first": Promise.withResolvers<void>(), "/second": Promise.withResolvers<void>() };
  const began = Promise.withResolvers<void>();
  let peer: { write(text: string): unknown } | undefined;
  using sockets = listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void (peer = socket),
      data: () => gates["/second"].resolve(),
    },
  });
  using far = await RawClient.connect(sockets.port);
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch(request) {
      const { pathname } = new URL(request.url);
      began.resolve();
      if (pathname === "/open") gates["/first"].resolve();
      else if (pathname === "/between") peer!.write("go");
      else block(gates[pathname as keyof typeof gates].promise);
      return new Response(pathname);
    },
  });
  using client = await RawClient.connect(server.port);
  using opener = await RawClient.connect(server.port);
  await client.write(get("/first") + get("/between"));
  await began.promise;
  await client.write(get("/second"));
  await opener.write(get("/open"));
  await far.readUntil("go");
  await far.write("gone");
  for (const path of ["/first", "/between", "/second"]) expect((await client.readResponse()).text).toBe(path);
  await server.stop(true);
});

testRing("a timeout's handler waits for another timeout", async () => {
  const other = Promise.withResolvers<void>();
  let fired = 0;
  using server = listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => socket.timeout(1),
      data() {},
      timeout(socket) {
        if (++fired === 1) block(other.promise);
        else other.resolve();
        socket.end();
      },
    },
  });
  using first = await RawClient.connect(server.port);
  using second = await RawClient.connect(server.port);
  expect(await Promise.all([first.closed, second.closed])).toEqual(["end", "end"]);
  expect(fired).toBe(2);
});

testRing("a client that goes while its handler waits leaves nothing", async () => {
  const slots = isBun ? 0 : reactorStats().slotsInUse;
  const gone = Promise.withResolvers<void>();
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch(request) {
      request.signal.addEventListener("abort", () => gone.resolve());
      block(gone.promise);
      return new Response("late");
    },
  });
  using client = await RawClient.connect(server.port);
  const closed = client.closed;
  await client.write(get("/"));
  client.reset();
  await closed;
  await gone.promise;
  await server.stop(true);
  if (!isBun) await settled(slots);
});

testRing("who is told that a request timed out waits for others, while the client goes", async () => {
  const slots = isBun ? 0 : reactorStats().slotsInUse;
  const began = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const both = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch(request, self) {
      const { pathname } = new URL(request.url);
      if (pathname === "/open") gate.resolve();
      if (pathname === "/b") both.resolve();
      if (pathname === "/a" || pathname === "/b") return both.promise.then(() => new Response(pathname));
      if (pathname !== "/never") return new Response(pathname);
      request.signal.addEventListener("abort", () => {
        began.resolve();
        block(gate.promise);
        told.resolve();
      });
      self.timeout(request, 1);
      return new Promise<Response>(() => {});
    },
  });
  using client = await RawClient.connect(server.port);
  using first = await RawClient.connect(server.port);
  using second = await RawClient.connect(server.port);
  await client.write(get("/never"));
  await began.promise;
  client.reset();
  for (const path of ["/before", "/open"]) {
    await first.write(get(path));
    expect((await first.readResponse()).text).toBe(path);
  }
  await told.promise;
  // The object that served the ended connection may serve only one of these two.
  await first.write(get("/a"));
  await second.write(get("/b"));
  expect((await Promise.all([first.readResponse(), second.readResponse()])).map(({ text }) => text)).toEqual([
    "/a",
    "/b",
  ]);
  await server.stop(true);
  if (!isBun) await settled(slots);
});

testRing("a UDP socket's handler waits for its next datagram, and closes the socket meanwhile", async () => {
  const slots = isBun ? 0 : reactorStats().slotsInUse;
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const socket = await udpSocket({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(self, bytes) {
        const text = bytes.toString();
        order.push(text);
        if (text === "next") {
          self.close();
          setTimeout(() => gate.resolve(), 20); // Until then, the close is complete.
        }
        if (text !== "wait") return;
        block(gate.promise);
        order.push("over");
        over.resolve();
      },
    },
  });
  const client = await udpSocket({ hostname: "127.0.0.1", connect: { hostname: "127.0.0.1", port: socket.port } });
  client.send("wait");
  client.send("next");
  await over.promise;
  expect(order).toEqual(["wait", "next", "over"]);
  expect(socket.closed).toBe(true);
  client.close();
  if (!isBun) await settled(slots);
});

testRing("a WebSocket's handler waits: the next messages come after it, in order and whole", async () => {
  const gate = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  const seen: string[] = [];
  const server = serveWebSocket({
    message(socket, message) {
      seen.push(String(message));
      began.resolve();
      if (message === "open") gate.resolve();
      if (message === "wait") block(gate.promise);
      socket.send(message);
    },
  });
  using client = await WebSocketClient.open(server.port!);
  using opener = await WebSocketClient.open(server.port!);
  const text = (payload: string): Buffer => frame(1, payload);
  const large = text("x".repeat(5000));
  client.send(text("wait"), text("second"), large.subarray(0, 100));
  await began.promise;
  client.send(large.subarray(100), text("last"));
  opener.send(text("other"));
  expect(await opener.next()).toEqual([1, "other"]);
  opener.send(text("open"));
  expect(await opener.next()).toEqual([1, "open"]);
  for (const payload of ["wait", "second", "x".repeat(5000), "last"]) expect(await client.next()).toEqual([1, payload]);
  client[Symbol.dispose]();
  opener[Symbol.dispose]();
  await server.stop(true);
});

test("turns inside turns inside turns", async () => {
  const gates = Array.from({ length: 20 }, () => Promise.withResolvers<void>());
  using server = listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        const level = Number(bytes.toString());
        gates[level - 1]?.resolve();
        if (level < 19) block(gates[level]!.promise);
        socket.write("out");
      },
    },
  });
  const clients: RawClient[] = [];
  for (let level = 0; level < 20; level++) {
    const client = await RawClient.connect(server.port);
    clients.push(client);
    await client.write(String(level));
  }
  for (const client of clients) await client.readUntil("out");
  for (const client of clients) client[Symbol.dispose]();
});

testRing("requests of a client that sends much wait unchanged while a handler runs the loop", async () => {
  const COUNT = 4000;
  const ROUNDS = 4;
  const all = Array.from({ length: COUNT * ROUNDS }, (_, i) => i);
  const seen: Record<string, number[]> = { a: [], b: [] };
  const sawMuch = Promise.withResolvers<void>();
  const roundOf = (sender: string, round: number): string =>
    all
      .slice(round * COUNT, (round + 1) * COUNT)
      .map((i) => `GET /${i} HTTP/1.1\r\nHost: a\r\nName: ${sender}\r\n\r\n`)
      .join("");
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch({ url, headers }) {
      const sender = headers.get("name")!;
      const numbers = seen[sender]!;
      numbers.push(Number(new URL(url).pathname.slice(1)));
      if (seen["b"]!.length === all.length) sawMuch.resolve();
      // In the last round, the rest of what this client has sent waits where it was received.
      if (sender === "a" && numbers.length === all.length - COUNT / 2) {
        second.write(roundOf("b", ROUNDS - 1));
        block(sawMuch.promise);
      }
      return new Response(sender);
    },
  });
  using first = await RawClient.connect(server.port);
  using second = await RawClient.connect(server.port);
  for (let round = 0; round < ROUNDS; round++) {
    await first.write(roundOf("a", round));
    if (round < ROUNDS - 1) await second.write(roundOf("b", round));
    for (const client of [first, second]) for (let i = 0; i < COUNT; i++) await client.readResponse();
  }
  expect(seen).toEqual({ a: all, b: all });
});
