/** Routes: the choice of the route, the arguments of its handler, and routes without a handler. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, md5, RawClient, type RawResponse } from "./raw-client.ts";
import { isBun, reactorStats, serve, type ServeOptions, type Server } from "./subject.ts";

type Routes = NonNullable<ServeOptions["routes"]>;

const start = (routes: unknown, more: Partial<ServeOptions> = {}): Server =>
  serve({ port: 0, hostname: "127.0.0.1", development: false, routes: routes as Routes, ...more });

const requestOf = (method: string, target: string, ...fields: string[]): string =>
  [`${method} ${target} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");
const get = (target: string, ...fields: string[]): string => requestOf("GET", target, ...fields);

const field = ({ headers }: RawResponse, name: string): string | undefined => headers.get(name)?.join(" | ");

/** Returns the target of a link, or "" if the link has disappeared meanwhile. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}

/** Returns a handler that answers with the name and the parameters of its route. */
const named = (name: string) => (request: { params: object }) =>
  new Response(`${name} ${JSON.stringify(request.params)}`);

const directory = mkdtempSync(join(tmpdir(), "ringloop-routes-"));
const file = (name: string): string => join(directory, name);
const MODIFIED = "Wed, 01 Jan 2020 00:00:00 GMT";
const write = (name: string, content: string | Uint8Array): void => {
  writeFileSync(file(name), content);
  utimesSync(file(name), new Date(MODIFIED), new Date(MODIFIED));
};
beforeAll(() => {
  mkdirSync(file("sub"));
  mkdirSync(file("empty"));
  write("a.txt", "hello file contents");
  write("data.bin", "0123456789");
  write("nothing.txt", "");
  write("with space.txt", "space");
  write("sub/index.html", "<p>index");
  write("large.bin", Buffer.alloc(5_000_000, "large file "));
  symlinkSync("/etc/hostname", file("outside"));
  symlinkSync("a.txt", file("inside.txt"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("which route answers", () => {
  const routes = {
    "/h": named("h"),
    "/trail/": named("trail/"),
    "/u/me": named("u/me"),
    "/u/:id": named("u/:id"),
    "/u/:id/p/:pid": named("u/:id/p/:pid"),
    "/:a/b": named(":a/b"),
    "/x/:b": named("x/:b"),
    "/w/*": named("w/*"),
    "/w/x/*": named("w/x/*"),
    "/w/:a": named("w/:a"),
    "/deep/:a/fixed/*": named("deep"),
    "/deep/:a/:b/end": named("deep end"),
    "/file/:name.json": named("file"),
    "/w*": named("literal w*"),
    "/mid/*/end": named("mid"),
    "/off": false,
  };
  const cases: [target: string, answer: string][] = [
    ["/h", "h {}"],
    ["/h?query=1", "h {}"],
    ["/h/", "fetch /h/"],
    ["/H", "fetch /H"],
    ["/%68", "fetch /%68"],
    ["//h", "fetch //h"],
    ["http://elsewhere/h", "h {}"],
    ["/trail/", "trail/ {}"],
    ["/trail", "fetch /trail"],
    ["/u/me", "u/me {}"],
    ["/u/5", 'u/:id {"id":"5"}'],
    ["/u/", "fetch /u/"],
    ["/u/5/", "fetch /u/5/"],
    ["/u/1/p/2", 'u/:id/p/:pid {"id":"1","pid":"2"}'],
    ["/x/b", 'x/:b {"b":"b"}'],
    ["/y/b", ':a/b {"a":"y"}'],
    ["/w/", "w/* {}"],
    ["/w", "fetch /w"],
    ["/w/a", 'w/:a {"a":"a"}'],
    ["/w/a/b", "w/* {}"],
    ["/w/x", 'w/:a {"a":"x"}'],
    ["/w/x/", "w/x/* {}"],
    ["/w/x/y/z", "w/x/* {}"],
    ["/deep/1/fixed/2", 'deep {"a":"1"}'],
    ["/deep/1/fixed/end", 'deep {"a":"1"}'],
    ["/deep/1/2/end", 'deep end {"a":"1","b":"2"}'],
    ["/file/x", 'file {"name.json":"x"}'],
    ["/w*", "literal w* {}"],
    ["/wx", "fetch /wx"],
    ["/mid/1/end", "fetch /mid/1/end"],
    ["/off", "fetch /off"],
    ["/u/a%20b", 'u/:id {"id":"a b"}'],
    ["/u/a%2Fb", 'u/:id {"id":"a/b"}'],
    ["/u/%E4%BD%A0", 'u/:id {"id":"你"}'],
    ["/u/a+b", 'u/:id {"id":"a+b"}'],
    ["/u/a%zzb", 'u/:id {"id":"a\ufffdb"}'],
    ["/u/%E4%BD", 'u/:id {"id":"\ufffd"}'],
    ["/u/%", 'u/:id {"id":"\ufffd"}'],
  ];
  for (const [target, answer] of cases) {
    test(`${target}: ${answer}`, async () => {
      using server = start(routes, {
        fetch: (request) => new Response(`fetch ${new URL(request.url).pathname}`),
      });
      expect((await ask(server.port, get(target))).text).toBe(answer);
    });
  }

  test("does not depend on the order in which routes are given", async () => {
    const reversed = Object.fromEntries(Object.entries(routes).toReversed());
    using server = start(reversed, { fetch: (request) => new Response(`fetch ${new URL(request.url).pathname}`) });
    for (const [target, answer] of cases) expect((await ask(server.port, get(target))).text).toBe(answer);
  });

  test("depends on the method, where a route has several", async () => {
    using server = start(
      {
        "/m": {
          GET: named("GET"),
          POST: async (request: Request) => new Response(`POST ${await request.text()}`),
          PUT: new Response("PUT"),
        },
        "/only/post": { POST: named("POST") },
        "/only/*": named("any"),
        "/:id/both": { GET: named("GET"), DELETE: named("DELETE") },
      },
      { fetch: ({ method }) => new Response(`fetch ${method}`) },
    );
    const text = async (method: string, target: string, body = ""): Promise<string> =>
      (await ask(server.port, requestOf(method, target, `Content-Length: ${body.length}`) + body, method)).text;
    expect(await text("GET", "/m")).toBe("GET {}");
    expect(await text("POST", "/m", "body")).toBe("POST body");
    expect(await text("PUT", "/m")).toBe("PUT");
    expect(await text("DELETE", "/m")).toBe("fetch DELETE");
    expect(await text("GET", "/only/post")).toBe("any {}");
    expect(await text("POST", "/only/post")).toBe("POST {}");
    expect(await text("DELETE", "/7/both")).toBe('DELETE {"id":"7"}');
    expect(await text("PATCH", "/7/both")).toBe("fetch PATCH");
  });

  test("for HEAD is that of GET, unless there is one of its own", async () => {
    using server = start({
      "/get": { GET: () => new Response("body", { headers: { "X-Of": "GET" } }) },
      "/head": { GET: () => new Response("body"), HEAD: () => new Response(null, { headers: { "X-Of": "HEAD" } }) },
      "/any": () => new Response("body", { headers: { "X-Of": "any" } }),
    });
    for (const [target, of] of [
      ["/get", "GET"],
      ["/head", "HEAD"],
      ["/any", "any"],
    ] as const) {
      const response = await ask(server.port, requestOf("HEAD", target), "HEAD");
      expect([target, field(response, "x-of"), response.text]).toEqual([target, of, ""]);
    }
  });

  test("without a fetch handler: 404 where none does", async () => {
    using server = start({ "/there": named("there") });
    expect(await ask(server.port, get("/there"))).toMatchObject({ status: 200, text: "there {}" });
    expect(await ask(server.port, get("/nowhere"))).toMatchObject({ status: 404, text: "" });
  });

  test("changes with reload(), for open connections too", async () => {
    using server = start({ "/a": named("old") }, { fetch: () => new Response("fetch") });
    using client = await RawClient.connect(server.port);
    const text = async (target: string): Promise<string> => {
      await client.write(get(target));
      return (await client.readResponse()).text;
    };
    expect([await text("/a"), await text("/b")]).toEqual(["old {}", "fetch"]);
    server.reload({ routes: { "/b": named("new") as never, "/c": new Response("static") } });
    expect([await text("/a"), await text("/b"), await text("/c")]).toEqual(["fetch", "new {}", "static"]);
    server.reload({ fetch: () => new Response("other fetch") });
    // Bun drops routes without a handler.
    expect([await text("/a"), await text("/b"), await text("/c")]).toEqual([
      "other fetch",
      "new {}",
      isBun ? "other fetch" : "static",
    ]);
    // Elysia spreads a server into the options, so a server must not have own properties.
    expect({ ...server }).toEqual({} as never);
    server.reload({ ...(server as object), fetch: () => new Response("third fetch") });
    expect([await text("/a"), await text("/b")]).toEqual(["third fetch", "new {}"]);
  });
});

describe("a route's handler", () => {
  test("gets the request, a Request with params and cookies, and the server", async () => {
    using server = start({
      "/:id": (request: any, given: Server) =>
        Response.json({
          isRequest: request instanceof Request,
          tag: Object.prototype.toString.call(request),
          name: request.constructor.name,
          method: request.method,
          url: request.url,
          accept: request.headers.get("accept"),
          id: request.params.id,
          cookie: request.cookies.get("c"),
          isServer: given === server || given.port === server.port,
        }),
    });
    const { text } = await ask(server.port, get("/7?q=1", "Accept: x/y", "Cookie: a=1; c=2"));
    expect(JSON.parse(text)).toEqual({
      isRequest: true,
      tag: "[object BunRequest]",
      name: "Request",
      method: "GET",
      url: "http://test/7?q=1",
      accept: "x/y",
      id: "7",
      cookie: "2",
      isServer: true,
    });
  });

  test("is the only one to get params and cookies", async () => {
    using server = start(
      { "/r": () => new Response() },
      { fetch: (request: any) => new Response(`${typeof request.params} ${typeof request.cookies}`) },
    );
    expect((await ask(server.port, get("/"))).text).toBe("undefined undefined");
  });

  test("can clone its request, with params and cookies of its own", async () => {
    using server = start({
      "/:id": async (request: any) => {
        const copy = request.clone();
        request.params.id = "changed";
        request.cookies.set("c", "changed");
        return Response.json([copy.params, copy.cookies.get("c"), await copy.text(), await request.text()]);
      },
    });
    const { text } = await ask(server.port, requestOf("POST", "/7", "Cookie: c=1", "Content-Length: 4") + "body");
    expect(JSON.parse(text)).toEqual([{ id: "7" }, "1", "body", "body"]);
  });

  test("sends the cookies that it sets and deletes, now or after an await, beside the response's own", async () => {
    using server = start({
      "/set": (request: any) => {
        request.cookies.set("n", "v;x é", { httpOnly: true, maxAge: 5 });
        request.cookies.delete("a");
        return new Response("set", { headers: { "Set-Cookie": "own=1" } });
      },
      "/later": async (request: any) => {
        await Bun.sleep(1);
        request.cookies.set("x", "y");
        return Response.json({});
      },
      "/file": (request: any) => {
        request.cookies.set("with", "file");
        return new Response(Bun.file(file("a.txt")));
      },
      "/stream": (request: any) => {
        request.cookies.set("with", "stream");
        return new Response(new Blob(["streamed"]).stream());
      },
      "/unchanged": (request: any) => new Response(request.cookies.get("a")),
    });
    const cookies = async (target: string): Promise<string[] | undefined> =>
      (await ask(server.port, get(target, "Cookie: a=1; b=2"))).headers.get("set-cookie");
    expect(await cookies("/set")).toEqual([
      "own=1",
      "n=v%3Bx%20%C3%A9; Path=/; Max-Age=5; HttpOnly; SameSite=Lax",
      "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax",
    ]);
    expect(await cookies("/later")).toEqual(["x=y; Path=/; SameSite=Lax"]);
    expect(await cookies("/file")).toEqual(["with=file; Path=/; SameSite=Lax"]);
    expect(await cookies("/stream")).toEqual(["with=stream; Path=/; SameSite=Lax"]);
    expect(await cookies("/unchanged")).toBeUndefined();
  });

  test("that fails is the error handler's", async () => {
    using server = start(
      {
        "/throws": () => {
          throw new Error("thrown");
        },
        "/rejects": async () => {
          await Bun.sleep(1);
          throw new Error("rejected");
        },
      },
      { error: ({ message }) => new Response(message, { status: 555 }) },
    );
    expect(await ask(server.port, get("/throws"))).toMatchObject({ status: 555, text: "thrown" });
    expect(await ask(server.port, get("/rejects"))).toMatchObject({ status: 555, text: "rejected" });
  });

  test("answers pipelined requests in their order, between content without a handler", async () => {
    using server = start({
      "/static": new Response("static"),
      "/file": Bun.file(file("a.txt")),
      "/slow/:n": async ({ params }: { params: { n: string } }) => {
        await Bun.sleep(Number(params.n));
        return new Response(`slow ${params.n}`);
      },
    });
    using client = await RawClient.connect(server.port);
    const targets = ["/static", "/slow/20", "/static", "/file", "/static", "/slow/1", "/file", "/nowhere", "/static"];
    // Bun accepts no second request before it has answered the first.
    const answers: string[] = [];
    if (!isBun) await client.write(targets.map((target) => get(target)).join(""));
    for (const target of targets) {
      if (isBun) await client.write(get(target));
      answers.push((await client.readResponse()).text);
    }
    const contents: Record<string, string> = { "/static": "static", "/file": "hello file contents", "/nowhere": "" };
    expect(answers).toEqual(targets.map((target) => contents[target] ?? target.slice(1).replace("/", " ")));
  });
});

describe("a route with a Response", () => {
  test("sends it again and again, with an entity tag", async () => {
    const shared = new Response("static body", { headers: { "X-A": "1" } });
    using server = start({ "/a": shared, "/b": shared, "/json": Response.json({ a: 1 }) });
    using client = await RawClient.connect(server.port);
    for (const target of ["/a", "/a", "/b", "/a?q"]) {
      await client.write(get(target));
      const response = await client.readResponse();
      expect(response).toMatchObject({ status: 200, text: "static body" });
      expect(field(response, "content-type")).toBe("text/plain;charset=utf-8");
      expect(field(response, "x-a")).toBe("1");
      expect(field(response, "etag")).toMatch(/^"[0-9a-f]{16}"$/);
      expect(field(response, "date")).toEndWith(" GMT");
    }
    const json = await ask(server.port, get("/json"));
    expect(json.text).toBe('{"a":1}');
    expect(field(json, "content-type")).toBe("application/json;charset=utf-8");
    expect(await shared.text()).toBe("static body"); // Its body can still be read.
  });

  test("of any kind and status", async () => {
    using server = start({
      "/404": new Response("gone", { status: 404 }),
      "/redirect": Response.redirect("/there"),
      "/204": new Response(null, { status: 204 }),
      "/null": new Response(),
      "/bytes": new Response(new Uint8Array([1, 2, 255])),
      "/blob": new Response(new Blob(["b"], { type: "x/y" })),
      "/form": new Response(new URLSearchParams("a=1")),
      "/tagged": new Response("t", { headers: { ETag: '"mine"' } }),
      "/large": new Response("x".repeat(3_000_000)),
    });
    const one = (target: string): Promise<RawResponse> => ask(server.port, get(target));
    expect(await one("/404")).toMatchObject({ status: 404, text: "gone" });
    expect(field(await one("/redirect"), "location")).toBe("/there");
    expect(await one("/204")).toMatchObject({ status: 204, text: "" });
    expect((await one("/204")).headers.has("content-length")).toBe(false);
    const empty = await one("/null");
    expect([field(empty, "content-length"), field(empty, "etag")]).toEqual(["0", undefined]);
    expect([...(await one("/bytes")).body]).toEqual([1, 2, 255]);
    expect(field(await one("/blob"), "content-type")).toBe("x/y");
    expect(field(await one("/form"), "content-type")).toBe("application/x-www-form-urlencoded;charset=UTF-8");
    expect(field(await one("/tagged"), "etag")).toBe('"mine"');
    expect((await one("/large")).text).toBe("x".repeat(3_000_000));
  });

  test("answers any method, HEAD without the body, and takes what a client sends", async () => {
    using server = start({ "/": new Response("static") });
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("HEAD", "/"));
    const head = await client.readResponse("HEAD");
    expect([head.text, field(head, "content-length")]).toEqual(["", "6"]);
    for (const fields of [["Content-Length: 4"], ["Transfer-Encoding: chunked"]]) {
      await client.write(
        requestOf("POST", "/", ...fields) + (fields[0]!.includes("4") ? "body" : "4\r\nbody\r\n0\r\n\r\n"),
      );
      expect((await client.readResponse()).text).toBe("static");
    }
    await client.write("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    expect((await client.readResponse()).text).toBe("static");
    expect(await client.closed).toBe("end");
    expect(await ask(server.port, "GET / HTTP/1.0\r\n\r\n")).toMatchObject({ status: 200, text: "static" });
  });

  test("answers conditional requests", async () => {
    using server = start({
      "/": new Response("static"),
      "/own": new Response("own", { headers: { ETag: '"mine"', "Last-Modified": MODIFIED } }),
      "/404": new Response("gone", { status: 404 }),
    });
    const etag = field(await ask(server.port, get("/")), "etag")!;
    const status = async (target: string, condition: string, method = "GET"): Promise<number> => {
      const response = await ask(server.port, requestOf(method, target, condition), method);
      if (response.status === 304) {
        expect(response.text).toBe("");
        expect(field(response, "etag")).toBe(target === "/" ? etag : '"mine"');
      }
      return response.status;
    };
    expect(await status("/", `If-None-Match: ${etag}`)).toBe(304);
    expect(await status("/", `If-None-Match: "other", ${etag}`)).toBe(304);
    expect(await status("/", `if-none-match: *`)).toBe(304);
    expect(await status("/", `If-None-Match: ${etag}`, "HEAD")).toBe(304);
    expect(await status("/", `If-None-Match: W/${etag}`)).toBe(304);
    expect(await status("/", 'If-None-Match: "other"')).toBe(200);
    expect(await status("/", `If-None-Match: ${etag}`, "POST")).toBe(200);
    expect(await status("/", `If-Modified-Since: ${MODIFIED}`)).toBe(200);
    expect(await status("/own", 'If-None-Match: "mine"')).toBe(304);
    expect(await status("/own", `If-Modified-Since: ${MODIFIED}`)).toBe(304);
    expect(await status("/own", "If-Modified-Since: Tue, 31 Dec 2019 23:59:59 GMT")).toBe(200);
    expect(await status("/own", "If-Modified-Since: nonsense")).toBe(200);
    expect(await status("/404", "If-None-Match: *")).toBe(404);
  });
});

/**
 * A file as the value of a route, or as the body of its Response: the client gets the same answer.
 */
for (const [kind, contentOf] of [
  ["a route with a file", (name: string) => Bun.file(file(name))],
  ["a route with a file in a Response", (name: string) => new Response(Bun.file(file(name)))],
] as const) {
  describe(kind, () => {
    const startFiles = (): Server =>
      start(
        {
          "/a": contentOf("a.txt"),
          "/empty": contentOf("nothing.txt"),
          "/large": contentOf("large.bin"),
          "/nowhere": contentOf("nowhere.txt"),
        },
        { fetch: () => new Response("fetch") },
      );

    test("sends it, with its type and its time", async () => {
      using server = startFiles();
      const response = await ask(server.port, get("/a"));
      expect(response).toMatchObject({ status: 200, text: "hello file contents" });
      expect(field(response, "content-type")).toBe("text/plain;charset=utf-8");
      expect(field(response, "last-modified")).toBe(MODIFIED);
      expect(field(response, "content-length")).toBe("19");
      expect(await ask(server.port, get("/empty"))).toMatchObject({ status: 200, text: "" });
      const large = await ask(server.port, get("/large"));
      expect(md5(large.body)).toBe(md5(Buffer.alloc(5_000_000, "large file ")));
      const head = await ask(server.port, requestOf("HEAD", "/a"), "HEAD");
      expect([field(head, "content-length"), field(head, "content-type")]).toEqual(["19", "text/plain;charset=utf-8"]);
    });

    test("that is not there is the fetch handler's, until it is", async () => {
      using server = startFiles();
      expect((await ask(server.port, get("/nowhere"))).text).toBe("fetch");
      write("nowhere.txt", "now here");
      expect((await ask(server.port, get("/nowhere"))).text).toBe("now here");
      rmSync(file("nowhere.txt"));
      expect((await ask(server.port, get("/nowhere"))).text).toBe("fetch");
    });

    test("sends the file as it is now", async () => {
      using server = startFiles();
      for (const content of ["short", "a longer content", ""]) {
        write("nowhere.txt", content);
        expect((await ask(server.port, get("/nowhere"))).text).toBe(content);
      }
      rmSync(file("nowhere.txt"));
    });

    test("sends the range that is asked for", async () => {
      using server = startFiles();
      const ranged = async (range: string, ...fields: string[]): Promise<unknown[]> => {
        const response = await ask(server.port, get("/a", `Range: ${range}`, ...fields));
        return [response.status, field(response, "content-range"), response.text];
      };
      const whole = [200, undefined, "hello file contents"];
      expect(await ranged("bytes=0-3")).toEqual([206, "bytes 0-3/19", "hell"]);
      expect(await ranged("bytes=5-")).toEqual([206, "bytes 5-18/19", " file contents"]);
      expect(await ranged("bytes=-4")).toEqual([206, "bytes 15-18/19", "ents"]);
      expect(await ranged("bytes=0-100")).toEqual([206, "bytes 0-18/19", "hello file contents"]);
      expect(await ranged("bytes=-100")).toEqual([206, "bytes 0-18/19", "hello file contents"]);
      expect(await ranged("bytes=19-")).toEqual([416, "bytes */19", ""]);
      for (const ignored of ["bytes=3-1", "bytes=0-1,3-4", "items=0-1", "bytes=-", "bytes=a-b"])
        expect([ignored, ...(await ranged(ignored))]).toEqual([ignored, ...whole]);
      expect(await ranged("bytes=0-3", `If-Range: ${MODIFIED}`)).toEqual([206, "bytes 0-3/19", "hell"]);
      expect(await ranged("bytes=0-3", "If-Range: Mon, 01 Jan 2001 00:00:00 GMT")).toEqual(whole);
      expect(await ranged("bytes=0-3", 'If-Range: "tag"')).toEqual(whole);
      const large = await ask(server.port, get("/large", "Range: bytes=1000000-3999999"));
      expect(md5(large.body)).toBe(md5(Buffer.alloc(5_000_000, "large file ").subarray(1_000_000, 4_000_000)));
    });

    test("answers conditional requests", async () => {
      using server = startFiles();
      const status = async (...fields: string[]): Promise<number> =>
        (await ask(server.port, get("/a", ...fields))).status;
      expect(await status(`If-Modified-Since: ${MODIFIED}`)).toBe(304);
      expect(await status("If-Modified-Since: Tue, 31 Dec 2019 23:59:59 GMT")).toBe(200);
      expect(await status(`If-Unmodified-Since: ${MODIFIED}`)).toBe(200);
      expect(await status("If-Unmodified-Since: Tue, 31 Dec 2019 23:59:59 GMT")).toBe(412);
      expect(await status('If-Match: "x"')).toBe(412);
    });
  });
}

describe("a route with a directory", () => {
  const startDirectory = (): Server =>
    start({ "/d/*": { dir: directory } }, { fetch: () => new Response("fetch", { status: 299 }) });

  const cases: [target: string, status: number, text: string][] = [
    ["/d/a.txt", 200, "hello file contents"],
    ["/d/a.txt?q=1", 200, "hello file contents"],
    ["/d/with%20space.txt", 200, "space"],
    ["/d/nothing.txt", 200, ""],
    ["/d/inside.txt", 200, "hello file contents"],
    ["/d/sub/", 200, "<p>index"],
    ["/d/sub/index.html", 200, "<p>index"],
    ["/d/sub", 301, ""],
    ["/d/empty/", 404, ""],
    ["/d/", 404, ""],
    ["/d/nowhere", 404, ""],
    ["/d/a.txt/", 404, ""],
    ["/d/outside", 404, ""],
    ["/d/../etc/hostname", 404, ""],
    ["/d/sub/../a.txt", 404, ""],
    ["/d/%2e%2e/a.txt", 404, ""],
    ["/d/./a.txt", 404, ""],
    ["/d//a.txt", 404, ""],
    ["/d/sub%2Findex.html", 404, ""],
    ["/d/%61.txt", 404, ""],
    ["/d/%00", 404, ""],
    ["/d/%zz", 404, ""],
    ["/d", 299, "fetch"],
  ];
  for (const [target, status, text] of cases) {
    test(`${target}: ${status}`, async () => {
      using server = startDirectory();
      expect(await ask(server.port, get(target))).toMatchObject({ status, text });
    });
  }

  test("says type, time and a weak entity tag, and answers conditions and ranges", async () => {
    using server = startDirectory();
    const response = await ask(server.port, get("/d/a.txt"));
    const etag = field(response, "etag")!;
    expect(field(response, "content-type")).toBe("text/plain;charset=utf-8");
    expect(field(response, "last-modified")).toBe(MODIFIED);
    expect(etag).toBe(`W/"13-${(Date.parse(MODIFIED) / 1000).toString(16)}"`);
    const status = async (...fields: string[]): Promise<number> =>
      (await ask(server.port, get("/d/a.txt", ...fields))).status;
    expect(await status(`If-None-Match: ${etag}`)).toBe(304);
    expect(await status('If-None-Match: "other"', `If-Modified-Since: ${MODIFIED}`)).toBe(200);
    // A weak tag never matches strongly (RFC 9110 section 8.8.3.2).
    expect(await status(`If-Match: ${etag}`)).toBe(412);
    expect(await ask(server.port, get("/d/a.txt", "Range: bytes=-8"))).toMatchObject({ status: 206, text: "contents" });
    expect(field(await ask(server.port, get("/d/sub?q=1")), "location")).toBe("/d/sub/?q=1");
  });
});

describe("a file that a handler returns", () => {
  const startHandler = (make: () => Response): Server =>
    start({ "/": make }, { error: ({ message }) => new Response(message, { status: 555 }) });
  const send = async (make: () => Response, ...fields: string[]): Promise<RawResponse> => {
    using server = startHandler(make);
    return await ask(server.port, get("/", ...fields));
  };

  test("has its type, its length, and no time, since the next answer may be another file", async () => {
    const response = await send(() => new Response(Bun.file(file("a.txt"))));
    expect(response).toMatchObject({ status: 200, text: "hello file contents" });
    expect(field(response, "content-type")).toBe("text/plain;charset=utf-8");
    expect(field(response, "content-length")).toBe("19");
    expect(response.headers.has("last-modified")).toBe(false);
  });

  test("has its name, where its type says nothing", async () => {
    const response = await send(() => new Response(Bun.file(file("data.bin"))));
    expect(field(response, "content-disposition")).toBe('filename="data.bin"');
    const own = { headers: { "Content-Disposition": "attachment", "Content-Type": "x/y" } };
    const told = await send(() => new Response(Bun.file(file("data.bin")), own));
    expect([field(told, "content-disposition"), field(told, "content-type")]).toEqual(["attachment", "x/y"]);
  });

  test("has its name unless a browser shows its type, whoever gives the type", async () => {
    const named = async (type: string): Promise<(string | undefined)[]> => {
      const data = Bun.file(file("data.bin"));
      const answers = [
        await send(() => new Response(Bun.file(file("data.bin"), { type }))),
        await send(() => new Response(data, { headers: { "Content-Type": type } })),
      ];
      return answers.map((answer) => field(answer, "content-disposition"));
    };
    for (const type of ["application/pdf", "application/json2", "model/x", "texts/x", "image"])
      expect([type, ...(await named(type))]).toEqual([type, 'filename="data.bin"', 'filename="data.bin"']);
    for (const type of ["text/x", "image/png", "audio/x", "video/x", "font/x", "application/json", "application/wasm"])
      expect([type, ...(await named(type))]).toEqual([type, undefined, undefined]);
  });

  test("has a name in UTF-8", async () => {
    const response = await send(() => new Response(new File([Bun.file(file("data.bin"))], "a/日本 ü😀.bin")));
    expect(Buffer.from(field(response, "content-disposition")!, "latin1").toString()).toBe('filename="日本 ü😀.bin"');
  });

  test("is bytes with its name, if it has no type", async () => {
    for (const make of [
      () => Bun.file(file("a.txt"), { type: "a/b" }).slice(2, 5),
      () => new File([Bun.file(file("a.txt"))], "a.txt", { type: "" }),
    ]) {
      const response = await send(() => new Response(make()));
      expect([field(response, "content-type"), field(response, "content-disposition")]).toEqual([
        "application/octet-stream",
        'filename="a.txt"',
      ]);
    }
  });

  test("is what a writer writes that has waited for a reader, if it is a pipe", async () => {
    for (const name of ["one.pdf", "two.pdf"]) {
      const pipe = file(name);
      Bun.spawnSync(["mkfifo", pipe]);
      await using _writer = Bun.spawn(["sh", "-c", 'echo from a pipe > "$0"', pipe]);
      const response = await send(() => new Response(Bun.file(pipe)));
      expect([response.text, field(response, "content-disposition")]).toEqual(["from a pipe\n", `filename="${name}"`]);
    }
  });

  test("has its name, if it can only be read as a stream", async () => {
    const response = await send(() => new Response(Bun.file("/proc/version")));
    expect(field(response, "content-disposition")).toBe('filename="version"');
  });

  test("is a part, if its type has spaces around it", async () => {
    const part = await send(() => new Response(Bun.file(file("data.bin")).slice(2, 5, " a/b ")));
    expect([part.status, field(part, "content-range"), part.text]).toEqual([206, "bytes 2-4/*", "234"]);
  });

  test("is sent as the range that is asked for", async () => {
    const make = (): Response => new Response(Bun.file(file("data.bin")));
    const part = await send(make, "Range: bytes=1-2");
    expect([part.status, field(part, "content-range"), part.text]).toEqual([206, "bytes 1-2/10", "12"]);
    const none = await send(make, "Range: bytes=10-");
    expect([none.status, field(none, "content-range"), none.text]).toEqual([416, "bytes */10", ""]);
    const own = await send(() => new Response(Bun.file(file("data.bin")), { status: 404 }), "Range: bytes=1-2");
    expect([own.status, own.text]).toEqual([404, "0123456789"]);
  });

  test("is that part, if it is a slice", async () => {
    const slice = async (make: () => Blob, init: ResponseInit = {}): Promise<unknown[]> => {
      const response = await send(() => new Response(make(), init));
      return [response.status, field(response, "content-range"), response.text];
    };
    const data = (): Bun.BunFile => Bun.file(file("data.bin"));
    expect(await slice(() => data().slice(2, 5))).toEqual([206, "bytes 2-4/*", "234"]);
    expect(await slice(() => data().slice(2))).toEqual([206, "bytes 2-9/*", "23456789"]);
    expect(await slice(() => data().slice(8, 500))).toEqual([206, "bytes 8-9/*", "89"]);
    expect(await slice(() => data().slice(2, 8).slice(1, 3))).toEqual([206, "bytes 3-4/*", "34"]);
    expect(await slice(() => data().slice(0, 10))).toEqual([200, undefined, "0123456789"]);
    const own = { status: 206, headers: { "Content-Range": "bytes 1-2/10" } };
    expect(await slice(() => data().slice(1, 3), own)).toEqual([206, "bytes 1-2/10", "12"]);
  });

  test("is sent whole, whatever the BunFile remembers of its size", async () => {
    write("growing.txt", "abc");
    const growing = Bun.file(file("growing.txt"));
    using server = startHandler(() => new Response(growing));
    expect((await ask(server.port, get("/"))).text).toBe("abc");
    write("growing.txt", "abcdefg");
    expect((await ask(server.port, get("/"))).text).toBe("abcdefg");
    write("growing.txt", "a");
    expect((await ask(server.port, get("/"))).text).toBe("a");
  });

  test("that is not there, or a directory, is the error handler's", async () => {
    for (const name of ["nowhere.txt", "sub"]) {
      const { status, text } = await send(() => new Response(Bun.file(file(name))));
      expect(status).toBe(555);
      expect(text).toContain(name === "sub" ? "directory" : "ENOENT");
    }
  });

  test("of /proc is sent, though it says that it has no length", async () => {
    const { text } = await send(() => new Response(Bun.file("/proc/version")));
    expect(text).toStartWith(isBun ? "" : "Linux version");
  });

  test("answers HEAD with its length", async () => {
    using server = startHandler(() => new Response(Bun.file(file("data.bin"))));
    const { headers, text } = await ask(server.port, requestOf("HEAD", "/"), "HEAD");
    expect([headers.get("content-length"), text]).toEqual([["10"], ""]);
  });

  test("in S3 is fetched by the client itself", async () => {
    const client = new Bun.S3Client({
      accessKeyId: "a",
      secretAccessKey: "b",
      bucket: "c",
      endpoint: "http://s3.test",
    });
    const response = await send(() => new Response(client.file("key.txt")));
    expect(response.status).toBe(302);
    expect(field(response, "location")).toStartWith("http://s3.test/c/key.txt?X-Amz-");
  });

  test.skipIf(isBun)("is closed when it was sent, and when the client is gone before", async () => {
    using server = start({
      "/large": Bun.file(file("large.bin")),
      "/handler": () => new Response(Bun.file(file("large.bin"))),
    });
    await ask(server.port, get("/large"));
    for (let i = 0; i < 20; i++) {
      const client = await RawClient.connect(server.port);
      await client.write(get(i % 2 ? "/large" : "/handler"));
      await client.readBytes(1000);
      client.reset();
    }
    const openFiles = (): string[] =>
      readdirSync("/proc/self/fd").filter((fd) => targetOf(`/proc/self/fd/${fd}`).endsWith("large.bin"));
    // If they are kept, the time limit of the test ends it.
    while (reactorStats().sendBytesInUse > 0 || openFiles().length > 0)
      await new Promise((resolve) => setImmediate(resolve));
  });
});

describe("a route that cannot be", () => {
  const stream = (): Response => new Response(new ReadableStream({ pull: (controller) => controller.enqueue("part") }));
  const wrong: Record<string, [unknown, string]> = {
    "does not start with a slash": [{ a: named("a") }, '"a"'],
    "names a parameter twice": [{ "/:a/:a": named("a") }, ":a"],
    "has characters beyond ASCII": [{ "/é": named("a") }, "/é"],
    "is a number": [{ "/a": 5 }, '"/a"'],
    "is null": [{ "/a": null }, '"/a"'],
    "is an object without methods": [{ "/a": {} }, '"/a"'],
    "has a method that there is not": [{ "/a": { FETCH: named("a") } }, '"/a"'],
    "is a Response with a stream": [{ "/a": stream() }, '"/a"'],
    "is a Response that cannot be sent": [{ "/a": Response.error() }, '"/a"'],
    "has a directory without a wildcard": [{ "/a": { dir: "/tmp" } }, '"/a"'],
    "has a directory that is not there": [{ "/a/*": { dir: "/nowhere/at/all" } }, "/nowhere/at/all"],
  };
  for (const [name, [routes, named]] of Object.entries(wrong)) {
    test(`because it ${name} is an error`, () => {
      let failure: unknown;
      try {
        start(routes).stop(true);
      } catch (error) {
        failure = error;
      }
      expect(failure).toBeInstanceOf(Error);
      if (!isBun) expect((failure as Error).message).toContain(named);
    });
  }

  test("because its Response was read is an error", async () => {
    const used = new Response("used");
    await used.text();
    expect(() => start({ "/a": used })).toThrow(TypeError);
  });

  test("leaves the routes as they were, in reload()", async () => {
    using server = start({ "/a": new Response("a") });
    expect(() => server.reload({ routes: { "/a": 5 as never } })).toThrow(TypeError);
    expect((await ask(server.port, get("/a"))).text).toBe("a");
  });
});

describe("a route's directory", () => {
  test("is closed once, however often its server is stopped, reloaded or disposed of", async () => {
    const routes = { "/d/*": { dir: directory } };
    const descriptors = (): number => readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 3; round++) {
      const before = descriptors();
      const server = start(routes, { fetch: () => new Response() });
      await server.stop();
      // These files get the numbers that are free now.
      const victims = Array.from({ length: 12 }, () => openSync(file("a.txt"), "r"));
      await server.stop(true);
      try {
        server.reload({ routes: {}, fetch: () => new Response() } as never);
      } catch {
        // The server is stopped, so it may throw.
      }
      server[Symbol.dispose]();
      for (const victim of victims) {
        expect(fstatSync(victim).size).toBe(19);
        closeSync(victim);
      }
      // Sockets close one turn later.
      while (descriptors() > before) await new Promise((resolve) => setImmediate(resolve));
    }
  });
});
