/**
 * WebSockets: /echo sends a message back, /fan?count=N sends it N times to all. With "deflate" in
 * the path, messages are compressed.
 */
import { announce, serve } from "./subject.ts";

interface Data {
  count: number;
  compress: boolean;
}

const server = serve<Data>({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request, own) {
    const { pathname, searchParams } = new URL(request.url);
    const data = { count: Number(searchParams.get("count") ?? 0), compress: pathname.includes("deflate") };
    return own.upgrade(request, { data }) ? undefined : new Response("a WebSocket is wanted", { status: 426 });
  },
  websocket: {
    perMessageDeflate: true,
    idleTimeout: 0,
    open(socket) {
      if (socket.data.count > 0) socket.subscribe("all");
    },
    message(socket, message) {
      const { count, compress } = socket.data;
      if (count === 0) socket.send(message, compress);
      else for (let i = 0; i < count; i++) server.publish("all", message, compress);
    },
  },
});
announce(server.port!);
