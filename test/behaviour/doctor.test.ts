/** `ringloop doctor` as a program, and programs where io_uring is refused. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Diagnosis } from "../../src/doctor.ts";
import { layout } from "../../src/sys/layout.ts";
import { libraryPath } from "../../src/sys/library.ts";
import { attempt, type Environment, fixture, run } from "./process.ts";
import { isBun, subject } from "./subject.ts";

const cli = join(import.meta.dir, "../../src/cli.ts");
let directory: string;
let launcher: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "ringloop-doctor-"));
  launcher = join(directory, "without-io-uring");
  await run([process.env.CC ?? "cc", "-Wall", "-Wextra", "-o", launcher, fixture("without-io-uring.c")]);
});
afterAll(() => rmSync(directory, { recursive: true }));

async function doctor(prefix: string[] = [], env: Environment = {}): Promise<{ exitCode: number; found: Diagnosis }> {
  const { stdout, exitCode } = await attempt([...prefix, process.execPath, cli, "doctor", "--json"], "", env);
  return { exitCode, found: JSON.parse(stdout) as Diagnosis };
}

const check = ({ checks }: Diagnosis, name: string) => checks.find((each) => each.name === name);

describe.skipIf(isBun)("ringloop doctor", () => {
  test("finds that ringloop runs, in which mode, and what it has", async () => {
    const { exitCode, found } = await doctor();
    expect(exitCode).toBe(0);
    expect({ runs: found.runs, mode: found.mode }).toEqual({ runs: true, mode: subject as never });
    expect(check(found, "io_uring_setup")).toMatchObject({ value: "works", state: "good" });
    for (const name of ["fast poll", "provided buffer rings", "multishot accept", "multishot receive"])
      expect(check(found, name)).toMatchObject({ value: "yes", state: "good" });
    expect(check(found, "node:http")).toMatchObject({ value: "on the ring", state: "good" });
    const { version } = JSON.parse(readFileSync(join(import.meta.dir, "../../package.json"), "utf8"));
    expect(found.version).toBe(version);
    for (const name of ["kernel", "seccomp", "sysctl kernel.io_uring_disabled", "locked memory (ulimit -l)", "mode"])
      expect(check(found, name)).toBeDefined();
  });

  test("prints a table, a line for each finding", async () => {
    const { stdout, exitCode } = await attempt([cli, "doctor"], "", {
      PATH: `${join(process.execPath, "..")}:${process.env.PATH}`,
    });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ok +kernel +\d+\.\d+/m);
    expect(stdout).toEndWith(`ringloop runs here, in mode ${subject}.\n`);
  });

  test("says what to do where the shared object is missing", async () => {
    const { exitCode, found } = await doctor([], { RINGLOOP_LIBRARY: "/nonexistent.so" });
    expect(exitCode).toBe(1);
    expect({ runs: found.runs, mode: found.mode }).toEqual({ runs: false, mode: null });
    const missing = check(found, "shared object");
    expect(missing).toMatchObject({ state: "lacking", value: "the shared object /nonexistent.so does not exist" });
    expect(missing!.advice).toContain("ffi/build.ts");
    expect(check(found, "multishot receive")).toMatchObject({ state: "unknown" });
  });

  test("says why where io_uring is refused", async () => {
    const { exitCode, found } = await doctor([launcher]);
    expect(exitCode).toBe(1);
    expect(found.runs).toBe(false);
    expect(check(found, "seccomp")!.value).toStartWith("filtered");
    expect(check(found, "io_uring_setup")).toMatchObject({
      state: "lacking",
      value: "EPERM: operation not permitted, io_uring_setup",
    });
    const { stdout } = await attempt([launcher, process.execPath, cli, "doctor"]);
    expect(stdout).toContain("LACKING  io_uring_setup");
    expect(stdout).toContain("ringloop does not run here");
  });

  test("says so where a filter lets a ring be made, and refuses to use it", async () => {
    for (const [call, errno, code] of [
      ["enter", "1", "EPERM"],
      ["register", "1", "EPERM"],
      ["register", "38", "ENOSYS"],
      ["register", "13", "EACCES"],
    ] as const) {
      const env = { WITHOUT_IO_URING_CALL: call, WITHOUT_IO_URING_ERRNO: errno };
      const { exitCode, found } = await doctor([launcher], env);
      expect({ exitCode, runs: found.runs }).toEqual({ exitCode: 1, runs: false });
      expect(check(found, `io_uring_${call}`)).toMatchObject({ state: "lacking", advice: expect.any(String) });
      expect(found.reason).toStartWith(`${code}: `);
      const { stderr } = await attempt([launcher, process.execPath, cli, "doctor"], "", env);
      expect(stderr).toBe("");
    }
  });

  // For users without CAP_IPC_LOCK. Each process has its own user, so that no other ring counts:
  // neither one of a process that has ended a moment ago, nor one of this test in another process.
  test.skipIf(process.getuid!() !== 0)("says for how many rings the locked memory is enough", async () => {
    let user = 100_000 + process.pid * 10;
    const limited = (bytes: number): string[] => {
      const unprivileged = ["setpriv", `--reuid=${user}`, `--regid=${user++}`, "--clear-groups", "--bounding-set=-all"];
      return ["prlimit", `--memlock=${bytes}:${bytes}`, ...unprivileged];
    };
    for (const [bytes, rings] of [
      [200_000, 0],
      [1_048_576, 4],
      [8_388_608, 35],
    ] as const) {
      const { exitCode, found } = await doctor(limited(bytes));
      expect(exitCode).toBe(rings === 0 ? 1 : 0);
      expect(check(found, "locked memory (ulimit -l)")).toMatchObject({
        value: `${bytes} bytes, enough for ${rings} rings of this user`,
        state: rings === 0 ? "lacking" : "good",
        advice: expect.stringContaining("a ring of 232 KiB"),
      });
      const { stdout } = await run([...limited(bytes), process.execPath, fixture("counts-rings.ts")]);
      expect(JSON.parse(stdout)).toEqual({ rings, code: "ENOMEM" });
    }
  });

  test("names what a wrong variable may be, in one line", async () => {
    for (const name of ["RINGLOOP", "RINGLOOP_MODE", "RINGLOOP_LOG"]) {
      const { stdout, stderr, exitCode } = await attempt([process.execPath, cli, "doctor"], "", { [name]: "wrong" });
      expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 2 });
      expect(stderr).toMatch(new RegExp(`^ringloop: ${name} must be one of "[^\n]+, not "wrong"\n$`));
    }
  });

  test("has help and a version, whatever the machine lacks", async () => {
    for (const option of ["--help", "-h"])
      expect((await run([launcher, process.execPath, cli, option])).stdout).toStartWith(
        "usage: ringloop doctor [--json]",
      );
    for (const option of ["--version", "-v"])
      expect((await run([launcher, process.execPath, cli, option])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test("refuses another command, with what it takes", async () => {
    for (const args of [[], ["cure"], ["doctor", "--jsn"], ["doctor", "twice"]]) {
      const { stderr, exitCode } = await attempt([process.execPath, cli, ...args]);
      expect(exitCode).toBe(2);
      expect(stderr).toContain("usage: ringloop doctor [--json]");
    }
  });
});

describe.skipIf(isBun)("where io_uring is refused", () => {
  const expected = {
    answer: "served",
    text: "0123456789",
    read: "3456",
    streamed: "89",
    size: 10,
    aborted: "AbortError",
  };

  test("servers run on Bun's own and files on node:fs, with one warning each", async () => {
    const { stdout, stderr } = await run([launcher, process.execPath, fixture("falls-back.ts")]);
    expect(JSON.parse(stdout)).toEqual({ ...expected, unallocated: "EOPNOTSUPP" });
    const warnings = stderr.trim().split("\n");
    expect(warnings).toHaveLength(2);
    for (const [i, name] of ["serve", "ringloop/fs"].entries())
      expect(warnings[i]).toStartWith(`ringloop: ${name} runs on Bun's own, because io_uring is forbidden here`);
  });

  test("the same program runs on the ring elsewhere, without a warning", async () => {
    const { stdout, stderr } = await run([process.execPath, fixture("falls-back.ts")]);
    expect(JSON.parse(stdout)).toEqual({ ...expected, unallocated: "allocated" });
    expect(stderr).toBe("");
  });
});

describe.skipIf(isBun)("servers, listeners and sockets", () => {
  for (const on of [true, false])
    test(`say by \`ring\` that they run ${on ? "on the ring" : "on Bun's own"}`, async () => {
      const { stdout } = await run([...(on ? [] : [launcher]), process.execPath, fixture("says-ring.ts")]);
      const rings = { server: on, listener: on, socket: on, udp: on };
      expect(JSON.parse(stdout)).toEqual({ rings, refused: "ECONNREFUSED", shown: [] });
    });
});

// The tests do not set kernel.io_uring_disabled=2, which answers EPERM to everybody: it would
// refuse every other ring of the machine at that time.
describe.skipIf(isBun)("a program that uses everything", () => {
  const program = [process.execPath, fixture("everything-falls-back.ts")];
  const once = ["HTTP", "echo of WebSocket", "TCP", "UDP", "a file"];
  const expected = [...once, ...once];
  const functions = ["serve", "listen", "connect", "udpSocket", "ringloop/fs"];

  /** Runs the program, and expects one notice for each function: that it is Bun's own, and why. */
  async function fallsBack(prefix: string[], env: Environment, reason: string): Promise<void> {
    const { stdout, stderr } = await run([...prefix, ...program], "", env);
    expect(JSON.parse(stdout)).toEqual(expected);
    const warnings = stderr.trim().split("\n");
    expect(warnings.map((line) => line.slice(0, line.indexOf(" runs on ")))).toEqual(
      functions.map((name) => `ringloop: ${name}`),
    );
    for (const line of warnings) expect(line).toContain(`runs on Bun's own, because ${reason}`);
  }

  test("runs on the ring without a word where there is one", async () => {
    const { stdout, stderr } = await run(program);
    expect(JSON.parse(stdout)).toEqual(expected);
    expect(stderr).toBe("");
  });

  test("runs on Bun's own where io_uring is forbidden, by seccomp or by sysctl (EPERM)", () =>
    fallsBack([launcher], {}, "io_uring is forbidden here"));

  test("runs on Bun's own where the kernel has none (ENOSYS)", () =>
    fallsBack([launcher], { WITHOUT_IO_URING_ERRNO: "38" }, "this system has no io_uring, or an old one"));

  test("runs on Bun's own where its memory cannot be locked (ENOMEM)", () =>
    fallsBack([launcher], { WITHOUT_IO_URING_ERRNO: "12" }, "the ring's memory cannot be locked"));

  test("runs on Bun's own without the shared object", () =>
    fallsBack([], { RINGLOOP_LIBRARY: "/nonexistent.so" }, "the shared object /nonexistent.so does not exist"));

  test("runs on Bun's own with the shared object of another version", async () => {
    const table = (version?: number): Buffer =>
      Buffer.from(
        Uint32Array.from(layout, ([name, value]) => (name === "RL_ABI_VERSION" ? (version ?? value) : value)).buffer,
      );
    const image = readFileSync(libraryPath());
    const at = image.indexOf(table());
    expect(at).toBeGreaterThan(0);
    table(1000).copy(image, at);
    const library = join(directory, "other-version.so");
    writeFileSync(library, image);
    await fallsBack([], { RINGLOOP_LIBRARY: library }, `the shared object ${library} does not match`);
  });
});
