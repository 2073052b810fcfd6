/**
 * AsyncLocalStorage: the context of each callback of a program, and the isolation of the contexts.
 *
 * Each callback notes the store that it sees, and then enters its own store. No later callback may
 * see that store.
 */
import { describe, expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import type { ServeOptions } from "./subject.ts";
import { connect, files, isBun, listen, serve, subject, udpSocket } from "./subject.ts";
import { fixture, run } from "./process.ts";
import { RawClient } from "./raw-client.ts";
import { closing, frame, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

const als = new AsyncLocalStorage<string>();
const local = { hostname: "127.0.0.1", port: 0 } as const;
const NONE = "none";
const store = (): string => als.getStore() ?? NONE;

/** Notes the store in which the callback of that name runs, and enters another store. */
type Note = (name: string) => void;
type Stores = Record<string, string[]>;

/** `all` resolves with the stores that each callback has seen, when all of `names` were noted. */
function notebook(names: readonly string[]): { note: Note; all: Promise<Stores>; stores: Stores } {
  const stores: Stores = {};
  const { promise, resolve } = Promise.withResolvers<Stores>();
  const note = (name: string): void => {
    const seen = (stores[name] ??= []);
    if (!seen.includes(store())) seen.push(store());
    als.enterWith(`left by ${name}`);
    if (names.every((each) => each in stores)) resolve(stores);
  };
  return { note, all: promise, stores };
}

/** Returns the result in which all of `names` have seen the same store. */
const everywhere = (names: readonly string[], seen: string): Stores =>
  Object.fromEntries(names.map((name) => [name, [seen]]));

/** The way in which the program passes its callbacks: in a context, or outside of every context. */
type HandOver = <T>(start: () => T) => T;

interface Kind {
  what: string;
  callbacks: readonly string[];
  /** Passes the callbacks, and causes their calls. */
  provoke(handOver: HandOver, note: Note, all: Promise<Stores>): Promise<void>;
}

const get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

async function readAnswers(client: RawClient, count: number): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) texts.push((await client.readResponse()).text);
  return texts;
}

/**
 * Starts a server with these options. One connection sends its requests in the given pieces, and
 * then another connection does the same.
 */
function serving(pieces: string[], options: (note: Note) => ServeOptions): Kind["provoke"] {
  return async (handOver, note) => {
    using server = handOver(() => serve({ ...local, development: false, ...options(note) }));
    for (let i = 0; i < 2; i++) {
      using client = await RawClient.connect(server.port);
      for (const piece of pieces) {
        void client.write(piece);
        await readAnswers(client, piece.split(" HTTP/1.1").length - 1);
      }
    }
  };
}

/** Starts a listener that accepts connections and sends nothing. */
function quietPeer(): Bun.TCPSocketListener {
  return Bun.listen({ ...local, socket: { data() {} } });
}

const FLOOD_BYTES = 1 << 24;

const kinds: Kind[] = [
  {
    what: "serve: fetch",
    callbacks: ["fetch"],
    provoke: serving([get + get + get, get], (note) => ({
      fetch() {
        note("fetch");
        return new Response("x");
      },
    })),
  },
  {
    what: "serve: fetch, answering later",
    callbacks: ["fetch"],
    provoke: serving([get, get, get], (note) => ({
      async fetch() {
        note("fetch");
        await new Promise(setImmediate);
        return new Response("x");
      },
    })),
  },
  {
    what: "serve: routes",
    callbacks: ["route", "method"],
    provoke: serving([get.replace("/", "/route"), get.replace("/", "/method")], (note) => ({
      routes: {
        "/route": () => {
          note("route");
          return new Response("x");
        },
        "/method": {
          GET: () => {
            note("method");
            return new Response("x");
          },
        },
      },
    })),
  },
  {
    what: "serve: error, after a handler that throws or rejects",
    callbacks: ["fetch", "error"],
    provoke: serving([get, get.replace("/", "/later")], (note) => ({
      fetch(request) {
        note("fetch");
        if (request.url.endsWith("/later"))
          return new Promise((_resolve, reject) => setImmediate(() => reject(new Error("later"))));
        throw new Error("now");
      },
      error() {
        note("error");
        return new Response("failed", { status: 500 });
      },
    })),
  },
  {
    what: "WebSockets: message, ping, pong, close",
    callbacks: ["message", "ping", "pong", "close"],
    async provoke(handOver, note, all) {
      using server = handOver(() =>
        serveWebSocket({
          message: () => note("message"),
          ping: () => note("ping"),
          pong: () => note("pong"),
          close: () => note("close"),
        }),
      );
      for (let i = 0; i < 2; i++) {
        using client = await WebSocketClient.open(server.port);
        client.send(frame(1, "a"), frame(9, "b"), frame(10, "c"), frame(2, "d"), frame(8, closing(1000)));
        await client.rest();
      }
      await all;
    },
  },
  {
    what: "WebSockets: message, in one piece with the handshake",
    callbacks: ["message"],
    async provoke(handOver, note, all) {
      using server = handOver(() =>
        serveWebSocket(
          { message: () => note("message") },
          {
            async fetch(request, itself) {
              als.enterWith("fetch");
              // Bun would not upgrade later, because more bytes than the head have arrived.
              if (!isBun) await new Promise(setImmediate);
              (itself as any).upgrade(request);
              return undefined as never;
            },
          },
        ),
      );
      using _client = await WebSocketClient.open(server.port, [], frame(1, "first"), frame(1, "second"));
      await all;
    },
  },
  {
    what: "WebSockets: drain",
    callbacks: ["drain"],
    async provoke(handOver, note, all) {
      const websocket = {
        message(socket: Bun.ServerWebSocket) {
          als.enterWith("message");
          for (let sent = 0; socket.send(Buffer.alloc(FLOOD_BYTES)) > 0 && sent < 64; sent++);
        },
        drain: () => note("drain"),
        backpressureLimit: 1 << 30,
      };
      using server = handOver(() => serveWebSocket(websocket));
      using client = await WebSocketClient.open(server.port);
      client.send(frame(1, "go"));
      await all;
    },
  },
  {
    what: "listen: open, data, end, close",
    callbacks: ["open", "data", "end", "close"],
    async provoke(handOver, note, all) {
      using server = handOver(() =>
        listen({
          ...local,
          socket: {
            open: () => note("open"),
            data: () => note("data"),
            end: () => note("end"),
            close: () => note("close"),
          },
        }),
      );
      const clients = await Promise.all([1, 2, 3].map(() => RawClient.connect(server.port)));
      for (const client of clients) {
        await client.write("x");
        client.end();
      }
      for (const client of clients) await client.closed;
      await all;
    },
  },
  {
    what: "listen: drain",
    callbacks: ["drain"],
    async provoke(handOver, note, all) {
      using server = handOver(() =>
        listen({
          ...local,
          socket: {
            open(socket) {
              als.enterWith("open");
              for (let sent = 0; socket.write(Buffer.alloc(FLOOD_BYTES)) === FLOOD_BYTES && sent < 64; sent++);
            },
            data() {},
            drain: () => note("drain"),
          },
        }),
      );
      using _client = await RawClient.connect(server.port);
      await all;
    },
  },
  {
    what: "listen: timeout",
    callbacks: ["timeout"],
    async provoke(handOver, note, all) {
      using server = handOver(() =>
        listen({
          ...local,
          socket: {
            open: (socket) => als.run("open", () => void socket.timeout(1)),
            data() {},
            timeout: () => note("timeout"),
          },
        }),
      );
      using _first = await RawClient.connect(server.port);
      using _second = await RawClient.connect(server.port);
      await all;
    },
  },
  {
    what: "connect: open, data, end, close",
    callbacks: ["open", "data", "end", "close"],
    async provoke(handOver, note, all) {
      using peer = Bun.listen({
        ...local,
        socket: {
          data(socket) {
            socket.write("answer");
            setImmediate(() => socket.end());
          },
        },
      });
      const socket = await handOver(() =>
        connect({
          hostname: "127.0.0.1",
          port: peer.port,
          socket: {
            open: () => note("open"),
            data: () => note("data"),
            end: () => note("end"),
            close: () => note("close"),
          },
        }),
      );
      socket.write("x");
      await all;
    },
  },
  {
    what: "connect: connectError",
    callbacks: ["connectError"],
    async provoke(handOver, note, all) {
      const peer = quietPeer();
      const { port } = peer;
      peer.stop(true);
      const socket = { data() {}, connectError: () => note("connectError") };
      await handOver(() => connect({ hostname: "127.0.0.1", port, socket })).catch(() => {});
      await all;
    },
  },
  {
    what: "udpSocket: data",
    callbacks: ["data"],
    async provoke(handOver, note) {
      const three = Promise.withResolvers<void>();
      let count = 0;
      const data = (): void => {
        note("data");
        if (++count === 3) three.resolve();
      };
      using receiver = await handOver(() => udpSocket({ hostname: "127.0.0.1", socket: { data } }));
      using sender = await udpSocket({ hostname: "127.0.0.1", socket: {} });
      const { port } = receiver;
      sender.sendMany(["1", port, "127.0.0.1", "2", port, "127.0.0.1", "3", port, "127.0.0.1"]);
      await three.promise;
    },
  },
];

const handedOver: { where: string; seen: string; handOver: HandOver }[] = [
  { where: "inside a context", seen: "owner", handOver: (start) => als.run("owner", start) },
  { where: "outside of every context", seen: NONE, handOver: (start) => start() },
];

describe.each(handedOver)("a callback that is handed over $where runs there", ({ handOver, seen }) => {
  test.each(kinds)("$what", async ({ callbacks, provoke }) => {
    const { note, all, stores } = notebook(callbacks);
    await provoke(handOver, note, all);
    expect(stores).toEqual(everywhere(callbacks, seen));
    expect(store()).toBe(NONE);
  });
});

describe.each(handedOver)(
  "a callback that is handed over $where and is called in the middle of the program",
  ({ seen, handOver }) => {
    const seenFrom = (caller: string): string => (seen === NONE ? caller : seen);

    test("runs there, or where upgrade() is called: a WebSocket's open", async () => {
      const stores: string[] = [];
      using server = handOver(() =>
        serveWebSocket(
          { open: () => void stores.push(`open: ${store()}`), message() {} },
          {
            fetch(request, itself) {
              als.run("fetch", () => {
                (itself as any).upgrade(request);
                stores.push(`after: ${store()}`);
              });
              return undefined as never;
            },
          },
        ),
      );
      using _client = await WebSocketClient.open(server.port);
      expect(stores).toEqual([`open: ${seenFrom("fetch")}`, "after: fetch"]);
    });

    test.each(["close", "terminate"] as const)(
      "runs there, or where %s() is called: a WebSocket's close",
      async (end) => {
        const stores: string[] = [];
        const opened = Promise.withResolvers<Bun.ServerWebSocket>();
        using server = handOver(() =>
          serveWebSocket({
            open: (socket) => opened.resolve(socket),
            message() {},
            close() {
              stores.push(`close: ${store()}`);
              if (!isBun) als.enterWith("close"); // In Bun, the caller would go on in this store.
            },
          }),
        );
        using client = await WebSocketClient.open(server.port);
        const socket = await opened.promise;
        als.run("caller", () => {
          socket[end]();
          stores.push(`after: ${store()}`);
        });
        await client.rest();
        expect(stores).toEqual([`close: ${seenFrom("caller")}`, "after: caller"]);
      },
    );

    test("runs there, or where server.fetch() is called: fetch", async () => {
      using server = handOver(() =>
        serve({
          ...local,
          fetch() {
            const text = store();
            if (!isBun || seen !== NONE) als.enterWith("fetch"); // In Bun, the caller would go on in this store.
            return new Response(text);
          },
        }),
      );
      const [text, after] = await als.run("caller", async () => {
        const response = await server.fetch(new Request(server.url.href));
        return [await response.text(), store()];
      });
      expect([text, after]).toEqual([seenFrom("caller"), "caller"]);
    });

    test("runs there, or where the failed handler was: a WebSocket's error", async () => {
      const failed = Promise.withResolvers<string>();
      const websocket = {
        message() {
          als.enterWith("message");
          throw new Error("on purpose");
        },
        error: () => failed.resolve(store()),
      };
      using server = handOver(() => serveWebSocket(websocket));
      using client = await WebSocketClient.open(server.port);
      client.send(frame(1, "x"));
      expect(await failed.promise).toBe(seenFrom("message"));
    });

    test("runs there, or where the failed handler was: a socket's error", async () => {
      const failed = Promise.withResolvers<string>();
      using server = handOver(() =>
        listen({
          ...local,
          socket: {
            data() {
              als.enterWith("data");
              throw new Error("on purpose");
            },
            error: () => failed.resolve(store()),
          },
        }),
      );
      using client = await RawClient.connect(server.port);
      await client.write("x");
      expect(await failed.promise).toBe(seenFrom("data"));
    });

    test("runs there, or where the failed handler was: a datagram socket's error", async () => {
      const failed = Promise.withResolvers<string>();
      using receiver = await handOver(() =>
        udpSocket({
          hostname: "127.0.0.1",
          socket: {
            data() {
              als.enterWith("data");
              throw new Error("on purpose");
            },
            error: () => failed.resolve(store()),
          },
        }),
      );
      using sender = await udpSocket({ hostname: "127.0.0.1", socket: {} });
      sender.send("x", receiver.port, "127.0.0.1");
      expect(await failed.promise).toBe(seenFrom("data"));
    });
  },
);

describe("what reload() is given runs where reload() was called", () => {
  test("of a server", async () => {
    const websocket = { message: (socket: Bun.ServerWebSocket) => void socket.send(store()) };
    const fetch: ServeOptions["fetch"] = (request, itself) =>
      (itself as any).upgrade(request) ? (undefined as never) : new Response(store());
    using server = als.run("serve", () => serve({ ...local, development: false, fetch, websocket }));
    using socket = await WebSocketClient.open(server.port);
    const asked = async (path = ""): Promise<string> => (await globalThis.fetch(`${server.url}${path}`)).text();
    expect(await asked()).toBe("serve");
    als.run("first reload", () => server.reload({ routes: { "/route": () => new Response(store()) } } as never));
    expect([await asked(), await asked("route")]).toEqual(["serve", "first reload"]);
    als.run("second reload", () => server.reload({ fetch, websocket } as never));
    expect(await asked()).toBe("second reload");
    socket.send(frame(1, "x"));
    expect(await socket.next()).toEqual([1, "second reload"]);
    const failing = (): never => {
      throw new Error("on purpose");
    };
    als.run("third reload", () => server.reload({ fetch: failing, error: () => new Response(store()) } as never));
    expect(await asked()).toBe("third reload");
    server.reload({ fetch } as never);
    expect(await asked()).toBe(NONE);
  });

  test("of a listener, and of a socket", async () => {
    const opened = Promise.withResolvers<{ reload(options: unknown): void }>();
    const answering = (name: string) => ({
      data: (socket: { write(text: string): unknown }) => void socket.write(`${name} in ${store()};`),
    });
    using server = als.run("listen", () =>
      listen({ ...local, socket: { open: (socket) => opened.resolve(socket as never), ...answering("first") } }),
    );
    using client = await RawClient.connect(server.port);
    const asked = async (): Promise<string> => {
      await client.write("x");
      return client.readUntil(";");
    };
    const socket = await opened.promise;
    expect(await asked()).toBe("first in listen;");
    als.run("listener.reload", () => server.reload({ socket: answering("second") as never }));
    expect(await asked()).toBe("second in listener.reload;");
    als.run("socket.reload", () => socket.reload({ socket: answering("third") }));
    expect(await asked()).toBe("third in socket.reload;");
    socket.reload({ socket: answering("fourth") });
    expect(await asked()).toBe("fourth in none;");
  });
});

describe("what a handler leaves behind goes on in its context", () => {
  test("promise jobs, ticks, immediates and timers", async () => {
    const stores: Record<string, string> = {};
    const over = Promise.withResolvers<void>();
    const put = (name: string) => (): void => {
      stores[name] = store();
      if (Object.keys(stores).length === 6) over.resolve();
    };
    using server = als.run("serve", () =>
      serve({
        ...local,
        fetch() {
          queueMicrotask(put("job before"));
          process.nextTick(put("tick before"));
          als.enterWith("fetch");
          queueMicrotask(put("job"));
          process.nextTick(put("tick"));
          setImmediate(put("immediate"));
          setTimeout(put("timer"));
          return new Response("x");
        },
      }),
    );
    await (await fetch(server.url)).text();
    await over.promise;
    expect(stores).toEqual({
      "job before": "serve",
      "tick before": "serve",
      job: "fetch",
      tick: "fetch",
      immediate: "fetch",
      timer: "fetch",
    });
  });

  test("a response's stream, in the context in which it was made", async () => {
    const { note, all, stores } = notebook(["start", "pull", "cancel"]);
    using server = als.run("serve", () =>
      serve({
        ...local,
        fetch() {
          als.enterWith("fetch");
          const stream = als.run("make", () => {
            const source = {
              start: () => note("start"),
              async pull(controller: ReadableStreamDefaultController<Uint8Array>) {
                note("pull");
                await new Promise(setImmediate);
                controller.enqueue(Buffer.from("x"));
              },
              cancel: () => note("cancel"),
            };
            return new ReadableStream(source, { highWaterMark: 0 });
          });
          return new Response(stream);
        },
      }),
    );
    using client = await RawClient.connect(server.port);
    await client.write(get);
    await client.readUntil("x\r\n1\r\nx");
    client.reset();
    await all;
    expect(stores).toEqual(everywhere(["start", "pull", "cancel"], "make"));
  });

  test("reading a request's body, whole, in pieces, and through streams of its own", async () => {
    const stores: string[] = [];
    const put = (name: string): void => {
      stores.push(`${name}: ${store()}`);
      als.enterWith(`left by ${name}`);
    };
    const readers: Record<string, (request: Request) => Promise<unknown>> = {
      async text(request) {
        await request.text();
        put("text");
      },
      async chunks(request) {
        for await (const _ of request.body as unknown as AsyncIterable<Uint8Array>) stores.push(`chunk: ${store()}`);
        put("end");
      },
      pipe: (request) =>
        request.body!.pipeTo(new WritableStream({ write: () => put("write"), close: () => put("close") })),
      transform(request) {
        const pieces = new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            put("transform");
            controller.enqueue(chunk);
          },
          flush: () => put("flush"),
        });
        return new Response(request.body!.pipeThrough(pieces as never)).text();
      },
    };
    using server = als.run("serve", () =>
      serve({
        ...local,
        fetch: (request) =>
          als.run("fetch", async () => {
            await readers[new URL(request.url).pathname.slice(1)]!(request);
            return new Response("x");
          }),
      }),
    );
    for (const name in readers) {
      using client = await RawClient.connect(server.port);
      await client.write(`POST /${name} HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n`);
      await client.write("aaaaa");
      await new Promise((resolve) => setTimeout(resolve, 1)); // The result must be the same for one piece and for two.
      await client.write("bbbbb");
      await client.readResponse();
    }
    expect([...new Set(stores)].toSorted()).toEqual(
      ["chunk", "close", "end", "flush", "text", "transform", "write"].map((name) => `${name}: fetch`),
    );
  });

  test("what waits for connect(), udpSocket(), stop() and a file", async () => {
    using peer = quietPeer();
    const seen = await als.run("caller", async () => {
      const stores: string[] = [];
      const socket = await connect({ hostname: "127.0.0.1", port: peer.port, socket: { data() {} } });
      stores.push(store());
      socket.terminate();
      const datagrams = await udpSocket({ hostname: "127.0.0.1", socket: {} });
      stores.push(store());
      datagrams.close();
      await serve({ ...local, fetch: () => new Response("x") }).stop(true);
      stores.push(store());
      await files.stat(import.meta.path);
      stores.push(store());
      await files.stat(`${import.meta.path}.not-there`).catch(() => stores.push(store()));
      return stores;
    });
    expect(seen).toEqual(["caller", "caller", "caller", "caller", "caller"]);
  });

  test.skipIf(isBun)("what waits for a stream socket, or iterates over a listener or a socket", async () => {
    const { connectStream, listenStream, useReactor } = await import("../../src/index.ts");
    using listener = listenStream(local);
    const { port } = listener.address!;
    const server = als.run("server", async () => {
      for await (const socket of listener) {
        const stores = [store()];
        for await (const _ of socket) stores.push(store());
        await socket.end("x");
        stores.push(store());
        return stores;
      }
      throw new Error("nobody has connected");
    });
    const client = await als.run("client", async () => {
      const socket = await connectStream({ hostname: "127.0.0.1", port });
      const stores = [store()];
      await socket.end("x");
      stores.push(store());
      for await (const _ of socket) stores.push(store());
      await useReactor().nop();
      stores.push(store());
      return stores;
    });
    expect([client, await server]).toEqual([Array(4).fill("client"), Array(3).fill("server")]);
  });
});

describe("a listener of request.signal", () => {
  test("runs outside of every context when the client leaves, and sees nothing of another's", async () => {
    const clients = 8;
    const stores: string[] = [];
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    let count = 0;
    using server = als.run("serve", () =>
      serve({
        ...local,
        fetch(request) {
          als.run("fetch", () =>
            request.signal.addEventListener("abort", () => {
              stores.push(store());
              als.enterWith("left by abort");
              if (stores.length === clients) tell();
            }),
          );
          if (++count === clients) arrive();
          return new Promise<Response>(() => {});
        },
      }),
    );
    const opened = await Promise.all(Array.from({ length: clients }, () => RawClient.connect(server.port)));
    for (const client of opened) void client.write(get);
    await arrived;
    for (const client of opened) client.reset();
    await told;
    expect(stores).toEqual(Array.from({ length: clients }, () => NONE));
  });

  test("runs where stop(true) is called", async () => {
    const stores: string[] = [];
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const server = als.run("serve", () =>
      serve({
        ...local,
        fetch(request) {
          request.signal.addEventListener("abort", () => {
            stores.push(`abort: ${store()}`);
            if (!isBun) als.enterWith("abort"); // In Bun, the caller would go on in this store.
          });
          arrive();
          return new Promise<Response>(() => {});
        },
      }),
    );
    using client = await RawClient.connect(server.port);
    void client.write(get);
    await arrived;
    await new Promise(setImmediate); // If the handler is still running, Bun aborts later.
    als.run("caller", () => {
      void server.stop(true);
      stores.push(`after: ${store()}`);
    });
    await client.closed;
    expect(stores).toEqual(["abort: caller", "after: caller"]);
  });
});

test.skipIf(isBun)("a ring that is loaded inside a context does not stay in it", async () => {
  const { stdout } = await run([process.execPath, fixture("loaded-in-a-context.ts")], "", { RINGLOOP_MODE: subject });
  expect(JSON.parse(stdout)).toEqual({ loaded: "first", fetch: [NONE, NONE], abort: NONE });
});
