/**
 * `fd: "systemd"`: sockets that a service manager has passed (sd_listen_fds(3)). For the subject
 * `bun` the functions are ringloop's where they run on Bun's own, as without a ring.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixture, Program } from "./process.ts";
import { RawClient } from "./raw-client.ts";
import { rejection } from "./rejection.ts";
import { isBun } from "./subject.ts";

const env = isBun ? { RINGLOOP_LIBRARY: "/nonexistent.so" } : {};
Object.assign(process.env, env);
const { connectStream, listen, listenStream, serve } = await import("../../src/index.ts");
const directory = mkdtempSync(join(tmpdir(), "ringloop-activation-"));
afterAll(() => {
  if (isBun) delete process.env.RINGLOOP_LIBRARY;
  rmSync(directory, { recursive: true });
});

/** Passes a datagram socket, and then two listening sockets with the name "web". */
const passing = `
import json, os, socket, sys
web, echo = (socket.create_server(("127.0.0.1", 0), backlog=7) for _ in range(2))
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
print(json.dumps([web.getsockname()[1], echo.getsockname()[1]]), flush=True)
copies = [os.dup(each.fileno()) for each in (udp, web, echo)]
os.closerange(3, min(copies))
for to, copy in enumerate(copies, 3):
    os.dup2(copy, to)
os.closerange(6, 64)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="3", LISTEN_FDNAMES="udp:web:web")
os.execv(sys.argv[1], sys.argv[1:])`;

const activation = (message: string): object => ({ name: "Error", code: "ERR_SOCKET_ACTIVATION", message });

test("the sockets that were passed are taken by name and in order, each once", async () => {
  await using program = new Program(["python3", "-c", passing, process.execPath, fixture("passed-sockets.ts")], env);
  const [web, echo] = (await program.line()) as [number, number];
  const found = await program.line();
  expect(found.variables).toEqual([null, null, null]);
  expect(found.named).toEqual(
    activation('fd: "systemd:other" names none of the passed sockets, which are "udp", "web", "web"'),
  );
  expect(found.inWorker).toBe('fd: "systemd" is for the main thread: give a Worker the descriptor as a number');
  const buns = "fd must be undefined where Bun.serve serves, which takes none, not";
  expect(found.unserved).toEqual({
    name: "TypeError",
    code: "ERR_INVALID_ARG_VALUE",
    message: `${buns} "systemd:web"`,
  });
  using client = await RawClient.connect(isBun ? web : echo);
  void client.write("echoed");
  expect(String(await client.readBytes(6))).toBe("echoed");
  if (isBun) {
    expect(found).toMatchObject({ refused: `${buns} "systemd:web"`, ring: [null, false] });
    // The other one of the two is free.
    expect(found.taken).toBeUndefined();
  } else {
    expect(found.ring).toEqual([true, true]);
    // Bun itself makes descriptors from 4 on close-on-exec at its start.
    expect(found.closedOnExec).toEqual([true, true, true]);
    expect(found.backlog).toBe(7);
    expect(found.datagram).toEqual(
      activation(
        'fd: "systemd:udp" is descriptor 3, which does not listen: the socket unit needs ListenStream= and Accept=no',
      ),
    );
    expect(found.taken).toEqual(
      activation('fd: "systemd" is taken already: earlier calls have all of "udp", "web", "web"'),
    );
    expect(await (await fetch(`http://127.0.0.1:${web}/`)).text()).toBe("served");
  }
});

// Bun.serve takes no descriptor.
test.skipIf(isBun || Bun.which("systemd-socket-activate") === null)(
  "systemd-socket-activate starts a server with its first client, and a stopped server leaves the socket to it",
  async () => {
    const unix = join(directory, "web.sock");
    const source = `
      const { serve } = await import(${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))});
      const server = serve({ fd: "systemd:web", fetch: () => new Response("activated") });
      console.log(JSON.stringify([server.address, server.url.href]));
      process.once("SIGTERM", () => server.stop({ deadlineMs: 1000 }));`;
    const activate = ["systemd-socket-activate", "--listen", unix, "--fdname", "web"];
    await using program = new Program([...activate, process.execPath, "-e", source], { RINGLOOP: "require" });
    // The socket is there when a connection to it succeeds. This connection starts the server.
    for (;;) {
      const answer = await fetch("http://localhost/", { unix }).catch(() => undefined);
      if (answer === undefined) continue;
      expect(await answer.text()).toBe("activated");
      break;
    }
    expect(await program.line()).toEqual([unix, `unix://${unix}`]);
    expect(await program.stop()).toBe(0);
    expect(existsSync(unix)).toBe(true);
  },
);

describe('fd: "systemd" without a socket is an error that says why:', () => {
  afterEach(() => {
    for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete process.env[name];
  });
  const pid = String(process.pid);
  const cases: Record<string, [variables: Record<string, string>, message: string | RegExp]> = {
    "the variables are not set": [{}, /LISTEN_PID or LISTEN_FDS is not set: start the socket unit$/],
    "they are empty": [{ LISTEN_PID: "", LISTEN_FDS: "" }, /is not set/],
    "they are for another process": [
      { LISTEN_PID: "1", LISTEN_FDS: "1" },
      `fd: "systemd" is for process 1 (LISTEN_PID), and this is process ${pid}: let the unit start bun itself, or a script that ends with exec`,
    ],
    "the number is none": [
      { LISTEN_PID: pid, LISTEN_FDS: "x" },
      'fd: "systemd" needs LISTEN_FDS to be a number of sockets from 1 to 65536, not "x"',
    ],
    "the number is 0": [{ LISTEN_PID: pid, LISTEN_FDS: "0" }, /not "0"$/],
    "there are more names than sockets": [
      { LISTEN_PID: pid, LISTEN_FDS: "1", LISTEN_FDNAMES: "a:b" },
      'fd: "systemd" needs a name for each of 1 sockets, and LISTEN_FDNAMES is "a:b"',
    ],
  };
  for (const [name, [variables, message]] of Object.entries(cases))
    test(name, () => {
      Object.assign(process.env, variables);
      const error = expect.objectContaining({
        code: "ERR_SOCKET_ACTIVATION",
        message: typeof message === "string" ? message : expect.stringMatching(message),
      });
      const socket = { data() {} };
      expect(() => listen({ fd: "systemd", socket })).toThrow(error);
      expect(() => listenStream({ fd: "systemd" })).toThrow(error);
      if (!isBun) expect(() => serve({ fd: "systemd", fetch: () => new Response() })).toThrow(error);
    });

  test("the name is empty, or it is another word", () => {
    for (const fd of ["systemd:", "system", "3", ""] as never[]) {
      const message = `fd must be a descriptor, "systemd", or "systemd:" with a name, not ${JSON.stringify(fd)}`;
      expect(() => listen({ fd, socket: { data() {} } })).toThrow(new TypeError(message));
    }
  });

  test("connect takes none", async () => {
    const error = await rejection(connectStream({ fd: "systemd" as never }));
    expect(error).toMatchObject({ name: "TypeError", message: 'fd must be a descriptor, not "systemd"' });
  });
});
