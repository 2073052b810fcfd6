/** The workloads, as data. */
import { bunPeers, modelPeers, type Peer, type Service } from "./peers.ts";
import type { LoadRequest, WrkRequest } from "./load.ts";

export interface Workload {
  /** Name for `--only`. */
  group: Group;
  title: string;
  service: Service;
  connections: number;
  /** Peers that are always measured, instead of the chosen ones. */
  peers?: readonly Peer[];
  /**
   * An extra second of load by wrk before the usual warm-up, because the compiler needs some ten
   * thousand requests.
   */
  warmUp?: { path: string; connections: number };
  /** Shortest run in seconds, for answers that take long. */
  secondsMin?: number;
  /** The load program: wrk or h2load, which are independent of ringloop, or limit/load.c. */
  load: ({ by: "wrk" } & WrkRequest) | { by: "h2load" } | ({ by: "load"; ofBunsRate?: number } & LoadRequest);
}

export const groups = [
  "apps",
  "http",
  "app",
  "hello",
  "echo",
  "udp",
  "burst",
  "websocket",
  "rate",
  "models",
  "node",
  "large",
  "once",
] as const;
export type Group = (typeof groups)[number];

const connectionCount = (count: number): string => `${count} connection${count === 1 ? "" : "s"}`;

const byWrk = (group: Group, what: string, service: Service, connections: number, request: WrkRequest): Workload => ({
  group,
  title: `HTTP ${what}, ${connectionCount(connections)}`,
  service,
  connections,
  load: { by: "wrk", ...request },
});
/** Backends of the handlers (servers/apps.ts), by path. */
const appHandlers: Record<string, string> = {
  redis: "RedisClient.get",
  sql: "Bun.sql, one row",
  pg: "pg, one row",
  postgres: "postgres.js, one row",
  sqlite: "SQLite, one row",
  fetch: "fetch of 4 KiB, returned",
  proxy: "fetch of 4 KiB, passed on",
  file: "fs.promises.readFile, 4 KiB",
  immediate: "setImmediate",
  timeout: "setTimeout of 1 ms",
  cpu: "1 ms of CPU",
  "hono/7": "Hono with cors and two queries",
  "hono-hello": "Hono with cors, hello",
  hello: "nothing: hello",
};
const quickAppHandlers = ["redis", "sql", "proxy", "hono/7"];

function apps(isQuick: boolean): Workload[] {
  const paths = isQuick ? quickAppHandlers : Object.keys(appHandlers);
  return paths.flatMap((path) =>
    (isQuick ? [1, 16] : [1, 4, 16, 50, 256]).map((connections) => ({
      ...byWrk("apps", "", "apps", connections, { path: `/${path}` }),
      title: `${appHandlers[path]}, ${connectionCount(connections)}`,
      peers: bunPeers,
      warmUp: { path: "/hello", connections: 50 },
    })),
  );
}

/** Apps of node:http (servers/node-apps.mjs), by the path of each. */
const nodeApps: Record<string, string> = {
  hello: "node:http hello",
  express: "Express hello",
  fastify: "Fastify JSON",
  koa: "Koa hello",
  nest: "NestJS hello",
  "express-json/7": "Express JSON route with a parameter",
  "express-file/1MiB": "Express 1 MiB from a file",
  events: "node:http, 10 events",
  pipe: "node:http 1 MiB by pipe",
};

function nodeWorkloads(isQuick: boolean): Workload[] {
  const paths = isQuick ? ["express", "fastify"] : Object.keys(nodeApps);
  const workload = (title: string, connections: number, request: WrkRequest): Workload => ({
    ...byWrk("node", "", "node-http", connections, request),
    title: `${title}, ${connectionCount(connections)}`,
    peers: [...bunPeers, "node"],
    warmUp: { path: request.path!, connections: 50 },
  });
  const gets = paths.map((path) => workload(nodeApps[path]!, 50, { path: `/${path}` }));
  if (isQuick) return gets;
  return [...gets, workload("node:http POST of 1 KiB, answered as JSON", 50, { path: "/body", postBytes: 1024 })];
}

const app = (what: string, request: WrkRequest): Workload => byWrk("app", what, "http-app", 50, request);
const echo = (group: Group, connections: number, bytes = 64): Workload => ({
  group,
  title: `TCP echo ${bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`}, ${connectionCount(connections)}`,
  service: "echo",
  connections,
  load: { by: "load", service: "echo", bytes },
});
/**
 * Returns workloads at a fixed rate: the costs of "HTTP hello" and so on while the server could do
 * more.
 */
const rates = (title: string, service: Service, connections: number, request: LoadRequest): Workload[] =>
  [0.5, 0.9].map((ofBunsRate) => ({
    group: "rate",
    title: `${title} at ${ofBunsRate * 100} % of Bun's rate, ${connectionCount(connections)}`,
    service,
    connections,
    peers: ["bun", "defer", "sqpoll", "c-defer"],
    load: { by: "load", ofBunsRate, ...request },
  }));
const httpRates = (connections: number): Workload[] =>
  rates("HTTP hello", "http-hello", connections, { service: "http", bytes: 0 });

/** Large bodies (servers/large.ts), by path. */
const largeAnswers: Record<string, string> = {
  "memory/64KiB": "64 KiB from memory",
  "memory/256KiB": "256 KiB from memory",
  "memory/1MiB": "1 MiB from memory",
  "memory/16MiB": "16 MiB from memory",
  "stream/16KiB": "stream of 64 chunks of 16 KiB",
  "stream/1MiB": "stream of 20 chunks of 1 MiB",
  "file/64KiB": "64 KiB from a file",
  "file/1MiB": "1 MiB from a file",
  "file/1GiB": "1 GiB from a file",
};
const largeUploads: Record<string, string> = {
  "upload/stream": "upload of 4 MiB, read as a stream",
  "upload/buffer": "upload of 4 MiB, read at once",
};

/** Returns the seconds after which all connections have had a whole answer. */
function secondsMinOf(path: string, connections: number): number {
  if (path === "file/1GiB") return connections > 1 ? 20 : 3;
  return path === "memory/16MiB" && connections > 16 ? 5 : 0;
}

function largeWorkloads(): Workload[] {
  return [1, 16, 50].flatMap((connections) => {
    const large = (title: string, load: Workload["load"], more: Partial<Workload> = {}): Workload => ({
      group: "large",
      title: `${title}, ${connectionCount(connections)}`,
      service: "large",
      connections,
      peers: bunPeers,
      load,
      ...more,
    });
    const answers = Object.entries(largeAnswers)
      .filter(([path]) => path !== "file/1GiB" || connections < 50)
      .map(([path, title]) =>
        large(title, { by: "wrk", path: `/${path}` }, { secondsMin: secondsMinOf(path, connections) }),
      );
    const uploads = Object.entries(largeUploads).map(([path, title]) =>
      large(title, { by: "wrk", path: `/${path}`, postBytes: 4 * 1048576 }),
    );
    const messages = [16384, 1048576].map((bytes) =>
      large(`WebSocket echo of ${bytes / 1024} KiB`, { by: "load", service: "ws", bytes, path: "/echo" }),
    );
    return [...answers, ...uploads, ...messages];
  });
}

const socket = (title: string, connections: number, request: LoadRequest): Workload => ({
  group: "websocket",
  title: `WebSocket ${title}, ${connections.toLocaleString("en")} sockets`,
  service: "websocket",
  connections,
  load: { by: "load", ...request },
});

/** Returns the workloads. `sweep` has the numbers of connections for the groups hello and echo. */
export function workloadsOf(chosen: readonly string[], sweep: readonly number[], isQuick: boolean): Workload[] {
  const all: Workload[] = [
    ...apps(isQuick),
    ...nodeWorkloads(isQuick),
    ...largeWorkloads(),
    ...(["1.1", "1.0"] as const).flatMap((once) =>
      [1, 16, 50].map((connections): Workload => ({
        ...byWrk("once", "", "http-hello", connections, { once }),
        title: `a connection for each request, HTTP/${once}, ${connections} at a time`,
        peers: bunPeers,
      })),
    ),
    byWrk("http", "hello, pipeline 16", "http-hello", 50, { depth: 16 }),
    ...[50, 256].map((connections) => byWrk("http", "hello", "http-hello", connections, {})),
    {
      group: "http",
      title: "HTTP hello by h2load, 50 connections",
      service: "http-hello",
      connections: 50,
      load: { by: "h2load" },
    },
    byWrk("app", "hello", "http-hello", 1000, {}),
    app("static route", { path: "/static" }),
    app("JSON route with a parameter", { path: "/user/7" }),
    app("JSON route, pipeline 16", { path: "/user/7", depth: 16 }),
    app("POST of 1 KiB, echoed", { path: "/echo", postBytes: 1024 }),
    app("64 KiB from memory", { path: "/64KiB" }),
    app("1 MiB from memory", { path: "/1MiB" }),
    app("1 MiB from a file", { path: "/file" }),
    app("1 MiB from a file's route", { path: "/file-route" }),
    ...sweep.map((connections): Workload => ({
      group: "hello",
      title: `HTTP hello by load.c, ${connectionCount(connections)}`,
      service: "http-hello",
      connections,
      load: { by: "load", service: "http", bytes: 0 },
    })),
    ...sweep.map((connections) => echo("echo", connections)),
    echo("echo", 50, 16384),
    {
      group: "udp",
      title: "UDP echo 64 B, 50 clients",
      service: "udp",
      connections: 50,
      load: { by: "load", service: "udp", bytes: 64 },
    },
    ...[50, 500].map((connections): Workload => ({
      group: "burst",
      title: `1,024 B sent back in 16 writes, ${connectionCount(connections)}`,
      service: "burst",
      connections,
      load: { by: "load", service: "echo", bytes: 1024 },
    })),
    ...[50, 1000].flatMap((connections) => [
      socket("echo 64 B", connections, { service: "ws", bytes: 64, path: "/echo" }),
      socket("echo 16 KiB", connections, { service: "ws", bytes: 16384, path: "/echo" }),
    ]),
    socket("echo 16 KiB, compressed", 50, { service: "ws", bytes: 16384, path: "/echo-deflate" }),
    ...["", "-deflate"].flatMap((deflate) => [
      socket(`publish of 64 B${deflate && ", compressed"}`, 1000, {
        service: "fan",
        bytes: 64,
        count: 1,
        path: `/fan${deflate}?count=1`,
      }),
      socket(`16 messages of 64 B at once${deflate && ", compressed"}`, 200, {
        service: "fan",
        bytes: 64,
        count: 16,
        path: `/fan${deflate}?count=16`,
      }),
    ]),
    ...sweep.map((connections): Workload => ({
      ...echo("models", connections),
      title: `I/O models, echo of 64 B, ${connectionCount(connections)}`,
      peers: [...modelPeers, "c-epoll", "c-defer", "c-sqpoll", "defer", "sqpoll"],
    })),
    ...httpRates(50),
    ...httpRates(256),
    ...rates("TCP echo 64 B", "echo", 256, { service: "echo", bytes: 64 }),
    ...rates("UDP echo 64 B", "udp", 50, { service: "udp", bytes: 64 }),
  ];
  return all.filter(({ group }) => chosen.includes(group));
}
