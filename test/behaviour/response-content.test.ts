/**
 * The head of a response (names and order of fields, types, tags, parts of files), and the bodies
 * of requests.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixture, run } from "./process.ts";
import { ask, RawClient, type RawResponse } from "./raw-client.ts";
import { isBun, serve, type Server, subject } from "./subject.ts";

const directory = mkdtempSync(join(tmpdir(), "ringloop-content-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Makes a new file that contains ten digits and has the date of 1 January 2020. */
let files = 0;
function digits(name = "txt"): string {
  const path = join(directory, `${files++}.${name}`);
  writeFileSync(path, "0123456789");
  utimesSync(path, 1577836800, 1577836800);
  return path;
}
const day = (date: number): string => new Date(Date.UTC(2020, 0, date)).toUTCString();

function start(make: (request: Request) => unknown, routes?: Bun.Serve.Routes<undefined, string>): Server {
  const fetch = (request: Request): Response => make(request) as Response;
  const error = (failure: Error): Response => new Response(`error: ${failure.message}`, { status: 500 });
  return serve({ port: 0, hostname: "127.0.0.1", development: false, fetch, error, ...(routes && { routes }) });
}

const get = (...lines: string[]): string =>
  `GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;

async function answer(make: (request: Request) => unknown, ...lines: string[]): Promise<RawResponse> {
  using server = start(make);
  return await ask(server.port, get(...lines));
}

/** Returns the answer of a route with that content. */
async function routed(content: unknown, ...lines: string[]): Promise<RawResponse> {
  using server = start(() => new Response("not the route"), { "/": content as Response });
  return await ask(server.port, get(...lines));
}

const value = (response: RawResponse, name: string): string | undefined => response.headers.get(name)?.join();
const namesOf = ({ head }: RawResponse): string[] =>
  head
    .split("\r\n")
    .slice(1, -2)
    .map((line) => line.slice(0, line.indexOf(":")));
/** Returns the names of the fields that the program has set. */
const given = (response: RawResponse): string[] =>
  namesOf(response).filter((name) => !/^(date|content-length|content-type)$/i.test(name));

describe("the names of fields", () => {
  test("that are well known are written in one way, and others as the program wrote them", async () => {
    const headers = {
      "x-lower": "1",
      "X-My-Header": "1",
      "x-MIXED": "1",
      etag: "q",
      "www-authenticate": "Basic",
      "WWW-Authenticate-2": "Basic",
      "content-md5": "z",
      "CACHE-control": "no-store",
      "x-frame-options": "DENY",
      dnt: "1",
    };
    const expected = ["ETag", "Cache-Control", "X-Frame-Options", "DNT", "x-lower", "X-My-Header", "x-MIXED"];
    const others = ["www-authenticate", "WWW-Authenticate-2", "content-md5"];
    for (const init of [headers, Object.entries(headers)] as unknown as [string, string][][])
      expect(given(await answer(() => new Response("x", { headers: init })))).toEqual([...expected, ...others]);
    const copies = [
      () => new Response("x", { headers }).clone(),
      () => new Response("x", new Response("y", { headers })),
      () => Response.json(1, { headers }),
    ];
    for (const make of copies) expect(given(await answer(make))).toEqual([...expected, ...others]);
  });

  test("stay when one is given twice, and cookies come first", async () => {
    const headers: [string, string][] = [
      ["X-My", "1"],
      ["Set-Cookie", "a=1"],
      ["x-my", "2"],
      ["Vary", "a"],
      ["set-cookie", "b=2"],
    ];
    const response = await answer(() => new Response("x", { headers }));
    expect(given(response)).toEqual(["set-cookie", "set-cookie", "Vary", "X-My"]);
    expect([value(response, "x-my"), response.headers.get("set-cookie")]).toEqual(["1, 2", ["a=1", "b=2"]]);
  });

  test("of a route are sent in the order of their names", async () => {
    const headers = { "X-B": "1", "x-a": "1", vary: "a", "X-A": "2", etag: '"t"' };
    expect(given(await routed(new Response("x", { headers })))).toEqual(["ETag", "Vary", "X-B", "x-a"]);
  });

  // A Headers object gives names only in lower case. Bun can read its internal form.
  test.skipIf(isBun)("of a Headers are in lower case, unless they are well known", async () => {
    const headers = new Headers({ "X-My": "1", ETAG: "t" });
    expect(given(await answer(() => new Response("x", { headers })))).toEqual(["ETag", "x-my"]);
  });
});

describe("a body without a type of its own", () => {
  const none = undefined;
  const text = "text/plain;charset=utf-8";
  const bodies: [what: string, body: Bun.BodyInit | null, type: string | undefined, routed: string | undefined][] = [
    ["text", "a", text, text],
    ["an empty text", "", none, none],
    ["bytes", Buffer.from("\xff"), "application/octet-stream", none],
    ["an ArrayBuffer", new Uint8Array([1]).buffer, "application/octet-stream", none],
    ["a Blob of text", new Blob(["a"]), text, none],
    ["a Blob of bytes", new Blob([Buffer.from("\xff")]), "application/octet-stream", none],
    ["a Blob with a type", new Blob(["a"], { type: "image/png" }), "image/png", "image/png"],
    ["nothing", null, none, none],
  ];
  test.each(bodies)("of %s", async (_, body, type, inRoute) => {
    expect(value(await answer(() => new Response(body)), "content-type")).toBe(type);
    expect(value(await routed(new Response(body)), "content-type")).toBe(inRoute);
  });

  test("of Response.json() is JSON, and empty", async () => {
    const response = await answer(() => (Response as any).json());
    expect([value(response, "content-type"), response.text]).toEqual(["application/json;charset=utf-8", ""]);
  });
});

describe("a route in memory", () => {
  test("has the tag that Bun gives it", async () => {
    const hash = Bun.hash.xxHash64(Buffer.from("ab")).toString(16).padStart(16, "0");
    for (const body of ["ab", Buffer.from("ab"), new Blob(["ab"])])
      expect(value(await routed(new Response(body)), "etag")).toBe(`"${hash}"`);
    expect(value(await routed(new Response("ab", { headers: { etag: '"own"' } })), "etag")).toBe('"own"');
    expect(value(await routed(new Response("")), "etag")).toBeUndefined();
  });
});

describe("a response without a body", () => {
  test.each([204, 205, 304])("of status %d has the length that its status has", async (status) => {
    const length = status === 205 ? "0" : undefined;
    for (const body of [null, "x"]) {
      // A 205 has no body, but its length could announce one. The raw client would read it.
      const response = await answer(() => new Response(body, { status }));
      expect([response.status, value(response, "content-length"), response.text]).toEqual([status, length, ""]);
    }
    expect(value(await routed(new Response(null, { status })), "content-length")).toBe(length);
  });

  test("has the program's length in the answer to HEAD", async () => {
    for (const body of [null, ""]) {
      using server = start(() => new Response(body, { headers: { "Content-Length": "42" } }));
      expect(value(await ask(server.port, get().replace("GET", "HEAD"), "HEAD"), "content-length")).toBe("42");
      expect(value(await ask(server.port, get()), "content-length")).toBe("0");
    }
  });
});

test("the answer to HEAD has the program's codings where there is no body", async () => {
  const codings = { "Transfer-Encoding": "gzip, chunked" };
  using server = start(() => new Response(null, { status: 404, headers: codings }));
  using client = await RawClient.connect(server.port);
  for (let i = 0; i < 2; i++) {
    await client.write(get().replace("GET", "HEAD"));
    const response = await client.readResponse("HEAD");
    expect([response.status, value(response, "transfer-encoding"), value(response, "content-length")]).toEqual([
      404,
      "gzip, chunked",
      undefined,
    ]);
  }
  await client.write(get());
  const response = await client.readResponse();
  expect([value(response, "transfer-encoding"), value(response, "content-length")]).toEqual([undefined, "0"]);
});

describe("a part of a file", () => {
  const range = { "Content-Range": "bytes 2-4/10" };
  const part = (init?: ResponseInit) => () => new Response(Bun.file(digits()).slice(2, 5), init);

  test("under a name that the program gives is a 206, whatever the client asks", async () => {
    for (const make of [
      part({ headers: range }),
      part({ headers: range, status: 206 }),
      part({ headers: range, status: 201 }),
    ])
      for (const lines of [[], ["Range: bytes=1-1"]]) {
        const response = await answer(make, ...lines);
        expect([response.status, value(response, "content-range"), response.text]).toEqual([
          206,
          "bytes 2-4/10",
          "234",
        ]);
      }
  });

  test("is one without a name, too, if the program gives no fields", async () => {
    for (const make of [part(), part({ headers: {} }), part({ status: 200 }), part({ status: 206 })]) {
      const response = await answer(make);
      expect([response.status, value(response, "content-range"), response.text]).toEqual([206, "bytes 2-4/*", "234"]);
    }
    const response = await answer(part({ headers: { "X-A": "1" } }));
    expect([response.status, value(response, "content-range"), response.text]).toEqual([200, undefined, "234"]);
  });

  // In Bun, a 404 or 500 with such a body becomes a 206.
  test.skipIf(isBun).each([404, 416, 500])("of status %d stays one of that status", async (status) => {
    const response = await answer(part({ status, headers: range }));
    expect([response.status, response.text]).toEqual([status, "234"]);
  });

  // A BunFile remembers its size, and then Bun answers with 206.
  test.skipIf(isBun)("is no 206 for a file that has grown since its size was asked for", async () => {
    const response = await answer(() => {
      const path = digits();
      const file = Bun.file(path);
      expect(file.size).toBe(10);
      appendFileSync(path, "abc");
      return new Response(file);
    });
    expect([response.status, value(response, "content-range"), response.text]).toEqual([200, undefined, "0123456789"]);
  });

  test("from its first byte on is one, too", async () => {
    for (const lines of [[], ["Range: bytes=0-4"]]) {
      const response = await answer(() => new Response(Bun.file(digits()).slice(0, 5)), ...lines);
      expect([response.status, value(response, "content-range"), response.text]).toEqual([206, "bytes 0-4/*", "01234"]);
    }
  });

  test("is not taken of one that the program names itself", async () => {
    const whole = { "Content-Range": "bytes 0-9/10" };
    const response = await answer(() => new Response(Bun.file(digits()), { headers: whole }), "Range: bytes=2-4");
    expect([response.status, response.headers.get("content-range"), response.text]).toEqual([
      200,
      ["bytes 0-9/10"],
      "0123456789",
    ]);
    const inRoute = await routed(new Response(Bun.file(digits()), { headers: whole }), "Range: bytes=2-4");
    expect([inRoute.status, inRoute.headers.get("content-range")]).toEqual([200, ["bytes 0-9/10"]]);
  });

  test.each(["bytes=2-4", "Bytes=2-4", "BYTES=2-4", "bytes = 2-4", "bytes\t=\t2 - 4 ", "bytes=2- 4", "bytes=002-4"])(
    "is asked for by %p",
    async (text) => {
      for (const response of [
        await answer(() => new Response(Bun.file(digits())), `Range: ${text}`),
        await routed(Bun.file(digits()), `Range: ${text}`),
      ])
        expect([response.status, value(response, "content-range"), response.text]).toEqual([
          206,
          "bytes 2-4/10",
          "234",
        ]);
    },
  );

  test.each([
    "bytes 2-4",
    "items=2-4",
    "bytes=2-4,6-7",
    "bytes=4-2",
    "bytes=-",
    "bytes=2",
    "bytes=2-4-5",
    "bytes=+2-4",
  ])("is not asked for by %p", async (text) => {
    const response = await answer(() => new Response(Bun.file(digits())), `Range: ${text}`);
    expect([response.status, response.text]).toEqual([200, "0123456789"]);
  });
});

describe("the program's own Last-Modified", () => {
  const own = (date: number) => new Response(Bun.file(digits()), { headers: { "Last-Modified": day(date) } });

  test("of a route's file is the one that counts", async () => {
    expect((await routed(own(5), `If-Modified-Since: ${day(3)}`)).status).toBe(200);
    expect((await routed(own(5), `If-Modified-Since: ${day(5)}`)).status).toBe(304);
    const response = await routed(own(5));
    expect(response.headers.get("last-modified")).toEqual([day(5)]);
  });

  test("of a handler's file is sent, and decides about If-Range alone", async () => {
    expect((await answer(() => own(5), `If-Modified-Since: ${day(6)}`)).status).toBe(200);
    expect((await answer(() => own(5), "Range: bytes=1-2", `If-Range: ${day(5)}`)).status).toBe(206);
    expect((await answer(() => own(5), "Range: bytes=1-2", `If-Range: ${day(4)}`)).status).toBe(200);
  });
});

describe("a reason", () => {
  test.each(["a\u20acb", "a\r\nX: y", "a\0b", "\u010d\u010a"])(
    "of %p, which cannot be sent, is the status's own",
    async (statusText) => {
      const response = await answer(() => new Response("x", { statusText }));
      expect(response.head.split("\r\n")[0]).toBe("HTTP/1.1 200 OK");
      expect(response.text).toBe("x");
    },
  );
});

describe("a handler that returns an Error", () => {
  class Own extends Error {}
  // For an Error that is returned later, Bun prints it and sends a broken answer.
  const ways: [string, (error: Error) => unknown][] = [["at once", (error) => error]];
  if (!isBun) ways.push(["later", async (error) => (await Bun.sleep(1), error)]);
  test.each(ways)("%s has it given to the error handler", async (_, make) => {
    const returned = new Own("returned");
    const { promise, resolve } = Promise.withResolvers<unknown>();
    using server = serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => make(returned) as Response,
      error: (error) => (resolve(error), new Response("handled", { status: 500 })),
    });
    expect((await ask(server.port, get())).text).toBe("handled");
    expect(await promise).toBe(returned);
  });
});

describe("a request's target with bytes beyond ASCII", () => {
  const request = (target: string): string => get().replace("/", Buffer.from(target).latin1Slice());
  const routes = {
    "/p/:name": (r: Bun.BunRequest) => Response.json([r.params.name, new URL(r.url).pathname]),
  } as unknown as Bun.Serve.Routes<undefined, string>;

  test("is a URL that has them encoded", async () => {
    using server = start((r) => new Response(r.url.replace(/^http:..a/, "")), routes);
    const url = async (target: string): Promise<string> => (await ask(server.port, request(target))).text;
    expect(await url("/ü?ö=€#".slice(0, -1))).toBe("/%C3%BC?%C3%B6=%E2%82%AC");
    expect(await url("/\u{1f600}/%C3%BC")).toBe("/%F0%9F%98%80/%C3%BC");
    expect(JSON.parse(await url("/p/ü%20%C3%A4"))).toEqual(["ü ä", "/p/%C3%BC%20%C3%A4"]);
  });

  test("that are no UTF-8 becomes U+FFFD", async () => {
    using server = start((r) => new Response(r.url.replace(/^http:..a/, "")), routes);
    const url = async (target: string): Promise<string> => (await ask(server.port, get().replace("/", target))).text;
    expect(await url("/\xff\xc3")).toBe("/%EF%BF%BD%EF%BF%BD");
    expect(JSON.parse(await url("/p/\xff%20"))).toEqual(["\ufffd ", "/p/%EF%BF%BD%20"]);
  });
});

test("every method of node:http's list is served, but for CONNECT", async () => {
  using server = start((request) => new Response(request.method));
  for (const method of http.METHODS.filter((name) => name !== "CONNECT" && name !== "HEAD"))
    expect((await ask(server.port, get().replace("GET", method))).text).toBe(method);
});

describe("a head's size", () => {
  async function largest(port: number, limit: number): Promise<[within: number, beyond: number]> {
    const sized = (bytes: number): string => get(`X: ${"a".repeat(bytes - get("X: ").length)}`);
    const status = async (bytes: number): Promise<number> => {
      using client = await RawClient.connect(port);
      await client.write(sized(bytes));
      return Number(/ (\d{3}) /.exec(await client.readUntil("\r\n"))![1]);
    };
    return [await status(limit), await status(limit + 1)];
  }

  test("is limited as node:http's, which a program may raise", async () => {
    using server = start(() => new Response("served"));
    const { maxHeaderSize } = http;
    const setSize = (bytes: number): unknown => Object.assign(http, { maxHeaderSize: bytes });
    expect(await largest(server.port, maxHeaderSize)).toEqual([200, 431]);
    setSize(maxHeaderSize + 5000);
    try {
      expect(await largest(server.port, maxHeaderSize + 5000)).toEqual([200, 431]);
    } finally {
      setSize(maxHeaderSize);
    }
  });

  test.each([9000, 30000])("is limited to what Bun was started with: %d bytes", async (bytes) => {
    const preload = isBun ? [] : [`--preload=${new URL("../../src/register.ts", import.meta.url).pathname}`];
    const { stdout } = await run(
      [process.execPath, `--max-http-header-size=${bytes}`, ...preload, fixture("head-size.ts"), String(bytes)],
      "",
      { RINGLOOP_MODE: isBun ? undefined : subject, RINGLOOP: isBun ? "off" : "require" },
    );
    expect(stdout).toBe("200 431\n");
  });
});

describe("the body of another Response", () => {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-bodies-"));
  const file = join(directory, "page.html");
  writeFileSync(file, "<p>of a file</p>");
  afterAll(() => rmSync(directory, { recursive: true }));
  const bodies: Record<string, [make: () => any, text: string, type: string | null]> = {
    "a text's": [() => new Response("text"), "text", "application/octet-stream"],
    "an empty one's": [() => new Response(""), "", null],
    bytes: [() => new Response(Buffer.from("bytes")), "bytes", "application/octet-stream"],
    "a Blob's": [() => new Response(new Blob(["blob"], { type: "text/x" })), "blob", "text/x"],
    "a Blob's without a type": [() => new Response(new Blob(["blob"])), "blob", "application/octet-stream"],
    "JSON's": [() => Response.json({ a: 1 }), `{"a":1}`, "application/octet-stream"],
    "a form's": [
      () => new Response(new URLSearchParams("a=b")),
      "a=b",
      "application/x-www-form-urlencoded;charset=UTF-8",
    ],
    "a file's": [() => new Response(Bun.file(file)), "<p>of a file</p>", "text/html;charset=utf-8"],
    "a copy's": [() => new Response("copied").clone(), "copied", "application/octet-stream"],
    "a body's body": [() => new Response(new Response("twice").body), "twice", "application/octet-stream"],
    "one with fields": [
      () => new Response("x", { headers: { "Content-Type": "a/b" } }),
      "x",
      "application/octet-stream",
    ],
  };

  for (const [name, [make, text, type]] of Object.entries(bodies))
    test(`${name} has its length and type, and the fields that are given`, async () => {
      using server = serve({
        port: 0,
        fetch(request) {
          const { body } = make();
          const init = request.url.endsWith("fields") ? { status: 202, headers: { A: "b" } } : undefined;
          return new Response(body, init);
        },
      });
      for (const [path, status, field] of [
        ["", 200, null],
        ["fields", 202, "b"],
      ] as const) {
        const response = await fetch(`${server.url}${path}`);
        const { headers } = response;
        expect([response.status, headers.get("a"), headers.get("content-type")]).toEqual([status, field, type]);
        expect([headers.get("content-length"), headers.get("transfer-encoding")]).toEqual([`${text.length}`, null]);
        expect(await response.text()).toBe(text);
      }
    });

  test("with what it was given, as frameworks set it", async () => {
    using server = serve({
      port: 0,
      fetch() {
        const first = Response.json({ a: 1 }, { headers: { "X-First": "1" } });
        const second = new Response(first.body, first);
        second.headers.set("X-Second", "2");
        return second;
      },
    });
    const response = await fetch(server.url);
    const names = ["content-type", "content-length", "x-first", "x-second"];
    expect(names.map((name) => response.headers.get(name))).toEqual(["application/json;charset=utf-8", "7", "1", "2"]);
    expect(await response.json()).toEqual({ a: 1 });
  });

  test("has the type that a Response has once the program has looked at its own", async () => {
    const looked = (response: Response): Response => {
      void response.body;
      return response;
    };
    const made: [response: () => Pick<Response, "text">, type: string | undefined][] = [
      [() => looked(new Response("text")), "application/octet-stream"],
      [() => looked(new Response("text", { status: 201 })), "application/octet-stream"],
      [() => looked(new Response("text")).clone(), "application/octet-stream"],
      [() => new Response("text").clone(), "text/plain;charset=utf-8"],
      [() => looked(new Response("")), undefined],
      [() => looked(new Response("x", { headers: { "Content-Type": "a/b" } })), "a/b"],
      [() => looked(Response.json(1)), "application/json;charset=utf-8"],
      [() => looked(new Response(new Blob(["x"], { type: "text/css" }))), "text/css;charset=utf-8"],
      [() => looked(new Response(new URLSearchParams("a=b"))), "application/x-www-form-urlencoded;charset=UTF-8"],
    ];
    for (const [response, type] of made) {
      const text = await response().text();
      const sent = await answer(response);
      expect([sent.text, value(sent, "content-type")]).toEqual([text, type]);
    }
  });

  test("of a file can be asked for in part", async () => {
    using server = serve({ port: 0, fetch: () => new Response(new Response(Bun.file(file)).body) });
    const response = await fetch(server.url, { headers: { range: "bytes=3-4" } });
    expect([response.status, response.headers.get("content-range"), await response.text()]).toEqual([
      206,
      "bytes 3-4/16",
      "of",
    ]);
  });

  test("cannot be sent twice, nor when it was read", async () => {
    const first = new Response("once");
    const { body } = first;
    let calls = 0;
    using server = serve({
      port: 0,
      fetch: () => (calls++ === 0 ? new Response(body) : new Response(body)),
      error: () => new Response("failed", { status: 500 }),
    });
    const statuses = [(await fetch(server.url)).status, (await fetch(server.url)).status];
    expect(statuses).toEqual([200, 500]);
    expect(first.bodyUsed).toBe(true);
  });
});
