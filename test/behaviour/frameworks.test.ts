/** Unmodified Hono and Elysia apps for Bun: with the preload on ringloop, without it on Bun. */
import { describe, expect, test } from "bun:test";
import { readlinkSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fixture, Program, run } from "./process.ts";
import { ask } from "./raw-client.ts";
import { isBun } from "./subject.ts";

const underPreload = isBun ? [] : ["--preload", join(import.meta.dir, "../../src/register.ts")];

interface App extends AsyncDisposable {
  url: string;
  port: number;
}

function isRing(link: string): boolean {
  try {
    return readlinkSync(link) === "anon_inode:[io_uring]";
  } catch {
    return false; // The descriptor was closed meanwhile.
  }
}

/** Whether a process has a descriptor of a ring, which means that ringloop serves. */
function hasRing({ pid }: Program): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => isRing(`/proc/${pid}/fd/${fd}`));
}

async function startApp(name: string, env: Record<string, string> = {}): Promise<App> {
  const program = new Program([process.execPath, ...underPreload, fixture(name)], env);
  const port = (await program.line()) as number;
  expect(hasRing(program)).toBe(!isBun);
  const end = async (): Promise<void> => {
    const { running } = program;
    await program[Symbol.asyncDispose]();
    expect({ running, stderr: await program.stderr }).toEqual({ running: true, stderr: "" });
  };
  return { port, url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: end };
}

const post = (body: Bun.BodyInit, type?: string): RequestInit => ({
  method: "POST",
  body,
  ...(type && { headers: { "content-type": type } }),
});

describe("a Hono app", () => {
  test("routes, answers JSON and HTML, redirects, and knows its client", async () => {
    await using app = await startApp("hono-app.ts");
    const text = async (path: string, init?: RequestInit): Promise<string> =>
      (await fetch(app.url + path, init)).text();
    expect(await text("/")).toBe("Hello Hono");
    expect(JSON.parse(await text("/users/a%20b/posts/12?q=x+y"))).toEqual({ id: "a b", post: "12", q: "x y" });
    expect(await text("/users/a/posts/x")).toBe("nothing at /users/a/posts/x");
    expect(await text("/html")).toBe("<h1>é</h1>");
    expect(await text("/redirect")).toBe("Hello Hono");
    expect((await fetch(`${app.url}/redirect`, { redirect: "manual" })).status).toBe(302);
    expect(JSON.parse(await text("/address"))).toMatchObject({ address: "127.0.0.1", addressType: "IPv4" });
    const made = await fetch(`${app.url}/json`, post('{"a":[1,"é"]}', "application/json"));
    expect([made.status, await made.json()]).toEqual([201, { got: { a: [1, "é"] }, type: "application/json" }]);
    expect((await fetch(`${app.url}/fails`)).status).toBe(418);
    expect(await text("/breaks")).toBe("caught broken");
    expect((await ask(app.port, "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", "HEAD")).text).toBe("");
  });

  test("sets and deletes cookies", async () => {
    await using app = await startApp("hono-app.ts");
    const first = await fetch(`${app.url}/cookie`);
    expect(await first.text()).toBe("no");
    expect(first.headers.getSetCookie()).toEqual([
      "visited=yes; Path=/; HttpOnly",
      "second=2; Path=/",
      "old=; Max-Age=0; Path=/",
    ]);
    expect(await (await fetch(`${app.url}/cookie`, { headers: { cookie: "a=b; visited=before" } })).text()).toBe(
      "before",
    );
  });

  test("takes uploads, and echoes a stream", async () => {
    await using app = await startApp("hono-app.ts");
    const form = new FormData();
    form.append("field", "é");
    form.append("file", new File([Buffer.alloc(300_000, "x")], "name.bin"));
    const uploaded = await fetch(`${app.url}/upload`, post(form));
    expect(await uploaded.json()).toEqual({ name: "name.bin", size: 300_000, field: "é" });
    const large = "streamed both ways ".repeat(100_000);
    expect(await (await fetch(`${app.url}/echo`, post(large))).text()).toBe(large);
  });

  test("streams text, bytes and events", async () => {
    await using app = await startApp("hono-app.ts");
    expect(await (await fetch(`${app.url}/stream`)).text()).toBe("line 0\nline 1\nline 2\n");
    expect(await (await fetch(`${app.url}/binary`)).bytes()).toEqual(new Uint8Array(100_000).fill(7));
    const events = await fetch(`${app.url}/events`);
    expect(events.headers.get("content-type")).toBe("text/event-stream");
    expect((await events.text()).match(/data: event \d/g)).toEqual(["data: event 0", "data: event 1", "data: event 2"]);
  });

  test("has WebSockets", async () => {
    await using app = await startApp("hono-app.ts");
    const socket = new WebSocket(`ws://127.0.0.1:${app.port}/socket?name=ann`);
    const messages: string[] = [];
    const closed = new Promise<CloseEvent>((resolve) => (socket.onclose = resolve));
    socket.onmessage = ({ data }) => messages.push(data);
    socket.onopen = () => socket.send("bye");
    const { code, reason } = await closed;
    expect([messages, code, reason]).toEqual([["hello ann", "you said bye"], 4000, "done"]);
  });

  test("has its middleware: CORS, entity tags, static files", async () => {
    await using app = await startApp("hono-app.ts");
    const preflight = { Origin: "http://example.com", "Access-Control-Request-Method": "PUT" };
    const allowed = await fetch(`${app.url}/cors/data`, { method: "OPTIONS", headers: preflight });
    expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([204, "http://example.com"]);
    const tagged = await fetch(`${app.url}/etag/data`);
    const again = await fetch(`${app.url}/etag/data`, { headers: { "If-None-Match": tagged.headers.get("etag")! } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
    const file = await (await fetch(`${app.url}/static/hono-app.ts`)).text();
    expect(file.length).toBe(Buffer.from(await Bun.file(fixture("hono-app.ts")).bytes()).toString().length);
    expect((await fetch(`${app.url}/static/nowhere`)).status).toBe(404);
  });
});

test("a Hono app is served by Bun itself, as the program's default export", async () => {
  await using program = new Program([process.execPath, ...underPreload, fixture("hono-default.ts")], { PORT: "0" });
  const [url = ""] = /http:\S+/.exec(await program.text("Started")) ?? [];
  expect(await (await fetch(url)).text()).toBe("by default");
  expect(hasRing(program)).toBe(!isBun);
});

for (const by of ["fetch", "listen"] as const) {
  describe(`an Elysia app, by ${by}`, () => {
    const start = (): Promise<App> => startApp("elysia-app.ts", { ELYSIA_BY: by });

    test("routes, validates, answers JSON, and knows its client", async () => {
      await using app = await start();
      const text = async (path: string, init?: RequestInit): Promise<string> =>
        (await fetch(app.url + path, init)).text();
      expect(await text("/")).toBe("Hello Elysia");
      expect(JSON.parse(await text("/users/7?q=x+y"))).toEqual({ id: 7, q: "x y" });
      expect(await text("/users/x")).toBe("not valid");
      expect(await text("/wild/a/b%20c")).toBe("a/b%20c");
      expect(await text("/nowhere")).toBe("nothing at /nowhere");
      expect(await text("/redirect")).toBe("Hello Elysia");
      expect(await text("/breaks")).toBe("caught broken");
      expect((await fetch(`${app.url}/status`)).status).toBe(418);
      if (by === "listen") expect(JSON.parse(await text("/address"))).toMatchObject({ address: "127.0.0.1" });
      const made = await fetch(`${app.url}/json`, post('{"name":"é","n":1}', "application/json"));
      expect([made.status, made.headers.get("x-made")]).toEqual([201, "by Elysia"]);
      expect(await made.json()).toEqual({ got: { name: "é", n: 1 } });
      expect(await text("/json", post('{"name":1}', "application/json"))).toBe("not valid");
      expect(await text("/text", post("plain", "text/plain"))).toBe("got plain");
    });

    // An Elysia app has WebSockets only with its own listen().
    test.skipIf(by === "fetch")("has WebSockets, validates what they send, and publishes", async () => {
      await using app = await start();
      const open = async (): Promise<WebSocket> => {
        const socket = new WebSocket(`ws://127.0.0.1:${app.port}/socket/tea`);
        await new Promise((resolve) => (socket.onopen = resolve));
        return socket;
      };
      const next = (socket: WebSocket): Promise<string> =>
        new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
      const [ann, ben] = [await open(), await open()];
      const heard = next(ben);
      const answered = next(ann);
      ann.send(JSON.stringify({ n: 21 }));
      expect(JSON.parse(await answered)).toEqual({ twice: 42 });
      expect(await heard).toBe("somebody said 21");
      const refused = next(ann);
      ann.send(JSON.stringify({ n: "no number" }));
      expect(await refused).toContain("validation");
      for (const socket of [ann, ben]) socket.close();
    });

    test("sets and removes cookies", async () => {
      await using app = await start();
      const answer = await fetch(`${app.url}/cookie`, { headers: { cookie: "visited=before; old=1" } });
      expect(await answer.text()).toBe("before");
      const cookies = answer.headers.getSetCookie();
      expect(cookies.find((cookie) => cookie.startsWith("visited="))).toContain("visited=yes");
      expect(cookies.find((cookie) => cookie.startsWith("old="))).toMatch(/Max-Age=0|Expires=Thu, 01 Jan 1970/);
    });

    test("takes uploads, streams, and sends files and forms", async () => {
      await using app = await start();
      const form = new FormData();
      form.append("field", "é");
      form.append("upload", new File([Buffer.alloc(300_000, "x")], "name.bin"));
      expect(await (await fetch(`${app.url}/upload`, post(form))).json()).toEqual({
        name: "name.bin",
        size: 300_000,
        field: "é",
      });
      expect(await (await fetch(`${app.url}/stream`)).text()).toBe("part 0;part 1;part 2;");
      expect((await (await fetch(`${app.url}/events`)).text()).match(/data: \{"id":\d\}/g)).toHaveLength(3);
      const file = await fetch(`${app.url}/file`);
      expect((await file.bytes()).length).toBe(statSync(fixture("elysia-app.ts")).size);
      const sent = (await (await fetch(`${app.url}/form`)).formData()) as FormData;
      expect(sent.get("field")).toBe("value");
    });
  });
}

test("servers of node:net and node:dgram run on Bun's own, with one notice for each module, beside those of node:http", async () => {
  const { stdout, stderr } = await run([process.execPath, ...underPreload, fixture("node-servers.ts")]);
  expect(JSON.parse(stdout)).toEqual({
    http: ["GET /path", "GET /path"],
    webSocket: "upgraded",
    net: "echo",
    unix: "echo",
    datagram: "datagram",
  });
  const modules = [...stderr.matchAll(/^ringloop: (node:\w+) runs on Bun's own, because .*$/gm)].map(
    ([, name]) => name,
  );
  expect(modules.toSorted()).toEqual(isBun ? [] : ["node:dgram", "node:net"]);
  expect(stderr.trim().split("\n").filter(Boolean)).toHaveLength(modules.length);
});
