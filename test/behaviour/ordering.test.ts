/**
 * The order in which callbacks, ticks, promise jobs, immediates and timers of a program run. It
 * must be the order of Bun's own functions: ticks and promise jobs run after each callback, ticks
 * first, before the next callback of the same segment, socket or batch.
 */
import { expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import { join } from "node:path";
import { fixture, Program, run } from "./process.ts";
import { connect, listen, serve, subject, udpSocket } from "./subject.ts";
import { RawClient } from "./raw-client.ts";
import { closing, frame, handshake, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

const nothing = (): void => undefined;

/** Notes which functions run. Resolves `done` when all names of `last` were noted. */
class Trace {
  readonly seen: string[] = [];
  readonly done: Promise<void>;
  private readonly resolve: () => void;
  private readonly last: Set<string>;

  constructor(...last: string[]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.resolve = resolve;
    this.last = new Set(last);
  }

  note(what: string): void {
    this.seen.push(what);
    if (this.last.delete(what) && this.last.size === 0) this.resolve();
  }

  /** Notes a callback, and queues a job, a tick and a job of a job. */
  callback(name: string): void {
    this.note(name);
    queueMicrotask(() => this.note(`${name}'s job`));
    process.nextTick(() => this.note(`${name}'s tick`));
    void Promise.resolve()
      .then(nothing)
      .then(() => this.note(`${name}'s second job`));
  }
}

/** The order for two connections, because either may be first. */
const inEitherOrder = (trace: Trace, first: string, second: string): string[] =>
  trace.seen[0] === first ? whole(first, second) : whole(second, first);

const whole = (...names: string[]): string[] =>
  names.flatMap((name) => [name, `${name}'s tick`, `${name}'s job`, `${name}'s second job`]);

test("two messages and a Close in one segment", async () => {
  const trace = new Trace("close's second job");
  using server = serveWebSocket({
    message: (_socket, message) => trace.callback(String(message)),
    close: () => trace.callback("close"),
  });
  using client = await WebSocketClient.open(server.port);
  client.send(Buffer.concat([frame(1, "a"), frame(1, "b"), frame(8, closing(1000))]));
  await trace.done;
  expect(trace.seen).toEqual(whole("a", "b", "close"));
});

test("the open of a WebSocket, with a message behind the handshake", async () => {
  const trace = new Trace("message's second job");
  using server = serveWebSocket({
    open: () => trace.callback("open"),
    message: () => trace.callback("message"),
  });
  using client = await RawClient.connect(server.port);
  await client.write(Buffer.concat([Buffer.from(handshake()), frame(1, "a")]));
  await trace.done;
  // `open` runs inside of the handler that calls `upgrade`.
  expect(trace.seen).toEqual(["open", ...whole("open").slice(1), ...whole("message")]);
});

test("a message that is answered by a job, and a disconnect behind it", async () => {
  const trace = new Trace("close");
  using server = serveWebSocket({
    async message(_socket, message) {
      await Promise.resolve();
      trace.note(`handled ${message}`);
    },
    close: () => trace.note("close"),
  });
  using client = await WebSocketClient.open(server.port);
  client.send(Buffer.concat([frame(1, "last"), frame(8, closing(1000))]));
  await trace.done;
  expect(trace.seen).toEqual(["handled last", "close"]);
});

test("pings among messages", async () => {
  const trace = new Trace("b's second job");
  using server = serveWebSocket({
    message: (_socket, message) => trace.callback(String(message)),
    ping: () => trace.callback("ping"),
    pong: () => trace.callback("pong"),
  });
  using client = await WebSocketClient.open(server.port);
  client.send(Buffer.concat([frame(1, "a"), frame(9, ""), frame(10, ""), frame(1, "b")]));
  await trace.done;
  expect(trace.seen).toEqual(whole("a", "ping", "pong", "b"));
});

test("two WebSockets in one batch", async () => {
  const trace = new Trace("first's second job", "second's second job");
  using server = serveWebSocket({ message: (_socket, message) => trace.callback(String(message)) });
  using first = await WebSocketClient.open(server.port);
  using second = await WebSocketClient.open(server.port);
  first.send(frame(1, "first"));
  second.send(frame(1, "second"));
  await trace.done;
  expect(trace.seen).toEqual(inEitherOrder(trace, "first", "second"));
});

test("a WebSocket that the program terminates in its message: close comes inside of the call", async () => {
  const trace = new Trace("close's second job");
  using server = serveWebSocket({
    message(socket) {
      trace.callback("message");
      socket.terminate();
      trace.note("terminated");
    },
    close: () => trace.callback("close"),
  });
  using client = await WebSocketClient.open(server.port);
  client.send(frame(1, "a"));
  await trace.done;
  expect(trace.seen).toEqual([
    "message",
    "close",
    "terminated",
    "message's tick",
    "close's tick",
    "message's job",
    "close's job",
    "message's second job",
    "close's second job",
  ]);
});

test("a socket's data, the peer's end, and the close", async () => {
  const trace = new Trace("close's second job");
  using listener = listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: {
      open: () => trace.callback("open"),
      data: () => trace.callback("data"),
      end: () => trace.callback("end"),
      close: () => trace.callback("close"),
    },
  });
  using client = await RawClient.connect(listener.port);
  await client.write("x");
  client.end();
  await trace.done;
  expect(trace.seen).toEqual(whole("open", "data", "end", "close"));
});

test("two sockets in one batch", async () => {
  const trace = new Trace("first's second job", "second's second job");
  using listener = listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: { data: (_socket, data) => trace.callback(String(data)) },
  });
  using first = await RawClient.connect(listener.port);
  using second = await RawClient.connect(listener.port);
  await Promise.all([first.write("first"), second.write("second")]);
  await trace.done;
  expect(trace.seen).toEqual(inEitherOrder(trace, "first", "second"));
});

test("a socket that the program ends in its data", async () => {
  const trace = new Trace("close's second job");
  using listener = listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: {
      data(socket) {
        trace.callback("data");
        socket.end();
        trace.note("ended");
      },
      close: () => trace.callback("close"),
    },
  });
  using client = await RawClient.connect(listener.port);
  await client.write("x");
  client.end();
  await trace.done;
  expect(trace.seen.indexOf("ended")).toBe(trace.seen.indexOf("close") + 1);
});

test("a client's open, data and close", async () => {
  const trace = new Trace("close's second job");
  using listener = listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: { open: (socket) => void socket.end("x"), data() {} },
  });
  await connect({
    port: listener.port,
    hostname: "127.0.0.1",
    socket: {
      open: () => trace.callback("open"),
      data: () => trace.callback("data"),
      end: () => trace.callback("end"),
      close: () => trace.callback("close"),
    },
  });
  await trace.done;
  expect(trace.seen).toEqual(whole("open", "data", "end", "close"));
});

test("two datagrams", async () => {
  const trace = new Trace("second's second job");
  const socket = await udpSocket({
    port: 0,
    hostname: "127.0.0.1",
    socket: { data: (_socket: unknown, data: unknown) => trace.callback(String(data)) },
  } as never);
  const sender = await Bun.udpSocket({ connect: { port: socket.port, hostname: "127.0.0.1" } });
  sender.sendMany(["first", "second"]);
  await trace.done;
  sender.close();
  socket.close();
  expect(trace.seen).toEqual(whole("first", "second"));
});

test("two pipelined requests: the jobs of the first run before the second", async () => {
  const trace = new Trace("/b's second job");
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname } = new URL(request.url);
      trace.callback(pathname);
      return new Response(pathname);
    },
  });
  using client = await RawClient.connect(server.port);
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  await client.write(get("/a") + get("/b"));
  await trace.done;
  expect(trace.seen).toEqual(whole("/a", "/b"));
  expect([(await client.readResponse()).text, (await client.readResponse()).text]).toEqual(["/a", "/b"]);
});

test("pipelined requests whose handlers are async", async () => {
  const trace = new Trace("/c's second job");
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname } = new URL(request.url);
      await Promise.resolve();
      trace.callback(pathname);
      await new Promise<void>((resolve) => process.nextTick(resolve));
      return new Response(pathname);
    },
  });
  using client = await RawClient.connect(server.port);
  await client.write(["/a", "/b", "/c"].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(""));
  for (const path of ["/a", "/b", "/c"]) expect((await client.readResponse()).text).toBe(path);
  await trace.done;
  const order = trace.seen.filter((what) => what.length === 2);
  expect(order).toEqual(["/a", "/b", "/c"]);
});

test("requests of two connections in one batch", async () => {
  const trace = new Trace("/a's second job", "/b's second job");
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      trace.callback(new URL(request.url).pathname);
      return new Response();
    },
  });
  using first = await RawClient.connect(server.port);
  using second = await RawClient.connect(server.port);
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  await Promise.all([first.write(get("/a")), second.write(get("/b"))]);
  await trace.done;
  expect(trace.seen).toEqual(inEitherOrder(trace, "/a", "/b"));
});

test("an error handler, and the jobs of the handler that threw", async () => {
  const trace = new Trace("error's second job");
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch() {
      trace.callback("fetch");
      throw new Error("expected");
    },
    error() {
      trace.callback("error");
      return new Response("failed", { status: 500 });
    },
  });
  using client = await RawClient.connect(server.port);
  await client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  expect((await client.readResponse()).text).toBe("failed");
  await trace.done;
  expect(trace.seen).toEqual(whole("fetch", "error"));
});

test("what a handler leaves in Bun's loop: ticks, jobs, immediates in their order, and a timer", async () => {
  const trace = new Trace("timer", "immediate of an immediate's second job");
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch() {
      setTimeout(() => trace.note("timer"), 1);
      setImmediate(() => {
        trace.callback("immediate");
        setImmediate(() => trace.callback("immediate of an immediate"));
      });
      setImmediate(() => trace.callback("second immediate"));
      trace.callback("fetch");
      return new Response();
    },
  });
  using client = await RawClient.connect(server.port);
  await client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await trace.done;
  expect(trace.seen.filter((what) => what !== "timer")).toEqual(
    whole("fetch", "immediate", "second immediate", "immediate of an immediate"),
  );
});

/**
 * Returns the shortest of several durations in milliseconds, because on a busy machine at least one
 * of them is undisturbed.
 */
async function shortest(port: number, attempts = 20): Promise<number> {
  using client = await RawClient.connect(port);
  let least = Infinity;
  for (let i = 0; i < attempts; i++) {
    await client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    least = Math.min(least, Number((await client.readResponse()).text));
  }
  return least;
}

/** Starts a server whose handler does `step` `count` times, and answers with the duration. */
const timed = (step: () => Promise<unknown>, count: number) =>
  serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch() {
      const start = performance.now();
      for (let i = 0; i < count; i++) await step();
      return new Response(String(performance.now() - start));
    },
  });

// If the ring waited for each step, it would take at least 10 ms: after this time the reactor
// parks.
for (const [name, step] of Object.entries({
  "an immediate": () => new Promise((resolve) => setImmediate(resolve)),
  "a tick": () => new Promise<void>((resolve) => process.nextTick(resolve)),
  "a message": () => {
    const { port1, port2 } = new MessageChannel();
    return new Promise((resolve) => {
      port2.addEventListener("message", () => {
        port1.close();
        resolve(undefined);
      });
      port2.start();
      port1.postMessage(1);
    });
  },
  "a sleep of nothing": () => Bun.sleep(0),
}))
  test(`a handler that awaits ${name} a hundred times waits for nothing of the ring's`, async () => {
    using server = timed(step, 100);
    expect(await shortest(server.port)).toBeLessThan(5);
  });

// A RedisClient sends at the end of a round of Bun's loop. Nobody can see from outside that it has
// something to send. The first command of a handler comes from a turn, the second one from Bun's
// loop.
test("a command that a handler sends to a database waits for nothing of the ring's", async () => {
  // A process that has used timers does not wait in the ring either.
  await using program = Program.fixture("database-commands.ts");
  const { port } = await program.line();
  using client = await RawClient.connect(port);
  const durations: [number, number][] = [];
  for (let i = 0; i < 200; i++) {
    await client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    durations.push(JSON.parse((await client.readResponse()).text));
  }
  const medianOf = (at: 0 | 1): number => durations.map((of) => of[at]).toSorted((a, b) => a - b)[100]!;
  expect(medianOf(0) / medianOf(1)).toBeLessThan(3);
});

test.skipIf(subject === "bun")("an immediate comes before the reactor parks, after a long function too", async () => {
  const { stdout } = await run([process.execPath, fixture("parks-after-work.ts")]);
  expect(JSON.parse(stdout)).toEqual(Array<number>(20).fill(0));
});

/**
 * Allowed ratio. If each turn waited for a millisecond, twenty timers would take twice Bun's time.
 */
const LATE = 1.7;
const ROUNDS_MAX = 40;

test("a handler's timers of 1 ms are not late by one, on a silent server and beside others", async () => {
  await using measured = Program.fixture("handlers-timers.ts");
  await using control = Program.fixture("handlers-timers.ts", { RINGLOOP_TEST_SUBJECT: "bun" });
  // The smallest value of each counts. The two take turns until both have an undisturbed run, also
  // on a busy machine.
  const least = { measured: [Infinity, Infinity], control: [Infinity, Infinity] };
  const lateness = (): number => Math.max(...[0, 1].map((i) => least.measured[i]! / least.control[i]!));
  for (let round = 0; round < ROUNDS_MAX && !(lateness() < LATE); round++)
    for (const [name, program] of Object.entries({ measured, control }) as ["measured" | "control", Program][]) {
      program.tell("again");
      const taken = (await program.line()) as number[];
      least[name] = least[name].map((ms, i) => Math.min(ms, taken[i]!));
    }
  expect(lateness()).toBeLessThan(LATE);
});

test("a tick that throws is an uncaught error, and the ticks and jobs behind it run", async () => {
  const text = `
    const { serve } = await import(${JSON.stringify(join(import.meta.dir, "subject.ts"))});
    const seen = [];
    process.on("uncaughtException", (error) => seen.push(error.message));
    using server = serve({ port: 0, hostname: "127.0.0.1", fetch() {
      process.nextTick(() => { throw new Error("thrown by a tick"); });
      process.nextTick((...args) => seen.push("tick " + args.join()), 1, 2, 3, 4, 5);
      queueMicrotask(() => seen.push("job"));
      return new Response("answered");
    } });
    const answer = await (await fetch(server.url)).text();
    await Bun.sleep(0);
    console.log(JSON.stringify([answer, seen.toSorted()]));
    process.exit(0);`;
  const { stdout } = await run([process.execPath, "-e", text], "", { RINGLOOP_TEST_SUBJECT: subject });
  expect(JSON.parse(stdout)).toEqual(["answered", ["job", "thrown by a tick", "tick 1,2,3,4,5"]]);
});

test("a tick of a handler is asked for in the handler's async context, and has no other", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) =>
      storage.run(new URL(request.url).pathname, async () => {
        await new Promise<void>((resolve) => process.nextTick(resolve));
        process.nextTick(() => seen.push(storage.getStore()));
        await Promise.resolve();
        return new Response(storage.getStore());
      }),
  });
  using client = await RawClient.connect(server.port);
  await client.write(["/a", "/b"].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(""));
  expect([(await client.readResponse()).text, (await client.readResponse()).text]).toEqual(["/a", "/b"]);
  expect(seen).toEqual(["/a", "/b"]);
});
