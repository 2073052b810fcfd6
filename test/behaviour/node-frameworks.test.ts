/**
 * Unmodified apps for Node with Express, Fastify, Koa, ws and Socket.IO: with the preload on
 * ringloop, without it on Bun.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { fixture, Program } from "./process.ts";
import { isBun } from "./subject.ts";

const underPreload = isBun ? [] : ["--preload", join(import.meta.dir, "../../src/register.ts")];

let program: Program;
let ports: Record<"expressPort" | "fastifyPort" | "koaPort" | "wsPort" | "socketIoPort", number>;

beforeAll(async () => {
  program = new Program([process.execPath, ...underPreload, fixture("node-apps.ts")]);
  ports = await program.line();
});

afterAll(async () => {
  const { running } = program;
  await program[Symbol.asyncDispose]();
  expect({ running, stderr: await program.stderr }).toEqual({ running: true, stderr: "" });
});

const urlOf = (name: keyof typeof ports, path: string): string => `http://127.0.0.1:${ports[name]}${path}`;

function postJson(value: unknown): RequestInit {
  return { method: "POST", body: JSON.stringify(value), headers: { "content-type": "application/json" } };
}

/** A process has a ring as soon as ringloop serves something in it. */
test("each app is served by the subject", () => {
  const links = readdirSync(`/proc/${program.pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${program.pid}/fd/${fd}`);
    } catch {
      return ""; // The descriptor was closed meanwhile.
    }
  });
  expect(links.includes("anon_inode:[io_uring]")).toBe(!isBun);
});

describe("an Express app", () => {
  test("routes, answers JSON, redirects, and hands errors on", async () => {
    const text = async (path: string): Promise<string> => (await fetch(urlOf("expressPort", path))).text();
    expect(await text("/")).toBe("Hello Express");
    expect(JSON.parse(await text("/users/7?q=é"))).toEqual({ id: "7", q: "é" });
    expect(await text("/redirect")).toBe("Hello Express");
    const made = await fetch(urlOf("expressPort", "/json"), postJson({ a: ["é"] }));
    expect([made.status, await made.json()]).toEqual([201, { got: { a: ["é"] } }]);
    const failed = await fetch(urlOf("expressPort", "/fails"));
    expect([failed.status, await failed.text()]).toEqual([500, "on purpose"]);
    expect((await fetch(urlOf("expressPort", "/nothing"))).status).toBe(404);
  });

  test("serves files, whole, in part, and not again", async () => {
    const whole = await fetch(urlOf("expressPort", "/files/node-apps.ts"));
    const text = readFileSync(fixture("node-apps.ts"), "utf8");
    expect(await whole.text()).toBe(text);
    const headers = { range: "bytes=2-9" };
    const part = await fetch(urlOf("expressPort", "/files/node-apps.ts"), { headers });
    expect([part.status, await part.text()]).toEqual([206, text.slice(2, 10)]);
    const etag = whole.headers.get("etag")!;
    const again = await fetch(urlOf("expressPort", "/files/node-apps.ts"), { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
  });
});

describe("a Fastify app", () => {
  test("answers JSON, checks a schema, streams, and calls its hooks", async () => {
    const hello = await fetch(urlOf("fastifyPort", "/"));
    expect([await hello.json(), hello.headers.get("x-hook")]).toEqual([{ hello: "Fastify" }, "sent"]);
    expect(await (await fetch(urlOf("fastifyPort", "/json"), postJson({ n: 3 }))).json()).toEqual({ got: { n: 3 } });
    expect((await fetch(urlOf("fastifyPort", "/json"), postJson({ n: "x" }))).status).toBe(400);
    expect(await (await fetch(urlOf("fastifyPort", "/stream"))).text()).toBe("part 0;part 1;part 2;");
  });
});

describe("a Koa app", () => {
  test("runs its middleware, reads a body and sets cookies", async () => {
    const hello = await fetch(urlOf("koaPort", "/path"));
    expect([await hello.text(), hello.headers.get("x-path")]).toEqual(["Hello Koa", "/path"]);
    const body = Buffer.alloc(300_000, "body ");
    const echo = await fetch(urlOf("koaPort", "/echo"), { method: "POST", body });
    expect((await echo.bytes()).length).toBe(body.length);
    const cookie = await fetch(urlOf("koaPort", "/cookie"), { headers: { cookie: "visited=before" } });
    expect([await cookie.text(), cookie.headers.get("set-cookie")]).toEqual([
      "before",
      "visited=yes; path=/; httponly",
    ]);
  });
});

/** Returns a function that returns the messages of a WebSocket, one after another. */
function messagesOf(socket: WebSocket): () => Promise<unknown> {
  const come: unknown[] = [];
  let wake = (): void => {};
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    come.push(data);
    wake();
  };
  return async () => {
    while (come.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return come.shift();
  };
}

describe("an app of ws", () => {
  test("upgrades, and echoes text, bytes and what is large", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${ports.wsPort}/chat?a=1`);
    const next = messagesOf(socket);
    expect(await next()).toBe("welcome to /chat?a=1");
    socket.send("é");
    expect(await next()).toBe("é");
    socket.send(Uint8Array.of(1, 2, 3));
    expect(new Uint8Array((await next()) as ArrayBuffer)).toEqual(Uint8Array.of(1, 2, 3));
    const large = "large ".repeat(50_000);
    socket.send(large);
    expect(await next()).toBe(large);
    const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
    socket.close(1000);
    expect(await closed).toBe(1000);
  });
});

describe("an app of Socket.IO", () => {
  test("polls, upgrades to a WebSocket, and acknowledges", async () => {
    const polled = await (await fetch(urlOf("socketIoPort", "/socket.io/?EIO=4&transport=polling"))).text();
    const { sid, upgrades } = JSON.parse(polled.slice(1)) as { sid: string; upgrades: string[] };
    expect(upgrades).toEqual(["websocket"]);
    const socket = new WebSocket(
      `ws://127.0.0.1:${ports.socketIoPort}/socket.io/?EIO=4&transport=websocket&sid=${sid}`,
    );
    const next = messagesOf(socket);
    await new Promise((resolve) => (socket.onopen = resolve));
    socket.send("2probe");
    expect(await next()).toBe("3probe");
    socket.send("5");
    socket.send("40");
    expect(await next()).toStartWith('40{"sid":');
    expect(await next()).toBe('42["welcome",{"id":true}]');
    socket.send('420["echo","hi"]');
    expect(await next()).toBe('430["hi!"]');
    socket.close();
  });
});
