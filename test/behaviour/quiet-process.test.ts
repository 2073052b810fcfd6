/**
 * Deadlines that a program sets in a quiet process: the reactor sleeps, and its clock has the time
 * of the last turn. Each deadline is set in a timer of Bun. The time since the last turn is longer
 * than the deadline.
 */
import { expect, test } from "bun:test";
import { once } from "node:events";
import { RawClient } from "./raw-client.ts";
import { isBun, serve } from "./subject.ts";
import { serveWebSocket, WebSocketClient } from "./websocket-client.ts";

/** Bun's clock for these deadlines ticks every four seconds. */
const longest = isBun ? 9000 : 3500;
const QUIET_MS = 1500;

test("resume() of a WebSocket begins the idle timeout anew", async () => {
  const seconds = 8; // The smallest allowed value.
  const opened = Promise.withResolvers<Bun.ServerWebSocket<unknown>>();
  const closed = Promise.withResolvers<number>();
  using server = serveWebSocket({
    idleTimeout: seconds,
    sendPings: false,
    open(socket) {
      socket.pause();
      opened.resolve(socket);
    },
    message() {},
    close: () => closed.resolve(performance.now()),
  });
  using client = await WebSocketClient.open(server.port);
  const socket = await opened.promise;
  await Bun.sleep(QUIET_MS);
  const set = performance.now();
  socket.resume();
  expect((await closed.promise) - set).toBeWithin(isBun ? 0 : 990 * seconds, 13_000);
  expect((await client.rest()).length).toBe(0);
});

// If the clock of the sleeping reactor is not updated, the deadline is over before it begins.
test("server.timeout() counts from when it is called", async () => {
  const asked = Promise.withResolvers<Request>();
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    idleTimeout: 60,
    fetch(request) {
      asked.resolve(request);
      return new Promise(() => {});
    },
  });
  using client = await RawClient.connect(server.port);
  await client.write("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  const request = await asked.promise;
  const aborted = once(request.signal, "abort").then(() => performance.now());
  await Bun.sleep(QUIET_MS);
  const set = performance.now();
  server.timeout(request, 1);
  expect((await aborted) - set).toBeWithin(isBun ? 0 : 990, longest);
});
