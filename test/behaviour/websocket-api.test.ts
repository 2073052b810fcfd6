/** The handlers and ServerWebSocket. The reference is serve.d.ts of bun-types. */
import { describe, expect, test } from "bun:test";
import { attempt, fixture } from "./process.ts";
import { RawClient } from "./raw-client.ts";
import { isBun, reactorStats, type ServeOptions, type Server, subject } from "./subject.ts";
import { closing, frame, handshake, handshakeFields, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

type Socket = Bun.ServerWebSocket<any>;
type Handlers = Bun.WebSocketHandler<any>;

/** Collects the arguments of handlers. A test can wait for a number of calls. */
class Calls {
  readonly list: unknown[][] = [];
  private wake: () => void = () => {};

  add(...call: unknown[]): void {
    this.list.push(call);
    this.wake();
  }

  async reach(count: number): Promise<unknown[][]> {
    while (this.list.length < count) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.list;
  }
}

/** Runs `act` with the server's side of a new connection when the first message arrives. */
async function within<T>(act: (socket: Socket, server: Server) => T, handlers: Handlers = {}): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  using server: Server = serveWebSocket({
    ...handlers,
    message(socket) {
      try {
        resolve(act(socket, server));
      } catch (error) {
        reject(error);
      }
    },
  });
  using client = await WebSocketClient.open(server.port);
  client.send(frame(1, "go"));
  return await promise;
}

describe("handlers", () => {
  test("are called in their order, with what came", async () => {
    const calls = new Calls();
    using server = serveWebSocket({
      open: (socket) => calls.add("open", socket.readyState),
      message: (_, message) => calls.add("message", message),
      ping: (_, data) => calls.add("ping", data.toString()),
      pong: (_, data) => calls.add("pong", data.toString()),
      close: (socket, code, reason) => calls.add("close", code, reason, socket.readyState),
    });
    using client = await WebSocketClient.open(server.port);
    client.send(frame(1, "té"), frame(2, "bin"), frame(9, "p"), frame(10, "q"), frame(8, closing(4001, "enough é")));
    expect(await calls.reach(6)).toEqual([
      ["open", 1],
      ["message", "té"],
      ["message", Buffer.from("bin")],
      ["ping", "p"],
      ["pong", "q"],
      ["close", 4001, "enough é", 3],
    ]);
    while (server.pendingWebSockets > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  const kinds = { nodebuffer: "Buffer", uint8array: "Uint8Array", arraybuffer: "ArrayBuffer", blob: "Blob" } as const;
  for (const [binaryType, name] of Object.entries(kinds)) {
    test(`get binary data as ${binaryType}, a copy that stays`, async () => {
      const calls = new Calls();
      using server = serveWebSocket({
        open: (socket) => void (socket.binaryType = binaryType as never),
        message: (_, message) => calls.add(message),
        ping: (_, data) => calls.add(data),
      });
      using client = await WebSocketClient.open(server.port);
      client.send(
        frame(2, "first"),
        frame(9, "ping!"),
        frame(2, "fra", { fin: false }),
        frame(0, "gments"),
        frame(2, "other"),
      );
      const got = (await calls.reach(4)).map(([data]) => data as any);
      expect(got.map((data) => data.constructor.name)).toEqual([name, name, name, name]);
      expect(await Promise.all(got.map((data) => new Response(data).text()))).toEqual([
        "first",
        "ping!",
        "fragments",
        "other",
      ]);
    });
  }

  test("that throw end in error(), and harm neither the socket nor others", async () => {
    const calls = new Calls();
    using server = serveWebSocket({
      message: (socket, text) => {
        if (text === "throw") throw new Error("from message");
        socket.send(text);
      },
      close: () => {
        throw new Error("from close");
      },
      error: (error, socket) => calls.add(error.message, socket.readyState),
    });
    using client = await WebSocketClient.open(server.port);
    client.send(frame(1, "throw"), frame(1, "fine"), frame(1, "throw"), frame(1, "still"), frame(8));
    expect(await client.rest()).toEqual([[1, "fine"], [1, "still"], [8]]);
    expect(await calls.reach(3)).toEqual([
      ["from message", 1],
      ["from message", 1],
      ["from close", 3],
    ]);
  });

  test("that throw are uncaught without error(), and everything else goes on", async () => {
    const { stdout, exitCode } = await attempt([process.execPath, fixture("websocket-uncaught.ts")], "", {
      RINGLOOP_TEST_SUBJECT: subject,
    });
    expect({ result: JSON.parse(stdout), exitCode }).toEqual({
      result: { uncaught: ["from open", "from message", "from message"], rejected: ["from async"], echoed: ["a", "b"] },
      exitCode: 0,
    });
  });

  test("learn of a client that is gone without a Close: 1006", async () => {
    for (const leave of ["end", "reset"] as const) {
      const calls = new Calls();
      using server = serveWebSocket({ close: (_, code, reason) => calls.add(code, reason) });
      using client = await WebSocketClient.open(server.port);
      client.send(frame(1, "unfinished", { fin: false }));
      client.raw[leave]();
      expect(await calls.reach(1)).toEqual([[1006, ""]]);
    }
  });

  test("learn why the server failed the connection", async () => {
    const calls = new Calls();
    using server = serveWebSocket({ close: (_, code, reason) => calls.add(code, reason) });
    using client = await WebSocketClient.open(server.port);
    client.send(frame(3));
    expect(await client.rest(true)).toEqual([[8, 1002, "Received invalid opcode"]]);
    expect(await calls.reach(1)).toEqual([[1006, "Received invalid opcode"]]);
  });
});

describe("ServerWebSocket", () => {
  test("sends text and bytes of every kind, and says how many", async () => {
    const sent: number[] = [];
    using server = serveWebSocket({
      message(socket) {
        const bytes = Uint8Array.of(1, 2, 3, 4);
        for (const message of [
          "é",
          "",
          bytes,
          bytes.buffer,
          new Uint16Array(bytes.buffer),
          new DataView(bytes.buffer, 1),
          new Blob(["blob"]),
        ])
          sent.push(socket.send(message as never));
        sent.push(socket.send(7 as never), socket.sendText("text"), socket.sendBinary(bytes));
        sent.push(socket.ping(), socket.ping("ping"), socket.pong(), socket.pong(bytes));
        socket.close(1000);
        sent.push(socket.send("closed"), socket.ping());
      },
    });
    using client = await WebSocketClient.open(server.port, [], frame(1, "go"));
    const all = "\u0001\u0002\u0003\u0004";
    expect(await client.rest()).toEqual([
      [1, "é"],
      [1, ""],
      [2, all],
      [2, all],
      [2, all],
      [2, all.slice(1)],
      [2, "blob"],
      [1, "7"],
      [1, "text"],
      [2, all],
      [9, ""],
      [9, "ping"],
      [10, ""],
      [10, all],
      [8, 1000],
    ]);
    expect(sent).toEqual([2, 0, 4, 4, 4, 3, 4, 1, 4, 4, 0, 4, 0, 4, 0, 0]);
  });

  test("sends long messages whole, as they were when it was called", async () => {
    using server = serveWebSocket({
      message(socket) {
        for (const length of [125, 126, 65535, 65536, 3_000_000]) {
          socket.send("é".repeat(length));
          const bytes = Buffer.alloc(length, "x");
          socket.send(bytes);
          bytes.fill(0);
        }
      },
    });
    using client = await WebSocketClient.open(server.port, [], frame(1, "go"));
    for (const length of [125, 126, 65535, 65536, 3_000_000]) {
      expect((await client.read()).payload.equals(Buffer.from("é".repeat(length)))).toBe(true);
      expect((await client.read()).payload.equals(Buffer.alloc(length, "x"))).toBe(true);
    }
  });

  test("refuses what cannot be sent", async () => {
    const errors = await within((socket) => {
      const any = socket as any;
      const attempts = [
        () => any.send(),
        () => any.send(null),
        () => any.sendText(Buffer.from("x")),
        () => any.sendBinary("x"),
        () => any.send("x", "yes"),
        () => any.ping("x".repeat(126)),
        () => any.pong(5),
        () => any.publish("", "x"),
        () => any.publish("t"),
        () => any.publish(5, "x"),
        () => any.publishText("t", Buffer.from("x")),
        () => any.publishBinary("t", "x"),
        () => any.subscribe(""),
        () => any.subscribe(),
        () => any.unsubscribe(5),
        () => any.isSubscribed(""),
        () => any.close("1000"),
        () => any.cork(),
        () => (any.binaryType = "text"),
      ];
      return attempts.map((each) => {
        try {
          return each();
        } catch (error) {
          return error;
        }
      });
    });
    for (const error of errors) expect(error).toBeInstanceOf(Error);
  });

  test("closes with a code and a reason, which is cut between characters", async () => {
    const cases: [unknown[], (string | number)[]][] = [
      [[], [8, 1000, ""]],
      [[1001], [8, 1001, ""]],
      [
        [4000, "why"],
        [8, 4000, "why"],
      ],
      [
        [1011, "é".repeat(100)],
        [8, 1011, "é".repeat(61)],
      ],
      [[0], [8]],
      [[1005], [8]],
      [[1006], [8]],
    ];
    for (const [args, expected] of cases) {
      const calls = new Calls();
      using server = serveWebSocket({
        message(socket) {
          socket.send("before");
          (socket.close as any)(...args);
          socket.close(4999);
          calls.add("after", socket.readyState);
        },
        close: (_, code) => calls.add("close", code),
      });
      using client = await WebSocketClient.open(server.port, [], frame(1, "go"), frame(1, "not heard"));
      expect(await client.rest(true)).toEqual([[1, "before"], expected]);
      expect(calls.list).toEqual([
        ["close", args[0] ?? 1000],
        ["after", 3],
      ]);
    }
  });

  // Bun sends any number.
  test.skipIf(isBun)("does not send a code that no endpoint may send", async () => {
    await within((socket) => {
      for (const code of [1, 999, 1004, 1016, 2999, 5000, -1, 70000, NaN, 1000.5])
        expect(() => socket.close(code)).toThrow(RangeError);
      expect(socket.readyState).toBe(1);
    });
  });

  test("terminates after what was sent, without a Close", async () => {
    const calls = new Calls();
    using server = serveWebSocket({
      message(socket) {
        socket.send("last words");
        socket.terminate();
      },
      close: (_, code) => calls.add(code),
    });
    using client = await WebSocketClient.open(server.port, [], frame(1, "go"));
    expect(await client.rest()).toEqual([[1, "last words"]]);
    expect(calls.list).toEqual([[1006]]);
  });

  test("tells of itself", async () => {
    const told = await within((socket) => {
      socket.data = { mine: true };
      return [
        socket.readyState,
        socket.remoteAddress,
        socket.binaryType,
        socket.data,
        socket.isPaused,
        socket.cork((same) => same === socket),
        Object.prototype.toString.call(socket),
        socket.constructor.name,
      ];
    });
    expect(told).toEqual([
      1,
      "127.0.0.1",
      "nodebuffer",
      { mine: true },
      false,
      true,
      "[object ServerWebSocket]",
      "ServerWebSocket",
    ]);
  });

  test("does nothing, and says so, once it is closed", async () => {
    const calls = new Calls();
    using server: Server = serveWebSocket({
      open: (socket) => void socket.subscribe("topic"),
      close(socket) {
        calls.add(
          socket.readyState,
          socket.subscriptions,
          socket.subscribe("topic"),
          socket.send("x"),
          socket.publish("topic", "x"),
        );
        calls.add(
          socket.remoteAddress,
          socket.isSubscribed("topic"),
          socket.getBufferedAmount(),
          server.subscriberCount("topic"),
        );
        socket.pause();
        socket.resume();
        socket.close();
        socket.terminate();
        calls.add(
          socket.isPaused,
          socket.cork(() => "corked"),
        );
      },
    });
    using client = await WebSocketClient.open(server.port, [], frame(8));
    expect(await client.rest()).toEqual([[8]]);
    expect(await calls.reach(3)).toEqual([
      [3, [], false, 0, 0],
      [undefined, false, 0, 0],
      [false, "corked"],
    ]);
  });

  test("stops reading while it is paused", async () => {
    const calls = new Calls();
    let paused: Socket;
    using server = serveWebSocket({
      open(socket) {
        paused = socket;
        socket.pause();
        calls.add(socket.isPaused);
      },
      message: (socket, text) => (calls.add(text), void socket.send("heard")),
    });
    using client = await WebSocketClient.open(server.port);
    client.send(frame(1, "held"));
    paused!.send("sending goes on");
    expect(await client.next()).toEqual([1, "sending goes on"]);
    expect(calls.list).toEqual([[true]]);
    paused!.resume();
    expect(paused!.isPaused).toBe(false);
    expect(await client.next()).toEqual([1, "heard"]);
    expect(calls.list).toEqual([[true], ["held"]]);
  });

  // The whole body has arrived and nobody has read it, so the connection has stopped to receive.
  // When the program drops the body, the connection receives again. It is a WebSocket then.
  test("stays paused while the program drops the body of an older request on the same connection", async () => {
    const bytes = 262_144;
    const messages: unknown[] = [];
    let older: Request | undefined;
    let answer = Promise.withResolvers<void>();
    let paused: Socket;
    using server = serveWebSocket(
      {
        open(socket) {
          paused = socket;
          socket.pause();
        },
        message: (socket, text) => (messages.push(text), void socket.send("heard")),
      },
      {
        async fetch(request, self) {
          const { pathname } = new URL(request.url);
          if (pathname === "/other") return new Response("other");
          if (pathname === "/ws") return (self as any).upgrade(request) ? undefined : new Response("no");
          older = request;
          await answer.promise;
          return new Response("answered");
        },
      } as Partial<ServeOptions>,
    );
    using other = await RawClient.connect(server.port);
    /** Waits for enough turns, in which the server reads the bytes that were sent before. */
    const turns = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) {
        await other.write("GET /other HTTP/1.1\r\nHost: test\r\n\r\n");
        await other.readResponse();
      }
    };
    for (let round = 0; round < 3; round++) {
      answer = Promise.withResolvers();
      messages.length = 0;
      using client = await RawClient.connect(server.port);
      await client.write(`POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`);
      await turns();
      answer.resolve();
      expect((await client.readResponse("POST")).text).toBe("answered");
      await client.write(Buffer.concat([Buffer.from(handshake(handshakeFields, "/ws")), frame(1, "held")]));
      await client.readUntil("\r\n\r\n");
      await client.write(frame(1, "held, too"));
      const before = messages.length; // Messages that came with the handshake may be delivered, as in Bun.
      await older!.body?.cancel().catch(() => {}); // In Bun the answer has ended the body with an error.
      await turns();
      expect(messages.length).toBe(before);
      paused!.resume();
      await client.readUntil("heard");
      await turns();
      expect(messages).toEqual(["held", "held, too"]);
    }
  });
});

describe("a client that does not read", () => {
  /** Opens a connection whose client reads nothing until the test resumes it. */
  async function slow(server: Server): Promise<RawClient> {
    const client = await RawClient.connect(server.port);
    client.socket.pause();
    await client.write(handshake());
    return client;
  }

  test("is told to the program by -1 and 0, and drain tells when it reads again", async () => {
    const calls = new Calls();
    const megabyte = Buffer.alloc(1 << 20, "m");
    const sent: number[] = [];
    using server = serveWebSocket({
      backpressureLimit: 4 << 20,
      open(socket) {
        for (let i = 0; i < 40; i++) sent.push(socket.send(megabyte));
        calls.add("sent", socket.getBufferedAmount() <= 6 << 20);
      },
      drain: (socket) => calls.add("drain", socket.getBufferedAmount()),
    });
    using client = await slow(server);
    expect(await calls.reach(1)).toEqual([["sent", true]]);
    expect(sent[0]).toBe(1 << 20);
    const accepted = sent.indexOf(0);
    expect(sent.slice(accepted)).toEqual(Array<number>(40 - accepted).fill(0));
    expect(sent.indexOf(-1)).toBeLessThan(accepted);
    client.socket.resume();
    await client.readUntil("\r\n\r\n");
    const received = await client.readBytes(accepted * (megabyte.length + 10));
    expect(received.subarray(-megabyte.length).equals(megabyte)).toBe(true);
    expect((await calls.reach(2))[1]![0]).toBe("drain");
  });

  // In sqpoll the SQ thread sends: what the kernel has accepted is known later.
  test.skipIf(subject === "sqpoll")(
    "is told to the program with the message that the kernel does not take whole",
    async () => {
      const megabytes = Buffer.alloc(3 << 20, "m");
      const sent: [number, number][] = [];
      const opened = Promise.withResolvers<void>();
      using server = serveWebSocket({
        backpressureLimit: 1 << 30,
        open(socket) {
          while (sent.length < 100 && (sent.at(-1)?.[0] ?? 1) > 0)
            sent.push([socket.send(megabytes), socket.getBufferedAmount()]);
          opened.resolve();
        },
      });
      using _client = await slow(server);
      await opened.promise;
      const [last, waiting] = sent.pop()!;
      expect(sent).toEqual(sent.map(() => [megabytes.length, 0]));
      expect(last).toBe(-1);
      expect(waiting).toBeWithin(1, megabytes.length + 11);
    },
  );

  test("has a program that waits while getBufferedAmount is above 0, and drain lets it go on", async () => {
    const message = Buffer.alloc(1 << 14, "m");
    let left = 64;
    const fill = (socket: Socket): void => {
      while (left > 0) {
        left--;
        socket.send(message);
        if (socket.getBufferedAmount() > 0) return;
      }
    };
    using server = serveWebSocket({ open: fill, drain: fill });
    using client = await slow(server);
    client.socket.resume();
    await client.readUntil("\r\n\r\n");
    const received = await client.readBytes(64 * (message.length + 4));
    expect(received.subarray(-message.length).equals(message)).toBe(true);
  });

  for (const how of ["send", "publish", "server.publish"] as const) {
    for (const closes of [false, true]) {
      test(`is told by -1 before 0, and by ${closes ? "close" : "drain"}, whatever the size: ${how}`, async () => {
        for (const size of [1 << 16, 1 << 20, 3 << 20]) {
          const calls = new Calls();
          const message = new Uint8Array(size);
          const results: number[] = [];
          using server = serveWebSocket({
            backpressureLimit: 1 << 20,
            closeOnBackpressureLimit: closes,
            publishToSelf: true,
            open(socket) {
              socket.subscribe("topic");
              const send = {
                send: () => socket.send(message),
                publish: () => socket.publish("topic", message),
                "server.publish": () => server.publish("topic", message),
              }[how];
              do results.push(Math.min(send(), 1));
              while (results.at(-1) !== 0 && results.length * size < 64 << 20);
              calls.add("sent", closes || socket.getBufferedAmount() > 0);
            },
            drain: (socket) => calls.add("drain", socket.getBufferedAmount()),
            close: (_, code) => calls.add("close", code),
          });
          using client = await slow(server);
          expect(await calls.reach(1)).toEqual([["sent", true]]);
          // The kernel may accept more after a -1. Then there are positive results again.
          const runs = results.filter((result, i) => result !== results[i - 1]);
          expect(runs.slice(-2)).toEqual([-1, 0]);
          expect(runs.slice(0, -2).filter((result) => result !== 1 && result !== -1)).toEqual([]);
          client.socket.resume();
          expect((await calls.reach(2))[1]).toEqual(closes ? ["close", 1006] : ["drain", 0]);
        }
      });
    }
  }

  test("is cut where the program wants it, and others get everything", async () => {
    const closed = Promise.withResolvers<number>();
    using server = serveWebSocket({
      backpressureLimit: 1 << 20,
      closeOnBackpressureLimit: true,
      open: (socket) => void socket.subscribe("all"),
      close: (_, code) => closed.resolve(code),
    });
    using lazy = await slow(server);
    using eager = await WebSocketClient.open(server.port);
    while (server.subscriberCount("all") < 2) await new Promise((resolve) => setImmediate(resolve));
    const message = Buffer.alloc(1 << 18, "x");
    let count = 0;
    for (; Bun.peek.status(closed.promise) === "pending"; count++) {
      server.publish("all", message);
      expect((await eager.read()).payload.length).toBe(message.length);
    }
    expect(await closed.promise).toBe(1006);
    expect(server.subscriberCount("all")).toBe(1);
    // The bytes in the kernel's buffers, and the limit.
    expect(count * message.length).toBeLessThan(64 << 20);
    expect(lazy.socket.destroyed).toBe(false);
  });
});

describe("topics", () => {
  for (const how of ["the client's close", "the client's end", "close()", "terminate()"] as const) {
    test(`are published to by a socket in its close handler, and afterwards: ${how}`, async () => {
      const told = Promise.withResolvers<unknown[]>();
      let left: Socket;
      using server = serveWebSocket({
        open: (socket) => void socket.subscribe("room"),
        message(socket, text) {
          if (text === "close()") socket.close();
          if (text === "terminate()") socket.terminate();
        },
        close(socket) {
          if (left !== undefined) return;
          left = socket;
          told.resolve([
            [socket.readyState, socket.isSubscribed("room"), socket.subscriptions, server.subscriberCount("room")],
            [socket.publish("room", "left") > 0, socket.publishText("room", "é") > 0],
            [socket.publishBinary("room", Uint8Array.of(65)), socket.publish("none", "x")],
            [socket.send("x"), socket.sendText("x"), socket.sendBinary(Uint8Array.of(1)), socket.ping(), socket.pong()],
            [socket.subscribe("room"), socket.unsubscribe("room"), socket.isSubscribed("room")],
            [socket.getBufferedAmount(), socket.cork(() => "corked"), socket.close(), socket.terminate()],
          ]);
        },
      });
      using stays = await WebSocketClient.open(server.port);
      using leaves = await WebSocketClient.open(server.port);
      while (server.subscriberCount("room") < 2) await new Promise((resolve) => setImmediate(resolve));
      if (how === "the client's close") leaves.send(frame(8, closing(1000)));
      else if (how === "the client's end") leaves.raw.end();
      else leaves.send(frame(1, how));
      expect(await told.promise).toEqual([
        [3, false, [], 1],
        [true, true],
        [1, 0],
        [0, 0, 0, 0, 0],
        [false, false, false],
        [0, "corked", undefined, undefined],
      ]);
      expect(left!.publish("room", "afterwards") > 0).toBe(true);
      for (const text of ["left", "é", "A", "afterwards"]) expect((await stays.next())[1]).toBe(text);
    });
  }

  test("are subscribed to and left", async () => {
    const told = await within((socket, server) => [
      socket.subscribe("b"),
      socket.subscribe("a"),
      socket.subscribe("a"),
      socket.subscriptions.toSorted(),
      socket.isSubscribed("a"),
      socket.isSubscribed("c"),
      server.subscriberCount("a"),
      socket.unsubscribe("a"),
      socket.unsubscribe("a"),
      socket.subscriptions,
      server.subscriberCount("a"),
      server.subscriberCount("never"),
    ]);
    expect(told).toEqual([true, true, true, ["a", "b"], true, false, 1, true, false, ["b"], 0, 0]);
  });

  for (const publishToSelf of [false, true]) {
    test(`reach all subscribers${publishToSelf ? " and oneself" : " but oneself"} by publish of a socket`, async () => {
      const results: number[] = [];
      using server = serveWebSocket({
        publishToSelf,
        open: (socket) => void socket.subscribe("room"),
        message(socket) {
          results.push(
            socket.publish("room", "é"),
            socket.publish("room", Uint8Array.of(65)),
            socket.publishText("room", "text"),
          );
          results.push(socket.publishBinary("room", Uint8Array.of(66)), socket.publish("empty", "x"));
          socket.send("end");
        },
      });
      using a = await WebSocketClient.open(server.port);
      using b = await WebSocketClient.open(server.port);
      a.send(frame(1, "go"));
      const all: [number, string][] = [
        [1, "é"],
        [2, "A"],
        [1, "text"],
        [2, "B"],
      ];
      for (const each of all) expect(await b.next()).toEqual(each);
      if (publishToSelf) for (const each of all) expect(await a.next()).toEqual(each);
      expect(await a.next()).toEqual([1, "end"]);
      expect(results).toEqual([2, 1, 4, 1, 0]);
    });
  }

  test("reach all subscribers by publish of the server, in order with what is sent", async () => {
    using server = serveWebSocket({
      open: (socket) => void (socket.subscribe("all"), socket.subscribe(socket.data ?? "other")),
      message: (socket, text) => void (text === "leave" ? (socket.unsubscribe("all"), socket.send("left")) : undefined),
    });
    const clients = await Promise.all(Array.from({ length: 20 }, () => WebSocketClient.open(server.port)));
    const large = "l".repeat(100_000);
    expect([
      server.publish("all", "one"),
      server.publish("all", Buffer.from("two")),
      server.publish("all", large),
      server.publish("none", "x"),
    ]).toEqual([3, 3, 100_000, 0]);
    for (const client of clients)
      expect([await client.next(), await client.next(), await client.next()]).toEqual([
        [1, "one"],
        [2, "two"],
        [1, large],
      ]);
    clients[0]!.send(frame(1, "leave"));
    expect(await clients[0]!.next()).toEqual([1, "left"]);
    expect(server.subscriberCount("all")).toBe(19);
    server.publish("all", "three");
    expect(await clients[1]!.next()).toEqual([1, "three"]);
    for (const client of clients) client[Symbol.dispose]();
  });
});

test.skipIf(isBun)("everything that is sent within a turn leaves in one send", async () => {
  using server = serveWebSocket({
    message(socket) {
      for (let i = 0; i < 1000; i++) socket.send(`message ${i}`);
      void Promise.resolve().then(() => socket.send("from a promise"));
      socket.ping("last");
    },
  });
  using client = await WebSocketClient.open(server.port);
  const before = reactorStats().sqes;
  client.send(frame(1, "go"));
  for (let i = 0; i < 1000; i++) expect(await client.next()).toEqual([1, `message ${i}`]);
  expect([await client.next(), await client.next()]).toEqual([
    [9, "last"],
    [1, "from a promise"],
  ]);
  // One send, and the operations of the loop itself.
  expect(reactorStats().sqes - before).toBeLessThan(30);
});

describe("the server", () => {
  test("counts, closes its sockets with 1001 when it is stopped at once", async () => {
    const calls = new Calls();
    using server = serveWebSocket({ close: (_, code, reason) => calls.add(code, reason) });
    using client = await WebSocketClient.open(server.port);
    expect([server.pendingWebSockets, server.pendingRequests]).toEqual([1, 0]);
    const stopped = server.stop(true);
    expect(await client.rest()).toEqual([[8, 1001]]);
    expect(calls.list).toEqual([[1001, "Server closed"]]);
    expect(server.pendingWebSockets).toBe(0);
    client.raw.end();
    await stopped;
  });

  test("leaves its sockets open when it is stopped gracefully", async () => {
    using server = serveWebSocket({ message: (socket, text) => void socket.send(text) });
    using client = await WebSocketClient.open(server.port);
    let isStopped = false;
    const stopped = server.stop().then(() => (isStopped = true));
    client.send(frame(1, "still here"));
    expect(await client.next()).toEqual([1, "still here"]);
    expect(isStopped).toBe(false);
    client.send(frame(8));
    expect(await client.rest()).toEqual([[8]]);
    client.raw.end();
    await stopped;
  });

  test("takes other handlers by reload, for open sockets too", async () => {
    using server = serveWebSocket({ message: (socket, text) => void socket.send(`old ${String(text)}`) });
    using client = await WebSocketClient.open(server.port);
    const fetch = (): Response => new Response();
    server.reload({
      fetch,
      websocket: { message: (socket: Socket, text: unknown) => void socket.send(`new ${String(text)}`) },
    } as never);
    client.send(frame(1, "a"));
    expect(await client.next()).toEqual([1, "new a"]);
    server.reload({ fetch } as never);
    client.send(frame(1, "b"));
    expect(await client.next()).toEqual([1, "new b"]);
  });

  const wrong: Record<string, unknown[]> = {
    maxPayloadLength: [1.5, "x", NaN],
    backpressureLimit: [1.5, "x"],
    idleTimeout: [1.5, "x", 961],
    closeOnBackpressureLimit: [1, "x"],
    publishToSelf: [0, "x"],
    perMessageDeflate: [5, "x", { compress: "2KB" }, { decompress: 5 }],
    message: [5, "x"],
    open: [5],
    error: ["x"],
  };
  for (const [name, values] of Object.entries(wrong)) {
    test(`refuses a wrong ${name}, and names it`, () => {
      for (const value of values) {
        let error: unknown;
        try {
          serveWebSocket({ [name]: value }).stop(true);
        } catch (caught) {
          error = caught;
        }
        expect([value, error]).toEqual([value, expect.any(TypeError)]);
        if (!isBun) expect((error as Error).message).toMatch(new RegExp(`^websocket(\\.| expects )${name}`));
      }
    });
  }

  test("pings a quiet client, and ends the connection of one that does not answer", async () => {
    const calls = new Calls();
    using server = serveWebSocket({ idleTimeout: 8, close: (_, code, reason) => calls.add(code, reason) });
    using deaf = await WebSocketClient.open(server.port);
    using alive = await WebSocketClient.open(server.port);
    expect(await Promise.all([deaf.next(), alive.next()])).toEqual([
      [9, ""],
      [9, ""],
    ]);
    alive.send(frame(10));
    expect(await deaf.rest()).toEqual([]);
    expect(calls.list).toEqual([[1006, "WebSocket timed out from inactivity"]]);
    expect(await alive.next()).toEqual([9, ""]);
  });
});
