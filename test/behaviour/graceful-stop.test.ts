/**
 * `server.stop({ deadlineMs })`. Bun has no such stop. For the subject `bun` it is that of
 * ringloop's servers where they run on Bun's own, as without a ring.
 */
import { afterAll, describe, expect, test } from "bun:test";
import type { StopOptions } from "../../src/index.ts";
import { RawClient } from "./raw-client.ts";
import { rejection } from "./rejection.ts";
import { isBun, type ServeOptions, type Server } from "./subject.ts";
import { frame, handshake, WebSocketClient } from "./websocket-client.ts";

if (isBun) process.env.RINGLOOP_LIBRARY = "/nonexistent.so";
const { serve } = await import("../../src/index.ts");
afterAll(() => {
  if (isBun) delete process.env.RINGLOOP_LIBRARY;
});

const DAY_MS = 86_400_000;
/** A deadline that passes in a test. */
const SOON_MS = 100;

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;

/** What a server saw. */
class Seen {
  readonly closes: unknown[][] = [];
  readonly held = Promise.withResolvers<Request>();
  readonly release = Promise.withResolvers<void>();
  readonly cancelled = Promise.withResolvers<void>();
}

function start(seen = new Seen(), more: Partial<ServeOptions> = {}): Server {
  const options: ServeOptions = {
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    websocket: {
      message: (socket, text) => void socket.send(text),
      close: (_, code, reason) => void seen.closes.push([code, reason]),
    },
    async fetch(request, server) {
      switch (new URL(request.url).pathname) {
        case "/held":
          seen.held.resolve(request);
          await seen.release.promise;
          break;
        case "/stream":
          return new Response(
            new ReadableStream({
              start: (controller) => controller.enqueue("begun"),
              cancel: () => seen.cancelled.resolve(),
            }),
          );
        case "/large":
          return new Response(new Uint8Array(32 << 20));
        case "/later":
          seen.held.resolve(request);
          await seen.release.promise;
      }
      if ((server as any).upgrade(request)) return undefined as never;
      return new Response("answered");
    },
    ...more,
  };
  const server = (serve as unknown as (options: ServeOptions) => Server)(options);
  expect(server.ring).toBe(!isBun);
  return server;
}

describe("stop() with a deadline", () => {
  test("ends an idle connection at once, takes no other, and does not wait for the deadline", async () => {
    const server = start();
    using idle = await RawClient.connect(server.port);
    void idle.write(get("/"));
    expect((await idle.readResponse()).text).toBe("answered");
    const stopped = server.stop({ deadlineMs: DAY_MS });
    expect(await idle.closed).toBe("end");
    expect(await rejection(RawClient.connect(server.port))).toMatchObject({ code: "ECONNREFUSED" });
    idle.end();
    await stopped;
  });

  test("fulfils at once without connections", async () => {
    const server = start();
    await server.stop({ deadlineMs: DAY_MS });
    await server.stop({ deadlineMs: DAY_MS });
  });

  test("lets a handler finish, whose answer ends the connection", async () => {
    const seen = new Seen();
    const server = start(seen);
    using client = await RawClient.connect(server.port);
    void client.write(get("/held"));
    const { signal } = await seen.held.promise;
    let isStopped = false;
    const stopped = server.stop({ deadlineMs: DAY_MS }).then(() => (isStopped = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect([isStopped, signal.aborted]).toEqual([false, false]);
    seen.release.resolve();
    const { text, headers } = await client.readResponse();
    expect([text, headers.get("connection"), signal.aborted]).toEqual([
      "answered",
      isBun ? undefined : ["close"],
      false,
    ]);
    expect(await client.closed).toBe("end");
    client.end();
    await stopped;
  });

  test("ends a stream, a handler, and an unread answer when the deadline has passed, and not before", async () => {
    const seen = new Seen();
    const server = start(seen);
    using streaming = await RawClient.connect(server.port);
    using waiting = await RawClient.connect(server.port);
    using lazy = await RawClient.connect(server.port);
    void streaming.write(get("/stream"));
    await streaming.readUntil("begun");
    void lazy.write(get("/large"));
    await lazy.readUntil("\r\n\r\n");
    lazy.socket.pause();
    void waiting.write(get("/held"));
    const { signal } = await seen.held.promise;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const begun = performance.now();
    const stopped = server.stop({ deadlineMs: SOON_MS });
    await Promise.all([aborted, seen.cancelled.promise, streaming.closed, waiting.closed]);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(SOON_MS - 1);
    // Nothing else ends the connection of the client that does not read.
    await stopped;
    expect(server.pendingRequests).toBe(0);
  });

  test(`tells a WebSocket 1001 ${isBun ? "when the deadline has passed" : "at once"}`, async () => {
    const seen = new Seen();
    const server = start(seen);
    using client = await WebSocketClient.open(server.port);
    const stopped = server.stop({ deadlineMs: isBun ? SOON_MS : DAY_MS });
    const { opcode, payload } = await client.read();
    expect([opcode, payload.readUInt16BE(), payload.toString("utf8", 2)]).toEqual([8, 1001, "Server closed"]);
    client.send(frame(8, payload));
    client.raw.end();
    await stopped;
    expect(seen.closes).toEqual([[1001, "Server closed"]]);
    expect(server.pendingWebSockets).toBe(0);
  });

  test("ends a WebSocket whose client neither reads nor answers when the deadline has passed", async () => {
    const seen = new Seen();
    const server = start(seen, {
      websocket: {
        open: (socket) => void socket.send(new Uint8Array(8 << 20)),
        close: (_, code) => void seen.closes.push([code]),
        message() {},
      },
    });
    using client = await WebSocketClient.open(server.port);
    client.raw.socket.pause();
    const begun = performance.now();
    await server.stop({ deadlineMs: SOON_MS });
    // Without a deadline, a client may read nothing for 10 s.
    expect(performance.now() - begun).toBeLessThan(9000);
    expect(seen.closes).toEqual([[1001]]);
  });

  test.skipIf(isBun)("tells 1001 to a request that becomes a WebSocket meanwhile", async () => {
    const seen = new Seen();
    const server = start(seen);
    using client = await RawClient.connect(server.port);
    void client.write(handshake(undefined, "/later"));
    await seen.held.promise;
    const stopped = server.stop({ deadlineMs: DAY_MS });
    seen.release.resolve();
    expect(await client.readUntil("\r\n\r\n")).toStartWith("HTTP/1.1 101 ");
    const [opcode, , high, low] = await client.readBytes(4);
    expect([opcode, (high! << 8) | low!]).toEqual([0x88, 1001]);
    client.end();
    await stopped;
  });

  test("of 0 ends everything at once, and still tells a WebSocket 1001", async () => {
    const seen = new Seen();
    const server = start(seen);
    using waiting = await RawClient.connect(server.port);
    using client = await WebSocketClient.open(server.port);
    void waiting.write(get("/held"));
    const { signal } = await seen.held.promise;
    const stopped = server.stop({ deadlineMs: 0 });
    if (!isBun) expect(signal.aborted).toBe(true);
    expect(await client.rest()).toEqual([[8, 1001]]);
    await waiting.closed;
    await stopped;
    expect(signal.aborted).toBe(true);
  });

  for (const [how, again] of Object.entries({
    "stop(true)": true,
    "a nearer deadline": { deadlineMs: SOON_MS },
    "a deadline of 0": { deadlineMs: 0 },
  }))
    test(`is cut short by ${how}, and not put off by a later deadline or stop()`, async () => {
      const seen = new Seen();
      const server = start(seen);
      using client = await RawClient.connect(server.port);
      void client.write(get("/held"));
      const { signal } = await seen.held.promise;
      const stops = [server.stop({ deadlineMs: DAY_MS }), server.stop(again as never)];
      stops.push(server.stop(), server.stop(false), server.stop({ deadlineMs: DAY_MS }));
      await client.closed;
      await Promise.all(stops);
      expect(signal.aborted).toBe(true);
    });

  const wrong: [value: unknown, code: string][] = [
    [undefined, "ERR_INVALID_ARG_TYPE"],
    ["1000", "ERR_INVALID_ARG_TYPE"],
    [null, "ERR_INVALID_ARG_TYPE"],
    [-1, "ERR_OUT_OF_RANGE"],
    [NaN, "ERR_OUT_OF_RANGE"],
    [Infinity, "ERR_OUT_OF_RANGE"],
    [DAY_MS + 1, "ERR_OUT_OF_RANGE"],
  ];
  test.each(wrong)("refuses deadlineMs: %p, names it, and does not stop", async (deadlineMs, code) => {
    const server = start();
    const message = expect.stringMatching(/^deadlineMs must be /);
    expect(() => server.stop({ deadlineMs } as StopOptions)).toThrow(expect.objectContaining({ code, message }));
    using client = await RawClient.connect(server.port);
    void client.write(get("/"));
    expect((await client.readResponse()).text).toBe("answered");
    await server.stop(true);
  });
});
