/** console.log shows the public properties of an object of the API, and not its internal ones. */
import { expect, test } from "bun:test";
import { connect, listen, serve, udpSocket } from "./subject.ts";

/** Largest number of printed lines. Bun also lists methods. */
const LINES_MAX = 80;

function shows(value: unknown, ...parts: string[]): void {
  const text = Bun.inspect(value);
  for (const part of parts) expect(text).toContain(part);
  expect(text).not.toMatch(/reactor|transport/i);
  expect(text.split("\n").length).toBeLessThan(LINES_MAX);
}

test("servers and WebSockets", async () => {
  const opened = Promise.withResolvers<Bun.ServerWebSocket<undefined>>();
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request, self) {
      self.upgrade(request);
      return new Response();
    },
    websocket: { open: (socket: Bun.ServerWebSocket<undefined>) => opened.resolve(socket), message() {} },
  });
  shows(server, "Server {", `127.0.0.1:${server.port}/`, "pendingWebSockets: 0");
  const client = new WebSocket(`ws://127.0.0.1:${server.port}/`);
  const socket = await opened.promise;
  shows(socket, "ServerWebSocket {", "readyState: 1", 'remoteAddress: "127.0.0.1"');
  const closed = new Promise((resolve) => (client.onclose = resolve));
  socket.close();
  await closed;
  shows(socket, "readyState: 3");
  await server.stop(true);
});

test("sockets and their listener", async () => {
  const opened = Promise.withResolvers<object>();
  using server = listen({ hostname: "127.0.0.1", port: 0, socket: { open: opened.resolve, data() {} } });
  shows(server, "Listener {", 'hostname: "127.0.0.1"', `port: ${server.port}`);
  const closed = Promise.withResolvers<void>();
  const socket = await connect({
    hostname: "127.0.0.1",
    port: server.port,
    socket: { data() {}, close: () => closed.resolve() },
  });
  shows(socket, "Socket {", `remotePort: ${server.port}`, "readyState: 1");
  shows(await opened.promise, `localPort: ${server.port}`);
  socket.terminate();
  await closed.promise;
  shows(socket, "Socket {");
});

test("datagram sockets", async () => {
  const socket = await udpSocket({ hostname: "127.0.0.1", port: 0 });
  shows(socket, `port: ${socket.port}`, "closed: false");
  socket.close();
  shows(socket, "closed: true");
});
