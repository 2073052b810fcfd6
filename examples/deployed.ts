import { serve } from "../src/index.ts";

const server = serve({
  // The socket that systemd has passed. Without one: the variable PORT, or 3000.
  ...(process.env.LISTEN_FDS ? { fd: "systemd" as const } : {}),
  idleTimeout: 75, // Longer than the proxy in front keeps an idle connection.
  routes: { "/health": (): Response => Response.json({ ring: server.ring }) },
  websocket: {
    message: (socket, text) => void socket.send(text),
  },
  fetch(request, self): Response | undefined {
    if (self.upgrade(request)) return undefined;
    return new Response(`Hello from ${new URL(request.url).pathname}\n`);
  },
});
console.log(`ring: ${server.ring}`);

process.once("SIGTERM", async () => {
  await server.stop({ deadlineMs: 20_000 });
  // Here the last request is answered. Close databases, and the process ends by itself.
});
