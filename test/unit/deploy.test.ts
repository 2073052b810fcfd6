/**
 * docs/deploy.md: its server, its seccomp profile, its systemd units and its lines for proxies do
 * what the page says. test/packages/dockerfile.ts has the Dockerfile.
 *
 * A test is skipped where its program is not installed: systemd-analyze, systemd-socket-activate,
 * nginx, caddy.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../bench/runner/free-port.ts";
import { attempt, fixture, Program, run } from "../behaviour/process.ts";
import { filterOf, type Profile, systemCalls } from "../behaviour/seccomp-filter.ts";
import { blockOf } from "../packages/deploy-page.ts";
import { serve } from "../../src/index.ts";

const root = join(import.meta.dir, "../..");
const example = join(root, "examples/deployed.ts");
const directory = mkdtempSync(join(tmpdir(), "ringloop-deploy-"));
afterAll(() => rmSync(directory, { recursive: true }));

const isMissing = (program: string): boolean => Bun.which(program, { PATH: `${process.env.PATH}:/usr/sbin` }) === null;

/** Asks until somebody listens there. */
async function ask(url: string, options: BunFetchRequestInit = {}): Promise<Response> {
  for (;;) {
    const response = await fetch(url, options).catch(() => undefined);
    if (response !== undefined) return response;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("the page's server is examples/deployed.ts", () => {
  const text = readFileSync(example, "utf8").replace("../src/index.ts", "ringloop");
  expect(blockOf("serve({", "ts")).toBe(text);
});

describe("the seccomp profile", () => {
  const profile = JSON.parse(readFileSync(join(root, "docs/deploy/seccomp.json"), "utf8")) as Profile;
  const ring = ["io_uring_enter", "io_uring_register", "io_uring_setup"];
  /** The profile without io_uring, as Docker's default. */
  const without = { ...profile, syscalls: profile.syscalls.filter(({ names }) => !names.includes(ring[0]!)) };
  let underProfile: string[];
  let withoutRing: string[];
  beforeAll(async () => {
    const launcher = join(directory, "under-seccomp");
    await run([process.env.CC ?? "cc", "-Wall", "-Wextra", "-o", launcher, fixture("under-seccomp.c")]);
    const commandOf = (name: string, under: Profile): string[] => {
      writeFileSync(join(directory, name), filterOf(under));
      return [launcher, join(directory, name), process.execPath];
    };
    underProfile = commandOf("profile", profile);
    withoutRing = commandOf("without", without);
  });

  test("names each call once, in order, and none that no processor has", () => {
    for (const { names } of profile.syscalls) expect(names).toEqual([...names].toSorted());
    const names = profile.syscalls.flatMap((rule) => rule.names);
    expect(new Set(names).size).toBe(names.length);
    const known = systemCalls();
    expect(known.get("io_uring_setup")).toBe(425);
    if (process.arch === "x64") expect(names.filter((name) => !known.has(name))).toEqual([]);
    expect(without.syscalls.length).toBe(profile.syscalls.length - 1);
  });

  test.each(["defer", "sqpoll"])("lets a program do everything, on a ring in %s", async (mode) => {
    const env = { RINGLOOP_MODE: mode, RINGLOOP: "require" };
    const { stdout, stderr } = await run([...underProfile, fixture("many-calls.ts")], "", env);
    expect([JSON.parse(stdout), stderr]).toEqual([{ ring: true, failures: [] }, ""]);
  });

  test("forbids other calls", async () => {
    const [launcher, filter] = underProfile;
    const { exitCode, stderr } = await attempt([launcher!, filter!, "unshare", "--user", "true"]);
    expect([exitCode, stderr]).toEqual([1, "unshare: unshare failed: Operation not permitted\n"]);
  });

  test("without io_uring, as Docker's default, lets a server fall back, with a notice", async () => {
    const { stdout, stderr } = await run([...withoutRing, fixture("says-ring.ts")]);
    expect(stdout).toContain("false");
    expect(stderr).toContain("io_uring is forbidden here: see sysctl kernel.io_uring_disabled, or the container's");
  });

  test("without io_uring, RINGLOOP=require ends the server at its start", async () => {
    const env = { RINGLOOP: "require", PORT: "0" };
    const { exitCode, stdout, stderr } = await attempt([...withoutRing, example], "", env);
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("EPERM");
  });
});

describe("systemd", () => {
  const socket = blockOf("[Socket]", "ini");
  const service = blockOf("[Service]", "ini");
  const command = /^ExecStart=(.*)$/m.exec(service)![1]!.split(" ");

  test.skipIf(isMissing("systemd-analyze"))("accepts the units", async () => {
    const units = join(directory, "units");
    mkdirSync(units);
    writeFileSync(join(units, "app.socket"), socket);
    writeFileSync(join(units, "app.service"), service.replace(command[0]!, process.execPath));
    const paths = ["app.socket", "app.service"].map((name) => join(units, name));
    const { stdout, stderr, exitCode } = await attempt(["systemd-analyze", "verify", "--man=no", ...paths]);
    // It also reads units of this system, and may say something about those.
    const about = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("app."));
    expect([about, exitCode]).toEqual([[], 0]);
    expect(command).toEqual(["/usr/local/bin/bun", "/srv/app/server.ts"]);
  });

  test.skipIf(isMissing("systemd-socket-activate"))(
    "starts the server with the first client, and SIGTERM ends it in order",
    async () => {
      const port = await freePort();
      const activate = ["systemd-socket-activate", `--listen=127.0.0.1:${port}`, process.execPath, example];
      await using program = new Program(activate, { RINGLOOP: "require" });
      expect(await (await ask(`http://127.0.0.1:${port}/health`)).json()).toEqual({ ring: true });
      const webSocket = new WebSocket(`ws://127.0.0.1:${port}/`);
      await new Promise((resolve) => (webSocket.onopen = resolve));
      const closed = new Promise<CloseEvent>((resolve) => (webSocket.onclose = resolve));
      const ended = program.stop("SIGTERM");
      expect((await closed).code).toBe(1001);
      expect(await ended).toBe(0);
    },
  );
});

describe("behind a proxy", () => {
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 75,
    websocket: { message: (socket, text) => void socket.send(text) },
    fetch(request, self): Response | undefined {
      if (self.upgrade(request)) return undefined;
      const { hostname } = new URL(request.url);
      const client = request.headers.get("x-forwarded-for");
      return Response.json({ hostname, port: self.requestIP(request)!.port, client });
    },
  });
  afterAll(() => server.stop(true));

  /** Tells that the requests of two clients share a connection, and that WebSockets pass. */
  async function expectProxy(port: number): Promise<void> {
    const connections = [];
    for (let i = 0; i < 2; i++) {
      const response = await ask(`http://127.0.0.1:${port}/`, { headers: { Connection: "close" } });
      const { hostname, port: from, client } = (await response.json()) as Record<string, unknown>;
      expect([hostname, client]).toEqual(["127.0.0.1", "127.0.0.1"]);
      connections.push(from);
    }
    expect(connections[1]).toBe(connections[0]);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    const text = await new Promise((resolve, reject) => {
      socket.onopen = () => socket.send("through the proxy");
      socket.onmessage = ({ data }) => resolve(data);
      socket.onerror = reject;
    });
    expect(text).toBe("through the proxy");
    socket.close();
  }

  test.skipIf(isMissing("nginx"))("nginx keeps its connections, and passes WebSockets", async () => {
    const port = await freePort();
    const lines = blockOf("upstream app", "nginx")
      .replace("127.0.0.1:3000", `127.0.0.1:${server.port}`)
      .replace("listen 80", `listen 127.0.0.1:${port}`);
    const configuration = join(directory, "nginx.conf");
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${name};`);
    writeFileSync(
      configuration,
      `daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
       http { access_log off; ${temporary.join(" ")} ${lines} }`,
    );
    await using _nginx = new Program(["/usr/sbin/nginx", "-p", directory, "-e", "stderr", "-c", configuration]);
    await expectProxy(port);
  });

  test.skipIf(isMissing("caddy"))("Caddy keeps its connections, and passes WebSockets", async () => {
    const port = await freePort();
    const lines = blockOf("reverse_proxy", "caddyfile")
      .replace("127.0.0.1:3000", `127.0.0.1:${server.port}`)
      .replace(":80 {", `http://127.0.0.1:${port} {`);
    const configuration = join(directory, "Caddyfile");
    writeFileSync(configuration, `{\n  admin off\n}\n${lines}`);
    const env = { HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
    await using _caddy = new Program(["caddy", "run", "--adapter", "caddyfile", "--config", configuration], env);
    await expectProxy(port);
  });
});
