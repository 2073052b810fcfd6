/**
 * Handlers of applications, which wait for a database, an upstream, a file, a timer or an
 * immediate, or use only the processor. The variables RINGLOOP_BENCH_* tell where the databases and
 * the upstream are (runner/backends.ts).
 */
import { Database } from "bun:sqlite";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { Pool } from "pg";
import postgres from "postgres";
import { announce, serve, temporaryDirectory } from "./subject.ts";

const {
  RINGLOOP_BENCH_REDIS: redisUrl,
  RINGLOOP_BENCH_POSTGRES: sqlUrl,
  RINGLOOP_BENCH_UPSTREAM: upstream,
} = process.env;

const directory = temporaryDirectory();
const file = join(directory, "4KiB.txt");
writeFileSync(file, Buffer.alloc(4096, "4 KiB "));

function lazily<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

const QUERY = "select id, name from users where id = $1";
// Only the backends of a run are opened, because an open pool costs time.
const redis = lazily(() => new Bun.RedisClient(redisUrl));
const sql = lazily(() => new Bun.SQL(sqlUrl!));
const pool = lazily(() => new Pool({ connectionString: sqlUrl! }));
const postgresJs = lazily(() => postgres(sqlUrl!));
const sqlite = lazily(() => {
  const database = new Database(":memory:");
  database.run("create table users (id integer primary key, name text)");
  for (let id = 1; id <= 100; id++) database.run("insert into users values (?, ?)", [id, `user ${id}`]);
  return database.query("select id, name from users where id = ?");
});
const hono = lazily(() => {
  const app = new Hono();
  app.use(cors());
  app.get("/hono/:id", async (context) => {
    const id = Number(context.req.param("id"));
    const [user] = await sql()`select id, name from users where id = ${id}`;
    const [{ count }] = await sql()`select count(*)::int as count from users`;
    return context.json({ user, count });
  });
  app.get("/hono-hello", (context) => context.text("Hello, World!"));
  return app;
});

let turn = 0;
const nextId = (): number => (turn = (turn % 100) + 1);

const handlers: Record<string, (request: Request) => Response | Promise<Response>> = {
  "/hello": () => new Response("Hello, World!"),
  "/redis": async () => new Response(await redis().get("key")),
  "/sql": async () => Response.json(await sql()`select id, name from users where id = ${nextId()}`),
  "/pg": async () => Response.json((await pool().query({ name: "user", text: QUERY, values: [nextId()] })).rows),
  "/postgres": async () => Response.json(await postgresJs()`select id, name from users where id = ${nextId()}`),
  "/sqlite": () => Response.json(sqlite().get(nextId())),
  "/fetch": () => fetch(`${upstream}/`),
  "/proxy": async (request) => {
    const { body, status, headers } = await fetch(`${upstream}/`, {
      headers: { accept: request.headers.get("accept") ?? "*/*" },
    });
    return new Response(body, { status, headers: { "content-type": headers.get("content-type")! } });
  },
  "/file": async () => new Response(await readFile(file)),
  "/immediate": async () => {
    await new Promise<void>((resolve) => setImmediate(resolve));
    return new Response("Hello, World!");
  },
  "/timeout": async () => {
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
    return new Response("Hello, World!");
  },
  "/cpu": () => {
    for (const end = Bun.nanoseconds() + 1e6; Bun.nanoseconds() < end;);
    return new Response("Hello, World!");
  },
  "/hono-hello": (request) => hono().fetch(request),
};

const server = serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request) {
    const { pathname } = new URL(request.url);
    return handlers[pathname]?.(request) ?? hono().fetch(request);
  },
});
announce(server.port!);
