/** The process whose sockets the ring serves: when it ends, what else runs in it, and its costs. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReactorStats } from "../../src/index.ts";
import { fixture, Program, run } from "./process.ts";
import { ask, RawClient } from "./raw-client.ts";
import { isBun, subject } from "./subject.ts";

const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");
const register = join(import.meta.dir, "../../src/register.ts");

/** Resolves when the server's reactor has slept twice with nothing else to do. */
async function parked(port: number): Promise<void> {
  const parks = async (): Promise<number> =>
    JSON.parse((await ask(port, get("/stats", "Connection: close"))).text).parks;
  for (const enough = (await parks()) + 2; (await parks()) < enough;) await Bun.sleep(20);
}

/**
 * Returns user and system time of a process in clock ticks (proc(5)), with the kernel threads that
 * work for it.
 */
function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Returns how often the JavaScript thread of a process has gone to sleep (proc(5)). */
function sleeps(pid: number): number {
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))![1]);
}

describe("a process", () => {
  test("ends by itself when everything is closed", async () => {
    await using program = Program.fixture("closes-everything.ts");
    expect(await program.line()).toBe("closed");
    expect(await program.exited).toBe(0);
  });

  test("ends by itself when nothing open is referenced", async () => {
    await using program = Program.fixture("unreferenced.ts");
    expect(await program.line()).toBe("unreferenced");
    expect(await program.exited).toBe(0);
  });

  for (const [name, env] of [
    ["a server", {}],
    ["a server with ref() after unref()", { TEST_REFERENCE_AGAIN: "1" }],
  ] as const) {
    test(`is kept alive by ${name}`, async () => {
      await using program = Program.fixture("server.ts", env);
      const { port } = await program.line();
      if (!isBun) await parked(port);
      expect((await ask(port, get("/"))).text).toBe("served");
      expect(program.running).toBe(true);
      await program.stop();
    });
  }

  test("that is idle uses no CPU, with connections open", async () => {
    await using program = Program.fixture("server.ts");
    const { port } = await program.line();
    const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(port)));
    for (const client of clients) {
      await client.write(get("/"));
      await client.readResponse();
    }
    const stats = async (): Promise<ReactorStats> => {
      await clients[0]!.write(get("/stats"));
      return JSON.parse((await clients[0]!.readResponse()).text);
    };
    const first = await stats();
    await Bun.sleep(100); // The SQ thread spins for 10 ms before it sleeps.
    const before = { ticks: cpuTicks(program.pid), sleeps: sleeps(program.pid) };
    await Bun.sleep(3000);
    // Bun's garbage collector wakes up about ten times a second, for a millisecond each.
    expect(sleeps(program.pid) - before.sleeps).toBeLessThanOrEqual(100);
    expect(cpuTicks(program.pid) - before.ticks).toBeLessThanOrEqual(5);
    // The ring wakes the process, because nothing else happens. `npm run bench` measures how fast.
    const second = await stats();
    // One wake-up is for the second question. On a busy machine there may be more, for work of the
    // first question that was not finished when the reactor went to sleep.
    if (!isBun) expect(second.wakeups - first.wakeups).toBeWithin(1, 4);
    expect((await ask(port, get("/"))).text).toBe("served");
    for (const client of clients) client[Symbol.dispose]();
    await program.stop();
  });

  for (const [path, what] of [
    ["/", "one request after the other"],
    ["/later", "from Bun's loop"],
  ] as const)
    // In sqpoll, how many turns pass until the SQ thread has done its work depends on the machine.
    test.skipIf(subject !== "defer")(`that answers ${what} takes one turn for each request`, async () => {
      await using program = Program.fixture("server.ts");
      const { port } = await program.line();
      using client = await RawClient.connect(port);
      const answerTo = async (target: string): Promise<string> => {
        await client.write(get(target));
        return (await client.readResponse()).text;
      };
      const stats = async (): Promise<ReactorStats> => JSON.parse(await answerTo("/stats"));
      const requests = 300;
      const turnsForEach = async (): Promise<number> => {
        const before = await stats();
        for (let i = 0; i < requests; i++) await answerTo(path);
        const after = await stats();
        // A request is a receive and a send. Other completions end a turn: timers, and Bun's work.
        const others = after.cqes - before.cqes - 2 * (requests + 1);
        return (after.turns - before.turns - others) / requests;
      };
      // A turn also ends if another process has had the processor for too long.
      const rounds = [await turnsForEach(), await turnsForEach(), await turnsForEach()];
      expect(Math.min(...rounds)).toBeLessThan(1.1);
    });

  test("that serves all it can still runs timers, fetch, files, children and Workers", async () => {
    await using program = Program.fixture("under-load.ts");
    const { port } = await program.line();
    using other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("other") });
    const load = run(["wrk", "-t1", "-c50", "-d2s", `http://127.0.0.1:${port}/`]);
    // Lateness of timers on this machine at present, in a process without other work.
    const usualMs: number[] = [];
    const asked = ask(port, get(`/measure?other=${encodeURIComponent(other.url.href)}`));
    while (Bun.peek.status(asked) === "pending") {
      const before = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 20));
      usualMs.push(performance.now() - before - 20);
    }
    const { rounds, served, lateMs } = JSON.parse((await asked).text);
    const limitMs = 20 + 5 * usualMs.toSorted((a, b) => a - b)[usualMs.length >> 1]!;
    // There was load: more than one request for each connection.
    expect(served).toBeGreaterThan(50);
    expect(rounds).toBeGreaterThan(1);
    // The limit for the median is generous, because the load generator uses the same cores. bench/
    // measures the exact values.
    for (const name of ["timer", "sleep", "immediate"]) {
      expect([name, lateMs[name] < limitMs, lateMs[name]]).toEqual([name, true, lateMs[name]]);
      expect(lateMs[name]).toBeGreaterThan(-2);
    }
    expect((await load).stdout).toContain("Requests/sec");
    await program.stop();
  });

  for (const way of ["data", "resume", "timeout"]) {
    test(`whose ${way} handlers throw has uncaught errors, and leaves no socket behind`, async () => {
      await using program = Program.fixture("uncaught.ts", { TEST_WAY: way });
      const { uncaught, reached } = await program.line();
      // Bun receives all bytes at once, so nothing is left for `resume`.
      if (!isBun || way !== "resume") expect(uncaught).toBeGreaterThan(0);
      expect(reached).toBe(20);
      expect(await program.exited).toBe(0);
    });
  }

  test("has a reactor for each Worker that serves", async () => {
    await using program = Program.fixture("two-workers.ts");
    const { texts, ownCompletions } = await program.line();
    const ofWorker = `worker off main, ${subject}, own reactor`;
    expect(texts).toEqual([...Array<string>(40).fill(ofWorker), "main"]);
    expect(await program.exited).toBe(0);
    // 40 requests make at least 80 completions in the thread that serves them.
    if (!isBun) expect(ownCompletions).toBeLessThan(80);
  });
});

describe("system calls", () => {
  test("for connections are io_uring's, not epoll's", async () => {
    const directory = mkdtempSync(join(tmpdir(), "ringloop-test-"));
    const trace = join(directory, "trace");
    try {
      // -D: the server is the child of this process, and strace ends with the server.
      const command = [
        "strace",
        "-D",
        "-f",
        "-e",
        "trace=epoll_ctl,io_uring_enter",
        "-o",
        trace,
        process.execPath,
        fixture("server.ts"),
      ];
      await using program = new Program(command);
      const { port } = await program.line();
      const calls = (name: string): number => readFileSync(trace, "latin1").split(`${name}(`).length - 1;
      const comeAndGo = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) expect((await ask(port, get("/", "Connection: close"))).text).toBe("served");
      };
      await comeAndGo(20);
      const before = calls("epoll_ctl");
      await comeAndGo(200);
      const grown = calls("epoll_ctl") - before;
      // Bun adds a descriptor for each connection, and sometimes changes it.
      if (isBun) expect(grown).toBeGreaterThanOrEqual(200);
      else {
        // After each wake-up the eventfd is added again, on a busy machine several times in ten
        // connections. For a connection nothing is added.
        expect(grown).toBeLessThan(100);
        expect(calls("io_uring_enter")).toBeGreaterThan(0);
      }
      await program.stop();
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

// The following tests are about ringloop's preload and its reactor.
describe.skipIf(isBun)("the preload", () => {
  /** Whether the ring serves. It answers an unknown expectation differently from Bun. */
  const isServedByRing = async (port: number): Promise<boolean> => {
    const { status, text } = await ask(port, get("/", "Expect: tea"));
    if (status === 417) return true;
    expect({ status, text }).toEqual({ status: 200, text: "served" });
    return false;
  };
  const preloaded = (env: Record<string, string> = {}): Program =>
    new Program([process.execPath, "--preload", register, fixture("unmodified.ts")], env);

  for (const way of ["property", "import"]) {
    test(`redirects an unmodified program's serve, taken as ${way}`, async () => {
      await using program = preloaded({ TEST_SERVE_AS: way });
      const { port } = await program.line();
      expect((await ask(port, get("/"))).text).toBe("served");
      expect(await isServedByRing(port)).toBe(true);
      await program.stop();
    });
  }

  test("redirects the serve of a Worker that is given it", async () => {
    await using program = Program.fixture("worker-serves.ts", { TEST_PRELOAD: register });
    const { port } = await program.line();
    expect(await isServedByRing(port)).toBe(true);
    await program.stop();
  });

  test("redirects an unmodified program's Bun.listen", async () => {
    await using program = preloaded();
    const { listenPort } = await program.line();
    using client = await RawClient.connect(listenPort);
    await client.write("socket is a");
    expect((await client.readToEnd()).toString()).toBe("socket is a Socket");
    await program.stop();
  });

  test("redirects an unmodified program's Bun.connect and Bun.udpSocket", async () => {
    await using program = new Program([process.execPath, "--preload", register, fixture("unmodified-sockets.ts")]);
    expect(await program.line()).toEqual({ answers: ["stream", "datagram"], kinds: ["Socket", "UdpSocket"] });
    expect(await program.exited).toBe(0);
  });

  test("leaves a program to Bun where the ring cannot be had, with a warning for each function", async () => {
    await using program = preloaded({ RINGLOOP_LIBRARY: "/nonexistent.so" });
    const { port, listenPort } = await program.line();
    expect(await isServedByRing(port)).toBe(false);
    using client = await RawClient.connect(listenPort);
    await client.write("by");
    expect((await client.readToEnd()).toString()).toStartWith("by ");
    await program.stop();
    const warnings = (await program.stderr).trim().split("\n");
    expect(warnings).toHaveLength(2);
    for (const [i, name] of ["serve", "listen"].entries())
      expect(warnings[i]).toStartWith(
        `ringloop: ${name} runs on Bun's own, because the shared object /nonexistent.so does not exist`,
      );
  });

  test("reaches the Bun processes that a program starts", async () => {
    await using program = preloaded({ TEST_SPAWN: "1" });
    const parent = await program.line();
    const child = await program.line();
    expect(await isServedByRing(parent.port)).toBe(true);
    expect(await isServedByRing(child.port)).toBe(true);
    expect(await program.stop()).toBe(0);
  });

  test("does nothing with RINGLOOP=off", async () => {
    await using program = preloaded({ RINGLOOP: "off", RINGLOOP_LOG: "1" });
    const { port } = await program.line();
    expect(await isServedByRing(port)).toBe(false);
    await program.stop();
    expect(await program.stderr).toBe("");
  });

  test("says one line with RINGLOOP_LOG=1, and nothing without", async () => {
    for (const log of ["1", ""]) {
      await using program = preloaded({ RINGLOOP_LOG: log });
      await program.line();
      await program.stop();
      if (log === "") expect(await program.stderr).toBe("");
      else expect(await program.stderr).toMatch(/^ringloop: [^\n]+\n$/);
    }
  });
});

describe("a hot reload", () => {
  /**
   * Runs a fixture under `bun --hot`, and changes its text once while it runs. Returns the output
   * of each run, and the answers.
   */
  async function reload(name: string, env: Record<string, string> = {}) {
    const directory = mkdtempSync(join(tmpdir(), "ringloop-test-"));
    const path = join(directory, "program.ts");
    const text = readFileSync(fixture(name), "utf8").replace(
      '"../subject.ts"',
      JSON.stringify(join(import.meta.dir, "subject.ts")),
    );
    const write = (version: string): void => writeFileSync(path, text.replace("VERSION", version));
    try {
      write("first");
      await using program = new Program([process.execPath, "--hot", path], env);
      const first = await program.line();
      const firstAnswer = (await ask(first.port, get("/"))).text;
      write("second");
      const second = await program.line();
      const secondAnswer = (await ask(second.port, get("/"))).text;
      await program.stop();
      return { runs: [first, second], answers: [firstAnswer, secondAnswer] };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  test("of a program that stops its server serves on the same port, on the same reactor", async () => {
    const { runs, answers } = await reload("hot.ts");
    expect(answers).toEqual(["first", "second"]);
    expect(runs[0]).toMatchObject({ version: "first", reloads: 0, sameReactor: true });
    expect(runs[1]).toMatchObject({ version: "second", reloads: 1, sameReactor: true, port: runs[0].port });
  });

  // A second serve() on the same port is an EADDRINUSE in ringloop. Bun's serve() under --hot
  // reloads the first server.
  test("of a program that calls serve() again serves with the new handler", async () => {
    using free = Bun.listen({ port: 0, hostname: "127.0.0.1", socket: { data() {} } });
    const port = free.port;
    free.stop(true);
    const { answers } = await reload("hot-again.ts", { PORT: String(port) });
    expect(answers).toEqual(["first", "second"]);
  });
});
