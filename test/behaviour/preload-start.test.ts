/**
 * The preload at the start of a process: the loaded files, and the variables RINGLOOP and others.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, type Environment, fixture, run } from "./process.ts";
import { isBun } from "./subject.ts";

const source = join(import.meta.dir, "../../src/");
const underPreload = (text: string, env: Environment = {}, prefix: string[] = []) =>
  attempt([...prefix, process.execPath, "--preload", join(source, "register.ts"), "-e", text], "", env);
const redirected = `Bun.serve.toString().includes("native code") ? "no" : "yes"`;

describe.skipIf(isBun)("a process under the preload loads", () => {
  /**
   * Returns the files of ringloop that the process has loaded, and whether it has the shared
   * object.
   */
  async function loadedAfter(text: string): Promise<{ files: string[]; library: boolean; builtins: string[] }> {
    const { stdout, stderr } = await underPreload(`
      ${text}
      const files = Object.keys(require.cache).filter((file) => file.startsWith(${JSON.stringify(source)}));
      const library = require("node:fs").readFileSync("/proc/self/maps", "latin1").includes("libringloop");
      console.log(JSON.stringify({ files: files.map((file) => file.slice(${source.length})), library }));
      process.exit(0);`);
    expect(stderr).toBe("");
    return JSON.parse(stdout);
  }
  const serve = `const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("served") });`;
  const answer = `if (await (await fetch(server.url)).text() !== "served") throw new Error("not served");`;

  test("nothing but stubs while it serves nothing", async () => {
    const { files, library } = await loadedAfter("");
    expect(library).toBe(false);
    expect(files.toSorted()).toEqual([
      "bun/serve/globals-at-first-use.ts",
      "bun/serve/native-globals.ts",
      "children.ts",
      "loading.ts",
      "register.ts",
      "sys/bun-originals.ts",
      "sys/environment.ts",
    ]);
  });

  for (const [name, text] of [
    ["Response", `globalThis.kept = new Response("x")`],
    ["Request", `globalThis.kept = new Request("http://localhost/")`],
    ["ReadableStream", `globalThis.kept = new ReadableStream()`],
    ["fetch", `fetch.name`],
    ["a global that is set", `globalThis.Response = class extends Response {}`],
  ] as const)
    test(`the globals with the first use of ${name}, but no server`, async () => {
      const { files, library } = await loadedAfter(`${text};`);
      expect(files).toContain("bun/serve/globals.ts");
      expect(files).not.toContain("bun/serve/server.ts");
      expect(library).toBe(false);
    });

  test("nothing of WebSockets, files, streams, UDP and the operations until one is used", async () => {
    const { files, library } = await loadedAfter(serve + answer);
    expect(library).toBe(true);
    expect(files).toContain("bun/serve/server.ts");
    const spared =
      /websocket|static-content|file-|stream-|chunked|default-port|udp|operation-|faults|sockets\/socket|^fs\//;
    expect(files.filter((file) => spared.test(file))).toEqual([]);
  });
});

describe.skipIf(isBun)("under the preload the globals", () => {
  test("are values from their first use on, like Bun's, and functions of Bun have their names", async () => {
    const text = `
      const functions = [Bun.serve, Bun.listen, Bun.connect, Bun.udpSocket, Bun.spawn, Bun.spawnSync];
      console.log(functions.map(({ name, length }) => [name, length]));
      const names = ["Response", "Request", "ReadableStream", "fetch"];
      const flags = () => names.map((name) => {
        const { enumerable, configurable, writable } = Object.getOwnPropertyDescriptor(globalThis, name);
        return [name, enumerable, configurable, writable];
      });
      globalThis.kept = Response;
      console.log(JSON.stringify(flags()));`;
    const { stdout, stderr } = await underPreload(text);
    expect(stderr).toBe("");
    expect(stdout).toBe((await run([process.execPath, "-e", text])).stdout);
  });

  test("that a program replaces are the program's, before and after the first server", async () => {
    for (const replace of [
      `globalThis.Response = Own;`,
      `Object.defineProperty(globalThis, "Response", { value: Own, configurable: true, writable: true });`,
    ]) {
      const { stdout } = await underPreload(`
        class Own {}
        ${replace}
        console.log(Response === Own);
        using server = Bun.serve({ port: 0, fetch: () => fetch("data:,served") });
        console.log(Response === Own, server.ring, await (await fetch(server.url)).text());`);
      expect(stdout).toBe("true\ntrue true served\n");
    }
  });
});

describe.skipIf(isBun)("the built package", () => {
  const root = join(source, "..");
  const built = join(root, "dist/register.js");

  test("serves on the ring, with one copy of each module whatever is imported", async () => {
    const text = `
      const { serve, useReactor } = await import("ringloop");
      const { open } = await import("ringloop/fs");
      const { Ring } = await import("ringloop/ring");
      const before = useReactor();
      using server = Bun.serve({ port: 0, fetch: (request) => new Response(String(request instanceof Request)) });
      using other = serve({ port: 0, fetch: (request) => new Response(new Request(request).url) });
      console.log(server.ring, other.ring, useReactor() === before, typeof open, typeof Ring);
      console.log(await (await fetch(server.url)).text(), await (await fetch(other.url)).text() === String(other.url));`;
    const program = join(root, "test/behaviour", `built-${process.pid}.ts`);
    await Bun.write(program, text);
    try {
      const { stdout, stderr } = await attempt([process.execPath, "--preload", built, program], "");
      expect({ stdout, stderr }).toEqual({ stdout: "true true true function function\ntrue true\n", stderr: "" });
    } finally {
      rmSync(program);
    }
  });

  test("is handed on to children, and loads its parts when one is called", async () => {
    const child = `console.log(${redirected}, Object.keys(require.cache).filter((file) => file.includes("/dist/")).length)`;
    const { stdout } = await attempt(
      [
        process.execPath,
        "--preload",
        built,
        "-e",
        `const { stdout } = Bun.spawnSync([process.execPath, "-e", ${JSON.stringify(child)}]); console.log(stdout.toString().trim());`,
      ],
      "",
    );
    expect(stdout).toBe("yes 2\n");
  });

  test("is compiled: Bun takes the bytecode", async () => {
    const text = `Bun.serve({ port: 0, fetch: () => new Response() }).stop(); console.log("ends");`;
    const env = { BUN_JSC_verboseDiskCache: "1" };
    const { stdout, stderr } = await attempt([process.execPath, "--preload", built, "-e", text], "", env);
    expect(stdout + stderr).toContain("ends");
    expect(stdout + stderr).toMatch(/\[Disk [Cc]ache\] .*(hit|Cache hit)/i);
  });
});

describe.skipIf(isBun)("RINGLOOP", () => {
  let directory: string;
  let launcher: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "ringloop-start-"));
    launcher = join(directory, "without-io-uring");
    await run([process.env.CC ?? "cc", "-o", launcher, fixture("without-io-uring.c")]);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  for (const [value, answer] of [
    ["on", "yes"],
    ["require", "yes"],
    ["", "yes"],
    ["off", "no"],
  ] as const)
    test(`${JSON.stringify(value)}: are Bun's functions redirected? ${answer}`, async () => {
      const { stdout, stderr, exitCode } = await underPreload(`console.log(${redirected})`, { RINGLOOP: value });
      expect({ stdout, stderr, exitCode }).toEqual({ stdout: `${answer}\n`, stderr: "", exitCode: 0 });
    });

  test("require refuses to start where there is no ring, and says why", async () => {
    for (const [prefix, env, reason] of [
      [[launcher], {}, "io_uring is forbidden here"],
      [[launcher], { WITHOUT_IO_URING_ERRNO: "38" }, "this system has no io_uring, or an old one"],
      [[], { RINGLOOP_LIBRARY: "/nonexistent.so" }, "the shared object /nonexistent.so does not exist"],
    ] as [string[], Environment, string][]) {
      const { stdout, stderr, exitCode } = await underPreload(
        `console.log("started")`,
        { RINGLOOP: "require", ...env },
        prefix,
      );
      expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
      expect(stderr).toStartWith(`ringloop: RINGLOOP is "require", and there is no ring here: ${reason}`);
      expect(stderr.trim().split("\n")).toHaveLength(1);
    }
  });

  test("require makes it an error that there is no ring any more, for the functions of the package too", async () => {
    const text = `
      const { serve } = await import(${JSON.stringify(join(source, "index.ts"))});
      try { serve({ port: 0, fetch: () => new Response() }); } catch (error) { console.log(error.name); }`;
    const env = { RINGLOOP: "require", RINGLOOP_LIBRARY: "/nonexistent.so" };
    expect((await run([process.execPath, "-e", text], "", env)).stdout).toBe("LibraryError\n");
  });

  test("a ring that was tried for require decides no mode, and keeps no process alive", async () => {
    const text = `Bun.serve({ port: 0, mode: "defer", fetch: () => new Response() }).stop(); console.log("ends");`;
    const env = { RINGLOOP: "require", RINGLOOP_MODE: undefined };
    const { stdout, exitCode } = await underPreload(text, env);
    expect({ stdout, exitCode }).toEqual({ stdout: "ends\n", exitCode: 0 });
  });

  for (const [name, value, allowed] of [
    ["RINGLOOP", "of", `"on", "off", "require"`],
    ["RINGLOOP", "1", `"on", "off", "require"`],
    ["RINGLOOP_MODE", "fast", `"auto", "sqpoll", "defer"`],
    ["RINGLOOP_LOG", "yes", `"0", "1"`],
  ] as const)
    test(`${name}=${value} is an error that names what is allowed`, async () => {
      const { stdout, stderr, exitCode } = await underPreload(`console.log("started")`, { [name]: value });
      expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
      expect(stderr).toBe(`ringloop: ${name} must be one of ${allowed}, not ${JSON.stringify(value)}\n`);
    });
});
