/** The programs of examples/ that use a ring work as they promise. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { linkSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../bench/runner/free-port.ts";
import { attempt, Program, run } from "../behaviour/process.ts";

const example = (name: string): string => join(import.meta.dir, "../../examples", name);
let directory: string;
let file: string;
/** Some whole blocks, and a part of one. */
const content = Buffer.alloc(3 * 1024 * 1024 + 1234, "what is copied, ");

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ringloop-examples-"));
  file = join(directory, "file");
  writeFileSync(file, content);
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("ring-cat.ts", () => {
  test("prints files, one after the other", async () => {
    const small = join(directory, "small");
    writeFileSync(small, "and a small one");
    const { stdout } = await run([process.execPath, example("ring-cat.ts"), file, small, "/proc/self/comm"]);
    expect(Bun.hash(stdout.slice(0, content.length))).toBe(Bun.hash(content.toString()));
    expect(stdout.slice(content.length)).toMatch(/^and a small one.+\n$/);
  });

  test("prints its input", async () => {
    expect((await run([process.execPath, example("ring-cat.ts"), "-"], "through a pipe")).stdout).toBe(
      "through a pipe",
    );
  });
});

describe("ring-cp.ts", () => {
  test.each([[[]], [["--direct"]]])("copies a file, %p", async (flags) => {
    const copy = join(directory, `copy${flags.length}`);
    writeFileSync(copy, Buffer.alloc(content.length + 1));
    const { stdout } = await run([process.execPath, example("ring-cp.ts"), ...flags, file, copy]);
    expect(stdout).toBe(`${content.length} bytes copied\n`);
    expect(readFileSync(copy).equals(content)).toBe(true);
  });

  test.each([["by its name"], ["through a symbolic link"], ["through another name of it"]])(
    "does not copy a file over itself, %s",
    async (how) => {
      const [from, other] = [join(directory, `itself ${how}`), join(directory, `other ${how}`)];
      writeFileSync(from, "kept");
      if (how !== "by its name") (how === "through a symbolic link" ? symlinkSync : linkSync)(from, other);
      const to = how === "by its name" ? from : other;
      for (const [source, target] of [
        [from, to],
        [to, from],
      ]) {
        const { exitCode, stderr } = await attempt([process.execPath, example("ring-cp.ts"), source!, target!]);
        expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`${source} and ${target} are the same file`)]);
      }
      expect(readFileSync(from, "utf8")).toBe("kept");
    },
  );

  test("copies a file of nothing", async () => {
    const [empty, copy] = [join(directory, "empty"), join(directory, "nothing")];
    writeFileSync(empty, "");
    await run([process.execPath, example("ring-cp.ts"), empty, copy]);
    expect(statSync(copy).size).toBe(0);
  });
});

describe.each(["plain", "defer", "sqpoll"])("ring-echo.ts on a %s ring", (mode) => {
  test("sends everything back, in order, to many, and ends when it is told to", async () => {
    const port = await freePort();
    await using server = new Program([process.execPath, example("ring-echo.ts"), "--mode", mode, "--port", `${port}`]);
    await server.text("listening");
    const opened: Socket[] = [];
    const echo = (i: number): Promise<boolean> =>
      new Promise((resolve, reject) => {
        const sent = content.subarray(0, 100_000 + i);
        const socket = connect(port, "127.0.0.1", () => socket.write(sent));
        opened.push(socket);
        const pieces: Buffer[] = [];
        let bytes = 0;
        socket.on("error", reject).on("data", (piece: Buffer) => {
          pieces.push(piece);
          bytes += piece.length;
          if (bytes === sent.length) resolve(Buffer.concat(pieces).equals(sent));
        });
      });
    expect(await Promise.all(Array.from({ length: 20 }, (_, i) => echo(i)))).toEqual(Array(20).fill(true));
    const [first, ...others] = opened;
    first!.end();
    await new Promise((resolve) => first!.on("close", resolve));
    const ends = others.map((socket) => new Promise((resolve) => socket.on("close", resolve)));
    process.kill(server.pid, "SIGTERM");
    await server.text("ended");
    expect(await server.exited).toBe(0);
    await Promise.all(ends);
  });
});

test("watch.ts prints what happens in a directory, until it is interrupted", async () => {
  const watched = mkdtempSync(join(directory, "watched-"));
  await using program = new Program([process.execPath, example("watch.ts"), watched]);
  await program.text("watching");
  writeFileSync(join(watched, "new"), "x");
  expect([await program.text(""), await program.text("")]).toEqual(["new created", "new written"]);
  renameSync(join(watched, "new"), join(watched, "old"));
  expect([await program.text(""), await program.text("")]).toEqual(["new moved away", "old moved here"]);
  rmSync(join(watched, "old"));
  expect(await program.text("")).toBe("old deleted");
  process.kill(program.pid, "SIGINT");
  expect(await program.exited).toBe(0);
});
