/**
 * The life of a serving process: how it ends, is reloaded, and fails, by itself, by signals, and by
 * its handlers. loop.test.ts has more tests of it.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, fixture, Program } from "./process.ts";
import { ask, RawClient } from "./raw-client.ts";
import { rejection } from "./rejection.ts";
import { isBun } from "./subject.ts";
import { frame, WebSocketClient } from "./websocket-client.ts";

const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");

/** Whether a server of Node can listen on a port that was in use a moment ago. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

describe("a process that ends", () => {
  test("by SIGTERM and stop(), under load, has answered every request that it took", async () => {
    await using program = Program.fixture("graceful.ts");
    const { port } = await program.line();
    let answered = 0;
    const underWay = Promise.withResolvers<void>();
    const live = async (name: number): Promise<void> => {
      for (let i = 0; ; i++) {
        // Connections open and close, so that there are some in every state.
        using client = await RawClient.connect(port).catch(() => null!);
        if (client === null) return; // The server does not listen any more.
        for (let j = 0; j < 20; j++) {
          const path = `/${name}/${i}/${j}`;
          void client.write(get(path));
          let text: string;
          try {
            ({ text } = await client.readResponse());
          } catch {
            break; // The server closed the connection instead of serving it.
          }
          expect(text).toBe(path);
          if (++answered === 500) underWay.resolve();
        }
      }
    };
    const lives = Array.from({ length: 40 }, (_, name) => live(name));
    await underWay.promise;
    process.kill(program.pid, "SIGTERM");
    const { taken } = await program.line();
    await Promise.all(lives);
    expect(await program.exited).toBe(0);
    expect(taken).toBeGreaterThanOrEqual(500);
    expect(answered).toBe(taken);
  });

  // The kernel frees a ring in a work queue, after the process has ended. Only then does it release
  // the sockets of the ring.
  test(`by SIGKILL frees its port ${isBun ? "at once" : "within a second"}, with connections open`, async () => {
    for (let round = 0; round < 5; round++) {
      await using program = Program.fixture("server.ts");
      const { port } = await program.line();
      const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(port)));
      for (const client of clients) void client.write(get("/"));
      for (const client of clients) await client.readResponse();
      await program.stop("SIGKILL");
      const begun = performance.now();
      let tries = 1;
      for (; !(await isFree(port)); tries++) await Bun.sleep(1);
      expect(performance.now() - begun).toBeLessThan(1000);
      if (isBun) expect(tries).toBe(1);
      for (const client of clients) await client.closed;
    }
  });

  test("by process.exit() in a handler has its exit code, and what was sent before arrives", async () => {
    {
      await using program = Program.fixture("exits.ts");
      const { http } = await program.line();
      using client = await RawClient.connect(http);
      await client.write(get("/"));
      expect((await client.readResponse()).text).toBe("served");
      await client.write(get("/exit"));
      expect(await program.exited).toBe(7);
      await client.closed;
    }
    await using program = Program.fixture("exits.ts");
    const { tcp } = await program.line();
    using client = await RawClient.connect(tcp);
    await client.write("echo ");
    expect(String(await client.readBytes(5))).toBe("echo ");
    await client.write("exit");
    expect(await program.exited).toBe(8);
    // Bun's sockets send written bytes at once. In ringloop the end of the process sends them.
    expect(String(await client.readBytes(4))).toBe("exit");
  });
});

test("a child inherits no descriptor: every one is closed on exec, and a child's list has none", async () => {
  await using program = Program.fixture("everything-open.ts");
  await program.line();
  program.tell("list");
  const { own, child, exitCode } = await program.line();
  expect(exitCode).toBe(0);
  expect(child.filter((line: string) => !line.endsWith("/fd"))).toEqual([]);
  const kinds = own.filter(({ target }: { target: string }) => /socket|io_uring|eventfd/.test(target));
  expect(kinds.length).toBeGreaterThan(isBun ? 4 : 6);
  expect(kinds.filter(({ closeOnExec }: { closeOnExec: boolean }) => !closeOnExec)).toEqual([]);
});

describe("a Worker that is terminated while it serves", () => {
  /** Ends Workers under load, one by one. Returns the number of descriptors after each of them. */
  async function terminateWorkers(rounds: number): Promise<number[]> {
    await using program = Program.fixture("terminates-workers.ts");
    const first = await program.line();
    /** Sends requests on new connections again and again. */
    const ask = async (port: number, over: AbortSignal, seen: { served: number }): Promise<void> => {
      while (!over.aborted) {
        using client = await RawClient.connect(port);
        await client.write(get("/"));
        await client.readResponse();
        seen.served++;
      }
    };
    /** Sends requests on one connection until the connection ends. */
    const askToTheEnd = async (client: RawClient, seen: { served: number }): Promise<void> => {
      using _ = client;
      for (; ; seen.served++) {
        await client.write(get("/"));
        try {
          await client.readResponse();
        } catch {
          return;
        }
      }
    };
    const all = new AbortController();
    const lasting = [first.own, first.other].map((port) => ({ port, seen: { served: 0 } }));
    const loads = lasting.map(({ port, seen }) => ask(port, all.signal, seen));
    const counts: number[] = [];
    let { port } = first;
    for (let round = 0; round < rounds; round++) {
      const seen = { served: 0 };
      const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.connect(port)));
      const own = clients.map((client) => askToTheEnd(client, seen));
      while (seen.served < 50) await new Promise((resolve) => setImmediate(resolve));
      // The Worker is in the middle of files, because these clients stop reading.
      const readers = await Promise.all(Array.from({ length: 3 }, () => RawClient.connect(port)));
      for (const reader of readers) {
        await reader.write(get("/large"));
        await reader.readBytes(1000);
        reader.socket.pause();
      }
      program.tell("next");
      const next = await program.line();
      // The other clients still get answers afterwards.
      const before = lasting.map(({ seen }) => seen.served);
      while (lasting.some(({ seen }, i) => seen.served < before[i]! + 20))
        await new Promise((resolve) => setImmediate(resolve));
      await Promise.all(own);
      for (const reader of readers) reader[Symbol.dispose]();
      counts.push(next.descriptors);
      ({ port } = next);
    }
    all.abort();
    await Promise.all(loads);
    program.tell("end");
    expect(await program.exited).toBe(0);
    return counts;
  }

  test("leaves the others serving", async () => {
    expect(await terminateWorkers(3)).toHaveLength(3);
  });

  test("leaves no descriptor", async () => {
    const counts = await terminateWorkers(8);
    expect(Math.min(...counts.slice(-3))).toBeLessThan(Math.max(...counts.slice(0, 3)) + 4);
  });
});

test("a Worker that is terminated while it accepts leaves no connection open and keeps no memory", async () => {
  await using program = Program.fixture("blocked-worker.ts");
  const { port, descriptors } = await program.line();
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(port)));
  program.tell("all are connected");
  const hangs = await program.line();
  program.tell("end");
  const ended = await program.line();
  // The Worker had 64 MiB to send.
  if (!isBun) expect(hangs.residentBytes - ended.residentBytes).toBeGreaterThan(60 << 20);
  expect(ended.descriptors).toBeLessThanOrEqual(descriptors);
  await Promise.all(clients.map(({ closed }) => closed));
  for (const client of clients) client[Symbol.dispose]();
  expect(await program.exited).toBe(0);
});

test("an error that nobody catches ends the process, and is shown where it was thrown", async () => {
  const { exitCode, stderr } = await attempt([process.execPath, fixture("throws-uncaught.ts")]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain("error: nobody catches this");
  expect(stderr).toMatch(/at atFault \(.*throws-uncaught\.ts:6:/);
});

describe("a handler that throws, with nobody but the process to catch it, harms nobody else:", () => {
  const uncaughtOf = async (port: number): Promise<{ uncaught: string[]; refuses: boolean; slots: number }> =>
    JSON.parse((await ask(port, get("/", "Connection: close"))).text);

  /**
   * Waits for the expected uncaught errors. Then the server must still serve, and nothing is left.
   */
  async function survives(ports: { http: number; tcp: number }, slots: number, expected: string[]): Promise<void> {
    let state = await uncaughtOf(ports.http);
    while (state.uncaught.length < expected.length || state.slots > slots) state = await uncaughtOf(ports.http);
    expect(state.uncaught).toEqual(expected);
    using client = await RawClient.connect(ports.tcp);
    await client.write("alive");
    expect(String(await client.readBytes(5))).toBe("alive");
  }

  for (const way of ["data", "reject", "end", "close", "drain"]) {
    test(`${way} of a socket`, async () => {
      await using program = Program.fixture("throwing.ts");
      const ports = await program.line();
      const { slots } = await uncaughtOf(ports.http);
      {
        using client = await RawClient.connect(ports.tcp);
        if (way === "drain") client.socket.pause(); // It must not take everything meanwhile.
        await client.write(way);
        if (way === "drain") {
          while (!(await uncaughtOf(ports.http)).refuses);
          client.socket.resume();
        }
        if (way === "end" || way === "close") await client.readBytes(way.length);
        if (way === "drain") await client.readBytes(1_000_000);
        if (way === "end") client.end();
        if (way === "drain") while ((await uncaughtOf(ports.http)).uncaught.length === 0);
      }
      await survives(ports, slots, [way]);
    });
  }

  test("open of a socket", async () => {
    await using program = Program.fixture("throwing.ts");
    const ports = await program.line();
    const { slots } = await uncaughtOf(ports.http);
    await ask(ports.http, get("/opens-throw", "Connection: close"));
    {
      using client = await RawClient.connect(ports.tcp);
      while ((await uncaughtOf(ports.http)).uncaught.length === 0);
      client.reset();
    }
    await ask(ports.http, get("/opens-serve", "Connection: close"));
    await survives(ports, slots, ["open"]);
  });

  test("fetch, at once and later: 500, and the connection goes on", async () => {
    await using program = Program.fixture("throwing.ts");
    const ports = await program.line();
    const { slots } = await uncaughtOf(ports.http);
    {
      using client = await RawClient.connect(ports.http);
      for (const path of ["/throws", "/rejects", "/throws"]) {
        await client.write(get(path));
        expect((await client.readResponse()).status).toBe(500);
      }
      await client.write(get("/"));
      expect((await client.readResponse()).status).toBe(200);
    }
    // The server reports the errors of its handlers, so they are not uncaught.
    await survives(ports, slots, []);
  });

  test.each(["/pull", "/pull-later"])(
    "%s of a stream: the answer is cut off, and not ended as if it were whole",
    async (path) => {
      await using program = Program.fixture("throwing.ts");
      const ports = await program.line();
      const { slots } = await uncaughtOf(ports.http);
      {
        using client = await RawClient.connect(ports.http);
        await client.write(get(path));
        expect(await rejection(client.readResponse())).toMatchObject({ message: expect.stringMatching(/closed/) });
        await client.closed;
      }
      let state = await uncaughtOf(ports.http);
      while (state.slots > slots) state = await uncaughtOf(ports.http);
      expect((await ask(ports.http, get("/"))).status).toBe(200);
    },
    10_000,
  );
});

test("a hot reload keeps connections, which have the new handlers: HTTP, WebSocket, sockets", async () => {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-life-"));
  const path = join(directory, "program.ts");
  const text = readFileSync(fixture("hot-open.ts"), "utf8").replace(
    '"../subject.ts"',
    JSON.stringify(join(import.meta.dir, "subject.ts")),
  );
  const write = (version: string): void => writeFileSync(path, text.replace("VERSION", version));
  const free = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { data() {} } });
  const { port } = free;
  free.stop(true);
  try {
    write("first");
    await using program = new Program([process.execPath, "--hot", path], { PORT: String(port) });
    const { echoPort } = await program.line();
    using http = await RawClient.connect(port);
    using webSocket = await WebSocketClient.open(port);
    using echo = await RawClient.connect(echoPort);
    const all = async (): Promise<string[]> => {
      await http.write(get("/"));
      webSocket.send(frame(1, "text"));
      await echo.write("bytes");
      const answers = [(await http.readResponse()).text, (await webSocket.next())[1]];
      return [...answers, await echo.readUntil("bytes")];
    };
    expect(await all()).toEqual(["first", "first text", "first bytes"]);
    for (let round = 0; round < 3; round++) {
      write(`again ${round}`);
      await program.text(`"again ${round}"`); // A program may reload twice for one change.
      expect(await all()).toEqual([`again ${round}`, `again ${round} text`, `again ${round} bytes`]);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
