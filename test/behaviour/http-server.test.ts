/**
 * A server's addresses, its properties, its time limits, and the answers that it makes by itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect as connectUnix } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./process.ts";
import { quietly } from "./quietly.ts";
import { ask, RawClient } from "./raw-client.ts";
import { isBun, serve, type ServeOptions, type Server } from "./subject.ts";

const start = (fetch: ServeOptions["fetch"], more: Partial<ServeOptions> = {}): Server =>
  serve({ port: 0, hostname: "127.0.0.1", development: false, fetch: fetch!, ...more });
const get = (target: string, ...fields: string[]): string =>
  [`GET ${target} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ringloop-server-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("a server on a Unix socket", () => {
  const startUnix = (unix: string): Server =>
    serve({
      unix,
      development: false,
      fetch: (request, server) => Response.json([request.url, server.requestIP(request)]),
    } as ServeOptions);

  test("is reached by curl, and says where it is", async () => {
    const path = join(directory, "curl.sock");
    const server = startUnix(path);
    try {
      const { stdout } = await run(["curl", "-sS", "--unix-socket", path, "http://name/path?q", "http://name/second"]);
      expect(stdout).toBe('["http://name/path?q",null]["http://name/second",null]');
      expect([server.port, server.hostname]).toEqual([undefined, undefined] as never);
      expect(server.url.href).toBe(`unix://${path}`);
      expect(server.address).toBe(path);
      expect(server.protocol).toBe("http");
    } finally {
      await server.stop(true);
    }
    expect(existsSync(path)).toBe(false);
  });

  test("is reached by Bun's fetch", async () => {
    const path = join(directory, "fetch.sock");
    using _server = startUnix(path);
    expect(await (await fetch("http://host/there", { unix: path })).json()).toEqual(["http://host/there", null]);
  });

  test("may have an abstract name", async () => {
    const name = `ringloop-test-http-${process.pid}`; // Abstract names are shared by the whole machine.
    using _server = startUnix(`\0${name}`);
    const { stdout } = await run(["curl", "-sS", "--abstract-unix-socket", name, "http://name/"]);
    expect(stdout).toBe('["http://name/",null]');
  });

  test("has requests without Host that are told apart from none", async () => {
    const path = join(directory, "bare.sock");
    using _server = startUnix(path);
    const socket = connectUnix(path);
    socket.end("GET /p HTTP/1.0\r\n\r\n");
    let text = "";
    for await (const part of socket) text += String(part);
    expect(text).toStartWith("HTTP/1.1 200 OK\r\n");
    // If an HTTP/1.0 request names no host, Bun's url is only a path.
    expect(text).toEndWith(isBun ? '["/p",null]' : '["http://localhost/p",null]');
  });

  test("and a host exclude each other", () => {
    const both = { unix: join(directory, "both.sock"), hostname: "localhost", port: undefined } as never;
    expect(() => start(() => new Response(), both)).toThrow(TypeError);
  });
});

// Bun.serve does not accept a descriptor.
test.skipIf(isBun)("a server on a socket that listens already serves it", async () => {
  const python = `
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ["TEST_PORT"] = str(listener.getsockname()[1])
os.execv(sys.argv[1], sys.argv[1:])`;
  const program = `
const { serve } = await import(${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))});
const server = serve({ fd: 3, fetch: () => new Response("activated") });
const answer = await fetch("http://127.0.0.1:" + process.env.TEST_PORT);
console.log(await answer.text(), server.port === Number(process.env.TEST_PORT));
await server.stop(true);`;
  const { stdout } = await run(["python3", "-c", python, process.execPath, "-e", program]);
  expect(stdout.trim()).toBe("activated true");
});

describe("a server's members", () => {
  test("are those of Bun's", () => {
    using server = start(() => new Response());
    using bun = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(bun)).filter((name) => name !== "constructor");
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((name) => !(name in server))).toEqual([]);
    for (const name of names)
      expect([name, typeof Reflect.get(server, name, server)]).toEqual([name, typeof Reflect.get(bun, name, bun)]);
  });

  test("without websocket: upgrade() says so, and nobody subscribes", async () => {
    let failure: unknown;
    using server = start((request, server) => {
      try {
        (server as any).upgrade(request);
      } catch (error) {
        failure = error;
      }
      return new Response("answered");
    });
    const upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
    const { status, text } = await ask(
      server.port,
      get("/", ...upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    );
    expect({ status, text }).toEqual({ status: 200, text: "answered" });
    expect(failure).toBeInstanceOf(TypeError);
    expect(String(failure)).toContain("websocket");
    expect([server.publish("topic", "text"), server.subscriberCount("topic"), server.pendingWebSockets]).toEqual([
      0, 0, 0,
    ]);
  });

  test("take the requests of the network alone for their own", () => {
    using server = start(() => new Response());
    const foreign = new Request("http://127.0.0.1/");
    expect(server.requestIP(foreign)).toBeNull();
    expect(() => server.timeout(foreign, 5)).not.toThrow();
    expect(() => server.timeout("x" as never, 5)).toThrow(TypeError);
    expect(() => server.requestIP("x" as never)).toThrow(TypeError);
  });

  test("closeIdleConnections() says how many it closed", async () => {
    const busy = Promise.withResolvers<Response>();
    using server = start((request) => (request.url.endsWith("/busy") ? busy.promise : new Response("idle")));
    using first = await RawClient.connect(server.port);
    using second = await RawClient.connect(server.port);
    using third = await RawClient.connect(server.port);
    for (const client of [first, second]) {
      await client.write(get("/"));
      await client.readResponse();
    }
    await third.write(get("/busy"));
    while (server.pendingRequests < 1) await new Promise((resolve) => setImmediate(resolve));
    expect(server.closeIdleConnections()).toBe(2);
    expect(await Promise.all([first.closed, second.closed])).toEqual(["end", "end"]);
    busy.resolve(new Response("answered"));
    expect((await third.readResponse()).text).toBe("answered");
  });
});

describe("an answer by the server itself", () => {
  // bun:test counts a report of Bun.serve as a failure of the test.
  test.skipIf(isBun)(
    "to a handler's failure is a page with the error in development, and tells nothing else",
    async () => {
      const fetch = (): Response => {
        throw new Error("why <not>");
      };
      using developed = start(fetch, { development: true });
      using deployed = start(fetch, { development: false });
      await quietly(async () => {
        const page = await ask(developed.port, get("/"));
        expect(page.status).toBe(500);
        expect(page.headers.get("content-type")).toEqual(["text/html;charset=utf-8"]);
        expect(page.text).toContain("why &lt;not&gt;");
        expect(page.text).toContain("http-server.test.ts");
        const { status, text } = await ask(deployed.port, get("/"));
        expect({ status, text }).toEqual({ status: 500, text: "Something went wrong!" });
      });
    },
  );
});

describe("time", () => {
  // The timer wheel ticks every 250 ms, Bun's clock every 4 s.
  const startTimed = (more: Partial<ServeOptions>): Server => start(() => new Response("answered"), more);

  // Bun has no separate limit, and sends no answer when idleTimeout ends a connection.
  test.skipIf(isBun)("for a head is limited, however steadily it comes: 408", async () => {
    for (const more of [
      { headerTimeout: 1, idleTimeout: 0 },
      { headerTimeout: 1, idleTimeout: 60 },
      { headerTimeout: 60, idleTimeout: 1 },
    ]) {
      using server = startTimed(more);
      using client = await RawClient.connect(server.port);
      const began = performance.now();
      await client.write("GET / HTTP/1.1\r\nHost: test\r\n");
      const trickle = setInterval(() => void client.write("X: y\r\n"), 100);
      try {
        const { status, headers } = await client.readResponse();
        expect([status, headers.get("connection")]).toEqual([408, ["close"]]);
      } finally {
        clearInterval(trickle);
      }
      expect(performance.now() - began).toBeGreaterThan(900);
      expect(performance.now() - began).toBeLessThan(2500);
    }
  });

  test.skipIf(isBun)(
    "for a head does not run before its first byte, nor after its last",
    async () => {
      using server = start(
        async () => {
          await Bun.sleep(1500);
          return new Response("answered");
        },
        { headerTimeout: 1, idleTimeout: 60 },
      );
      using client = await RawClient.connect(server.port);
      for (let i = 0; i < 2; i++) {
        await client.write("GET / HTTP/1.1\r\nHost");
        await client.write(": test\r\n\r\n");
        expect((await client.readResponse()).text).toBe("answered");
      }
    },
    10_000,
  );

  test.skipIf(isBun)("without traffic runs from the last answer, once", async () => {
    using server = startTimed({ idleTimeout: 1 });
    using client = await RawClient.connect(server.port);
    for (let i = 0; i < 3; i++) {
      await client.write(get("/"));
      await client.readResponse();
    }
    const began = performance.now();
    expect(await client.closed).toBe("end");
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(performance.now() - began).toBeLessThan(1700);
  });

  test.skipIf(isBun)("that timeout() set for a request is for that request alone", async () => {
    using server = start(
      (request, server) => {
        server.timeout(request, 0);
        return new Response("answered");
      },
      { idleTimeout: 1 },
    );
    using client = await RawClient.connect(server.port);
    await client.write(get("/"));
    await client.readResponse();
    const began = performance.now();
    expect(await client.closed).toBe("end");
    expect(performance.now() - began).toBeLessThan(2500);
  });
});

describe("a direct stream", () => {
  const direct = (pull: (controller: any) => unknown, cancel?: () => void): Response =>
    new Response(new ReadableStream({ type: "direct", pull, cancel } as never));

  test("arrives as it is written", async () => {
    using server = start(() =>
      direct(async (controller) => {
        controller.write("one ");
        await controller.flush();
        await Bun.sleep(1);
        controller.write(new TextEncoder().encode("two"));
        controller.end();
      }),
    );
    for (let i = 0; i < 2; i++) expect((await ask(server.port, get("/"))).text).toBe("one two");
  });

  test("of 5 MB arrives whole", async () => {
    const part = "0123456789".repeat(5000);
    using server = start(() =>
      direct(async (controller) => {
        for (let i = 0; i < 100; i++) {
          controller.write(part);
          await controller.flush();
        }
        controller.close();
      }),
    );
    expect((await ask(server.port, get("/"))).body.length).toBe(5_000_000);
  });
});

// Bun closes a connection with pipelined requests.
test.skipIf(isBun)(
  "an answer that is finished behind one that is on its way leaves before stop(true) closes",
  async () => {
    const server: Server = start(async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/slow") {
        const later = Bun.sleep(1);
        Bun.sleepSync(5); // The timer is due before the ring reports that the first answer has left.
        await later;
      }
      if (pathname === "/stop") void server.stop(true);
      return new Response(pathname);
    });
    using client = await RawClient.connect(server.port);
    await client.write(["/first", "/slow", "/stop"].map((target) => get(target)).join(""));
    const text = (await client.readToEnd()).toString();
    expect(text.match(/\/(?:first|slow|stop)/g)).toEqual(["/first", "/slow"]);
  },
);
