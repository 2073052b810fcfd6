/** From a request to a WebSocket: `server.upgrade` (RFC 6455 section 4.2). */
import { describe, expect, test } from "bun:test";
import { fixture, Program } from "./process.ts";
import { ask, RawClient } from "./raw-client.ts";
import { isBun, serve, type Server } from "./subject.ts";
import {
  closing,
  frame,
  handshake,
  handshakeFields,
  serveEcho,
  serveWebSocket,
  WebSocketClient,
} from "./websocket-client.ts";

const field = (head: string, name: string): string | undefined =>
  new RegExp(`^${name}: ([^\\r]*)\\r$`, "im").exec(head)?.[1];
const [upgradeField, connectionField, versionField, keyField] = handshakeFields as [string, string, string, string];

/** Starts a server with the given `upgrade` as its handler. */
function serveUpgrade(upgrade: (request: Request, server: any) => unknown, more: object = {}): Server {
  return serveWebSocket({ message: (socket, text) => void socket.send(text), ...more }, { fetch: upgrade as never });
}

describe("a handshake is accepted", () => {
  for (const [name, fields] of Object.entries({
    "as clients send it": handshakeFields,
    "with names and tokens in any case": ["UPGRADE: WebSocket", "connection: UPGRADE", versionField, keyField],
    "among other protocols and options": [
      "Upgrade: h2c, websocket",
      "Connection: keep-alive, Upgrade",
      versionField,
      keyField,
    ],
  })) {
    test(name, async () => {
      using server = serveEcho();
      using client = await RawClient.connect(server.port);
      void client.write(handshake(fields));
      const head = await client.readUntil("\r\n\r\n");
      expect(head).toStartWith("HTTP/1.1 101 Switching Protocols\r\n");
      expect(field(head, "Upgrade")).toBe("websocket");
      expect(field(head, "Connection")).toBe("Upgrade");
      // The example of section 1.3: the key and its answer.
      expect(field(head, "Sec-WebSocket-Accept")).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
      expect(field(head, "Sec-WebSocket-Extensions")).toBeUndefined();
    });
  }
});

describe("a handshake is refused, and the handler answers", () => {
  const bad: Record<string, string> = {
    "without Upgrade": handshake([connectionField, versionField, keyField]),
    "to another protocol": handshake(["Upgrade: h2c", connectionField, versionField, keyField]),
    "without a key": handshake([upgradeField, connectionField, versionField]),
    "with a short key": handshake([upgradeField, connectionField, versionField, "Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="]),
    "with a key that is not base64": handshake([
      upgradeField,
      connectionField,
      versionField,
      `Sec-WebSocket-Key: ${"!".repeat(22)}==`,
    ]),
    "by POST": handshake().replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
    // Bun accepts these handshakes.
    ...(!isBun && {
      "without Connection": handshake([upgradeField, versionField, keyField]),
      "in HTTP/1.0": handshake().replace("HTTP/1.1", "HTTP/1.0"),
    }),
  };
  for (const [name, request] of Object.entries(bad)) {
    test(name, async () => {
      using server = serveEcho();
      expect(await ask(server.port, request)).toMatchObject({ status: 400, text: "no" });
      expect(server.pendingWebSockets).toBe(0);
    });
  }

  for (const version of ["Sec-WebSocket-Version: 8", "X-None: x"]) {
    test(`and told the right version, 426: ${version}`, async () => {
      using server = serveEcho();
      const answer = await ask(server.port, handshake([upgradeField, connectionField, version, keyField]));
      expect(answer.status).toBe(426);
      expect(answer.headers.get("sec-websocket-version")).toEqual(["13"]);
      expect(answer.headers.get("connection")).toEqual(["close"]);
    });
  }
});

describe("upgrade", () => {
  test("gives data and headers, and opens the socket before it returns", async () => {
    const seen: unknown[] = [];
    using server = serveUpgrade(
      (request, server) => {
        const headers = new Headers({ "X-Made": "here", "Sec-WebSocket-Protocol": "b" });
        headers.append("Set-Cookie", "a=1");
        headers.append("Set-Cookie", "b=2");
        seen.push(server.upgrade(request, { headers, data: { name: "é" } }), server.pendingWebSockets);
        seen.push(server.upgrade(request));
      },
      { open: (socket: any) => seen.push("open", socket.data) },
    );
    using client = await WebSocketClient.open(server.port, ["Sec-WebSocket-Protocol: a, b"]);
    expect(seen).toEqual(["open", { name: "é" }, true, 1, false]);
    expect(field(client.head, "X-Made")).toBe("here");
    expect(client.head.match(/^set-cookie: (a=1|b=2)\r$/gim)).toHaveLength(2);
    expect(client.head.match(/^sec-websocket-protocol: /gim)).toHaveLength(1);
    expect(field(client.head, "Sec-WebSocket-Protocol")).toBe("b");
  });

  test("chooses the client's first subprotocol where the program does not choose", async () => {
    using server = serveEcho();
    using client = await WebSocketClient.open(server.port, ["Sec-WebSocket-Protocol: chat.v2, chat.v1"]);
    expect(field(client.head, "Sec-WebSocket-Protocol")).toBe("chat.v2");
    using plain = await WebSocketClient.open(server.port);
    expect(field(plain.head, "Sec-WebSocket-Protocol")).toBeUndefined();
  });

  test("works after an await", async () => {
    using server = serveUpgrade(async (request, server) => {
      await Bun.sleep(1);
      server.upgrade(request, { data: 1 });
    });
    using client = await WebSocketClient.open(server.port);
    client.send(frame(1, "hello"));
    expect(await client.next()).toEqual([1, "hello"]);
    expect([server.pendingRequests, server.pendingWebSockets]).toEqual([0, 1]);
  });

  test("works in a route", async () => {
    using server = serveWebSocket(
      { message: (socket, text) => void socket.send(`${(socket.data as any).room}: ${String(text)}`) },
      {
        routes: {
          "/rooms/:room": (request: any, server: any) => server.upgrade(request, { data: request.params }) as never,
        } as never,
        fetch: () => new Response("not a room", { status: 404 }),
      },
    );
    using client = await RawClient.connect(server.port);
    void client.write(Buffer.concat([Buffer.from(handshake(handshakeFields, "/rooms/blue")), frame(1, "hi")]));
    await client.readUntil("\r\n\r\n");
    expect((await client.readBytes(10)).toString("utf8", 2)).toBe("blue: hi");
    expect((await ask(server.port, handshake())).status).toBe(404);
  });

  // Bun ends the connection if frames arrive before an awaited upgrade.
  for (const later of isBun ? [false] : [false, true]) {
    test(`loses nothing that came with the handshake${later ? ", after an await" : ""}`, async () => {
      using server = serveUpgrade((request, server) => {
        if (!later) return void server.upgrade(request);
        return Bun.sleep(5).then(() => void server.upgrade(request));
      });
      using client = await WebSocketClient.open(
        server.port,
        [],
        frame(1, "early"),
        frame(9, "bird"),
        frame(8, closing(1000)),
      );
      expect(await client.rest()).toEqual([
        [1, "early"],
        [10, "bird"],
        [8, 1000],
      ]);
    });
  }

  // As above. The client ends its side while the handler blocks the thread, so the server sees the
  // end together with the upgrade.
  test.skipIf(isBun)(
    "loses nothing that came with the handshake of a client that has ended its side by then",
    async () => {
      const messages: unknown[] = [];
      const closed = Promise.withResolvers<void>();
      using server = serveUpgrade(
        async (request, server) => {
          await Bun.sleep(1); // With timers, the bytes that a job writes wait for the next turn.
          process.kill(client.pid, "SIGUSR1");
          Bun.sleepSync(50);
          server.upgrade(request);
        },
        { message: (_: unknown, text: unknown) => void messages.push(text), close: () => closed.resolve() },
      );
      const bytes = Buffer.concat([Buffer.from(handshake(handshakeFields)), frame(1, "one"), frame(1, "two")]);
      const command = [process.execPath, fixture("ends-on-signal.ts"), String(server.port), bytes.toString("base64")];
      await using client = new Program(command);
      await closed.promise;
      expect(messages).toEqual(["one", "two"]);
    },
  );

  // As above.
  test.skipIf(isBun)("takes much that came before it, in order, and goes on reading", async () => {
    using server = serveUpgrade((request, server) => Bun.sleep(20).then(() => void server.upgrade(request)));
    const raw = await RawClient.connect(server.port);
    using client = raw;
    const payload = Buffer.alloc(1000, "x");
    const early = Array.from({ length: 300 }, (_, i) => frame(1, `${i} ${payload.toString()}`));
    void client.write(Buffer.concat([Buffer.from(handshake()), ...early]));
    await client.readUntil("\r\n\r\n");
    void client.write(frame(1, "300 late"));
    for (let i = 0; i < 300; i++) {
      const [, second = 0] = await client.readBytes(2);
      expect(second).toBe(126);
      const length = (await client.readBytes(2)).readUInt16BE();
      expect((await client.readBytes(length)).toString()).toStartWith(`${i} x`);
    }
    expect((await client.readBytes(10)).toString("utf8", 2)).toBe("300 late");
  });

  test("makes the handler's Response superfluous, and its failure harmless to the socket", async () => {
    for (const end of [
      () => new Response("ignored"),
      () => Promise.resolve(new Response("ignored")),
      // Bun does not call error() here, so the rejection is unhandled.
      ...(isBun ? [] : [() => Promise.reject(new Error("after the upgrade"))]),
    ]) {
      using server = serveWebSocket(
        { message: (socket, text) => void socket.send(text) },
        { fetch: (request, server) => ((server as any).upgrade(request), end()), error: () => new Response("ignored") },
      );
      using client = await WebSocketClient.open(server.port);
      client.send(frame(1, "alive"));
      expect(await client.next()).toEqual([1, "alive"]);
    }
  });

  for (const [what, respond] of [
    [
      "a stream",
      (upgrade: () => void) =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              controller.enqueue("a");
              await Bun.sleep(5);
              upgrade();
              controller.enqueue("b");
              controller.close();
            },
          }),
        ),
    ],
    [
      "a generator",
      (upgrade: () => void) =>
        new Response(
          (async function* () {
            yield "a";
            await Bun.sleep(5);
            upgrade();
            yield "b";
          })() as never,
        ),
    ],
    ["a text", (upgrade: () => void) => (setTimeout(upgrade, 5), new Response("ab"))],
  ] as const) {
    test(`is refused once the response has begun, with ${what}, and harms no other request`, async () => {
      const upgraded = Promise.withResolvers<boolean>();
      using server = serveUpgrade((request, server) => {
        if (new URL(request.url).pathname === "/") return respond(() => upgraded.resolve(server.upgrade(request)));
        return upgraded.promise.then(async () => {
          await Bun.sleep(5);
          return new Response("another");
        });
      });
      using client = await RawClient.connect(server.port);
      await client.write(handshake());
      const others = Array.from({ length: 5 }, () => ask(server.port, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n"));
      expect(await upgraded.promise).toBe(false);
      expect((await client.readResponse()).text).toBe("ab");
      expect((await Promise.all(others)).map(({ text }) => text)).toEqual(Array(5).fill("another"));
      await client.write("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
      expect((await client.readResponse()).text).toBe("another");
      expect([server.pendingRequests, server.pendingWebSockets]).toEqual([0, 0]);
    });
  }

  test("happens once, though reading its options upgrades, too", async () => {
    const results: boolean[] = [];
    using server = serveUpgrade((request, server) => {
      const headers = {
        get "X-Made"() {
          results.push(server.upgrade(request));
          return "here";
        },
      };
      results.push(server.upgrade(request, { headers }));
    });
    using client = await WebSocketClient.open(server.port);
    client.send(frame(1, "alive"));
    expect(await client.next()).toEqual([1, "alive"]);
    expect(results).toEqual([true, false]);
    expect([server.pendingRequests, server.pendingWebSockets]).toEqual([0, 1]);
  });

  test("takes the requests of its own network alone, and says what is wrong with its options", async () => {
    const errors: unknown[] = [];
    using server = serveUpgrade((request, server) => {
      expect(server.upgrade(new Request("http://127.0.0.1/"))).toBe(false);
      for (const wrong of [
        () => server.upgrade({}),
        () => server.upgrade(request, 5),
        () => server.upgrade(request, { headers: 5 }),
      ]) {
        try {
          wrong();
        } catch (error) {
          errors.push(error);
        }
      }
      return new Response("still to be answered");
    });
    expect((await ask(server.port, handshake())).text).toBe("still to be answered");
    expect(errors).toHaveLength(3);
    for (const error of errors) expect(error).toBeInstanceOf(TypeError);
  });
});

test("names one subprotocol, the first that the program gives", async () => {
  for (const given of ["chat", "chat, tail", " chat,tail"]) {
    using server = serveWebSocket(
      {
        open: (socket) =>
          void socket.send(
            String(
              socket.cork(function (this: unknown, each) {
                return this === socket && each === socket;
              }),
            ),
          ),
      },
      {
        fetch: (request, self) =>
          ((self as any).upgrade(request, { headers: { "Sec-WebSocket-Protocol": given } })
            ? undefined
            : new Response("no", { status: 400 })) as Response,
      },
    );
    using client = await WebSocketClient.open(server.port, ["Sec-WebSocket-Protocol: other, chat"]);
    expect(client.head.match(/^sec-websocket-protocol: .*$/gim)?.map((line) => line.slice(24).trim())).toEqual([
      "chat",
    ]);
    expect(await client.next()).toEqual([1, "true"]); // cork() passes the socket also as `this`.
  }
});

test("writes the names of the program's fields as the program did, and adds the cookies that a route has set", async () => {
  const upgrade = (request: any, server: any): Response => {
    request.cookies.set("session", "abc");
    server.upgrade(request, { headers: { "X-Custom-Header": "test", "x-lower": "1", ETAG: "e" } });
    return undefined as never;
  };
  using server = serveWebSocket({ message() {} }, { routes: { "/": upgrade } as never });
  using client = await WebSocketClient.open(server.port);
  const names = client.head.split("\r\n").map((line) => line.split(":", 1)[0]!);
  expect(names).toEqual(expect.arrayContaining(["X-Custom-Header", "x-lower", "ETag"]));
  expect(client.head.toLowerCase()).toContain("set-cookie: session=abc");
});

test("answers what the client has asked for, whatever a getter of upgrade's options does to the request's fields", async () => {
  using server = serveWebSocket(
    { open: (socket) => void socket.send("open") },
    {
      fetch(request, self) {
        const isUpgraded = (self as any).upgrade(request, {
          get data() {
            for (const name of ["key", "protocol", "extensions"]) request.headers.set(`sec-websocket-${name}`, "other");
            return undefined;
          },
        });
        return (isUpgraded ? undefined : new Response("no", { status: 400 })) as Response;
      },
    },
  );
  using client = await WebSocketClient.open(server.port, ["Sec-WebSocket-Protocol: chat"]);
  expect(client.head).toMatch(/^sec-websocket-protocol: chat\r$/im);
  expect(await client.next()).toEqual([1, "open"]);
});

test("an answer whose making upgrades the request is not mixed with the WebSocket", async () => {
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, self) =>
      new Response(new ReadableStream({ cancel: () => void self.upgrade(request, { data: undefined }) }), {
        status: 204,
      }),
    websocket: { open: (socket) => void socket.send("first"), message() {} },
  });
  using client = await RawClient.connect(server.port);
  await client.write(
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
  );
  const { status } = await client.readResponse();
  const rest = status === 101 ? (await client.readBytes(7)).toString("latin1") : "\x81\x05first";
  expect([status === 101 || status === 204, rest]).toEqual([true, "\x81\x05first"]);
});
