/** HTTP/1.1 on the wire: the bytes of requests and answers, over real connections. */
import { describe, expect, test } from "bun:test";
import { ask, md5, RawClient } from "./raw-client.ts";
import { run } from "./process.ts";
import { rejection } from "./rejection.ts";
import { isBun, serve, type ServeOptions } from "./subject.ts";

const requestOf = (method: string, target: string, ...fields: string[]): string =>
  [`${method} ${target} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");
const get = (target: string, ...fields: string[]): string => requestOf("GET", target, ...fields);
const post = (body: string): string => requestOf("POST", "/", `Content-Length: ${body.length}`) + body;

const start = (fetch: ServeOptions["fetch"], more: Partial<ServeOptions> = {}) =>
  serve({ port: 0, hostname: "127.0.0.1", fetch, ...more });

// If an HTTP/1.0 request names no host, Bun's url is only a path.
const pathOf = (request: Request): string => new URL(request.url, "http://nameless").pathname;
const echoPath = (request: Request): Response => new Response(pathOf(request));
/** Answers with the length and the digest of the body. */
const digestBody = async (request: Request): Promise<Response> => {
  const bytes = await request.bytes();
  return new Response(`${bytes.length} ${md5(bytes)}`);
};
const digestOf = (bytes: Uint8Array): string => `${bytes.length} ${md5(bytes)}`;

/** Returns bytes without a repetition at the distance of a buffer's size. */
function pattern(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let i = 0, x = 1; i < bytes; i++) buffer[i] = (x = (x * 48271) % 2147483647) & 0xff;
  return buffer;
}

const nameOf = (error: unknown): string => (error as Error).name;

function chunkedOf(body: Uint8Array, chunkBytes: number[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < body.length; i++) {
    const part = body.subarray(at, at + chunkBytes[i % chunkBytes.length]!);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), Buffer.from(part), Buffer.from("\r\n"));
    at += part.length;
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

/**
 * Resolves when the server has read all bytes that other connections sent before this call. The
 * server answers in the order in which bytes became readable, and these bytes became readable last.
 */
async function seenByServer(probe: RawClient): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await probe.write(get("/probe"));
    await probe.readResponse();
  }
}

describe("a connection that stays open", () => {
  test("serves one request after another", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    for (const path of ["/a", "/b", "/c"]) {
      await client.write(get(path));
      const { version, status, reason, text, headers } = await client.readResponse();
      expect({ version, status, reason, text }).toEqual({ version: "HTTP/1.1", status: 200, reason: "OK", text: path });
      expect(headers.has("connection")).toBe(false);
    }
  });

  test("is used again by a client that nobody here wrote", async () => {
    using server = start((request, server) => new Response(String(server.requestIP(request)?.port)));
    const url = `http://127.0.0.1:${server.port}`;
    const { stdout } = await run(["curl", "-sS", `${url}/1`, `${url}/2`, `${url}/3`, "-w", "\n"]);
    const ports = stdout.trim().split("\n");
    expect(ports).toHaveLength(3);
    expect(new Set(ports).size).toBe(1);
  });

  test("answers 100 requests that came in one write, in their order", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    await client.write(Array.from({ length: 100 }, (_, i) => get(`/${i}`)).join(""));
    for (let i = 0; i < 100; i++) expect((await client.readResponse()).text).toBe(`/${i}`);
  });

  test("answers in order when handlers take different times", async () => {
    using server = start(async (request) => {
      const i = Number(pathOf(request).slice(1));
      if (i % 4 === 1) await Bun.sleep(10);
      if (i % 4 === 2) await Bun.sleep(0);
      if (i % 4 === 3) await Promise.resolve();
      return new Response(String(i));
    });
    using client = await RawClient.connect(server.port);
    await client.write(Array.from({ length: 40 }, (_, i) => get(`/${i}`)).join(""));
    // Bun closes the connection if a request arrives before the answer to the last one is ready.
    if (isBun) return expect(await client.closed).toBe("end");
    for (let i = 0; i < 40; i++) expect((await client.readResponse()).text).toBe(String(i));
  });

  // Bun closes such a connection.
  test.skipIf(isBun)("answers requests that were sent far ahead of a slow answer", async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    using server = start(async (request) => {
      if (pathOf(request) === "/0") await released;
      return echoPath(request);
    });
    using client = await RawClient.connect(server.port);
    using probe = await RawClient.connect(server.port);
    const sent = client.write(Array.from({ length: 10_000 }, (_, i) => get(`/${i}`)).join(""));
    await seenByServer(probe);
    release();
    await sent;
    for (let i = 0; i < 10_000; i++) expect((await client.readResponse()).text).toBe(`/${i}`);
  });

  test("answers requests with bodies between requests without, all in one write", async () => {
    using server = start(async (request) => new Response(`${request.method} ${await request.text()}`));
    using client = await RawClient.connect(server.port);
    const chunked = requestOf("PUT", "/", "Transfer-Encoding: chunked") + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    await client.write(get("/") + post("one") + chunked + get("/") + post("two"));
    for (const text of ["GET ", "POST one", "PUT abcde", "GET ", "POST two"])
      expect((await client.readResponse()).text).toBe(text);
  });

  test("answers pipelined requests whose answers are large", async () => {
    const body = pattern(300_000);
    using server = start(() => new Response(body));
    using client = await RawClient.connect(server.port);
    await client.write(get("/").repeat(10));
    for (let i = 0; i < 10; i++) expect(md5((await client.readResponse()).body)).toBe(md5(body));
  });

  test("reads two requests the same wherever the network splits them", async () => {
    const first = "POST /first HTTP/1.1\r\nHost: test\r\nX-Mark: a b\r\nContent-Length: 5\r\n\r\nhello";
    const second =
      "PUT /second HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n";
    using server = start(async (request) => {
      const mark = request.headers.get("x-mark");
      return new Response(`${request.method} ${pathOf(request)} ${mark} ${await request.text()}`);
    });
    using probe = await RawClient.connect(server.port);
    let client = await RawClient.connect(server.port);
    const bytes = first + second;
    for (let at = 1; at < bytes.length; at++) {
      await client.write(bytes.slice(0, at));
      await seenByServer(probe);
      await client.write(bytes.slice(at));
      expect((await client.readResponse()).text).toBe("POST /first a b hello");
      expect((await client.readResponse()).text).toBe("PUT /second null abcde");
      // Bun closes the connection after a message with a trailer.
      if (isBun) {
        client[Symbol.dispose]();
        client = await RawClient.connect(server.port);
      }
    }
    client[Symbol.dispose]();
  });

  test("reads a request that comes byte by byte", async () => {
    using server = start(async (request) => new Response(`${request.headers.get("x-mark")} ${await request.text()}`));
    using probe = await RawClient.connect(server.port);
    using client = await RawClient.connect(server.port);
    for (const byte of requestOf("POST", "/", "X-Mark: m", "Content-Length: 3") + "abc") {
      await client.write(byte);
      await seenByServer(probe);
    }
    expect((await client.readResponse()).text).toBe("m abc");
  });

  test("goes on after an empty line before a request", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    await client.write(`${get("/a")}\r\n${get("/b")}`);
    expect((await client.readResponse()).text).toBe("/a");
    // RFC 9112 section 2.2 asks servers to ignore the empty line. Bun refuses it.
    if (isBun) expect((await client.readResponse()).status).toBe(400);
    else expect((await client.readResponse()).text).toBe("/b");
  });
});

describe("the end of a connection", () => {
  test("comes after the answer to `Connection: close`", async () => {
    using server = start(echoPath);
    for (const value of ["close", "Close", "keep-alive, close"]) {
      using client = await RawClient.connect(server.port);
      await client.write(get("/a", `Connection: ${value}`));
      const { text, headers } = await client.readResponse();
      expect(text).toBe("/a");
      // RFC 9112 section 9.6: the server announces that it closes. Bun does not announce it.
      if (!isBun) expect(headers.get("connection")).toEqual(["close"]);
      expect(await client.closed).toBe("end");
    }
  });

  test("comes after the answer when the handler asks for it", async () => {
    using server = start(() => new Response("bye", { headers: { Connection: "close" } }));
    using client = await RawClient.connect(server.port);
    await client.write(get("/"));
    const { text, headers } = await client.readResponse();
    expect({ text, connection: headers.get("connection") }).toEqual({ text: "bye", connection: ["close"] });
    expect(await client.closed).toBe("end");
  });

  test("comes after the answer in HTTP/1.0", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    await client.write("GET /old HTTP/1.0\r\n\r\n");
    expect((await client.readResponse()).text).toBe("/old");
    expect(await client.closed).toBe("end");
  });

  test("ends a streamed answer in HTTP/1.0, which knows no chunks", async () => {
    async function* parts() {
      yield "one ";
      await Bun.sleep(1);
      yield "two";
    }
    using server = start(() => new Response(parts() as unknown as Bun.BodyInit));
    using client = await RawClient.connect(server.port);
    await client.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const { headers, text } = await client.readResponse();
    expect(headers.has("transfer-encoding")).toBe(false);
    expect(headers.has("content-length")).toBe(false);
    expect(text).toBe("one two");
    expect(await client.closed).toBe("end");
  });

  // Bun closes the connection in both cases.
  test.skipIf(isBun)("does not come in HTTP/1.0 when the client asks to keep it", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    for (const path of ["/a", "/b"]) {
      await client.write(`GET ${path} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n`);
      const { text, headers } = await client.readResponse();
      expect({ text, connection: headers.get("connection") }).toEqual({ text: path, connection: ["keep-alive"] });
    }
  });

  test("by the client's half does not lose it the answer", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    await client.write(get("/half"));
    client.end();
    expect((await client.readResponse()).text).toBe("/half");
    expect(await client.closed).toBe("end");
  });

  // Bun answers no client that has sent a second request while its first answer takes time.
  test.skipIf(isBun)("by the server comes behind answers that take time", async () => {
    using server = start(async (request) => {
      await Bun.sleep(20);
      return new Response(pathOf(request));
    });
    const { stdout } = await run(
      ["ncat", "--no-shutdown", "127.0.0.1", String(server.port)],
      get("/a") + get("/b", "Connection: close"),
    );
    expect(stdout).toContain("\r\n\r\n/aHTTP/1.1 200 OK\r\n");
    expect(stdout).toEndWith("\r\n\r\n/b");
  });

  test("by a reset aborts the request's signal and a read of its body", async () => {
    const { promise: asked, resolve: tellAsked } = Promise.withResolvers<Request>();
    const { promise: read, resolve: finishRead } = Promise.withResolvers<unknown>();
    using server = start(async (request) => {
      if (pathOf(request) === "/probe") return new Response();
      tellAsked(request);
      const outcome = await request.text().catch((error: unknown) => error);
      finishRead(outcome);
      return new Response();
    });
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("POST", "/", "Content-Length: 100") + "only some");
    const request = await asked;
    const aborted = new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
    expect(request.signal.aborted).toBe(false);
    client.reset();
    await aborted;
    expect(request.signal.aborted).toBe(true);
    expect(await read).toBeInstanceOf(Error);
    // The server still works.
    expect((await ask(server.port, get("/probe"))).status).toBe(200);
  });

  test("by a FIN within a body aborts likewise", async () => {
    const { promise: read, resolve: finishRead } = Promise.withResolvers<unknown>();
    using server = start(async (request) => {
      finishRead(await request.text().catch((error: unknown) => error));
      return new Response();
    });
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("POST", "/", "Content-Length: 100") + "only some");
    client.end();
    expect(await read).toBeInstanceOf(Error);
    await client.closed;
  });

  test("by a reset aborts the signal of a request whose handler is under way", async () => {
    const { promise: asked, resolve: tellAsked } = Promise.withResolvers<Request>();
    using server = start(async (request) => {
      tellAsked(request);
      await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
      return new Response();
    });
    using client = await RawClient.connect(server.port);
    await client.write(get("/"));
    const { signal } = await asked;
    client.reset();
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toMatchObject({ name: "AbortError" });
  });
});

describe("an answer", () => {
  test("to HEAD has the length of the answer to GET, and no body", async () => {
    using server = start(() => new Response("twelve bytes"));
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("HEAD", "/") + get("/"));
    const head = await client.readResponse("HEAD");
    expect(head.headers.get("content-length")).toEqual(["12"]);
    // The client would read a body as the status line of the next answer.
    expect((await client.readResponse()).text).toBe("twelve bytes");
  });

  test("to HEAD has no body for any kind of response", async () => {
    const kinds: Record<string, () => Response> = {
      "/string": () => new Response("text"),
      "/bytes": () => new Response(new Uint8Array(100)),
      "/stream": () => new Response(new Blob(["streamed"]).stream()),
      "/file": () => new Response(Bun.file(import.meta.path)),
      "/null": () => new Response(null),
      "/json": () => Response.json({ a: 1 }),
    };
    using server = start((request) => kinds[pathOf(request)]!());
    for (const path of Object.keys(kinds)) {
      using client = await RawClient.connect(server.port);
      await client.write(requestOf("HEAD", path, "Connection: close"));
      expect((await client.readToEnd()).toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n([^\r\n]+\r\n)+\r\n$/);
    }
  });

  test("has a Date, of now, in the one form that RFC 9110 allows to send", async () => {
    using server = start(() => new Response());
    const before = Math.floor(Date.now() / 1000) * 1000;
    const { headers } = await ask(server.port, get("/"));
    const [date = "", ...others] = headers.get("date") ?? [];
    expect(others).toEqual([]);
    expect(date).toMatch(/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/);
    // The server makes the date once a second.
    expect(Date.parse(date)).toBeGreaterThanOrEqual(before - 1000);
    expect(Date.parse(date)).toBeLessThanOrEqual(Date.now());
  });
});

describe("a request's body", () => {
  const sizes = [1, 1024, 300_000, 5_000_000];

  for (const bytes of sizes) {
    const body = pattern(bytes);

    test(`of ${bytes} bytes arrives by Content-Length`, async () => {
      using server = start(digestBody);
      using client = await RawClient.connect(server.port);
      await client.write(requestOf("POST", "/", `Content-Length: ${bytes}`));
      await client.write(body);
      expect((await client.readResponse()).text).toBe(digestOf(body));
      await client.write(get("/after"));
      expect((await client.readResponse()).text).toBe(digestOf(Buffer.alloc(0)));
    });

    test(`of ${bytes} bytes arrives in chunks`, async () => {
      using server = start(digestBody);
      using client = await RawClient.connect(server.port);
      await client.write(requestOf("POST", "/", "Transfer-Encoding: chunked"));
      await client.write(chunkedOf(body, bytes > 1_000_000 ? [65536, 1, 16384, 9999] : [1, 7, 1000, 4096]));
      expect((await client.readResponse()).text).toBe(digestOf(body));
      await client.write(get("/after"));
      expect((await client.readResponse()).text).toBe(digestOf(Buffer.alloc(0)));
    });
  }

  test("of 0 bytes is complete at once", async () => {
    using server = start(digestBody);
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("POST", "/", "Content-Length: 0"));
    await client.write(requestOf("POST", "/", "Transfer-Encoding: chunked") + "0\r\n\r\n");
    for (let i = 0; i < 2; i++) expect((await client.readResponse()).text).toBe(digestOf(Buffer.alloc(0)));
  });

  test("arrives whole from many small writes", async () => {
    const body = pattern(2000);
    using server = start(digestBody);
    using client = await RawClient.connect(server.port);
    using probe = await RawClient.connect(server.port);
    for (const framed of [body, chunkedOf(body, [13, 5, 64])]) {
      const framing = framed === body ? `Content-Length: ${body.length}` : "Transfer-Encoding: chunked";
      await client.write(requestOf("POST", "/", framing));
      for (let at = 0, i = 0; at < framed.length; i++) {
        const part = framed.subarray(at, at + 1 + ((i * 7) % 23));
        await client.write(part);
        if (i % 3 === 0) await seenByServer(probe);
        at += part.length;
      }
      expect((await client.readResponse()).text).toBe(digestOf(body));
    }
  });

  test("arrives from curl, by Content-Length and in chunks", async () => {
    const body = pattern(300_000);
    using server = start(digestBody);
    const url = `http://127.0.0.1:${server.port}/`;
    const upload = ["curl", "-sS", "--data-binary", "@-", url];
    expect((await run(upload, body)).stdout).toBe(digestOf(body));
    expect((await run([...upload, "-H", "Transfer-Encoding: chunked"], body)).stdout).toBe(digestOf(body));
  });

  test("arrives from Python's http.client, by Content-Length and in chunks", async () => {
    using server = start(digestBody);
    const program = `
import http.client
connection = http.client.HTTPConnection("127.0.0.1", ${server.port})
def answer():
    response = connection.getresponse()
    return f"{response.status} {response.read().decode()}"
connection.request("POST", "/", body=b"a" * 100000)
print(answer())
connection.request("POST", "/", body=(b"b" * size for size in (1, 1000, 70000)), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
print(answer())
connection.request("GET", "/")
print(answer())
`;
    const { stdout } = await run(["python3", "-c", program]);
    const expected = [Buffer.alloc(100000, "a"), Buffer.alloc(71001, "b"), Buffer.alloc(0)].map(
      (body) => `200 ${digestOf(body)}\n`,
    );
    expect(stdout).toBe(expected.join(""));
  });

  test("arrives from Node's http client, streamed", async () => {
    using server = start(digestBody);
    const program = `
const http = require("node:http");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const send = (fields, parts) => new Promise((resolve, reject) => {
  const request = http.request({ port: ${server.port}, host: "127.0.0.1", method: "POST", agent, headers: fields }, (response) => {
    let text = "";
    response.on("data", (part) => (text += part)).on("end", () => resolve(text));
  });
  request.on("error", reject);
  for (const part of parts) request.write(part);
  request.end();
});
(async () => {
  console.log(await send({}, ["a".repeat(10), "b".repeat(100000)]));
  console.log(await send({ "Content-Length": 4 }, ["ab", "cd"]));
  agent.destroy();
})();
`;
    const { stdout } = await run(["node", "-e", program]);
    const bodies = [Buffer.from("a".repeat(10) + "b".repeat(100000)), Buffer.from("abcd")];
    expect(stdout).toBe(bodies.map((body) => `${digestOf(body)}\n`).join(""));
  });

  test("that nobody reads is skipped, and the connection goes on", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    const body = pattern(200_000);
    for (const path of ["/a", "/b"]) {
      await client.write(requestOf("POST", path, `Content-Length: ${body.length}`));
      await client.write(body);
      expect((await client.readResponse()).text).toBe(path);
    }
  });

  test("can still be on its way when the answer is read", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("POST", "/early", "Content-Length: 100000") + "a".repeat(1000));
    expect((await client.readResponse()).text).toBe("/early");
    // The server drops the rest. The rest does not become the next request.
    await client.write(Buffer.alloc(99000, get("/smuggled")));
    await client.write(get("/next"));
    expect((await client.readResponse()).text).toBe("/next");
  });

  test.each<[how: string, read: (request: Request) => Promise<unknown>]>([
    ["text()", (request) => request.text()],
    ["a reader", (request) => request.body!.getReader().read()],
    ["iteration", async (request) => await Array.fromAsync(request.body!)],
    ["a copy", (request) => request.clone().text()],
  ])("that is answered before it has come fails for who reads it still: %s", async (_, read) => {
    const outcomes: Promise<string>[] = [];
    using server = start((request) => {
      if (pathOf(request) === "/early") outcomes.push(rejection(read(request)).then(nameOf));
      return echoPath(request);
    });
    for (const begun of ["", "a".repeat(1000)])
      for (const connection of ["keep-alive", "close"]) {
        using client = await RawClient.connect(server.port);
        await client.write(requestOf("POST", "/early", "Content-Length: 2000", `Connection: ${connection}`) + begun);
        expect((await client.readResponse()).text).toBe("/early");
        // The rest has not arrived yet. A part must not count as the whole body.
        expect(await outcomes.pop()).toBe("AbortError");
        if (connection === "close") continue;
        await client.write("a".repeat(2000 - begun.length) + get("/next"));
        expect((await client.readResponse()).text).toBe("/next");
      }
  });

  test("is not followed by a request that is a trailer's value", async () => {
    const paths: string[] = [];
    using server = start((request) => {
      paths.push(pathOf(request));
      return echoPath(request);
    });
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("POST", "/first", "Transfer-Encoding: chunked") + "0\r\nX:" + get("/smuggled"));
    expect((await client.readResponse()).text).toBe("/first");
    // Bun refuses all trailers.
    if (isBun) expect((await client.readResponse()).status).toBe(400);
    else {
      await client.write(get("/next"));
      expect((await client.readResponse()).text).toBe("/next");
    }
    expect(paths).toEqual(isBun ? ["/first"] : ["/first", "/next"]);
  });

  test("that is answered before it has come cannot be read later", async () => {
    let early: Request | undefined;
    using server = start((request) => {
      early = request;
      return new Response();
    });
    using client = await RawClient.connect(server.port);
    await client.write(requestOf("POST", "/", "Transfer-Encoding: chunked") + "2\r\nab\r\n");
    await client.readResponse();
    expect(nameOf(await rejection(early!.text()))).toBe("AbortError");
  });

  test("that is longer than anybody wants does not keep the client from its answer", async () => {
    using server = start(() => new Response("no", { status: 403 }));
    using client = await RawClient.connect(server.port);
    const body = Buffer.alloc(5_000_000, "a");
    void client.write(requestOf("POST", "/", `Content-Length: ${body.length}`));
    void client.write(body.subarray(0, 100_000));
    const { status, text } = await client.readResponse();
    expect({ status, text }).toEqual({ status: 403, text: "no" });
    void client.write(Buffer.concat([body.subarray(100_000), Buffer.from(get("/"))]));
    // The server reads the whole body, and the connection goes on.
    expect((await client.readResponse()).status).toBe(403);
  });

  test("that nobody reads costs no client of another maker its answer", async () => {
    using server = start(() => new Response("early"));
    // The client is another process, which can send while this process is busy.
    const script = `for (const bytes of [1 << 20, 2 << 20, 8 << 20]) for (let i = 0; i < 10; i++) {
      const response = await fetch("${server.url}", { method: "POST", body: new Uint8Array(bytes) });
      if ((await response.text()) !== "early") throw new Error("another answer");
    }`;
    await run([process.execPath, "-e", script], "", { RINGLOOP: "off", BUN_OPTIONS: undefined });
  });

  test("that is longer than anybody wants does not take the answer from a client that reads late", async () => {
    using server = start((request) => new Response("no", { status: pathOf(request) === "/probe" ? 200 : 403 }));
    using probe = await RawClient.connect(server.port);
    using client = await RawClient.connect(server.port);
    client.socket.pause();
    await client.write(requestOf("POST", "/", "Content-Length: 5000000") + "a".repeat(100_000));
    await seenByServer(probe);
    // The client has not read the answer yet. A reset because of the following bytes would discard
    // the answer (RFC 9112 section 9.6).
    await client.write("a".repeat(100_000));
    await seenByServer(probe);
    client.socket.resume();
    expect((await client.readResponse()).status).toBe(403);
  });

  test("that is longer than anybody wants exhausts nothing, from many clients at once", async () => {
    using server = start((request) => new Response("no", { status: pathOf(request) === "/fine" ? 200 : 403 }));
    const body = Buffer.alloc(5_000_000, "a");
    const head = requestOf("POST", "/", `Content-Length: ${body.length}`);
    const clients = await Promise.all(Array.from({ length: 16 }, () => RawClient.connect(server.port)));
    // Every client sends far more bytes than fit all receive buffers.
    const answers = clients.map(async (client) => {
      void client.write(Buffer.concat([Buffer.from(head), body]));
      const { status } = await client.readResponse();
      await client.write(get("/fine"));
      return [status, (await client.readResponse()).status];
    });
    expect(await Promise.all(answers)).toEqual(clients.map(() => [403, 200]));
    expect((await ask(server.port, get("/fine"))).status).toBe(200);
    for (const client of clients) client[Symbol.dispose]();
  });
});

describe("Expect", () => {
  const withExpect = (value: string): string => requestOf("POST", "/", "Content-Length: 4", `Expect: ${value}`);

  // Bun compares the value case-sensitively (oven-sh/bun 30248).
  for (const value of isBun ? ["100-continue"] : ["100-continue", "100-Continue", "100-CONTINUE"]) {
    test(`${value} is answered before the body is sent`, async () => {
      using server = start(async (request) => new Response(await request.text()));
      using client = await RawClient.connect(server.port);
      for (let i = 0; i < 2; i++) {
        await client.write(withExpect(value));
        expect(await client.readUntil("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
        await client.write("body");
        const { status, text } = await client.readResponse();
        expect({ status, text }).toEqual({ status: 200, text: "body" });
      }
    });
  }

  test("100-continue lets curl send a large body", async () => {
    const body = pattern(2_000_000);
    using server = start(digestBody);
    const command = [
      "curl",
      "-sS",
      "-v",
      "--expect100-timeout",
      "60",
      "-H",
      "Expect: 100-continue",
      "--data-binary",
      "@-",
    ];
    const { stdout, stderr } = await run([...command, `http://127.0.0.1:${server.port}/`], body);
    expect(stdout).toBe(digestOf(body));
    expect(stderr).toContain("HTTP/1.1 100 Continue");
  });

  // RFC 9110 section 10.1.1: a server may ignore the expectation if the body has arrived. Bun sends
  // a 100 in any case.
  test.skipIf(isBun)("100-continue is not answered when the body is there already", async () => {
    using server = start(async (request) => new Response(await request.text()));
    const { status, text } = await ask(server.port, `${withExpect("100-continue")}body`);
    expect({ status, text }).toEqual({ status: 200, text: "body" });
  });

  // Bun ignores other expectations.
  test.skipIf(isBun)("of anything else is refused with 417", async () => {
    using server = start(() => new Response("unreachable"));
    using client = await RawClient.connect(server.port);
    await client.write(withExpect("tea"));
    expect((await client.readResponse()).status).toBe(417);
    expect(await client.closed).toBe("end");
  });
});

describe("a request's target", () => {
  // RFC 9112 section 3.2.2: the host in the target counts. In Bun the Host field counts. In both, a
  // program must see only one host.
  for (const [target, host, url, seen] of [
    ["http://example.test/p?q=1", "other.test", "http://example.test/p?q=1", "example.test"],
    ["http://example.test", "other.test", "http://example.test/", "example.test"],
    ["http://example.test?q", "other.test", "http://example.test/?q", "example.test"],
    ["http://example.test:8080/a/../b", "other.test", "http://example.test:8080/b", "example.test:8080"],
    ["http://[::1]:81/", "other.test", "http://[::1]:81/", "[::1]:81"],
    // The scheme tells how the request came. The client cannot choose it.
    ["https://example.test/p", "example.test", "http://example.test/p", "example.test"],
    ["HTTPS://EXAMPLE.test:443/", "other.test", "http://example.test:443/", "example.test:443"],
  ] as const) {
    test(`${target} is for the host in it, with Host: ${host}`, async () => {
      const look = (request: Request): Response => new Response(`${request.url} ${request.headers.get("host")}`);
      using server = start(look, {
        routes: { "/p": look, "/b": (request: Request) => look(new Request(request)) } as never,
        websocket: { open: (socket: any) => void socket.send(socket.data), message() {} },
      } as never);
      const { text } = await ask(server.port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      if (!isBun) expect(text).toBe(`${url} ${seen}`);
      const [seenUrl, seenHost] = text.split(" ") as [string, string];
      expect(new URL(seenUrl).host).toBe(new URL(`http://${seenHost}`).host);
      expect(seenUrl).toStartWith("http:");
    });
  }

  test.skipIf(isBun)("in absolute form has one spelling of the host, or is none: 400", async () => {
    using server = start((request) => new Response(`${new URL(request.url).host} ${request.headers.get("host")}`));
    for (const [authority, host] of Object.entries({ "%61.com": "a.com", "a.com:": "a.com", "A.com:80": "a.com" }))
      expect((await ask(server.port, requestOf("GET", `http://${authority}/`))).text).toBe(`${host} ${host}`);
    for (const authority of ["a.com:99999", "256.1.1.1"])
      expect((await ask(server.port, requestOf("GET", `http://${authority}/`))).status).toBe(400);
  });

  test("has the Host's words where no URL can: a program's copies of it are made all the same", async () => {
    using server = start(async (request) => {
      const copy = new Request(request);
      const text = await request.clone().text();
      return new Response([request.url, copy.url.endsWith("/p"), copy.headers.get("host"), text].join(" "));
    });
    for (const host of ["256.256.256.256", "x:99999", "1.2.3.4.5", "[::g]", "0x100000000", "xn--"]) {
      const { text } = await ask(server.port, `POST /p HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 2\r\n\r\nhi`);
      expect(text).toBe(`http://${host}/p true ${host} hi`);
    }
  });

  test("in absolute form gives a request without Host its host", async () => {
    using server = start((request) => new Response(`${request.url} ${request.headers.get("host")}`));
    for (const head of ["GET http://a.test/p HTTP/1.0\r\n\r\n", "GET http://a.test/p HTTP/1.1\r\nHost:\r\n\r\n"]) {
      const { text } = await ask(server.port, head);
      // Bun's url is then only a path, which `new URL` does not take.
      if (isBun) expect(text).toStartWith("/p ");
      else expect(text).toBe("http://a.test/p a.test");
    }
  });

  test("in asterisk form is OPTIONS for the server itself", async () => {
    using server = start((request) => new Response(`${request.method} ${pathOf(request)}`));
    const { status, text } = await ask(server.port, requestOf("OPTIONS", "*"));
    // Bun refuses `OPTIONS *`.
    expect({ status, text }).toEqual(isBun ? { status: 400, text: "" } : { status: 200, text: "OPTIONS /" });
    expect((await ask(server.port, get("*"))).status).toBe(400);
  });

  test("without Host in HTTP/1.0 gets the server's own name", async () => {
    using server = start((request) => new Response(request.url));
    const { text } = await ask(server.port, "GET /a?b HTTP/1.0\r\n\r\n");
    // Bun's url is then only a path, which `new URL` does not take.
    expect(text).toBe(isBun ? "/a?b" : `http://127.0.0.1:${server.port}/a?b`);
  });
});

describe("a request that is refused", () => {
  /** Returns the status of the answer. After it, the connection must end without a reset. */
  async function statusOf(port: number, request: string): Promise<number> {
    using client = await RawClient.connect(port);
    void client.write(request);
    const { status, headers } = await client.readResponse();
    expect(headers.get("connection")).toEqual(["close"]);
    expect(await client.closed).toBe("end");
    return status;
  }

  test("431: more header bytes than the limit of 16 KiB", async () => {
    using server = start(() => new Response("unreachable"));
    expect(await statusOf(server.port, get("/", `X: ${"a".repeat(16384)}`))).toBe(431);
    expect(await statusOf(server.port, get("/", ...Array<string>(2000).fill("X-Many: abc")))).toBe(431);
  });

  test("431: more than 198 fields", async () => {
    using server = start((request) => new Response(`${[...request.headers].length}`));
    const fields = (count: number): string[] => Array.from({ length: count }, (_, i) => `X-${i}: ${i}`);
    expect((await ask(server.port, get("/", ...fields(197)))).text).toBe("198");
    expect(await statusOf(server.port, get("/", ...fields(198)))).toBe(431);
    // The server answers at once, before the head ends.
    expect(await statusOf(server.port, get("/", ...fields(198)).slice(0, -2))).toBe(431);
  });

  // Bun reads any number of trailers.
  test.skipIf(isBun)("431: more than 198 trailers", async () => {
    using server = start(async (request) => new Response(await request.text().catch(() => "")));
    const body = (count: number): string => `1\r\nx\r\n0\r\n${"X: y\r\n".repeat(count)}\r\n`;
    const head = requestOf("POST", "/", "Transfer-Encoding: chunked");
    expect((await ask(server.port, head + body(198))).text).toBe("x");
    expect(await statusOf(server.port, head + body(199))).toBe(431);
  });

  test("not: a head just below the limit", async () => {
    using server = start((request) => new Response(String(request.headers.get("x")?.length)));
    expect((await ask(server.port, get("/", `X: ${"a".repeat(16000)}`))).text).toBe("16000");
  });

  // Only ringloop has this option.
  test.skipIf(isBun)("431: more header bytes than headerBytesMax, counted exactly", async () => {
    using server = start(() => new Response("fits"), { headerBytesMax: 300 });
    const fitting = get("/", `X: ${"a".repeat(300 - get("/", "X: ").length)}`);
    expect(fitting).toHaveLength(300);
    expect((await ask(server.port, fitting)).text).toBe("fits");
    expect(await statusOf(server.port, fitting.replace("X: ", "X: a"))).toBe(431);
  });

  test("414: a target longer than the limit", async () => {
    using server = start(() => new Response("unreachable"));
    // Bun answers with 431.
    expect(await statusOf(server.port, get(`/${"a".repeat(20000)}`))).toBe(isBun ? 431 : 414);
  });

  test("413: a body longer than maxRequestBodySize, by Content-Length before it is sent", async () => {
    using server = start(async (request) => new Response(await request.text()), { maxRequestBodySize: 1000 });
    expect(await statusOf(server.port, requestOf("POST", "/", "Content-Length: 1001"))).toBe(413);
    expect((await ask(server.port, post("a".repeat(1000)))).text).toHaveLength(1000);
  });

  test("413: a body longer than maxRequestBodySize, in chunks, which the handler's read hears of", async () => {
    const { promise: called, resolve: tellCalled } = Promise.withResolvers<void>();
    const { promise: read, resolve: finishRead } = Promise.withResolvers<unknown>();
    using server = start(
      async (request) => {
        tellCalled();
        const body = await request.text().catch((error: unknown) => error);
        finishRead(body);
        return new Response(`${body}`);
      },
      { maxRequestBodySize: 1000 },
    );
    const head = requestOf("POST", "/", "Transfer-Encoding: chunked");
    const chunks = (bytes: number): string => chunkedOf(Buffer.alloc(bytes, "a"), [100]).toString();
    using client = await RawClient.connect(server.port);
    await client.write(head);
    await called;
    await client.write(chunks(1001));
    expect((await client.readResponse()).status).toBe(413);
    expect(await client.closed).toBe("end");
    expect(await read).toBeInstanceOf(Error);
    expect(await statusOf(server.port, head + chunks(1001))).toBe(413);
    expect((await ask(server.port, head + chunks(1000))).text).toHaveLength(1000);
  });

  /** Requests that get a 400. `bun` is the status in Bun, if it differs. */
  const bad: { name: string; request: string; bun?: number }[] = [
    { name: "no Host", request: "GET / HTTP/1.1\r\n\r\n" },
    { name: "two Hosts", request: get("/", "Host: other"), bun: 200 },
    { name: "a space in Host", request: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", bun: 200 },
    { name: "a space before the colon", request: get("/", "X : a") },
    { name: "a folded line", request: get("/", "X: a", " b") },
    { name: "LF instead of CRLF", request: "GET / HTTP/1.1\nHost: test\n\n", bun: 505 },
    { name: "NUL in a value", request: get("/", "X: a\0b") },
    { name: "CR in a value", request: get("/", "X: a\rb") },
    { name: "an empty field name", request: get("/", ": a") },
    { name: "a line without a colon", request: get("/", "nonsense") },
    { name: "a field name that is no token", request: get("/", "X(y): a") },
    {
      name: "Content-Length and Transfer-Encoding",
      request: requestOf("POST", "/", "Content-Length: 3", "Transfer-Encoding: chunked"),
    },
    { name: "a negative Content-Length", request: requestOf("POST", "/", "Content-Length: -1") },
    { name: "a signed Content-Length", request: requestOf("POST", "/", "Content-Length: +1") },
    { name: "a Content-Length that is no number", request: requestOf("POST", "/", "Content-Length: 3x") },
    { name: "an empty Content-Length", request: requestOf("POST", "/", "Content-Length:") },
    {
      name: "two different Content-Lengths",
      request: requestOf("POST", "/", "Content-Length: 1", "Content-Length: 2"),
    },
    {
      name: "two equal Content-Lengths",
      request: `${requestOf("POST", "/", "Content-Length: 1", "Content-Length: 1")}a`,
      bun: 200,
    },
    { name: "a list in Content-Length", request: requestOf("POST", "/", "Content-Length: 3, 3") },
    { name: "chunked, but not last", request: requestOf("POST", "/", "Transfer-Encoding: chunked, gzip") },
    { name: "an unknown transfer coding", request: requestOf("POST", "/", "Transfer-Encoding: identity") },
    { name: "chunks in HTTP/1.0", request: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    {
      name: "a chunk size that is no number",
      request: `${requestOf("POST", "/", "Transfer-Encoding: chunked")}zz\r\n`,
    },
    {
      name: "a chunk longer than its size",
      request: `${requestOf("POST", "/", "Transfer-Encoding: chunked")}2\r\nabc\r\n0\r\n\r\n`,
    },
    { name: "two spaces in the request line", request: "GET  / HTTP/1.1\r\nHost: test\r\n\r\n" },
    { name: "a target without a slash", request: get("a") },
    { name: "a fragment", request: get("/a#b"), bun: 200 },
    { name: "a tab in the target", request: get("/a\tb"), bun: 505 },
    { name: "HTTP/1.x", request: "GET / HTTP/1.x\r\nHost: test\r\n\r\n", bun: 505 },
    { name: "http in lower case", request: "GET / http/1.1\r\nHost: test\r\n\r\n", bun: 505 },
    { name: "HTTP/0.9", request: "GET /\r\n\r\n", bun: 505 },
    { name: "a TLS handshake", request: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaa\r\n\r\n" },
  ];
  for (const { name, request, bun = 400 } of bad) {
    test(`400: ${name}`, async () => {
      using server = start(async (request) => new Response(await request.text()));
      if (isBun && bun === 200) expect((await ask(server.port, request)).status).toBe(200);
      else expect(await statusOf(server.port, request)).toBe(isBun ? bun : 400);
    });
  }

  test("501: a method or a coding that is not implemented", async () => {
    using server = start(() => new Response("unreachable"));
    const coded = requestOf("POST", "/", "Transfer-Encoding: gzip, chunked");
    if (isBun) {
      // Bun closes the connection without an answer. For the coding it answers 400.
      using client = await RawClient.connect(server.port);
      await client.write(requestOf("BREW", "/"));
      expect((await client.readToEnd()).length).toBe(0);
      expect(await statusOf(server.port, coded)).toBe(400);
      return;
    }
    expect(await statusOf(server.port, requestOf("BREW", "/"))).toBe(501);
    expect(await statusOf(server.port, requestOf("get", "/"))).toBe(501);
    expect(await statusOf(server.port, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")).toBe(501);
    expect(await statusOf(server.port, coded)).toBe(501);
  });

  test("505: another major version", async () => {
    using server = start(() => new Response("unreachable"));
    expect(await statusOf(server.port, "GET / HTTP/2.0\r\nHost: test\r\n\r\n")).toBe(505);
    expect(await statusOf(server.port, "GET / HTTP/0.9\r\nHost: test\r\n\r\n")).toBe(505);
  });

  test("does not take the answers of those before it", async () => {
    using server = start(echoPath);
    using client = await RawClient.connect(server.port);
    await client.write(get("/a") + get("/b") + get("/c", "X : bad") + get("/d"));
    expect((await client.readResponse()).text).toBe("/a");
    expect((await client.readResponse()).text).toBe("/b");
    expect((await client.readResponse()).status).toBe(400);
    expect(await client.readToEnd()).toHaveLength(0);
  });

  test("does not disturb others", async () => {
    using server = start(echoPath);
    using other = await RawClient.connect(server.port);
    expect(await statusOf(server.port, get("/", "X : bad"))).toBe(400);
    await other.write(get("/fine"));
    expect((await other.readResponse()).text).toBe("/fine");
  });
});
