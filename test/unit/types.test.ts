/**
 * ringloop's types can be used where Bun's are expected. `bun check` makes these checks. The run of
 * the test shows that the names exist.
 */
import { expect, test } from "bun:test";
import type * as node from "node:fs/promises";
import * as files from "../../src/fs/index.ts";
import {
  connect,
  listen,
  serve,
  type Server,
  type Socket,
  type SocketListener,
  type UdpSocket,
  udpSocket,
} from "../../src/index.ts";

/** Compiles only if a `From` can be used as a `To`. */
function assignable<From, To>(_use: (from: From) => To): void {}

test("sockets, listeners and UDP sockets may be used as Bun's", () => {
  assignable<Socket, Bun.Socket>((socket) => socket);
  assignable<Socket<{ id: number }>, Bun.Socket<{ id: number }>>((socket) => socket);
  assignable<SocketListener, Bun.TCPSocketListener<undefined>>((listener) => listener);
  assignable<UdpSocket, Bun.udp.Socket<"buffer">>((socket) => socket);
  expect([listen, connect, udpSocket].map((each) => typeof each)).toEqual(["function", "function", "function"]);
});

test("servers may be used as Bun's", () => {
  assignable<Server, Bun.Server<undefined>>((server) => server);
  assignable<Server<{ id: number }>, Bun.Server<{ id: number }>>((server) => server);
  // Nobody calls these functions. The test is that they compile.
  const uses = [
    () => (serve as typeof Bun.serve)({ fetch: () => new Response() }),
    () =>
      serve({
        routes: {
          "/users/:id": (request) => new Response(request.params.id),
          "/posts": { POST: async (request) => Response.json(await request.json()) },
          "/static": new Response("static"),
        },
        headerTimeout: 5,
      }),
  ];
  expect(uses).toHaveLength(2);
});

test("options written for Bun are taken", () => {
  const forListen: Bun.TCPSocketListenOptions<{ id: number }> = {
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket, bytes) => void socket.write(bytes), drain() {}, close: (_socket, _error) => {} },
  };
  const forConnect: Bun.TCPSocketConnectOptions = { hostname: "127.0.0.1", port: 1, socket: { data() {} } };
  const forUdp: Bun.udp.SocketOptions<"buffer"> = {
    socket: { data: (socket) => void socket.send("x", 1, "127.0.0.1") },
  };
  // Nobody calls these functions. The test is that they compile.
  const uses = [
    () => (listen as typeof Bun.listen)(forListen),
    () => (connect as typeof Bun.connect)(forConnect),
    () => (udpSocket as unknown as typeof Bun.udpSocket)(forUdp),
  ];
  expect(uses).toHaveLength(3);
});

test("functions on files may be used as those of node:fs/promises", () => {
  assignable<typeof files.rename, typeof node.rename>((rename) => rename);
  assignable<typeof files.unlink, typeof node.unlink>((unlink) => unlink);
  assignable<typeof files.rmdir, (path: string) => Promise<void>>((rmdir) => rmdir);
  assignable<typeof files.link, typeof node.link>((link) => link);
  assignable<typeof files.symlink, typeof node.symlink>((symlink) => symlink);
  assignable<typeof files.copyFile, typeof node.copyFile>((copyFile) => copyFile);
  assignable<files.FileHandle, AsyncDisposable>((file) => file);
  const bytes = (): Promise<Buffer> => files.readFile("x");
  const text = (): Promise<string> => files.readFile("x", { encoding: "utf8" });
  expect([bytes, text]).toHaveLength(2);
});

test("what stat gives is told by its options, and what is no data is no file's", () => {
  // Nobody calls these functions. The test is that they compile.
  const uses = [
    (): Promise<files.Stats> => files.stat("f"),
    (): Promise<files.Stats> => files.stat("f", null),
    (): Promise<files.Stats> => files.lstat(Buffer.from("f"), { timeoutMs: 5 }),
    (): Promise<files.BigIntStats> => files.stat("f", { bigint: true }),
    (): Promise<files.BigIntStats | undefined> => files.stat("f", { bigint: true, throwIfNoEntry: false }),
    // @ts-expect-error The result may be undefined.
    (): Promise<files.Stats> => files.stat("f", { throwIfNoEntry: false }),
    (): Promise<void> => files.writeFile(1, ["text", new Uint8Array(1), new ArrayBuffer(1)]),
    // @ts-expect-error A number is not valid data.
    (): Promise<void> => files.writeFile("f", 5),
    // @ts-expect-error An array of numbers is not valid data.
    (): Promise<void> => files.writeFile("f", [5]),
    (): Promise<string> => files.readFile(1, "utf8"),
  ];
  expect(uses.map((use) => typeof use)).toEqual(uses.map(() => "function"));
});
