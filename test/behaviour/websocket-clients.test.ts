/**
 * WebSockets with third-party clients: Bun's, ws in Node, Python's websockets and wsproto, and a
 * browser.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chat } from "../../examples/chat.ts";
import { fixture, Program, run } from "./process.ts";
import { serve, type Server } from "./subject.ts";
import { serveWebSocket } from "./websocket-client.ts";

/** Debian's Python, because the two Python clients are Debian packages. */
const python = "/usr/bin/python3";
const hasPythonClients =
  Bun.spawnSync([python, "-c", "import websockets, wsproto"], { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
const chromium = Bun.which("chromium-headless-shell") ?? Bun.which("chromium");
let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), "ringloop-"))));
afterAll(() => rmSync(directory, { recursive: true }));

/** Starts a server that sends messages back, and closes if a message asks for it. */
function serveClients(perMessageDeflate: Bun.WebSocketHandler<any>["perMessageDeflate"]): Server {
  return serveWebSocket({
    perMessageDeflate,
    message(socket, message) {
      if (message === "close me") socket.close(4002, "as you say é");
      else socket.send(message, true);
    },
  });
}

for (const option of [
  true,
  { compress: "dedicated", decompress: "dedicated" },
  { compress: "8KB", decompress: "8KB" },
] as const) {
  const name = option === true ? "shared" : option.compress;

  test(`npm's ws, with the compressor ${name}`, async () => {
    using server = serveClients(option);
    const { stdout } = await run(["node", fixture("websocket-client.cjs"), String(server.port)]);
    const common = {
      echoed: Array(6).fill(true),
      pong: "between",
      fragments: "fragments",
      protocol: "chat",
      code: 4001,
      reason: "done",
    };
    expect(JSON.parse(stdout)).toEqual({
      plain: { ...common, extensions: "" },
      deflate: { ...common, extensions: "permessage-deflate" },
      told: [4002, "as you say é"],
    });
  });

  test.skipIf(!hasPythonClients)(`Python's websockets and wsproto, with the compressor ${name}`, async () => {
    using server = serveClients(option);
    const { stdout } = await run([python, fixture("websocket-client.py"), String(server.port)]);
    const common = { echoed: Array(7).fill(true), code: 4000, reason: "done" };
    const exchanged = [
      ["pong", "between"],
      ["text", "fragments"],
      ["closed", 1000, "bye"],
    ];
    expect(JSON.parse(stdout)).toEqual({
      plain: { ...common, extensions: [] },
      deflate: { ...common, extensions: ["permessage-deflate"] },
      told: [4002, "as you say é"],
      wsproto: [["accepted", "b", 0], ...exchanged],
      "wsproto deflate": [["accepted", "b", 1], ...exchanged],
    });
  });

  test(`Bun's WebSocket, with the compressor ${name}`, async () => {
    using server = serveClients(option);
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/`);
    socket.binaryType = "arraybuffer";
    const messages = ["text é", "", Buffer.from("bytes"), "long ".repeat(30_000), Buffer.alloc(256_000, "bytes ")];
    const received: unknown[] = [];
    const done = Promise.withResolvers<void>();
    socket.onopen = () => messages.forEach((message) => socket.send(message as never));
    socket.onmessage = ({ data }) => {
      received.push(typeof data === "string" ? data : Buffer.from(data));
      if (received.length === messages.length) done.resolve();
    };
    await done.promise;
    expect(received).toEqual(messages);
    const closed = new Promise<CloseEvent>((resolve) => (socket.onclose = resolve));
    socket.send("close me");
    const { code, reason } = await closed;
    expect([code, reason]).toEqual([4002, "as you say é"]);
  });
}

test.skipIf(!chromium)("Chromium chats with itself in two frames of a page", async () => {
  // Loads the chat's page twice, and uses it as people do. Shortly after its start Chromium
  // sometimes fails a WebSocket before it has sent a byte. The page connects again then. If the
  // server lost a connection, there would be a second "is here".
  const script = `
      const until = async (condition) => { while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10)); };
      const open = async (name) => {
        const frame = document.createElement("iframe");
        frame.src = "/?room=tea&name=" + name;
        document.body.append(frame);
        await until(() => frame.contentDocument?.title === "Chat: open");
        return frame.contentDocument;
      };
      const lines = (page) => [...page.querySelectorAll("li")].map(({ firstChild, lastChild }) => firstChild.textContent + ": " + lastChild.textContent);
      const say = (page, text) => {
        page.querySelector("input").value = text;
        page.querySelector("button").click();
      };
      const ann = await open("ann");
      const ben = await open("ben");
      await until(() => lines(ann).length === 2);
      say(ann, "hello é <b>");
      await until(() => lines(ben).length === 2);
      say(ben, "hello, ann");
      await until(() => lines(ann).length === 4);
      document.querySelectorAll("iframe")[1].remove();
      await until(() => lines(ann).length === 5);
      await fetch("/report", { method: "POST", body: JSON.stringify(lines(ann)) });`;
  const report = Promise.withResolvers<unknown>();
  const options = chat((room, line) => void server.publish(room, JSON.stringify(line)));
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    ...(options as object),
    routes: {
      ...(options.routes as object),
      "/test": () =>
        new Response(
          `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body><script type="module">${script}</script>`,
          {
            headers: { "Content-Type": "text/html" },
          },
        ),
      "/report": async (request: Request) => {
        report.resolve(await request.json());
        return new Response();
      },
    } as never,
  });
  const flags = [
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-port=0",
    `--user-data-dir=${join(directory, "profile")}`,
  ];
  await using browser = new Program([chromium!, ...flags, `http://127.0.0.1:${server.port}/test`], {}, true);
  const ended = browser.exited.then(async (code) => `the browser ended with ${code}: ${await browser.stderr}`);
  expect(await Promise.race([report.promise, ended])).toEqual([
    "ann: is here",
    "ben: is here",
    "ann: hello é <b>",
    "ben: hello, ann",
    "ben: has left",
  ]);
  expect(server.pendingWebSockets).toBe(1);
  await server.stop(true);
});
