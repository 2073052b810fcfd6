/**
 * The demo: an HTTP server and an echo server on one ring, and a live line of the ring's work.
 *
 *   npm run demo                             serves until it is interrupted
 *   npm run demo -- --load --seconds 5       also makes load in a child process, and ends with a
 *                                            summary
 */
import { parseArgs } from "node:util";
import { listen, type Mode, type ReactorStats, serve, useReactor } from "../src/index.ts";

const { values } = parseArgs({
  options: {
    load: { type: "boolean", default: false },
    seconds: { type: "string" },
    mode: { type: "string", default: "auto" },
    "http-port": { type: "string", default: "3000" },
    "echo-port": { type: "string", default: "4000" },
  },
});
const mode = values.mode as Mode;
const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
if (seconds !== undefined && !(seconds > 0))
  throw new TypeError(`--seconds must be a positive number, not ${values.seconds}`);

let requests = 0;
let echoed = 0;
const hostname = values.load ? "127.0.0.1" : undefined;
const http = serve({
  port: values["http-port"],
  ...(hostname && { hostname }),
  mode,
  fetch() {
    requests++;
    return new Response("Hello from the ring\n");
  },
});
const echo = listen({
  port: Number(values["echo-port"]),
  ...(hostname && { hostname }),
  mode,
  socket: {
    data(socket, data) {
      echoed++;
      socket.write(data);
    },
  },
});

const reactor = useReactor();
console.log(`HTTP: curl http://127.0.0.1:${http.port}/`);
console.log(`echo: ncat 127.0.0.1 ${echo.port}`);

function snapshot(): ReactorStats & { requests: number; echoed: number; atMs: number } {
  return { ...reactor.stats(), requests, echoed, atMs: performance.now() };
}

function describe(from: ReturnType<typeof snapshot>, to: ReturnType<typeof snapshot>): string {
  const elapsed = (to.atMs - from.atMs) / 1000;
  const rate = (name: "requests" | "echoed" | "enters"): string =>
    Math.round((to[name] - from[name]) / elapsed).toLocaleString("en");
  const enters = to.enters - from.enters;
  const perEnter = enters === 0 ? "-" : ((to.cqes - from.cqes) / enters).toFixed(1);
  const { mode: running } = reactor.info;
  return `${rate("requests")} requests/s, ${rate("echoed")} echoes/s, ${rate("enters")} enters/s, ${perEnter} completions/enter, ${running}`;
}

const start = snapshot();
let last = start;
const line = setInterval(() => {
  const now = snapshot();
  const text = describe(last, now);
  last = now;
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
  else console.log(text);
}, 1000);

async function drive(): Promise<void> {
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/demo-load.ts`], {
    env: { ...process.env, HTTP_PORT: String(http.port), ECHO_PORT: String(echo.port), SECONDS: String(seconds ?? 5) },
    stdout: "inherit",
    stderr: "inherit",
  });
  const code = await child.exited;
  finish(code);
}

function finish(code: number): never {
  clearInterval(line);
  if (process.stdout.isTTY) process.stdout.write("\n");
  console.log(`in all: ${describe(start, snapshot())}`);
  process.exit(code);
}

process.once("SIGINT", () => finish(0));
process.once("SIGTERM", () => finish(0));
if (values.load) void drive();
else if (seconds !== undefined) setTimeout(() => finish(0), seconds * 1000);
