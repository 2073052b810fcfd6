/**
 * The metrics of a server's process, read from the socket that it shows them on, after exactly known
 * traffic. And `ringloop top` on such a process.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exposeMetrics, metrics, metricsContentType } from "../../src/metrics/index.ts";
import { attempt, fixture, Program } from "./process.ts";
import { readPrometheusText, valuesOf } from "./prometheus-text.ts";
import { RawClient } from "./raw-client.ts";
import { isBun, subject } from "./subject.ts";
import { closing, frame, handshake, handshakeFields, WebSocketClient } from "./websocket-client.ts";

type Numbers = Record<string, number>;

const LOOKS_MAX = 500;
const cli = join(import.meta.dir, "../../src/cli.ts");
let directory: string;
let path: string;
let program: Program;
let ports: Record<"http" | "node" | "full" | "blocking" | "echo" | "udp", number>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "ringloop-metrics-"));
  path = join(directory, "metrics.sock");
  if (isBun) return;
  program = Program.fixture("metrics-server.ts", { RINGLOOP_METRICS: path });
  ports = await program.line();
  while (!existsSync(path)) await new Promise((resolve) => setImmediate(resolve));
});
afterAll(async () => {
  await program?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const get = (at: string, what = "metrics"): Promise<Response> =>
  fetch(`http://localhost/${what}`, { unix: at, keepalive: false });

async function numbers(): Promise<Numbers> {
  return valuesOf(readPrometheusText(await (await get(path)).text()));
}

/** Returns what has changed, without the ring's own counters, which depend on the time. */
function changes(before: Numbers, after: Numbers): Numbers {
  const differences = Object.entries(after).map(([name, value]): [string, number] => [
    name.replace(/^ringloop_/, ""),
    value - (before[name] ?? 0),
  ]);
  return Object.fromEntries(differences.filter(([name, value]) => value !== 0 && !name.startsWith("reactor_")));
}

/**
 * Expects that `traffic` changes the numbers that `isMeant` names by `expected`. A send may complete
 * after its bytes were read, so the numbers may come a little later.
 */
async function expectChanges(
  traffic: () => Promise<unknown>,
  expected: Numbers,
  isMeant: (name: string) => boolean = () => true,
): Promise<void> {
  const before = await numbers();
  await traffic();
  let found: Numbers = {};
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    found = Object.fromEntries(Object.entries(changes(before, await numbers())).filter(([name]) => isMeant(name)));
    if (Bun.deepEquals(found, expected)) return;
  }
  expect(found).toEqual(expected);
}

/** Sends bytes to a server, which ends the connection. Returns the answer, one character a byte. */
async function send(port: number, bytes: string): Promise<string> {
  using client = await RawClient.connect(port);
  await client.write(bytes);
  return (await client.readToEnd()).toString("latin1");
}

const request = (target: string, more = ""): string => `GET ${target} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const last = (target: string): string => request(target, "Connection: close\r\n");

/** The bytes of an exchange on one connection of its own. */
const exchanged = (sent: string, answer: string): Numbers => ({
  accepts_total: 1,
  'received_bytes_total{transport="stream"}': sent.length,
  'sent_bytes_total{transport="stream"}': answer.length,
});

describe.skipIf(isBun)("the metrics of a process", () => {
  // The end of a test's connections must not count in the next test.
  afterEach(async () => {
    const isOpen = ([name, value]: [string, number]): boolean => name.startsWith("ringloop_connections{") && value > 0;
    while (Object.entries(await numbers()).some(isOpen));
  });

  test("are Prometheus' text, of the mode that the ring runs in", async () => {
    const response = await get(path);
    expect(response.headers.get("content-type")).toBe(metricsContentType);
    const found = valuesOf(readPrometheusText(await response.text()));
    expect(Object.keys(found)[0]).toContain(`mode="${subject}"`);
    expect(found).toMatchObject({ ringloop_listeners: 5, ringloop_udp_sockets: 1 });
  });

  test("have the same names and numbers as text and as JSON, but for what the looks change", async () => {
    const { metrics: json, pid, program: file } = (await (await get(path, "json")).json()) as any;
    expect({ pid, file }).toEqual({ pid: program.pid, file: fixture("metrics-server.ts") });
    const text = await numbers();
    expect(Object.keys(json)).toEqual(Object.keys(text));
    expect(changes(json, text)).toEqual({});
  });

  test("show fallbacks with their reason, whatever characters it has", async () => {
    expect(await numbers()).toMatchObject({
      [`ringloop_fallbacks_total{function="listen",reason=${JSON.stringify('the ring does not serve the option "tls"')}}`]: 2,
    });
  });

  for (const [what, target, status] of [
    ["a short text", "/text", "2xx"],
    ["a response of a route", "/static", "2xx"],
    ["a stream", "/stream", "2xx"],
    ["a stream that ends at once", "/short", "2xx"],
    ["a file", "/file", "2xx"],
    ["a large file", "/large", "2xx"],
    ["a status 201", "/201", "2xx"],
    ["a redirect", "/302", "3xx"],
    ["a status 404", "/404", "4xx"],
    ["a status 503", "/503", "5xx"],
  ] as const)
    test(`count ${what} once, with all bytes`, async () => {
      let answer = "";
      const expected: Numbers = { [`http_requests_total{class="${status}"}`]: 1 };
      const traffic = async (): Promise<void> => {
        answer = await send(ports.http, last(target));
        Object.assign(expected, exchanged(last(target), answer));
      };
      await expectChanges(traffic, expected);
      expect(answer).toStartWith(`HTTP/1.1 ${status[0]}`);
    });

  test("count each of several requests on one connection, of a fetch too", async () => {
    const before = await numbers();
    for (let i = 0; i < 10; i++)
      await (await fetch(`http://127.0.0.1:${ports.http}/text`, { keepalive: false })).text();
    await send(ports.http, `${request("/text")}${request("/404")}${last("/text")}`);
    const found = changes(before, await numbers());
    expect(found).toMatchObject({ 'http_requests_total{class="2xx"}': 12, 'http_requests_total{class="4xx"}': 1 });
  });

  const chunked = "Transfer-Encoding: chunked\r\n";
  for (const [status, reason, bytes] of [
    ["400", "request_line", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["400", "field", "GET / HTTP/1.1\r\nHost : x\r\n\r\n"],
    ["400", "host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"],
    ["400", "host", "GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["400", "content_length", request("/text", "Content-Length: x\r\n")],
    ["400", "transfer_encoding", request("/text", `Content-Length: 1\r\n${chunked}`)],
    ["400", "body", `${request("/text", chunked)}x`],
    ["408", "head", "GET / HTTP/1.1\r\nHo"],
    ["413", "content_length", request("/text", "Content-Length: 101\r\n")],
    ["413", "body", `${request("/text", chunked)}65\r\n${"a".repeat(101)}`],
    ["414", "target", `GET /${"a".repeat(2000)}`],
    ["417", "expect", request("/text", "Expect: everything\r\n")],
    ["431", "head", request("/text", `A: ${"a".repeat(2000)}\r\n`)],
    ["431", "trailers", `${request("/text", chunked)}0\r\n${"A: a\r\n".repeat(199)}`],
    ["501", "method", "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["501", "transfer_encoding", request("/text", "Transfer-Encoding: gzip, chunked\r\n")],
    ["505", "version", "GET / HTTP/2.0\r\nHost: x\r\n\r\n"],
  ] as const)
    test(`count ${JSON.stringify(bytes.slice(0, 60))} as refused with ${status} for its ${reason}`, async () => {
      const expected: Numbers = {
        [`http_requests_total{class="${status[0]}xx"}`]: 1,
        [`http_refusals_total{status="${status}",reason="${reason}"}`]: 1,
      };
      const traffic = async (): Promise<void> => {
        const answer = await send(ports.http, bytes);
        expect(answer).toStartWith(`HTTP/1.1 ${status} `);
        Object.assign(expected, exchanged(bytes, answer));
      };
      await expectChanges(traffic, expected);
    });

  test("count another version of WebSocket as refused with 426", async () => {
    const fields = handshakeFields.map((field) => field.replace("13", "12"));
    const before = await numbers();
    expect(await send(ports.http, handshake(fields))).toStartWith("HTTP/1.1 426 ");
    expect(changes(before, await numbers())).toMatchObject({
      'http_refusals_total{status="426",reason="websocket_version"}': 1,
    });
  });

  for (const [kind, port] of [
    ["http", "http"],
    ["node_http", "node"],
  ] as const)
    test(`count a request of ${kind} that its client leaves as aborted, and before that as waiting`, async () => {
      let client!: RawClient;
      const opened = { accepts_total: 1, 'received_bytes_total{transport="stream"}': request("/never").length };
      const waiting = { ...opened, [`connections{kind="${kind}"}`]: 1, http_requests_waiting: 1 };
      const ask = async (): Promise<void> => {
        client = await RawClient.connect(ports[port]);
        await client.write(request("/never"));
      };
      await expectChanges(ask, waiting);
      const left = { http_aborted_requests_total: 1, [`connections{kind="${kind}"}`]: -1, http_requests_waiting: -1 };
      await expectChanges(async () => client.reset(), left);
    });

  test("count the answers of node:http, and its clients' mistakes by code", async () => {
    const expected: Numbers = { 'http_requests_total{class="4xx"}': 1 };
    await expectChanges(async () => {
      Object.assign(expected, exchanged(last("/404"), await send(ports.node, last("/404"))));
    }, expected);
    for (const [code, bytes] of [
      ["HPE_INVALID_METHOD", "?\r\n\r\n"],
      ["MISSING_HOST", "GET /200 HTTP/1.1\r\n\r\n"],
    ] as const) {
      const refused: Numbers = { [`node_http_refusals_total{code="${code}"}`]: 1 };
      await expectChanges(async () => {
        Object.assign(refused, exchanged(bytes, await send(ports.node, bytes)));
      }, refused);
    }
  });

  for (const [port, reason] of [
    ["full", "max_connections"],
    ["blocking", "block_list"],
  ] as const)
    test(`count connections that node:http drops by ${reason}`, async () => {
      const dropped = { [`node_http_dropped_connections_total{reason="${reason}"}`]: 1, accepts_total: 1 };
      await expectChanges(
        async () => {
          using client = await RawClient.connect(ports[port]);
          await client.write("x");
          await client.closed;
        },
        dropped,
        (name) => !name.startsWith("received_bytes"),
      ); // The byte may come after the end.
    });

  test("count accepts that fail for lack of descriptors", async () => {
    const command = `ulimit -n 64; exec ${process.execPath} ${fixture("metrics-server.ts")}`;
    await using other = new Program(["bash", "-c", command], { RINGLOOP_METRICS: undefined });
    const { echo } = (await other.line()) as typeof ports;
    const clients = await Promise.all(Array.from({ length: 64 }, () => RawClient.connect(echo)));
    let failures = 0;
    while (failures === 0) {
      other.tell("metrics");
      failures = (await other.line())['ringloop_accept_failures_total{reason="descriptors"}'];
    }
    for (const client of clients) client[Symbol.dispose]();
  });

  test("count connections by kind while they are open", async () => {
    const clients: RawClient[] = [];
    const kinds = ["http", "node_http", "socket"].map((kind) => `connections{kind="${kind}"}`);
    const open = async (): Promise<void> => {
      for (const port of [ports.http, ports.node, ports.echo]) clients.push(await RawClient.connect(port));
      await clients[1]!.write("G"); // Servers of node:http see a connection with its first byte.
    };
    const opened = { accepts_total: 3, 'received_bytes_total{transport="stream"}': 1 };
    await expectChanges(open, { ...Object.fromEntries(kinds.map((kind) => [kind, 1])), ...opened });
    const reset = async (): Promise<void> => clients.forEach((client) => client.reset());
    await expectChanges(reset, Object.fromEntries(kinds.map((kind) => [kind, -1])));
  });

  test("count connections that the process opens, and datagrams with their bytes", async () => {
    await expectChanges(async () => program.tell("connect"), { connects_total: 1, accepts_total: 1 });
    const udp = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port: ports.udp } });
    const echoed = {
      datagrams_received_total: 1,
      datagrams_sent_total: 1,
      'received_bytes_total{transport="datagram"}': 5,
      'sent_bytes_total{transport="datagram"}': 5,
    };
    await expectChanges(async () => udp.send("hello"), echoed);
    udp.close();
  });

  /** Expects changes of the WebSockets' numbers alone. */
  const expectWebSocket = (traffic: () => Promise<unknown>, expected: Numbers): Promise<void> =>
    expectChanges(traffic, expected, (name) => /websocket|1xx/.test(name));

  const opened = {
    'connections{kind="websocket"}': 1,
    'http_requests_total{class="1xx"}': 1,
    websocket_upgrades_total: 1,
  };

  const openSocket = (): Promise<WebSocketClient> => WebSocketClient.open(ports.http);

  test("count WebSockets, messages in both directions, and the code of the end", async () => {
    let client!: WebSocketClient;
    await expectWebSocket(async () => (client = await openSocket()), opened);
    const echoed = { websocket_messages_received_total: 3, websocket_messages_sent_total: 3 };
    await expectWebSocket(async () => {
      // A ping is no message, and the fragments of a message are one.
      client.send(frame(1, "a"), frame(9, "ping"), frame(2, "b"), frame(1, "c", { fin: false }), frame(0, "d"));
      for (const opcode of [1, 10, 2, 1]) expect((await client.read()).opcode).toBe(opcode);
    }, echoed);
    const other = await openSocket();
    const published = { websocket_messages_received_total: 1, websocket_messages_sent_total: 2 };
    await expectWebSocket(async () => {
      client.send(frame(1, "publish"));
      await other.read();
    }, published);
    const ended = { 'connections{kind="websocket"}': -1, 'websocket_closes_total{code="1000"}': 1 };
    await expectWebSocket(async () => client.send(frame(8, closing(1000))), ended);
    const left = { 'connections{kind="websocket"}': -1, 'websocket_closes_total{code="4xxx"}': 1 };
    await expectWebSocket(async () => other.send(frame(8, closing(4321))), left);
    client[Symbol.dispose]();
    other[Symbol.dispose]();
  });

  test("count a message that is dropped, because the client of a WebSocket does not read", async () => {
    const before = await numbers();
    const client = await openSocket();
    client.raw.socket.pause();
    client.send(frame(1, "flood"));
    while (changes(before, await numbers()).websocket_dropped_frames_total !== 1);
    client[Symbol.dispose]();
    // The connection may be gone before its WebSocket hears of that.
    while (changes(before, await numbers())['websocket_closes_total{code="1006"}'] !== 1);
  });

  for (const [code, what, bytes] of [
    [1002, "an unmasked frame", frame(1, "a", { mask: false })],
    [1007, "invalid UTF-8", frame(1, Uint8Array.of(0xff))],
    [1009, "a message that is too long", frame(2, Buffer.alloc(1001))],
  ] as const)
    test(`count ${what} in a WebSocket as a violation with ${code}`, async () => {
      const { 'connections{kind="websocket"}': _, ...counted } = opened;
      const traffic = async (): Promise<void> => {
        using client = await openSocket();
        client.send(bytes);
        expect(await client.rest()).toEqual([[8, code]]);
      };
      const violated = { [`websocket_violations_total{code="${code}"}`]: 1, 'websocket_closes_total{code="1006"}': 1 };
      await expectWebSocket(traffic, { ...counted, ...violated });
    });

  test("are those of one thread: a Worker has its own", async () => {
    const worker = new Worker(fixture("metrics-worker.ts"));
    const next = <T>(): Promise<T> => new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data as T)));
    const port = await next<number>();
    const ofMain = metrics();
    for (let i = 0; i < 3; i++) await (await fetch(`http://127.0.0.1:${port}/`)).text();
    const ofWorker = next<Numbers>();
    worker.postMessage("metrics");
    const requests = 'ringloop_http_requests_total{class="2xx"}';
    expect((await ofWorker)[requests]).toBe(3);
    expect(metrics()[requests]!).toBe(ofMain[requests]!);
    worker.terminate();
  });

  test("count the ring's own work", async () => {
    const before = await numbers();
    await send(ports.http, last("/text"));
    const after = await numbers();
    for (const name of ["submissions", "completions", "turns"])
      expect(after[`ringloop_reactor_${name}_total`]!).toBeGreaterThan(before[`ringloop_reactor_${name}_total`]!);
    expect(after["ringloop_reactor_operations_in_flight"]!).toBeGreaterThanOrEqual(4);
  });
});

describe.skipIf(isBun)("the socket of the metrics", () => {
  test("belongs to its user alone, knows two paths, and goes with the process", async () => {
    const own = join(directory, "own-%p.sock");
    await using other = Program.fixture("metrics-server.ts", { RINGLOOP_METRICS: own });
    await other.line();
    const at = own.replace("%p", String(other.pid));
    while (!existsSync(at)) await new Promise((resolve) => setImmediate(resolve));
    expect(statSync(at).mode & 0o777).toBe(0o600);
    expect((await get(at, "other")).status).toBe(404);
    other.tell("exit");
    expect(await other.exited).toBe(0);
    expect(existsSync(at)).toBe(false);
  });

  test("shows why a process runs on Bun's own functions", async () => {
    const at = join(directory, "bun.sock");
    const source = `import { serve } from ${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))};
      serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("x") });
      console.log("true");`;
    const env = { RINGLOOP_METRICS: at, RINGLOOP_LIBRARY: "/nonexistent.so" };
    await using other = new Program([process.execPath, "-e", source], env);
    await other.line();
    while (!existsSync(at)) await new Promise((resolve) => setImmediate(resolve));
    const found = valuesOf(readPrometheusText(await (await get(at)).text()));
    expect(Object.keys(found)[0]).toContain('mode="none"');
    const fallbacks = Object.entries(found).filter(([name]) => name.startsWith("ringloop_fallbacks_total"));
    const reason = 'function="serve",reason="the shared object /nonexistent.so does not exist';
    expect(fallbacks).toEqual([[expect.stringContaining(reason), 1]]);
  });

  test("is not taken from a running process, which goes on to show its own", async () => {
    await using second = Program.fixture("metrics-server.ts", { RINGLOOP_METRICS: path });
    await second.line();
    const { pid } = (await (await get(path, "json")).json()) as { pid: number };
    expect(pid).toBe(program.pid);
    second.tell("exit");
    await second.exited;
    expect(await second.stderr).toContain(`RINGLOOP_METRICS has no effect: EADDRINUSE: another process`);
    expect(existsSync(path)).toBe(true);
  });

  test("replaces that of a process that has ended, and no other file", async () => {
    const left = join(directory, "left.sock");
    await using ended = Program.fixture("metrics-server.ts", { RINGLOOP_METRICS: left });
    await ended.line();
    while (!existsSync(left)) await new Promise((resolve) => setImmediate(resolve));
    await ended.stop("SIGKILL");
    expect(existsSync(left)).toBe(true);
    {
      using endpoint = await exposeMetrics({ unix: left });
      expect(endpoint.unix).toBe(left);
      expect(((await (await get(left, "json")).json()) as { pid: number }).pid).toBe(process.pid);
    }
    expect(existsSync(left)).toBe(false);
    const file = join(directory, "file");
    writeFileSync(file, "kept");
    await expect(exposeMetrics({ unix: file })).rejects.toMatchObject({ code: "EEXIST" });
    expect(await Bun.file(file).text()).toBe("kept");
    await expect(exposeMetrics({ unix: join(directory, "none/sock") })).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("is refused for what is no path, by an error that says what is allowed", () => {
    for (const unix of [undefined, 1, "", "a\0b"] as any[])
      expect(() => exposeMetrics({ unix })).toThrow("unix must be a path of at least one character, without NUL");
    expect(() => exposeMetrics({ unix: `/${"a".repeat(96)}` })).toThrow("unix must be at most 96 bytes long");
    expect(() => exposeMetrics("/tmp/x" as never)).toThrow("options must be");
  });
});

describe.skipIf(isBun)("ringloop top", () => {
  const top = (...args: string[]) => attempt([process.execPath, cli, "top", ...args], "", { RINGLOOP_METRICS: "" });
  const quick = ["--once", "--interval", "0.05"];

  test("prints one plain screen of a process with --once", async () => {
    await send(ports.http, last("/text"));
    const { stdout, stderr, exitCode } = await top(path, ...quick);
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    expect(stdout).not.toContain("\x1b");
    expect(stdout).toStartWith(`ringloop top: process ${program.pid}, ${fixture("metrics-server.ts")}\n`);
    expect(stdout).toContain(`mode ${subject}, ringloop `);
    expect(stdout).toMatch(/^requests +\d[\d,.]* +\d[\d,]*$/m);
    expect(stdout).toContain('ringloop_fallbacks_total{function="listen"');
  });

  test("prints numbers and rates with --json, also of the traffic between two looks", async () => {
    const requests = 'ringloop_http_requests_total{class="2xx"}';
    // On a busy machine, no request may end between two looks: then top looks again.
    for (let rate = 0; rate === 0;) {
      const printed = top(path, "--json", ...quick);
      const isOver = printed.then(() => true);
      while (!(await Promise.race([isOver, send(ports.http, last("/text"))]).then((first) => first === true)));
      const { metrics: shown, rates, seconds, pid } = JSON.parse((await printed).stdout);
      expect(pid).toBe(program.pid);
      expect(seconds).toBeGreaterThanOrEqual(0.04);
      expect(shown[requests]).toBeGreaterThan(0);
      expect(rates.ringloop_listeners).toBeUndefined();
      rate = rates[requests];
    }
  });

  test("says how a process allows it where none does", async () => {
    const none = join(directory, "none.sock");
    const { stdout, stderr, exitCode } = await top(none, "--once");
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
    expect(stderr).toContain(`no process shows its metrics at ${none}`);
    expect(stderr).toContain(`RINGLOOP_METRICS=${none}`);
    expect(stderr).toContain("exposeMetrics(");
    expect((await top(cli)).stderr).toContain(`${cli} is not a socket`);
  });

  test("says what is wrong with its arguments", async () => {
    for (const [args, text] of [
      [[], "top needs the path"],
      [[path, path], "top takes one socket, not 2"],
      [[path, "--interval", "0"], "--interval must be from 0.05 to 3600 seconds, not 0"],
      [["/tmp/%p"], "in place of %p"],
    ] as const) {
      const { stderr, exitCode } = await top(...args);
      expect({ exitCode, has: stderr.includes(text) }).toEqual({ exitCode: 2, has: true });
    }
    const { stdout, exitCode } = await top("--help");
    expect({ exitCode, has: stdout.includes("--interval") }).toEqual({ exitCode: 0, has: true });
  });

  test("ends with 0 by SIGINT, and when the process ends", async () => {
    const at = join(directory, "ends.sock");
    await using shown = Program.fixture("metrics-server.ts", { RINGLOOP_METRICS: at });
    await shown.line();
    while (!existsSync(at)) await new Promise((resolve) => setImmediate(resolve));
    const start = (): Program => new Program([process.execPath, cli, "top", at, "--interval", "0.05"]);
    await using interrupted = start();
    await interrupted.text("ringloop top");
    expect(await interrupted.stop("SIGINT")).toBe(0);
    await using left = start();
    await left.text("ringloop top");
    shown.tell("exit");
    expect(await left.exited).toBe(0);
    expect(await left.stderr).toContain(`ringloop: process ${shown.pid} has ended\n`);
  });

  test("says so when a process that runs does not show its metrics any more", async () => {
    const at = join(directory, "stops.sock");
    const endpoint = await exposeMetrics({ unix: at });
    await using shown = new Program([process.execPath, cli, "top", at, "--interval", "0.05"]);
    await shown.text("ringloop top");
    endpoint.stop();
    expect(await shown.exited).toBe(1);
    expect(await shown.stderr).toContain(`no process shows its metrics at ${at}`);
  });

  test("says that what answers is not a process of ringloop's", async () => {
    const at = join(directory, "foreign.sock");
    using foreign = Bun.serve({ unix: at, fetch: () => new Response("something else") });
    expect((await top(at, "--once")).stderr).toContain("is not the metrics of a process with ringloop");
    await foreign.stop(true);
  });
});

test.skipIf(isBun)("a look with another client than top finds no open door", async () => {
  // One that sends nothing does not hold up the others.
  const silent = connectPlain(path);
  await new Promise((resolve) => silent.once("connect", resolve));
  expect((await get(path)).status).toBe(200);
  silent.destroy();
});
