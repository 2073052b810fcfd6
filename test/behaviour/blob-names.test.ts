/** A Blob's name is a label, which programs set and clients choose: whatever it says, the Blob's own bytes are sent. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve, type Server, type ServeOptions } from "./subject.ts";

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

/** Names that a client would choose, to have another file opened, or another part of the same one. */
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

/** Each makes what a handler returns, and says what is in it. */
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
        // A part is told as one, which needs its place in the file.
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
        // As in Bun, a route may send the whole file for a slice.
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
