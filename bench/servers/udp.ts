import { announce, udpSocket } from "./subject.ts";

const socket = await udpSocket({
  port: 0,
  hostname: "127.0.0.1",
  socket: {
    data(from, data, port, address) {
      from.send(data, port, address);
    },
  },
});
announce(socket.port);
