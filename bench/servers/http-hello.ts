import { announce, serve } from "./subject.ts";

const server = serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: () => new Response("Hello, World!"),
});
announce(server.port!);
