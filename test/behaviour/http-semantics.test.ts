/**
 * Request, Response and Server from the view of a program: the arguments of a handler, the use of
 * its answer, and the other methods of a server.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { run } from "./process.ts";
import { quietly } from "./quietly.ts";
import { ask, md5, RawClient } from "./raw-client.ts";
import { rejection } from "./rejection.ts";
import { isBun, serve, type ServeOptions, type Server } from "./subject.ts";

// Made before any serve(), so before ringloop could replace Response.
const madeEarly = {
  text: new Response("early text", { headers: { "X-Mark": "early" } }),
  bytes: new Response(new Uint8Array([1, 2, 3])),
  json: Response.json({ early: true }),
  stream: new Response(new Blob(["early stream"]).stream()),
};

const start = (fetch: ServeOptions["fetch"], more: Partial<ServeOptions> = {}): Server =>
  serve({ port: 0, hostname: "127.0.0.1", development: false, fetch, ...more });

const get = (target: string, ...fields: string[]): string =>
  [`GET ${target} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");
const post = (body: string, ...fields: string[]): string =>
  [`POST /post HTTP/1.1`, "Host: test", `Content-Length: ${body.length}`, ...fields, "", ""].join("\r\n") + body;

const urlOf = (server: Server, path = "/"): string => `http://127.0.0.1:${server.port}${path}`;
const pathOf = (request: Request): string => new URL(request.url).pathname;

/** Returns the result of `look` for one request. It is sent as JSON over the wire. */
async function observe(request: string, look: (request: Request, server: Server) => unknown): Promise<any> {
  using server = start(async (request, server) => Response.json((await look(request, server)) ?? null));
  const { status, text } = await ask(server.port, request);
  expect(status).toBe(200);
  return JSON.parse(text);
}

describe("the request", () => {
  test("is a Request", async () => {
    const seen = await observe(get("/"), (request) => [
      request instanceof Request,
      Object.prototype.toString.call(request),
      Bun.inspect(request).startsWith("Request"),
    ]);
    expect(seen).toEqual([true, "[object Request]", true]);
  });

  test("has the method and the whole URL", async () => {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKADDRESSBOOK"]) {
      const request = get("/a/b?c=d&e").replace("GET", method).replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
      expect(await observe(request, ({ method, url }) => [method, url])).toEqual([method, "http://test/a/b?c=d&e"]);
    }
  });

  test("has the URL as the URL standard writes it", async () => {
    const urls: [target: string, host: string, url: string][] = [
      ["/a/../b/./c?x=../y", "test", "http://test/b/c?x=../y"],
      ["/%2e%2E/a", "test", "http://test/a"],
      ['/a"b', "test", "http://test/a%22b"],
      ["/a?b'c", "test", "http://test/a?b%27c"],
      ["//a//b", "test", "http://test//a//b"],
      ["/%41%zz", "test", "http://test/%41%zz"],
      ["/", "TeSt", "http://test/"],
      ["/", "test:8080", "http://test:8080/"],
      ["/", "test:80", "http://test/"],
      ["/", "[::1]:81", "http://[::1]:81/"],
    ];
    for (const [target, host, url] of urls) {
      const request = get(target).replace("Host: test", `Host: ${host}`);
      expect(await observe(request, (request) => request.url)).toBe(url);
    }
  });

  test("has the header fields by name in any case, repeated ones joined", async () => {
    const request = get("/", "X-One: 1", "x-many: a", "X-Many: b", "X-MANY:c", "X-Empty:", "X-Space:  \t in  side \t ");
    const seen = await observe(request, ({ headers }) => ({
      isHeaders: headers instanceof Headers,
      one: [headers.get("x-one"), headers.get("X-ONE")],
      many: headers.get("X-Many"),
      empty: headers.get("x-empty"),
      space: headers.get("x-space"),
      absent: headers.get("x-absent"),
      has: [headers.has("x-many"), headers.has("x-absent")],
      all: [...headers.keys()],
    }));
    expect(seen).toEqual({
      isHeaders: true,
      one: ["1", "1"],
      many: "a, b, c",
      empty: "",
      space: "in  side",
      absent: null,
      has: [true, false],
      all: ["host", "x-empty", "x-many", "x-one", "x-space"],
    });
  });

  test("joins Cookie fields with a semicolon", async () => {
    expect(await observe(get("/", "Cookie: a=1", "Cookie: b=2"), ({ headers }) => headers.get("cookie"))).toBe(
      "a=1; b=2",
    );
  });

  test("has a character for each byte of a header's value", async () => {
    const values = ["caf\xe9", "\xc3\xa0 in UTF-8 ends with a byte that is no space: \xc3\xa0", "\xa0\x85"];
    for (const value of values) {
      expect(await observe(get("/", `X-Value: ${value}`), ({ headers }) => headers.get("x-value"))).toBe(value);
    }
  });

  test("has no body for GET", async () => {
    const seen = await observe(get("/"), async (request) => [request.body, request.bodyUsed, await request.text()]);
    expect(seen).toEqual([null, false, ""]);
  });

  test("has the defaults of a Request for what HTTP does not say", async () => {
    const names = [
      "cache",
      "credentials",
      "destination",
      "integrity",
      "mode",
      "redirect",
      "referrer",
      "referrerPolicy",
    ] as const;
    const look = (request: Pick<Request, (typeof names)[number]>) => names.map((name) => [name, request[name]]);
    expect(await observe(get("/"), look)).toEqual(look(new Request("http://test/")));
  });

  // Bun drops the parts of the request that the program has not read before.
  test.skipIf(isBun)("is still whole after its answer was sent", async () => {
    const kept: Request[] = [];
    using server = start((request) => {
      kept.push(request);
      return new Response();
    });
    using client = await RawClient.connect(server.port);
    for (let i = 0; i < 20; i++) {
      await client.write(get(`/kept/${i}?q=${i}`, `X-Number: ${i}`));
      await client.readResponse();
    }
    for (const [i, { method, url, headers }] of kept.entries()) {
      expect([method, url, headers.get("x-number")]).toEqual(["GET", `http://test/kept/${i}?q=${i}`, String(i)]);
    }
  });
});

describe("the request's body", () => {
  const json = '{"a":[1,"\xc3\xa9"]}';

  test("is read as text, JSON, bytes, an ArrayBuffer or a Blob", async () => {
    const read = (look: (request: Request) => unknown) => observe(post(json, "Content-Type: application/json"), look);
    expect(await read((request) => request.text())).toBe('{"a":[1,"é"]}');
    expect(await read((request) => request.json())).toEqual({ a: [1, "é"] });
    const bytes = [...Buffer.from(json, "latin1")];
    expect(await read(async (request) => [...(await request.bytes())])).toEqual(bytes);
    expect(await read(async (request) => (await request.bytes()) instanceof Uint8Array)).toBe(true);
    expect(await read(async (request) => [...new Uint8Array(await request.arrayBuffer())])).toEqual(bytes);
    const { type, text, isBlob } = await read(async (request) => {
      const blob = await request.blob();
      return { type: blob.type, text: await blob.text(), isBlob: blob instanceof Blob };
    });
    // In the Fetch standard, the Blob's type is the type of the request. In Bun it is text.
    expect(type).toStartWith(isBun ? "text/plain" : "application/json");
    expect({ text, isBlob }).toEqual({ text: '{"a":[1,"é"]}', isBlob: true });
  });

  test("is read as a form, URL-encoded or in parts, with a file", async () => {
    const urlEncoded = post("a=1&b=x+y&a=2", "Content-Type: application/x-www-form-urlencoded");
    expect(await observe(urlEncoded, async (request) => [...(await request.formData())])).toEqual([
      ["a", "1"],
      ["b", "x y"],
      ["a", "2"],
    ]);
    using server = start(async (request) => {
      const form = await request.formData();
      const file = form.get("file") as File;
      return Response.json([form.get("field"), file.name, await file.text()]);
    });
    const command = ["curl", "-sS", "-F", "field=value", "-F", "file=@-;filename=name.txt", urlOf(server)];
    expect(JSON.parse((await run(command, "1,2\r\n3,4")).stdout)).toEqual(["value", "name.txt", "1,2\r\n3,4"]);
  });

  test("is read as a stream, while it comes", async () => {
    using server = start(async (request) => {
      const parts: string[] = [];
      for await (const part of request.body!) parts.push(Buffer.from(part).toString());
      return Response.json(parts);
    });
    let next = Promise.withResolvers<void>();
    using reading = start(async (request) => {
      const reader = request.body!.getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return new Response(text);
        text += Buffer.from(value).toString();
        next.resolve();
      }
    });
    using client = await RawClient.connect(reading.port);
    await client.write("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 12\r\n\r\n");
    for (const part of ["one ", "two ", "last"]) {
      next = Promise.withResolvers();
      await client.write(part);
      await next.promise; // Each part is read before the next one is sent.
    }
    expect((await client.readResponse()).text).toBe("one two last");
    expect(JSON.parse((await ask(server.port, post("all"))).text).join("")).toBe("all");
  });

  test("of 20 MB flows through a stream without being collected", async () => {
    using server = start(async (request) => {
      const hasher = new Bun.CryptoHasher("md5");
      let bytes = 0;
      for await (const part of request.body!) {
        hasher.update(part);
        bytes += part.length;
        if (bytes % 7 === 0) await Bun.sleep(0);
      }
      return new Response(`${bytes} ${hasher.digest("hex")}`);
    });
    const body = Buffer.alloc(20_000_000, "streamed through a request ");
    const { stdout } = await run(["curl", "-sS", "-T", "-", "-H", "Expect:", urlOf(server)], body);
    expect(stdout).toBe(`${body.length} ${md5(body)}`);
  });

  test("can be read once", async () => {
    const reads = ["text", "json", "bytes", "arrayBuffer", "blob"] as const;
    for (const name of reads) {
      const seen = await observe(post(json), async (request) => {
        const before = request.bodyUsed;
        await request[name]();
        const again = await Promise.all(
          reads.map((other) =>
            request[other]().then(
              () => "read",
              (error: Error) => error instanceof TypeError,
            ),
          ),
        );
        return [before, request.bodyUsed, ...again];
      });
      expect(seen).toEqual([false, true, true, true, true, true, true]);
    }
  });

  test("is not used by looking at `body`", async () => {
    const seen = await observe(post("looked at"), async (request) => {
      const stream = request.body;
      const isStream = stream instanceof ReadableStream;
      await Bun.sleep(1);
      const used = request.bodyUsed;
      return [isStream, request.body === stream, used, await request.text(), request.bodyUsed];
    });
    expect(seen).toEqual([true, true, false, "looked at", true]);
    expect(await observe(post("at once"), (request) => (request.body ? request.text() : "no body"))).toBe("at once");
  });

  test("cannot be read while somebody reads its stream", async () => {
    const seen = await observe(post("locked"), async (request) => {
      const reader = request.body!.getReader();
      const text = await request.text().catch((error: Error) => error instanceof TypeError);
      const { value } = await reader.read();
      return [text, Buffer.from(value!).toString()];
    });
    expect(seen).toEqual([true, "locked"]);
  });

  test("that is no JSON rejects with a SyntaxError", async () => {
    expect(await observe(post("{nonsense"), (request) => request.json().catch((error: Error) => error.name))).toBe(
      "SyntaxError",
    );
  });

  test("can be read after the handler has returned", async () => {
    const { promise: later, resolve } = Promise.withResolvers<string>();
    using server = start((request) => {
      const read = () => request.text().catch((error: Error) => error.message);
      void Bun.sleep(5).then(async () => resolve(await read()));
      return new Response("answered");
    });
    const { text } = await ask(server.port, post("read later"));
    expect(text).toBe("answered");
    // Bun drops the unread bytes when the answer is complete.
    expect(await later).toBe(isBun ? "The connection was closed." : "read later");
  });
});

describe("a copy of the request", () => {
  const look = async (request: Pick<Request, "method" | "url" | "text"> & { headers: Pick<Headers, "get"> }) => [
    request.method,
    request.url,
    request.headers.get("x-mark"),
    await request.text(),
  ];

  test("by `clone()` is independent, and both have the body", async () => {
    const seen = await observe(post("cloned", "X-Mark: m"), async (request) => {
      const copy = request.clone();
      const used = [request.bodyUsed, copy.bodyUsed];
      return [copy instanceof Request, used, await look(copy), request.bodyUsed, await look(request), request.bodyUsed];
    });
    const expected = ["POST", "http://test/post", "m", "cloned"];
    expect(seen).toEqual([true, [false, false], expected, false, expected, true]);
  });

  test("by `clone()` leaves the original its stream", async () => {
    const seen = await observe(post("cloned"), async (request) => {
      const copy = request.clone();
      let text = "";
      for await (const part of request.body!) text += Buffer.from(part).toString();
      return [text, await copy.text()];
    });
    expect(seen).toEqual(["cloned", "cloned"]);
  });

  test("by `clone()` of GET has no body", async () => {
    const seen = await observe(get("/", "X-Mark: m"), async (request) => {
      const copy = request.clone();
      return [copy.body, await look(copy), await look(request)];
    });
    expect(seen).toEqual([null, ["GET", "http://test/", "m", ""], ["GET", "http://test/", "m", ""]]);
  });

  test("by `clone()` is refused once the body is used", async () => {
    const seen = await observe(post("used"), async (request) => {
      await request.text();
      try {
        request.clone();
        return "cloned";
      } catch (error) {
        return (error as Error).name;
      }
    });
    expect(seen).toBe("TypeError");
  });

  test("by `new Request(request)` takes method, URL, fields and body", async () => {
    const seen = await observe(post("copied", "X-Mark: m"), (request) => look(new Request(request)));
    expect(seen).toEqual(["POST", "http://test/post", "m", "copied"]);
  });

  test("by `new Request(request, init)` takes what init does not say", async () => {
    const seen = await observe(post("copied", "X-Mark: m"), (request) =>
      look(new Request(request, { headers: { "X-Mark": "other" } })),
    );
    expect(seen).toEqual(["POST", "http://test/post", "other", "copied"]);
  });

  test("by `new Request(url, request)` goes elsewhere", async () => {
    const seen = await observe(post("copied", "X-Mark: m"), (request) =>
      look(new Request("http://else.where/", request)),
    );
    expect(seen).toEqual(["POST", "http://else.where/", "m", "copied"]);
  });

  test("by `fetch(url, request)` is a proxy, with method, fields and body both ways", async () => {
    using upstream = start(async (request) => {
      const { method, headers } = request;
      const text = `${method} ${pathOf(request)} ${headers.get("x-mark")} ${await request.text()}`;
      return new Response(text, { status: 203, headers: { "X-Upstream": "yes" } });
    });
    using proxy = start((request) => fetch(urlOf(upstream, pathOf(request)), request));
    const { status, text, headers } = await ask(proxy.port, post("through", "X-Mark: m"));
    expect({ status, text, mark: headers.get("x-upstream") }).toEqual({
      status: 203,
      text: "POST /post m through",
      mark: ["yes"],
    });
    expect((await ask(proxy.port, get("/path"))).text).toBe("GET /path null ");
  });

  test("by `fetch(request, init)` takes what init does not say", async () => {
    using upstream = start(async (request) => {
      const { method, headers } = request;
      return new Response(`${method} ${headers.get("x-mark")} ${await request.text()}`);
    });
    using proxy = start((request) => fetch(request, { headers: { "X-Mark": "other" } }));
    const absolute = post("through", "X-Mark: m").replace("Host: test", `Host: 127.0.0.1:${upstream.port}`);
    expect((await ask(proxy.port, absolute)).text).toBe("POST other through");
  });

  test("by `fetch(request)` is sent to the URL that it names", async () => {
    using upstream = start(async (request) => new Response(`${request.headers.get("x-mark")} ${await request.text()}`));
    using proxy = start((request) => fetch(request));
    const absolute = post("through", "X-Mark: m").replace("Host: test", `Host: 127.0.0.1:${upstream.port}`);
    expect((await ask(proxy.port, absolute)).text).toBe("m through");
  });
});

describe("a response's body", () => {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-test-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const file = (name: string): string => join(directory, name);

  const large = "0123456789abcdef".repeat(196_608); // 3 MiB
  const largeUnicode = "😀 ünïcödé ".repeat(180_000);

  const form = (): FormData => {
    const form = new FormData();
    form.append("field", "value");
    return form;
  };
  async function* parts() {
    yield "text, ";
    await Bun.sleep(1);
    yield new TextEncoder().encode("bytes");
  }
  const streamOf = (...chunks: unknown[]): ReadableStream =>
    new ReadableStream({
      async pull(controller) {
        await Bun.sleep(1);
        if (chunks.length > 0) controller.enqueue(chunks.shift());
        else controller.close();
      },
    });

  interface Kind {
    make: () => Response | Promise<Response>;
    text: string;
    type?: string | undefined;
    /** Whether the body is a stream, which has no Content-Length. */
    streamed?: boolean;
  }
  const plain = "text/plain;charset=utf-8";
  const binary = "application/octet-stream";
  const kinds: Record<string, Kind> = {
    "a string": { make: () => new Response("ascii"), text: "ascii", type: plain },
    "a string beyond latin1": { make: () => new Response("😀 é"), text: "😀 é", type: plain },
    "a latin1 string": { make: () => new Response("é\xff"), text: "é\xff", type: plain },
    "a lone surrogate": { make: () => new Response("a\ud800b"), text: "a\ufffdb", type: plain },
    "an empty string": { make: () => new Response(""), text: "" },
    "a string of 3 MiB": { make: () => new Response(large), text: large, type: plain },
    "a string of 3 MB beyond latin1": { make: () => new Response(largeUnicode), text: largeUnicode, type: plain },
    null: { make: () => new Response(null), text: "" },
    nothing: { make: () => new Response(), text: "" },
    bytes: { make: () => new Response(Buffer.from("bytes")), text: "bytes", type: binary },
    "a view within a buffer": {
      make: () => new Response(new Uint8Array(Buffer.from("-view-")).subarray(1, 5)),
      text: "view",
      type: binary,
    },
    "3 MiB of bytes": { make: () => new Response(Buffer.from(large)), text: large, type: binary },
    "an ArrayBuffer": {
      make: () => new Response(new TextEncoder().encode("buffer").buffer),
      text: "buffer",
      type: binary,
    },
    "a Blob of text": { make: () => new Response(new Blob(["blob"])), text: "blob", type: plain },
    "a Blob of bytes": { make: () => new Response(new Blob([Buffer.from("\xff")])), text: "\xff", type: binary },
    "a Blob with a type": {
      make: () => new Response(new Blob(["b{}"], { type: "text/css" })),
      text: "b{}",
      type: "text/css;charset=utf-8",
    },
    URLSearchParams: {
      make: () => new Response(new URLSearchParams({ a: "1 2", b: "&" })),
      text: "a=1+2&b=%26",
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    },
    "a file": { make: () => new Response(Bun.file(file("small.txt"))), text: "a small file", type: plain },
    "an empty file": { make: () => new Response(Bun.file(file("empty.txt"))), text: "", type: plain },
    "a file of 3 MiB": { make: () => new Response(Bun.file(file("large.bin"))), text: large, type: binary },
    "a stream of text": {
      make: () => new Response(streamOf("one ", "two ", "😀")),
      text: "one two 😀",
      streamed: true,
    },
    "a stream of bytes": {
      make: () => new Response(streamOf(Buffer.from("one "), Buffer.from("two"))),
      text: "one two",
      streamed: true,
    },
    "a stream with empty chunks": {
      make: () => new Response(streamOf("", "a", new Uint8Array(0), "b")),
      text: "ab",
      streamed: true,
    },
    "an empty stream": { make: () => new Response(streamOf()), text: "", streamed: true },
    "a stream of 3 MiB in one chunk": { make: () => new Response(streamOf(large)), text: large, streamed: true },
    "an async generator": {
      make: () => new Response(parts() as unknown as Bun.BodyInit),
      text: "text, bytes",
      streamed: true,
    },
    "an async generator function": {
      make: () => new Response(parts as unknown as Bun.BodyInit),
      text: "text, bytes",
      streamed: true,
    },
    JSON: { make: () => Response.json({ a: ["é"] }), text: '{"a":["é"]}', type: "application/json;charset=utf-8" },
    "a clone": { make: () => new Response("original").clone() as Response, text: "original", type: plain },
    "of a subclass": { make: () => new (class extends Response {})("sub"), text: "sub", type: plain },
    "of a promise": { make: async () => (await Bun.sleep(1), new Response("later")), text: "later", type: plain },
    "of a fulfilled promise": { make: () => Promise.resolve(new Response("now")), text: "now", type: plain },
  };

  for (const [name, { make, text, type, streamed }] of Object.entries(kinds)) {
    test(`made of ${name} arrives, and so does the next one`, async () => {
      await Bun.write(file("small.txt"), "a small file");
      await Bun.write(file("empty.txt"), "");
      await Bun.write(file("large.bin"), large);
      using server = start((request) => (pathOf(request) === "/next" ? new Response("next") : make()));
      using client = await RawClient.connect(server.port);
      await client.write(get("/"));
      const { status, headers, body } = await client.readResponse();
      expect(status).toBe(200);
      expect(md5(body)).toBe(md5(Buffer.from(text)));
      expect(headers.get("content-type")?.[0]).toBe(type);
      // Bun collects a stream that ends at once, and sends its length. The client has checked how
      // the body is delimited.
      if (!streamed) expect(headers.get("content-length")).toEqual([String(Buffer.byteLength(text))]);
      else if (!isBun) expect(headers.get("transfer-encoding")).toEqual(["chunked"]);
      await client.write(get("/next"));
      expect((await client.readResponse()).text).toBe("next");
      // The same with another client.
      expect(md5(await (await fetch(urlOf(server))).bytes())).toBe(md5(Buffer.from(text)));
    });
  }

  test("made of a form can be parsed by who gets it", async () => {
    using server = start(() => new Response(form()));
    const response = await fetch(urlOf(server));
    expect(response.headers.get("content-type")).toStartWith("multipart/form-data; boundary=");
    expect([...(await response.formData())]).toEqual([["field", "value"]]);
  });

  test("made of a file that does not exist is the error handler's", async () => {
    const missing = (): Response => new Response(Bun.file(file("missing.txt")));
    using handled = start(missing, {
      error: (error) => new Response(`handled ${(error as NodeJS.ErrnoException).code}`, { status: 404 }),
    });
    const { status, text } = await ask(handled.port, get("/"));
    expect({ status, text }).toEqual({ status: 404, text: "handled ENOENT" });
    if (isBun) return; // bun:test counts a report of Bun.serve as a failure of the test.
    using unhandled = start(missing);
    await quietly(async () => expect((await ask(unhandled.port, get("/"))).status).toBe(500));
  });

  test("that was made before serve() was called arrives", async () => {
    using server = start((request) => madeEarly[pathOf(request).slice(1) as keyof typeof madeEarly]);
    const answer = (name: string) => ask(server.port, get(`/${name}`));
    const { text, headers } = await answer("text");
    expect({ text, mark: headers.get("x-mark"), type: headers.get("content-type") }).toEqual({
      text: "early text",
      mark: ["early"],
      type: [plain],
    });
    expect([...(await answer("bytes")).body]).toEqual([1, 2, 3]);
    expect(JSON.parse((await answer("json")).text)).toEqual({ early: true });
    expect((await answer("stream")).text).toBe("early stream");
  });

  test("that came from fetch() passes through, in memory or still on its way", async () => {
    using upstream = start((request) => {
      if (pathOf(request) === "/stream")
        return new Response(parts() as unknown as Bun.BodyInit, { headers: { "X-Mark": "s" } });
      if (pathOf(request) === "/large") return new Response(large);
      if (pathOf(request) === "/gone") return new Response(null, { status: 404 });
      const fields = { "Content-Encoding": "gzip", "Content-Type": "text/x-packed" };
      return new Response(gzipSync("unpacked"), { headers: fields });
    });
    // Without this, Bun's fetch decompresses the body, but keeps the Content-Encoding field.
    using proxy = start((request) => fetch(urlOf(upstream, pathOf(request)), { decompress: false }));
    const stream = await ask(proxy.port, get("/stream"));
    expect({ text: stream.text, mark: stream.headers.get("x-mark") }).toEqual({ text: "text, bytes", mark: ["s"] });
    expect(md5((await ask(proxy.port, get("/large"))).body)).toBe(md5(Buffer.from(large)));
    expect((await ask(proxy.port, get("/gone"))).status).toBe(404);
    const { stdout } = await run(["curl", "-sS", "--compressed", "-w", " %{content_type}", urlOf(proxy, "/gzip")]);
    expect(stdout).toBe("unpacked text/x-packed");
  });

  test("is sent once: the second time is an error", async () => {
    const bodies: Record<string, Response> = {
      "/text": new Response("once"),
      "/bytes": new Response(Buffer.from("once")),
      "/stream": new Response(streamOf("once")),
    };
    using server = start((request) => bodies[pathOf(request)]!, {
      error: (error) => new Response(error.name, { status: 555 }),
    });
    for (const path of Object.keys(bodies)) {
      expect((await ask(server.port, get(path))).text).toBe("once");
      const { status, text } = await ask(server.port, get(path));
      expect({ path, status, text }).toEqual({ path, status: 555, text: "TypeError" });
    }
  });

  test("that the handler has read is an error", async () => {
    const read = async (): Promise<Response> => {
      const response = new Response("read");
      await response.text();
      return response;
    };
    using server = start(read, { error: (error) => new Response(error.name, { status: 555 }) });
    expect((await ask(server.port, get("/"))).text).toBe("TypeError");
  });

  test("that is null can be sent any number of times", async () => {
    const response = new Response(null, { status: 202 });
    using server = start(() => response);
    for (let i = 0; i < 3; i++) expect((await ask(server.port, get("/"))).status).toBe(202);
  });

  test("streams as the handler makes it, not when it is complete", async () => {
    let next = Promise.withResolvers<void>();
    async function* paced() {
      for (const part of ["one", "two", "three"]) {
        yield part;
        await next.promise;
        next = Promise.withResolvers();
      }
    }
    using server = start(() => new Response(paced() as unknown as Bun.BodyInit));
    using client = await RawClient.connect(server.port);
    await client.write(get("/"));
    await client.readUntil("\r\n\r\n");
    for (const part of ["3\r\none\r\n", "3\r\ntwo\r\n", "5\r\nthree\r\n"]) {
      expect(await client.readUntil(part)).toBe(part);
      next.resolve();
    }
    expect(await client.readUntil("0\r\n\r\n")).toBe("0\r\n\r\n");
  });

  test("that fails midway breaks the connection, so that nobody takes it for whole", async () => {
    const broken = (): Response =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            controller.enqueue("part");
            await Bun.sleep(1);
            controller.error(new Error("midway"));
          },
        }),
      );
    using server = start((request) => (pathOf(request) === "/fine" ? new Response("fine") : broken()));
    await quietly(async () => {
      expect(await rejection(fetch(urlOf(server)).then((response) => response.text()))).toBeInstanceOf(Error);
      expect(await rejection(run(["curl", "-sS", urlOf(server)]))).toMatchObject({
        message: expect.stringContaining("curl ended with"),
      });
      expect((await ask(server.port, get("/fine"))).text).toBe("fine");
    });
  });

  test("is cancelled when the client is gone, and the request's signal aborts", async () => {
    const { promise: cancelled, resolve: cancel } = Promise.withResolvers<void>();
    const { promise: aborted, resolve: abort } = Promise.withResolvers<void>();
    using server = start((request) => {
      request.signal.addEventListener("abort", () => abort());
      return new Response(
        new ReadableStream({
          async pull(controller) {
            await Bun.sleep(1);
            controller.enqueue(Buffer.alloc(1000, "a"));
          },
          cancel: () => cancel(),
        }),
      );
    });
    const client = await RawClient.connect(server.port);
    await client.write(get("/"));
    await client.readUntil("aaaa");
    client.socket.destroy(); // Sends FIN, then RST for the bytes that still arrive.
    await Promise.all([cancelled, aborted]);
  });

  test("from an async generator runs its `finally` when the client is gone", async () => {
    const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
    async function* endless() {
      try {
        for (;;) {
          yield Buffer.alloc(1000, "a");
          await Bun.sleep(1);
        }
      } finally {
        finish();
      }
    }
    using server = start(() => new Response(endless() as unknown as Bun.BodyInit));
    const client = await RawClient.connect(server.port);
    await client.write(get("/"));
    await client.readUntil("aaaa");
    client.reset();
    await finished;
  });
});

describe("a response's head", () => {
  test("has the status, and the reason that belongs to it", async () => {
    using server = start((request) => new Response(null, { status: Number(pathOf(request).slice(1)) }));
    const reasons = {
      200: "OK",
      201: "Created",
      204: "No Content",
      304: "Not Modified",
      404: "Not Found",
      503: "Service Unavailable",
    };
    for (const [code, expected] of Object.entries(reasons)) {
      const { status, reason } = await ask(server.port, get(`/${code}`));
      expect({ status, reason }).toEqual({ status: Number(code), reason: expected });
    }
  });

  // Bun sends the registered reason phrase instead.
  test.skipIf(isBun)("has the handler's own reason", async () => {
    using server = start(() => new Response(null, { status: 200, statusText: "Very Fine" }));
    expect((await ask(server.port, get("/"))).reason).toBe("Very Fine");
  });

  test("of 204 and 304 delimits no body, whatever the handler gave", async () => {
    using server = start((request) => {
      const status = Number(pathOf(request).slice(1));
      if (status === 200) return new Response("next");
      return new Response(request.headers.has("x-body") ? "body" : null, { status, headers: { ETag: '"tag"' } });
    });
    using client = await RawClient.connect(server.port);
    for (const status of [204, 304]) {
      for (const request of [get(`/${status}`), get(`/${status}`, "X-Body: yes")]) {
        await client.write(request + get("/200"));
        const { status: received, headers } = await client.readResponse();
        expect([received, headers.get("etag"), headers.get("transfer-encoding")]).toEqual([
          status,
          ['"tag"'],
          undefined,
        ]);
        if (status === 204) expect(headers.has("content-length")).toBe(false); // RFC 9110 section 8.6
        expect((await client.readResponse()).text).toBe("next");
      }
    }
  });

  test("of 205 has no content", async () => {
    // RFC 9110 section 15.3.6.
    using server = start(() => new Response("body", { status: 205 }));
    const { status, text } = await ask(server.port, get("/"));
    expect({ status, text }).toEqual({ status: 205, text: "" });
  });

  test("has the handler's fields, each Set-Cookie by itself", async () => {
    using server = start(() => {
      const headers = new Headers({ "X-One": "1", "Cache-Control": "no-store" });
      headers.append("Set-Cookie", "a=1; Path=/");
      headers.append("Set-Cookie", "b=2, with a comma");
      headers.append("X-Many", "a");
      headers.append("X-Many", "b");
      return new Response("fields", { headers });
    });
    const { headers } = await ask(server.port, get("/"));
    expect(headers.get("x-one")).toEqual(["1"]);
    expect(headers.get("cache-control")).toEqual(["no-store"]);
    expect(headers.get("set-cookie")).toEqual(["a=1; Path=/", "b=2, with a comma"]);
    expect(headers.get("x-many")).toEqual(["a, b"]);
  });

  test("has fields that were set after the response was made", async () => {
    using server = start(() => {
      const response = new Response("late");
      response.headers.set("X-Late", "yes");
      response.headers.append("Set-Cookie", "c=3");
      return response;
    });
    const { headers } = await ask(server.port, get("/"));
    expect([headers.get("x-late"), headers.get("set-cookie")]).toEqual([["yes"], ["c=3"]]);
  });

  test("has the handler's Date and Content-Type, once", async () => {
    const date = "Thu, 01 Jan 1970 00:00:00 GMT";
    using server = start(() => new Response("dated", { headers: { Date: date, "Content-Type": "text/x-mine" } }));
    const { headers } = await ask(server.port, get("/"));
    expect([headers.get("date"), headers.get("content-type")]).toEqual([[date], ["text/x-mine"]]);
  });

  test("has one Content-Length, that of the body, whatever the handler says", async () => {
    using server = start(
      () => new Response("eight ch", { headers: { "Content-Length": "77", "Transfer-Encoding": "chunked" } }),
    );
    const { headers, text } = await ask(server.port, get("/"));
    expect({ text, length: headers.get("content-length") }).toEqual({ text: "eight ch", length: ["8"] });
    expect(headers.has("transfer-encoding")).toBe(false);
  });

  test("of a redirect has its Location", async () => {
    using server = start(() => Response.redirect("http://else.where/?a=b c", 303));
    const { status, headers, text } = await ask(server.port, get("/"));
    expect({ status, location: headers.get("location"), text }).toMatchObject({ status: 303, text: "" });
    expect(headers.get("location")?.[0]).toStartWith("http://else.where/?a=b");
  });

  test("of Response.error() is an error's, also where the error handler returns it: 500", async () => {
    using twice = start(() => Response.error(), { error: () => Response.error() });
    if (!isBun) await quietly(async () => expect((await ask(twice.port, get("/"))).status).toBe(500)); // bun:test counts Bun's reports.
    using server = start(() => Response.error(), { error: (error) => new Response(error.name, { status: 555 }) });
    const { status, text } = await ask(server.port, get("/"));
    expect({ status, text }).toEqual({ status: 555, text: isBun ? "Error" : "TypeError" });
  });

  test("cannot be split by what a handler puts in", async () => {
    const line = "x\r\nInjected: yes";
    const wide = "x\u010d\u010aInjected: yes"; // Becomes CR and LF if the upper byte is lost.
    const attempts: Record<string, () => Response> = {};
    for (const [name, text] of Object.entries({ line, wide, lf: "x\nInjected: yes" })) {
      attempts[`/value-${name}`] = () => new Response("a", { headers: { "X-Value": text } });
      attempts[`/name-${name}`] = () => new Response("a", { headers: { [text]: "value" } });
      attempts[`/reason-${name}`] = () => new Response("a", { statusText: text });
      attempts[`/json-reason-${name}`] = () => Response.json("a", { statusText: text });
      attempts[`/cookie-${name}`] = () => new Response("a", { headers: [["Set-Cookie", text]] });
      attempts[`/late-${name}`] = () => {
        const response = new Response("a");
        response.headers.set("X-Late", text);
        return response;
      };
      attempts[`/redirect-${name}`] = () => Response.redirect(`http://a/${text}`);
      attempts[`/blob-type-${name}`] = () => new Response(new Blob(["a"], { type: text }));
      attempts[`/file-type-${name}`] = () => new Response(Bun.file(import.meta.path, { type: text }));
      attempts[`/content-type-${name}`] = () => new Response("a", { headers: { "Content-Type": text } });
    }
    const error = (): Response => new Response(null, { status: 500 });
    using server = start((request) => attempts[pathOf(request)]!(), { error });
    for (const path of Object.keys(attempts)) {
      // The raw client throws at a line that is not a header field.
      const { status, head } = await ask(server.port, get(path));
      expect([path, /^injected/im.test(head), [200, 302, 500].includes(status)]).toEqual([path, false, true]);
    }
  });

  test("sends characters up to U+00FF as bytes, and refuses others", async () => {
    const value = (request: Request): string => (pathOf(request) === "/wide" ? "€" : "caf\xe9");
    using server = start((request) => new Response("a", { headers: { "X-Value": value(request) } }), {
      error: (error) => new Response(error.name, { status: 555 }),
    });
    expect((await ask(server.port, get("/"))).headers.get("x-value")).toEqual(["caf\xe9"]);
    expect((await ask(server.port, get("/wide"))).text).toBe("TypeError");
  });
});

describe("a handler that fails", () => {
  const failures: Record<string, () => unknown> = {
    throws: () => {
      throw new Error("why");
    },
    rejects: async () => {
      await Bun.sleep(1);
      throw new Error("why");
    },
    "has rejected already": () => Promise.reject(new Error("why")),
    "throws something else": () => {
      throw "why";
    },
    "throws a Response": () => {
      throw new Response("not an answer");
    },
    "rejects with a Response": async () => {
      await Bun.sleep(1);
      throw new Response("not an answer");
    },
    "has rejected with a Response already": () => Promise.reject(new Response("not an answer")),
  };
  /** Handlers without a Response, for which Bun sends a 204. */
  const nonsense: Record<string, () => unknown> = {
    "returns nothing": () => undefined,
    "returns a string": () => "text",
    "returns null": () => null,
    "returns an object": () => ({}),
    "resolves to nothing": async () => Bun.sleep(1),
    "has resolved to nothing": async () => {},
  };
  for (const [name, fail] of Object.entries(isBun ? failures : { ...failures, ...nonsense })) {
    test(`because it ${name}: 500, or what the error handler says, and the server goes on`, async () => {
      const fetch = ((request: Request) =>
        pathOf(request) === "/fine" ? new Response("fine") : fail()) as ServeOptions["fetch"];
      const seen: unknown[] = [];
      using handled = start(fetch, {
        error(error) {
          seen.push(error, this === handled || isBun);
          return new Response("handled", { status: 555 });
        },
      });
      using client = await RawClient.connect(handled.port);
      for (let i = 0; i < 2; i++) {
        // Bun accepts no second request before it has answered the first.
        await client.write(isBun ? get("/") : get("/") + get("/fine"));
        const { status, text } = await client.readResponse();
        expect({ status, text }).toEqual({ status: 555, text: "handled" });
        if (isBun) await client.write(get("/fine"));
        expect((await client.readResponse()).text).toBe("fine");
      }
      expect(seen.length).toBeGreaterThan(0);
      expect(seen[1]).toBe(true);
      if (name === "throws") expect((seen[0] as Error).message).toBe("why");

      if (isBun) return; // bun:test counts a report of Bun.serve as a failure of the test.
      using unhandled = start(fetch);
      const said = await quietly(async () => {
        const { status } = await ask(unhandled.port, get("/"));
        expect(status).toBe(500);
        expect((await ask(unhandled.port, get("/fine"))).text).toBe("fine");
      });
      expect(said).toHaveLength(1); // The error is reported.
    });
  }

  // bun:test counts a report of Bun.serve as a failure of the test.
  test.skipIf(isBun)(
    "and whose error handler fails too, or has nothing that can be sent: 500 and the error page",
    async () => {
      const fetch = (): Response => {
        throw new Error("first");
      };
      const errorHandlers: NonNullable<ServeOptions["error"]>[] = [
        () => {
          throw new Error("second");
        },
        async () => {
          await Bun.sleep(1);
          throw new Error("second");
        },
        () => {},
        async () => {},
        () => Response.error(),
        async () => Response.error(),
        async () => {
          const used = new Response("used");
          await used.text();
          return used;
        },
      ];
      for (const error of errorHandlers) {
        using server = start(fetch, { error, development: false });
        await quietly(async () => {
          const { status, text } = await ask(server.port, get("/"));
          expect({ status, text }).toEqual({ status: 500, text: "Something went wrong!" });
        });
      }
    },
  );

  test("is answered by an error handler that takes its time", async () => {
    using server = start(() => Promise.reject(new Error("why")), {
      error: async (error) => {
        await Bun.sleep(5);
        return new Response(`later: ${error.message}`, { status: 503 });
      },
    });
    const { status, text } = await ask(server.port, get("/"));
    expect({ status, text }).toEqual({ status: 503, text: "later: why" });
  });
});

describe("a server", () => {
  test("is `this` and the second argument of its handler", async () => {
    const seen: unknown[] = [];
    using server = start(function (this: Server, _request, server) {
      seen.push(this, server);
      return new Response();
    });
    await ask(server.port, get("/"));
    expect(seen[0]).toBe(server);
    expect(seen[1]).toBe(server);
  });

  test("says where it is", () => {
    using server = start(() => new Response(), { id: "mine" });
    expect(server.port).toBeGreaterThan(0);
    expect(server.hostname).toBe("127.0.0.1");
    expect(server.url).toBeInstanceOf(URL);
    expect(server.url.href).toBe(`http://127.0.0.1:${server.port}/`);
    expect(server.protocol).toBe("http");
    expect(server.development).toBe(false);
    expect(server.id).toBe("mine");
    expect(server.address).toEqual({ address: "127.0.0.1", port: server.port, family: "IPv4" });
    expect(server.pendingRequests).toBe(0);
    expect(server.pendingWebSockets).toBe(0);
  });

  test("without a hostname serves IPv4 and IPv6, and calls itself localhost", async () => {
    using server = serve({ port: 0, fetch: () => new Response("any") });
    expect([server.hostname, server.url.href]).toEqual(["localhost", `http://localhost:${server.port}/`]);
    for (const host of ["127.0.0.1", "[::1]"])
      expect(await (await fetch(`http://${host}:${server.port}/`)).text()).toBe("any");
  });

  test("knows its client's address", async () => {
    using server = serve({
      port: 0,
      hostname: "::",
      fetch: (request, server) => Response.json(server.requestIP(request)),
    });
    using client = await RawClient.connect(server.port, "::1");
    await client.write(get("/"));
    const port = client.socket.localPort;
    expect(JSON.parse((await client.readResponse()).text)).toEqual({ address: "::1", family: "IPv6", port });
    const foreign = server.requestIP(new Request("http://test/"));
    expect(foreign).toBeNull();
  });

  test("knows no address once the client is gone", async () => {
    const { promise: asked, resolve: tell } = Promise.withResolvers<Request>();
    using server = start((request) => {
      tell(request);
      return new Promise<Response>(() => {});
    });
    const client = await RawClient.connect(server.port);
    await client.write(get("/"));
    const request = await asked;
    expect(server.requestIP(request)?.address).toBe("127.0.0.1");
    const aborted = new Promise((resolve) => request.signal.addEventListener("abort", resolve));
    client.reset();
    await aborted;
    expect(server.requestIP(request)).toBeNull();
  });

  test("has no `server.fetch` without a handler for it, until a reload brings one", async () => {
    using server = serve({ port: 0, routes: { "/path": new Response("route") } });
    const message = "fetch() requires the server to have a fetch handler";
    for (const given of ["/path", new Request("http://else.where/"), ""])
      expect(await rejection(server.fetch(given) as Promise<Response>)).toMatchObject({ message });
    server.reload({ fetch: () => new Response("handler") });
    expect(await (await server.fetch("/path")).text()).toBe("handler");
  });

  test("answers `server.fetch` without a network", async () => {
    using server = start(
      async (request) => {
        if (pathOf(request) === "/fail") throw new Error("why");
        return new Response(`${request.method} ${request.url} ${await request.text()}`);
      },
      { error: (error) => new Response(`handled ${error.message}`) },
    );
    // Bun does not have the port here.
    const origin = isBun ? "http://127.0.0.1:0" : urlOf(server, "");
    expect(await (await server.fetch("/path")).text()).toBe(`GET ${origin}/path `);
    expect(await (await server.fetch(new Request("http://else.where/", { method: "POST", body: "b" }))).text()).toBe(
      "POST http://else.where/ b",
    );
    // The error handler is not called here.
    expect(await rejection(server.fetch("/fail") as Promise<Response>)).toMatchObject({ message: "why" });
    // In Bun it is empty if the handler returns a promise.
    if (!isBun) expect(new URL((await server.fetch("/url")).url).pathname).toBe("/url");
    for (const wrong of [undefined, null, 5, {}, new URL("http://x/")])
      expect(await rejection(server.fetch(wrong as never) as Promise<Response>)).toMatchObject({
        name: "TypeError",
        code: "ERR_INVALID_ARG_TYPE",
        message: expect.stringContaining("fetch() expects a string, but received"),
      });
  });

  test("has other handlers after reload(), for open connections too", async () => {
    using server = start(() => new Response("old"));
    using client = await RawClient.connect(server.port);
    await client.write(get("/"));
    expect((await client.readResponse()).text).toBe("old");
    const reloaded = server.reload({
      fetch: (request) => {
        if (pathOf(request) === "/fail") throw new Error("why");
        return new Response("new");
      },
      error: () => new Response("handled"),
    });
    expect(reloaded).toBe(server);
    await client.write(get("/"));
    expect((await client.readResponse()).text).toBe("new");
    await client.write(get("/fail"));
    expect((await client.readResponse()).text).toBe("handled");
  });

  test("counts the requests that are not answered", async () => {
    const { promise: answer, resolve: release } = Promise.withResolvers<void>();
    const { promise: all, resolve: allAsked } = Promise.withResolvers<void>();
    let asked = 0;
    using server = start(async (request) => {
      if (pathOf(request) === "/count") return new Response(String(server.pendingRequests));
      if (++asked === 3) allAsked();
      await answer;
      return new Response();
    });
    const waiting = [1, 2, 3].map(() => ask(server.port, get("/")));
    await all;
    expect(server.pendingRequests).toBe(3);
    expect((await ask(server.port, get("/count"))).text).toBe("4");
    release();
    await Promise.all(waiting);
    expect(server.pendingRequests).toBe(0);
  });

  test("counts a request whose client is gone no more", async () => {
    const { promise: asked, resolve: tell } = Promise.withResolvers<Request>();
    using server = start((request) => {
      tell(request);
      return new Promise<Response>((resolve) =>
        request.signal.addEventListener("abort", () => resolve(new Response())),
      );
    });
    const client = await RawClient.connect(server.port);
    await client.write(get("/"));
    const { signal } = await asked;
    expect(server.pendingRequests).toBe(1);
    client.reset();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await Bun.sleep(0);
    expect(server.pendingRequests).toBe(0);
  });
});

describe("stop()", () => {
  test("answers what is under way, takes no more, and resolves when all is over", async () => {
    const { promise: asked, resolve: tell } = Promise.withResolvers<void>();
    const { promise: answer, resolve: release } = Promise.withResolvers<void>();
    const server = start(async () => {
      tell();
      await answer;
      return new Response("under way");
    });
    using idle = await RawClient.connect(server.port);
    using client = await RawClient.connect(server.port);
    await client.write(get("/"));
    await asked;
    let over = false;
    const stopped = server.stop().then(() => (over = true));
    expect(await rejection(RawClient.connect(server.port))).toMatchObject({ code: "ECONNREFUSED" });
    expect(over).toBe(false);
    release();
    expect((await client.readResponse()).text).toBe("under way");
    // Bun does not close connections that are idle or become idle. The client must end them.
    if (isBun) {
      client[Symbol.dispose]();
      idle[Symbol.dispose]();
    } else expect(await Promise.all([idle.closed, client.closed])).toEqual(["end", "end"]);
    await stopped;
  });

  test("with true ends what is under way", async () => {
    const { promise: asked, resolve: tell } = Promise.withResolvers<Request>();
    const server = start((request) => {
      tell(request);
      return new Promise<Response>(() => {});
    });
    using client = await RawClient.connect(server.port);
    await client.write(get("/"));
    const { signal } = await asked;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const stopped = server.stop(true);
    await aborted;
    await client.closed;
    await stopped;
    expect(await rejection(RawClient.connect(server.port))).toMatchObject({ code: "ECONNREFUSED" });
  });

  test("can be called again", async () => {
    const server = start(() => new Response());
    await ask(server.port, get("/"));
    await server.stop();
    await server.stop();
    await server.stop(true);
  });

  test("frees the port", async () => {
    const first = start(() => new Response("first"));
    const { port } = first;
    await ask(port, get("/"));
    await first.stop(true);
    using second = serve({ port, hostname: "127.0.0.1", fetch: () => new Response("second") });
    expect((await ask(second.port, get("/"))).text).toBe("second");
  });

  test("frees the port at once", () => {
    const first = start(() => new Response("first"));
    const { port } = first;
    void first.stop();
    using second = serve({ port, hostname: "127.0.0.1", fetch: () => new Response("second") });
    expect(second.port).toBe(port);
  });

  test("comes with the end of a `using` block", async () => {
    let port: number;
    {
      using server = start(() => new Response());
      port = server.port;
      await ask(port, get("/"));
    }
    expect(await rejection(RawClient.connect(port))).toMatchObject({ code: "ECONNREFUSED" });
  });

  test("is not closeIdleConnections(), which ends idle connections and serves others", async () => {
    using server = start(() => new Response("served"));
    using idle = await RawClient.connect(server.port);
    await idle.write(get("/"));
    await idle.readResponse();
    server.closeIdleConnections();
    expect(await idle.closed).toBe("end");
    expect((await ask(server.port, get("/"))).text).toBe("served");
  });
});

// Bun's clock for idleTimeout ticks every four seconds.
const idleMsMax = isBun ? 9000 : 2500;

describe.concurrent("idleTimeout", () => {
  /** Returns the milliseconds from the last byte until the server ends the connection. */
  async function idleMs(server: Server, request: string): Promise<number> {
    using client = await RawClient.connect(server.port);
    const before = performance.now();
    await client.write(request);
    await client.closed;
    return performance.now() - before;
  }

  // In Bun this takes 12 s, whatever idleTimeout is.
  test.skipIf(isBun)(
    "ends a connection that says nothing",
    async () => {
      using server = start(() => new Response(), { idleTimeout: 1 });
      const ms = await idleMs(server, "");
      expect(ms).toBeGreaterThan(950);
      expect(ms).toBeLessThan(idleMsMax);
    },
    15000,
  );

  test("ends a connection between requests", async () => {
    using server = start(() => new Response(), { idleTimeout: 1 });
    const ms = await idleMs(server, get("/"));
    if (!isBun) expect(ms).toBeGreaterThan(950);
    expect(ms).toBeLessThan(idleMsMax);
  });

  test("ends a connection whose handler is silent", async () => {
    let signal: AbortSignal | undefined;
    using server = start(
      (request) => {
        signal = request.signal;
        return new Promise<Response>(() => {});
      },
      { idleTimeout: 1 },
    );
    expect(await idleMs(server, get("/"))).toBeLessThan(idleMsMax);
    expect(signal?.aborted).toBe(true);
  });

  // In Bun, each byte starts the time again.
  test.skipIf(isBun)(
    "ends a head that trickles in",
    async () => {
      using server = start(() => new Response(), { idleTimeout: 1 });
      using client = await RawClient.connect(server.port);
      const before = performance.now();
      const timer = setInterval(() => void client.write("X"), 100);
      await client.write("GET / HTTP/1.1\r\nX: ");
      await client.closed;
      clearInterval(timer);
      expect(performance.now() - before).toBeLessThan(idleMsMax);
    },
    15000,
  );

  test("can be set for one request, shorter or to none", async () => {
    using server = start(
      (request, server) => {
        if (pathOf(request) === "/short") server.timeout(request, 1);
        if (pathOf(request) === "/none") {
          server.timeout(request, 0);
          return Bun.sleep(isBun ? 5500 : 1900).then(() => new Response("late"));
        }
        return new Promise<Response>(() => {});
      },
      { idleTimeout: isBun ? 4 : 1 },
    );
    using longer = start(
      (request, server) => {
        server.timeout(request, 1);
        return new Promise<Response>(() => {});
      },
      { idleTimeout: 200 },
    );
    const [late, ms] = await Promise.all([ask(server.port, get("/none")), idleMs(longer, get("/short"))]);
    expect(late.text).toBe("late");
    expect(ms).toBeLessThan(idleMsMax);
  });

  // Bun ends such a client (oven-sh/bun 13392).
  test.skipIf(isBun)(
    "does not end a client that slowly takes a large answer",
    async () => {
      const body = Buffer.alloc(30_000_000, "slowly taken ");
      using server = start(() => new Response(body), { idleTimeout: 1 });
      const program = `
import hashlib, socket, time
client = socket.create_connection(("127.0.0.1", ${server.port}))
client.sendall(b"GET / HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n")
received = b""
while b"\\r\\n\\r\\n" not in received:
    received += client.recv(65536)
body = received.split(b"\\r\\n\\r\\n", 1)[1]
hash, count = hashlib.md5(body), len(body)
while count < ${body.length}:
    part = client.recv(65536)
    if not part:
        break
    hash.update(part)
    count += len(part)
    time.sleep(len(part) / 12_000_000)
print(count, hash.hexdigest())
`;
      const before = performance.now();
      const { stdout } = await run(["python3", "-c", program]);
      expect(stdout.trim()).toBe(`${body.length} ${md5(body)}`);
      expect(performance.now() - before).toBeGreaterThan(2000);
    },
    15000,
  );
});

describe("backpressure", () => {
  test("stops a stream that its client does not read, while others are served", async () => {
    const chunk = Buffer.alloc(65536, "a");
    let producedBytes = 0;
    // In practice endless, because the test stops it in time.
    async function* endless() {
      while (producedBytes < 100_000_000) {
        producedBytes += chunk.length;
        yield chunk;
      }
    }
    using server = start((request) =>
      pathOf(request) === "/endless" ? new Response(endless() as unknown as Bun.BodyInit) : new Response("served"),
    );
    using lazy = await RawClient.connect(server.port);
    lazy.socket.pause();
    await lazy.write(get("/endless"));
    using other = await RawClient.connect(server.port);
    // Waits until nothing more is produced during 50 requests of other clients.
    for (let calm = 0, before = -1; calm < 50; calm = producedBytes === before ? calm + 1 : 0) {
      before = producedBytes;
      await other.write(get("/"));
      expect((await other.readResponse()).text).toBe("served");
      // On loopback the kernel's buffers take less than 16 MB. The queue adds 1 MiB.
      expect(producedBytes).toBeLessThan(32_000_000);
    }
    expect(producedBytes).toBeGreaterThan(0);
  });

  // Only ringloop has this option.
  test.skipIf(isBun)("serves no further request to a client that does not read its answers", async () => {
    let served = 0;
    const body = Buffer.alloc(100_000, "a");
    using server = start(
      () => {
        served++;
        return new Response(body);
      },
      { writeQueueBytesMax: 200_000 },
    );
    using lazy = await RawClient.connect(server.port);
    lazy.socket.pause();
    await lazy.write(get("/lazy").repeat(1000));
    using other = await RawClient.connect(server.port);
    for (let calm = 0, before = -1; calm < 50; calm = served === before + 1 ? calm + 1 : 0) {
      before = served;
      await other.write(get("/"));
      await other.readResponse();
    }
    expect(served).toBeLessThan(800);
    // All answers arrive as soon as the client reads.
    lazy.socket.resume();
    for (let i = 0; i < 1000; i++) expect((await lazy.readResponse()).body.length).toBe(body.length);
  });
});
