/**
 * The addresses of sockets: their accepted forms, and the errors of addresses that are not usable.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection } from "./rejection.ts";
import { connect, isBun, listen, serve, type ServeOptions, udpSocket } from "./subject.ts";

const directory = mkdtempSync(join(tmpdir(), "ringloop-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, "file");
writeFileSync(file, "");

const socket = { data() {} };
const fetch = (): Response => new Response("served");

/** Returns the properties of an error that are the same as in Bun. */
function shapeOf(error: any): Record<string, unknown> {
  const { name, code, errno, syscall, message } = error;
  return { name, code, errno, syscall, message };
}

function thrownBy(body: () => unknown): Record<string, unknown> {
  try {
    body();
  } catch (error) {
    return shapeOf(error);
  }
  throw new Error("nothing was thrown");
}

describe("an error of listen", () => {
  test("says what could not be had", () => {
    using taken = listen({ hostname: "127.0.0.1", port: 0, socket });
    const { port } = taken;
    const syscall = "listen";
    const name = "Error";
    for (const [options, code, errno] of [
      [{ hostname: "127.0.0.1", port }, "EADDRINUSE", 98],
      [{ hostname: "192.0.2.1", port: 0 }, "EADDRNOTAVAIL", 99],
      [{ unix: file }, "EADDRINUSE", 98],
      [{ unix: join(directory, "none", "socket") }, "ENOENT", 2],
      [{ unix: join(file, "socket") }, "ENOTDIR", 20],
    ] as [any, string, number][]) {
      const message = `Failed to listen at ${options.unix ?? options.hostname}`;
      expect(thrownBy(() => listen({ ...options, socket }))).toEqual({ name, code, errno, syscall, message });
    }
  });
});

describe("an error of serve", () => {
  test("says what could not be had", () => {
    using taken = listen({ hostname: "127.0.0.1", port: 0, socket });
    const { port } = taken;
    const none = join(directory, "none", "socket");
    const shapes: [Partial<ServeOptions>, string, number, string][] = [
      [{ port }, "EADDRINUSE", 0, `Failed to start server. Is port ${port} in use?`],
      [{ hostname: "192.0.2.1", port: 0 }, "EADDRNOTAVAIL", -99, "EADDRNOTAVAIL: address not available, listen"],
      [{ unix: file }, "EADDRINUSE", -98, `EADDRINUSE: address already in use, listen '${file}'`],
      [{ unix: none }, "ENOENT", -2, `ENOENT: no such file or directory, listen '${none}'`],
      [{ unix: `${directory}/${"x".repeat(200)}` }, "ENAMETOOLONG", -36, "ENAMETOOLONG: name too long, listen '"],
    ];
    for (const [where, code, errno, text] of shapes) {
      const options = "unix" in where ? where : { hostname: "127.0.0.1", ...where };
      const { message, ...shape } = thrownBy(() => serve({ ...options, fetch }));
      expect(shape).toEqual({ name: "Error", code, errno, syscall: "listen" });
      expect(message).toStartWith(text);
    }
  });
});

describe("an error of connect", () => {
  test("says what has failed, to connectError and to whoever awaits it", async () => {
    const unused = listen({ hostname: "127.0.0.1", port: 0, socket });
    const { port } = unused;
    unused.stop(true);
    const message = "Failed to connect";
    for (const [where, shape] of [
      [
        { hostname: "127.0.0.1", port },
        { code: "ECONNREFUSED", errno: -111, syscall: "connect", message },
      ],
      [{ unix: file }, { code: "ECONNREFUSED", errno: -111, syscall: "connect", message }],
      [{ unix: join(directory, "none") }, { code: "ENOENT", errno: -2, syscall: "connect", message }],
      [
        { hostname: "nobody.invalid", port: 1 },
        { code: "ENOTFOUND", errno: 4, syscall: "getaddrinfo", message: "getaddrinfo ENOTFOUND nobody.invalid" },
      ],
    ] as const) {
      const told: unknown[] = [];
      const handlers = { ...socket, connectError: (_socket: unknown, error: Error) => void told.push(error) };
      const error = await rejection(connect({ ...where, socket: handlers }));
      expect(shapeOf(error)).toEqual({ name: "Error", ...shape });
      expect(told).toEqual([error]);
      expect(await rejection(connect({ ...where, socket }))).toMatchObject(shape);
    }
  });
});

describe("an error of udpSocket", () => {
  test("is thrown at once, and says what could not be had", async () => {
    const taken = await udpSocket({ hostname: "127.0.0.1" });
    const { port } = taken;
    const shape = { name: "Error", syscall: "bind" };
    expect(thrownBy(() => udpSocket({ hostname: "127.0.0.1", port }))).toEqual({
      ...shape,
      code: "EADDRINUSE",
      errno: 98,
      message: "bind EADDRINUSE 127.0.0.1",
    });
    expect(thrownBy(() => udpSocket({ hostname: "192.0.2.1" }))).toEqual({
      ...shape,
      code: "EADDRNOTAVAIL",
      errno: 99,
      message: "bind EADDRNOTAVAIL 192.0.2.1",
    });
    taken.close();
  });
});

describe("a port", () => {
  const wrong = [-1, 65536, 4294967376, 1.5, NaN, Infinity, "65536", "-1", "abc", "80x"];

  test("out of range is a RangeError of listen, connect and serve", () => {
    const hostname = "127.0.0.1";
    for (const port of wrong as number[]) {
      const isInteger = Number.isInteger(Number(port));
      const text = `SocketOptions.port must be ${isInteger ? "in the range [0, 65535]" : "an integer"} (received `;
      for (const call of [listen, connect]) {
        const { name, code, message } = thrownBy(() => call({ hostname, port, socket }));
        expect({ name, code }).toEqual({ name: "RangeError", code: "ERR_OUT_OF_RANGE" });
        expect(message).toStartWith(text);
      }
      const { name, code, message } = thrownBy(() => serve({ hostname, port, fetch }));
      expect({ name, code }).toEqual({ name: "RangeError", code: "ERR_OUT_OF_RANGE" });
      const rule = isInteger ? ">= 0 and <= 65535" : "an integer";
      expect(message).toStartWith(`The value of "options.port" is out of range. It must be ${rule}. Received `);
      expect(() => udpSocket({ hostname, port })).toThrow('Expected "port" to be an integer between 0 and 65535');
    }
    for (const port of [undefined, null] as never[])
      expect(() => listen({ hostname, port, socket })).toThrow('Missing "port"');
  });

  test("and a host are taken for what they stand for", () => {
    const hostname = { toString: () => "127.0.0.1" } as string;
    const port = { valueOf: () => 0 } as unknown as number;
    using listener = listen({ hostname, port, socket });
    using other = listen({ hostname: Buffer.from("127.0.0.1") as never, port: "0" as never, socket });
    using server = serve({ hostname, port, fetch });
    expect([listener.hostname, other.hostname, server.hostname]).toEqual(["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
  });
});

describe("an IPv6 address", () => {
  test("may be in brackets, for serve and connect", async () => {
    using server = serve({ hostname: "[::1]", port: 0, fetch });
    expect([server.hostname, server.url.href]).toEqual(["[::1]", `http://[::1]:${server.port}/`]);
    const client = await connect({ hostname: "[::1]", port: server.port, socket });
    expect([client.remoteAddress, client.remoteFamily, client.localFamily]).toEqual(["::1", "IPv6", "IPv6"]);
    client.end();
  });

  test("may have a zone, by name or number", async () => {
    // No interface has this address. The test is whether the name of the interface is understood.
    // Without an IPv6 address, the machine has no route to it.
    for (const hostname of ["fe80::1%lo", "fe80::1%1"])
      expect(thrownBy(() => listen({ hostname, port: 0, socket }))).toMatchObject({
        code: "EADDRNOTAVAIL",
        message: `Failed to listen at ${hostname}`,
      });
    expect(await rejection(connect({ hostname: "fe80::1%lo", port: 1, socket }))).toMatchObject({
      code: isBun ? "ECONNREFUSED" : expect.stringMatching(/^(ENETUNREACH|ECONNREFUSED|EADDRNOTAVAIL)$/),
      syscall: "connect",
    });
  });
});

test("localhost with the dot of a whole name is this machine", async () => {
  using server = serve({ hostname: "127.0.0.1", port: 0, fetch });
  const client = await connect({ hostname: "localhost.", port: server.port, socket });
  expect(client.remoteAddress).toBe("127.0.0.1");
  client.end();
});

describe("the path of a Unix socket", () => {
  const open = (): number => readdirSync("/proc/self/fd").length;

  test("may be longer than an address", async () => {
    for (const bytes of [107, 108, 150, 300]) {
      const folder = join(directory, "d".repeat(bytes - directory.length - 20));
      mkdirSync(folder);
      const unix = join(folder, "s".repeat(18));
      expect(unix.length).toBe(bytes);
      const before = open();
      const listener = listen({ unix, socket: { data: (each, data) => void each.write(data) } });
      const answer = Promise.withResolvers<string>();
      const client = await connect({
        unix,
        socket: { open: (each) => void each.write("over"), data: (_each, data) => answer.resolve(String(data)) },
      });
      expect([await answer.promise, listener.unix, existsSync(unix)]).toEqual(["over", unix, true]);
      client.end();
      listener.stop(true);
      expect(existsSync(unix)).toBe(false);
      const { code } = (await rejection(connect({ unix, socket }))) as { code: string };
      expect(code).toBe("ENOENT");
      while (open() > before) await new Promise((resolve) => setImmediate(resolve));
      const server = serve({ unix, fetch });
      expect(await (await globalThis.fetch("http://name/", { unix: server.url.pathname })).text()).toBe("served");
      await server.stop(true);
    }
  });
});

test("a server with an abstract name says so in its url", async () => {
  const name = `ringloop-test-${process.pid}`;
  using server = serve({ unix: `\0${name}`, fetch });
  expect(server.url.href).toBe(`abstract://${name}/`);
  expect(await (await globalThis.fetch("http://name/", { unix: `\0${name}` })).text()).toBe("served");
});

describe("what a socket says of itself", () => {
  test("is its descriptor, until it is closed", async () => {
    const listener = listen({ hostname: "127.0.0.1", port: 0, socket });
    const client = await connect({ hostname: "127.0.0.1", port: listener.port, socket });
    const known = readdirSync("/proc/self/fd").map(Number);
    expect([known.includes(client.fd), known.includes(listener.fd)]).toEqual([true, true]);
    client.end();
    listener.stop(true);
    expect([client.fd, listener.fd]).toEqual([-1, -1]);
  });

  test("is where a listener is, put into an object", () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0, socket });
    const name = {};
    expect(listener.getsockname(name)).toBeUndefined();
    expect(name).toEqual({ family: "IPv4", address: "127.0.0.1", port: listener.port });
  });

  test("is its type of service, which can be set", async () => {
    for (const hostname of ["127.0.0.1", "::1"]) {
      using listener = listen({ hostname, port: 0, socket });
      const client = await connect({ hostname, port: listener.port, socket });
      expect([client.getTypeOfService(), client.setTypeOfService(16), client.getTypeOfService()]).toEqual([0, 0, 16]);
      expect([client.setTypeOfService(), client.getTypeOfService()]).toEqual([0, 0]);
      for (const tos of [-1, 256])
        expect(thrownBy(() => client.setTypeOfService(tos))).toMatchObject({
          name: "RangeError",
          code: "ERR_OUT_OF_RANGE",
          message: `The value of "tos" is out of range. It must be >= 0 and <= 255. Received ${tos}`,
        });
      for (const tos of [1.5, "x"] as number[])
        expect(thrownBy(() => client.setTypeOfService(tos))).toMatchObject({
          name: "TypeError",
          code: "ERR_INVALID_ARG_TYPE",
        });
      client.end();
      expect(client.getTypeOfService()).toBe(-9);
    }
  });

  test("is a server's url, the same object each time", () => {
    using server = serve({ hostname: "127.0.0.1", port: 0, fetch });
    expect(server.url).toBe(server.url);
  });
});

test("an address is written in Bun's order", async () => {
  using server = serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request, self) => Response.json(Object.keys(self.requestIP(request)!)),
  });
  const order = ["address", "family", "port"];
  expect(await (await globalThis.fetch(server.url)).json()).toEqual(order);
  const datagrams = await udpSocket({ connect: { hostname: "127.0.0.1", port: server.port } });
  expect([Object.keys(datagrams.address), Object.keys(datagrams.remoteAddress!)]).toEqual([order, order]);
  datagrams.close();
});
