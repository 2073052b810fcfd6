/**
 * A handler that passes on the Response of `fetch`, as a reverse proxy does: with its body whole or
 * still arriving, of known or unknown length, and wrapped in another Response.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { isBun, type Server, serve } from "./subject.ts";

const text = "x".repeat(4096);
const zipped = gzipSync(text);
const lines = (...given: string[]): string => ["HTTP/1.1 200 OK", ...given, "", ""].join("\r\n");

/** What the upstream sends with the head, and what it sends once the client has that. */
const answers: Record<string, { first: (string | Buffer)[]; rest?: string }> = {
  whole: { first: [lines("Content-Length: 4096", "Content-Type: text/css"), text] },
  untyped: { first: [lines("Content-Length: 4096"), text] },
  part: { first: [lines("Content-Length: 4096"), text.slice(0, 100)], rest: text.slice(100) },
  chunked: { first: [lines("Transfer-Encoding: chunked"), `1000\r\n${text}\r\n0\r\n\r\n`] },
  events: { first: [lines("Transfer-Encoding: chunked"), "64\r\n", text.slice(0, 100), "\r\n"], rest: "0\r\n\r\n" },
  zipped: { first: [lines(`Content-Length: ${zipped.length}`, "Content-Encoding: gzip"), zipped] },
  empty: { first: [lines("Content-Length: 0")] },
  named: { first: [lines("Content-Length: 4096").replace("OK", "Fine"), text] },
};

let upstream: NetServer;
let origin: string;
const open = new Map<string, Socket>();

beforeAll(async () => {
  upstream = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (request) => {
      const [, name] = /^\w+ \/(\w+)/.exec(request.toString("latin1"))!;
      const { first, rest } = answers[name!]!;
      const isHead = request.toString("latin1").startsWith("HEAD");
      socket.write(
        Buffer.concat((isHead ? first.slice(0, 1) : first).map((part) => Buffer.from(part as string, "latin1"))),
      );
      if (rest !== undefined) open.set(name!, socket);
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(upstream.address() as { port: number }).port}`;
});
afterAll(() => {
  upstream.close();
});

const ways: Record<string, (response: Response) => Response> = {
  "as it is": (response) => response,
  wrapped: (response) => new Response(response.body, response),
  "wrapped twice": (response) => {
    const inner = new Response(response.body, response);
    return new Response(inner.body, inner);
  },
  "after its body was looked at": (response) => (response.body, response),
};

function proxy(way: (response: Response) => Response | Promise<Response>): Server {
  return serve({
    port: 0,
    async fetch({ url, method }) {
      const response = await fetch(`${origin}${new URL(url).pathname}`, { method });
      return way(response);
    },
    error: (error) => new Response(`${error.name}: ${error.message}`, { status: 500 }),
  });
}

describe.each(Object.entries(ways))("the Response of fetch, %s", (_, way) => {
  let server: Server;
  beforeAll(() => {
    server = proxy(way);
  });
  afterAll(() => server.stop(true));

  const get = (name: string, init: RequestInit = {}): Promise<Response> => fetch(`${server.url}${name}`, init);

  test.each([
    ["whole", { "content-length": "4096", "content-type": "text/css" }],
    ["untyped", { "content-length": "4096", "content-type": "application/octet-stream" }],
    ["named", { "content-length": "4096", "content-type": "application/octet-stream" }],
    ["empty", { "content-length": "0" }],
  ])("has its length and its type: %s", async (name, fields) => {
    const response = await get(name);
    expect(response.headers.toJSON()).toEqual({ ...fields, date: expect.any(String) });
    expect(await response.text()).toBe(name === "empty" ? "" : text);
  });

  test("has all of a body in chunks", async () => {
    const response = await get("chunked");
    expect(await response.text()).toBe(text);
  });

  test("is decoded, if it was encoded", async () => {
    const response = await get("zipped", { decompress: false } as RequestInit);
    // fetch has decoded the body, and keeps the field.
    expect(await response.bytes()).toHaveLength(text.length);
  });

  test.each(["part", "events"])("comes as it arrives: %s", async (name) => {
    const response = await get(name);
    const reader = response.body!.getReader();
    let received = "";
    while (received.length < 100) received += Buffer.from((await reader.read()).value!).toString();
    expect(received).toBe(text.slice(0, 100));
    open.get(name)!.write(answers[name]!.rest!);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      received += Buffer.from(value).toString();
    }
    expect(received).toBe(name === "part" ? text : text.slice(0, 100));
    expect(response.headers.has("content-type")).toBe(false);
  });

  test("has no body for HEAD, and its length", async () => {
    const response = await get("whole", { method: "HEAD" });
    expect([response.status, response.headers.get("content-length")]).toEqual([200, "4096"]);
    expect(await response.text()).toBe("");
  });
});

const made: Record<string, () => Response | Promise<Response>> = {
  text: () => new Response("abc"),
  stream: () => new Response(new Blob(["abc"]).stream()),
  generator: () =>
    new Response(
      (async function* () {
        yield "abc";
      })() as never,
    ),
  "fetched body": () => fetch(`${origin}/whole`),
};
const used: Record<string, (response: Response) => unknown> = {
  "has a reader": ({ body }) => body!.getReader(),
  "had a reader": ({ body }) => body!.getReader().releaseLock(),
  "is read in part": async ({ body }) => {
    const reader = body!.getReader();
    await reader.read();
    reader.releaseLock();
  },
  "is cancelled": ({ body }) => body!.cancel(),
  "is read": (response) => response.text(),
};
const inUse = "ERR_STREAM_CANNOT_PIPE Stream already used, please create a new one";
const isRead =
  "ERR_BODY_ALREADY_USED Response body already used. A Response body can only be sent once; create a new Response for each request.";

test.each([
  ["text", [inUse, "abc", "", "", isRead]],
  ["stream", [inUse, "abc", "", "", inUse]],
  ["generator", [inUse, "abc", "", "", inUse]],
  ["fetched body", [isBun ? inUse : isRead, text, "", "", isRead]],
])("a handler's Response whose %s was used is sent from there on, or is an error", async (name, expected) => {
  const answered = [];
  for (const use of Object.values(used)) {
    const server = serve({
      port: 0,
      async fetch() {
        const response = await made[name]!();
        await use(response);
        return response;
      },
      error: (error) => new Response(`${(error as NodeJS.ErrnoException).code} ${error.message}`, { status: 500 }),
    });
    answered.push(await (await fetch(server.url)).text());
    server.stop(true);
  }
  expect(answered).toEqual(expected);
});
