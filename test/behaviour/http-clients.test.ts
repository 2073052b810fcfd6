/**
 * The server with third-party clients: command line tools, load generators, libraries and a
 * browser.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { Program, run } from "./process.ts";
import { md5 } from "./raw-client.ts";
import { isBun, serve, type ServeOptions, type Server } from "./subject.ts";

const start = (more: Partial<ServeOptions>): Server =>
  serve({ port: 0, hostname: "127.0.0.1", development: false, ...more });

let directory: string;
const file = (name: string): string => join(directory, name);
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ringloop-clients-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Answers with the length and the digest of the body. Does not keep the whole body. */
async function digestOf(request: Request): Promise<Response> {
  const hash = new Bun.CryptoHasher("md5");
  let bytes = 0;
  for await (const part of request.body ?? []) {
    hash.update(part);
    bytes += part.length;
  }
  return new Response(`${bytes} ${hash.digest("hex")}`);
}

describe("curl", () => {
  const HUNDRED_MB = 100_000_000;
  let digest: string;
  beforeAll(() => {
    const content = Buffer.alloc(HUNDRED_MB, "a hundred megabytes of this, ");
    writeFileSync(file("100MB"), content);
    digest = `${HUNDRED_MB} ${md5(content)}`;
  });

  for (const [name, options] of [
    ["by Content-Length", []],
    ["in chunks", ["-H", "Transfer-Encoding: chunked"]],
    ["with Expect", ["-H", "Expect: 100-Continue"]],
    ["without Expect", ["-H", "Expect:"]],
    // Bun answers with HTTP/1.1, which curl refuses after it has sent HTTP/1.0.
    ["in HTTP/1.0", ["-0"]],
  ] as const) {
    test(`uploads 100 MB ${name}`, async () => {
      using server = start({ fetch: digestOf });
      const url = `http://127.0.0.1:${server.port}/`;
      const { stdout } = await run(["curl", "-sS", ...options, "--data-binary", `@${file("100MB")}`, url]);
      expect(stdout).toBe(digest);
    });
  }

  test("uploads 100 MB to a handler that wants it as one piece", async () => {
    using server = start({
      fetch: async (request) => {
        const bytes = await request.bytes();
        return new Response(`${bytes.length} ${md5(bytes)}`);
      },
    });
    const url = `http://127.0.0.1:${server.port}/`;
    expect((await run(["curl", "-sS", "--data-binary", `@${file("100MB")}`, url])).stdout).toBe(digest);
  });

  test("downloads 100 MB of a file, resumes, and asks for the head", async () => {
    using server = start({ routes: { "/file": new Response(Bun.file(file("100MB"))) } });
    const url = `http://127.0.0.1:${server.port}/file`;
    await run(["curl", "-sS", "-o", file("whole"), url]);
    expect(md5(await Bun.file(file("whole")).bytes())).toBe(digest.split(" ")[1]!);
    await run(["truncate", "-s", "60000000", file("whole")]);
    await run(["curl", "-sS", "-C", "-", "-o", file("whole"), url]);
    expect(md5(await Bun.file(file("whole")).bytes())).toBe(digest.split(" ")[1]!);
    expect((await run(["curl", "-sS", "-I", url])).stdout).toMatch(/^Content-Length: 100000000\r$/im);
  });

  test("speaks HTTP/1.0 and 1.1, with and without keep-alive", async () => {
    using server = start({ fetch: (request) => new Response(`${new URL(request.url).pathname} `) });
    const url = (path: string): string => `http://127.0.0.1:${server.port}/${path}`;
    for (const options of [
      ["-0"],
      ["-0", "-H", "Connection: keep-alive"],
      ["--http1.1"],
      ["-H", "Connection: close"],
    ]) {
      const { stdout } = await run(["curl", "-sS", ...options, url("a"), url("b"), url("c")]);
      expect([options, stdout]).toEqual([options, "/a /b /c "]);
    }
  });

  test("gets its upgrade to HTTP/2 answered in HTTP/1.1", async () => {
    using server = start({ fetch: (request) => new Response(request.headers.get("upgrade")) });
    const { stdout } = await run(["curl", "-sS", "--http2", `http://127.0.0.1:${server.port}/`]);
    expect(stdout).toBe("h2c");
  });

  test("fetches many at once", async () => {
    using server = start({ routes: { "/:n": ({ params }: any) => new Response(`${params.n}\n`) } });
    const urls = `http://127.0.0.1:${server.port}/[1-200]`;
    const { stdout } = await run(["curl", "-sS", "--parallel", "--parallel-max", "50", urls]);
    const sorted = stdout
      .trim()
      .split("\n")
      .map(Number)
      .toSorted((a, b) => a - b);
    expect(sorted).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  });
});

describe("load generators find no error", () => {
  const startHello = (): Server =>
    start({
      routes: { "/static": new Response("static"), "/json/:id": ({ params }: any) => Response.json(params) },
      fetch: async (request) => new Response(request.method === "POST" ? await request.text() : "hello"),
    });

  test("wrk", async () => {
    using server = startHello();
    for (const path of ["", "static", "json/7"]) {
      const url = `http://127.0.0.1:${server.port}/${path}`;
      const { stdout } = await run(["wrk", "-t1", "-c50", "-d1s", url]);
      expect(stdout).not.toMatch(/Socket errors|Non-2xx/);
      expect(Number(/(\d+) requests in/.exec(stdout)?.[1])).toBeGreaterThan(50);
    }
  });

  test("h2load in HTTP/1.1", async () => {
    using server = startHello();
    const url = `http://127.0.0.1:${server.port}/`;
    const { stdout } = await run(["h2load", "--h1", "-n", "20000", "-c", "50", "-m", isBun ? "1" : "16", url]);
    expect(stdout).toContain("20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout");
  });

  test("ab, with and without keep-alive, and with bodies", async () => {
    using server = startHello();
    writeFileSync(file("post"), "posted ".repeat(200));
    for (const options of [["-k"], [], ["-k", "-p", file("post")]]) {
      const { stdout } = await run([
        "ab",
        "-q",
        "-n",
        "3000",
        "-c",
        "20",
        ...options,
        `http://127.0.0.1:${server.port}/`,
      ]);
      expect(stdout).toMatch(/Complete requests: +3000\n/);
      expect(stdout).toMatch(/Failed requests: +0\n/);
      expect(stdout).not.toContain("Non-2xx");
      // ab uses HTTP/1.0, after which Bun closes.
      if (options.includes("-k") && !isBun) expect(stdout).toMatch(/Keep-Alive requests: +3000\n/);
    }
  });
});

describe("libraries", () => {
  test("undici, pipelining, and with a pool of connections and streamed bodies", async () => {
    using server = start({
      routes: { "/digest": digestOf },
      fetch: async (request) => {
        const n = Number(new URL(request.url).pathname.slice(1));
        await Bun.sleep(n % 3);
        return new Response(`${n} ${await request.text()}`);
      },
    });
    const content = Buffer.alloc(1_000_000, "pool ");
    // The client runs in Node, because Bun replaces undici by its own code. undici 6 is the last
    // one for the Node 18 of Debian 12.
    const program = `
      const { Agent, Client, request } = require(${JSON.stringify(Bun.resolveSync("undici-6/index.js", import.meta.dir))});
      const origin = "http://127.0.0.1:${server.port}";
      const content = Buffer.alloc(${content.length}, "pool ");
      async function* parts() {
        for (let at = 0; at < content.length; at += 9999) yield content.subarray(at, at + 9999);
      }
      (async () => {
        const client = new Client(origin, { pipelining: ${isBun ? 1 : 10} });
        const pipelined = await Promise.all(Array.from({ length: 100 }, async (_, n) => {
          const sent = n % 5 === 0 ? { method: "PUT", body: "body " + n } : { method: "GET" };
          return (await client.request({ path: "/" + n, ...sent })).body.text();
        }));
        await client.close();
        const dispatcher = new Agent({ connections: 5 });
        const streamed = await Promise.all(Array.from({ length: 20 }, async () =>
          (await request(origin + "/digest", { method: "POST", body: parts(), dispatcher })).body.text()));
        await dispatcher.close();
        console.log(JSON.stringify({ pipelined, streamed }));
      })();`;
    const { stdout } = await run(["node", "-e", program]);
    expect(JSON.parse(stdout)).toEqual({
      pipelined: Array.from({ length: 100 }, (_, n) => `${n} ${n % 5 === 0 ? `body ${n}` : ""}`),
      streamed: Array(20).fill(`${content.length} ${md5(content)}`),
    });
  });

  test("Node's http, with an agent that keeps connections", async () => {
    using server = start({
      routes: { "/file": Bun.file(file("node")) },
      fetch: async (request) => new Response(await request.text(), { headers: { "X-Method": request.method } }),
    } as Partial<ServeOptions>);
    writeFileSync(file("node"), Buffer.alloc(300_000, "node "));
    const program = `
      const http = require("node:http");
      const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
      const ask = (method, path, body) => new Promise((resolve, reject) => {
        const request = http.request({ port: ${server.port}, host: "127.0.0.1", method, path, agent }, (response) => {
          let bytes = 0;
          response.on("data", (part) => (bytes += part.length));
          response.on("end", () => resolve([response.statusCode, response.headers["x-method"], bytes, request.reusedSocket]));
        });
        request.on("error", reject);
        request.end(body);
      });
      (async () => {
        const answers = [];
        for (const [method, path, body] of [["GET", "/"], ["POST", "/", "x".repeat(50000)], ["GET", "/file"], ["DELETE", "/"], ["HEAD", "/file"]])
          answers.push(await ask(method, path, body));
        console.log(JSON.stringify(answers));
        agent.destroy();
      })();`;
    const { stdout } = await run(["node", "-e", program]);
    expect(JSON.parse(stdout)).toEqual([
      [200, "GET", 0, false],
      [200, "POST", 50000, true],
      [200, null, 300_000, true],
      [200, "DELETE", 0, true],
      [200, null, 0, true],
    ]);
  });

  test("Bun's fetch, many at once, up and down", async () => {
    using server = start({ fetch: (request) => new Response(request.body) });
    const bodies = Array.from({ length: 50 }, (_, i) => `${i} `.repeat(i * 100));
    const url = `http://127.0.0.1:${server.port}/`;
    const answers = await Promise.all(bodies.map(async (body) => (await fetch(url, { method: "POST", body })).text()));
    expect(answers).toEqual(bodies);
  });
});

/** Returns a PNG image of one colour. */
function png(side: number, rgb: [number, number, number]): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(Bun.hash.crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  const row = Buffer.from([0, ...Array<number[]>(side).fill(rgb).flat()]);
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
  const rows = Buffer.concat(Array<Buffer>(side).fill(row));
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const chromium = Bun.which("chromium-headless-shell") ?? Bun.which("chromium");

test.skipIf(!chromium)(
  "Chromium loads a page with a script, a style and images from files, and posts a form",
  async () => {
    writeFileSync(file("red.png"), png(20, [255, 0, 0]));
    writeFileSync(file("wide.png"), png(300, [0, 0, 255]));
    writeFileSync(file("style.css"), "body { color: rgb(1, 2, 3) }");
    const script = `
    const images = [...document.images];
    await Promise.all(images.map((image) => image.decode()));
    const form = new FormData();
    form.append("field", "é");
    form.append("upload", new Blob(["x".repeat(100000)]), "name.bin");
    const posted = await (await fetch("/form", { method: "POST", body: form })).json();
    const streamed = await (await fetch("/stream")).text();
    const part = await (await fetch("/wide.png", { headers: { Range: "bytes=1-3" } })).text();
    const color = getComputedStyle(document.body).color;
    const cookie = document.cookie;
    const seen = { sizes: images.map((i) => i.naturalWidth), posted, streamed, part, color, cookie };
    await fetch("/report", { method: "POST", body: JSON.stringify(seen) });`;
    const page = `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/style.css"><link rel="icon" href="data:,">
    <body><img src="/red.png"><img src="/wide.png"><img src="/red.png?again"><script type="module">${script}</script>`;
    const paths: string[] = [];
    const report = Promise.withResolvers<unknown>();
    using server = start({
      routes: {
        "/": (request: any) => {
          request.cookies.set("seen", "yes");
          return new Response(page, { headers: { "Content-Type": "text/html" } });
        },
        "/red.png": Bun.file(file("red.png")),
        "/style.css": new Response(Bun.file(file("style.css"))),
        "/wide.png": () => new Response(Bun.file(file("wide.png"))),
        "/form": {
          POST: async (request: Request) => {
            const form = await request.formData();
            return Response.json([form.get("field"), (form.get("upload") as File).size]);
          },
        },
        "/report": async (request: Request) => {
          report.resolve(await request.json());
          return new Response();
        },
        "/stream": () =>
          new Response(
            (async function* () {
              yield "one ";
              await Bun.sleep(1);
              yield "two";
            })() as never,
          ),
      } as never,
      fetch: (request) => {
        paths.push(new URL(request.url).pathname);
        return new Response("not found", { status: 404 });
      },
    });
    const options = [
      "--no-sandbox",
      "--disable-gpu",
      "--remote-debugging-port=0",
      `--user-data-dir=${file("profile")}`,
    ];
    await using browser = new Program([chromium!, ...options, `http://127.0.0.1:${server.port}/`], {}, true);
    const ended = browser.exited.then(async (code) => `the browser ended with ${code}: ${await browser.stderr}`);
    expect(await Promise.race([report.promise, ended])).toEqual({
      sizes: [20, 300, 20],
      posted: ["é", 100000],
      streamed: "one two",
      part: "PNG",
      color: "rgb(1, 2, 3)",
      cookie: "seen=yes",
    });
    expect(paths).toEqual([]);
  },
);
