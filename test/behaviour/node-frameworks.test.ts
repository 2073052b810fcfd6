/**
 * Unmodified apps for Node with Express, Fastify, Koa, ws and Socket.IO: with the preload on
 * ringloop, without it on Bun.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { messagesOf, NodeApp, postJson } from "./node-app.ts";
import { fixture } from "./process.ts";

type Name = "expressPort" | "fastifyPort" | "koaPort" | "wsPort" | "socketIoPort";
let app: NodeApp<Name>;

beforeAll(async () => {
  app = await NodeApp.start("node-apps.ts");
});

afterAll(() => app[Symbol.asyncDispose]());

test("each app is served by the subject", () => {
  expect(app.isServedBySubject).toBe(true);
});

describe("an Express app", () => {
  test("routes, answers JSON, redirects, and hands errors on", async () => {
    const text = async (path: string): Promise<string> => (await app.fetch("expressPort", path)).text();
    expect(await text("/")).toBe("Hello Express");
    expect(JSON.parse(await text("/users/7?q=é"))).toEqual({ id: "7", q: "é" });
    expect(await text("/redirect")).toBe("Hello Express");
    const made = await app.fetch("expressPort", "/json", postJson({ a: ["é"] }));
    expect([made.status, await made.json()]).toEqual([201, { got: { a: ["é"] } }]);
    const failed = await app.fetch("expressPort", "/fails");
    expect([failed.status, await failed.text()]).toEqual([500, "on purpose"]);
    expect((await app.fetch("expressPort", "/nothing")).status).toBe(404);
  });

  test("serves files, whole, in part, and not again", async () => {
    const whole = await app.fetch("expressPort", "/files/node-apps.ts");
    const text = readFileSync(fixture("node-apps.ts"), "utf8");
    expect(await whole.text()).toBe(text);
    const headers = { range: "bytes=2-9" };
    const part = await app.fetch("expressPort", "/files/node-apps.ts", { headers });
    expect([part.status, await part.text()]).toEqual([206, text.slice(2, 10)]);
    const etag = whole.headers.get("etag")!;
    const again = await app.fetch("expressPort", "/files/node-apps.ts", { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
  });
});

describe("a Fastify app", () => {
  test("answers JSON, checks a schema, streams, and calls its hooks", async () => {
    const hello = await app.fetch("fastifyPort", "/");
    expect([await hello.json(), hello.headers.get("x-hook")]).toEqual([{ hello: "Fastify" }, "sent"]);
    expect(await (await app.fetch("fastifyPort", "/json", postJson({ n: 3 }))).json()).toEqual({ got: { n: 3 } });
    expect((await app.fetch("fastifyPort", "/json", postJson({ n: "x" }))).status).toBe(400);
    expect(await (await app.fetch("fastifyPort", "/stream")).text()).toBe("part 0;part 1;part 2;");
  });
});

describe("a Koa app", () => {
  test("runs its middleware, reads a body and sets cookies", async () => {
    const hello = await app.fetch("koaPort", "/path");
    expect([await hello.text(), hello.headers.get("x-path")]).toEqual(["Hello Koa", "/path"]);
    const body = Buffer.alloc(300_000, "body ");
    const echo = await app.fetch("koaPort", "/echo", { method: "POST", body });
    expect((await echo.bytes()).length).toBe(body.length);
    const cookie = await app.fetch("koaPort", "/cookie", { headers: { cookie: "visited=before" } });
    expect([await cookie.text(), cookie.headers.get("set-cookie")]).toEqual([
      "before",
      "visited=yes; path=/; httponly",
    ]);
  });
});

describe("an app of ws", () => {
  test("upgrades, and echoes text, bytes and what is large", async () => {
    const socket = new WebSocket(app.url("wsPort", "/chat?a=1", "ws"));
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
    const polled = await (await app.fetch("socketIoPort", "/socket.io/?EIO=4&transport=polling")).text();
    const { sid, upgrades } = JSON.parse(polled.slice(1)) as { sid: string; upgrades: string[] };
    expect(upgrades).toEqual(["websocket"]);
    const socket = new WebSocket(app.url("socketIoPort", `/socket.io/?EIO=4&transport=websocket&sid=${sid}`, "ws"));
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
