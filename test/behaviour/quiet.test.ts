/**
 * A quiet process, because other traffic would hide errors:
 *
 * - clients that leave while a handler or a stream is still at work;
 * - deadlines that are set while the event loop sleeps;
 * - answers that are complete while other handlers run;
 * - a thread that stands still.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, Program } from "./process.ts";
import { quietly } from "./quietly.ts";
import { RawClient } from "./raw-client.ts";
import { isBun, serve, subject } from "./subject.ts";

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: test\r\n\r\n`;

let program: Program;
let ports: { http: number; tcp: number };

beforeEach(async () => {
  program = Program.fixture("quiet.ts");
  ports = await program.line();
});
afterEach(() => program[Symbol.asyncDispose]());

describe("a client that ends its side", () => {
  for (const path of ["/sync", "/promise", "/immediate"])
    test(`gets the answer of a handler that answers at once: ${path}`, async () => {
      using client = await RawClient.connect(ports.http);
      await client.write(get(path));
      client.end();
      expect((await client.readResponse()).text).toEndWith(path.slice(path === "/sync" ? 0 : 1));
      expect(await client.closed).toBe("end");
    });

  test("gets the answers to all that it has asked, if each comes at once", async () => {
    using client = await RawClient.connect(ports.http);
    await client.write(get("/a") + get("/promise") + get("/c"));
    client.end();
    const texts = [];
    for (let i = 0; i < 3; i++) texts.push((await client.readResponse()).text);
    expect(texts).toEqual(["/a", "promise", "/c"]);
  });

  test("has left for a handler that waits: its signal aborts, and the request is over", async () => {
    using client = await RawClient.connect(ports.http);
    await client.write(get("/never?tell&unlimited"));
    client.end();
    expect(await program.line()).toEqual({ abort: "/never" });
    expect(await client.closed).toBe("end");
    program.tell("pending");
    expect(await program.line()).toEqual({ pending: 0 });
  });

  test("has left for a stream that is silent: it is cancelled, and what was written before arrives", async () => {
    using client = await RawClient.connect(ports.http);
    await client.write(get("/silent?tell&unlimited"));
    client.end();
    const heard = [await program.line(), await program.line()];
    expect(heard).toContainEqual({ abort: "/silent" });
    expect(heard).toContainEqual({ cancel: "/silent" });
    expect((await client.readToEnd()).toString()).toContain("first");
  });

  test("holds up no stop()", async () => {
    using one = await RawClient.connect(ports.http);
    using other = await RawClient.connect(ports.http);
    await one.write(get("/never?tell&unlimited"));
    await other.write(get("/silent?unlimited"));
    await other.readUntil("first");
    program.tell("stop");
    one.end();
    other.end();
    const heard = [await program.line(), await program.line(), await program.line()];
    expect(heard).toContainEqual({ stopped: true });
  });
});

describe("a deadline on a quiet process", () => {
  test("counts from when it is set: a stream that goes on is not cut", async () => {
    using client = await RawClient.connect(ports.http);
    await client.write(get("/lines"));
    expect((await client.readResponse()).text).toBe("0;1;2;3;");
  });

  test("is none where the program has set none", async () => {
    using client = await RawClient.connect(ports.http);
    await client.write(get("/late?unlimited"));
    expect((await client.readResponse()).text).toBe("the report");
  });

  test("of a socket comes when it was set from a timer, and what its handler writes leaves", async () => {
    using client = await RawClient.connect(ports.tcp);
    await client.write("timeout");
    expect((await client.readBytes(10)).toString()).toBe("it is over");
  });
});

describe("what is finished", () => {
  test("leaves before other handlers are done", async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => RawClient.connect(ports.http)));
    // All requests come at once, after one whose handler blocks the thread.
    const times = await Promise.all(
      clients.map(async (client) => {
        const start = performance.now();
        await client.write(get("/hold?ms=40"));
        const { text } = await client.readResponse();
        return [Number(text), performance.now() - start] as const;
      }),
    );
    const byOrder = times.toSorted(([a], [b]) => a - b).map(([, ms]) => ms);
    // If the server delayed answers, all would arrive together with the last one.
    expect(byOrder[2]! / byOrder[7]!).toBeLessThan(0.75);
    for (const client of clients) client[Symbol.dispose]();
  });

  test("is not lost to stop(true)", async () => {
    using holder = await RawClient.connect(ports.http);
    using early = await RawClient.connect(ports.http);
    using stopper = await RawClient.connect(ports.http);
    await holder.write(get("/hold?ms=100"));
    await early.write(get("/early"));
    await stopper.write(get("/stop"));
    expect((await holder.readResponse()).text).toBe("0");
    expect((await early.readResponse()).text).toBe("/early");
  });
});

// Bun serves the requests in most runs, but sometimes it closes the idle connections first.
test.skipIf(isBun)(
  "a thread that stands still for longer than idleTimeout serves what has come meanwhile",
  async () => {
    const clients = await Promise.all(Array.from({ length: 3 }, () => RawClient.connect(ports.http)));
    for (const client of clients) {
      await client.write(get("/first"));
      await client.readResponse();
    }
    process.kill(program.pid, "SIGSTOP");
    for (const client of clients) await client.write(get("/second"));
    using fresh = await RawClient.connect(ports.http);
    await fresh.write(get("/fresh"));
    await Bun.sleep(3000); // Three times idleTimeout. The test is about time.
    process.kill(program.pid, "SIGCONT");
    for (const client of clients) expect((await client.readResponse()).text).toBe("/second");
    expect((await fresh.readResponse()).text).toBe("/fresh");
    // The same with a handler that blocks for the same time.
    await fresh.write(get("/hold?ms=3000"));
    for (const client of clients) await client.write(get("/third"));
    for (const client of clients) expect((await client.readResponse()).text).toBe("/third");
    for (const client of clients) client[Symbol.dispose]();
  },
);

describe("an error of a handler that nobody catches", () => {
  test("is the exit code of the process", async () => {
    using client = await RawClient.connect(ports.http);
    await client.write(get("/throw"));
    expect((await client.readResponse()).status).toBe(500);
    program.tell("stop");
    client.end();
    // The process ends by itself, without process.exit().
    const script = `
      const { serve } = await import(${JSON.stringify(join(import.meta.dir, "subject.ts"))});
      const server = serve({ port: 0, hostname: "127.0.0.1", fetch() { throw new Error("nobody catches this"); } });
      console.log((await fetch(server.url)).status);
      await server.stop(true);`;
    const { stdout, stderr, exitCode } = await attempt([process.execPath, "-e", script]);
    expect([stdout, exitCode]).toEqual(["500\n", 1]);
    expect(stderr).toContain("nobody catches this");
  });

  test("makes the test in which it comes fail", async () => {
    const directory = mkdtempSync(join(tmpdir(), "ringloop-red-"));
    const name = join(directory, "red.test.ts");
    writeFileSync(
      name,
      `import { test } from "bun:test";
       import { serve } from ${JSON.stringify(join(import.meta.dir, "subject.ts"))};
       test("red", async () => {
         const server = serve({ port: 0, hostname: "127.0.0.1", fetch() { throw new Error("nobody catches this"); } });
         await fetch(server.url);
         await server.stop(true);
       });`,
    );
    expect((await attempt([process.execPath, "test", name])).exitCode).toBe(1);
    rmSync(directory, { recursive: true });
  });

  test("does not reach a listener of uncaughtException, whose client has its 500", async () => {
    const heard: unknown[] = [];
    const listener = (error: unknown): void => void heard.push(error);
    const { exitCode } = process;
    const print = console.error;
    console.error = () => {};
    process.on("uncaughtException", listener);
    try {
      if (isBun) return; // Bun counts the error for this process, too.
      using server = serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch() {
          throw new Error("nobody catches this");
        },
      });
      expect((await fetch(server.url)).status).toBe(500);
      expect(heard).toEqual([]);
    } finally {
      process.off("uncaughtException", listener);
      console.error = print;
      process.exitCode = exitCode ?? 0;
    }
  });
});

test.skipIf(isBun)(`what nobody foresees is a 500, and the server goes on (${subject})`, async () => {
  using server = serve({ port: 0, hostname: "127.0.0.1", routes: { "/route": new Response("route") } });
  const inside = server as unknown as { heads: { date(): string } };
  const { date } = inside.heads;
  using client = await RawClient.connect(server.port);
  const reported = await quietly(async () => {
    let failures = 0;
    inside.heads.date = () => {
      if (failures++ === 0) throw new Error("unforeseen");
      return date.call(inside.heads);
    };
    await client.write(get("/route"));
    expect((await client.readResponse()).status).toBe(500);
    expect(await client.closed).toBe("end");
  });
  expect(reported.map(String)).toEqual(["Error: unforeseen"]);
  using other = await RawClient.connect(server.port);
  await other.write(get("/route"));
  expect((await other.readResponse()).text).toBe("route");
});
