/**
 * The name of a Blob is a label that programs set and clients choose. Whatever the name is, the
 * server sends the Blob's own bytes.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isBun, serve, type Server, type ServeOptions } from "./subject.ts";

const directory = mkdtempSync(join(tmpdir(), "ringloop-names-"));
const shown = join(directory, "shown.txt");
const secret = join(directory, "secret.txt");
const latin = Buffer.concat([Buffer.from(join(directory, "n")), Buffer.of(0xff)]);

beforeAll(() => {
  mkdirSync(join(directory, "report.txt"));
  writeFileSync(shown, "what may be shown");
  writeFileSync(secret, "what may not be shown");
  writeFileSync(latin, "a path that is no UTF-8");
  writeFileSync(join(directory, 'qu"o").txt'), "a path with quotes");
});
afterAll(() => rmSync(directory, { recursive: true }));

const start = (options: Partial<ServeOptions>): Server =>
  serve({ port: 0, hostname: "127.0.0.1", development: false, ...options });

/** Names by which a client could try to get another file, or another part of the same file. */
const names = [
  secret,
  "/etc/hostname",
  "../secret.txt",
  "shown.txt",
  "",
  `x") {\n  offset: 0\n}`,
  `x",\n  offset: 0\n,\n  q: "`,
  `FileRef ("${secret}")`,
];

const labelled = (blob: Blob, name: string): Blob => Object.assign(blob, { name });

/** Functions that make the Blob of a handler, each with the content of the Blob. */
const makers: Record<string, [(name: string) => Blob, string]> = {
  "a file whose name was set": [(name) => labelled(Bun.file(shown), name), "what may be shown"],
  "a file whose name was defined": [
    (name) => Object.defineProperty(Bun.file(shown), "name", { value: name }),
    "what may be shown",
  ],
  "a File of a file": [(name) => new File([Bun.file(shown)], name), "what may be shown"],
  "a File of a File of a file": [(name) => new File([new File([Bun.file(shown)], name)], name), "what may be shown"],
  "a Blob of a File of a file": [(name) => new Blob([new File([Bun.file(shown)], name)]), "what may be shown"],
  "a File of a slice": [(name) => new File([Bun.file(shown).slice(5, 8)], name), "may"],
  "a File of an open slice": [(name) => new File([Bun.file(shown).slice(5)], name), "may be shown"],
  "a slice of a File of a file": [(name) => new File([Bun.file(shown)], name).slice(5, 8), "may"],
  "a slice whose name was set": [(name) => labelled(Bun.file(shown).slice(5, 8), name), "may"],
  "a File of a slice, with a type": [
    (name) => new File([Bun.file(shown).slice(5, 8)], name, { type: 'a/b; c="d"' }),
    "may",
  ],
  "a File in memory": [(name) => new File(["in memory"], name), "in memory"],
};

describe("the name of", () => {
  for (const [what, [make, content]] of Object.entries(makers)) {
    test(`${what} opens nothing`, async () => {
      using server = start({ fetch: async (request) => new Response(make(await request.text())) });
      for (const name of names) {
        const response = await fetch(server.url, { method: "POST", body: name });
        expect([name, response.ok, await response.text()]).toEqual([name, true, content]);
        // A part gets a 206, for which the server must know its place in the file.
        expect(response.status).toBe(what.includes("slice") ? 206 : 200);
      }
    });

    test(`${what} opens nothing in a route`, async () => {
      for (const name of names) {
        using server = start({
          routes: { "/response": new Response(make(name)) },
          fetch: () => new Response("no route", { status: 404 }),
        });
        const response = await fetch(new URL("/response", server.url));
        // As in Bun, a route may send the whole file instead of a slice.
        const text = await response.text();
        expect([name, response.status, text.includes("not")]).toEqual([name, 200, false]);
        expect(content.includes(text) || text === "what may be shown").toBe(true);
      }
    });
  }

  test("a file in a form opens nothing", async () => {
    using server = start({ fetch: async (request) => new Response((await request.formData()).get("f") as File) });
    for (const name of names) {
      const body = new FormData();
      body.append("f", new File(["uploaded"], name));
      expect(await (await fetch(server.url, { method: "POST", body })).text()).toBe("uploaded");
    }
  });
});

describe("a path", () => {
  test("that is no UTF-8, or has quotes in it, is the file's", async () => {
    using server = start({
      fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname === "/latin") return new Response(Bun.file(latin as unknown as string));
        return new Response(Bun.file(join(directory, 'qu"o").txt')));
      },
    });
    expect(await (await fetch(new URL("/latin", server.url))).text()).toBe("a path that is no UTF-8");
    expect(await (await fetch(new URL("/quotes", server.url))).text()).toBe("a path with quotes");
  });
});

describe.skipIf(isBun)("a file that is not sent after all is closed:", () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const withGetter = (name: string, get: () => unknown): Blob => Object.defineProperty(Bun.file(shown), name, { get });

  test("a name or a type that throws", async () => {
    const failing = (): never => {
      throw new Error("a getter");
    };
    using server = start({
      fetch: ({ url }) => new Response(withGetter(url.endsWith("/name") ? "name" : "type", failing)),
      error: () => new Response("caught", { status: 500 }),
    });
    await (await fetch(new URL("/name", server.url))).text();
    const before = descriptors();
    for (let i = 0; i < 20; i++)
      for (const path of ["/name", "/type"]) await (await fetch(new URL(path, server.url))).text();
    expect(descriptors()).toBeLessThan(before + 10);
  });

  test("a request that is upgraded while its answer is planned", async () => {
    using server = start({
      fetch: (request, self) =>
        new Response(
          withGetter("name", () => String(self.upgrade(request, { data: undefined }))),
          { headers: { "content-type": "a/b" } },
        ),
      websocket: { open: (socket) => void socket.send("only this"), message() {} },
    });
    const before = descriptors();
    for (let i = 0; i < 5; i++) {
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}`);
      const received: unknown[] = [];
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      socket.onmessage = ({ data }) => {
        received.push(data);
        socket.close();
      };
      socket.onerror = () => received.push("broken");
      socket.onclose = () => resolve();
      await closed;
      expect(received).toEqual(["only this"]);
    }
    while (server.pendingWebSockets > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(descriptors()).toBeLessThan(before + 5);
    expect(server.pendingRequests).toBe(0);
  });
});

test("a file of more than 1 TiB has its length, and its last bytes", async () => {
  const large = join(directory, "large");
  const size = 2 ** 40 + 100;
  writeFileSync(large, "");
  truncateSync(large, size);
  using server = start({
    routes: { "/route": Bun.file(large) },
    fetch: () => new Response(Bun.file(large)),
  });
  for (const path of ["/route", "/handler"]) {
    const response = await fetch(new URL(path, server.url), { headers: { range: "bytes=-50" } });
    expect([response.status, response.headers.get("content-range")]).toEqual([
      206,
      `bytes ${size - 50}-${size - 1}/${size}`,
    ]);
    expect((await response.bytes()).length).toBe(50);
    const head = await fetch(new URL(path, server.url), { method: "HEAD" });
    expect(Number(head.headers.get("content-length"))).toBe(size);
  }
});
