import { listen, useReactor } from "../src/index.ts";
import { options } from "./options.ts";

const { port, mode } = options({ port: 4000 });
const server = listen({
  port,
  mode,
  socket: {
    data(socket, data) {
      socket.write(data);
    },
  },
});
console.log(`echo on port ${server.port}, ${useReactor().info.mode}`);
