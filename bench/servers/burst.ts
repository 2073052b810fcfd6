/**
 * Echoes in pieces of 64 bytes, each by a separate write, like protocols of many small messages.
 */
import { announce, listen } from "./subject.ts";

const server = listen({
  port: 0,
  hostname: "127.0.0.1",
  socket: {
    data(socket, data) {
      for (let at = 0; at < data.length; at += 64) socket.write(data.subarray(at, at + 64));
    },
  },
});
announce(server.port);
