import { announce, listen } from "./subject.ts";

const server = listen({
  port: 0,
  hostname: "127.0.0.1",
  socket: {
    data(socket, data) {
      socket.write(data);
    },
  },
});
announce(server.port);
