/**
 * Returns a port that nobody listens on. It lies below the ports that the kernel gives to outgoing
 * connections (ip_local_port_range), so that no such connection takes it before the server does.
 */
import { once } from "node:events";
import { createServer } from "node:net";

const PORT_MIN = 10_000;
const PORT_END = 32_000;

export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_END - PORT_MIN));
    const server = createServer();
    server.listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch {
      continue; // Somebody listens there.
    }
    server.close();
    await once(server, "close");
    return port;
  }
}
