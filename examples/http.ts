import { serve, useReactor } from "../src/index.ts";
import { options } from "./options.ts";

const { port, mode } = options({ port: 3000 });
const server = serve({
  port,
  mode,
  fetch: (request) => new Response(`Hello from ${new URL(request.url).pathname}\n`),
});
console.log(`${server.url}, ${useReactor().info.mode}`);
