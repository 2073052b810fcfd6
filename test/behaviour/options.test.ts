/** The errors of serve and listen for wrong options and for addresses that are not available. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, run } from "./process.ts";
import { connect, isBun, listen, serve, subject, udpSocket } from "./subject.ts";

const serveWith = (options: object): void => {
  serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(), ...options }).stop(true);
};
const listenWith = (options: object): void => {
  listen({ port: 0, hostname: "127.0.0.1", socket: { data() {} }, ...options }).stop(true);
};

function failureOf(body: () => void): any {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

interface Case {
  name: string;
  value: unknown;
  /** The part of the message that tells the allowed values. */
  allowed: string;
  /** Bun accepts the value. */
  bunAccepts?: true;
}

const handlerNames = ["open", "data", "drain", "end", "close", "error", "timeout", "connectError"];
const tlsHandlerNames = ["handshake", "session", "keylog", "serverName"];
const seconds = "seconds from 0 to 86400";
const serveCases: Case[] = [
  { name: "hostname", value: "a\0b", allowed: "string" },
  { name: "fetch", value: undefined, allowed: "function" },
  { name: "fetch", value: "text", allowed: "function" },
  { name: "error", value: 5, allowed: "function" },
  { name: "idleTimeout", value: -1, allowed: seconds, bunAccepts: true },
  { name: "idleTimeout", value: NaN, allowed: seconds },
  { name: "idleTimeout", value: "5", allowed: seconds },
  { name: "idleTimeout", value: 86401, allowed: seconds },
  { name: "maxRequestBodySize", value: NaN, allowed: "integer number of bytes", bunAccepts: true },
  { name: "maxRequestBodySize", value: -1, allowed: "integer number of bytes", bunAccepts: true },
  { name: "headerBytesMax", value: 10, allowed: "at least 256", bunAccepts: true },
  { name: "writeQueueBytesMax", value: 0, allowed: "at least 4096", bunAccepts: true },
  { name: "mode", value: "x", allowed: '"auto", "sqpoll", "defer"', bunAccepts: true },
];
const listenCases: Case[] = [
  { name: "hostname", value: "a\0b", allowed: "string" },
  { name: "socket", value: undefined, allowed: "object" },
  { name: "socket", value: 5, allowed: "object" },
  ...[...handlerNames, ...tlsHandlerNames].map((name) => ({
    name: `socket.${name}`,
    value: 5,
    allowed: "function",
  })),
  { name: "socket.binaryType", value: "x", allowed: "buffer, uint8array, arraybuffer" },
  { name: "writeQueueBytesMax", value: 0, allowed: "integer number of bytes", bunAccepts: true },
  { name: "mode", value: "x", allowed: '"auto", "sqpoll", "defer"', bunAccepts: true },
];

const subjects: [name: string, call: (options: object) => void, cases: Case[]][] = [
  ["serve", serveWith, serveCases],
  ["listen", listenWith, listenCases],
];
for (const [name, call, cases] of subjects) {
  describe(`${name}, given a wrong option`, () => {
    for (const { name, value, allowed, bunAccepts } of cases) {
      test(`${name}: ${Bun.inspect(value)}`, () => {
        const [outer = name, inner] = name.split(".");
        const options = inner ? { [outer]: { data() {}, [inner]: value } } : { [name]: value };
        if (isBun) {
          // Bun has errors of several kinds. Not all of them name the option or the value.
          if (bunAccepts) expect(() => call(options)).not.toThrow();
          else expect(() => call(options)).toThrow();
          return;
        }
        const error = failureOf(() => call(options));
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toStartWith(`${name} must be `);
        expect(error.message).toContain(allowed);
        expect(error.message).toEndWith(`, not ${Bun.inspect(value)}`);
      });
    }

    test("no object at all", () => {
      const target = name === "serve" ? serve : listen;
      for (const options of [undefined, null, 5, "text"]) expect(() => target(options as never)).toThrow(TypeError);
    });
  });
}

describe("an address that cannot be had", () => {
  const targets: [string, (options: object) => void][] = [
    ["serve", serveWith],
    ["listen", listenWith],
  ];
  for (const [name, call] of targets) {
    test(`is an error of ${name} with its code, when the port is in use`, () => {
      const taken = serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
      try {
        const error = failureOf(() => call({ port: taken.port }));
        expect(error).toBeInstanceOf(Error);
        expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen" });
      } finally {
        taken.stop(true);
      }
    });

    test(`is an error of ${name} with its code, when it is not this machine's`, () => {
      // An address of TEST-NET-1 (RFC 5737).
      const error = failureOf(() => call({ hostname: "192.0.2.1" }));
      expect(error).toMatchObject({ code: "EADDRNOTAVAIL" });
      expect(error).toMatchObject({ syscall: "listen" });
    });

    // The error of Bun.serve only asks whether port 0 is in use.
    test.skipIf(isBun)(`is an error of ${name} with its code, when the name is unknown`, () => {
      const error = failureOf(() => call({ hostname: "no.such.host.invalid" }));
      expect(error).toMatchObject({ code: "ENOTFOUND", syscall: "getaddrinfo", hostname: "no.such.host.invalid" });
    });
  }

  test("leaves no descriptor behind", () => {
    const taken = serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    const fail = (): void => void failureOf(() => listenWith({ port: taken.port }));
    fail();
    Bun.gc(true); // Bun keeps the standard input of earlier tests' children until a collection.
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 20; i++) fail();
    expect(readdirSync("/proc/self/fd").length).toBe(before);
    taken.stop(true);
  });
});

test("the port is the option's, else a variable's, else that of bun --port, else that of bunfig.toml", async () => {
  // All these ports are in use, so that the error shows which one was chosen.
  using flag = listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  using variable = listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  using option = listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  using bunfig = listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  using otherBunfig = listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const directory = mkdtempSync(join(tmpdir(), "ringloop-options-"));
  using cleanup = new DisposableStack();
  cleanup.defer(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "bunfig.toml"), `[serve]\nport = ${bunfig.port}\n`);
  writeFileSync(join(directory, "other.toml"), `[serve]\nport = ${otherBunfig.port}\n`);
  const cwd = `--cwd=${directory}`;
  const program = (more: string): string => `
    const { serve } = await import(${JSON.stringify(join(import.meta.dir, "subject.ts"))});
    try {
      serve({ hostname: "127.0.0.1", fetch: () => new Response(), ${more} });
    } catch ({ message }) {
      console.log(message);
    }
    process.exit();
  `;
  const unset = { BUN_PORT: undefined, PORT: undefined, NODE_PORT: undefined };
  const failureWith = async (args: string[], env: Record<string, string>, more = ""): Promise<string> =>
    (await run([process.execPath, ...args, "-e", program(more)], "", { ...unset, ...env })).stdout;
  const port = (server: { port: number }): string => String(server.port);
  expect(await failureWith([cwd], {})).toContain(port(bunfig));
  expect(await failureWith([cwd, "--config=other.toml"], {})).toContain(port(otherBunfig));
  expect(await failureWith([cwd, "--port", port(flag)], {})).toContain(port(flag));
  expect(await failureWith([`--port=${flag.port}`], { PORT: port(variable) })).toContain(port(variable));
  expect(await failureWith(["--port", port(flag)], { BUN_PORT: port(variable) }, `port: ${option.port}`)).toContain(
    port(option),
  );
});

test("routes that are an array are none, in serve and reload", async () => {
  const routes = [{ method: "GET", path: "/" }];
  using server = serve({ port: 0, hostname: "127.0.0.1", routes, fetch: () => new Response("fetch") } as never);
  expect(await (await fetch(server.url)).text()).toBe("fetch");
  server.reload({ routes, fetch: () => new Response("other") } as never);
  expect(await (await fetch(server.url)).text()).toBe("other");
});

test("tls with nothing in it is none", async () => {
  using server = serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { cert: undefined, key: undefined },
    fetch: () => new Response("plain"),
  } as never);
  expect(server.protocol).toBe("http");
  expect(await (await fetch(server.url)).text()).toBe("plain");
});

test("an option that is null counts as not given", async () => {
  const none = (names: string[]): object => Object.fromEntries(names.map((name) => [name, null]));
  serveWith({
    ...none(["error", "idleTimeout", "maxRequestBodySize", "websocket", "unix", "tls"]),
    fetch: null,
    routes: { "/": new Response() },
  });
  const handlers = { ...none([...handlerNames, ...tlsHandlerNames]), data() {} };
  listenWith({ ...none(["unix", "data", "tls"]), socket: handlers });
  using listener = listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  const client = await connect({
    hostname: "127.0.0.1",
    port,
    ...none(["unix", "data", "tls"]),
    socket: handlers,
  } as never);
  client.end();
  const udp = await udpSocket({
    ...none(["binaryType", "connect"]),
    socket: none(["data", "drain", "error"]),
  } as never);
  udp.close();
});

// The following tests are about ringloop's own options.
describe.skipIf(isBun)("an option that the ring does not serve", () => {
  for (const [name, call] of [
    ["serve", serveWith],
    ["listen", listenWith],
  ] as const) {
    test(`is an error of ${name} with fallback: false, which names it`, () => {
      const error = failureOf(() => call({ tls: { cert: "c", key: "k" }, fallback: false }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain("tls");
      expect(error.message).toContain("fallback is false");
    });
  }

  test("goes to Bun's own function otherwise, with one notice that names it", async () => {
    const program = `
      const { serve } = await import(${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))});
      for (let i = 0; i < 2; i++) {
        const server = serve({ port: 0, hostname: "127.0.0.1", http2: true, fetch: () => new Response("hello") });
        console.log(await (await fetch(server.url)).text());
        await server.stop(true);
      }
    `;
    const { stdout, stderr, exitCode } = await attempt([process.execPath, "-e", program]);
    expect({ stdout, exitCode }).toEqual({ stdout: "hello\nhello\n", exitCode: 0 });
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toContain('"http2"');
  });
});

describe.skipIf(isBun)("the mode", () => {
  const asks = (mode: string): string => `
    const { serve, useReactor } = await import(${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))});
    try {
      const server = serve({ port: 0, hostname: "127.0.0.1", mode: ${JSON.stringify(mode)}, fetch: () => new Response() });
      console.log(useReactor().info.mode);
      await server.stop(true);
    } catch (error) {
      console.log(error.name + ": " + error.message);
    }
  `;
  const answer = async (mode: string, variable: string | undefined): Promise<string> => {
    const { stdout } = await attempt([process.execPath, "-e", asks(mode)], "", { RINGLOOP_MODE: variable });
    return stdout.trim();
  };
  const other = subject === "defer" ? "sqpoll" : "defer";

  test("is the option's", async () => {
    expect(await answer(subject, undefined)).toBe(subject);
  });

  test("is that of RINGLOOP_MODE, whatever the option says", async () => {
    expect(await answer(other, subject)).toBe(subject);
  });

  test("is one of two for auto", async () => {
    expect(["defer", "sqpoll"]).toContain(await answer("auto", undefined));
  });

  test("cannot be a word that is none, in RINGLOOP_MODE", async () => {
    const said = await answer(subject, "fast");
    expect(said).toStartWith("TypeError: RINGLOOP_MODE must be one of");
    expect(said).toEndWith('not "fast"');
  });

  test("cannot be a word that is none, in the option", async () => {
    const said = await answer("fast", undefined);
    expect(said).toStartWith("TypeError: mode must be one of");
    expect(said).toEndWith('not "fast"');
  });

  test("cannot be another one than that of the thread's reactor", async () => {
    const program = `
      const { serve, useReactor } = await import(${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))});
      useReactor({ mode: ${JSON.stringify(subject)} });
      try {
        serve({ port: 0, mode: ${JSON.stringify(other)}, fetch: () => new Response() });
      } catch (error) {
        console.log(error.name + ": " + error.message);
      }
    `;
    const { stdout } = await attempt([process.execPath, "-e", program], "", { RINGLOOP_MODE: undefined });
    expect(stdout).toStartWith("TypeError: mode must be");
    expect(stdout).toContain(subject);
    expect(stdout).toContain(`"${other}"`);
  });
});
