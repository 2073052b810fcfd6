/**
 * The backends of the handlers in bench/servers/apps.ts: a Redis, a PostgreSQL and an upstream. One
 * run of the lab starts them in a temporary directory, and stops them. The programs are those of
 * Debian's packages redis-server and postgresql.
 */
import { chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

export interface Backends {
  /** Variables for the servers' environment. */
  variables: Record<string, string>;
  /** Stops them at the end of the process, which cannot wait. */
  kill(): void;
  stop(): Promise<void>;
}

const dies = ["setpriv", "--pdeathsig", "KILL"];

/** Returns the path of a program. Debian keeps PostgreSQL's programs out of PATH. */
function postgresProgram(name: string): string {
  const root = "/usr/lib/postgresql";
  const [version] = readdirSync(root).toSorted((a, b) => Number(b) - Number(a));
  if (version === undefined)
    throw new Error(`${root} has no version of PostgreSQL. Run: npm run bench, which installs it`);
  return join(root, version, "bin", name);
}

/** PostgreSQL refuses to run as root. */
const asPostgres = (): string[] =>
  process.getuid!() === 0 ? ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] : [];

async function run(command: string[], stdin = ""): Promise<void> {
  const child = Bun.spawn(command, { stdin: Buffer.from(stdin), stdout: "pipe", stderr: "pipe", cwd: "/" });
  const [output, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} exited with ${code}: ${errors || output}`);
}

/** Starts a program, and waits until it reports that it is ready. */
async function start(command: string[], ready: string, output: "stdout" | "stderr"): Promise<Bun.Subprocess> {
  const child = Bun.spawn([...dies, ...command], { stdout: "pipe", stderr: "pipe", cwd: "/" });
  const decoder = new TextDecoder();
  let text = "";
  const stream = child[output];
  const reader = stream.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`${command.join(" ")} ended: ${text}`);
    text += decoder.decode(value, { stream: true });
    if (text.includes(ready)) break;
  }
  void (async () => {
    while (!(await reader.read()).done); // Later output must not fill the pipe.
  })();
  return child;
}

export async function startBackends(): Promise<Backends> {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-backends-"));
  const children: Bun.Subprocess[] = [];
  const kill = (): void => {
    for (const child of children) child.kill();
    rmSync(directory, { recursive: true, force: true });
  };
  const stop = async (): Promise<void> => {
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.exited));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const data = join(directory, "postgres");
    if (process.getuid!() === 0) {
      const { uid, gid } = await identityOf("postgres");
      chownSync(directory, uid, gid);
    }
    await run([
      ...asPostgres(),
      postgresProgram("initdb"),
      "-D",
      data,
      "-U",
      "bench",
      "-A",
      "trust",
      "--no-sync",
      "-E",
      "UTF8",
    ]);
    const sqlPort = await freePort();
    const settings = [
      "fsync=off",
      "max_connections=200",
      `unix_socket_directories=${directory}`,
      "listen_addresses=127.0.0.1",
    ];
    children.push(
      await start(
        [
          ...asPostgres(),
          postgresProgram("postgres"),
          "-D",
          data,
          "-p",
          String(sqlPort),
          ...settings.flatMap((each) => ["-c", each]),
        ],
        "ready to accept connections",
        "stderr",
      ),
    );
    const database = `postgres://bench@127.0.0.1:${sqlPort}/postgres`;
    await run(
      ["psql", "-q", "-v", "ON_ERROR_STOP=1", database],
      "create table users (id int primary key, name text); insert into users select n, 'user ' || n from generate_series(1, 100) n;",
    );
    const redisPort = await freePort();
    children.push(
      await start(
        ["redis-server", "--port", String(redisPort), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
        "Ready to accept connections",
        "stdout",
      ),
    );
    await run(["redis-cli", "-p", String(redisPort), "set", "key", "Hello, World!"]);
    const upstreamPort = await freePort();
    const text = `Bun.serve({ port: ${upstreamPort}, hostname: "127.0.0.1", fetch: () => new Response("4 KiB ".padEnd(4096, ".")) }); console.log("ready")`;
    children.push(await start([process.execPath, "-e", text], "ready", "stdout"));
    return {
      variables: {
        RINGLOOP_BENCH_REDIS: `redis://127.0.0.1:${redisPort}`,
        RINGLOOP_BENCH_POSTGRES: database,
        RINGLOOP_BENCH_UPSTREAM: `http://127.0.0.1:${upstreamPort}`,
      },
      kill,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function identityOf(user: string): Promise<{ uid: number; gid: number }> {
  const [uid, gid] = await Promise.all(["-u", "-g"].map((flag) => Bun.$`id ${flag} ${user}`.text()));
  return { uid: Number(uid), gid: Number(gid) };
}
